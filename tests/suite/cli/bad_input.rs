//! What is wrong gets an error that says where and what to do, and leaves nothing behind.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use crate::support::noise::noise;
use crate::support::program::{NOBODY, Outcome, Program};
use crate::support::small_disk::SmallDisk;
use crate::support::tool::{require, require_root};
use crate::support::traces::{assert_store_is_sound, names_in};
use crate::support::tree::Tree;

#[test]
fn a_source_that_is_missing() {
    let context = context(r#"add = [{ from = "nowhere", to = "/" }]"#).plant();
    fails(&context, 1).says(&["nowhere", "ocibake.toml:6"]);
}

#[test]
fn a_pattern_that_matches_nothing() {
    let context = context(r#"add = [{ from = "*.none", to = "/" }]"#).plant();
    fails(&context, 1).says(&["*.none", "ocibake.toml:6"]);
}

#[test]
fn a_destination_outside_of_the_root() {
    for to in ["../x", "/a/../../x", "/.."] {
        let context = context(&format!(r#"add = [{{ from = "file", to = "{to}" }}]"#)).plant();
        fails(&context, 1).says(&[to, "ocibake.toml:6"]);
    }
}

#[test]
fn a_source_outside_of_the_context() {
    let context = context(r#"add = [{ from = "../secret", to = "/" }]"#).plant();
    fails(&context, 1).says(&["../secret"]);
}

#[test]
fn a_link_that_leads_out_of_the_context() {
    let context = context(r#"add = [{ from = "escape/hostname", to = "/" }]"#).symlink("escape", "/etc").plant();
    fails(&context, 1).says(&["escape"]);
}

#[test]
fn two_adds_that_disagree_about_a_path() {
    let add = r#"add = [{ from = "file", to = "/etc/name" }, { from = "other", to = "/etc/name" }]"#;
    let context = context(add).file("other", "other").plant();
    fails(&context, 1).says(&["etc/name", "file", "other"]);
}

#[test]
fn a_file_where_a_directory_is() {
    let add = r#"add = [{ from = "file", to = "/etc" }, { from = "file", to = "/etc/name" }]"#;
    fails(&context(add).plant(), 1).says(&["etc"]);
}

#[test]
fn a_file_that_cannot_be_read() {
    if !require_root() || !require("setpriv") {
        return;
    }
    let context = context(ALL).file("files/secret", "s").mode(0o600).plant();
    fails_with(Program::new().user(NOBODY), &context, &[], 1).says(&["files/secret", "Permission denied"]);
}

#[test]
fn a_directory_that_cannot_be_read() {
    if !require_root() || !require("setpriv") {
        return;
    }
    let context = context(ALL).directory("files/closed").mode(0o700).plant();
    fails_with(Program::new().user(NOBODY), &context, &[], 1).says(&["files/closed", "Permission denied"]);
}

#[test]
fn a_socket() {
    let context = context(ALL).socket("files/api.sock").plant();
    fails(&context, 1).says(&["files/api.sock", "socket"]);
}

#[test]
fn a_fifo() {
    let context = context(ALL).fifo("files/pipe").plant();
    fails(&context, 1).says(&["files/pipe"]);
}

#[test]
fn a_socket_that_is_named_alone() {
    let context = Tree::new().file("Dockerfile", "FROM scratch\nCOPY api.sock /x\n").socket("api.sock").plant();
    fails(&context, 1).says(&["/api.sock is a socket", "2 | COPY api.sock /x"]);
}

#[test]
fn a_device() {
    if !require_root() {
        return;
    }
    let context = context(ALL).device("files/null").plant();
    fails(&context, 1).says(&["files/null", "device"]);
}

#[test]
fn a_name_that_is_none() {
    let context = context(ALL).plant();
    fails_with(Program::new(), &context, &["-t", "Example/Upper:1"], 2).says(&["Example/Upper", "lower case"]);
    fails_with(Program::new(), &context, &["-t", "a//b:1"], 2).says(&["a//b"]);
}

#[test]
fn a_tag_that_is_none() {
    let context = context(ALL).plant();
    fails_with(Program::new(), &context, &["-t", "example/x:-first"], 2).says(&["-first", "tag"]);
    let long = format!("example/x:{}", "t".repeat(129));
    fails_with(Program::new(), &context, &["-t", &long], 2).says(&["tag"]);
}

#[test]
fn a_platform_that_is_unknown() {
    let spec = SPEC.replace("linux/amd64", "linux/amd46");
    let context = Tree::new().file("ocibake.toml", spec).file("file", "content").plant();
    fails(&context, 1).says(&["amd46", "did you mean", "amd64", "ocibake.toml:3"]);
}

#[test]
fn a_key_that_is_unknown() {
    for (wrong, right) in [("platfroms = []", "platforms"), ("[config]\nentrypiont = [\"/x\"]", "entrypoint")] {
        let (key, _) = wrong.trim_start_matches("[config]\n").split_once(' ').unwrap();
        let spec = format!("name = \"example/x\"\n{wrong}\n");
        let context = Tree::new().file("ocibake.toml", spec).plant();
        fails(&context, 1).says(&[key, "did you mean", right, "ocibake.toml:"]);
    }
}

#[test]
fn a_spec_that_is_not_toml() {
    let context = Tree::new().file("ocibake.toml", "name = \"example/x\"\nplatforms = [\n").plant();
    fails(&context, 1).says(&["ocibake.toml"]);
}

#[test]
fn a_context_that_is_missing() {
    let place = tempfile::tempdir().unwrap();
    let missing = place.path().join("missing");
    let program = Program::new();
    program.run(["build", missing.to_str().unwrap(), "-o", "x.tar"]).failure(1).says(&["missing"]);
}

#[test]
fn a_context_without_a_spec() {
    fails(&Tree::new().file("file", "content").plant(), 1).says(&["ocibake.toml"]);
}

#[test]
fn a_flag_that_is_unknown() {
    let context = context(ALL).plant();
    fails_with(Program::new(), &context, &["--platfrom", "linux/amd64"], 2).says(&["--platfrom"]);
}

#[test]
fn an_output_that_makes_no_sense() {
    let context = context(ALL).plant();
    fails_with(Program::new(), &context, &["-o", "type=floppy,dest=x"], 2).says(&["floppy"]);
}

#[test]
fn an_output_into_a_directory_that_is_missing() {
    let (context, place) = (context(ALL).plant(), tempfile::tempdir().unwrap());
    for output in ["no/such/place/x.tar", "type=docker,dest=no/such/place/x.tar"] {
        let program = Program::new().directory(place.path());
        let outcome = program.run(["build", context.path().to_str().unwrap(), "-o", output]).failure(1);
        outcome.says(&["no/such/place/x.tar"]);
        assert_eq!(names_in(place.path()), [""; 0]);
    }
}

#[test]
fn a_full_disk_for_the_store() {
    let Some(disk) = SmallDisk::mount("size=1m") else { return };
    let context = context(ALL).file("files/noise", noise(0, 4 << 20)).plant();
    let program = Program::new().environment("OCIBAKE_STORE", disk.path());
    let output = tempfile::tempdir().unwrap();
    let archive = output.path().join("x.tar");
    program
        .run(["build", context.path().to_str().unwrap(), "-o", archive.to_str().unwrap()])
        .failure(1)
        .says(&["No space left on device", "free some space"]);
    assert_eq!(names_in(output.path()), [""; 0]);
    assert_store_is_sound(disk.path());
}

#[test]
fn a_full_disk_for_an_output() {
    for output in ["x.tar", "layout/"] {
        let Some(disk) = SmallDisk::mount("size=1m") else { return };
        let context = context(ALL).file("files/noise", noise(0, 4 << 20)).plant();
        let program = Program::new();
        let destination = format!("{}/{output}", disk.path().display());
        program.run(["build", context.path().to_str().unwrap(), "-o", &destination]).failure(1).says(&[
            "No space left on device",
            output.trim_end_matches('/'),
            "free some space",
        ]);
        assert_eq!(names_in(disk.path()), [""; 0], "what is left of {output}");
        assert_store_is_sound(&program.store());
    }
}

#[test]
fn an_archive_that_is_cut_short() {
    let place = tempfile::tempdir().unwrap();
    let archive = place.path().join("x.tar");
    let context = context(ALL).file("files/noise", noise(0, 300_000)).plant();
    let program = Program::new();
    program.run(["build", context.path().to_str().unwrap(), "-o", archive.to_str().unwrap()]).success();
    let whole = fs::read(&archive).unwrap();
    // Within a blob, within a header, and nothing at all.
    for length in [whole.len() / 2, 700, 0] {
        fs::write(&archive, &whole[..length]).unwrap();
        let outcome = program.run(["push", "127.0.0.1:1/example/x:1", archive.to_str().unwrap()]).failure(1);
        outcome.says(&["x.tar"]);
    }
    assert_eq!(names_in(place.path()), ["x.tar"]);
    assert_store_is_sound(&program.store());
}

#[test]
fn a_layout_whose_blob_is_not_what_its_digest_says() {
    let place = tempfile::tempdir().unwrap();
    let layout = place.path().join("layout");
    let context = context(ALL).plant();
    let program = Program::new();
    let into = format!("{}/", layout.display());
    let digest = program.run(["build", context.path().to_str().unwrap(), "-o", &into]).digest();
    let blob = layout.join("blobs/sha256").join(digest.trim_start_matches("sha256:"));
    let text = fs::read_to_string(&blob).unwrap();
    // One byte is another, the size is as it was.
    fs::write(&blob, text.replacen("schemaVersion\":2", "schemaVersion\":3", 1)).unwrap();
    let outcome = program.run(["push", "127.0.0.1:1/example/x:1", layout.to_str().unwrap()]).failure(1);
    outcome.says(&[&digest]);
    let outcome = program.run(["inspect", layout.to_str().unwrap()]).failure(1);
    outcome.says(&[&digest]);
}

#[test]
fn a_registry_that_is_not_there() {
    let context = context(ALL).plant();
    let program = Program::new();
    let outcome = program.run(["push", "127.0.0.1:1/example/x:1", context.path().to_str().unwrap()]).failure(1);
    outcome.says(&["127.0.0.1:1"]);
    assert_store_is_sound(&program.store());
}

const SPEC: &str = r#"
name = "example/bad"
platforms = ["linux/amd64"]
[[layer]]
name = "files"
"#;
const ALL: &str = r#"add = [{ from = "files", to = "/" }]"#;

/// A context with one layer, of which `add` tells the content.
fn context(add: &str) -> Tree {
    Tree::new().file("ocibake.toml", format!("{SPEC}{add}\n")).file("file", "content").file("files/good", "content")
}

#[track_caller]
fn fails(context: &TempDir, code: i32) -> Outcome {
    fails_with(Program::new(), context, &[], code)
}

/// Builds to an archive and to a layout, which both have to fail and leave nothing.
#[track_caller]
fn fails_with(program: Program, context: &TempDir, options: &[&str], code: i32) -> Outcome {
    let place = Tree::new().file("before", "").plant();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let program = program.directory(place.path());
    let files = names_in(context.path());
    let run = |output: &str| {
        let mut arguments = vec!["build", context.path().to_str().unwrap(), "-o", output];
        arguments.extend(options);
        let outcome = program.run(arguments).failure(code);
        assert_eq!(names_in(place.path()), ["before"], "what is left by -o {output}: {outcome:#?}");
        assert_eq!(names_in(context.path()), files, "the context is not to be written to");
        assert_store_is_sound(&program.store());
        outcome
    };
    run("layout/");
    run("x.tar")
}
