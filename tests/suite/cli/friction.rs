//! What a newcomer stumbled over, each in the place where it happened.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::support::fake_registry::FakeRegistry;
use crate::support::layout::Layout;
use crate::support::program::{NOBODY, Outcome, Program};
use crate::support::tool::{require, require_root};
use crate::support::traces::names_in;
use crate::support::tree::Tree;
use crate::support::world::World;

/// The paths in the only image that `ocibake build FLAGS` makes in the directory of a world's context.
#[track_caller]
fn built(world: &World, flags: &[&str]) -> Vec<String> {
    let layout = world.path("layout");
    let _ = fs::remove_dir_all(&layout);
    let program = Program::new().directory(world.context.path());
    program.run([&["build", "-o", &format!("{}/", layout.display())], flags].concat()).success();
    let image = Layout::open(&layout).images().remove(0);
    image.listing().0.into_keys().map(|path| String::from_utf8(path).unwrap()).collect()
}

#[test]
fn files_that_are_added_go_over_the_dockerfile_of_the_directory() {
    let world = World::of(&Tree::new().file("Dockerfile", "FROM scratch\nCOPY a /\n").file("a", "a").file("b", "b"));
    assert_eq!(built(&world, &["--add", "b:/"]), ["a", "b"]);
    let spec = "[[layer]]\nadd = [{ from = \"a\", to = \"/\" }]\n";
    let world = World::of(&Tree::new().file("ocibake.toml", spec).file("a", "a").file("b", "b"));
    assert_eq!(built(&world, &["--add", "b:/"]), ["a", "b"]);
    // Where there is neither, they are all there is.
    let world = World::of(&Tree::new().file("a", "a").file("b", "b"));
    assert_eq!(built(&world, &["--add", "b:/"]), ["b"]);
}

#[test]
fn an_output_in_the_context_of_a_dockerfile_is_pointed_out() {
    let warns = |dockerfile: &str, ignore: &str, output: &str| {
        let tree = Tree::new().file("Dockerfile", dockerfile).file("d/a", "a").file(".dockerignore", ignore);
        let context = tree.plant();
        let program = Program::new().directory(context.path());
        let build = || {
            program.run(["build", "-o", output, "."]).success().stderr.contains("is among the files that are copied")
        };
        assert!(!build(), "the first has no output yet that it could copy");
        build()
    };
    assert!(warns("FROM scratch\nCOPY . /\n", "", "x.tar"));
    assert!(warns("FROM scratch\nADD x.ta[r] /\n", "", "x.tar"));
    assert!(warns("FROM scratch AS a\nCOPY . /\nFROM scratch\nCOPY --from=a /d /\n", "", "layout/"));
    assert!(!warns("FROM scratch\nCOPY . /\n", "*.tar\n", "x.tar"));
    assert!(!warns("FROM scratch\nCOPY --exclude=*.tar . /\n", "", "x.tar"));
    assert!(!warns("FROM scratch\nCOPY d /\n", "", "x.tar"));
}

#[test]
fn it_is_said_which_of_two_recipes_is_taken() {
    let spec = "[[layer]]\nadd = [{ from = \"a\", to = \"/of-spec\" }]\n";
    let tree = Tree::new().file("Dockerfile", "FROM scratch\nCOPY a /of-dockerfile\n").file("ocibake.toml", spec);
    let world = World::of(&tree.file("a", "a"));
    let program = Program::new().directory(world.context.path());
    program
        .run(["build", "."])
        .success()
        .says(&["building from ocibake.toml, not from Dockerfile: -f Dockerfile chooses that"]);
    assert_eq!(built(&world, &["."]), ["of-spec"]);
    // Under docker's name it is the other one, for docker knows no other.
    let outcome = program.run(["docker", "build", "-o", world.path("out").to_str().unwrap(), "."]).success();
    outcome.says(&["building from Dockerfile, not from ocibake.toml: -f ocibake.toml chooses that"]);
    assert_eq!(names_in(&world.path("out")), ["of-dockerfile"]);
    // Whoever says which needs no answer.
    let outcome = program.run(["build", "-f", "Dockerfile", "."]).success();
    assert!(!outcome.stderr.contains("is not read"), "{}", outcome.stderr);
    fs::remove_file(world.context.path().join("Dockerfile")).unwrap();
    let out = world.path("other");
    let outcome = program.run(["docker", "build", "-o", out.to_str().unwrap(), "."]).success();
    assert!(!outcome.stderr.contains("is not read"), "{}", outcome.stderr);
    assert_eq!(names_in(&out), ["of-spec"]);
}

#[test]
fn an_empty_spec_builds_nothing() {
    for text in ["", "# nothing yet\n\n"] {
        let world = World::of(&Tree::new().file("ocibake.toml", text).file("a", "a"));
        world.build(&["-o", "x.tar"]).failure(1).says(&["is empty: there is nothing to build", "hint: "]);
        assert_eq!(world.names(), [""; 0]);
        assert_eq!(built(&world, &["--add", "a:/", "."]), ["a"]);
    }
    // One that says something is somebody's own.
    World::new("entrypoint = \"\"\n").build(&["-o", "x.tar"]).failure(1).says(&["entrypoint"]);
    World::new("[config]\nuser = \"1\"\n").build(&["-o", "x.tar"]).success();
}

#[test]
fn without_a_home_the_store_is_a_temporary_one() {
    let context = Tree::new().file("Dockerfile", "FROM scratch\nCOPY a /\n").file("a", "a").plant();
    let (temporary, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let program = Program::new();
    let run = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = program.command(arguments);
        command.current_dir(place.path()).env_remove("HOME").env_remove("OCIBAKE_STORE");
        command.env("TMPDIR", temporary.path()).envs(variables.iter().copied());
        Outcome::of(&mut command)
    };
    let build = ["build", context.path().to_str().unwrap(), "-t", "app", "-o", "x.tar"];
    let outcome = run(&build, &[]).success();
    outcome
        .says(&["warning: neither HOME nor XDG_CACHE_HOME is set: the local store is removed when the command ends"]);
    assert_eq!(names_in(place.path()), ["x.tar"]);
    assert_eq!(names_in(temporary.path()), [""; 0]);
    // It goes when the build fails, too.
    run(&["build", context.path().to_str().unwrap(), "--target", "none"], &[]).failure(2);
    assert_eq!(names_in(temporary.path()), [""; 0]);
    // What is to stay has no place.
    run(&["tag", "a", "b"], &[]).failure(2).says(&["there is no place for the local store", "OCIBAKE_STORE"]);
    let outcome = run(&["build", context.path().to_str().unwrap(), "-o", "y.tar", "--progress=json"], &[]).success();
    assert!(outcome.stderr.contains("\"temporary-store\""), "{}", outcome.stderr);
}

#[test]
fn a_temporary_store_serves_commands_too() {
    if !require("busybox") || !require_root() {
        return;
    }
    let busybox = fs::read("/bin/busybox").unwrap();
    let dockerfile = "FROM scratch\nCOPY --chmod=755 busybox /\nRUN [\"/busybox\", \"touch\", \"/made\"]\n";
    let context = Tree::new().file("Dockerfile", dockerfile).file("busybox", busybox).plant();
    let temporary = tempfile::tempdir().unwrap();
    let (program, root) = (Program::new(), context.path().join("root"));
    let output = format!("type=local,dest={}", root.display());
    let mut command = program.command(["build", context.path().to_str().unwrap(), "-o", &output]);
    command.env_remove("HOME").env_remove("OCIBAKE_STORE").env("TMPDIR", temporary.path());
    Outcome::of(&mut command).success();
    assert!(root.join("made").is_file());
    assert_eq!(names_in(temporary.path()), [""; 0]);
}

#[test]
fn a_home_that_cannot_be_written_to_is_none() {
    if !require("setpriv") || !require_root() {
        return;
    }
    let context = Tree::new().file("Dockerfile", "FROM scratch\nCOPY a /\n").file("a", "a").plant();
    fs::set_permissions(context.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let (temporary, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::set_permissions(temporary.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = Program::new().user(NOBODY);
    let mut command = program.command(["build", context.path().to_str().unwrap(), "-o", "x.tar"]);
    command.env("HOME", home.path()).env_remove("OCIBAKE_STORE").env("TMPDIR", temporary.path());
    let outcome = Outcome::of(&mut command).success();
    outcome.says(&["cannot be written to: the local store is removed when the command ends"]);
    assert_eq!((names_in(temporary.path()), names_in(home.path())), (Vec::new(), Vec::new()));
    // One that is named has to do.
    command.env("OCIBAKE_STORE", home.path().join("store"));
    Outcome::of(&mut command).failure(1).says(&["cannot create the local store"]);
}

#[test]
fn a_front_end_that_is_built_in_is_no_news() {
    let warns = |syntax: &str| {
        let context = Tree::new().file("Dockerfile", format!("# syntax={syntax}\nFROM scratch\nCOPY Dockerfile /\n"));
        World::of(&context).build(&["-o", "x.tar"]).success().stderr.contains("is not fetched")
    };
    for syntax in ["docker/dockerfile:1", "docker/dockerfile:1.7-labs", "docker.io/docker/dockerfile:1.4"] {
        assert!(!warns(syntax), "{syntax}");
    }
    for syntax in ["docker/dockerfile:2", "tonistiigi/dockerfile:runmount", "docker/dockerfile:1.999"] {
        assert!(warns(syntax), "{syntax}");
    }
}

#[test]
fn a_check_knows_what_cannot_be_built() {
    let check = |dockerfile: &str, flags: &[&str]| {
        let tree = Tree::new().file("Dockerfile", dockerfile).file("d/a", "a").file(".dockerignore", "hidden\n!none\n");
        World::of(&tree.file("hidden", "")).build(&[&["--check"], flags].concat())
    };
    check("FROM scratch\nCOPY none /\n", &[]).failure(1).says(&["there is no `none`", "2 | COPY none /"]);
    check("FROM scratch\nADD d/none /\n", &[]).failure(1).says(&["`d/none`", "2 | ADD d/none /"]);
    check("FROM scratch\nCOPY --parents d/./none /\n", &[]).failure(1).says(&["none"]);
    check("FROM scratch\nCOPY hidden /\n", &[]).failure(1).says(&["hidden"]);
    let registry = FakeRegistry::new();
    let missing = format!("FROM {}/org/none:1\n", registry.address());
    check(&missing, &[]).failure(1).says(&["org/none:1", "1 | FROM"]);
    // What else there is to say is said before.
    let outcome = check("FROM scratch\nMAINTAINER me\nCOPY none /\n", &[]).failure_with_result(1);
    assert!(outcome.stdout.contains("MaintainerDeprecated"), "{}", outcome.stdout);
    // A pattern may match nothing, and what a stage has nobody knows.
    let outcome = check("FROM scratch AS s\nFROM scratch\nCOPY none* d/* /\nCOPY --from=s /x /\n", &[]).success();
    assert_eq!(outcome.stdout, "no warnings\n");
    // Only what the target needs counts.
    let outcome = check("FROM scratch AS a\nCOPY none /\nFROM scratch AS b\nCOPY d /\n", &["--target=b"]).success();
    assert_eq!(outcome.stdout, "no warnings\n");
    let outcome = check("FROM scratch\nCOPY none /\n", &["--call=check,format=json"]).failure_with_result(1);
    let told: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(told["buildError"]["location"]["ranges"][0]["start"]["line"], 2);
}

#[test]
fn a_tip_is_a_flag_that_may_have_been_meant() {
    let world = World::of(&Tree::new().file("Dockerfile", "FROM scratch\n"));
    let tip = |flag: &str| {
        let outcome = world.build(&[flag, "x"]).failure(2);
        assert!(outcome.stderr.contains("unexpected argument"), "{}", outcome.stderr);
        let tip = outcome.stderr.lines().find_map(|line| line.trim().strip_prefix("tip: "));
        tip.map(|tip| tip.rsplit_once(": ").map_or(tip, |(_, flag)| flag).trim_matches('\'').to_owned())
    };
    for (typed, meant) in [
        ("--tags", "--tag"),
        ("--dockerfile", "--file"),
        ("--push-to", "--push"),
        ("--nocache", "--no-cache"),
        ("--buildarg", "--build-arg"),
        ("--build-args", "--build-arg"),
        ("--secrets", "--secret"),
        ("--platforms", "--platform"),
        ("--name", "--tag"),
    ] {
        assert_eq!(tip(typed).as_deref(), Some(meant), "{typed}");
    }
    for typed in ["--nonsense", "--storage-driver", "--gpus", "--env-file", "--rmi", "--detach"] {
        assert_eq!(tip(typed), None, "{typed}");
    }
}

#[test]
fn dockers_commands_have_answers_of_their_own() {
    let program = Program::new();
    for word in ["run", "exec", "ps", "create", "up", "logs"] {
        let outcome = program.run([word]).failure(2);
        assert!(outcome.stderr.starts_with(&format!("ocibake {word}: ocibake ")), "{}", outcome.stderr);
        assert!(!outcome.stderr.contains("similar") && outcome.stderr.lines().count() == 1, "{}", outcome.stderr);
        let outcome = program.run(["docker", word]).failure(125);
        assert!(outcome.stderr.starts_with(&format!("docker {word}: ocibake ")), "{}", outcome.stderr);
    }
    program.run(["images"]).success();
    program.run(["docker", "images"]).success();
    program.run(["nonsense"]).failure(2).says(&["unrecognized subcommand 'nonsense'"]);
}
