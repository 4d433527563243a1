//! containerd with stargz-snapshotter, which pulls layers of eStargz lazily, for as long as the value lives.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::tool::{checked, require, require_root, skip};

/// Where Debian has the sources of Go packages.
const GOPATH: &str = "/usr/share/gocode";

/// Debian has the snapshotter's library but not its program, which is therefore a fixture.
const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/stargz-snapshotter/main.go");

pub struct Containerd {
    containerd: Child,
    snapshotter: Child,
    directory: TempDir,
}

/// Whether it can run here.
pub fn require_stargz() -> bool {
    let library = Path::new(GOPATH).join("src/github.com/containerd/stargz-snapshotter");
    require_root()
        && ["containerd", "ctr-remote", "go", "umount"].into_iter().all(require)
        && (library.exists() || skip("the library of stargz-snapshotter is not installed"))
        && (Path::new("/dev/fuse").exists() || skip("there is no /dev/fuse"))
}

impl Containerd {
    pub fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        // Not to collect as garbage the views that no container uses.
        let config = format!(
            "version = 2\nroot = \"{0}/root\"\nstate = \"{0}/state\"\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\", \"io.containerd.internal.v1.opt\"]\n\
             [plugins.\"io.containerd.gc.v1.scheduler\"]\nstartup_delay = \"1h\"\nschedule_delay = \"1h\"\n\
             [grpc]\naddress = \"{0}/containerd\"\n\
             [proxy_plugins.stargz]\ntype = \"snapshot\"\naddress = \"{0}/stargz\"\n",
            directory.path().display()
        );
        fs::write(at("config"), config).unwrap();
        let log = |name: &str| Stdio::from(File::create(at(name)).unwrap());
        let snapshotter = Command::new(snapshotter())
            .args([at("stargz"), at("snapshots")])
            .stdout(Stdio::null())
            .stderr(log("stargz.log"))
            .spawn()
            .unwrap();
        // containerd gives up on a snapshotter that is not there when it wants it.
        wait_for(&at("stargz"));
        let containerd = Command::new("containerd")
            .arg("-c")
            .arg(at("config"))
            .stdout(Stdio::null())
            .stderr(log("containerd.log"))
            .spawn()
            .unwrap();
        wait_for(&at("containerd"));
        Containerd { containerd, snapshotter, directory }
    }

    /// Pulls the image `name`, whose chain id is `chain` (image-spec, config.md); where its root file system is shown.
    pub fn mount(&self, name: &str, chain: &str) -> PathBuf {
        let place = self.directory.path().join("mounted");
        fs::create_dir(&place).unwrap();
        self.ctr(&["image", "rpull", "--plain-http", "--snapshotter", "stargz", name]);
        let snapshots = |arguments: &[&str]| self.ctr(&[&["snapshot", "--snapshotter", "stargz"], arguments].concat());
        snapshots(&["view", "view", chain]);
        checked(Command::new("sh").args(["-c", &snapshots(&["mounts", place.to_str().unwrap(), "view"])]));
        place
    }

    /// The digests of all blobs that it has fetched whole.
    pub fn blobs(&self) -> Vec<String> {
        self.ctr(&["content", "ls", "-q"]).lines().map(str::to_owned).collect()
    }

    fn ctr(&self, arguments: &[&str]) -> String {
        let socket = self.directory.path().join("containerd");
        checked(Command::new("ctr-remote").arg("-a").arg(socket).args(arguments))
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for name in ["containerd.log", "stargz.log"] {
                let log = fs::read_to_string(self.directory.path().join(name)).unwrap_or_default();
                eprintln!("{name}:\n{log}");
            }
        }
        // While the daemon still answers: what it has mounted cannot even be looked at without it.
        let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
        let points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        for point in points.filter(|point| Path::new(point).starts_with(self.directory.path())) {
            let _ = Command::new("umount").args(["--lazy", point]).status();
        }
        for process in [&mut self.containerd, &mut self.snapshotter] {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// The snapshotter's program, built from its source.
fn snapshotter() -> PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let program = place.join("stargz-snapshotter");
    let mut go = Command::new("go");
    go.args(["build", "-o"]).arg(&program).arg(SOURCE);
    checked(go.env("GO111MODULE", "off").env("GOPATH", GOPATH).env("GOCACHE", place.join("go")));
    program
}

fn wait_for(socket: &Path) {
    let deadline = Instant::now() + Duration::from_secs(300);
    while std::os::unix::net::UnixStream::connect(socket).is_err() {
        assert!(Instant::now() < deadline, "nobody listens on {}", socket.display());
        std::thread::sleep(Duration::from_millis(50));
    }
}
