//! Cache mounts of a registry that are not what they are to be: none of them is used, and the directory stays clean.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::mount_cache::{build, flag, kept, listing, with_cache};
use super::step_cache::Machine;
use super::step_cache_wrong::IMAGE;
use crate::support::fake_registry::{FakeRegistry, digest};
use crate::support::handmade::{Blob, ZSTD, device, directory, file, hard_link, symlink, tar};
use crate::support::traces::names_in;

/// Writes down what it finds, and leaves something.
const LOOK: &str = "ls -A /cache > /seen && echo own > /cache/own";

const LAYERS: &str = "dev.ocibake.cache-mount.layers";

/// The tags of what is there, and the manifest.
fn tags_and_manifest(registry: &FakeRegistry) -> (Vec<String>, Value) {
    let names = registry.manifest_names().into_iter().filter(|name| name.contains("/mount-"));
    let names: Vec<String> = names.collect();
    let manifest = serde_json::from_slice(&registry.manifest(&names[0]).unwrap().1).unwrap();
    (names, manifest)
}

fn put(registry: &FakeRegistry, names: &[String], manifest: &[u8]) {
    names.iter().for_each(|name| registry.put_manifest(name, IMAGE, manifest));
}

/// Has this layer in the place of the one that a manifest has.
fn with_layer(registry: &FakeRegistry, mut manifest: Value, blob: &Blob, size: usize) -> Value {
    registry.put_blob(&blob.bytes);
    manifest["layers"][0] = json!({
        "mediaType": blob.media_type, "digest": digest(&blob.bytes), "size": blob.bytes.len(),
    });
    let said = json!([{"diffId": format!("sha256:{}", blob.diff_id), "size": size}]);
    manifest["annotations"][LAYERS] = json!(said.to_string());
    manifest
}

/// A registry with what a machine has left, and the machine.
fn filled() -> Option<FakeRegistry> {
    let first = Machine::new(&with_cache("echo first > /cache/first"))?;
    let registry = FakeRegistry::new();
    build(&first, &[&flag(&registry.address(), "")], &[]);
    Some(registry)
}

/// What a build finds that takes what is there, whose warnings are these; then its own is what others find.
#[track_caller]
fn is_not_used(registry: &FakeRegistry, rest: &str, says: &[&str], case: &str) {
    let machine = Machine::new(&with_cache(LOOK)).unwrap();
    let (root, build) = machine.root(&[&flag(&registry.address(), rest)]);
    let warnings = &build.warnings;
    assert_eq!(warnings.len(), says.len(), "{case}: {warnings:?}");
    assert!(warnings.iter().zip(says).all(|(warning, says)| warning.contains(says)), "{case}: {warnings:?}");
    assert_eq!(fs::read_to_string(root.path().join("seen")).unwrap(), "", "{case}");
    assert_eq!(listing(&kept(&machine)).keys().collect::<Vec<_>>(), ["", "own"], "{case}");
    assert_eq!(names_in(&machine.program.store().join("tmp")), [""; 0], "{case}");
    let next = Machine::new(&with_cache("ls /cache > /seen")).unwrap();
    let (root, build) = next.root(&[&flag(&registry.address(), rest)]);
    assert_eq!(build.warnings, Vec::<String>::new(), "{case}");
    assert_eq!(fs::read_to_string(root.path().join("seen")).unwrap(), "own\n", "{case}");
}

/// Makes what is under the names, which have this manifest, something wrong.
type Spoil = fn(&FakeRegistry, &[String], Value);

const SPOILS: [(Spoil, &[&str]); 9] = [
    (|registry, names, _| put(registry, names, b"garbage"), &["not taken"]),
    (|registry, names, _| put(registry, names, b"{\"schemaVersion\":2,\"manifests\":[]}"), &["not taken"]),
    (
        |registry, names, mut manifest| {
            manifest["annotations"]["dev.ocibake.cache-mount.of"] = json!(digest(b"another mount"));
            put(registry, names, manifest.to_string().as_bytes());
        },
        &["belongs to another mount, or to other lock files"],
    ),
    (
        |registry, names, mut manifest| {
            let said = manifest["annotations"][LAYERS].as_str().unwrap();
            let mut said: Value = serde_json::from_str(said).unwrap();
            said[0]["diffId"] = json!(digest(b"another tar"));
            manifest["annotations"][LAYERS] = json!(said.to_string());
            put(registry, names, manifest.to_string().as_bytes());
        },
        &["unpacks to"],
    ),
    (
        |registry, _, manifest| {
            registry.flip_in_blob(manifest["layers"][0]["digest"].as_str().unwrap());
        },
        &["not taken"],
    ),
    (|registry, _, manifest| registry.damage_blob(manifest["layers"][0]["digest"].as_str().unwrap(), None), &[]),
    (
        |registry, names, mut manifest| {
            let size = manifest["layers"][0]["size"].as_u64().unwrap();
            manifest["layers"][0]["size"] = json!(size + 1);
            put(registry, names, manifest.to_string().as_bytes());
        },
        &["by its entry"],
    ),
    (
        |registry, names, mut manifest| {
            manifest["annotations"]["more"] = json!("x".repeat(70_000));
            put(registry, names, manifest.to_string().as_bytes());
        },
        &["more than 65536 bytes", "more than 65536 bytes"],
    ),
    (
        |registry, names, mut manifest| {
            manifest["layers"][0]["mediaType"] = json!("application/vnd.oci.image.layer.nondistributable.v1.tar+zstd");
            manifest["layers"][0]["urls"] = json!(["http://127.0.0.1:1/layer"]);
            put(registry, names, manifest.to_string().as_bytes());
        },
        &["not taken"],
    ),
];

#[test]
fn nothing_wrong_is_used_and_the_next_build_puts_its_own_there() {
    for (number, (spoil, says)) in SPOILS.into_iter().enumerate() {
        let Some(registry) = filled() else { return };
        let (names, manifest) = tags_and_manifest(&registry);
        spoil(&registry, &names, manifest);
        is_not_used(&registry, "", says, &number.to_string());
    }
}

#[test]
fn what_was_filled_for_other_lock_files_is_not_taken_for_that_of_these() {
    let Some(registry) = filled() else { return };
    let (names, mut manifest) = tags_and_manifest(&registry);
    let exact = names.iter().find(|name| name.matches('-').count() == 2).unwrap().clone();
    registry.remove_manifest(names.iter().find(|name| **name != exact).unwrap());
    manifest["annotations"]["dev.ocibake.cache-mount.key"] = json!(digest(b"other lock files"));
    put(&registry, &[exact], manifest.to_string().as_bytes());
    is_not_used(&registry, "", &["belongs to another mount, or to other lock files"], "key");
}

#[test]
fn a_bomb_does_not_fill_the_disk_whatever_it_says_of_its_size() {
    let Some(registry) = filled() else { return };
    let (names, manifest) = tags_and_manifest(&registry);
    let bomb = Blob::of(&tar(&[file("zeros", vec![0; 20 << 20])]), ZSTD);
    assert!(bomb.bytes.len() < 10_000);
    put(&registry, &names, with_layer(&registry, manifest, &bomb, 100).to_string().as_bytes());
    is_not_used(&registry, ",max-size=1m", &["unpack to more than 1048576 bytes"], "bomb");
}

#[test]
fn a_device_is_refused() {
    let Some(registry) = filled() else { return };
    let (names, manifest) = tags_and_manifest(&registry);
    let blob = Blob::of(&tar(&[directory("a"), device("a/disk", 8, 0)]), ZSTD);
    put(&registry, &names, with_layer(&registry, manifest, &blob, 100).to_string().as_bytes());
    is_not_used(&registry, "", &["/a/disk is a device"], "device");
}

/// Paths and links lead to where they would in a container, as those of an image do.
#[test]
fn no_path_and_no_link_leads_out_of_the_directory() {
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("secret");
    fs::write(&secret, "secret").unwrap();
    let place = outside.path().to_str().unwrap();
    let above = format!("{}{}/planted", "../".repeat(20), &place[1..]);
    for (number, entries) in [
        vec![file(&above, "planted")],
        vec![file(secret.to_str().unwrap(), "planted")],
        vec![symlink("out", place), file("out/planted", "planted"), file("out/secret", "planted")],
        vec![symlink("out", "../".repeat(20)), file(format!("out{place}/planted"), "planted")],
        vec![directory("a"), hard_link("a/secret", secret.to_str().unwrap())],
        vec![directory("a"), symlink("a/up", ".."), hard_link("a/x", &above)],
    ]
    .into_iter()
    .enumerate()
    {
        let Some(registry) = filled() else { return };
        let (names, manifest) = tags_and_manifest(&registry);
        let blob = Blob::of(&tar(&entries), ZSTD);
        put(&registry, &names, with_layer(&registry, manifest, &blob, 100).to_string().as_bytes());
        let machine = Machine::new(&with_cache("find /cache > /seen")).unwrap();
        let flag = flag(&registry.address(), ",mode=pull");
        machine.root(&[&flag]);
        let all: Vec<_> = fs::read_dir(outside.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(all, ["secret"], "{number}");
        assert_eq!(fs::read_to_string(&secret).unwrap(), "secret", "{number}");
        let names_of_secret = std::os::unix::fs::MetadataExt::nlink(&fs::metadata(&secret).unwrap());
        assert_eq!(names_of_secret, 1, "{number}");
        assert!(!Path::new("/planted").exists(), "{number}");
    }
}
