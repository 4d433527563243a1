//! What others wrote reaches a person and a log as text in one line, wherever it comes from.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;

use serde_json::{Value, json};

use crate::support::fake_registry::{FakeRegistry, Reply};
use crate::support::handmade::{Blob, GZIP, Handmade, file, tar};
use crate::support::program::{Outcome, Program};
use crate::support::tool::require;
use crate::support::tree::Tree;

/// Ends lines in every way that something knows, moves the cursor, turns the direction, and commands the collectors of
/// logs.
const HOSTILE: &str = "\n::error title=FORGED::a\r::add-mask::b\u{85}##vso[task.setvariable]c\u{2028}##[d]\u{1b}[2J\
    \u{9b}1m\u{202e}\u{2066}\u{200b}\u{7f}##teamcity[e]\u{b}\u{c}";

#[track_caller]
fn assert_harmless(text: &str, allowed: &[char]) {
    let is_hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    for line in text.split('\n') {
        assert!(!line.chars().any(|c| is_hidden(c) && !allowed.contains(&c)), "{line:?} in\n{text}");
        assert!(!line.trim_start().starts_with("::"), "{line:?} in\n{text}");
        for command in ["##[", "##vso[", "##teamcity["] {
            assert!(!line.contains(command), "{line:?} in\n{text}");
        }
    }
}

#[track_caller]
fn harmless(outcome: Outcome) -> Outcome {
    assert_harmless(&outcome.stdout, &[]);
    assert_harmless(&outcome.stderr, &[]);
    outcome
}

fn image() -> Handmade {
    Handmade::configured(
        &[Blob::of(&tar(&[file("a", "a")]), GZIP)],
        json!({
            "architecture": "amd64", "os": "linux", "author": HOSTILE, "created": HOSTILE,
            "config": {
                "Env": [HOSTILE], "Cmd": [HOSTILE], "User": HOSTILE, "WorkingDir": HOSTILE,
                "Labels": {HOSTILE: HOSTILE, "::error::key": "x"}, "Volumes": {HOSTILE: {}},
            },
            "history": [{"created_by": HOSTILE}],
        }),
    )
}

#[test]
fn of_an_image_that_is_inspected() {
    let program = Program::new();
    let image = image();
    let mut manifest = image.manifest();
    manifest["annotations"] = json!({HOSTILE: HOSTILE, "::warning::": ""});
    image.put_manifest(&manifest.to_string(), json!({"annotations": {HOSTILE: HOSTILE}}));
    let place = format!("oci:{}", image.path().display());
    let shown = harmless(program.run(["inspect", &place]).success()).stdout;
    let lines = |name: &str| shown.lines().filter(|line| line.trim_start().starts_with(name)).count();
    assert_eq!((lines("User:"), lines("Env:"), lines("Labels:"), lines("Layer:")), (1, 1, 1, 1), "{shown}");
    assert!(shown.contains("\\n::error title=FORGED::a\\r::add-mask::b\\u{85}##vso\\[task"), "{shown}");
    assert!(shown.contains(" \\::error::key=x"), "{shown}");
    let document = harmless(program.run(["inspect", "--json", &place]).success()).stdout;
    let document: Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["images"][0]["config"]["User"], HOSTILE, "programs get it as it is");
    // Where only the kind of an image is wrong, its own words are shown.
    for (key, value) in [
        ("config", json!({"mediaType": "x", "digest": format!("sha256:{HOSTILE}"), "size": 1})),
        ("config", json!({"mediaType": format!("x{HOSTILE}"), "digest": manifest["config"]["digest"], "size": 1})),
        ("mediaType", json!(HOSTILE)),
        ("Layers\n::error::", json!([])),
        ("LAYERS", json!([HOSTILE])),
    ] {
        let mut odd = manifest.clone();
        odd[key] = value;
        image.put_manifest(&odd.to_string(), json!({}));
        harmless(program.run(["inspect", &place]));
        harmless(program.run(["copy", &place, "-o", "x.tar"]));
        harmless(program.run(["copy", &place, "-o", "y.tar", "--progress", "json"]));
    }
    image.put_manifest("\n::error::x", json!({}));
    harmless(program.run(["inspect", &place, "--raw"]).failure(1));
    image.put_manifest(&manifest.to_string(), json!({"annotations": {"org.opencontainers.image.ref.name": HOSTILE}}));
    harmless(program.run(["inspect", &format!("{place}:other")]).failure(1));
    harmless(program.run(["copy", "--platform", "linux/arm64", &place, "-o", "x.tar"]).failure(1));
}

#[test]
fn of_files_and_dockerfiles() {
    let place = tempfile::tempdir().unwrap();
    let program = Program::new().directory(place.path());
    let context = Tree::new().file("Dockerfile", "FROM scratch\nCOPY . /\n").plant();
    let name = [b".wh.a", HOSTILE.as_bytes()].concat();
    fs::write(context.path().join(OsString::from_vec(name)), "").unwrap();
    let path = context.path().to_str().unwrap();
    for style in ["plain", "json", "quiet"] {
        // A layer that is known is not looked at again.
        let program = Program::new().directory(place.path());
        let outcome = harmless(program.run(["build", path, "-o", "x.tar", "--progress", style]).success());
        outcome.says(&["\\n::error", "removes that name"]);
    }
    let text = HOSTILE.replace(['\n', '\r'], " ");
    for dockerfile in [
        format!("FROM scratch\n::error::{text}\n"),
        format!("FROM scratch\n\t::error::{text}\n"),
        format!("FROM scratch AS {text}\nCOPY --from=x a /\n"),
        format!("FROM scratch\nCOPY {text} /b\n"),
        format!("FROM scratch\nENV a=${{{text}}}\n"),
        format!("FROM {text}\n"),
        format!("# syntax={text}\nFROM scratch\nMAINTAINER {text}\nLABEL a {text}\n"),
    ] {
        fs::write(context.path().join("Dockerfile"), &dockerfile).unwrap();
        for arguments in [&["--check"][..], &["-o", "x.tar"], &["-o", "x.tar", "--progress", "json"]] {
            let outcome = program.run([&["build", path], arguments].concat());
            assert_harmless(&outcome.stderr, &['\t']);
            assert_harmless(&outcome.stdout, &['\t']);
        }
    }
}

#[test]
fn a_caret_stands_under_what_is_seen() {
    let context =
        Tree::new().file("Dockerfile", "FROM scratch\nADD --\u{1b}x=1\u{85} \t--chown=:: nothing /\n").plant();
    let path = context.path().to_str().unwrap();
    // Nothing is written: the build fails.
    let outcome = Program::new().run(["build", path, "-o", "x.tar"]).failure(1);
    assert_harmless(&outcome.stderr, &['\t']);
    let lines: Vec<&str> = outcome.stderr.lines().collect();
    let source = lines.iter().position(|line| line.starts_with("2 | ADD")).expect(&outcome.stderr);
    assert!(lines[source].contains("--\\u{1b}x=1\\u{85} \t--chown"), "{outcome:?}");
    let caret = lines[source + 1];
    let under: String =
        lines[source].chars().zip(caret.chars()).filter(|(_, caret)| *caret == '^').map(|(c, _)| c).collect();
    assert!(under.starts_with("--\\u{1b}x"), "{under:?} is marked in {outcome:?}");
}

#[test]
fn of_a_registry() {
    let registry = FakeRegistry::scripted(|request| {
        let refused = request.is("GET", "/manifests/") || request.is("HEAD", "/manifests/");
        refused.then(|| Reply::refusal(400, HOSTILE, HOSTILE))
    });
    let program = Program::new();
    let name = format!("{}/a/b:1", registry.address());
    harmless(program.run(["inspect", &name]).failure(1));
    harmless(program.run(["copy", &name, "-o", "x.tar"]).failure(1));
    harmless(program.run(["doctor", "-v", &name]));
    harmless(program.run(["doctor", "--json", "-v", &name]));
}

#[test]
fn of_arguments_that_a_script_passes_on() {
    let program = Program::new();
    for arguments in [
        vec!["build", ".", "-t", HOSTILE],
        vec!["build", ".", "--platform", HOSTILE],
        vec!["build", ".", "-o", HOSTILE],
        vec!["build", ".", "--progress", HOSTILE],
        vec!["build", ".", "--compression", HOSTILE],
        vec!["build", ".", HOSTILE],
        vec![HOSTILE],
        vec!["inspect", HOSTILE],
        vec!["inspect", "a", HOSTILE],
        vec!["tags", HOSTILE],
        vec!["login", HOSTILE],
        vec!["logout", HOSTILE],
        vec!["cache", "prune", "--keep-size", HOSTILE],
        vec!["copy", HOSTILE, HOSTILE],
    ] {
        harmless(program.run(&arguments));
    }
}

#[test]
fn of_layers_that_are_built() {
    let place = tempfile::tempdir().unwrap();
    let program = Program::new().directory(place.path());
    let name = serde_json::to_string(&HOSTILE.replace('\u{7f}', "")).unwrap().replace("\\b", "");
    let spec = format!("[[layer]]\nname = {name}\nadd = [{{ from = \"f\", to = \"/f\" }}]\n");
    let context = Tree::new().file("ocibake.toml", spec).file("f", "f").plant();
    let path = context.path().to_str().unwrap();
    for style in ["plain", "json"] {
        harmless(program.run(["build", path, "-o", "x.tar", "--progress", style]));
    }
    if !require("script") {
        return;
    }
    let ocibake = program.command(["build", path, "-o", "x.tar"]);
    let words: Vec<_> = std::iter::once(ocibake.get_program()).chain(ocibake.get_args()).collect();
    let line = words.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ");
    let mut script = std::process::Command::new("script");
    script.current_dir(place.path()).args(["-qec", &line, "/dev/null"]).stdin(std::process::Stdio::null());
    script.env_clear().envs(ocibake.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("TERM", "xterm");
    let shown = String::from_utf8(script.output().unwrap().stdout).unwrap();
    for part in ["\n::", "\u{1b}[2J", "\u{85}", "\u{2028}", "\u{202e}", "##vso[", "##["] {
        assert!(!shown.contains(part), "{part:?} in {shown:?}");
    }
}
