//! Builds that many machines share: a plan, shards that know nothing of each other, and their join.

mod checkout;
mod page;
mod plan;
mod results;
mod whole;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::program::{Outcome, Program};
use crate::support::tool::{self, checked};
use crate::support::tree::Tree;

/// The platforms of all targets.
const PLATFORMS: &str = "[\"linux/amd64\", \"linux/arm64\"]";

/// The release that is made of them.
const TAG: &str = "v1.2.0";

/// The address that checkouts are cloned from.
const SOURCE: &str = "https://git.example/team/system";

/// Targets for two platforms in a git checkout, whose base is in a registry.
struct System {
    place: tempfile::TempDir,
    registry: String,
}

impl System {
    /// So many targets: one stands on a target that goes nowhere, and every fourth on the one before it, on that, and on the base.
    fn new(registry: &str, count: usize) -> Self {
        let base = Tree::new().file("Dockerfile", "FROM scratch\nCOPY Dockerfile /etc/base\nENV A=b\n").plant();
        let (path, name) = (base.path().to_str().unwrap(), base_name(registry));
        let flags = ["build", "--platform", "linux/amd64,linux/arm64", "--push", "-t", &name, path];
        Program::new().run(flags).success();
        let system = System::without_git(registry, &definition(&name, count), count);
        for words in [&["init", "--quiet"][..], &["remote", "add", "origin", SOURCE], &["add", "."]] {
            system.git(words);
        }
        system.git(&["commit", "--quiet", "-m", "one"]);
        system
    }

    /// The definition and files alone.
    fn without_git(registry: &str, definition: &str, count: usize) -> Self {
        let place = tempfile::tempdir().unwrap();
        let tree = Tree::new().file("docker-bake.hcl", definition).file("common", "of all").directory("files");
        let add = |tree: Tree, number| tree.file(format!("files/{number:03}"), format!("content {number}"));
        (0..count).fold(tree, add).plant_in(place.path());
        System { place, registry: registry.to_owned() }
    }

    fn path(&self) -> &Path {
        self.place.path()
    }

    fn git(&self, words: &[&str]) -> String {
        let identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"];
        checked(Command::new("git").args(identity).arg("-C").arg(self.path()).args(words))
    }

    /// A machine with nothing but the checkout.
    fn machine(&self) -> Program {
        Program::new().directory(self.path())
    }

    /// Another checkout of the same commit, in `place`.
    fn clone_to(&self, place: &Path) {
        tool::run("git", ["clone", "--quiet", self.path().to_str().unwrap(), place.to_str().unwrap()]);
        tool::run("git", ["-C", place.to_str().unwrap(), "remote", "set-url", "origin", SOURCE]);
    }

    /// What releases all targets below `path` of the registry.
    fn release(&self, path: &str) -> Vec<String> {
        let place = format!("{}/{path}", self.registry);
        ["bake", "--tag", TAG, "--registry", &place, "--push"].map(str::to_owned).to_vec()
    }

    /// The names and digests of a release that one machine makes by itself, as one below `path` has them.
    fn made_by_one(&self, path: &str) -> String {
        let made = self.machine().run(self.release("one")).success().stdout;
        made.replace(&format!("{}/one/", self.registry), &format!("{}/{path}/", self.registry))
    }

    fn plan_file(&self) -> PathBuf {
        self.path().join("plan.json")
    }

    /// Makes the plan of a release below `many`.
    fn plan(&self, flags: &[&str]) -> Outcome {
        let words = [&self.release("many")[..], &["--plan", "plan.json"].map(str::to_owned)].concat();
        self.machine().run(words.iter().map(String::as_str).chain(flags.iter().copied()))
    }

    /// Builds a share on a machine of its own.
    fn shard(&self, shard: &str) -> Outcome {
        self.machine().run(["bake", "--plan", "plan.json", "--shard", shard])
    }

    fn join(&self) -> Outcome {
        self.machine().run(["bake", "--plan", "plan.json", "--join"])
    }

    fn planned(&self) -> Value {
        serde_json::from_str(&std::fs::read_to_string(self.plan_file()).unwrap()).unwrap()
    }
}

fn base_name(registry: &str) -> String {
    format!("{registry}/base:1")
}

fn definition(base: &str, count: usize) -> String {
    let names: Vec<String> = (0..count).map(|number| format!("\"t{number:03}\"")).collect();
    let mut text = format!("group \"default\" {{ targets = [{}] }}\n", names.join(", "));
    text += &format!(
        "target \"hidden\" {{\n platforms = {PLATFORMS}\n dockerfile-inline = \"FROM {base}\\nCOPY common /common\\n\"\n}}\n"
    );
    for number in 0..count {
        let (contexts, from) = match number % 4 {
            1 => ("below = \"target:t000\"", "below"),
            3 => ("", base),
            _ => ("below = \"target:hidden\"", "below"),
        };
        let lines =
            format!("FROM {from}\\nARG N TARGETARCH\\nCOPY files/$N /srv/$TARGETARCH/\\nENV OF=$N ARCH=$TARGETARCH\\n");
        let placed =
            "\"index:for=the index\", \"manifest[linux/arm64]:for=arm\", \"manifest-descriptor[linux/amd64]:for=amd\"";
        text += &format!(
            "target \"t{number:03}\" {{\n contexts = {{ {contexts} }}\n platforms = {PLATFORMS}\n \
             args = {{ N = \"{number:03}\" }}\n annotations = [\"of=all\", {}]\n dockerfile-inline = \"{lines}\"\n}}\n",
            if number == 0 { placed } else { "\"a=b\"" }
        );
    }
    text
}
