//! `ocibake why`: what the last build has done with each step, and why.

use std::fs;

use serde_json::Value;

use super::step_cache::{Machine, both};
use crate::support::docker_registry::DockerRegistry;
use crate::support::program::Program;
use crate::support::rebuild::settle;
use crate::support::traces::all_files;
use crate::support::tree::Tree;

/// Copies in a stage that no image has, a command with a mount and a variable, and what is taken from there.
const STEPS: &str = "FROM scratch AS busybox\nCOPY busybox /bin/sh\n\
    FROM busybox AS made\nARG VERSION=1\nWORKDIR /work\nCOPY source /source\n\
    RUN --mount=type=bind,source=own,target=/own echo $VERSION > /made\n\
    FROM busybox\nCOPY --from=made /made /made\nCOPY own /own\n";

struct Why(Vec<Value>);

impl Why {
    fn of(machine: &Machine, flags: &[&str]) -> Self {
        let answer = machine.program.run([&["why", "--json"], flags].concat()).success().stdout;
        let context = machine.context.path().to_str().unwrap();
        let answer = answer.replace(&format!("{context}/"), "").replace(context, ".");
        let mut answer: Value = serde_json::from_str(&answer).unwrap();
        Why(serde_json::from_value(answer["steps"].take()).unwrap())
    }

    /// The outcome of the step whose title begins so, why it came to that, and what is said about it.
    fn step(&self, title: &str) -> (&str, &str, Vec<&str>) {
        let mut steps = self.0.iter().filter(|step| step["title"].as_str().unwrap().starts_with(title));
        let step = steps.next().unwrap_or_else(|| panic!("there is no step {title}: {:#?}", self.0));
        assert!(steps.next().is_none(), "there are several steps {title}");
        let text = |field: &str| step[field].as_str().unwrap_or_default();
        let reasons = step["reasons"].as_array().unwrap().iter().map(|reason| reason.as_str().unwrap()).collect();
        (text("outcome"), text("because"), reasons)
    }
}

fn built(machine: &Machine, flags: &[&str]) {
    settle();
    machine.build(flags).outcome.success();
}

fn write(machine: &Machine, path: &str, content: &str) {
    fs::write(machine.context.path().join(path), content).unwrap();
}

#[test]
fn what_has_changed_is_named_and_what_has_not_is_known() {
    let Some(machine) = Machine::new(STEPS) else { return };
    built(&machine, &[]);
    let why = Why::of(&machine, &[]);
    let nothing = vec!["no earlier build of this stage is known here"];
    assert_eq!(why.step("RUN"), ("done", "unseen", nothing.clone()));
    assert_eq!(why.step("COPY own"), ("done", "unseen", nothing));

    built(&machine, &[]);
    let why = Why::of(&machine, &[]);
    let known = ("known", "mark", vec!["nothing that it takes has changed"]);
    assert_eq!(why.step("RUN"), known);
    assert_eq!(why.step("COPY own"), known);
    assert_eq!(why.step("COPY source"), ("", "", vec!["it was not needed: everything that takes from it was known"]));

    // In a stage that no image has, though nothing of it is kept.
    write(&machine, "source/a", "another");
    write(&machine, "source/new", "new");
    fs::remove_file(machine.context.path().join("source/b")).unwrap();
    built(&machine, &[]);
    let why = Why::of(&machine, &[]);
    let changed = vec![
        "what it takes from the context . has changed",
        "source/a has changed",
        "source/new is new",
        "source/b is gone",
    ];
    assert_eq!(why.step("COPY source"), ("done", "not-kept", changed));
    let below = vec!["what it stands on has changed: Dockerfile:6: COPY source /source"];
    assert_eq!(why.step("RUN"), ("done", "unseen", below));
    assert_eq!(why.step("WORKDIR").2, ["it is quick to do, and no image has its layer"]);
    let files = vec!["its files are those of an earlier layer"];
    assert_eq!(why.step("COPY own"), ("known", "files", files));
    let text = machine.program.run(["why", "made"]).success().stdout;
    let text = text.replace(&format!("{}/", machine.context.path().display()), "");
    assert!(text.contains("\n  done   Dockerfile:6: COPY source /source\n         what it takes from "), "{text}");
    assert!(text.contains(": 3 of 3 steps were done\n"), "{text}");
    assert!(!text.contains("COPY own"), "{text}");
}

#[test]
fn variables_instructions_mounts_and_settings_are_told_apart() {
    let Some(machine) = Machine::new(STEPS) else { return };
    built(&machine, &[]);
    built(&machine, &["--build-arg=VERSION=2-of-my-own"]);
    assert_eq!(Why::of(&machine, &[]).step("RUN").2, ["variables: VERSION changed"]);
    // What values are is nobody's business.
    let notes = all_files(&machine.program.store().join("notes"));
    assert!(!notes.is_empty());
    for note in notes {
        let noted = fs::read(note).unwrap();
        assert!(!noted.windows(8).any(|bytes| bytes == b"2-of-my-"), "a value is in the store");
    }

    write(&machine, "Dockerfile", &STEPS.replace("ARG VERSION=1", "ARG VERSION=1\nENV MORE=1"));
    built(&machine, &[]);
    // The nearest is not the last build, but the one before.
    assert_eq!(Why::of(&machine, &[]).step("RUN").2, ["variables: MORE new"]);

    write(&machine, "Dockerfile", &STEPS.replace("echo $VERSION", "echo me"));
    built(&machine, &[]);
    let was = "the instruction was: RUN --mount=type=bind,source=own,target=/own echo $VERSION > /made";
    assert_eq!(Why::of(&machine, &[]).step("RUN").2, [was, "variables: MORE gone"]);

    write(&machine, "Dockerfile", STEPS);
    built(&machine, &[]);
    let more = STEPS.replace("COPY source", "RUN echo > /first\nCOPY source");
    write(&machine, "Dockerfile", &more);
    built(&machine, &[]);
    let why = Why::of(&machine, &[]);
    assert_eq!(why.step("RUN echo > /first").2, ["the instruction is new"]);
    assert_eq!(why.step("RUN --mount").2, ["what it stands on has changed: Dockerfile:6: RUN echo > /first"]);

    write(&machine, "Dockerfile", STEPS);
    write(&machine, "own", "mine");
    built(&machine, &[]);
    let why = Why::of(&machine, &[]);
    assert_eq!(why.step("RUN").2[1..], ["own has changed"]);
    assert!(why.step("RUN").2[0].starts_with("what it takes from the context "), "{:?}", why.step("RUN"));
    assert_eq!(why.step("COPY own").2[0], "what it stands on has changed: Dockerfile:9: COPY /made /made");
    assert_eq!(why.step("COPY own").2[2..], ["own has changed"]);

    built(&machine, &["--shm-size=1m"]);
    assert_eq!(Why::of(&machine, &[]).step("RUN").2, ["settings of the build have changed: shm size"]);
    built(&machine, &["--no-cache"]);
    let anew = vec!["earlier builds were not to be used for it (--no-cache, --no-cache-filter)"];
    assert_eq!(Why::of(&machine, &[]).step("RUN"), ("done", "anew", anew));
    built(&machine, &["--compression=gzip:1"]);
    assert_eq!(
        Why::of(&machine, &[]).step("COPY own").2[0],
        "what it stands on has changed: Dockerfile:9: COPY /made /made"
    );
    assert_eq!(Why::of(&machine, &[]).step("COPY busybox").2, ["settings of the build have changed: compression"]);
}

#[test]
fn another_base_is_named() {
    let Some(machine) = Machine::new("FROM base\nRUN [\"/bin/sh\", \"-c\", \"echo a > a\"]\n") else { return };
    let base = |note: &str| {
        let place = tempfile::tempdir().unwrap();
        let busybox = fs::read(machine.context.path().join("busybox")).unwrap();
        let spec = "platforms = [\"linux/amd64\"]\n[[layer]]\nadd = [{ from = \"sh\", to = \"/bin/sh\" }, { from = \"note\", to = \"/note\" }]\n";
        let tree = Tree::new().file("ocibake.toml", spec).file("note", note).file("sh", busybox).mode(0o755).plant();
        let output = format!("type=oci,tar=false,dest={}", place.path().join("base").display());
        Program::new().run(["build", tree.path().to_str().unwrap(), "-o", &output]).success();
        place
    };
    let (one, other) = (base("one"), base("other"));
    let context = |place: &tempfile::TempDir| {
        format!("--build-context=base=oci-layout://{}", place.path().join("base").display())
    };
    built(&machine, &[&context(&one)]);
    built(&machine, &[&context(&other)]);
    let why = Why::of(&machine, &[]);
    let base = why.0.iter().find(|step| step["isBase"] == true).unwrap();
    let (title, said) = (base["title"].as_str().unwrap(), base["reasons"][0].as_str().unwrap());
    assert!(said == "the name stands for another image now" || said.starts_with("it was "), "{said}");
    assert_eq!(why.step("RUN").2, [format!("what it stands on has changed: FROM {title}")]);
}

#[test]
fn steps_are_compared_with_those_that_a_registry_keeps() {
    const STEPS: &str = "FROM scratch\nCOPY busybox /bin/sh\nCOPY source /source\nRUN cat /source/a > /made\n";
    let registry = DockerRegistry::open();
    let Some(first) = Machine::new(STEPS) else { return };
    let place = format!("{}/team/cache", registry.address());
    let [from, to] = both(&place);
    built(&first, &[&to]);
    let second = Machine::new(STEPS).unwrap();
    built(&second, &[&from]);
    let why = Why::of(&second, &[]);
    let (outcome, because, said) = why.step("RUN");
    assert_eq!((outcome, because), ("known", "cache"));
    assert!(said[0].starts_with("another machine did it and keeps it in ") && said[0].contains(&place), "{said:?}");

    let third = Machine::new(STEPS).unwrap();
    write(&third, "source/a", "mine");
    built(&third, &[&from]);
    assert_eq!(Why::of(&third, &[]).step("RUN").2, ["no earlier build of this stage is known here"]);
    let why = Why::of(&third, &[&format!("--cache-from={place}")]);
    let (_, _, said) = why.step("COPY source");
    assert!(said[0].starts_with("the nearest step of the cache is "), "{said:?}");
    assert_eq!(said[2..], ["/source/a has changed"]);
    assert_eq!(why.step("RUN").2[1..], ["what it stands on has changed: Dockerfile:3: COPY source /source"]);
    let wrong = third.program.run(["why", "--cache-from=type=local,src=x"]);
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
}

#[test]
fn a_build_that_failed_and_one_of_another_directory_are_not_mixed_up() {
    let Some(machine) = Machine::new(STEPS) else { return };
    built(&machine, &[]);
    write(&machine, "Dockerfile", &STEPS.replace("echo $VERSION", "false"));
    assert_eq!(machine.build(&[]).outcome.code, Some(1));
    let text = machine.program.run(["why"]).success().stdout;
    assert!(text.contains(" steps were done, and it failed\n"), "{text}");
    assert_eq!(Why::of(&machine, &[]).step("RUN").2, ["the build did not get this far, or failed here"]);
    // Another checkout on the same machine has stages of the same names.
    let other = Machine::new(&STEPS.replace("echo $VERSION", "echo other")).unwrap();
    let program = Machine { program: machine.program, context: other.context };
    built(&program, &[]);
    assert_eq!(Why::of(&program, &[]).step("RUN").2, ["no earlier build of this stage is known here"]);
}

#[test]
fn what_is_not_there_is_an_error_and_foreign_text_is_escaped() {
    let program = Program::new();
    let nothing = program.run(["why"]);
    assert_eq!(nothing.code, Some(1), "{nothing:?}");
    assert!(nothing.stderr.contains("knows of no build\n  hint: build something first"), "{nothing:?}");

    let context =
        Tree::new().file("Dockerfile", "FROM scratch AS a\nCOPY a* /\nLABEL x=1\n").file("a\u{1b}[31m", "").plant();
    let build = || program.run(["build", context.path().to_str().unwrap(), "-t", "x"]).success();
    build();
    fs::write(context.path().join("a\u{1b}[31m"), "more").unwrap();
    settle();
    build();
    let text = program.run(["why", "a"]).success().stdout;
    assert!(text.contains("a\\u{1b}[31m has changed\n"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text:?}");
    let unknown = program.run(["why", "b"]);
    assert_eq!(unknown.code, Some(2));
    assert!(
        unknown.stderr.contains("the last build has no target and no stage `b`\n  hint: it has a\n"),
        "{unknown:?}"
    );
}
