//! What the tests have in the place of Docker Hub: images that stand for python, golang and alpine under their own names, as
//! `fixtures/systems/bases` makes them of Debian's packages.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::docker_registry::DockerRegistry;
use super::fake_registry::digest;
use super::program::Program;
use super::tool::{self, require, require_root, run};

/// The stages of the Dockerfile there, and what each of them stands for.
const IMAGES: [(&str, &[&str]); 4] = [
    ("alpine", &["alpine:3.19", "alpine:3.20", "alpine:latest"]),
    ("python-slim", &["python:3.9-slim", "python:3.11-slim"]),
    ("python-alpine", &["python:3.11-alpine"]),
    ("golang", &["golang:1.21-alpine", "golang:1.22-alpine"]),
];

/// Whether the images can be made here. Without it the test is to return at once.
pub fn require_hub() -> bool {
    let tools = ["docker-registry", "dpkg-deb", "go", "mmdebstrap", "unshare"];
    require_root() && tools.into_iter().all(require)
}

/// A registry that has them. They are made once, and kept with what the tests were built to.
pub fn hub() -> DockerRegistry {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    DockerRegistry::keeping(MADE.get_or_init(|| {
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/systems/bases");
        let release = codename();
        let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("hub-{}", key(&fixture, &release)));
        if !made.exists() {
            let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
            let data = place.path().join("data");
            make(&fixture, &release, place.path(), &data);
            // Another run may have been faster.
            fs::rename(&data, &made).unwrap_or_else(|error| assert!(made.exists(), "{error}"));
        }
        made
    }))
}

/// The name of Debian's release that this machine has, or the stable one.
pub fn codename() -> String {
    let release = fs::read_to_string("/etc/os-release").unwrap();
    release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME=")).unwrap_or("stable").to_owned()
}

/// Tells apart what would be made of other files, or by other tools.
fn key(fixture: &Path, release: &str) -> String {
    let listed =
        tool::run("sh", ["-c", "cd \"$0\" && find . -type f -exec sha256sum {} + | sort", fixture.to_str().unwrap()]);
    digest(format!("{release}{}{listed}", run("go", ["version"])).as_bytes())[7..19].to_owned()
}

fn make(fixture: &Path, release: &str, place: &Path, data: &Path) {
    let context = place.join("context");
    let script = fixture.join("prepare.sh");
    run("sh", [script.as_os_str(), context.as_os_str(), release.as_ref()]);
    fs::create_dir(data).unwrap();
    let registry = DockerRegistry::keeping(data);
    let program = Program::new();
    for (stage, names) in IMAGES {
        let mut words = vec!["build".to_owned(), context.display().to_string(), "--compression=gzip:1".to_owned()];
        words.extend(["--push".to_owned(), format!("--target={stage}")]);
        if stage == "alpine" {
            words.push("--platform=linux/amd64,linux/arm64".to_owned());
        }
        words.extend(names.iter().map(|name| format!("--tag={}/library/{name}", registry.address())));
        program.run(words).success();
    }
}
