//! Releases: content before tags, exact tags before floating ones, and these only forward.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex};

use regex::Regex;
use serde_json::{Value, json};

use crate::support::docker_registry::DockerRegistry;
use crate::support::fake_registry::{Abilities, FakeRegistry, Reply, Request, token_auth};
use crate::support::handmade::Handmade;
use crate::support::noise::noise;
use crate::support::program::{Outcome, Program};
use crate::support::standing::{digest_of, plain, read_by_skopeo, tags_set, writes};
use crate::support::tool::require;
use crate::support::world::World;

const SPEC: &str = "platforms = [\"linux/amd64\"]\n[[layer]]\nadd = [{ from = \"files\", to = \"/srv/\" }]\n";

/// Another image under each tag, which says of which version it is.
fn release(world: &World, name: &str, flags: &[&str]) -> String {
    world.change(name);
    digest(&world.push(name, &[flags, &[world.context()]].concat()))
}

fn digest(outcome: &Outcome) -> String {
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    outcome.stdout.trim().rsplit_once('@').unwrap().1.to_owned()
}

fn map(pairs: &[(&str, &String)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(tag, digest)| ((*tag).to_owned(), (*digest).clone())).collect()
}

#[test]
fn floating_tags_only_move_forward() {
    if !["docker-registry", "skopeo"].into_iter().all(require) {
        return;
    }
    let world = World::new(SPEC);
    let registry = DockerRegistry::open();
    let repository = format!("{}/org/app", registry.address());
    let push = |tag: &str, flags: &[&str]| release(&world, &format!("{repository}:{tag}"), flags);
    let first = push("v0.1.8", &[]);
    let second = push("v0.2.0", &[]);
    let late = push("v0.1.9", &[]);
    let candidate = push("v0.3.0-rc.1", &[]);
    let old = [("v0.1.8", &first), ("0.1.8", &first), ("v0.2.0", &second), ("0.2.0", &second), ("0.2", &second)];
    let new = [
        ("v0.1.9", &late),
        ("0.1.9", &late),
        ("0.1", &late),
        ("0", &second),
        ("latest", &second),
        ("v0.3.0-rc.1", &candidate),
        ("0.3.0-rc.1", &candidate),
    ];
    let mut expected = map(&[&old[..], &new[..]].concat());
    assert_eq!(read_by_skopeo(&repository), expected);

    let forced = push("v0.1.10", &["--force-tags"]);
    let tags = ["v0.1.10", "0.1.10", "0.1", "0", "latest"].map(|tag| (tag, &forced));
    expected.extend(map(&tags));
    assert_eq!(read_by_skopeo(&repository), expected);
}

#[test]
fn the_plan_is_shown_and_a_rehearsal_changes_nothing() {
    let world = World::new(SPEC);
    let registry = FakeRegistry::new();
    let address = registry.address();
    let name = format!("{address}/org/app");
    let first = release(&world, &format!("{name}:v0.1.8"), &[]);
    let second = release(&world, &format!("{name}:v0.2.0"), &[]);
    let done = registry.requests().len();

    world.change("late");
    let names = [(address.as_str(), "HOST"), (&first, "FIRST"), (&second, "SECOND")];
    let arguments = [world.context(), "--dry-run", "--progress=plain"];
    let rehearsed = world.push(&format!("{name}:v0.1.9"), &arguments).success();
    insta::assert_snapshot!(plain(&rehearsed.stdout, &names), @r"
    HOST/org/app:v0.1.9  new
    HOST/org/app:0.1.9   new
    HOST/org/app:0.1     moves from FIRST (0.1.8)
    HOST/org/app:0       stays (0.2.0 is newer)
    HOST/org/app:latest  stays (0.2.0 is newer)
    ");
    assert!(!rehearsed.stderr.contains("local store"), "what a rehearsal leaves is no surprise: {rehearsed:?}");
    let again = world.push(&format!("{name}:v0.2.0"), &[&arguments[..], &["--json"]].concat()).success();
    let plan: Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!(plan["digest"], world.build(&["-t", &format!("{name}:v0.2.0")]).digest());
    let latest = plan["tags"].as_array().unwrap().iter().find(|tag| tag["tag"] == "latest").unwrap();
    let expected = serde_json::json!({
        "name": format!("{name}:latest"), "tag": "latest", "kind": "floating", "change": "moves", "from": second,
        "version": "0.2.0", "because": null,
    });
    assert_eq!(*latest, expected);
    let changes: Vec<_> = registry.requests().into_iter().skip(done).filter(writes).collect();
    assert!(changes.is_empty(), "{changes:?}");

    // The push shows the same, in short and once, and does it.
    let digest = Regex::new("sha256:([0-9a-f]{12})[0-9a-f]{52}").unwrap();
    let pushed = world.push(&format!("{name}:v0.1.9"), &[world.context()]).success();
    for line in rehearsed.stdout.lines() {
        let (name, change) = line.split_once("  ").unwrap();
        let change = digest.replace_all(change.trim(), "$1");
        let is_told = |said: &str| {
            let said = said.strip_prefix(&format!("tag {name} ")).unwrap_or_default();
            said == change
                || said == format!("is {}, {change}", &pushed.stdout.trim().rsplit(':').next().unwrap()[..12])
        };
        assert_eq!(pushed.stderr.lines().filter(|said| is_told(said)).count(), 1, "{name} {change}: {pushed:?}");
    }
    assert_eq!(digest_of(&registry, "org/app", "latest"), Some(second));
    let outputs = world.push(&format!("{name}:v0.1.9"), &["--dry-run", "-o", "x.tar"]).failure(2);
    outputs.says(&["--dry-run", "--output"]);
}

/// Registries that write what is asked of any of them into one list.
struct Together {
    log: Arc<Mutex<Vec<(usize, Request)>>>,
    registries: Vec<FakeRegistry>,
}

impl Together {
    /// `script` sees the number of a registry and the request.
    fn new(script: impl Fn(usize, &Request) -> Option<Reply> + Send + Sync + Clone + 'static) -> Self {
        let log: Arc<Mutex<Vec<_>>> = Arc::default();
        let registry = |number| {
            let (log, script) = (log.clone(), script.clone());
            FakeRegistry::scripted(move |request| {
                log.lock().unwrap().push((number, request.clone()));
                script(number, request)
            })
        };
        Together { registries: vec![registry(0), registry(1)], log }
    }

    fn name(&self, number: usize, rest: &str) -> String {
        format!("{}/{rest}", self.registries[number].address())
    }

    /// Each tag that was asked to be set, in this order, with the number of its registry.
    fn tags_set(&self) -> Vec<(usize, String)> {
        let log = self.log.lock().unwrap();
        log.iter().flat_map(|(number, request)| tags_set(request).into_iter().map(|tag| (*number, tag))).collect()
    }

    fn plain(&self, text: &str) -> String {
        let addresses: Vec<_> = self.registries.iter().map(FakeRegistry::address).collect();
        plain(text, &[(&addresses[0], "ONE"), (&addresses[1], "TWO")])
    }
}

#[test]
fn all_content_comes_before_all_tags_and_exact_ones_before_floating_ones() {
    let world = World::new(SPEC);
    let together = Together::new(|_, _| None);
    let names = [together.name(0, "org/app:v1.2.3"), together.name(1, "app:1.2.3")];
    let outcome = world.push(&names[0], &[&names[1], world.context()]).success();
    let digest = world.build(&["-t", &names[0]]).digest();
    assert_eq!(outcome.stdout, format!("{}@{digest}\n{}@{digest}\n", names[0], names[1]));
    for (registry, repository) in together.registries.iter().zip(["org/app", "app"]) {
        for tag in ["1.2.3", "1.2", "1", "latest"] {
            assert_eq!(digest_of(registry, repository, tag).as_ref(), Some(&digest), "{repository}:{tag}");
        }
    }
    let mut order = together.tags_set();
    order.dedup();
    let floats = |(_, tag): &(usize, String)| !tag.ends_with("1.2.3");
    let first_floating = order.iter().position(floats).unwrap();
    assert_eq!(order[..first_floating].iter().map(|(number, _)| number).max(), Some(&1));
    assert!(order[first_floating..].iter().all(floats), "{order:?}");
    let log = together.log.lock().unwrap();
    let is_tag = |request: &Request| !tags_set(request).is_empty();
    let first_tag = log.iter().position(|(_, request)| is_tag(request)).unwrap();
    let content = log[first_tag..].iter().filter(|(_, request)| writes(request) && !is_tag(request));
    assert_eq!(content.map(|(_, request)| request.line()).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn where_one_repository_lacks_something_no_tag_of_any_changes() {
    let world = World::new(SPEC);
    // Each is the last thing that the second registry does not refuse.
    type Refused = fn(&Request) -> bool;
    let refusals: [(&str, Refused); 3] = [
        ("upload", |request| request.is("POST", "/blobs/uploads/")),
        ("blob", |request| request.is("PUT", "/blobs/uploads/")),
        ("manifest", |request| request.is("PUT", "/manifests/") && tags_set(request).is_empty()),
    ];
    for (what, refused) in refusals {
        let together = Together::new(move |number, request| {
            (number == 1 && refused(request)).then(|| Reply::refusal(403, "DENIED", "read only"))
        });
        let names = [together.name(0, "app:v1.2.3"), together.name(1, "app:v1.2.3")];
        let metadata = ["--metadata-file", "metadata.json"];
        let arguments = [&[names[1].as_str(), world.context()], &metadata[..]].concat();
        world.push(&names[0], &arguments).failure(1).says(&["403", "DENIED: read only"]);
        assert_eq!(together.tags_set(), [], "{what}");
        assert!(!world.path("metadata.json").exists(), "no tag changed, and there is nothing to go back from");
    }
}

#[test]
fn a_failure_between_tags_says_which_are_set() {
    let world = World::new(SPEC);
    let broken = Arc::new(Mutex::new(true));
    let script = {
        let broken = broken.clone();
        move |number, request: &Request| {
            let floating = tags_set(request).iter().any(|tag| tag == "1");
            (number == 1 && floating && *broken.lock().unwrap())
                .then(|| Reply::refusal(403, "DENIED", "the disk is full"))
        }
    };
    let together = Together::new(script);
    let names = [together.name(0, "app:1.2.3"), together.name(1, "app:1.2.3")];
    let arguments = [names[1].as_str(), world.context(), "--metadata-file=metadata.json", "--progress=quiet"];
    let failed = world.push(&names[0], &arguments).failure(1);
    insta::assert_snapshot!(together.plain(&failed.stderr), @r"
    error: only some tags are set
      set:
        ONE/app:1.2.3
        TWO/app:1.2.3
        ONE/app:1.2
        ONE/app:1
        ONE/app:latest
        TWO/app:1.2
      not set:
        TWO/app:1
        TWO/app:latest
      caused by: PUT http://TWO/v2/app/manifests/1: 403 Forbidden: DENIED: the disk is full
      hint: log in with `ocibake login TWO`; then run the same command again to set the rest, or undo it with `ocibake tags --rollback metadata.json`
    ");
    *broken.lock().unwrap() = false;
    let digest = digest(&world.push(&names[0], &arguments));
    for tag in ["1.2.3", "1.2", "1", "latest"] {
        assert_eq!(digest_of(&together.registries[1], "app", tag).as_ref(), Some(&digest), "{tag}");
    }
}

#[test]
fn an_immutable_tag_is_not_changed_and_nothing_is_sent() {
    let world = World::new(SPEC);
    let registry = FakeRegistry::new();
    let name = format!("{}/org/app:v0.2.0", registry.address());
    let first = release(&world, &name, &["--immutable"]);
    world.push(&name, &[world.context(), "--immutable"]).success();
    let done = registry.requests().len();

    // Large enough to be on its way while it is compressed, were that allowed; and in no store yet.
    fs::write(world.context.path().join("files/large"), noise(1, 6 << 20)).unwrap();
    let elsewhere = Program::new();
    let second = elsewhere.run(["build", world.context(), "-t", &name]).digest();
    let names = [(registry.address(), "HOST"), (first.clone(), "FIRST"), (second, "SECOND")];
    let names = names.each_ref().map(|(value, name)| (value.as_str(), *name));
    let refused = world.push(&name, &[world.context(), "--immutable", "-o", "x.tar", "--progress=quiet"]).failure(1);
    insta::assert_snapshot!(plain(&refused.stderr, &names), @r"
    error: tags that must not change stand for another image than SECOND
        HOST/org/app:v0.2.0 is FIRST
        HOST/org/app:0.2.0 is FIRST
      hint: give what is pushed a new version; or leave out --immutable to let the tags change
    ");
    world.push(&name, &[world.context(), "--immutable", "--dry-run"]).failure(1).says(&["must not change"]);
    let changes: Vec<_> = registry.requests().into_iter().skip(done).filter(writes).collect();
    assert!(changes.is_empty(), "{changes:?}");
    assert!(!world.path("x.tar").exists());
    // A new version takes the floating tags along, as ever.
    let third = release(&world, &format!("{}/org/app:v0.2.1", registry.address()), &["--immutable"]);
    assert_eq!(digest_of(&registry, "org/app", "0.2"), Some(third));
    assert_eq!(digest_of(&registry, "org/app", "0.2.0"), Some(first));
}

#[test]
fn where_tags_are_not_listed_the_images_they_stand_for_tell_their_version() {
    let world = World::new(SPEC);
    let refusals = [(401, "UNAUTHORIZED"), (403, "DENIED"), (405, "UNSUPPORTED"), (404, "NAME_UNKNOWN")];
    for (status, code) in refusals {
        let registry = FakeRegistry::scripted(move |request| {
            request.is("GET", "/tags/list").then(|| Reply::refusal(status, code, "no lists here"))
        });
        let name = |tag: &str| format!("{}/org/app:{tag}", registry.address());
        let second = release(&world, &name("v0.2.0"), &[]);
        world.change("late");
        let outcome = world.push(&name("v0.1.9"), &[world.context()]).success();
        outcome.says(&["warning: the tags of", "cannot be listed", "latest stays (0.2.0 is newer)"]);
        assert_eq!(digest_of(&registry, "org/app", "latest"), Some(second), "{status}");
        let third = release(&world, &name("v0.2.1"), &[]);
        assert_eq!(digest_of(&registry, "org/app", "latest"), Some(third), "{status}");
    }
}

#[test]
fn labels_tell_the_version_of_what_others_have_built() {
    if !require("skopeo") {
        return;
    }
    // No annotations, as docker pushes images: only the config says it.
    let world = World::new(SPEC);
    let registry = FakeRegistry::scripted(|request| request.is("GET", "/tags/list").then(|| Reply::status(405)));
    let name = |tag: &str| format!("{}/org/app:{tag}", registry.address());
    world.build(&["-t", "app:2.0.0", "-o", "layout/"]).success();
    world.skopeo(&["copy", "-q", "oci:layout:2.0.0", "docker-archive:docker.tar:app:2.0.0"]);
    let second = digest(&world.push(&name("2.0.0"), &["docker.tar"]));
    let (_, manifest) = registry.manifest("org/app/latest").unwrap();
    assert!(!String::from_utf8(manifest).unwrap().contains("annotations"));
    release(&world, &name("1.9.0"), &[]);
    assert_eq!(digest_of(&registry, "org/app", "latest"), Some(second));
    let third = release(&world, &name("2.0.1"), &[]);
    assert_eq!(digest_of(&registry, "org/app", "latest"), Some(third));
}

/// What is built on a base has its labels, too.
#[test]
fn the_version_of_a_base_is_not_that_of_the_image() {
    let labels = json!({"Labels": {"org.opencontainers.image.version": "26.0.0"}});
    let base = Handmade::configured(&[], json!({"architecture": "amd64", "os": "linux", "config": labels}));
    let world = World::new(&format!("base = \"oci:{}:it\"\n{SPEC}", base.path().display()));
    let registry = FakeRegistry::scripted(|request| request.is("GET", "/tags/list").then(|| Reply::status(405)));
    let name = |tag: &str| format!("{}/org/app:{tag}", registry.address());
    let before = release(&world, &name("latest"), &["--no-fan-out"]);
    assert_eq!(digest_of(&registry, "org/app", "latest"), Some(before));
    let first = release(&world, &name("v0.1.0"), &[]);
    assert_eq!(digest_of(&registry, "org/app", "latest"), Some(first));
}

#[test]
fn what_is_there_already_takes_few_requests() {
    let many: String =
        (0..20).map(|n| format!("[[layer]]\nadd = [{{ from = \"files\", to = \"/{n}/\" }}]\n")).collect();
    let world = World::new(&format!("platforms = [\"linux/amd64\"]\n{many}"));
    let registry = FakeRegistry::new();
    let name = format!("{}/org/app:v1.2.3", registry.address());
    world.push(&name, &[world.context()]).success();
    let done = registry.requests().len();
    world.push(&name, &[world.context()]).success();
    let again: Vec<_> = registry.requests().into_iter().skip(done).collect();
    let of_tags = |request: &&Request| !request.path.contains("/blobs/") && !request.path.contains("sha256:");
    // One for the list, and one for each tag.
    assert_eq!(again.iter().filter(of_tags).count(), 6, "{:?}", again.iter().map(Request::line).collect::<Vec<_>>());
    assert!(again.iter().all(|request| tags_set(request).is_empty()), "what is the same needs no PUT");
}

#[test]
fn logging_in_does_not_multiply_requests() {
    let world = World::new(SPEC);
    let registry = FakeRegistry::scripted(token_auth(usize::MAX));
    let name = format!("{}/org/app:v1.2.3", registry.address());
    world.push(&name, &[world.context()]).success();
    let done = registry.requests().len();
    world.push(&name, &[world.context()]).success();
    let again: Vec<_> = registry.requests()[done..].iter().map(Request::line).collect();
    assert!(again.len() < 15, "{again:?}");
}

#[test]
fn tags_that_a_registry_takes_together_are_told_even_if_another_fails() {
    let world = World::new(SPEC);
    let abilities = || Abilities { tags: true, ..Abilities::default() };
    let registry = FakeRegistry::able(abilities(), |_| None);
    let name = format!("{}/app:1.2.3", registry.address());
    world.push(&name, &[world.context()]).success();
    let sets: Vec<_> = registry.requests().iter().map(tags_set).filter(|tags| !tags.is_empty()).collect();
    assert_eq!(sets, [["1.2.3", "1.2", "1", "latest"]], "one request");

    let registry = FakeRegistry::able(abilities(), |request| match tags_set(request)[..] {
        [] => None,
        [_] => Some(Reply::refusal(500, "UNKNOWN", "no more")),
        _ => Some(Reply::status(201).with("oci-tag", "1.2.3").with("oci-tag", "latest")),
    });
    let name = format!("{}/app", registry.address());
    let failed = world.push(&format!("{name}:1.2.3"), &[world.context()]).failure(1);
    let expected = format!("  set:\n    {name}:1.2.3\n    {name}:latest\n  not set:\n    {name}:1.2\n    {name}:1\n");
    failed.says(&[&expected]);
}

#[test]
fn two_versions_of_one_image_share_what_follows_from_both() {
    let world = World::new(SPEC);
    let registry = FakeRegistry::new();
    let name = |tag: &str| format!("{}/org/app:{tag}", registry.address());
    let before = release(&world, &name("v0.1.9"), &[]);
    world.change("both");
    let arguments = [&name("v0.2.0"), &name("nightly"), world.context()];
    let plan = world.push(&name("v0.1.8"), &[&arguments[..], &["--dry-run"]].concat()).success().stdout;
    let mut planned: Vec<_> = plan.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
    planned.sort();
    planned.dedup();
    assert_eq!(planned.len(), plan.lines().count(), "each tag is decided once: {plan}");
    let outcome = world.push(&name("v0.1.8"), &arguments).success();
    let both = outcome.stdout.lines().next().unwrap().rsplit_once('@').unwrap().1.to_owned();
    let expected: String = ["v0.1.8", "v0.2.0", "nightly"].map(|tag| format!("{}@{both}\n", name(tag))).concat();
    assert_eq!(outcome.stdout, expected);
    for tag in ["0.1.8", "0.2.0", "0.2", "0", "latest", "nightly"] {
        assert_eq!(digest_of(&registry, "org/app", tag).as_ref(), Some(&both), "{tag}");
    }
    assert_eq!(digest_of(&registry, "org/app", "0.1"), Some(before));
}
