//! A docker daemon of its own, without any network, for as long as the value lives.

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::tool::checked;

pub struct DockerDaemon {
    process: Child,
    directory: TempDir,
}

impl DockerDaemon {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// One that has further arguments.
    pub fn start_with(arguments: &[&str]) -> Self {
        // It waits for its containerd no longer than some seconds, and goes.
        let first = Self::try_start(arguments);
        let tries = (0..3).fold(first, |started, _| started.or_else(|_| Self::try_start(arguments)));
        tries.unwrap_or_else(|log| panic!("dockerd does not start: {log}"))
    }

    /// Or what it said before it went.
    fn try_start(arguments: &[&str]) -> Result<Self, String> {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name).display().to_string();
        let log = File::create(at("log")).unwrap();
        let process = Command::new("dockerd")
            .args(["--iptables=false", "--ip6tables=false", "--ip-masq=false", "--bridge=none"])
            .args(["--storage-driver=vfs", "--data-root", &at("data"), "--exec-root", &at("run")])
            .args(["--pidfile", &at("pid"), "--host", &format!("unix://{}", at("socket"))])
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut daemon = DockerDaemon { process, directory };
        let deadline = Instant::now() + Duration::from_secs(300);
        while !daemon.command(&["version"]).output().unwrap().status.success() {
            let gone = daemon.process.try_wait().unwrap().is_some();
            if gone || Instant::now() > deadline {
                return Err(std::fs::read_to_string(daemon.directory.path().join("log")).unwrap_or_default());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(daemon)
    }

    /// Runs docker's own client against it.
    pub fn docker(&self, arguments: &[&str]) -> String {
        checked(&mut self.command(arguments))
    }

    /// Where it listens, as docker's `--host` takes it.
    pub fn host(&self) -> String {
        format!("unix://{}", self.directory.path().join("socket").display())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.directory.path()).env("DOCKER_HOST", self.host());
        command.args(arguments);
        command
    }
}

impl Drop for DockerDaemon {
    fn drop(&mut self) {
        // Not killed: it has to end the containerd that it started.
        let _ = Command::new("sh").args(["-c", &format!("kill -TERM {}", self.process.id())]).status();
        let _ = self.process.wait();
        // One that goes while it starts leaves the mount that it has made of its data.
        let data = self.directory.path().join("data");
        let _ = Command::new("umount").args(["--quiet", "--lazy"]).arg(data).stderr(Stdio::null()).status();
    }
}
