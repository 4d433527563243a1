//! Builds at the edge of what a machine can do.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::program::{Program, binary};
use crate::support::tool;
use crate::support::tree::Tree;

#[test]
fn more_layers_than_files_may_be_open() {
    let adds: Vec<String> =
        (0..150).map(|nth| format!("[[layer]]\nadd = [{{ from = \"file\", to = \"/{nth}\" }}]\n")).collect();
    let context = Tree::new().file("file", "content").file("ocibake.toml", adds.concat()).plant();
    let program = Program::new();
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -n 110; exec \"$0\" \"$@\""]).arg(binary()).args(["build", "--jobs=2"]);
    shell.args(["--progress=json", "--output=out.tar"]).arg(context.path()).current_dir(program.store());
    let output = shell.env("OCIBAKE_STORE", program.store()).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stderr}");
    let events = stderr.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let mut finished: Vec<u64> =
        events.filter(|event| event["event"] == "layer-finished").filter_map(|event| event["layer"].as_u64()).collect();
    finished.sort_unstable();
    assert_eq!(finished, (0..150).collect::<Vec<_>>(), "layers are numbered through");
}

#[test]
fn directories_as_deep_as_a_path_can_name() {
    let context = tempfile::tempdir().unwrap();
    let top = context.path().join("d").display().to_string();
    tool::run("mkdir", ["-p", &(top.clone() + &"/d".repeat(1_900))]);
    let outcome = Program::new().run(["build", "--jobs=2", "--add", &format!("{}:/", context.path().display())]);
    // Not by this process: it would have each of them open at a time, and no file be left for the other tests.
    tool::run("rm", ["-r", &top]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
}

#[test]
fn any_number_of_jobs() {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml:/");
    let outcome = Program::new().run(["build", "--jobs=1000000", "--add", manifest]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
}

/// The same files by whatever path, from whatever directory.
#[test]
fn one_add_by_many_paths() {
    let parent = tempfile::tempdir().unwrap();
    for name in ["one", "two"] {
        fs::create_dir(parent.path().join(name)).unwrap();
        fs::write(parent.path().join(name).join("file"), "content").unwrap();
    }
    std::os::unix::fs::symlink("one", parent.path().join("link")).unwrap();
    let digest = |directory: &Path, source: &str| {
        let program = Program::new().directory(directory);
        let outcome = program.run(["build", "--platform=amd64", "--add", &format!("{source}:/srv")]);
        assert_eq!(outcome.code, Some(0), "{source}: {}", outcome.stderr);
        outcome.stdout
    };
    let expected = digest(parent.path(), "one");
    let absolute = parent.path().join("one").display().to_string();
    for source in ["./one", "one/", "link", "link/", "two", "two/../one", &absolute] {
        assert_eq!(digest(parent.path(), source), expected, "{source}");
    }
    assert_eq!(digest(&parent.path().join("one"), "."), expected);
}
