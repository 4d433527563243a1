//! Commands in the sandbox: what they find, and what they are kept from; and as Dockerfiles ask for them.

mod agent;
mod alike;
mod base;
mod chroot;
mod chroot_ends;
mod chroot_images;
mod chroot_mounts;
mod chroot_proc;
mod chroot_proc_docker;
mod chroot_proc_hostile;
mod confined;
pub mod dockerfile;
mod ends;
mod engine;
mod find;
mod foreign;
mod host_ca;
mod hostile;
mod logs;
mod told;
mod kills;
mod mount_cache;
mod mount_cache_kept;
mod mount_cache_owners;
mod mount_cache_wrong;
mod mounts;
pub mod namespace;
mod namespace_ends;
mod once;
mod place;
mod places;
mod provided;
mod real_work;
mod rebuild;
mod shell;
mod single_id;
mod start;
mod step_cache;
mod step_cache_inline;
mod step_cache_kept;
mod step_cache_server;
mod step_cache_wrong;
mod why;
mod stores;
mod users;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::Mutex;

use ocibake::error::Result;
use ocibake::layer::{Devices, copy};
use ocibake::net::Stop;
use ocibake::run::{Exit, Process, Ran, Root, Rung, Sandbox, Stream, User};

use crate::support::tool::{install, require, require_root, run};

const BUSYBOX: &str = "/bin/busybox";

/// A root file system of one lower directory, with busybox in it.
struct Place {
    directory: tempfile::TempDir,
}

/// What a command did.
struct Done {
    ran: Ran,
    output: String,
    error: String,
}

impl Place {
    /// None where the sandbox cannot be tried: the test is to return at once.
    fn new() -> Option<Place> {
        let is_there = require_root() && require("busybox");
        is_there.then(|| {
            let place = Place { directory: tempfile::tempdir().unwrap() };
            fs::create_dir_all(place.lower("bin")).unwrap();
            install(BUSYBOX.as_ref(), &place.lower("bin/busybox"));
            for applet in run(BUSYBOX, ["--list"]).lines().filter(|applet| *applet != "busybox") {
                symlink("busybox", place.lower("bin").join(applet)).unwrap();
            }
            for name in ["etc", "tmp", "proc", "dev", "sys"] {
                fs::create_dir(place.lower(name)).unwrap();
            }
            fs::write(place.lower("etc/passwd"), "root:x:0:0::/:/bin/sh\napp:x:1000:1000::/:/bin/sh\n").unwrap();
            fs::write(place.lower("etc/group"), "root:x:0:\napp:x:1000:\nmore:x:2000:app\n").unwrap();
            place
        })
    }

    fn lower(&self, path: &str) -> PathBuf {
        self.directory.path().join("lower").join(path)
    }

    fn upper(&self, path: &str) -> PathBuf {
        self.directory.path().join("upper").join(path)
    }

    fn root(&self) -> Root {
        let path = |name| self.directory.path().join(name);
        Root { lowers: vec![path("lower")], upper: path("upper"), work: path("work") }
    }

    /// Makes the upper directory a new one.
    fn reset(&self) {
        for name in ["upper", "work"] {
            let path = self.directory.path().join(name);
            let _ = fs::remove_dir_all(&path);
            fs::create_dir(path).unwrap();
        }
    }

    /// Runs with a new upper directory.
    fn try_run(&self, process: &Process) -> Result<Done> {
        self.reset();
        let sandbox = Sandbox::find(self.directory.path())?;
        run_on(&sandbox, process, &self.root())
    }

    fn run(&self, process: &Process) -> Done {
        self.try_run(process).unwrap_or_else(|error| panic!("{error}: {:?}: {:?}", error.source, error.hint))
    }

    /// Runs in a chroot, in a copy of the lower directory, which is the upper one.
    fn try_run_in_chroot(&self, process: &Process) -> Result<Done> {
        self.reset();
        copy(&self.lower(""), &self.upper(""), Devices::Dead)?;
        let sandbox = Sandbox::find_on(self.directory.path(), Some(Rung::Chroot))?;
        let root = Root { lowers: Vec::new(), ..self.root() };
        run_on(&sandbox, process, &root)
    }

    fn run_in_chroot(&self, process: &Process) -> Done {
        self.try_run_in_chroot(process).unwrap_or_else(|error| panic!("{error}: {:?}: {:?}", error.source, error.hint))
    }

    /// What a script writes, which has to succeed without a word of complaint.
    fn says(&self, script: &str) -> String {
        says(self.run(&shell(script)))
    }

    /// Where the upper directory has something, sorted, without what was provided.
    fn changed(&self, ran: &Ran) -> Vec<String> {
        let upper = self.upper("");
        let mut found = Vec::new();
        let mut left = vec![upper.clone()];
        while let Some(directory) = left.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if fs::symlink_metadata(&path).unwrap().is_dir() {
                    left.push(path.clone());
                }
                found.push(path.strip_prefix(&upper).unwrap().to_str().unwrap().to_owned());
            }
        }
        found.retain(|path| !ran.provided.iter().any(|file| file.path == path.as_bytes()));
        found.sort();
        found
    }
}

fn run_on(sandbox: &Sandbox, process: &Process, root: &Root) -> Result<Done> {
    let (output, error) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let write = |stream, bytes: &[u8]| {
        let place = if stream == Stream::Output { &output } else { &error };
        place.lock().unwrap().extend_from_slice(bytes);
    };
    let ran = sandbox.run(process, root, &write, &Stop::default())?;
    let text = |bytes: Mutex<Vec<u8>>| String::from_utf8_lossy(&bytes.into_inner().unwrap()).into_owned();
    Ok(Done { ran, output: text(output), error: text(error) })
}

/// What a script writes in a chroot, which has to succeed without a word of complaint.
fn chroot_says(place: &Place, script: &str) -> String {
    says(place.run_in_chroot(&shell(script)))
}

fn says(done: Done) -> String {
    assert_eq!((done.error.as_str(), done.ran.exit), ("", Exit::Status(0)), "{}", done.output);
    done.output
}

fn shell(script: &str) -> Process {
    command(&["/bin/sh", "-c", script])
}

fn command(arguments: &[&str]) -> Process {
    Process {
        environment: vec![b"PATH=/sbin:/bin".to_vec()],
        ..Process::new(arguments.iter().map(|argument| argument.as_bytes().to_vec()).collect())
    }
}

fn app() -> User {
    User { id: 1000, group: 1000, groups: vec![1000, 2000] }
}
