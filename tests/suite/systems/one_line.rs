//! Each system by one line, in the place of its owners' commands: docs/bake.md has both, and both are run as they stand there, as
//! root and as an ordinary user.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{labels, run_again, run_changed, system};
use crate::support::project::{Project, Who, commands, require_namespaced_emulators};

/// What a line is to make of a system.
struct Release<'a> {
    /// What docs/bake.md calls the system.
    title: &'a str,
    version: &'a str,
    /// The tag that the owners' commands set.
    owners_tag: &'a str,
    repositories: Vec<String>,
    platforms: &'a [&'a str],
    /// Whether commands write into the images when they are run, as apt does into its logs.
    has_times: bool,
    /// How many commands are run where nothing was.
    commands: usize,
    /// A file of one service, and the line that is added to it.
    change: (&'a str, &'a str),
    /// How many commands are run after that.
    commands_again: usize,
    /// How many blobs are uploaded to each repository after that.
    uploads: BTreeMap<String, usize>,
}

/// Releases the system as either user, which makes the same images, and then by the commands of its owners. None where it cannot
/// be tried.
fn release(name: &str, prepare: impl Fn(Project) -> Project, expected: &Release) -> Option<Project> {
    let root = system(name, Who::Root).map(&prepare)?;
    let ordinary = system(name, Who::Ordinary).map(&prepare)?;
    let [standing, again] = [&root, &ordinary].map(|project| make(project, expected));
    assert!(expected.has_times || standing == again, "{standing:#?}\n{again:#?}");
    run_owners(&root, expected);
    for project in [&root, &ordinary] {
        let (_, line) = shown(project, expected.title);
        let changed = run_changed(project, expected.change, &shell(&line), &[]);
        assert_eq!(changed, (expected.commands_again, expected.uploads.clone()));
    }
    Some(root)
}

/// Runs the line, and once more. Returns what all tags stand for.
fn make(project: &Project, expected: &Release) -> BTreeMap<String, String> {
    let (_, line) = shown(project, expected.title);
    let outcome = project.run(&shell(&line), &[]).success();
    assert_eq!(commands(&outcome).len(), expected.commands, "{}", outcome.stderr);
    let standing = project.registry.standing();
    let tags = released(expected.version);
    let names = |repository: &String| tags.iter().map(|tag| format!("{repository}:{tag}")).collect::<Vec<_>>();
    assert_eq!(standing.len(), tags.len() * expected.repositories.len(), "{standing:#?}");
    for repository in &expected.repositories {
        let digests: Vec<Option<&String>> = names(repository).iter().map(|name| standing.get(name)).collect();
        assert!(digests.iter().all(|digest| digest.is_some() && *digest == digests[0]), "{repository}: {standing:#?}");
    }
    run_again(project, &shell(&line), &[]);
    standing
}

/// Runs the owners' commands, which find every step done and make the same images.
fn run_owners(project: &Project, expected: &Release) {
    let (owners, _) = shown(project, expected.title);
    let images = || -> Vec<Value> {
        let images = expected.repositories.iter().map(|repository| format!("{repository}:{}", expected.owners_tag));
        images.flat_map(|image| expected.platforms.iter().map(move |it| what_runs(project, &image, it))).collect()
    };
    let made = images();
    let outcome = project.run(&shell(&owners), &[]).success();
    assert_eq!(commands(&outcome).len(), 0, "{}", outcome.stderr);
    assert_eq!(images(), made);
}

/// The tags that a release sets.
fn released(version: &str) -> [String; 5] {
    let (major, rest) = version.split_once('.').unwrap();
    let minor = format!("{major}.{}", rest.split_once('.').unwrap().0);
    [major, &minor, version, &format!("v{version}"), "latest"].map(str::to_owned)
}

/// The layers of an image and how it is run.
fn what_runs(project: &Project, image: &str, architecture: &str) -> Value {
    let config = project.config(image, architecture);
    let mut settings = config["config"].clone();
    settings.as_object_mut().unwrap().remove("Labels");
    json!([image, architecture, config["architecture"], config["rootfs"]["diff_ids"], settings])
}

/// The owners' commands and the line in their place, as docs/bake.md has them, for the project's registry.
fn shown(project: &Project, title: &str) -> (String, String) {
    let page = include_str!("../../../docs/bake.md");
    let (_, block) = page.split_once(&format!("```sh\n# {title}: ")).unwrap_or_else(|| panic!("no {title}"));
    let (block, _) = block.split_once("```").unwrap();
    let commands = block.split_once('\n').unwrap().1.replace("registry.example", &project.registry.address());
    let (owners, line) = commands.split_once("# Now\n").unwrap();
    (owners.to_owned(), line.to_owned())
}

fn shell(commands: &str) -> [&str; 3] {
    ["sh", "-ec", commands]
}

#[test]
fn streamflow() {
    let services = ["ingestion", "analytics", "alerting", "dashboard", "storage"];
    let expected = Release {
        title: "StreamFlow",
        version: "1.0.0",
        owners_tag: "v1.0.0",
        repositories: services.map(|service| format!("streamflow-{service}")).into(),
        platforms: &["amd64"],
        has_times: false,
        commands: 3,
        change: ("streamflow/storage/main.py", "# Changed"),
        commands_again: 0,
        // The source and the config.
        uploads: BTreeMap::from([("streamflow-storage".to_owned(), 2)]),
    };
    release("streamflow", |project| project, &expected);
}

#[test]
fn pipeline() {
    let services =
        ["main", "service-a", "service-b", "service-c1", "service-c2", "service-c3", "service-c4", "service-d"];
    let repositories = services.map(|service| format!("pipeline/{service}"));
    let expected = Release {
        title: "Pipeline",
        version: "2.1.0",
        owners_tag: "v2.1.0",
        platforms: &["amd64"],
        has_times: false,
        commands: 1,
        change: ("services/service_b.py", "# Changed"),
        commands_again: 0,
        // All services are in all images: one layer, which the other repositories are given by the first, and eight configs.
        uploads: repositories.iter().map(|name| (name.clone(), if name == "pipeline/main" { 2 } else { 1 })).collect(),
        repositories: repositories.into(),
    };
    release("pipeline", |project| project, &expected);
}

#[test]
fn streamspace() {
    if !require_namespaced_emulators() {
        return;
    }
    let prepare = |project: Project| {
        let project = project.emulated();
        project.commit("v0.2.0");
        project
    };
    let repositories = ["controller", "api"].map(|service| format!("streamspace-{service}"));
    let expected = Release {
        title: "StreamSpace",
        version: "0.2.0",
        owners_tag: "v0.2.0",
        repositories: repositories.into(),
        platforms: &["amd64", "arm64"],
        has_times: false,
        // On each platform: two of both services together, and each one's modules and program.
        commands: 12,
        change: ("api/cmd/main.go", "\nfunc init() { println(\"changed\") }"),
        // Its program, for each platform, and the configs.
        commands_again: 2,
        uploads: BTreeMap::from([("streamspace-api".to_owned(), 4)]),
    };
    let Some(project) = release("streamspace", prepare, &expected) else { return };
    // The workflow is what docs/bake.md says of it.
    let workflow = std::fs::read_to_string(project.path().join(".github/workflows/images.yml")).unwrap();
    let (owners, _) = shown(&project, expected.title);
    let actions: Vec<&str> = owners.lines().filter_map(|line| line.strip_prefix("# ")).collect();
    assert_eq!(actions.len(), 2);
    assert!(actions.iter().all(|action| workflow.contains(&format!("- {action}\n"))), "{actions:?}");
    assert!(workflow.contains("make docker-build-multiarch REGISTRY="));
    let commit = project.run(&["git", "rev-parse", "HEAD"], &[]).success().stdout;
    for repository in &expected.repositories {
        let image = format!("{repository}:0.2");
        assert_eq!(project.platforms(&image), ["linux/amd64", "linux/arm64"]);
        for architecture in expected.platforms {
            let labels = labels(&project, &image, architecture);
            assert_eq!(labels["org.opencontainers.image.version"], "v0.2.0", "{labels}");
            assert_eq!(labels["org.opencontainers.image.revision"], commit.trim(), "{labels}");
            assert_eq!(labels["org.opencontainers.image.created"], "2024-05-06T07:08:09Z", "{labels}");
        }
    }
    // The tags of a branch.
    let (_, line) = shown(&project, "StreamSpace");
    project.run(&shell(&line.replace("--tag v0.2.0", "--tag main")), &[]).success();
    let standing = project.registry.standing();
    for repository in &expected.repositories {
        let digest = &standing[&format!("{repository}:main")];
        assert_eq!(&standing[&format!("{repository}:main-{}", &commit[..7])], digest);
    }
}

#[test]
fn ppp_q() {
    let prepare = |project: Project| {
        project.commit("v1.0.0");
        project
    };
    let expected = Release {
        title: "PPP-Q",
        version: "1.0.0",
        owners_tag: "v1.0.0",
        repositories: vec!["team/ppp-q-api".to_owned()],
        platforms: &["amd64"],
        has_times: true,
        commands: 7,
        change: ("app/main.py", "# Changed"),
        // What follows the sources makes what it made before: they are uploaded, and the config.
        commands_again: 1,
        uploads: BTreeMap::from([("team/ppp-q-api".to_owned(), 2)]),
    };
    let Some(project) = release("ppp-q", prepare, &expected) else { return };
    let labels = labels(&project, "team/ppp-q-api:1.0", "amd64");
    let commit = project.run(&["git", "rev-parse", "--short", "HEAD"], &[]).success().stdout;
    assert_eq!(labels["org.opencontainers.image.revision"], commit.trim(), "{labels}");
}

#[test]
fn orchestrator() {
    let services = ["api-gateway", "http-worker", "job-worker", "scheduler", "webhook", "agent-runner"];
    let expected = Release {
        title: "Orchestrator",
        version: "1.4.0",
        owners_tag: "1.4.0",
        repositories: services.map(|service| format!("orchestrator/{service}")).into(),
        platforms: &["amd64"],
        has_times: false,
        commands: 3 + 5 + 3,
        change: ("cmd/webhook/main.go", "\nfunc init() { println(\"changed\") }"),
        // The sources of all services are copied at once: each is compiled again, and one is another.
        commands_again: 5,
        uploads: BTreeMap::from([("orchestrator/webhook".to_owned(), 2)]),
    };
    release("orchestrator", |project| project, &expected);
}
