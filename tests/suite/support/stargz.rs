//! containerd with stargz-snapshotter, which pulls layers of eStargz lazily, for as long as the value lives.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::containerd::{PlainContainerd, wait_for};
use super::tool::{checked, require, require_root, skip};

/// Where Debian has the sources of Go packages.
const GOPATH: &str = "/usr/share/gocode";

/// Debian has the snapshotter's library but not its program, which is therefore a fixture.
const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/stargz-snapshotter/main.go");

pub struct Containerd(PlainContainerd);

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
        let more = format!(
            "[plugins.\"io.containerd.gc.v1.scheduler\"]\nstartup_delay = \"1h\"\nschedule_delay = \"1h\"\n\
             [proxy_plugins.stargz]\ntype = \"snapshot\"\naddress = \"{}/stargz\"\n",
            directory.path().display()
        );
        let snapshotter = Command::new(snapshotter())
            .args([at("stargz"), at("snapshots")])
            .stdout(Stdio::null())
            .stderr(File::create(at("stargz.log")).unwrap())
            .spawn()
            .unwrap();
        // containerd gives up on a snapshotter that is not there when it wants it.
        wait_for(&at("stargz"));
        Containerd(PlainContainerd::start_in(directory, &more, vec![snapshotter]))
    }

    /// Pulls the image `name`, whose chain id is `chain` (image-spec, config.md); where its root file system is shown.
    pub fn mount(&self, name: &str, chain: &str) -> PathBuf {
        let place = self.0.directory().join("mounted");
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
        checked(Command::new("ctr-remote").arg("-a").arg(self.0.socket()).args(arguments))
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for name in ["containerd.log", "stargz.log"] {
                let log = fs::read_to_string(self.0.directory().join(name)).unwrap_or_default();
                eprintln!("{name}:\n{log}");
            }
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
