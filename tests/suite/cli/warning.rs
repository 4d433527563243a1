//! The kinds of warnings, as a program that reads `--progress json` gets them.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::support::handmade::{Handmade, device, file};
use crate::support::program::{NOBODY, Outcome, Program};
use crate::support::tool::{require, require_root};
use crate::support::tree::Tree;
use crate::support::world::World;

/// The warnings among the events of a run, in their order.
#[track_caller]
fn warnings(outcome: &Outcome) -> Vec<Value> {
    let events = outcome.stderr.lines().map(|line| {
        serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line} of {outcome:#?}"))
    });
    events.filter(|event| event["event"] == "warning").collect()
}

/// Their kinds, each once.
#[track_caller]
fn kinds(outcome: &Outcome) -> BTreeSet<String> {
    let all = warnings(outcome);
    assert!(all.iter().all(|warning| warning["message"].as_str().is_some_and(|message| !message.is_empty())));
    all.iter().map(|warning| warning["kind"].as_str().unwrap().to_owned()).collect()
}

fn set(kinds: &[&str]) -> BTreeSet<String> {
    kinds.iter().map(|kind| (*kind).to_owned()).collect()
}

/// A build of a Dockerfile in a context that also has a file, a socket and a file with the name of a whiteout.
#[track_caller]
fn kinds_of(dockerfile: &str, flags: &[&str]) -> BTreeSet<String> {
    let context =
        Tree::new().file("Dockerfile", dockerfile).file("a", "a").file("hidden/.wh.b", "b").socket("open/socket");
    let world = World::of(&context);
    kinds(&world.build(&[&["--progress=json"], flags].concat()).success())
}

#[test]
fn builds_of_dockerfiles_say_the_kind() {
    let to_file = ["-o", "x.tar"];
    let go = |dockerfile: &str, flags: &[&str], expected: &[&str]| {
        assert_eq!(kinds_of(dockerfile, &[&to_file[..], flags].concat()), set(expected), "{dockerfile}");
    };
    go("FROM scratch\nCOPY a /\n", &[], &[]);
    go("# syntax=docker/dockerfile:2\nFROM scratch\nCOPY a /\n", &[], &["syntax-not-fetched"]);
    go("FROM scratch\nCOPY a /\n", &["--build-arg", "NONE=1"], &["unused-build-argument"]);
    go("FROM scratch\nCOPY none* a /b/\n", &[], &["nothing-matched"]);
    go("FROM scratch\nCOPY a /\nCOPY --chown=somebody a /b\n", &[], &["unknown-owner"]);
    go("FROM scratch\nCOPY open /\n", &[], &["socket-left-out"]);
    go("FROM scratch\nCOPY hidden /\n", &[], &["whiteout-name"]);
    go("FROM scratch\nCOPY a /\n", &["--cache-from", "oci:nowhere"], &["cache-not-used"]);
    let docker = ["--compression=zstd", "-o", "type=docker,dest=y.tar"];
    go("FROM scratch\nCOPY a /\n", &docker, &["zstd-in-docker-archive"]);
    assert_eq!(kinds_of("FROM scratch\nCOPY a /\n", &[]), set(&["no-output"]));
}

#[test]
fn a_build_check_says_its_rule_too() {
    let world =
        World::of(&Tree::new().file("Dockerfile", "FROM scratch\nMAINTAINER somebody\nCOPY a /\n").file("a", ""));
    let all = warnings(&world.build(&["-o", "x.tar", "--progress=json"]).success());
    let [warning] = &all[..] else { panic!("one warning, not {all:?}") };
    assert_eq!((&warning["kind"], &warning["rule"]), (&"build-check".into(), &"MaintainerDeprecated".into()));
}

#[test]
fn builds_of_specs_say_the_kind() {
    let spec = "[[layer]]\nadd = [{ from = \".\", to = \"/srv/\" }]\n";
    let world = World::of(&Tree::new().file("ocibake.toml", spec).file(".dockerignore", "a\n").file("a", "a"));
    let output = format!("{}/x.tar", world.context());
    // The first build has no output yet that could be among what it adds.
    for expected in [&["dockerignore-not-read"][..], &["dockerignore-not-read", "output-among-inputs"]] {
        let outcome = world.build(&["-o", &output, "--progress=json"]).success();
        assert_eq!(kinds(&outcome), set(expected));
    }

    let base = Handmade::of(&[&[file("a", "a")]]);
    let spec = format!("base = \"oci:{}\"\nplatforms = [\"linux/s390x\"]\n", base.path().display());
    let outcome = World::new(&spec).build(&["-o", "x.tar", "--progress=json"]).success();
    assert_eq!(kinds(&outcome), set(&["base-platform"]));
}

#[test]
fn a_checkout_that_git_cannot_tell_of_is_a_kind() {
    let spec = "[[layer]]\nadd = [{ from = \"a\", to = \"/\" }]\n";
    let world = World::of(&Tree::new().file("ocibake.toml", spec).file("a", "a").file(".git/HEAD", "nonsense\n"));
    fs::create_dir_all(world.context.path().join(".git/objects")).unwrap();
    fs::create_dir_all(world.context.path().join(".git/refs")).unwrap();
    let outcome = world.build(&["-o", "x.tar", "--progress=json"]).success();
    assert_eq!(kinds(&outcome), set(&["revision-unknown"]));
}

#[test]
fn a_check_without_the_base_is_a_kind() {
    // One that does not exist is an error.
    let dockerfile = "FROM 127.0.0.1:1/org/none:1\nCOPY a /\n";
    let world = World::of(&Tree::new().file("Dockerfile", dockerfile).file("a", "a"));
    let outcome = world.build(&["--check", "--progress=json"]).success();
    assert_eq!(kinds(&outcome), set(&["check-without-base"]));
}

#[test]
fn what_an_ordinary_user_cannot_write_is_a_kind() {
    if !require("setpriv") || !require_root() {
        return;
    }
    let layer = [file("su", "").mode(0o4755), device("null", 1, 3)];
    let image = Handmade::of(&[&layer]);
    let program = Program::new().user(NOBODY);
    let copied = program.home().join("image.tar");
    let outcome =
        Program::new().run(["copy", &format!("oci:{}", image.path().display()), "-o", copied.to_str().unwrap()]);
    outcome.success();
    let spec = format!("oci-archive:{}", copied.display());
    let outcome = program.run(["copy", &spec, "-o", "type=local,dest=root", "--progress=json"]).success();
    assert_eq!(kinds(&outcome), set(&["device-left-out", "set-id-left-out"]));
}

/// The names in `WarningKind::name`, which the compiler holds to be one for each kind.
fn names() -> Vec<(String, String)> {
    let root = env!("CARGO_MANIFEST_DIR");
    let source = fs::read_to_string(format!("{root}/src/progress/warning.rs")).unwrap();
    let arms = source.lines().filter_map(|line| line.trim().strip_prefix("WarningKind::")?.split_once(" => "));
    let kind = |text: &str| text.trim_end_matches(" { .. }").to_owned();
    arms.map(|(variant, name)| (kind(variant), name.trim_matches(['"', ',']).to_owned())).collect()
}

#[test]
fn every_kind_has_a_name_of_its_own() {
    let all = names();
    assert!(all.len() > 20, "{all:?}");
    assert_eq!(all.iter().map(|(_, name)| name).collect::<BTreeSet<_>>().len(), all.len(), "a name appears twice");
    for (kind, name) in all {
        let words = name.split('-').map(|word| {
            assert!(!word.is_empty() && word.bytes().all(|c| c.is_ascii_lowercase()), "{name} is no kebab-case");
            word[..1].to_ascii_uppercase() + &word[1..]
        });
        assert_eq!(words.collect::<String>(), kind, "{name}");
    }
}

/// The names in the first cells of the table in docs/messages.md that begins with `head`.
fn listed(head: &str) -> Vec<String> {
    let page = fs::read_to_string(format!("{}/docs/messages.md", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let (_, table) = page.split_once(&format!("{head}\n")).expect("the table is there");
    let table = table.split("\n\n").next().unwrap();
    let cells = table.lines().skip(1).map(|row| row.split('|').nth(1).unwrap());
    cells.flat_map(|cell| cell.split(',')).map(|name| name.trim().trim_matches('`').to_owned()).collect()
}

#[test]
fn the_page_has_every_kind() {
    let listed = listed("| kind | |");
    let known: Vec<String> = names().into_iter().map(|(_, name)| name).collect();
    assert_eq!(
        listed.iter().collect::<BTreeSet<_>>(),
        known.iter().collect(),
        "docs/messages.md and src/progress/warning.rs"
    );
    assert_eq!(listed.len(), known.len());
}

#[test]
fn the_page_has_every_event() {
    let root = env!("CARGO_MANIFEST_DIR");
    let source = fs::read_to_string(format!("{root}/src/cli/progress/json.rs")).unwrap();
    let given = source.split("\"event\": \"").skip(1).chain(source.split("told[\"event\"] = \"").skip(1));
    let given = given.chain(source.split("of_step(\"").skip(1)).map(|rest| rest.split('"').next().unwrap());
    let given: BTreeSet<&str> = given.collect();
    assert!(given.len() > 30, "{given:?}");
    let listed = listed("| event | members | |");
    let listed: BTreeSet<&str> = listed.iter().map(String::as_str).collect();
    assert_eq!(listed, given, "docs/messages.md and src/cli/progress/json.rs");
}
