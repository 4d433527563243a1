//! The programs in examples/, which use the crate: each does what its first line says. `cargo test` makes them.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::docker_registry::DockerRegistry;
use crate::support::tool::{require, run, skip};

/// None where only this test binary was made.
fn example(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_BIN_EXE_ocibake")).parent().unwrap().join("examples").join(name);
    (path.exists() || skip(&format!("{} was not made", path.display()))).then_some(path)
}

fn run_example(program: &Path, arguments: &[&str], home: &Path) -> String {
    let output = Command::new(program).args(arguments).env("HOME", home).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_one_builds_the_others_copy_read_and_push() {
    if !["docker-registry", "skopeo"].into_iter().all(require) {
        return;
    }
    let programs = ["build", "copy", "layer", "push"].map(example);
    let [Some(build), Some(copy), Some(layer), Some(push)] = &programs else { return };
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(at("hello"), "#!/bin/sh\necho hello\n").unwrap();
    let built = run_example(build, &[&at("hello"), &at("built")], place.path());
    let digest = built.trim_end().rsplit(' ').next().unwrap();

    let copied = run_example(copy, &[&format!("oci:{}", at("built")), &at("copied")], place.path());
    assert!(copied.starts_with(digest), "{copied}");
    let index = std::fs::read_to_string(at("copied/index.json")).unwrap();
    assert!(index.contains(digest), "{index}");

    let source = format!("oci:{}", at("copied"));
    let listed = run_example(layer, &[&source], place.path());
    let lines: Vec<serde_json::Value> =
        listed.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect();
    let paths: Vec<&str> = lines.iter().map(|file| file["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["/bin", "/bin/program"]);

    let registry = DockerRegistry::open();
    let name = format!("{}/org/hello:1", registry.address());
    let pushed = run_example(push, &[&source, &name], place.path());
    assert!(pushed.ends_with(&format!("1 is {digest}\n")), "{pushed}");
    let raw = run("skopeo", ["inspect", "--raw", "--tls-verify=false", &format!("docker://{name}")]);
    assert!(raw.contains("arm64") && raw.contains("amd64"), "{raw}");
}
