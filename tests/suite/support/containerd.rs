//! containerd by itself, in a directory of its own, for as long as the value lives.

use std::fs::{self, File};
use std::iter;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::tool::checked;

pub struct PlainContainerd {
    /// containerd, and what it needs, which ends after it.
    processes: Vec<Child>,
    directory: TempDir,
}

impl PlainContainerd {
    pub fn start() -> Self {
        PlainContainerd::start_in(tempfile::tempdir().unwrap(), "", Vec::new())
    }

    /// In `directory`, with `more` in its configuration, and with the processes that it `needs`.
    pub fn start_in(directory: TempDir, more: &str, needs: Vec<Child>) -> Self {
        let at = |name: &str| directory.path().join(name);
        let config = format!(
            "version = 2\nroot = \"{0}/root\"\nstate = \"{0}/state\"\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\", \"io.containerd.internal.v1.opt\"]\n\
             [grpc]\naddress = \"{0}/socket\"\n{more}",
            directory.path().display()
        );
        fs::write(at("config"), config).unwrap();
        let process = Command::new("containerd")
            .arg("-c")
            .arg(at("config"))
            .stdout(Stdio::null())
            .stderr(File::create(at("containerd.log")).unwrap())
            .spawn()
            .unwrap();
        wait_for(&at("socket"));
        PlainContainerd { processes: iter::once(process).chain(needs).collect(), directory }
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
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
        // While the daemon still answers: what it has mounted cannot even be looked at without it.
        let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
        let points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        for point in points.filter(|point| Path::new(point).starts_with(self.directory.path())) {
            let _ = Command::new("umount").args(["--lazy", point]).status();
        }
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Waits until somebody listens on `socket`.
pub fn wait_for(socket: &Path) {
    let deadline = Instant::now() + Duration::from_secs(300);
    while UnixStream::connect(socket).is_err() {
        assert!(Instant::now() < deadline, "nobody listens on {}", socket.display());
        std::thread::sleep(Duration::from_millis(50));
    }
}
