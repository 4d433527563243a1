//! Repositories that are served over git's own protocol, on loopback.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tempfile::TempDir;

use super::tool::checked;

/// Serves what is below its directory: `git daemon`, started for each connection.
pub struct GitServer {
    root: TempDir,
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    closing: Arc<AtomicBool>,
}

impl GitServer {
    pub fn new() -> Self {
        let (root, listener) = (tempfile::tempdir().unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        let address = listener.local_addr().unwrap();
        let (connections, closing) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, is_closing, base) = (connections.clone(), closing.clone(), root.path().to_owned());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if is_closing.load(Ordering::SeqCst) {
                    return;
                }
                count.fetch_add(1, Ordering::SeqCst);
                serve(stream, &base);
            }
        });
        GitServer { root, address, connections, closing }
    }

    /// A new repository, which can be written to here.
    pub fn repository(&self, name: &str) -> Repository {
        let repository = Repository { path: self.root.path().join(name) };
        checked(Command::new("git").args(["init", "--quiet", "--initial-branch=main"]).arg(&repository.path));
        repository
    }

    pub fn url(&self, name: &str) -> String {
        format!("git://{}/{name}", self.address)
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(stream: TcpStream, base: &Path) {
    let output = OwnedFd::from(stream.try_clone().unwrap());
    let mut base_path = std::ffi::OsString::from("--base-path=");
    base_path.push(base);
    let mut daemon = Command::new("git");
    daemon.args(["-c", "safe.directory=*", "daemon", "--inetd", "--export-all"]).arg(base_path).arg(base);
    daemon.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_KEY_0", "safe.directory").env("GIT_CONFIG_VALUE_0", "*");
    daemon.stdin(Stdio::from(OwnedFd::from(stream))).stdout(Stdio::from(output)).stderr(Stdio::null());
    let mut child = daemon.spawn().unwrap();
    std::thread::spawn(move || child.wait());
}

pub struct Repository {
    path: PathBuf,
}

impl Repository {
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn write(&self, path: &str, content: &str) -> &Self {
        let path = self.path.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self
    }

    /// Commits all there is, and returns the commit.
    pub fn commit(&self, time: i64) -> String {
        self.git(&["add", "--all"]);
        let date = format!("@{time} +0000");
        let identity = ["-c", "user.name=T", "-c", "user.email=t@example.org"];
        let commit = ["commit", "--quiet", "--allow-empty", "--message", "m"];
        checked(
            self.command().args(identity).args(commit).env("GIT_AUTHOR_DATE", &date).env("GIT_COMMITTER_DATE", &date),
        );
        self.git(&["rev-parse", "HEAD"])
    }

    pub fn git(&self, arguments: &[&str]) -> String {
        checked(self.command().args(["-c", "user.name=T", "-c", "user.email=t@example.org"]).args(arguments))
            .trim()
            .to_owned()
    }

    fn command(&self) -> Command {
        let mut git = Command::new("git");
        git.arg("-C").arg(&self.path);
        git
    }
}
