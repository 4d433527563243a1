//! Commands on images that others have made: layers that were never read before are read once, and what is wrong with them
//! leaves nothing.

use std::fs;

use crate::support::handmade::{Blob, Entry, GZIP, Handmade, directory, file, hard_link, symlink, tar};
use crate::support::program::{Outcome, Program};
use crate::support::tool::{require, require_root, run};
use crate::support::traces::{assert_nothing_is_in_the_making, assert_store_is_sound, names_in};
use crate::support::tree::Tree;

/// An image with a busybox and a few files, of three layers, in which all that layers can do to each other comes.
fn layers() -> Option<Vec<Vec<Entry>>> {
    if !require_root() || !require("busybox") {
        return None;
    }
    let busybox = fs::read(run("sh", ["-c", "command -v busybox"]).trim()).unwrap();
    Some(vec![
        vec![
            directory("usr"),
            directory("usr/bin"),
            file("usr/bin/busybox", busybox).mode(0o755),
            symlink("bin", "usr/bin"),
            file("gone", "lower"),
            file("d/kept", "lower"),
            file("d/changed", "lower"),
            file("opaque/gone", "lower"),
        ],
        vec![
            hard_link("bin/sh", "bin/busybox"),
            file("d/changed", "upper").owner(7, 8).mode(0o640),
            file(".wh.gone", ""),
        ],
        vec![file("opaque/.wh..wh..opq", ""), file("opaque/new", "uppermost"), file("bin/new", "through a link")],
    ])
}

fn blobs(layers: &[Vec<Entry>]) -> Vec<Blob> {
    layers.iter().map(|entries| Blob::of(&tar(entries), GZIP)).collect()
}

const LIST: &str = "RUN busybox find / -xdev -type f -not -path '/etc/*' -not -path /list | busybox sort > /list \
                    && busybox stat -c '%u %g %a' /d/changed >> /list && busybox cat /d/changed /opaque/new >> /list\n";

/// What it lists; not itself, which may or may not be there when it is begun.
const LISTED: &str = "/d/changed\n/d/kept\n/opaque/new\n/usr/bin/busybox\n/usr/bin/new\n/usr/bin/sh\n";

struct Built {
    outcome: Outcome,
    place: tempfile::TempDir,
    program: Program,
    /// How often each blob of the image was opened.
    opened: Vec<usize>,
}

fn build(layers: &[Blob], steps: &str) -> Built {
    let base = Handmade::new(layers);
    let place = tempfile::tempdir().unwrap();
    let context = Tree::new().file("Dockerfile", format!("FROM base\n{steps}")).file("copied", "copied").plant();
    let program = Program::new().directory(place.path());
    let (log, root) = (place.path().join("log"), place.path().join("root"));
    let strace = ["strace", "-f", "-qq", "-e", "trace=openat,openat2,open", "-o", log.to_str().unwrap()];
    let (named, output) =
        (format!("base=oci-layout://{}", base.path().display()), format!("type=local,dest={}", root.display()));
    let arguments =
        ["build", context.path().to_str().unwrap(), "--platform=linux/amd64", "--build-context", &named, "-o", &output];
    let outcome = Outcome::of(&mut program.command_under(&strace, arguments));
    let log = fs::read_to_string(log).unwrap();
    let path = |blob: &Blob| base.blob_path(&blob.bytes).to_str().unwrap().to_owned();
    let opened = layers.iter().map(|blob| log.matches(&path(blob)).count()).collect();
    Built { outcome, place, program, opened }
}

#[test]
fn a_base_that_is_new_is_read_once() {
    let Some(layers) = layers() else { return };
    if !require("strace") {
        return;
    }
    for steps in [LIST.to_owned(), format!("COPY copied /d/copied\nENV A=b\n{LIST}")] {
        let Built { outcome, place, program, opened } = build(&blobs(&layers), &steps);
        outcome.success();
        let is_copied = steps.contains("copied");
        let expected = if is_copied { LISTED.replace("/d/kept", "/d/copied\n/d/kept") } else { LISTED.to_owned() };
        assert_eq!(
            fs::read_to_string(place.path().join("root/list")).unwrap(),
            format!("{expected}7 8 640\nupperuppermost")
        );
        // Once for the command, and once for the files of the image that was built.
        assert_eq!(opened, [2; 3]);
        assert_store_is_sound(&program.store());
        assert_nothing_is_in_the_making(&program.store());
    }
}

#[test]
fn what_is_wrong_with_a_base_leaves_nothing() {
    let Some(layers) = layers() else { return };
    if !require("strace") {
        return;
    }
    let mut blobs = blobs(&layers);
    blobs[2].diff_id = blobs[1].diff_id.clone();
    let Built { outcome, place, program, .. } = build(&blobs, LIST);
    outcome.failure(1).says(&["of the image's config"]);
    assert!(!names_in(place.path()).contains(&"root".to_owned()));
    assert!(names_in(&program.store().join("unpacked")).is_empty());
    assert_nothing_is_in_the_making(&program.store());
}
