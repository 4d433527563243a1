//! Bake files: what they define, what is printed and listed of them, and what is wrong with them.

mod build;
mod cases;
mod elsewhere;
mod files;
mod flags;
mod hostile;
mod images;
mod mistakes;
mod shards;

use std::path::Path;

use serde_json::Value;

use crate::support::program::{Outcome, Program};
use crate::support::tree::Tree;

/// A directory with files, and variables for the program that runs in it.
struct Case {
    place: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

impl Case {
    fn new(files: &[(&str, &str)]) -> Self {
        let place = tempfile::tempdir().unwrap();
        files.iter().fold(Tree::new(), |tree, (path, content)| tree.file(path, content)).plant_in(place.path());
        Case { place, variables: Vec::new() }
    }

    /// One file, in HCL.
    fn hcl(text: &str) -> Self {
        Case::new(&[("docker-bake.hcl", text)])
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    fn path(&self) -> &Path {
        self.place.path()
    }

    fn program(&self) -> Program {
        let program = Program::new().directory(self.path());
        self.variables.iter().fold(program, |program, (name, value)| program.environment(name, value))
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        self.program().run([&["bake"], arguments].concat())
    }

    /// The targets that are printed.
    #[track_caller]
    fn print(&self, arguments: &[&str]) -> Value {
        let printed = self.run(&[arguments, &["--print"]].concat()).success();
        serde_json::from_str(&printed.stdout).expect("it is JSON")
    }

    /// The only target that is printed.
    #[track_caller]
    fn target(&self, arguments: &[&str]) -> Value {
        let printed = self.print(arguments);
        let targets = printed["target"].as_object().expect("there are targets");
        assert_eq!(targets.len(), 1, "{printed}");
        targets.values().next().unwrap().clone()
    }
}
