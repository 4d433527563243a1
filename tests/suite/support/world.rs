//! What most runs of the program need: a context to build, a place to write to, and the program that runs there.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::program::{Outcome, Program};
use super::tool::checked;
use super::traces::names_in;
use super::tree::Tree;

/// A spec for two platforms.
pub const APP: &str = r#"
name = "example/app"
platforms = ["linux/amd64", "linux/arm64"]
[[layer]]
add = [{ from = "files", to = "/srv/" }]
[config]
entrypoint = ["/bin/app"]
env = { A = "1" }
user = "1000"
"#;

pub struct World {
    pub context: TempDir,
    pub place: TempDir,
    /// Runs in `place`.
    pub program: Program,
}

impl World {
    /// A context of `spec` and one file, `files/a`.
    pub fn new(spec: &str) -> Self {
        Self::of(&Tree::new().file("ocibake.toml", spec).file("files/a", "content"))
    }

    pub fn of(context: &Tree) -> Self {
        let place = tempfile::tempdir().unwrap();
        let program = Program::new().directory(place.path());
        World { context: context.plant(), place, program }
    }

    pub fn context(&self) -> &str {
        self.context.path().to_str().unwrap()
    }

    /// Where `name` is, or would be, in the place.
    pub fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// What is in the place, sorted.
    pub fn names(&self) -> Vec<String> {
        names_in(self.place.path())
    }

    /// Makes what is built from now on another image.
    pub fn change(&self, content: &str) {
        fs::write(self.context.path().join("files/a"), content).unwrap();
    }

    /// `ocibake build` of the context.
    pub fn build(&self, flags: &[&str]) -> Outcome {
        self.program.run([&["build", self.context()], flags].concat())
    }

    pub fn push(&self, name: &str, arguments: &[&str]) -> Outcome {
        self.program.run([&["push", name], arguments].concat())
    }

    pub fn inspect(&self, arguments: &[&str]) -> Outcome {
        self.program.run([&["inspect"], arguments].concat())
    }

    /// What `ocibake inspect --json` says of an image.
    #[track_caller]
    pub fn report(&self, image: &str) -> Value {
        serde_json::from_str(&self.inspect(&["--json", image]).success().stdout).unwrap()
    }

    /// Runs skopeo in the place. It takes the image of this platform where there are several.
    pub fn skopeo(&self, arguments: &[&str]) -> String {
        let options = ["--override-os=linux", "--override-arch=amd64", "--insecure-policy"];
        checked(Command::new("skopeo").args(options).args(arguments).current_dir(self.place.path()))
    }
}
