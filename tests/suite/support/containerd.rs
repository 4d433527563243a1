//! containerd by itself, in a directory of its own, for as long as the value lives.

use std::fs::{self, File};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::tool::checked;

pub struct PlainContainerd {
    process: Child,
    directory: TempDir,
}

impl PlainContainerd {
    pub fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let config = format!(
            "version = 2\nroot = \"{0}/root\"\nstate = \"{0}/state\"\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\", \"io.containerd.internal.v1.opt\"]\n\
             [grpc]\naddress = \"{0}/socket\"\n",
            directory.path().display()
        );
        fs::write(at("config"), config).unwrap();
        let process = Command::new("containerd")
            .arg("-c")
            .arg(at("config"))
            .stdout(Stdio::null())
            .stderr(File::create(at("log")).unwrap())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(300);
        while UnixStream::connect(at("socket")).is_err() {
            assert!(Instant::now() < deadline, "containerd does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        PlainContainerd { process, directory }
    }

    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("socket")
    }

    /// Runs `ctr` in a namespace.
    pub fn ctr(&self, namespace: &str, arguments: &[&str]) -> String {
        checked(Command::new("ctr").arg("-a").arg(self.socket()).args(["-n", namespace]).args(arguments))
    }
}

impl Drop for PlainContainerd {
    fn drop(&mut self) {
        let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
        let points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        for point in points.filter(|point| Path::new(point).starts_with(self.directory.path())) {
            let _ = Command::new("umount").args(["--lazy", point]).status();
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
