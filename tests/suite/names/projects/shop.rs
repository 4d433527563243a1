//! A compose project with an override, a file for production and `.env`.

use std::fs;

use super::Who;

#[test]
fn root_composes_a_shop() {
    composes(Who::Root);
}

#[test]
fn an_ordinary_user_composes_a_shop() {
    composes(Who::Ordinary);
}

fn composes(who: Who) {
    let Some(project) = super::project("shop", who) else { return };
    let registry = project.registry.address();
    let environment = [("REGISTRY", registry.as_str())];
    // For a developer, whose override is merged by itself; nothing is pushed.
    let dev = project.run(&["./deploy.sh"], &environment).success();
    assert_eq!(dev.stdout.lines().count(), 3, "{}", dev.stdout);
    let label = |image: &str, name: &str| {
        let format = format!("{{{{index .Config.Labels \"{name}\"}}}}");
        let image = project.name(&format!("shop/{image}:2.3.0"));
        project.run(&["docker", "inspect", "-f", &format, &image], &[]).success().stdout
    };
    assert_eq!((label("api", "flavour"), label("web", "stage")), ("debug\n".into(), "development\n".into()));

    let prod = project.run(&["./deploy.sh", "prod"], &environment).success();
    let images = ["api", "web", "worker"].map(|service| project.name(&format!("shop/{service}:2.3.0")));
    let mut lines: Vec<&str> = prod.stdout.lines().collect();
    lines.truncate(8);
    let mut expected = vec!["api", "db", "web", "worker"];
    let mut names: Vec<&str> = images.iter().map(String::as_str).chain(["postgres:16-alpine"]).collect();
    names.sort();
    lines[..4].sort();
    expected.extend(names);
    assert_eq!(lines, expected);
    assert_eq!(project.tags("shop/api"), ["2.3.0", "stable"]);
    assert_eq!(project.tags("shop/web"), ["2.3.0"]);
    assert_eq!(project.tags("shop/worker"), ["2.3.0"]);
    let api = project.config("shop/api:2.3.0", "amd64");
    let labels = &api["config"]["Labels"];
    assert_eq!((&labels["flavour"], &labels["version"]), (&"release".into(), &"2.3.0".into()));
    assert_eq!((&labels["com.example.service"], &labels["com.example.tier"]), (&"api".into(), &"production".into()));
    assert_eq!(api["config"]["User"], "api");
    let web = project.config("shop/web:2.3.0", "amd64");
    assert_eq!((&web["config"]["Labels"]["stage"], &web["config"]["User"]), (&"production".into(), &"nobody".into()));
    assert_eq!(project.platforms("shop/worker:2.3.0"), ["linux/amd64", "linux/arm64"]);
    let stack = fs::read_to_string(project.path().join("stack.yml")).unwrap();
    assert!(stack.contains(&images[0]) && stack.contains("not$$so\"secret"), "{stack}");

    let digests = ["api", "web", "worker"].map(|service| project.digest(&format!("shop/{service}:2.3.0")));
    project.run_again(&["./deploy.sh", "prod"], &environment);
    assert_eq!(["api", "web", "worker"].map(|service| project.digest(&format!("shop/{service}:2.3.0"))), digests);
    assert_eq!(fs::read_to_string(project.path().join("stack.yml")).unwrap(), stack);
}
