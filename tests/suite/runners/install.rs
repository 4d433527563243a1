//! The step of the Action that installs a release, from a server that has one.

use std::fs;
use std::io::BufReader;
use std::os::unix::fs::PermissionsExt;

use super::Action;
use crate::support::http::{read_head, write_answer};
use crate::support::runner::has_tools;
use crate::support::server::Server;
use crate::support::tool::{require, run};
use crate::support::tree::Tree;

const ARCHIVE: &str = "ocibake-1.2.3-x86_64-unknown-linux-musl.tar.gz";

/// A server with the release 1.2.3, whose checksum is what `sum` makes of the right one.
fn releases(sum: impl Fn(&str) -> String) -> (Server, String) {
    let place = Tree::new().file("ocibake-1.2.3/ocibake", "#!/bin/sh\necho ocibake 1.2.3\n").mode(0o755).plant();
    let archive = place.path().join("archive").display().to_string();
    run("tar", ["-C", place.path().to_str().unwrap(), "-czf", &archive, "ocibake-1.2.3"]);
    let digest = run("sha256sum", [&archive])[..64].to_owned();
    let (archive, sums) = (fs::read(archive).unwrap(), format!("{}  {ARCHIVE}\n", sum(&digest)));
    let server = Server::new(move |stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Ok(Some(request)) = read_head(&mut reader) {
            let (status, body) = match request.path.strip_prefix("/down/v1.2.3/") {
                Some(ARCHIVE) => (200, archive.clone()),
                Some("SHA256SUMS") => (200, sums.clone().into_bytes()),
                _ => (404, Vec::new()),
            };
            if write_answer(&mut &stream, &request.method, status, &[], &body).is_err() {
                return;
            }
        }
    });
    (server, digest)
}

fn is_possible() -> bool {
    cfg!(target_arch = "x86_64") && has_tools() && ["curl", "sha256sum", "tar"].into_iter().all(require)
}

#[test]
fn a_release_is_installed_by_its_checksum() {
    if !is_possible() {
        return;
    }
    let (server, digest) = releases(str::to_owned);
    let address = format!("http://{}/down/", server.address());
    let action = Action::new(Tree::new().plant());
    let inputs = [("version", "v1.2.3"), ("releases", &address), ("checksum", &digest)];
    assert_eq!(action.run("Install ocibake", &inputs).success().stdout, "ocibake 1.2.3\n");
    let path = fs::read_to_string(action.path().join("runner/path")).unwrap();
    let program = format!("{}/ocibake", path.trim_end());
    assert_eq!(fs::metadata(&program).unwrap().permissions().mode() & 0o777, 0o755);
    assert_eq!(run(&program, [""; 0]), "ocibake 1.2.3\n");
}

#[test]
fn another_archive_is_not_installed() {
    if !is_possible() {
        return;
    }
    let (server, _) = releases(|digest| digest.chars().rev().collect());
    let address = format!("http://{}/down", server.address());
    let action = Action::new(Tree::new().plant());
    let inputs = [("version", "1.2.3"), ("releases", &address[..])];
    action.run("Install ocibake", &inputs).failure(1).says(&["::error::", "is not what SHA256SUMS says"]);
    let (server, _) = releases(str::to_owned);
    let address = format!("http://{}/down", server.address());
    let checksum = "0".repeat(64);
    let inputs = [("version", "1.2.3"), ("releases", &address[..]), ("checksum", &checksum)];
    action.run("Install ocibake", &inputs).failure(1).says(&["is not the one that the input checksum names"]);
    let inputs = [("version", "1.2.4"), ("releases", &address[..])];
    assert_ne!(action.run("Install ocibake", &inputs).code, Some(0));
    for version in ["1.2.3; touch owned", "$(touch owned)", "../../x", "latest"] {
        action
            .run("Install ocibake", &[("version", version), ("releases", &address)])
            .failure(1)
            .says(&["is no version"]);
    }
    action.run("Install ocibake", &[("version", "1.2.3")]).failure(1).says(&["nobody says where releases are"]);
    assert!(!action.path().join("runner/path").exists() && !super::is_owned(action.path()));
}

#[test]
fn without_a_version_it_is_the_program_in_the_path() {
    if !has_tools() {
        return;
    }
    let action = Action::new(Tree::new().plant());
    let outcome = action.run("Install ocibake", &[]).success();
    assert!(outcome.stdout.starts_with("ocibake "), "{outcome:#?}");
    let without = Action::new(Tree::new().plant()).variable("PATH", "/usr/bin:/bin");
    without.run("Install ocibake", &[]).failure(1).says(&["::error::there is no ocibake in the PATH"]);
}
