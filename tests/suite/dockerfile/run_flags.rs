//! What the command line gives to commands, through the program: what is wrong there is told before anything is built.

use tempfile::TempDir;

use crate::support::program::{Outcome, Program};
use crate::support::tree::Tree;

fn context(line: &str) -> TempDir {
    Tree::new().file("Dockerfile", format!("FROM scratch\n{line}\n")).plant()
}

fn build(line: &str, flags: &[&str]) -> Outcome {
    let context = context(line);
    Program::new().run([&["build", context.path().to_str().unwrap()], flags].concat())
}

#[test]
fn what_is_wrong_is_told_with_what_to_do() {
    for (flags, code, words) in [
        (&["--network=bridge"][..], 2, &["there is no network `bridge`", "default, none or host"][..]),
        (&["--add-host=db:host-gateway"], 2, &["there is no `host-gateway`", "127.0.0.1"]),
        (&["--add-host=db"], 2, &["is not a host and its address", "db=10.0.0.7"]),
        (&["--shm-size=much"], 2, &["`much` is not a size"]),
        (&["--ulimit=nofiles=1"], 2, &["there is no limit of `nofiles`", "did you mean `nofile`?"]),
        (&["--allow=everything"], 2, &["there is no entitlement `everything`", "network.host and security.insecure"]),
        (&["--no-cache", "--no-cache-filter=a"], 2, &["--no-cache-filter"]),
        (&["--isolation=hyperv"], 2, &["there is no isolation `hyperv`"]),
        (&["--secret=id=a,src=/not/there"], 1, &["--secret: cannot read the secret /not/there"]),
        (&["--secret=src=/dev/null"], 2, &["--secret: a secret needs an `id`"]),
        (&["--ssh=default=/dev/null"], 2, &["--ssh: /dev/null is not the socket of an SSH agent"]),
    ] {
        build("ENV A=1", flags).failure(code).says(words);
    }
    // A value that is misplaced there is not shown.
    let outcome = build("ENV A=1", &["--secret=id=a,hunter2"]).failure(2).says(&["an option of a secret has no `=`"]);
    assert!(!outcome.stderr.contains("hunter2"), "{}", outcome.stderr);
    let agent = Program::new().environment("SSH_AUTH_SOCK", "");
    let place = context("ENV A=1");
    agent
        .run(["build", place.path().to_str().unwrap(), "--ssh=default"])
        .failure(2)
        .says(&["--ssh: there is no SSH agent for `default`: SSH_AUTH_SOCK is not set", "ssh-add"]);
}

#[test]
fn a_build_without_commands_has_no_use_for_them() {
    let flags = ["--network=host", "--add-host=a:1.2.3.4", "--shm-size=1m", "--ulimit=core=0", "--allow=network.host"];
    build("ENV A=1", &flags).success();
    build("ENV A=1", &["--secret=id=a,env=A", "--no-cache-filter=x", "--isolation=auto"]).success();
    build("ENV A=1", &["--no-cache"]).success();
}

#[test]
fn what_a_command_asks_for_has_to_be_allowed() {
    for (line, word) in [("RUN --network=host a", "network.host"), ("RUN --security=insecure a", "security.insecure")] {
        for flags in [&[][..], &["--network=none"], &["--allow", "security.insecure"], &["--allow", "network.host"]] {
            if flags.last() != Some(&word) {
                let outcome = build(line, flags).failure(1);
                outcome.says(&["is not allowed in this build", &format!("2 | {line}"), &format!("--allow {word}")]);
            }
        }
    }
}

/// As docker's clients have it, and BuildKit's "Predefined ARGs": they are there for whoever declares them.
#[test]
fn proxies_come_from_dockers_configuration() {
    let text = "ARG HTTP_PROXY https_proxy HTTPS_PROXY NO_PROXY\nENV P=$HTTP_PROXY,$https_proxy,$HTTPS_PROXY,$NO_PROXY";
    let place = context(text);
    let found = |configuration: &str, flags: &[&str]| {
        let docker = Tree::new().file("config.json", configuration).plant();
        let images = Program::new().environment("DOCKER_CONFIG", docker.path()).images(place.path(), flags);
        images[0].config["config"]["Env"].as_array().unwrap().last().unwrap().as_str().unwrap().to_owned()
    };
    let proxies = r#"{"Proxies": {"default": {"httpProxy": "http://h:1", "HTTPSProxy": "http://s:1", "noProxy": ""}}}"#;
    assert_eq!(found(proxies, &[]), "P=http://h:1,,http://s:1,");
    assert_eq!(found(proxies, &["--build-arg", "https_proxy=mine"]), "P=http://h:1,mine,,");
    for odd in ["", "{", "[]", r#"{"proxies": null}"#, r#"{"proxies": {"default": {"httpProxy": 1}}}"#] {
        assert_eq!(found(odd, &[]), "P=,,,", "{odd}");
    }
}
