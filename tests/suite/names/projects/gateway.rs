//! Jobs of GitLab and GitHub.

use std::fs;

use super::{Project, Who, job};

const SHA: &str = "5f1c0de15f1c0de15f1c0de15f1c0de15f1c0de1";

fn project(who: Who) -> Option<Project> {
    let project = super::project_with_user("gateway", who, "ci", "s3cr#t pass")?;
    project.commit("v2.0.1");
    Some(project)
}

#[test]
fn roots_jobs_of_gitlab_build_and_release() {
    jobs_of_gitlab(Who::Root);
}

#[test]
fn an_ordinary_users_jobs_of_gitlab_build_and_release() {
    jobs_of_gitlab(Who::Ordinary);
}

fn jobs_of_gitlab(who: Who) {
    let Some(project) = project(who) else { return };
    let file = fs::read_to_string(project.path().join(".gitlab-ci.yml")).unwrap();
    let (registry, image) = (project.registry.address(), project.name("team/gateway"));
    let environment = [
        ("CI", "true"),
        ("GITLAB_CI", "true"),
        ("CI_REGISTRY", registry.as_str()),
        ("CI_REGISTRY_IMAGE", &image),
        ("CI_REGISTRY_USER", "ci"),
        ("CI_REGISTRY_PASSWORD", "s3cr#t pass"),
        ("CI_COMMIT_SHA", SHA),
        ("CI_COMMIT_SHORT_SHA", &SHA[..8]),
        ("CI_COMMIT_BRANCH", "main"),
        ("CI_DEFAULT_BRANCH", "main"),
        ("CI_COMMIT_REF_NAME", "main"),
        ("CI_COMMIT_REF_SLUG", "main"),
        // The variables of the file.
        ("DOCKER_HOST", "tcp://docker:2376"),
        ("DOCKER_TLS_CERTDIR", "/certs"),
        ("DOCKER_DRIVER", "overlay2"),
        ("DOCKER_BUILDKIT", "1"),
        ("BUILDKIT_PROGRESS", "plain"),
    ];
    let job = |name: &str| {
        let script = [job::script(&file, &["before_script"]), job::script(&file, &[name, "script"])].join("\n");
        job::run(&project, &script, &environment)
    };
    let built = job("build").success();
    assert!(built.stdout.contains("Login Succeeded\n"), "{}", built.stdout);
    let short = format!("team/gateway:{}", &SHA[..8]);
    let digest = project.digest(&short);
    assert_eq!(project.tags("team/gateway"), [&SHA[..8]]);
    let told = fs::read_to_string(project.path().join("image.digest")).unwrap();
    assert_eq!(told, format!("{image}@{digest}\n"));
    assert_eq!(fs::read_to_string(project.path().join("image.id")).unwrap(), digest);
    let config = project.config(&short, "amd64");
    assert_eq!(config["config"]["Labels"]["org.label-schema.vcs-ref"], SHA);
    assert_eq!((&config["config"]["User"], &config["config"]["Cmd"][0]), (&"10001:10001".into(), &"serve".into()));

    // Another machine gets nothing but the archive.
    job("clean").success();
    assert_eq!(project.run(&["docker", "images", "-q"], &[]).success().stdout, "");
    let released = job("release").success();
    assert!(released.stdout.contains(&format!("Loaded image: {image}:{}\n", &SHA[..8])), "{}", released.stdout);
    assert_eq!(project.tags("team/gateway"), [&SHA[..8], "latest", "main"]);
    assert_eq!(project.digest("team/gateway:main"), project.digest("team/gateway:latest"));
    assert_eq!(project.config("team/gateway:latest", "amd64")["rootfs"], config["rootfs"]);
    // It was logged out, and what is in the registry is its owner's alone.
    let pull = ["docker", "pull", &format!("{image}:latest")];
    project.run(&pull, &[]).failure(1).says(&["401"]);

    // The same job on a new machine stands on what was pushed, and changes nothing.
    job("clean").success();
    job("build").success();
    assert_eq!(project.digest(&short), digest);
}

#[test]
fn roots_workflow_of_github_pushes_two_platforms() {
    workflow_of_github(Who::Root);
}

#[test]
fn an_ordinary_users_workflow_of_github_pushes_two_platforms() {
    workflow_of_github(Who::Ordinary);
}

fn workflow_of_github(who: Who) {
    let Some(project) = project(who) else { return };
    let file = fs::read_to_string(project.path().join(".github/workflows/image.yml")).unwrap();
    let registry = project.registry.address();
    let place = |name: &str| project.program.home().join("bin").join(name).display().to_string();
    let (temporary, output, summary) = (place("."), place("output"), place("summary"));
    if who == Who::Ordinary {
        crate::support::tool::run("chown", ["65534", &temporary]);
    }
    let environment = [
        ("CI", "true"),
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_ACTOR", "ci"),
        ("GITHUB_SHA", SHA),
        ("GITHUB_REF_NAME", "v2.0.1"),
        ("GITHUB_REPOSITORY", "team/gateway"),
        ("GITHUB_SERVER_URL", "https://github.example.com"),
        ("GITHUB_OUTPUT", output.as_str()),
        ("GITHUB_STEP_SUMMARY", &summary),
        ("RUNNER_TEMP", &temporary),
        ("REGISTRY", &registry),
        ("REGISTRY_TOKEN", "s3cr#t pass"),
        ("DOCKER_BUILDKIT", "1"),
    ];
    let workflow = || -> Vec<_> {
        job::steps(&file).iter().map(|step| job::run(&project, step, &environment).success()).collect()
    };
    assert_eq!(workflow().len(), 6);
    let tags = ["2.0.1", "latest", "v2.0.1"];
    assert_eq!(project.tags("team/gateway"), tags);
    let digest = project.digest("team/gateway:v2.0.1");
    for tag in tags {
        assert_eq!(project.digest(&format!("team/gateway:{tag}")), digest);
    }
    assert_eq!(fs::read_to_string(&output).unwrap(), format!("imageid={digest}\ndigest={digest}\n"));
    assert_eq!(fs::read_to_string(&summary).unwrap(), "amd64\narm64\n");
    assert_eq!(project.platforms("team/gateway:latest"), ["linux/amd64", "linux/arm64"]);
    for architecture in ["amd64", "arm64"] {
        let config = project.config("team/gateway:2.0.1", architecture);
        let labels = &config["config"]["Labels"];
        assert_eq!(labels["org.opencontainers.image.revision"], SHA);
        assert_eq!(labels["org.opencontainers.image.version"], "2.0.1");
        assert_eq!(labels["org.opencontainers.image.source"], "https://github.example.com/team/gateway");
        // The secret is nowhere.
        assert!(!config.to_string().contains("s3cr#t"), "{config}");
    }
    // The second run is the first.
    workflow().iter().for_each(super::did_nothing);
    assert_eq!(project.digest("team/gateway:latest"), digest);
}
