//! What goes to stderr, in each style, and that it never gets in the way of the result.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::process::{Command, Stdio};

use regex::Regex;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::fake_registry::FakeRegistry;
use crate::support::port::Port;
use crate::support::program::{Outcome, Program, binary};
use crate::support::tool::require;
use crate::support::tree::Tree;

const SPEC: &str = r#"
name = "example/app"
platforms = ["linux/amd64", "linux/arm64"]
[[layer]]
name = "one"
add = [{ from = "files", to = "/srv/" }]
[[layer]]
name = "two"
add = [{ from = "files/b", to = "/b" }]
"#;

fn context() -> TempDir {
    let noise: Vec<u8> = (0..1_500_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    Tree::new().file("ocibake.toml", SPEC).file("files/a", noise).file("files/b", "b").plant()
}

fn push(style: &str, registry: &FakeRegistry) -> Outcome {
    let context = context();
    let name = format!("{}/org/app:1.0.0", registry.address());
    let program = Program::new();
    program.run(["push", &name, context.path().to_str().unwrap(), "-o", "x.tar", "--progress", style]).success()
}

#[test]
fn plain_lines_without_a_terminal() {
    for style in ["auto", "plain"] {
        let registry = FakeRegistry::new();
        let outcome = push(style, &registry);
        for part in ["layer one: ", "layer two: ", "wrote OCI archive x.tar\n", ": sent ", "latest is "] {
            assert!(outcome.stderr.contains(part), "{part} in {}", outcome.stderr);
        }
        assert!(outcome.stderr.lines().all(|line| !line.is_empty() && !line.contains(['\r', '\u{1b}'])));
        assert_eq!(outcome.stderr.lines().filter(|line| line.starts_with("tag ")).count(), 4);
        assert_eq!(outcome.stderr.lines().filter(|line| line.starts_with("layer ")).count(), 2);
        assert!(!outcome.stderr.contains("sha256:"), "digests are short beside the result: {}", outcome.stderr);
    }
}

/// What the log of a pipeline has of a build on a base that is pulled, and of a push.
#[test]
fn a_log_has_a_line_for_each_thing() {
    let registry = FakeRegistry::new();
    let base =
        Tree::new().file("Dockerfile", "FROM scratch\nCOPY etc /etc\n").file("etc/os-release", "ID=base\n").plant();
    let name = format!("{}/library/base:1", registry.address());
    Program::new().run(["build", "--push", "-t", &name, base.path().to_str().unwrap()]).success();
    let dockerfile = format!("FROM {name}\nCOPY --chmod=755 app /usr/local/bin/app\nCOPY motd /etc/motd\n");
    let context = Tree::new().file("Dockerfile", dockerfile).file("app", "app").file("motd", "hello\n").plant();
    let program = Program::new();
    let path = context.path().to_str().unwrap();
    let app = format!("{}/org/app", registry.address());
    let flags = ["--platform", "linux/amd64", "--jobs", "1", "--timestamp", "0"];
    let log = |arguments: &[&str]| {
        let outcome = program.run([arguments, &flags].concat()).success();
        let lines = outcome.stderr.replace(&registry.address().to_string(), "REGISTRY");
        let lines = Regex::new(r"\b[0-9a-f]{12}\b").unwrap().replace_all(&lines, "DIGEST").into_owned();
        // What is done side by side is told of in any order.
        let mut lines: Vec<&str> = lines.lines().collect();
        lines.chunk_by_mut(|a, b| a.split(' ').next() == b.split(' ').next()).for_each(<[_]>::sort);
        lines.join("\n")
    };
    insta::assert_snapshot!(log(&["build", "--push", "-t", &format!("{app}:edge"), path]), @r"
    blob DIGEST: pulled 139 B from REGISTRY/library/base
    blob DIGEST: pulled 375 B from REGISTRY/library/base
    layer COPY app /usr/local/bin/app: DIGEST 149 B from 3.50 KiB
    layer COPY motd /etc/motd: DIGEST 133 B from 2.50 KiB
    blob DIGEST: present
    blob DIGEST: sent 133 B
    blob DIGEST: sent 149 B
    blob DIGEST: sent 774 B
    tag REGISTRY/org/app:edge is DIGEST
    ");
    // Other versions move some of the tags, or leave them.
    let tags = |tag: &str, motd: &str| {
        fs::write(context.path().join("motd"), motd).unwrap();
        let log = log(&["push", &format!("{app}:{tag}"), path]);
        log.lines().filter(|line| line.starts_with("tag ")).collect::<Vec<_>>().join("\n")
    };
    tags("1.2.0", "hello\n");
    insta::assert_snapshot!(tags("1.2.1", "hello again\n"), @r"
    tag REGISTRY/org/app:1 is DIGEST, moves from DIGEST (1.2.0)
    tag REGISTRY/org/app:1.2 is DIGEST, moves from DIGEST (1.2.0)
    tag REGISTRY/org/app:1.2.1 is DIGEST, new
    tag REGISTRY/org/app:latest is DIGEST, moves from DIGEST (1.2.0)
    ");
    insta::assert_snapshot!(tags("1.1.0", "hello\n"), @r"
    tag REGISTRY/org/app:1 stays (1.2.1 is newer)
    tag REGISTRY/org/app:1.1 is DIGEST, new
    tag REGISTRY/org/app:1.1.0 is DIGEST, new
    tag REGISTRY/org/app:latest stays (1.2.1 is newer)
    ");
}

/// Whatever the command, and however little it is to say.
#[test]
fn the_first_failure_says_what_is_going_on() {
    let port = Port::new();
    let name = format!("{port}/org/app:1");
    for arguments in [&["inspect", &name][..], &["pull", &name, "--progress=quiet"], &["copy", &name, "oci:x"]] {
        let outcome = Program::new().run(arguments).failure(1);
        let tries: Vec<&str> = outcome.stderr.lines().filter(|line| line.contains(" failed, retrying in ")).collect();
        assert_eq!(tries.len(), 4, "{outcome:?}");
        let hint = format!("; nothing listens at {port}: is the registry running, and are its name and port right?");
        assert!(tries[0].contains(" s (try 2 of 5): cannot connect: Connection refused"), "{}", tries[0]);
        assert!(tries[0].ends_with(&hint) && !tries[1].contains("nothing listens"), "{tries:#?}");
    }
}

#[test]
fn quiet_tells_of_nothing_but_warnings() {
    let outcome = push("quiet", &FakeRegistry::new());
    assert_eq!(outcome.stderr, "");
    let context = Tree::new().file("Dockerfile", "FROM scratch\nCOPY file /\n").file("file", "").plant();
    let path = context.path().to_str().unwrap();
    let outcome = Program::new().run(["build", path, "--progress=quiet"]).success();
    assert!(outcome.stderr.starts_with("warning: ") && outcome.stderr.lines().count() == 1, "{outcome:?}");
    Program::new().run(["build", "none", "--progress=quiet"]).failure(1).says(&["error: "]);
}

#[test]
fn json_events_add_up() {
    let outcome = push("json", &FakeRegistry::new());
    let (mut layers, mut blobs) = (BTreeMap::new(), HashMap::new());
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for line in outcome.stderr.lines() {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let kind = event["event"].as_str().unwrap().to_owned();
        let number = |key: &str| event[key].as_u64().unwrap();
        match &kind[..] {
            "layer-started" => assert_eq!(layers.insert(number("layer"), (number("size"), 0)), None),
            "layer-advanced" => layers.get_mut(&number("layer")).unwrap().1 += number("bytes"),
            "layer-finished" => {
                let (size, advanced) = layers[&number("layer")];
                assert_eq!(size, advanced, "of {event}");
                assert!(event["descriptor"]["digest"].is_string());
            }
            "blob-started" => {
                let descriptor = &event["descriptor"];
                let digest = descriptor["digest"].as_str().unwrap().to_owned();
                blobs.insert(digest, (descriptor["size"].as_u64().unwrap(), 0));
            }
            "blob-advanced" => blobs.get_mut(event["digest"].as_str().unwrap()).unwrap().1 += number("bytes"),
            "blob-finished" => {
                let (size, advanced) = blobs.remove(event["digest"].as_str().unwrap()).expect("it was started");
                assert_eq!(size, advanced, "of {event}");
            }
            _ => {}
        }
        *counts.entry(kind).or_default() += 1;
    }
    assert!(blobs.is_empty(), "all that started is finished: {blobs:?}");
    assert_eq!((counts["layer-started"], counts["layer-finished"]), (2, 2));
    // In the archive: two layers, two configs, two manifests and an index; in the registry the documents go apart.
    assert_eq!((counts["blob-started"], counts["blob-finished"]), (7 + 4, 7 + 4));
    assert_eq!(counts["output-written"], 1);
    assert_eq!(counts["manifest-pushed"], 3 + 4, "by digest, and four tags");
}

#[test]
fn errors_are_events_too() {
    let broken = Tree::new().file("ocibake.toml", "titel = 1\n").plant();
    let place = broken.path().to_str().unwrap();
    let outcome = Program::new().run(["build", place, "--progress=json"]).failure(1);
    let event: Value = serde_json::from_str(&outcome.stderr).unwrap();
    assert_eq!(event["event"], "error");
    assert!(event["message"].as_str().unwrap().contains("titel"));
    assert!(event["hint"].as_str().unwrap().contains("title"));
    assert_eq!((&event["excerpt"]["line"], &event["excerpt"]["text"]), (&1.into(), &"titel = 1".into()));
    let outcome = Program::new().run(["build", "nowhere", "-f", "none", "--progress=json"]).failure(1);
    assert!(serde_json::from_str::<Value>(&outcome.stderr).is_ok());
}

#[test]
fn bars_on_a_terminal_leave_the_result_alone() {
    if !require("script") {
        return;
    }
    let context = context();
    let program = Program::new();
    let registry = FakeRegistry::new();
    let name = format!("{}/org/app:1.0.0", registry.address());
    let result = context.path().join("result");
    let ocibake = program.command(["push", &name, context.path().to_str().unwrap()]);
    let words: Vec<_> = std::iter::once(ocibake.get_program()).chain(ocibake.get_args()).collect();
    let line = words.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ");
    let mut script = Command::new("script");
    script.args(["-qec", &format!("{line} > {}", result.display()), "/dev/null"]).stdin(Stdio::null());
    script.env_clear().envs(ocibake.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("TERM", "xterm");
    let output = script.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let digest = program.run(["build", context.path().to_str().unwrap(), "-t", &name]).digest();
    assert_eq!(fs::read_to_string(result).unwrap(), format!("{name}@{digest}\n"));
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains('\u{1b}'), "there are bars: {shown:?}");
    assert!(shown.contains("layer one: ") && shown.contains("/org/app:1.0.0 is "), "{shown:?}");
}

#[test]
fn closed_ends_are_no_panic() {
    let context = context();
    let program = Program::new();
    let ocibake = binary();
    let ocibake = ocibake.display();
    let build = format!("{ocibake} build {} -o x.tar", context.path().display());
    for (script, code) in [
        (format!("{build} >&-"), Some(0)),
        (format!("{build} 2>&-"), Some(0)),
        (format!("{build} <&- >&- 2>&-"), Some(0)),
        (format!("{build} >/dev/full"), Some(1)),
        (format!("{build} 2>/dev/full"), Some(0)),
        (format!("{build} --progress=json 2>/dev/full"), Some(0)),
        (format!("{ocibake} --help >/dev/full"), None),
        (format!("{ocibake} --help >&-"), None),
        (format!("{ocibake} bild 2>&-"), Some(2)),
        (format!("{build} | head -c0"), None),
        (format!("{build} 2>&1 | head -c0"), None),
        (format!("{ocibake} inspect --json ./x.tar | head -c0"), None),
        (format!("{ocibake} build --help | head -c0"), None),
    ] {
        let mut command = program.command(["--version"]);
        let environment: Vec<_> =
            command.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect();
        let directory = command.get_current_dir().unwrap().to_owned();
        command = Command::new("bash");
        command
            .args(["-c", &format!("set -o pipefail; {script}")])
            .current_dir(directory)
            .env_clear()
            .envs(environment);
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!stderr.contains("panicked"), "{script}: {stderr}");
        assert_ne!(output.status.code(), Some(101), "{script}: a panic's code");
        if code.is_some() {
            assert_eq!(output.status.code(), code, "{script}: {stderr}");
        }
    }
}
