//! PPP-Q: one API image, with a builder, a virtual environment, and a stage for developers beside the one for production.

use std::collections::BTreeMap;

use super::{labels, run_again, run_changed, serve, system};
use crate::support::project::{Project, Who, commands};

#[test]
fn root_builds_an_api_for_production() {
    let Some(project) = system("ppp-q", Who::Root) else { return };
    builds_for_production(&project);
    let ask = "id -un; curl -s http://localhost:8000/health; echo; curl -s -X POST -H 'Content-Type: application/json' \
               -d '{\"name\": \"x\", \"value\": 20}' http://localhost:8000/classify; echo; ls -A /app; \
               stat -c '%U:%G %a %n' app/main.py /app logs";
    let Some((user, said)) = serve(&project, "team/ppp-q-api:v1.0.0", ask) else { return };
    assert_eq!(user, 1000);
    insta::assert_snapshot!(said, @r#"
    appuser
    {"status":"healthy","user":1000}
    {"name":"x","score":41}
    .env.example
    README.md
    app
    build.sh
    logs
    models
    native
    requirements-dev.txt
    requirements.txt
    appuser:appuser 644 app/main.py
    appuser:appuser 755 /app
    appuser:appuser 755 logs
    "#);
}

#[test]
fn an_ordinary_user_builds_an_api_for_production() {
    let Some(project) = system("ppp-q", Who::Ordinary) else { return };
    builds_for_production(&project);
}

fn builds_for_production(project: &Project) {
    project.commit("v1.0.0");
    let repository = project.name("team");
    let words = ["./build.sh", &repository, "v1.0.0"];
    let outcome = project.run(&words, &[]).success();
    // The builder's four commands, and three of what is shipped.
    assert_eq!(commands(&outcome).len(), 7, "{}", outcome.stderr);
    assert_eq!(project.tags("team/ppp-q-api"), ["latest", "v1.0.0"]);
    let image = "team/ppp-q-api:v1.0.0";
    let commit = project.run(&["git", "rev-parse", "--short", "HEAD"], &[]).success().stdout;
    let labels = labels(project, image, "amd64");
    let expected = [
        ("created", "2024-05-06T07:08:09Z"),
        ("description", "Classifies products"),
        ("revision", commit.trim()),
        ("title", "PPP-Q API"),
        ("version", "v1.0.0"),
    ];
    for (name, value) in expected {
        assert_eq!(labels[format!("org.opencontainers.image.{name}")], value, "{labels}");
    }
    let config = &project.config(image, "amd64")["config"];
    assert_eq!((&config["User"], &config["WorkingDir"]), (&"appuser".into(), &"/app".into()));
    assert_eq!(config["Healthcheck"]["StartPeriod"], 40_000_000_000_u64);
    assert_eq!(config["Cmd"][0], "gunicorn");
    run_again(project, &words, &[]);

    // Sources are copied late: what is done again is that, and what follows it.
    let changed = run_changed(project, ("app/main.py", "# Changed"), &words, &[]);
    // Which makes what it made before: the sources are uploaded, and the config.
    assert_eq!(changed, (1, BTreeMap::from([("team/ppp-q-api".to_owned(), 2)])));
}

#[test]
fn compose_builds_for_developers_and_for_production() {
    let Some(project) = system("ppp-q", Who::Root) else { return };
    let outcome = project.run(&["docker", "compose", "build"], &[]).success();
    assert_eq!(commands(&outcome).len(), 8, "{}", outcome.stderr);
    let command = |image: &str| project.run(&["docker", "inspect", "-f", "{{json .Config.Cmd}}", image], &[]);
    assert!(command("ppp-q-api:dev").success().stdout.contains("--reload"));
    serves_for_developers(&project);

    let prod = ["docker", "compose", "-f", "docker-compose.prod.yml", "build", "--push"];
    let team = project.name("team");
    let environment = [("REGISTRY", team.as_str()), ("BUILD_DATE", "2024-05-06"), ("VCS_REF", "abc")];
    project.run(&prod, &environment).failure(1).says(&["docker-compose.prod.yml", "VERSION", "set VERSION"]);
    let environment = [&environment[..], &[("VERSION", "v1.0.0")]].concat();
    let outcome = project.run(&prod, &environment).success();
    // The builder's are done. Those of production have other arguments.
    assert_eq!(commands(&outcome).len(), 3, "{}", outcome.stderr);
    assert_eq!(project.tags("team/ppp-q-api"), ["v1.0.0"]);
    assert_eq!(labels(&project, "team/ppp-q-api:v1.0.0", "amd64")["org.opencontainers.image.revision"], "abc");
    run_again(&project, &prod, &environment);
}

fn serves_for_developers(project: &Project) {
    let name = project.name("team/ppp-q-api-dev");
    project.run(&["docker", "tag", "ppp-q-api:dev", &name], &[]).success();
    project.run(&["docker", "push", &name], &[]).success();
    let ask = "curl -s http://localhost:8000/health; python -c 'import flask'";
    let Some(served) = serve(project, "team/ppp-q-api-dev:latest", ask) else { return };
    assert_eq!(served, (1000, "{\"status\":\"healthy\",\"user\":1000}".to_owned()));
}
