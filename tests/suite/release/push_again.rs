//! Pushes that end before their end, and the next try of the same.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use ocibake::error::ErrorKind;
use ocibake::net::{Backoff, HttpOptions};
use ocibake::progress::silent;
use ocibake::registry::{Client, RegistryOptions};
use ocibake::store::{Graph, Store};

use crate::support::docker_registry::DockerRegistry;
use crate::support::faulty_proxy::FaultyProxy;
use crate::support::memory_store::MemoryStore;
use crate::support::noise::noise;
use crate::support::program::Program;
use crate::support::registry_client::{News, client, options, push, reference};
use crate::support::small_disk::SmallDisk;
use crate::support::tool::{checked, require};
use crate::support::tree::Tree;

const LAYERS: usize = 12;

/// An OCI layout with that many layers of noise.
fn layout(place: &Path) -> String {
    let mut spec = "platforms = [\"linux/amd64\"]\n".to_owned();
    let mut tree = Tree::new();
    for number in 0..LAYERS {
        spec.push_str(&format!("[[layer]]\nadd = [{{ from = \"{number}\", to = \"/{number}\" }}]\n"));
        tree = tree.file(number.to_string(), noise(number as u64, 6 << 20));
    }
    let context = tree.file("ocibake.toml", spec).plant();
    let output = format!("{}/", place.join("layout").display());
    Program::new().run(["build", context.path().to_str().unwrap(), "-o", &output]).success();
    output
}

/// The blobs that a repository of docker-registry has, by their hexadecimal digests.
fn blobs_in(data: &Path) -> Vec<String> {
    let links = data.join("docker/registry/v2/repositories/org/app/_layers/sha256");
    let Ok(entries) = fs::read_dir(links) else { return Vec::new() };
    let entries = entries.map(|entry| entry.unwrap()).filter(|entry| entry.path().join("link").exists());
    entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

#[test]
fn a_push_that_was_killed_sends_only_what_is_missing_the_next_time() {
    const FIRST: usize = 5;
    if !require("docker-registry") {
        return;
    }
    let (place, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let layout = layout(place.path());
    let registry = DockerRegistry::keeping(data.path());
    let program = Program::new();
    let name = |address: &str| format!("{address}/org/app:1");
    // Once both of those that move at a time are stuck, nothing else is on its way.
    let way = FaultyProxy::stuck_after(&registry.address(), FIRST);
    let words = ["push", "--no-fan-out", "--jobs=2", &name(&way.address()), &layout];
    let mut process = program.command(words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while way.stuck() < 2 {
        assert!(process.try_wait().unwrap().is_none(), "it came to its end too soon");
        std::thread::sleep(Duration::from_millis(5));
    }
    process.kill().unwrap();
    process.wait().unwrap();
    assert_eq!(blobs_in(data.path()).len(), FIRST);
    let tags = data.path().join("docker/registry/v2/repositories/org/app/_manifests/tags");
    assert!(!tags.exists(), "no tag before its time");

    let words = ["push", "--no-fan-out", &name(&registry.address()), &layout];
    let outcome = program.run(words).success();
    let lines = |what: &str| {
        let blobs = outcome.stderr.lines().filter(|line| line.starts_with("blob ") && line.contains(what));
        blobs.count()
    };
    assert_eq!((lines(": present"), lines(": sent")), (FIRST, LAYERS + 1 - FIRST), "{}", outcome.stderr);
    let outcome = program.run(words).success();
    assert!(!outcome.stderr.contains(": sent"), "{}", outcome.stderr);
}

#[test]
fn a_registry_whose_disk_is_full_says_so_and_takes_it_once_there_is_room() {
    if !require("docker-registry") {
        return;
    }
    let Some(disk) = SmallDisk::mount("size=6m") else { return };
    let registry = DockerRegistry::keeping(disk.path());
    let mut store = MemoryStore::default();
    let images = vec![store.image(&[b"small"]), store.image(&[&noise(1, 8 << 20)])];
    let root = store.index(images);
    let backoff = Backoff { tries: 3, base: Duration::from_millis(20) };
    let hasty = Client::new(RegistryOptions { http: HttpOptions { backoff, ..options().http }, ..options() }).unwrap();
    let error = push(&hasty, &registry.address(), &store, &root, &["v1", "latest"], &News::default()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Registry);
    assert!(error.message.contains("500 Internal Server Error: UNKNOWN: unknown error: "), "{}", error.message);
    let hint = "the registry has no space left: push again once it has some: what has arrived is kept";
    assert_eq!(error.hint.as_deref(), Some(hint), "{}", error.message);
    let client = client();
    let repository = client.repository(&reference(&registry.address(), "org/api"), &silent);
    for name in ["v1", "latest", &root.digest.to_string()] {
        assert_eq!(repository.resolve(Some(name)).unwrap_err().kind, ErrorKind::NotFound, "{name}");
    }

    disk.limit("size=64m");
    push(&hasty, &registry.address(), &store, &root, &["v1", "latest"], &News::default()).unwrap();
    for tag in ["v1", "latest"] {
        let found = repository.resolve(Some(tag)).unwrap();
        assert_eq!(found.digest, root.digest);
        for blob in &Graph::of(&repository, &found).unwrap().blobs {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut repository.open(blob).unwrap(), &mut bytes).unwrap();
            assert!(bytes == store.bytes(blob.digest));
        }
    }
}

/// The next commit changes one file, and somebody else's machine builds it: of all layers, the registry gets that file's alone.
#[test]
fn two_commits_that_differ_in_one_file_share_every_other_layer() {
    if !require("docker-registry") || !require("git") {
        return;
    }
    let context = Tree::new()
        .file("Dockerfile", "FROM scratch\nCOPY lib /lib\nCOPY data /data\nCOPY app /app\nWORKDIR /work\n")
        .file("lib/a", noise(1, SIZE))
        .file("data/b", noise(2, SIZE))
        .file("app/c", noise(3, 1000))
        .plant();
    let data = tempfile::tempdir().unwrap();
    let registry = DockerRegistry::keeping(data.path());
    let name = |tag: &str| format!("{}/org/app:{tag}", registry.address());
    let commit = |time: &str| {
        let git = |words: &[&str]| {
            let mut command = Command::new("git");
            command.arg("-C").arg(context.path()).args(["-c", "user.name=T", "-c", "user.email=t@example.org"]);
            command.args(words).env("HOME", context.path()).env("GIT_CONFIG_NOSYSTEM", "1");
            checked(command.env("GIT_COMMITTER_DATE", time).env("GIT_AUTHOR_DATE", time));
        };
        git(&["init", "-q", "-b", "main"]);
        git(&["add", "."]);
        git(&["commit", "-q", "-m", "all"]);
    };
    let push = |tag: &str| {
        let words = ["push", "--no-fan-out", &name(tag), context.path().to_str().unwrap()];
        let before = bytes_in(data.path());
        (Program::new().run(words).success(), bytes_in(data.path()) - before)
    };
    commit("@1500000000 +0000");
    let (_, first) = push("1");
    assert!(first > 2 * SIZE as u64, "{first}");
    fs::write(context.path().join("app/c"), noise(4, 1000)).unwrap();
    commit("@1600000000 +0000");
    let (_, second) = push("2");
    // The layer, the config, the manifest, and what the registry notes of them.
    assert!(second < 20_000, "{second} bytes were sent for one file of 1,000");
    let layers = |tag: &str| {
        let manifest = checked(
            Command::new("skopeo")
                .args(["inspect", "--raw", "--tls-verify=false"])
                .arg(format!("docker://{}", name(tag))),
        );
        let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
        let digests = manifest["layers"].as_array().unwrap().iter();
        digests.map(|layer| layer["digest"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let (one, two) = (layers("1"), layers("2"));
    let same: Vec<bool> = one.iter().zip(&two).map(|(one, two)| one == two).collect();
    assert_eq!(same, [true, true, false, true]);
}

/// Of a layer that does not change.
const SIZE: usize = 1 << 20;

/// Of all files below `directory`.
fn bytes_in(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
    let size = |entry: fs::DirEntry| match entry.file_type().unwrap().is_dir() {
        true => bytes_in(&entry.path()),
        false => entry.metadata().unwrap().len(),
    };
    entries.map(size).sum()
}
