//! ADD of what is elsewhere, through the program: files over HTTP, and repositories.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use ocibake::oci::Digest;

use crate::support::fake_registry::{FakeRegistry, Reply};
use crate::support::git_server::GitServer;
use crate::support::program::{Outcome, Program};
use crate::support::tool::{self, require};

/// Builds `dockerfile` into `place`/out, and returns what the program said.
fn build(program: &Program, place: &Path, dockerfile: &str) -> Outcome {
    fs::write(place.join("Dockerfile"), dockerfile).unwrap();
    program.run([
        "build",
        place.to_str().unwrap(),
        "-f",
        place.join("Dockerfile").to_str().unwrap(),
        "-o",
        "type=local,dest=out",
    ])
}

fn read(place: &Path, path: &str) -> String {
    fs::read_to_string(place.join("out").join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn files_are_downloaded_once_and_archives_stay_whole_unless_they_are_to_be_unpacked() {
    if !require("tar") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("inner"), "in the archive").unwrap();
    tool::run(
        "tar",
        ["-C", place.path().to_str().unwrap(), "-czf", place.path().join("a.tgz").to_str().unwrap(), "inner"],
    );
    let archive = fs::read(place.path().join("a.tgz")).unwrap();
    let served = archive.clone();
    let server = FakeRegistry::scripted(move |request| match request.path.as_str() {
        "/dir/file.txt" => Some(Reply::Answer(200, Vec::new(), b"content".to_vec())),
        "/a.tgz" => Some(Reply::Answer(200, Vec::new(), served.clone())),
        _ => Some(Reply::status(404)),
    });
    let address = server.address();
    let sum = Digest::of(b"content");
    let dockerfile = format!(
        "FROM scratch\nADD http://{address}/dir/file.txt /d/\nADD --checksum={sum} --chmod=755 --chown=3:4 \
         http://{address}/dir/file.txt /named\nADD http://{address}/a.tgz /whole/\nADD --unpack http://{address}/a.tgz /un/\n"
    );
    let program = Program::new().directory(place.path());
    build(&program, place.path(), &dockerfile).success();
    assert_eq!(read(place.path(), "d/file.txt"), "content");
    assert_eq!(read(place.path(), "un/inner"), "in the archive");
    assert_eq!(fs::read(place.path().join("out/whole/a.tgz")).unwrap(), archive);
    let mode = |path: &str| fs::metadata(place.path().join("out").join(path)).unwrap().permissions().mode() & 0o7777;
    // The reference, "ADD": a file from a URL has the mode 600.
    assert_eq!((mode("d/file.txt"), mode("named")), (0o600, 0o755));

    let wrong = Digest::of(b"other");
    let dockerfile = format!("FROM scratch\nADD --checksum={wrong} http://{address}/dir/file.txt /\n");
    let outcome = build(&program, place.path(), &dockerfile).failure(1);
    outcome.says(&["Dockerfile:2", &sum.to_string(), &wrong.to_string()]);
    let outcome = build(&program, place.path(), &format!("FROM scratch\nADD http://{address}/none /\n")).failure(1);
    outcome.says(&["Dockerfile:2", "404"]);
}

#[test]
fn no_password_of_a_url_is_shown_or_becomes_part_of_the_image() {
    let place = tempfile::tempdir().unwrap();
    let server = FakeRegistry::scripted(|_| Some(Reply::Answer(200, Vec::new(), b"content".to_vec())));
    let dockerfile = format!("FROM scratch\nADD http://me:s3cret@{}/f?key=s3cret /\n", server.address());
    fs::write(place.path().join("Dockerfile"), dockerfile).unwrap();
    let program = Program::new().directory(place.path());
    let outcome = program.run(["build", "-o", "layout/"]).success();
    assert!(!format!("{}{}", outcome.stdout, outcome.stderr).contains("s3cret"), "{}", outcome.stderr);
    for blob in fs::read_dir(place.path().join("layout/blobs/sha256")).unwrap() {
        let content = fs::read(blob.unwrap().path()).unwrap();
        assert!(!content.windows(6).any(|part| part == b"s3cret"), "{}", String::from_utf8_lossy(&content));
    }
}

#[test]
fn repositories_are_added_with_their_git_directory_if_it_is_wanted() {
    if !require("git") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let server = GitServer::new();
    let repository = server.repository("app.git");
    repository.write("a", "one").write("sub/b", "two").commit(1_500_000_000);
    let url = server.url("app.git");
    let dockerfile = format!(
        "FROM scratch\nADD {url} /whole/\nADD {url}#:sub /sub/\nADD --keep-git-dir=true {url} /kept/\nADD --chown=7 {url} /own/\n"
    );
    let program = Program::new().directory(place.path());
    build(&program, place.path(), &dockerfile).success();
    assert_eq!(
        (read(place.path(), "whole/a"), read(place.path(), "whole/sub/b")),
        ("one".to_owned(), "two".to_owned())
    );
    assert_eq!(read(place.path(), "sub/b"), "two");
    assert!(!place.path().join("out/whole/.git").exists());
    assert!(place.path().join("out/kept/.git/HEAD").exists());

    repository.write("a", "three").commit(1_500_000_001);
    build(&program, place.path(), &dockerfile).success();
    assert_eq!(read(place.path(), "whole/a"), "three");
}

#[test]
fn what_a_query_asks_for_is_not_taken_for_what_another_asked_for() {
    if !require("git") {
        return;
    }
    let server = GitServer::new();
    server.repository("inner.git").write("inside", "i").commit(1_500_000_000);
    let outer = server.repository("outer.git");
    outer.git(&["-c", "protocol.git.allow=always", "submodule", "add", "--quiet", &server.url("inner.git"), "sub"]);
    outer.write("d/a", "a").commit(1_500_000_000);
    let place = tempfile::tempdir().unwrap();
    let program = Program::new().directory(place.path());
    let added = |queries: &[&str]| {
        let lines =
            queries.iter().enumerate().map(|(at, query)| format!("ADD {}{query} /{at}/\n", server.url("outer.git")));
        let dockerfile = format!("FROM scratch\n{}", lines.collect::<String>());
        let _ = fs::remove_dir_all(place.path().join("out"));
        build(&program, place.path(), &dockerfile).success();
    };
    let has = |path: &str| place.path().join("out").join(path).exists();
    // In one store, one build after the other: only what is asked for tells them apart.
    added(&["?submodules=false"]);
    assert_eq!((has("0/d/a"), has("0/sub/inside"), has("0/.git")), (true, false, false));
    added(&["?submodules=true"]);
    assert_eq!((has("0/d/a"), has("0/sub/inside"), has("0/.git")), (true, true, false));
    added(&["?keep-git-dir=true"]);
    assert_eq!((has("0/d/a"), has("0/sub/inside"), has("0/.git")), (true, true, true));
    added(&["?subdir=d"]);
    assert_eq!((has("0/d/a"), has("0/a")), (false, true));
    // And in one build.
    added(&["?submodules=false", "", "?keep-git-dir=true&submodules=false", "?subdir=d"]);
    assert_eq!((has("0/sub/inside"), has("1/sub/inside"), has("2/sub/inside")), (false, true, false));
    assert_eq!((has("0/.git"), has("1/.git"), has("2/.git"), has("3/a")), (false, false, true, true));
}

#[test]
fn every_add_of_a_build_is_held_to_its_own_checksum() {
    if !require("git") {
        return;
    }
    let server = GitServer::new();
    let commit = server.repository("app.git").write("a", "one").commit(1_500_000_000);
    let place = tempfile::tempdir().unwrap();
    let program = Program::new().directory(place.path());
    let url = server.url("app.git");
    let (right, wrong) = (&commit[..12], "0123456789ab");
    let file = FakeRegistry::scripted(|_| Some(Reply::Answer(200, Vec::new(), b"content".to_vec())));
    let file = format!("http://{}/file", file.address());
    let (right_sum, wrong_sum) = (Digest::of(b"content"), Digest::of(b"other"));
    for (first, second) in [
        (format!("{url}?ref=main&checksum={right}"), format!("{url}?ref=main&checksum={wrong}")),
        (format!("{url}#main"), format!("--checksum={wrong} {url}#main")),
        (format!("--checksum={right} {url}#main"), format!("--checksum={wrong} {url}#main")),
        (format!("{url}#main"), format!("--checksum={right} {url}?ref=main&checksum={wrong}")),
        (format!("--checksum={right_sum} {file}"), format!("--checksum={wrong_sum} {file}")),
        (file.clone(), format!("--checksum={wrong_sum} {file}")),
    ] {
        build(&program, place.path(), &format!("FROM scratch\nADD {first} /a/\n")).success();
        let dockerfile = format!("FROM scratch\nADD {first} /a/\nADD {second} /b/\n");
        build(&program, place.path(), &dockerfile).failure(1).says(&[", not "]);
    }
}
