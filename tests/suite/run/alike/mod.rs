//! What has to hold however commands are kept apart from the machine: the same Dockerfile with each isolation, and the same
//! image and the same answers from all of them.

mod full;
mod hostile;
mod images;
mod processes;
mod programs;
mod secrets;
mod sources;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::program::{Outcome, Program};
use crate::support::tool::{checked, require, require_root, run};
use crate::support::tree::Tree;

/// What takes root's rights away as far as that an isolation is the best that is left.
pub const ISOLATIONS: [(&str, &[&str]); 3] = [
    ("ids", &[]),
    ("single-id", &["unshare", "--user", "--map-root-user", "--mount"]),
    ("chroot", &["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"]),
];

/// A busybox with users.
pub const BASE: &str = "FROM scratch AS base\nCOPY busybox /bin/busybox\n\
                        RUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\nCOPY passwd group /etc/\n";

/// A context, and a program with a store of its own for each isolation.
struct Everywhere {
    context: tempfile::TempDir,
    programs: [Program; 3],
}

/// A program in one isolation.
struct Within<'a> {
    isolation: &'static str,
    starter: &'static [&'static str],
    program: &'a Program,
    context: &'a Path,
}

impl Everywhere {
    /// None where it cannot be tried.
    fn new(tree: Tree) -> Option<Self> {
        Self::with(tree, Program::new)
    }

    /// With these programs.
    fn with(tree: Tree, program: impl Fn() -> Program) -> Option<Self> {
        if !require_root() || !["busybox", "unshare", "setpriv"].into_iter().all(require) {
            return None;
        }
        let busybox = fs::read(run("sh", ["-c", "command -v busybox"]).trim()).unwrap();
        let tree = tree
            .file("busybox", busybox)
            .mode(0o755)
            .file("passwd", "root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/:/bin/sh\n")
            .file("group", "root:x:0:\napp:x:1001:\nmore:x:2000:app\n");
        Some(Everywhere { context: tree.plant(), programs: std::array::from_fn(|_| program()) })
    }

    /// Makes the Dockerfile what it is with `stages` behind the stage `base`.
    fn write(&self, stages: &str) {
        fs::write(self.context.path().join("Dockerfile"), format!("{BASE}{stages}")).unwrap();
    }

    fn each(&self) -> impl Iterator<Item = Within<'_>> {
        ISOLATIONS.iter().zip(&self.programs).map(|((isolation, starter), program)| Within {
            isolation,
            starter,
            program,
            context: self.context.path(),
        })
    }

    /// What each isolation makes of `stages`, which has to be the same: what stands in `/told`.
    #[track_caller]
    fn told_by(&self, stages: &str, flags: &[&str]) -> String {
        self.write(stages);
        let mut all: Vec<(&str, String, String)> = Vec::new();
        for within in self.each() {
            let digest = within.build(flags).digest();
            let told = within.told(flags);
            all.push((within.isolation, digest, told));
        }
        for (isolation, digest, told) in &all {
            assert_eq!(*told, all[0].2, "{isolation}");
            assert_eq!(*digest, all[0].1, "{isolation}: {told}");
        }
        all.swap_remove(0).2
    }

    /// The same of `steps` behind the base.
    #[track_caller]
    fn told(&self, steps: &str) -> String {
        self.told_by(&format!("FROM base\n{steps}"), &[])
    }
}

impl Within<'_> {
    fn command(&self, flags: &[&str]) -> Command {
        let isolation = format!("--isolation={}", self.isolation);
        let context = self.context.to_str().unwrap();
        let arguments = [&["build", context, "--platform=linux/amd64", &isolation], flags].concat();
        self.program.command_under(self.starter, arguments)
    }

    fn build(&self, flags: &[&str]) -> Outcome {
        Outcome::of(&mut self.command(flags))
    }

    /// The files of the image, in a directory that the next call makes anew.
    #[track_caller]
    fn root(&self, flags: &[&str]) -> PathBuf {
        let root = self.program.home().join("root");
        let _ = fs::remove_dir_all(&root);
        let output = format!("type=local,dest={}", root.display());
        self.build(&[flags, &["-o", &output]].concat()).success();
        root
    }

    #[track_caller]
    fn told(&self, flags: &[&str]) -> String {
        fs::read_to_string(self.root(flags).join("told")).unwrap()
    }
}

/// A directory of this machine that must stay as it is, and that links of images lead to.
struct Bait {
    directory: tempfile::TempDir,
}

impl Bait {
    const CONTENT: &str = "bait-7c1e, of the machine\n";

    fn new() -> Bait {
        let bait = Bait { directory: tempfile::tempdir().unwrap() };
        for name in ["deep/target", "shm"] {
            fs::create_dir_all(bait.path().join(name)).unwrap();
        }
        for name in ["file", "null", "passwd", "resolv.conf", "deep/target/file"] {
            fs::write(bait.path().join(name), Bait::CONTENT).unwrap();
        }
        run("chmod", ["-R", "a+rwX", bait.path().to_str().unwrap()]);
        bait
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// All that can be told of what is in it.
    fn state(&self) -> String {
        let list = "cd \"$1\" && find . -printf '%p %M %U:%G %s %C@ %T@\n' | sort && find . -type f -exec cat {} +";
        run("sh", ["-c", list, "sh", self.path().to_str().unwrap()])
    }
}

/// Puts `program`, which is the source `program.c`, into the context.
fn compiled(everywhere: &Everywhere) -> bool {
    if !require("gcc") {
        return false;
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/run/alike/program.c");
    let program = everywhere.context.path().join("program");
    checked(Command::new("gcc").args(["-static", "-O1", "-Wall", "-Werror", "-o"]).arg(program).arg(source));
    true
}
