//! podman with a storage of its own, for as long as the value lives.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::program::Program;
use super::tool::checked;

pub struct Podman {
    directory: TempDir,
    service: Option<Child>,
}

impl Podman {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name).display().to_string();
        let storage =
            format!("[storage]\ndriver = \"vfs\"\ngraphroot = \"{}\"\nrunroot = \"{}\"\n", at("root"), at("run"));
        fs::write(at("storage.conf"), storage).unwrap();
        let settings = "[engine]\nevents_logger = \"none\"\ncgroup_manager = \"cgroupfs\"\n\
                        [containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n";
        fs::write(at("containers.conf"), settings).unwrap();
        fs::create_dir(at("runtime")).unwrap();
        Podman { directory, service: None }
    }

    /// With its service, which listens where the user's does.
    pub fn with_service() -> Self {
        let mut podman = Podman::new();
        fs::create_dir(podman.runtime().join("podman")).unwrap();
        let socket = podman.socket();
        let log = fs::File::create(podman.directory.path().join("log")).unwrap();
        let mut command = podman.command();
        command.args(["system", "service", "--time=0", &format!("unix://{}", socket.display())]);
        podman.service = Some(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
        let deadline = Instant::now() + Duration::from_secs(300);
        while std::os::unix::net::UnixStream::connect(&socket).is_err() {
            assert!(Instant::now() < deadline, "nobody listens on {}", socket.display());
            std::thread::sleep(Duration::from_millis(50));
        }
        podman
    }

    pub fn runtime(&self) -> PathBuf {
        self.directory.path().join("runtime")
    }

    pub fn socket(&self) -> PathBuf {
        self.runtime().join("podman/podman.sock")
    }

    /// The program, for which this podman is the engine.
    pub fn program(&self) -> Program {
        self.variables().into_iter().fold(Program::new(), |program, (name, value)| program.environment(name, value))
    }

    /// Runs podman.
    pub fn podman(&self, arguments: &[&str]) -> String {
        checked(self.command().args(arguments))
    }

    /// Runs the command of an image.
    pub fn run(&self, image: &str) -> String {
        // Of cgroups a machine that is itself a container may have a mixture, which crun refuses.
        let script = "mount -t tmpfs tmpfs /sys/fs/cgroup; exec podman \"$@\"";
        let mut command = self.command_of("unshare");
        command.args(["--mount", "sh", "-ec", script, "sh", "run", "--rm", "--network=none", "--cgroups=disabled"]);
        checked(command.arg(image))
    }

    fn command(&self) -> Command {
        self.command_of("podman")
    }

    fn command_of(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.directory.path()).envs(self.variables());
        command
    }

    fn variables(&self) -> [(&'static str, PathBuf); 4] {
        let at = |name: &str| self.directory.path().join(name);
        [
            ("CONTAINERS_STORAGE_CONF", at("storage.conf")),
            ("CONTAINERS_CONF", at("containers.conf")),
            ("XDG_RUNTIME_DIR", at("runtime")),
            ("OCIBAKE_ENGINE", "podman".into()),
        ]
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        if let Some(service) = &mut self.service {
            let _ = service.kill();
            let _ = service.wait();
        }
    }
}
