//! Every flag of `docker build` and `docker buildx build` is in one of three classes, and does what its class says.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::net::UnixListener;
use std::path::Path;

use super::context;
use crate::support::program::Program;

/// The flags in docker's reference of `docker buildx build` (buildx 0.29) and of `docker build` without BuildKit (docker 28),
/// each with a value that docker takes.
const REFERENCE: [(&str, &[&str]); 57] = [
    ("--add-host", &["--add-host", "db:10.0.0.7"]),
    ("--allow", &["--allow", "network.host"]),
    ("--annotation", &["--annotation", "manifest:a=b"]),
    ("--attest", &["--attest", "type=sbom"]),
    ("--build-arg", &["--build-arg", "A=1"]),
    ("--build-context", &["--build-context", "other=."]),
    ("--builder", &["--builder", "b"]),
    ("--cache-from", &["--cache-from", "type=registry,ref=127.0.0.1:1/none"]),
    ("--cache-from", &["--cache-from", "type=gha,scope=a"]),
    ("--cache-to", &["--cache-to", "type=local,dest=cache,mode=max"]),
    ("--call", &["--call", "check"]),
    ("--call", &["--call=build"]),
    ("--call", &["--call=outline"]),
    ("--call", &["--call=targets,format=json"]),
    ("--cgroup-parent", &["--cgroup-parent", "x"]),
    ("--check", &["--check"]),
    ("--compress", &["--compress"]),
    ("--cpu-period", &["--cpu-period", "1"]),
    ("--cpu-quota", &["--cpu-quota", "-1"]),
    ("--cpu-shares", &["-c", "1"]),
    ("--cpuset-cpus", &["--cpuset-cpus", "0"]),
    ("--cpuset-mems", &["--cpuset-mems", "0"]),
    ("--debug", &["-D"]),
    ("--disable-content-trust", &["--disable-content-trust=true"]),
    ("--file", &["-f", "Dockerfile"]),
    ("--force-rm", &["--force-rm=true"]),
    ("--iidfile", &["--iidfile", "iid"]),
    ("--isolation", &["--isolation", "default"]),
    ("--label", &["--label", "a"]),
    ("--load", &["--load"]),
    ("--memory", &["-m", "1g"]),
    ("--memory-swap", &["--memory-swap", "-1"]),
    ("--metadata-file", &["--metadata-file", "metadata"]),
    ("--network", &["--network", "none"]),
    ("--no-cache", &["--no-cache=true"]),
    ("--no-cache-filter", &["--no-cache-filter", "stage"]),
    ("--output", &["-o", "out"]),
    ("--platform", &["--platform", "linux/amd64"]),
    ("--policy", &["--policy", "reset=true"]),
    ("--print", &["--print", "targets"]),
    ("--progress", &["--progress", "rawjson"]),
    ("--provenance", &["--provenance", "true"]),
    ("--pull", &["--pull"]),
    ("--push", &["--push=false"]),
    ("--quiet", &["-q"]),
    ("--rm", &["--rm=false"]),
    ("--sbom", &["--sbom", "true"]),
    ("--secret", &["--secret", "id=a,src=file"]),
    ("--security-opt", &["--security-opt", "no-new-privileges"]),
    ("--shm-size", &["--shm-size", "64m"]),
    ("--squash", &["--squash"]),
    ("--squash", &["--squash=false"]),
    ("--ssh", &["--ssh", "none=socket"]),
    ("--tag", &["-t", "app"]),
    ("--target", &["--target", "stage"]),
    ("--ulimit", &["--ulimit", "nofile=1024:2048"]),
    ("--no-cache", &["--no-cache"]),
];

/// The classes of the page, by flag.
fn classes() -> BTreeMap<String, String> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/from-docker.md")).unwrap();
    let rows = page.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `--")?.split('|').map(str::trim);
        Some((format!("--{}", cells.next()?.trim_end_matches('`')), cells.next()?.to_owned()))
    });
    rows.collect()
}

#[test]
fn the_page_has_dockers_flags_and_no_others() {
    let page: Vec<String> = classes().into_keys().collect();
    let mut reference: Vec<&str> = REFERENCE.iter().map(|(flag, _)| *flag).collect();
    reference.sort();
    reference.dedup();
    assert_eq!(page, reference);
}

#[test]
fn every_flag_does_what_its_class_says() {
    let context = context("one");
    fs::write(context.path().join("Dockerfile"), "FROM scratch AS stage\nCOPY file /\n").unwrap();
    let _agent = UnixListener::bind(context.path().join("socket")).unwrap();
    let program = Program::new().directory(context.path());
    let plain = program.run(["docker", "build", "-q", "."]).digest();
    let classes = classes();
    for (flag, words) in REFERENCE {
        let outcome = program.run([&["docker", "build"], words, &["."]].concat());
        match classes[flag].as_str() {
            "done" => drop(outcome.success()),
            "nothing" => {
                outcome.success().says(&[&format!("warning: {flag} changes nothing here")]);
                // And it did not.
                assert_eq!(program.run([&["docker", "build", "-q"], words, &["."]].concat()).digest(), plain, "{flag}");
            }
            "refused" => {
                let asked = words[0];
                let outcome = outcome.failure(1);
                assert!(
                    outcome.stderr.contains(": ocibake ") && outcome.stderr.contains("hint: "),
                    "{asked}: {}",
                    outcome.stderr
                );
                assert!(!outcome.stderr.contains("tip:"), "{}", outcome.stderr);
            }
            class => panic!("{flag} is of the class {class}"),
        }
    }
    // A label without a value has an empty one, as with docker.
    program.run(["docker", "build", "-t", "labelled", "--label", "a", "."]).success();
    let labels = program.run(["docker", "inspect", "-f", "{{json .Config.Labels}}", "labelled"]).success();
    assert_eq!(labels.stdout, "{\"a\":\"\"}\n");
    // What turns something off that is not there anyway is no reason to stop.
    for words in [
        &["--provenance=false"][..],
        &["--sbom", "false"],
        &["--attest", "type=provenance,disabled=true"],
        &["--squash=false"],
    ] {
        program.run([&["docker", "build"], words, &["."]].concat()).success();
    }
}
