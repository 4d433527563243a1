//! Runs the program under test in a world of its own.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::layout::{Image, Layout};
use super::tool;

pub const NOBODY: u32 = 65534;

/// The program with an empty store, home and docker config, and no environment beside `PATH` and what is set here.
pub struct Program {
    home: TempDir,
    directory: Option<PathBuf>,
    environment: Vec<(OsString, OsString)>,
    umask: Option<u32>,
    user: Option<u32>,
}

/// The program under test: the one that cargo built with the tests, or that at `OCIBAKE_TESTED`, such as a release build.
pub fn binary() -> PathBuf {
    std::env::var_os("OCIBAKE_TESTED").unwrap_or_else(|| env!("CARGO_BIN_EXE_ocibake").into()).into()
}

/// How a run ended.
#[derive(Debug)]
pub struct Outcome {
    /// None where a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Program {
    pub fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["store", "docker", ".config/containers"] {
            fs::create_dir_all(home.path().join(name)).unwrap();
        }
        // Where the user has one, the machine's is not read.
        fs::write(home.path().join(".config/containers/registries.conf"), "").unwrap();
        Program { home, directory: None, environment: Vec::new(), umask: None, user: None }
    }

    /// The local store (`OCIBAKE_STORE`).
    pub fn store(&self) -> PathBuf {
        self.home.path().join("store")
    }

    /// Where docker's `config.json` belongs (`DOCKER_CONFIG`).
    pub fn docker_config(&self) -> PathBuf {
        self.home.path().join("docker")
    }

    /// The home, whose `.config/containers/registries.conf` is empty.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Runs in this directory instead of the home.
    pub fn directory(mut self, directory: impl AsRef<Path>) -> Self {
        self.directory = Some(directory.as_ref().to_owned());
        self
    }

    pub fn environment(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    pub fn umask(mut self, umask: u32) -> Self {
        self.umask = Some(umask);
        self
    }

    /// Runs as another user, who gets the home; needs root and setpriv.
    pub fn user(mut self, user: u32) -> Self {
        for path in [self.home.path(), &self.store(), &self.docker_config()] {
            chown(path, Some(user), Some(user)).unwrap();
        }
        // Where the program was built, another user may not be let in.
        let program = self.home.path().join("ocibake");
        tool::install(&binary(), &program);
        self.user = Some(user);
        self
    }

    /// The command that a run starts, for tests that feed it or kill it.
    pub fn command(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        self.command_under(&[], arguments)
    }

    /// The same, started by another program, such as a tracer or an emulator.
    pub fn command_under(&self, starter: &[&str], arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut words: Vec<OsString> = starter.iter().map(OsString::from).collect();
        if let Some(umask) = self.umask {
            words.extend(["sh", "-c", &format!("umask {umask:03o}; exec \"$@\""), "sh"].map(OsString::from));
        }
        if let Some(user) = self.user {
            let ids = [format!("--reuid={user}"), format!("--regid={user}")];
            words.push("setpriv".into());
            words.extend(ids.map(OsString::from));
            words.push("--clear-groups".into());
            words.push(self.home.path().join("ocibake").into());
        } else {
            words.push(binary().into());
        }
        words.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .current_dir(self.directory.as_deref().unwrap_or(self.home.path()))
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("HOME", self.home.path())
            .env("OCIBAKE_STORE", self.store())
            .env("DOCKER_CONFIG", self.docker_config())
            // What the machine has is left alone.
            .env("OCIBAKE_ENGINE", "none")
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    pub fn run(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Outcome {
        Outcome::of(&mut self.command(arguments))
    }

    /// Builds `context`, a directory that is removed at the end: the images' blobs lie in it.
    #[track_caller]
    pub fn images(&self, context: &Path, flags: &[&str]) -> Vec<Image> {
        let place = tempfile::tempdir_in(context).unwrap().keep();
        let layout = format!("{}/layout/", place.display());
        self.run([&["build", context.to_str().unwrap(), "-o", &layout], flags].concat()).success();
        Layout::open(&layout).images()
    }
}

impl Outcome {
    pub fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Outcome {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
        }
    }

    /// The run ended with 0.
    #[track_caller]
    pub fn success(self) -> Self {
        assert_eq!(self.code, Some(0), "it failed: {self:#?}");
        self
    }

    /// The run ended with this code and printed no result.
    #[track_caller]
    pub fn failure(self, code: i32) -> Self {
        assert_eq!(self.stdout, "", "a run that fails has no result to print");
        self.failure_with_result(code)
    }

    /// The run ended with this code, and what it printed says why.
    #[track_caller]
    pub fn failure_with_result(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "not the exit code that was expected: {self:#?}");
        assert!(!self.stderr.contains("panicked"), "a panic is no error message: {}", self.stderr);
        self
    }

    /// What it complained of holds every one of `parts`.
    #[track_caller]
    pub fn says(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.stderr.contains(part), "{part:?} is not in {:?}", self.stderr);
        }
        self
    }

    /// The digest that a build that succeeded printed, and nothing else.
    #[track_caller]
    pub fn digest(self) -> String {
        let this = self.success();
        let digest = this.stdout.strip_suffix('\n').unwrap_or(&this.stdout);
        let hex = digest.strip_prefix("sha256:").unwrap_or_default();
        assert!(hex.len() == 64 && hex.bytes().all(|c| c.is_ascii_hexdigit()), "not one digest: {this:#?}");
        digest.to_owned()
    }
}
