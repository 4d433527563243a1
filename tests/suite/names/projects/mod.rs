//! Whole projects (`fixtures/projects`), whose owners have written for docker: their scripts, Makefiles and CI files run as they
//! stand, with the program under docker's name, as root and as an ordinary user, and leave in a registry what they should.

mod agent;
mod controller;
mod gateway;
mod job;
mod shop;
mod streams;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::docker_registry::DockerRegistry;
use crate::support::fake_registry;
use crate::support::program::{NOBODY, Outcome, Program};
use crate::support::tool::{self, checked, require, require_root};

/// Who runs a project.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Root,
    Ordinary,
}

/// A checkout of a project, on a machine on which `docker` is the program.
struct Project {
    program: Program,
    who: Who,
    /// What a mirror setting sends docker.io to: it has the bases.
    _hub: DockerRegistry,
    registry: DockerRegistry,
    /// User and password of the registry, if it wants some.
    credentials: Option<(&'static str, &'static str)>,
    checkout: TempDir,
}

impl Project {
    /// None where it cannot be tried.
    fn new(name: &str, who: Who) -> Option<Self> {
        Self::with(name, who, None)
    }

    /// One whose registry lets in this user alone.
    fn with_user(name: &str, who: Who, user: &'static str, password: &'static str) -> Option<Self> {
        if !require("htpasswd") {
            return None;
        }
        Self::with(name, who, Some((user, password)))
    }

    fn with(name: &str, who: Who, credentials: Option<(&'static str, &'static str)>) -> Option<Self> {
        let tools = ["bash", "busybox", "docker-registry", "git", "setpriv", "skopeo"];
        if !require_root() || !tools.into_iter().all(require) {
            return None;
        }
        let hub = DockerRegistry::open();
        push_alpine(&hub);
        let registry = match credentials {
            Some((user, password)) => DockerRegistry::with_user(user, password),
            None => DockerRegistry::open(),
        };
        let program = match who {
            Who::Root => Program::new(),
            Who::Ordinary => Program::new().user(NOBODY),
        };
        let mirror =
            format!("[[registry]]\nlocation = 'docker.io'\n[[registry.mirror]]\nlocation = '{}'\n", hub.address());
        fs::write(program.home().join(".config/containers/registries.conf"), mirror).unwrap();
        let project = Project { checkout: checkout(name), program, who, _hub: hub, registry, credentials };
        project.link();
        if who == Who::Ordinary {
            tool::run("chown", ["-R", &NOBODY.to_string(), project.path().to_str().unwrap()]);
        }
        Some(project)
    }

    /// Puts the program under docker's names, where the `PATH` begins.
    fn link(&self) {
        fs::create_dir(self.links()).unwrap();
        let program = match self.who {
            Who::Root => PathBuf::from(env!("CARGO_BIN_EXE_ocibake")),
            Who::Ordinary => self.program.home().join("ocibake"),
        };
        for name in ["docker", "docker-compose", "docker-buildx"] {
            symlink(&program, self.links().join(name)).unwrap();
        }
    }

    fn links(&self) -> PathBuf {
        self.program.home().join("bin")
    }

    /// The checkout.
    fn path(&self) -> &Path {
        self.checkout.path()
    }

    /// Makes a repository of the checkout, whose one commit has a tag.
    fn commit(&self, tag: &str) {
        let identity = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.com"];
        for words in
            [&["init", "-q", "-b", "main"][..], &["add", "."], &["commit", "-q", "-m", "All of it"], &["tag", tag]]
        {
            let mut command = self.command(&[&["git"], &identity[..], words].concat(), &[]);
            command.env("GIT_AUTHOR_DATE", "2024-05-06T07:08:09Z").env("GIT_COMMITTER_DATE", "2024-05-06T07:08:09Z");
            checked(&mut command);
        }
    }

    /// What runs `words` in the checkout, with these variables beside `PATH`, `HOME` and what the program needs to know of the
    /// test.
    fn command(&self, words: &[&str], environment: &[(&str, &str)]) -> Command {
        let id = NOBODY.to_string();
        let user = match self.who {
            Who::Root => Vec::new(),
            Who::Ordinary => vec!["setpriv", "--reuid", &id, "--regid", &id, "--clear-groups"],
        };
        let words = [user, words.to_vec()].concat();
        let mut command = Command::new(words[0]);
        let given = self.program.command(["--version"]);
        let variables = given.get_envs().filter_map(|(name, value)| Some((name, value?)));
        command.args(&words[1..]).current_dir(self.path()).env_clear().envs(variables);
        let path = format!("{}:{}", self.links().display(), std::env::var("PATH").unwrap());
        command.env("PATH", path).envs(environment.iter().copied());
        command
    }

    fn run(&self, words: &[&str], environment: &[(&str, &str)]) -> Outcome {
        Outcome::of(&mut self.command(words, environment))
    }

    /// The name of something in the registry.
    fn name(&self, path: &str) -> String {
        format!("{}/{path}", self.registry.address())
    }

    fn skopeo(&self, words: &[&str]) -> String {
        let (verb, rest) = words.split_first().unwrap();
        let credentials = self.credentials.map(|(user, password)| format!("--creds={user}:{password}"));
        let flags = ["--tls-verify=false"].into_iter().chain(credentials.as_deref());
        checked(Command::new("skopeo").arg(verb).args(flags).args(rest))
    }

    /// The digest of what the registry has under a name.
    fn digest(&self, path: &str) -> String {
        fake_registry::digest(self.raw(path).as_bytes())
    }

    /// The manifest or index.
    fn raw(&self, path: &str) -> String {
        self.skopeo(&["inspect", "--raw", &format!("docker://{}", self.name(path))])
    }

    /// The config of the image for a platform.
    fn config(&self, path: &str, architecture: &str) -> Value {
        let arch = format!("--override-arch={architecture}");
        let name = format!("docker://{}", self.name(path));
        let credentials = self.credentials.map(|(user, password)| format!("--creds={user}:{password}"));
        let mut command = Command::new("skopeo");
        command
            .args(["--override-os=linux", &arch, "inspect", "--config", "--raw", "--tls-verify=false"])
            .args(credentials);
        serde_json::from_str(&checked(command.arg(name))).unwrap()
    }

    /// The tags of a repository, sorted.
    fn tags(&self, repository: &str) -> Vec<String> {
        let told: Value =
            serde_json::from_str(&self.skopeo(&["list-tags", &format!("docker://{}", self.name(repository))])).unwrap();
        let mut tags: Vec<String> =
            told["Tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap().to_owned()).collect();
        tags.sort();
        tags
    }

    /// The platforms of an index, in its order.
    fn platforms(&self, path: &str) -> Vec<String> {
        let index: Value = serde_json::from_str(&self.raw(path)).unwrap();
        let of = |listed: &Value| {
            let part = |name: &str| listed["platform"][name].as_str().unwrap_or_default().to_owned();
            let variant = Some(part("variant")).filter(|variant| !variant.is_empty());
            [Some(part("os")), Some(part("architecture")), variant].into_iter().flatten().collect::<Vec<_>>().join("/")
        };
        index["manifests"].as_array().expect("it is an index").iter().map(of).collect()
    }

    /// Runs the project again, which does nothing that was done before.
    #[track_caller]
    fn run_again(&self, words: &[&str], environment: &[(&str, &str)]) -> Outcome {
        let outcome = self.run(words, environment).success();
        did_nothing(&outcome);
        outcome
    }
}

/// No command of an image was run, and nothing was sent.
#[track_caller]
fn did_nothing(outcome: &Outcome) {
    let told = outcome.stderr.lines().filter(|line| !line.starts_with('+'));
    let done: Vec<&str> = told.filter(|line| line.contains(": sent ") || line.contains(" took ")).collect();
    assert!(done.is_empty(), "{done:#?} in {}", outcome.stderr);
}

/// A copy of a project, which others may read.
fn checkout(name: &str) -> TempDir {
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let from = fixture(name).join(".");
    tool::run("cp", ["-R", from.to_str().unwrap(), place.path().to_str().unwrap()]);
    place
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/projects").join(name)
}

/// Puts what stands for alpine into a registry, for two platforms, of which the second one never runs.
fn push_alpine(hub: &DockerRegistry) {
    let context = checkout("alpine");
    let root = context.path().join("rootfs");
    for name in
        ["bin", "dev", "etc", "home", "proc", "root", "sys", "tmp", "usr/bin", "usr/sbin", "usr/local/bin", "var"]
    {
        fs::create_dir_all(root.join(name)).unwrap();
    }
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
    let busybox = tool::run("sh", ["-c", "command -v busybox"]);
    tool::install(busybox.trim().as_ref(), &root.join("bin/busybox"));
    for applet in tool::run("busybox", ["--list"]).lines().filter(|applet| *applet != "busybox") {
        symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n")
        .unwrap();
    fs::write(root.join("etc/group"), "root:x:0:\nnobody:x:65534:\n").unwrap();
    chown(&root, Some(0), Some(0)).unwrap();
    let name = format!("{}/library/alpine:3.20", hub.address());
    let platforms = "--platform=linux/amd64,linux/arm64";
    let path = context.path().to_str().unwrap();
    Program::new().run(["build", "--push", platforms, "-t", &name, path]).success();
}
