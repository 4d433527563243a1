//! Layers of eStargz, read by others: as gzip by those that know no more, and in parts by those that do.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::estargz::{LANDMARK, TOC, context};
use crate::support::docker_daemon::DockerDaemon;
use crate::support::docker_registry::DockerRegistry;
use crate::support::layout::{Image, Layout};
use crate::support::listing::Listing;
use crate::support::program::Program;
use crate::support::stargz::{Containerd, require_stargz};
use crate::support::tool::{self, checked, require, require_root};

#[test]
fn others_read_it_as_gzip() {
    let (place, expected) = built();
    let image = image(&place);
    image.listing().assert_is(&expected);
    let layer = &image.layers[0];
    if require("gzip") {
        checked(Command::new("gzip").arg("-t").stdin(File::open(layer).unwrap()));
    }
    if require("tar") {
        let target = tempfile::tempdir().unwrap();
        let extract = ["--xattrs", "--xattrs-include=*", "-xpzf"];
        checked(Command::new("tar").args(extract).arg(layer).arg("-C").arg(target.path()));
        Listing::of_directory(target.path()).normalised().assert_is(&expected.clone().normalised());
    }
    if require("python3") {
        let script = "import gzip, hashlib, sys, tarfile\n\
                      tar = gzip.open(sys.argv[1]).read()\n\
                      print('sha256:' + hashlib.sha256(tar).hexdigest(), len(tarfile.open(sys.argv[1]).getmembers()))";
        let printed = tool::run("python3", ["-c", script, layer.to_str().unwrap()]);
        let diff_id = image.config["rootfs"]["diff_ids"][0].as_str().unwrap();
        assert_eq!(printed.trim_end(), format!("{diff_id} {}", expected.0.len()));
    }
    if require("skopeo") && require("umoci") {
        let mut skopeo = Command::new("skopeo");
        let copy = ["--insecure-policy", "copy", "-q", "oci:layout", "oci:copy:it"];
        checked(skopeo.args(copy).current_dir(place.path()));
        assert_eq!(Layout::open(place.path().join("copy")).images()[0].manifest, image.manifest);
        checked(Command::new("umoci").args(["unpack", "--image", "copy:it", "bundle"]).current_dir(place.path()));
        Listing::of_directory(&place.path().join("bundle/rootfs")).normalised().assert_is(&expected.normalised());
    }
}

#[test]
fn podman_loads_it() {
    if !require_root() || !require("podman") {
        return;
    }
    let (place, _) = built();
    let at = |name: &str| place.path().join(name).display().to_string();
    let podman = |arguments: &[&str]| {
        let options = ["--storage-driver=vfs", "--events-backend=none", "--root", &at("root"), "--runroot", &at("run")];
        checked(Command::new("podman").args(options).args(arguments).current_dir(place.path()))
    };
    podman(&["load", "-q", "-i", "archive.tar"]);
    let report: Value = serde_json::from_str(&podman(&["image", "inspect", "example/seekable"])).unwrap();
    assert_eq!(report[0]["RootFS"]["Layers"], image(&place).config["rootfs"]["diff_ids"]);
}

#[test]
fn docker_loads_it() {
    if !require_root() || !require("dockerd") || !require("docker") {
        return;
    }
    let (place, _) = built();
    let daemon = DockerDaemon::start();
    daemon.docker(&["load", "-i", &place.path().join("docker.tar").display().to_string()]);
    let report: Value = serde_json::from_str(&daemon.docker(&["image", "inspect", "example/seekable"])).unwrap();
    assert_eq!(report[0]["RootFS"]["Layers"], image(&place).config["rootfs"]["diff_ids"]);
}

#[test]
fn an_archive_of_ours_is_pushed_again_with_its_annotations() {
    if !require("docker-registry") || !require("skopeo") {
        return;
    }
    let (place, _) = built();
    let registry = DockerRegistry::open();
    for (tag, archive) in [("oci", "archive.tar"), ("docker", "docker.tar")] {
        let name = format!("{}/seekable:{tag}", registry.address());
        Program::new().directory(place.path()).run(["push", &name, &format!("./{archive}")]).success();
        let manifest = format!("docker://{name}");
        let manifest = tool::run("skopeo", ["inspect", "--raw", "--tls-verify=false", &manifest]);
        assert_eq!(serde_json::from_str::<Value>(&manifest).unwrap(), image(&place).manifest, "{archive}");
    }
}

/// The whole way: pushed, pulled by containerd, which fetches the table alone and mounts the layer, and then read file by
/// file. The snapshotter checks the table against its annotation and each chunk against the table.
#[test]
fn containerd_pulls_it_lazily() {
    if !require("docker-registry") || !require_stargz() {
        return;
    }
    let context = context();
    let registry = DockerRegistry::open();
    let name = format!("{}/seekable:1", registry.address());
    let place = tempfile::tempdir().unwrap();
    let program = Program::new().directory(place.path());
    let words = ["build", context.path().to_str().unwrap(), "--compression=estargz", "--timestamp=preserve"];
    program.run(words.iter().chain(&["-t", &name, "--push", "-o", "layout/"])).success();
    let image = image(&place);

    let containerd = Containerd::start();
    // The chain id of a single layer is its diff_id.
    let root = containerd.mount(&name, image.config["rootfs"]["diff_ids"][0].as_str().unwrap());
    Listing::of_directory(&root).assert_is(&Listing::of_directory(&context.path().join("files")));
    let layer = image.manifest["layers"][0]["digest"].as_str().unwrap();
    assert!(!containerd.blobs().iter().any(|blob| blob == layer), "the layer was fetched whole");
}

/// podman fetches no more than the files that it lacks if it is told to.
#[test]
fn podman_pulls_it_in_parts() {
    if !require("docker-registry") || !require("podman") || !require_overlay() {
        return;
    }
    let (place, mut expected) = built();
    let at = |name: &str| place.path().join(name).display().to_string();
    let config = format!(
        "[storage]\ndriver = \"overlay\"\ngraphroot = \"{}\"\nrunroot = \"{}\"\n\
         [storage.options]\npull_options = {{ enable_partial_images = \"true\" }}\n",
        at("root"),
        at("run")
    );
    fs::write(at("storage.conf"), config).unwrap();
    let podman = |arguments: &[&str]| {
        let mut podman = Command::new("podman");
        podman.args(["--events-backend=none", "--log-level=debug"]).args(arguments);
        podman.env("CONTAINERS_STORAGE_CONF", at("storage.conf")).output().unwrap()
    };
    let registry = DockerRegistry::open();
    let name = format!("{}/seekable:1", registry.address());
    Program::new().run(["push", &name, &at("archive.tar")]).success();
    let pulled = podman(&["pull", "--tls-verify=false", &name]);
    let log = String::from_utf8_lossy(&pulled.stderr);
    assert!(pulled.status.success() && log.contains("Retrieved partial blob"), "{log}");

    let mounted = podman(&["image", "mount", &name]);
    assert!(mounted.status.success(), "{mounted:?}");
    let root = String::from_utf8(mounted.stdout).unwrap();
    let found = Listing::of_directory(Path::new(root.trim_end()));
    assert!(podman(&["image", "umount", "--all"]).status.success());
    // They are no part of what the image shows.
    expected.0.retain(|path, _| ![LANDMARK, TOC].map(str::as_bytes).contains(&&path[..]));
    // Older versions look for the times under another name, and give each file the time of the pull.
    found.at_time(0).assert_is(&expected.at_time(0));
}

/// A layout and both archives of an image, and what its layer holds.
fn built() -> (TempDir, Listing) {
    let (place, context) = (tempfile::tempdir().unwrap(), context());
    let outputs = ["-o", "layout/", "-o", "archive.tar", "-o", "type=docker,dest=docker.tar"];
    let words = ["build", context.path().to_str().unwrap(), "--compression=estargz:4", "--timestamp=preserve"];
    Program::new().directory(place.path()).run(words.iter().chain(&outputs)).success();
    let mut expected = Listing::of_directory(&context.path().join("files"));
    let listing = image(&place).listing();
    for own in [LANDMARK, TOC] {
        expected.0.insert(own.into(), listing.0[own.as_bytes()].clone());
    }
    (place, expected)
}

/// Whether overlay file systems can be mounted where temporary files are. Without it the test is to return at once.
fn require_overlay() -> bool {
    if !require_root() || !require("unshare") || !require("mount") {
        return false;
    }
    let place = tempfile::tempdir().unwrap();
    for name in ["lower", "upper", "work", "merged"] {
        fs::create_dir(place.path().join(name)).unwrap();
    }
    let mut mount = Command::new("unshare");
    mount.args(["--mount", "mount", "-t", "overlay", "-o", "lowerdir=lower,upperdir=upper,workdir=work"]);
    let output = mount.args(["overlay", "merged"]).current_dir(place.path()).output().unwrap();
    output.status.success() || tool::skip("overlay file systems cannot be mounted on the temporary directory's")
}

/// The only image of the layout in `place`.
fn image(place: &TempDir) -> Image {
    Layout::open(place.path().join("layout")).images().remove(0)
}
