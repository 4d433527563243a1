//! Entries of a step cache that are not what they are to be: none of them is used, and each is written anew.

use std::fs;

use serde_json::{Value, json};

use super::step_cache::{Machine, STEPS, both};
use crate::support::fake_registry::{FakeRegistry, digest};
use crate::support::handmade::{Blob, GZIP, file, tar};

pub const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

/// Makes an entry, whose name and manifest it is given, a wrong one.
type Spoil = fn(&FakeRegistry, &str, Value);

fn put(registry: &FakeRegistry, name: &str, manifest: &Value) {
    registry.put_manifest(name, IMAGE, manifest.to_string().as_bytes());
}

/// The name and the manifest of the entry whose step has this in its title.
fn entry(registry: &FakeRegistry, title: &str) -> (String, Value) {
    let read = |name: &String| serde_json::from_slice::<Value>(&registry.manifest(name).unwrap().1).unwrap();
    let is_it = |manifest: &Value| {
        let found = manifest["annotations"]["org.opencontainers.image.title"].as_str();
        found.is_some_and(|found| found.contains(title))
    };
    let names = registry.manifest_names().into_iter().filter(|name| name.contains("/step-"));
    names.map(|name| (name.clone(), read(&name))).find(|(_, manifest)| is_it(manifest)).unwrap()
}

/// What makes an entry wrong, and what is said of it; nothing where it counts as not being there.
const SPOILS: [(Spoil, &str); 12] = [
    (|registry, name, _| registry.put_manifest(name, IMAGE, b"garbage"), "not used"),
    (|registry, name, _| registry.put_manifest(name, IMAGE, b"{\"schemaVersion\":2,\"manifests\":[]}"), "not used"),
    (|registry, name, _| put(registry, name, &entry(registry, "compiled").1), "another key"),
    (
        |registry, name, mut manifest| {
            let size = manifest["layers"][0]["size"].as_u64().unwrap();
            manifest["layers"][0]["size"] = json!(size + 1);
            put(registry, name, &manifest);
        },
        "by its entry",
    ),
    (
        |registry, name, mut manifest| {
            manifest["annotations"]["dev.ocibake.step.diff-id"] = json!(digest(b"another tar"));
            put(registry, name, &manifest);
        },
        "unpacks to",
    ),
    (
        |registry, name, mut manifest| {
            manifest["annotations"]["dev.ocibake.step.diff-id"] = json!("sha256:zz");
            put(registry, name, &manifest);
        },
        "not used",
    ),
    (
        // The layer of another step.
        |registry, name, mut manifest| {
            manifest["layers"] = entry(registry, "compiled").1["layers"].clone();
            put(registry, name, &manifest);
        },
        "unpacks to",
    ),
    (
        |registry, _, manifest| {
            registry.flip_in_blob(manifest["layers"][0]["digest"].as_str().unwrap());
        },
        "done after all",
    ),
    (
        |registry, _, manifest| {
            let digest = manifest["layers"][0]["digest"].as_str().unwrap();
            let blob = registry.blob(digest).unwrap();
            registry.damage_blob(digest, Some(&blob[..blob.len() - 1]));
        },
        "by its entry",
    ),
    (|registry, _, manifest| registry.damage_blob(manifest["layers"][0]["digest"].as_str().unwrap(), None), ""),
    (
        |registry, name, mut manifest| {
            manifest["annotations"]["more"] = json!("x".repeat(70_000));
            put(registry, name, &manifest);
        },
        "more than 65536 bytes",
    ),
    (
        |registry, name, mut manifest| {
            manifest["layers"][0]["mediaType"] = json!("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip");
            manifest["layers"][0]["urls"] = json!(["http://127.0.0.1:1/layer"]);
            put(registry, name, &manifest);
        },
        "does not say what its layer is",
    ),
];

#[test]
fn no_wrong_entry_is_used_and_each_is_written_anew() {
    for (number, (spoil, says)) in SPOILS.into_iter().enumerate() {
        let Some(first) = Machine::new(STEPS) else { return };
        let registry = FakeRegistry::new();
        let [from, to] = both(&format!("{}/team/cache", registry.address()));
        let (root, _) = first.root(&[&to]);
        let was = fs::read(root.path().join("random")).unwrap();
        let (name, manifest) = entry(&registry, "/random");
        spoil(&registry, &name, manifest);

        // Its last command is another, which has to look at what is below it.
        let steps = STEPS.replace("mkdir /last", "mkdir /last /more");
        let (root, build) = Machine::new(&steps).unwrap().root(&[&from, &to]);
        assert_eq!(build.ran.len(), 2, "{number}: {:?}", build.outcome);
        let random = fs::read(root.path().join("random")).unwrap();
        assert!(random.len() == 50_000 && random != was, "{number}");
        assert_eq!(fs::read_to_string(root.path().join("copy")).unwrap(), "own");
        build.assert_warns(says, number);

        let (root, build) = Machine::new(&steps).unwrap().root(&[&from]);
        assert_eq!((build.ran, build.warnings), (Vec::new(), Vec::new()), "{number}");
        assert_eq!(fs::read(root.path().join("random")).unwrap(), random, "{number}");
    }
}

/// Who may write a cache decides what those get who take from it; nobody else does.
#[test]
fn what_a_cache_says_is_not_remembered_for_builds_that_do_not_ask_it() {
    let Some(first) = Machine::new(STEPS) else { return };
    let registry = FakeRegistry::new();
    let [from, to] = both(&format!("{}/team/cache", registry.address()));
    first.root(&[&to]);
    let (name, mut manifest) = entry(&registry, "/random");
    let planted = Blob::of(&tar(&[file("random", "planted"), file("copy", "planted")]), GZIP);
    registry.put_blob(&planted.bytes);
    manifest["layers"][0]["digest"] = json!(digest(&planted.bytes));
    manifest["layers"][0]["size"] = json!(planted.bytes.len());
    manifest["annotations"]["dev.ocibake.step.diff-id"] = json!(format!("sha256:{}", planted.diff_id));
    put(&registry, &name, &manifest);

    let machine = Machine::new(&STEPS.replace("mkdir /last", "mkdir /last && cp /copy /last/copy")).unwrap();
    let (root, build) = machine.root(&[&from]);
    assert_eq!(fs::read_to_string(root.path().join("last/copy")).unwrap(), "planted", "{:?}", build.outcome);
    let (root, build) = machine.root(&[]);
    assert_eq!(fs::read_to_string(root.path().join("last/copy")).unwrap(), "own");
    assert_eq!(fs::read(root.path().join("random")).unwrap().len(), 50_000);
    assert_eq!(build.ran.len(), 4, "{:?}", build.ran);
}

#[test]
fn what_lies_in_a_directory_in_the_place_of_an_entry_does_no_harm() {
    let Some(first) = Machine::new(STEPS) else { return };
    let place = tempfile::tempdir().unwrap();
    let [from, to] = both(&format!("local:{}", place.path().display()));
    first.root(&[&to]);
    let mut entries: Vec<_> =
        fs::read_dir(place.path().join("steps")).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for (number, path) in entries.iter().enumerate() {
        fs::remove_file(path).unwrap();
        match number % 3 {
            0 => rustix::fs::mknodat(
                rustix::fs::CWD,
                path,
                rustix::fs::FileType::Fifo,
                rustix::fs::Mode::from_raw_mode(0o644),
                0,
            )
            .unwrap(),
            1 => std::os::unix::fs::symlink("/dev/zero", path).unwrap(),
            _ => fs::create_dir(path).unwrap(),
        }
    }
    let build = Machine::new(STEPS).unwrap().build(&[&from]);
    assert_eq!((build.outcome.success().code, build.ran.len()), (Some(0), 4));
}
