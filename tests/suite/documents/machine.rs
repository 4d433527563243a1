//! The machine that a page's reader sits at: registries under the names that pages use, images that stand for those of Docker
//! Hub, and an empty home.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::OnceLock;

use super::page::{Shown, missing};
use crate::support::docker_registry::DockerRegistry;
use crate::support::program::{Outcome, Program, binary};
use crate::support::tool::{require, require_root, run};
use crate::support::watched_terminal::WatchedTerminal;

/// The images of Docker Hub that pages name. Each is a system with the commands of busybox.
const HUB: [&str; 5] = ["alpine:3.20", "debian:12", "debian:13", "nginx:1.27", "python:3.13-slim"];

pub struct Machine {
    program: Program,
    place: tempfile::TempDir,
    /// By the name that pages give it.
    registries: [(&'static str, DockerRegistry); 3],
    hub: DockerRegistry,
}

impl Machine {
    /// Returns none where a tool is missing.
    pub fn new() -> Option<Self> {
        let tools = ["docker-registry", "skopeo", "git", "bash", "busybox", "gzip", "tar"];
        if !require_root() || !tools.into_iter().all(require) {
            return None;
        }
        let names = ["registry.example", "mirror.example", "registry.inside:5000"];
        let registries = names.map(|name| (name, DockerRegistry::open()));
        let program = Program::new();
        let bin = program.home().join("bin");
        fs::create_dir(&bin).unwrap();
        let path = [bin.as_path(), binary().parent().unwrap()].map(|path| path.display().to_string()).join(":");
        let place = tempfile::tempdir().unwrap();
        let program =
            program.directory(place.path()).environment("PATH", format!("{path}:{}", std::env::var("PATH").unwrap()));
        let hub = hub();
        let mirror =
            format!("[[registry]]\nlocation = \"docker.io\"\n[[registry.mirror]]\nlocation = \"{}\"\n", hub.address());
        fs::write(program.home().join(".config/containers/registries.conf"), mirror).unwrap();
        let machine = Machine { program, place, registries, hub };
        Some(machine)
    }

    /// Runs the commands, which have to succeed.
    pub fn run(&self, place: &str, commands: &str) {
        let outcome = self.bash(commands);
        assert_eq!(outcome.code, Some(0), "{place}:\n{commands}\n{}{}", outcome.stdout, outcome.stderr);
    }

    /// Runs a command, which has to print what is shown, and to fail if an error is shown.
    pub fn show(&self, place: &str, shown: &Shown) {
        let outcome = self.bash(&format!("exec 2>&1\n{}", shown.command));
        let printed = self.named(&outcome.stdout);
        let is_failure = shown.printed.iter().any(|line| line.starts_with("error"));
        assert_eq!(outcome.code != Some(0), is_failure, "{place}: $ {}\n{printed}", shown.command);
        if let Some(line) = missing(&shown.printed, &printed) {
            panic!("{place}: `{}` does not print\n{line}\nbut\n{printed}", shown.command);
        }
    }

    /// Writes a file that the page shows. A path that begins with `~` is in the home.
    pub fn write(&self, path: &str, text: &str) {
        let path = match path.strip_prefix("~/") {
            Some(path) => self.program.home().join(path),
            None => self.place.path().join(path),
        };
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, self.addressed(text)).unwrap();
    }

    /// Looks whether a part of a spec is one.
    pub fn parse(&self, place: &str, text: &str) {
        let spec = tempfile::tempdir().unwrap();
        fs::write(spec.path().join("ocibake.toml"), text).unwrap();
        let outcome = self.program.run(["build".as_ref(), "--check".as_ref(), spec.path().as_os_str()]);
        assert_eq!(outcome.code, Some(0), "{place}:\n{text}\n{}", outcome.stderr);
    }

    /// Looks whether the program takes the flags of its commands, and does nothing.
    pub fn read(&self, place: &str, commands: &str) {
        let only = self.program.home().join("only");
        fs::create_dir_all(&only).unwrap();
        for name in ["ocibake", "docker", "docker-compose"] {
            let _ = std::os::unix::fs::symlink(binary(), only.join(name));
        }
        let read = |name: &str| format!("{name}() {{ {}/{name} \"$@\" --help >/dev/null || exit; }}\n", only.display());
        let functions: String = ["ocibake", "docker", "docker-compose"].map(read).concat();
        let script = format!(
            "PATH=/nothing\ncommand_not_found_handle() {{ while read -r _; do :; done; }}\n{functions}{commands}"
        );
        let directory = tempfile::tempdir().unwrap();
        let script = format!("cd {}\nset -e\n{script}", directory.path().display());
        let outcome = self.bash(&script);
        assert_eq!(outcome.code, Some(0), "{place}:\n{commands}\n{}{}", outcome.stdout, outcome.stderr);
    }

    /// Returns the lines that a terminal shows when the command has ended.
    pub fn on_terminal(&self, command: &str, columns: u16) -> Vec<String> {
        let command = self.program.command_under(&["bash", "-c", &self.addressed(command)], [""; 0]);
        let mut end = WatchedTerminal::start(&command, 50, columns).watch(|_| None);
        end.lines().iter().map(|line| self.named(line)).collect()
    }

    fn bash(&self, commands: &str) -> Outcome {
        let script = format!("set -euo pipefail\n{}", self.addressed(commands));
        Outcome::of(self.program.command_under(&["bash", "-c", &script], [""; 0]).stdin(std::process::Stdio::null()))
    }

    /// Puts the registries' addresses in the place of their names.
    fn addressed(&self, text: &str) -> String {
        self.registries.iter().fold(text.to_owned(), |text, (name, registry)| text.replace(name, &registry.address()))
    }

    /// And the other way round.
    fn named(&self, text: &str) -> String {
        let text = text.replace(&self.hub.address(), "hub.example");
        self.registries.iter().fold(text, |text, (name, registry)| text.replace(&registry.address(), name))
    }
}

/// A registry with the images of [`HUB`], which are made once.
fn hub() -> DockerRegistry {
    static CONTENT: OnceLock<tempfile::TempDir> = OnceLock::new();
    let content = CONTENT.get_or_init(|| {
        let content = tempfile::tempdir().unwrap();
        let registry = DockerRegistry::keeping(content.path());
        let context = system();
        for name in HUB {
            fs::write(context.path().join("etc/image"), name).unwrap();
            let name = format!("{}/library/{name}", registry.address());
            let words = ["build", "--add", ".:/", "--cmd", "/bin/sh", "--env", "PATH=/bin", "-t", &name, "--push"];
            let platforms = ["--platform", "linux/amd64,linux/arm64"];
            Program::new().directory(context.path()).run([&words[..], &platforms].concat()).success();
        }
        content
    });
    DockerRegistry::keeping(content.path())
}

/// The files of a system whose commands are busybox's.
fn system() -> tempfile::TempDir {
    let context = tempfile::tempdir().unwrap();
    let at = |path: &str| context.path().join(path);
    for directory in ["bin", "etc", "tmp"] {
        fs::create_dir(at(directory)).unwrap();
    }
    fs::set_permissions(at("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
    fs::write(at("etc/passwd"), "root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n").unwrap();
    let program = run("sh", ["-c", "command -v busybox"]);
    fs::copy(program.trim(), at("bin/busybox")).unwrap();
    for name in run("busybox", ["--list"]).lines().filter(|name| *name != "busybox") {
        std::os::unix::fs::symlink("busybox", at("bin").join(name)).unwrap();
    }
    context
}
