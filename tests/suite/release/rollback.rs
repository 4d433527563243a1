//! `ocibake tags --rollback`: back to what a push found.

use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::docker_registry::DockerRegistry;
use crate::support::fake_registry::{FakeRegistry, Reply, Request};
use crate::support::program::Outcome;
use crate::support::standing::{digest_of, plain, read_by_skopeo, tags_set, writes};
use crate::support::tool::require;
use crate::support::world::World;

const SPEC: &str = "platforms = [\"linux/amd64\"]\n[[layer]]\nadd = [{ from = \"files\", to = \"/srv/\" }]\n";

const RECORD: &str = "--metadata-file=metadata.json";

/// Pushes another image for each name.
fn release(world: &World, name: &str) -> String {
    world.change(name);
    digest(&world.push(name, &[world.context(), RECORD]))
}

fn digest(outcome: &Outcome) -> String {
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    outcome.stdout.trim().rsplit_once('@').unwrap().1.to_owned()
}

fn roll_back(world: &World, flags: &[&str]) -> Outcome {
    world.program.run([&["tags", "--rollback", "metadata.json"], flags].concat())
}

fn record(world: &World) -> Value {
    let metadata: Value = serde_json::from_slice(&fs::read(world.path("metadata.json")).unwrap()).unwrap();
    metadata["ocibake.release"].clone()
}

/// By itself, and not with others in one request.
fn is_tag_0(request: &Request) -> bool {
    request.method == "PUT" && request.path.ends_with("/manifests/0")
}

/// What the tags of `org/app` stand for.
fn standing(registry: &FakeRegistry) -> BTreeMap<&'static str, Option<String>> {
    let tags = ["v0.1.0", "0.1.0", "v0.1.1", "0.1.1", "0.1", "0", "latest"];
    tags.into_iter().map(|tag| (tag, digest_of(registry, "org/app", tag))).collect()
}

#[test]
fn every_tag_that_moved_returns() {
    if !["docker-registry", "skopeo"].into_iter().all(require) {
        return;
    }
    let world = World::new(SPEC);
    let registries = [DockerRegistry::open(), DockerRegistry::open()];
    let [one, two] = registries.each_ref().map(|registry| format!("{}/org/app", registry.address()));
    release(&world, &format!("{one}:v0.1.0"));
    world.change("other");
    world.push(&format!("{two}:v0.1.0"), &[world.context()]).success();
    let before = [read_by_skopeo(&one), read_by_skopeo(&two)];

    world.change("broken");
    let broken = digest(&world.push(&format!("{one}:v0.1.1"), &[&format!("{two}:v0.1.1"), world.context(), RECORD]));
    assert_eq!(read_by_skopeo(&two)["latest"], broken);
    roll_back(&world, &[]).success();
    for (repository, mut before) in [&one, &two].into_iter().zip(before) {
        // Nothing is deleted.
        before.extend(["v0.1.1", "0.1.1"].map(|tag| (tag.to_owned(), broken.clone())));
        assert_eq!(read_by_skopeo(repository), before);
    }
}

#[test]
fn what_is_done_is_told_and_can_be_rehearsed() {
    let world = World::new(SPEC);
    let registry = FakeRegistry::new();
    let name = |tag: &str| format!("{}/org/app:{tag}", registry.address());
    let first = release(&world, &name("v0.1.0"));
    let second = release(&world, &name("v0.1.1"));
    let address = registry.address();
    let names = [(address.as_str(), "HOST"), (&first, "FIRST"), (&second, "SECOND")];
    let done = registry.requests().len();

    let rehearsed = roll_back(&world, &["--dry-run"]).success().stdout;
    insta::assert_snapshot!(plain(&rehearsed, &names), @r"
    HOST/org/app:latest  back to FIRST
    HOST/org/app:0       back to FIRST
    HOST/org/app:0.1     back to FIRST
    HOST/org/app:0.1.1   was new and stays: nothing is deleted in a registry
    HOST/org/app:v0.1.1  was new and stays: nothing is deleted in a registry
    ");
    assert!(!registry.requests()[done..].iter().any(writes));
    assert_eq!(roll_back(&world, &[]).success().stdout, rehearsed);
    let order: Vec<_> = registry.requests()[done..].iter().flat_map(tags_set).collect();
    assert_eq!(order, ["latest", "0", "0.1"]);

    let again = roll_back(&world, &["--json"]).success().stdout;
    let again: Value = serde_json::from_str(&again).unwrap();
    let outcomes: Vec<_> = again["tags"].as_array().unwrap().iter().map(|tag| tag["outcome"].clone()).collect();
    assert_eq!(outcomes, ["done", "done", "done", "new", "new"]);
    assert_eq!(again["tags"][0], json!({"name": name("latest"), "tag": "latest", "outcome": "done", "digest": null}));
}

#[test]
fn a_tag_that_has_moved_on_is_left_alone() {
    let world = World::new(SPEC);
    let registry = FakeRegistry::new();
    let name = |tag: &str| format!("{}/org/app:{tag}", registry.address());
    let first = release(&world, &name("v0.1.0"));
    release(&world, &name("v0.1.1"));
    world.change("elsewhere");
    let other = digest(&world.push(&name("latest"), &[world.context()]));
    let left = roll_back(&world, &[]).success();
    assert!(left.stdout.contains(&format!("left alone: it is {other}, which that push did not set")), "{left:?}");
    assert_eq!(digest_of(&registry, "org/app", "latest"), Some(other));
    assert_eq!(digest_of(&registry, "org/app", "0.1"), Some(first));
}

#[test]
fn what_stayed_and_what_was_the_same_is_not_touched() {
    let world = World::new(SPEC);
    let registry = FakeRegistry::new();
    let name = |tag: &str| format!("{}/org/app:{tag}", registry.address());
    release(&world, &name("v0.2.0"));
    release(&world, &name("v0.1.0"));
    let changes: Vec<_> = record(&world)["tags"].as_array().unwrap().iter().map(|tag| tag["change"].clone()).collect();
    assert_eq!(changes, ["new", "new", "new", "stays", "stays"]);
    let before = standing(&registry);
    let done = registry.requests().len();
    let told = roll_back(&world, &[]).success().stdout;
    assert_eq!(told.matches("was not changed").count(), 2, "{told}");
    assert!(!registry.requests()[done..].iter().any(writes));
    assert_eq!(standing(&registry), before);
}

#[test]
fn a_push_that_is_killed_between_tags_can_be_undone_and_completed() {
    let world = World::new(SPEC);
    let stalls = Arc::new(AtomicBool::new(false));
    let registry = FakeRegistry::scripted({
        let stalls = stalls.clone();
        move |request| {
            let stalled = stalls.load(Ordering::SeqCst) && is_tag_0(request);
            stalled.then_some(Reply::Silence(Duration::from_secs(600)))
        }
    });
    let name = |tag: &str| format!("{}/org/app:{tag}", registry.address());
    let first = release(&world, &name("v0.1.0"));
    let before = standing(&registry);

    let kill_between_tags = || {
        stalls.store(true, Ordering::SeqCst);
        let done = registry.requests().len();
        let arguments = ["push", &name("v0.1.1"), world.context(), RECORD];
        let mut child = world.program.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(300);
        while !registry.requests()[done..].iter().any(is_tag_0) {
            assert!(Instant::now() < deadline && child.try_wait().unwrap().is_none(), "it does not come to the tag");
            sleep(Duration::from_millis(10));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        stalls.store(false, Ordering::SeqCst);
    };
    world.change("second");
    kill_between_tags();
    let second = digest_of(&registry, "org/app", "0.1.1").expect("exact tags come first");
    assert_eq!(digest_of(&registry, "org/app", "latest").as_ref(), Some(&first));
    assert_eq!(record(&world)["complete"], false);

    // Undone: what was new stays.
    roll_back(&world, &[]).success();
    let mut expected = before.clone();
    expected.extend(["v0.1.1", "0.1.1"].map(|tag| (tag, Some(second.clone()))));
    assert_eq!(standing(&registry), expected);

    // Or repeated, and only then undone: the record tells of what was there before both.
    kill_between_tags();
    digest(&world.push(&name("v0.1.1"), &[world.context(), RECORD]));
    assert_eq!(record(&world)["complete"], true);
    assert!(["0.1", "0", "latest"].iter().all(|tag| standing(&registry)[tag].as_ref() == Some(&second)));
    roll_back(&world, &[]).success();
    assert_eq!(standing(&registry), expected);
}

#[test]
fn nothing_changes_if_what_a_tag_returns_to_is_gone_or_damaged() {
    let world = World::new(SPEC);
    let reply = Arc::new(AtomicBool::new(false));
    let (active, is_gone) = (Arc::new(AtomicBool::new(false)), reply);
    let registry = FakeRegistry::scripted({
        let (active, is_gone) = (active.clone(), is_gone.clone());
        move |request| {
            let is_read = active.load(Ordering::SeqCst) && request.is("GET", "/manifests/sha256:");
            is_read.then(|| match is_gone.load(Ordering::SeqCst) {
                true => Reply::refusal(404, "MANIFEST_UNKNOWN", "manifest unknown"),
                false => Reply::Answer(200, Vec::new(), b"{}".to_vec()),
            })
        }
    });
    let name = |tag: &str| format!("{}/org/app:{tag}", registry.address());
    let first = release(&world, &name("v0.1.0"));
    release(&world, &name("v0.1.1"));
    let before = standing(&registry);
    active.store(true, Ordering::SeqCst);
    roll_back(&world, &[]).failure(1).says(&[&first]);
    is_gone.store(true, Ordering::SeqCst);
    let gone = roll_back(&world, &[]).failure(1);
    gone.says(&[&format!("latest cannot return to {first}: it is gone from the registry"), "nothing has changed"]);
    assert_eq!(standing(&registry), before);
}

#[test]
fn the_record_stands_beside_buildxs_keys() {
    let world = World::new(SPEC);
    let registry = FakeRegistry::new();
    let name = |tag: &str| format!("{}/org/app:{tag}", registry.address());
    let first = release(&world, &name("0.2.0"));
    let late = release(&world, &name("0.1.0"));
    let metadata: Value = serde_json::from_slice(&fs::read(world.path("metadata.json")).unwrap()).unwrap();
    assert_eq!(metadata["containerimage.digest"], late);
    assert_eq!(metadata["image.name"], format!("{},{}", name("0.1.0"), name("0.1")), "what stands for the image");
    let tags = metadata["ocibake.release"]["tags"].as_array().unwrap();
    let size = |digest: &str| registry.manifest(&format!("org/app/{digest}")).unwrap().1.len();
    let descriptor = |digest: &str| {
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        json!({"mediaType": media_type, "digest": digest, "size": size(digest)})
    };
    let repository = format!("{}/org/app", registry.address());
    let expected = json!([
        {"repository": repository, "tag": "0.1.0", "change": "new", "before": null, "after": descriptor(&late)},
        {"repository": repository, "tag": "0.1", "change": "new", "before": null, "after": descriptor(&late)},
        {"repository": repository, "tag": "0", "change": "stays", "before": descriptor(&first), "after": descriptor(&first)},
        {"repository": repository, "tag": "latest", "change": "stays", "before": descriptor(&first), "after": descriptor(&first)},
    ]);
    assert_eq!(json!(tags), expected);
}

#[test]
fn files_without_a_record_are_refused() {
    let world = World::new(SPEC);
    roll_back(&world, &[]).failure(1).says(&["metadata.json"]);
    world.build(&[RECORD]).success();
    roll_back(&world, &[]).failure(1).says(&["metadata.json has no record of a push", "ocibake push --metadata-file"]);
    for text in ["", "[]", "{", r#"{"ocibake.release": 1}"#, r#"{"ocibake.release": {"complete": true, "tags": [{}]}}"#]
    {
        fs::write(world.path("metadata.json"), text).unwrap();
        roll_back(&world, &[]).failure(1).says(&["metadata.json"]);
    }
    world.program.run(["tags", "--rollback", "x", "app:1"]).failure(2);
    world.program.run(["tags", "app:1", "--dry-run"]).failure(2).says(&["--dry-run"]);
}
