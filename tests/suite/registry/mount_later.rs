//! What one process has pushed or pulled, a later one has the registry take from there.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::docker_registry::DockerRegistry;
use crate::support::noise::noise;
use crate::support::program::Program;
use crate::support::tool::{self, require};
use crate::support::traces::names_in;
use crate::support::tree::Tree;

/// In bytes: what all images of a test have in common.
const SHARED: usize = 1 << 20;

/// What a registry was asked since the last look.
struct Look<'a> {
    registry: &'a DockerRegistry,
    seen: usize,
}

/// What became of blobs: the digests of those that were sent, and of those that were mounted with where they are from.
#[derive(Debug, PartialEq)]
struct Moved {
    sent: Vec<String>,
    mounted: BTreeMap<String, String>,
}

impl<'a> Look<'a> {
    fn at(registry: &'a DockerRegistry) -> Self {
        Look { registry, seen: 0 }
    }

    fn requests(&mut self) -> Vec<String> {
        let all = self.registry.requests();
        let new = all[self.seen..].to_vec();
        self.seen = all.len();
        new
    }

    fn moved(&mut self) -> Moved {
        let mut moved = Moved { sent: Vec::new(), mounted: BTreeMap::new() };
        for request in self.requests() {
            let (method, rest) = request.split_once(' ').unwrap();
            let (path, status) = rest.rsplit_once(' ').unwrap();
            let Some((path, query)) = path.split_once('?') else { continue };
            if !path.contains("/blobs/uploads/") {
                continue;
            }
            let value = |name: &str| {
                let found = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
                found.map(|value| value.replace("%3A", ":").replace("%2F", "/"))
            };
            match (method, status, value("digest"), value("mount")) {
                ("PUT", "201", Some(digest), _) => moved.sent.push(digest),
                ("POST", "201", _, Some(digest)) => drop(moved.mounted.insert(digest, value("from").unwrap())),
                _ => {}
            }
        }
        moved
    }
}

/// The digests of the layers that a registry has under a name.
fn layers(registry: &DockerRegistry, name: &str) -> Vec<String> {
    let name = format!("docker://{}/{name}", registry.address());
    let raw: Value =
        serde_json::from_str(&tool::run("skopeo", ["inspect", "--raw", "--tls-verify=false", &name])).unwrap();
    raw["layers"].as_array().unwrap().iter().map(|layer| layer["digest"].as_str().unwrap().to_owned()).collect()
}

/// The context of an image on what is shared, with a layer of its own.
fn context(name: &str) -> tempfile::TempDir {
    let dockerfile = "FROM scratch\nCOPY shared /\nCOPY own /\n";
    Tree::new().file("Dockerfile", dockerfile).file("shared", noise(1, SHARED)).file("own", name).plant()
}

fn path(directory: &tempfile::TempDir) -> &str {
    directory.path().to_str().unwrap()
}

fn blob_file(program: &Program, digest: &str) -> PathBuf {
    program.store().join("blobs/sha256").join(digest.trim_start_matches("sha256:"))
}

#[test]
fn whatever_pushes_sends_what_is_new_and_mounts_the_rest() {
    if !["docker-registry", "skopeo"].into_iter().all(require) {
        return;
    }
    let registry = DockerRegistry::open();
    let name = |service: &str| format!("{}/team/{service}", registry.address());
    let services = ["one", "two", "three", "four", "five", "six"];
    let mut compose = "services:\n".to_owned();
    let mut tree = Tree::new().file("shared", noise(1, SHARED));
    for service in services {
        compose.push_str(&format!(
            "  {service}: {{build: {{context: ., args: {{OWN: {service}}}}}, image: '{}'}}\n",
            name(service)
        ));
        tree = tree.file(service, service);
    }
    let dockerfile = "FROM scratch\nCOPY shared /\nARG OWN\nCOPY $OWN /own\n";
    let project = tree.file("compose.yaml", compose).file("Dockerfile", dockerfile).plant();
    let program = Program::new().directory(project.path());
    program.run(["compose", "build", "-q", "one", "two", "three"]).success();
    let (five, six) = (name("five"), name("six"));
    let ways: [&[&str]; 6] = [
        &["docker", "push", "-q", &name("one")],
        &["push", "--no-fan-out", &format!("{}:latest", name("two"))],
        &["compose", "push", "-q", "three"],
        &["bake", "-f", "compose.yaml", "--push", "four"],
        &["docker", "build", "--push", "-t", &five, "--build-arg=OWN=five", "."],
        &["push", "--no-fan-out", &format!("{six}:latest"), "--build-arg=OWN=six", "./"],
    ];
    let mut look = Look::at(&registry);
    for (number, (words, service)) in ways.into_iter().zip(services).enumerate() {
        program.run(words).success();
        let moved = look.moved();
        let layers = layers(&registry, &format!("team/{service}"));
        let shared = &layers[0];
        assert!(moved.sent.contains(&layers[1]), "{words:?}: {moved:?}");
        if number == 0 {
            assert!(moved.sent.len() == 3 && moved.sent.contains(shared), "{moved:?}");
        } else {
            let before = format!("team/{}", services[number - 1]);
            assert_eq!(moved.mounted, BTreeMap::from([(shared.clone(), before)]), "{words:?}");
            assert_eq!(moved.sent.len(), 2, "{words:?}: the own layer and the config: {moved:?}");
        }
    }
    // All of an image under another name is all there, and once more under the same name nothing is asked for.
    program.run(["docker", "tag", &name("one"), &name("one-too")]).success();
    let tagged: [&[&str]; 2] = [
        &["docker", "push", "-q", &name("one-too")],
        &["index", "--no-fan-out", &format!("{}:1", name("list")), &name("one")],
    ];
    for words in tagged {
        program.run(words).success();
        let moved = look.moved();
        assert_eq!((moved.sent.len(), moved.mounted.len()), (0, 3), "{words:?}: {moved:?}");
    }
    program.run(["docker", "push", "-q", &name("one-too")]).success();
    assert!(look.requests().iter().all(|request| !request.contains("/blobs/")));
}

#[test]
fn the_layers_of_a_base_are_taken_from_where_it_was_pulled() {
    if !["docker-registry", "skopeo"].into_iter().all(require) {
        return;
    }
    let registry = DockerRegistry::open();
    let name = |service: &str| format!("{}/team/{service}", registry.address());
    let base = context("base");
    Program::new().run(["build", "--push", "-t", &name("base"), path(&base)]).success();
    let of_base = layers(&registry, "team/base");
    let copies = format!("FROM {}\nCOPY app /\n", name("base"));
    let app = Tree::new().file("Dockerfile", copies).file("app", "app").plant();
    let labelled = Tree::new().file("Dockerfile", format!("FROM {}\nLABEL a=b\n", name("base"))).plant();
    let mut look = Look::at(&registry);
    look.requests();
    let all_of_base = |from: &str| of_base.iter().map(|layer| (layer.clone(), from.to_owned())).collect();

    // Pulled, built on and pushed, each for itself.
    let program = Program::new();
    program.run(["docker", "pull", "-q", &name("base")]).success();
    program.run(["docker", "build", "-q", "-t", &name("app"), path(&app)]).success();
    program.run(["docker", "push", "-q", &name("app")]).success();
    let moved = look.moved();
    assert_eq!((moved.mounted, moved.sent.len()), (all_of_base("team/base"), 2));

    // The build itself pulls it.
    let program = Program::new();
    program.run(["docker", "build", "-q", "-t", &name("app2"), path(&app)]).success();
    program.run(["docker", "push", "-q", &name("app2")]).success();
    let moved = look.moved();
    assert_eq!((moved.mounted, moved.sent.len()), (all_of_base("team/base"), 2));

    // Nobody needs it here: it is never pulled, and is mounted all the same, now and later.
    let program = Program::new();
    program.run(["docker", "build", "-q", "--push", "-t", &name("app3"), path(&labelled)]).success();
    program.run(["docker", "tag", &name("app3"), &name("app4")]).success();
    program.run(["docker", "push", "-q", &name("app4")]).success();
    let requests = look.requests();
    for layer in &of_base {
        assert!(!requests.iter().any(|request| request.contains("GET ") && request.contains(layer)), "{requests:#?}");
        assert!(!blob_file(&program, layer).exists());
        let mounts = requests.iter().filter(|request| {
            request.starts_with("POST ") && request.ends_with(" 201") && request.contains(&layer.replace(':', "%3A"))
        });
        assert_eq!(mounts.count(), 2, "{requests:#?}");
    }
}

/// It is sent on the first time, and not even pulled for the second.
#[test]
fn a_base_of_another_registry_goes_once_to_this_one() {
    if !["docker-registry", "skopeo"].into_iter().all(require) {
        return;
    }
    let (registry, other) = (DockerRegistry::open(), DockerRegistry::open());
    let base = context("base");
    let base_name = format!("{}/team/base", other.address());
    Program::new().run(["build", "--push", "-t", &base_name, path(&base)]).success();
    let app = Tree::new().file("Dockerfile", format!("FROM {base_name}\nARG OWN\nLABEL own=$OWN\n")).plant();
    let program = Program::new();
    let build = |own: &str| {
        let (name, own) = (format!("{}/team/{own}", registry.address()), format!("--build-arg=OWN={own}"));
        program.run(["docker", "build", "-q", "--push", "-t", &name, &own, path(&app)]).success();
    };
    let mut look = Look::at(&registry);
    build("one");
    let of_base = layers(&registry, "team/one");
    let moved = look.moved();
    assert!(of_base.iter().all(|layer| moved.sent.contains(layer)) && moved.mounted.is_empty(), "{moved:?}");
    for layer in &of_base {
        std::fs::remove_file(blob_file(&program, layer)).unwrap();
    }
    let mut origin = Look::at(&other);
    origin.requests();
    build("two");
    let moved = look.moved();
    assert_eq!((moved.mounted.len(), moved.sent.len()), (of_base.len(), 1), "only the config is sent: {moved:?}");
    let asked = origin.requests();
    assert!(asked.iter().all(|request| !request.contains("/blobs/")), "{asked:#?}");
}

#[test]
fn what_was_pruned_is_forgotten_and_what_is_gone_from_a_registry_is_sent() {
    if !["docker-registry", "skopeo"].into_iter().all(require) {
        return;
    }
    let registry = DockerRegistry::open();
    let context = context("own");
    let program = Program::new();
    let push = |name: &str| {
        program.run(["docker", "build", "-q", "-t", name, path(&context)]).success();
        program.run(["docker", "push", "-q", name]).success();
    };
    let one = format!("{}/team/one", registry.address());
    let two = format!("{}/team/two", registry.address());
    push(&one);
    program.run(["docker", "rmi", &one]).success();
    program.run(["cache", "prune", "--all"]).success();
    assert_eq!(names_in(&program.store().join("records")), [""; 0]);
    let mut look = Look::at(&registry);
    look.requests();
    push(&two);
    let requests = look.requests();
    assert!(requests.iter().all(|request| !request.contains("mount=")), "{requests:#?}");

    // Another registry at the same address has nothing: what it does not mount it is sent, with no request more.
    registry.empty();
    push(&format!("{}/team/three", registry.address()));
    let requests = look.requests();
    let posts: Vec<_> = requests.iter().filter(|request| request.starts_with("POST ")).collect();
    assert_eq!(posts.len(), 3, "{requests:#?}");
    assert!(posts.iter().all(|post| post.contains("from=team%2Ftwo") && post.ends_with(" 202")), "{requests:#?}");
    assert_eq!(layers(&registry, "team/three").len(), 2);
}
