//! `ocibake.lock` as a text.

use ocibake::oci::{Digest, Reference};
use ocibake::plan::BaseLock;

fn reference(text: &str) -> Reference {
    text.parse().unwrap()
}

#[test]
fn a_lock_is_sorted_and_reads_back() {
    let mut lock = BaseLock::default();
    let names = ["ghcr.io/org/base:v1", "debian:13", "localhost:5000/a/b", "docker.io/library/alpine"];
    for name in names {
        lock.insert(&reference(name), Digest::of(name.as_bytes()));
    }
    let text = lock.to_string();
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with('"')).collect();
    let expected = ["alpine:latest", "debian:13", "ghcr.io/org/base:v1", "localhost:5000/a/b:latest"];
    for (line, name) in lines.iter().zip(expected) {
        assert!(line.starts_with(&format!("\"{name}\" = \"sha256:")), "{line}");
    }
    assert_eq!(lines.len(), names.len());
    let read = BaseLock::parse("ocibake.lock", &text).unwrap();
    assert_eq!(read, lock);
    assert_eq!(read.get(&reference("docker.io/library/debian:13")), Some(Digest::of(b"debian:13")));
    assert_eq!(read.get(&reference("alpine:latest")), Some(Digest::of(b"docker.io/library/alpine")));
    assert_eq!(read.get(&reference("debian:12")), None);
}

#[test]
fn a_written_lock_is_plain_toml() {
    let mut lock = BaseLock::default();
    lock.insert(&reference("debian:13"), Digest::of(b"x"));
    let read: toml::Table = lock.to_string().parse().unwrap();
    assert_eq!(read["version"].as_integer(), Some(1));
    assert_eq!(read["base"]["debian:13"].as_str(), Some(&*Digest::of(b"x").to_string()));
}

#[test]
fn what_a_lock_may_not_say_is_an_error_with_its_line() {
    let digest = Digest::of(b"x");
    let cases = [
        ("version = 1\nbases = {}\n".to_owned(), 2, "unknown key `bases`"),
        ("version = 2\n".to_owned(), 1, "this version of the lock file is not known"),
        ("version = \"1\"\n".to_owned(), 1, "this version of the lock file is not known"),
        (format!("version = 1\n[base]\n\"Debian:13\" = \"{digest}\"\n"), 3, "`Debian:13` is not an image name"),
        ("version = 1\n[base]\n\"debian:13\" = \"sha256:12\"\n".to_owned(), 3, "`sha256:12` is not a digest"),
        ("version = 1\n[base]\n\"debian:13\" = 7\n".to_owned(), 3, "must be a string, not an integer"),
        (
            format!("version = 1\n[base]\n\"debian\" = \"{digest}\"\n\"debian:latest\" = \"{digest}\"\n"),
            4,
            "debian:latest appears twice",
        ),
        (format!("version = 1\n[base]\n\"a@{digest}\" = \"{digest}\"\n"), 3, "already has a digest"),
        ("version = 1\n<<<<<<< ours\n".to_owned(), 2, "is not valid TOML"),
    ];
    for (text, line, says) in cases {
        let error = BaseLock::parse("ocibake.lock", &text).unwrap_err();
        assert!(error.message.contains(says), "{text:?}: {error:?}");
        assert_eq!(error.excerpt.map(|excerpt| excerpt.line), Some(line), "{text:?}");
    }
    let error = BaseLock::parse("ocibake.lock", "[base]\n").unwrap_err();
    assert_eq!(error.message, "ocibake.lock does not say its `version`");
}
