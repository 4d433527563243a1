//! A context of two layers that is built again and again with one store, and what each build does.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::program::{Outcome, Program};
use super::tree::Tree;

pub const SPEC: &str = "platforms = [\"linux/amd64\"]\n\
                    [[layer]]\nname = \"changing\"\nadd = [{ from = \"files\", to = \"/\" }]\n\
                    [[layer]]\nname = \"constant\"\nadd = [{ from = \"other\", to = \"/other/\" }]\n";

pub const BOTH: [&str; 2] = ["changing", "constant"];

/// A context whose files have settled, and a program with a store of its own.
pub struct Rebuild {
    pub program: Program,
    pub context: TempDir,
    pub place: TempDir,
}

/// What a build did.
pub struct Run {
    pub digest: String,
    /// Titles, sorted.
    pub made: Vec<String>,
    pub known: Vec<String>,
    /// The digests of all layers, by title.
    pub layers: BTreeMap<String, String>,
}

impl Rebuild {
    pub fn new() -> Self {
        Self::of(&tree())
    }

    pub fn of(tree: &Tree) -> Self {
        let world = Rebuild { program: Program::new(), context: tree.plant(), place: tempfile::tempdir().unwrap() };
        settle();
        world
    }

    pub fn command(&self, options: &[&str]) -> Command {
        let words = ["build".as_ref(), self.context.path().as_os_str(), "--progress=json".as_ref()].into_iter();
        self.program.command(words.chain(options.iter().map(OsStr::new)))
    }

    pub fn run(&self, options: &[&str]) -> Outcome {
        let words = ["build".as_ref(), self.context.path().as_os_str()].into_iter();
        self.program.run(words.chain(options.iter().map(OsStr::new)))
    }

    pub fn build(&self, options: &[&str]) -> Run {
        let output = self.command(options).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{stderr}");
        let mut run = Run {
            digest: String::from_utf8(output.stdout).unwrap().trim_end().to_owned(),
            made: Vec::new(),
            known: Vec::new(),
            layers: BTreeMap::new(),
        };
        let mut titles = BTreeMap::new();
        for event in stderr.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
            let title = event["title"].as_str().unwrap_or_default().to_owned();
            let digest = event["descriptor"]["digest"].as_str().unwrap_or_default().to_owned();
            let number = event["layer"].as_u64();
            match event["event"].as_str().unwrap() {
                "layer-started" => {
                    titles.insert(number, title.clone());
                    run.made.push(title);
                }
                "layer-known" => {
                    run.layers.insert(title.clone(), digest);
                    run.known.push(title);
                }
                "layer-finished" => drop(run.layers.insert(titles[&number].clone(), digest)),
                _ => {}
            }
        }
        run.made.sort();
        run.known.sort();
        run
    }

    /// What a build with an empty store gives.
    pub fn cold(&self, options: &[&str]) -> String {
        let words = ["build".as_ref(), self.context.path().as_os_str()].into_iter();
        Program::new().run(words.chain(options.iter().map(OsStr::new))).digest()
    }
}

pub fn tree() -> Tree {
    let tree = Tree::new().file("ocibake.toml", SPEC).file("files/a", "a").file("files/b", "b");
    let tree = tree.attribute("user.note", "old").file("files/dir/c", "c").file("files/z", "z");
    tree.hard_link("files/hard", "files/a").symlink("files/link", "a").file("other/d", "d")
}

/// Waits until a change to what was written before is sure to show in its times.
pub fn settle() {
    std::thread::sleep(Duration::from_millis(150));
}
