//! Compose files: how they are read, and what is built, pushed and printed of them.

mod exact;
mod files;
mod forms;
mod health;
mod hostile;
mod images;
mod merge;
mod registry;
mod together;

use std::path::Path;

use serde_json::Value;

use crate::support::program::{Outcome, Program};
use crate::support::tree::Tree;

/// A directory with files; the program that runs in it; and what it is asked.
struct Case {
    place: tempfile::TempDir,
    variables: Vec<(&'static str, String)>,
}

impl Case {
    /// A project of these files.
    fn new(files: &[(&str, &str)]) -> Self {
        let tree = files.iter().fold(Tree::new(), |tree, (path, content)| tree.file(path, content));
        // The name of the directory is that of the project.
        let place =
            tempfile::Builder::new().prefix("project").rand_bytes(0).tempdir_in(tempfile::tempdir().unwrap().keep());
        let place = place.unwrap();
        tree.plant_in(place.path());
        Case { place, variables: Vec::new() }
    }

    /// A project of one compose file.
    fn of(file: &str) -> Self {
        Case::new(&[("compose.yaml", file)])
    }

    fn variable(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    fn path(&self) -> &Path {
        self.place.path()
    }

    fn program(&self) -> Program {
        let program = Program::new().directory(self.path());
        self.variables.iter().fold(program, |program, (name, value)| program.environment(name, value))
    }

    /// Runs `compose` with these arguments.
    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Outcome {
        self.program().run([&["compose"], arguments].concat())
    }

    /// The project as `compose config` has it, with this directory as `/P`.
    #[track_caller]
    fn config(&self, arguments: &[&str]) -> Value {
        let outcome = self.run(&[arguments, &["config", "--format", "json"]].concat()).success();
        let text = outcome.stdout.replace(self.path().to_str().unwrap(), "/P");
        serde_json::from_str(&text).unwrap()
    }

    /// The project as these words, with `config` among them, have it.
    #[track_caller]
    fn config_of(&self, arguments: &[&str]) -> Value {
        let outcome = self.run(&[arguments, &["--format", "json"]].concat()).success();
        serde_json::from_str(&outcome.stdout).unwrap()
    }

    /// One service as `compose config` has it.
    #[track_caller]
    fn service(&self, name: &str) -> Value {
        self.config(&[])["services"][name].clone()
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        if let Some(above) = self.place.path().parent() {
            let _ = std::fs::remove_dir_all(above);
        }
    }
}
