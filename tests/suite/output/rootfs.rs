//! `-o type=local` and `-o type=tar`: the files of an image without the image.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink as link};
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::support::handmade::{Handmade, device, directory, entry, file, hard_link, symlink};
use crate::support::layout::Layout;
use crate::support::listing::Listing;
use crate::support::program::{NOBODY, Outcome, Program};
use crate::support::tool::{self, require, require_root};
use crate::support::traces::names_in;
use crate::support::tree::Tree;

const SPEC: &str = r#"
name = "example/app"
platforms = ["linux/amd64"]
[[layer]]
add = [{ from = "files", to = "/srv/" }]
[[layer]]
add = [{ from = "more/{arch}", to = "/etc/arch" }, { from = "files/a", to = "/srv/b", mode = "4711", owner = "7:8" }]
"#;

/// A context, a place to write to, and the program that runs there.
struct World {
    context: TempDir,
    place: TempDir,
    program: Program,
}

impl World {
    fn new() -> Self {
        let files = Tree::new()
            .file("ocibake.toml", SPEC)
            .file("files/a", "content")
            .file("files/b", "replaced")
            .hard_link("files/deep/er/a", "files/a")
            .symlink("files/link", "/etc/passwd")
            .directory("files/empty")
            .file("more/amd64", "amd64")
            .file("more/arm64", "arm64");
        let place = tempfile::tempdir().unwrap();
        let program = Program::new().directory(place.path());
        World { context: files.plant(), place, program }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn build(&self, flags: &[&str]) -> Outcome {
        self.program.run([&["build", self.context.path().to_str().unwrap()], flags].concat())
    }

    /// What the image holds by what its layers say, for one platform.
    fn expected(&self, platform: &str) -> Listing {
        self.build(&["--platform", platform, "-o", "expected/"]).success();
        let listing = Layout::open(self.path("expected")).images().remove(0).listing();
        fs::remove_dir_all(self.path("expected")).unwrap();
        listing
    }
}

#[test]
fn a_directory_has_what_the_layers_have() {
    if !require_root() {
        return;
    }
    let world = World::new();
    let outcome = world.build(&["-o", "type=local,dest=a/b/root"]).success();
    assert!(outcome.stderr.contains("wrote files in a/b/root"), "{}", outcome.stderr);
    let listing = Listing::of_directory(&world.path("a/b/root"));
    listing.assert_is(&world.expected("linux/amd64"));
    assert_eq!(names_in(&world.path("a/b")), ["root"]);
    let stat = fs::metadata(world.path("a/b/root/srv/b")).unwrap();
    assert_eq!((stat.mode() & 0o7777, stat.uid(), stat.gid()), (0o4711, 7, 8), "the upper layer's");
}

#[test]
fn several_platforms_go_into_a_directory_each() {
    if !require_root() {
        return;
    }
    let world = World::new();
    world.build(&["--platform=linux/amd64,linux/arm64,linux/arm/v7", "-o", "type=local,dest=root"]).failure(1);
    assert_eq!(names_in(world.place.path()), [""; 0], "there is no more/arm");
    world.build(&["--platform=linux/amd64,linux/arm64", "-o", "type=local,dest=root"]).success();
    assert_eq!(names_in(&world.path("root")), ["linux_amd64", "linux_arm64"]);
    for platform in ["linux/amd64", "linux/arm64"] {
        let root = world.path("root").join(platform.replace('/', "_"));
        Listing::of_directory(&root).assert_is(&world.expected(platform));
    }
    world.build(&["--platform=linux/amd64,linux/arm64", "-o", "type=tar,dest=root.tar"]).success();
    Listing::of_tar(File::open(world.path("root.tar")).unwrap()).assert_is(&Listing::of_directory(&world.path("root")));
}

#[test]
fn an_index_with_one_image_needs_no_directory_for_it() {
    let world = World::new();
    let spec = format!("index = true\n{SPEC}");
    fs::write(world.context.path().join("ocibake.toml"), spec).unwrap();
    world.build(&["-o", "type=local,dest=root"]).success();
    assert_eq!(names_in(&world.path("root")), ["etc", "srv"]);
}

#[test]
fn a_directory_that_exists_is_filled() {
    if !require_root() {
        return;
    }
    let world = World::new();
    let root = world.path("root");
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("a"), "outside").unwrap();
    Tree::new()
        .file("mine", "mine")
        .file("srv/mine", "mine")
        .file("srv/a", "old")
        .file("srv/deep", "a file where a directory is to be")
        .directory("srv/link")
        .symlink("etc", outside.path().to_str().unwrap())
        .plant_in(&root);
    fs::set_permissions(&root, fs::Permissions::from_mode(0o750)).unwrap();
    let srv = fs::metadata(root.join("srv")).unwrap().ino();
    for _ in 0..2 {
        world.build(&["-o", "type=local,dest=root"]).success();
        let mut listing = Listing::of_directory(&root);
        for name in ["mine", "srv/mine"] {
            assert!(listing.0.remove(name.as_bytes()).is_some(), "{name} is gone");
        }
        listing.assert_is(&world.expected("linux/amd64"));
    }
    assert_eq!(fs::metadata(&root).unwrap().mode() & 0o777, 0o750, "it is whose it was");
    assert_eq!(fs::metadata(root.join("srv")).unwrap().ino(), srv, "it is the same one");
    assert_eq!(names_in(outside.path()), ["a"], "a link in it is not followed");
    assert_eq!(fs::read(outside.path().join("a")).unwrap(), b"outside");

    fs::create_dir(world.path("real")).unwrap();
    link("real", world.path("link")).unwrap();
    world.build(&["-o", "type=local,dest=link"]).success();
    assert_eq!(names_in(&world.path("real")), ["etc", "srv"]);
}

#[test]
fn a_directory_with_something_in_it_is_not_replaced() {
    let world = World::new();
    let root = world.path("root");
    Tree::new().file("srv/a/precious", "mine").file("etc/arch", "old").plant_in(&root);
    let before = Listing::of_directory(&root);
    let outcome = world.build(&["-o", "type=local,dest=root"]).failure(1);
    outcome.says(&["root/srv/a is a directory with something in it", "remove it"]);
    Listing::of_directory(&root).assert_is(&before);
}

/// Where only root could write, others find out before anything has been touched.
#[test]
fn a_directory_that_may_not_be_written_to_is_found_before_any_other() {
    if !require_root() || !require("setpriv") {
        return;
    }
    let world = World::new();
    let root = world.path("root");
    Tree::new().file("etc/arch", "old").directory("srv").mode(0o755).plant_in(&root);
    for owned in ["", "etc", "etc/arch"] {
        chown(root.join(owned), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let before = Listing::of_directory(&root);
    let program = Program::new().user(NOBODY).directory(world.place.path());
    let context = world.context.path().to_str().unwrap();
    let arguments = ["build", context, "--platform=linux/amd64", "-o", "type=local,dest=root"];
    program.run(arguments).failure(1).says(&["root/srv/", "Permission denied"]);
    Listing::of_directory(&root).assert_is(&before);
}

#[test]
fn a_file_is_no_directory() {
    let world = World::new();
    fs::write(world.path("file"), "mine").unwrap();
    world.build(&["-o", "type=local,dest=file"]).failure(1).says(&["file is not a directory"]);
    assert_eq!(fs::read(world.path("file")).unwrap(), b"mine");
    fs::create_dir(world.path("directory")).unwrap();
    world.build(&["-o", "type=tar,dest=directory"]).failure(1).says(&["directory is there and is not a regular file"]);
}

#[test]
fn a_tar_has_what_the_directory_has() {
    if !require_root() || !require("tar") {
        return;
    }
    let world = World::new();
    world.build(&["-o", "type=tar,dest=root.tar"]).success();
    Listing::of_tar(File::open(world.path("root.tar")).unwrap()).assert_is(&world.expected("linux/amd64"));

    // With all that other tools put into layers, and as GNU tar extracts it.
    let layers: [&[_]; 3] = [
        &[directory("d").mode(0o500), file("d/a", "a").record("mtime", "12.000000005"), file("gone", "")],
        &[
            hard_link("d/b", "d/a"),
            device("null", 1, 3).mode(0o666).owner(1, 2),
            entry(tar::EntryType::Fifo, "pipe"),
            symlink("d/link", "t".repeat(200)).owner(5, 6),
            file("n".repeat(120), vec![7; 700_000]).record("SCHILY.xattr.user.note", "a\nb").owner(3_000_000, 1),
        ],
        &[file(".wh.gone", ""), file("d/c", "")],
    ];
    let image = Handmade::of(&layers);
    let into = |output: &str| image.write(&format!("{output}{}", world.path("out").display())).unwrap();
    into("type=tar,dest=");
    let tarball = world.path("by-tar.tar");
    fs::rename(world.path("out"), &tarball).unwrap();
    into("type=local,dest=");
    let extracted = world.path("extracted");
    fs::create_dir(&extracted).unwrap();
    let mut extract = Command::new("tar");
    extract.args(["--extract", "--same-owner", "--same-permissions", "--xattrs", "--xattrs-include=*"]);
    tool::checked(extract.arg("--numeric-owner").arg("-C").arg(&extracted).arg("-f").arg(&tarball));
    Listing::of_directory(&extracted).assert_is(&Listing::of_directory(&world.path("out")));
    assert_eq!(names_in(&extracted).len(), 4);
    assert_eq!(fs::metadata(extracted.join("d/a")).unwrap().mtime_nsec(), 5);
    assert_eq!(fs::metadata(extracted.join("null")).unwrap().rdev(), rustix::fs::makedev(1, 3));
}

#[test]
fn a_tar_is_the_same_bytes_every_time() {
    let world = World::new();
    let tar = |jobs: &str| {
        world.build(&["--jobs", jobs, "-o", "type=tar,dest=root.tar"]).success();
        fs::read(world.path("root.tar")).unwrap()
    };
    let first = tar("1");
    assert_eq!(tar("8"), first);
    assert_eq!(tar("0"), first);
}

/// Owners and devices need no rights in a tar.
#[test]
fn a_tar_is_the_same_whoever_writes_it() {
    if !require_root() || !require("setpriv") {
        return;
    }
    let world = World::new();
    world.build(&["-o", "type=tar,dest=root.tar"]).success();
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let program = Program::new().directory(place.path()).user(NOBODY);
    let context = world.context.path().to_str().unwrap();
    program.run(["build", context, "-o", "type=tar,dest=root.tar", "-o", "type=local,dest=root"]).success();
    assert_eq!(fs::read(place.path().join("root.tar")).unwrap(), fs::read(world.path("root.tar")).unwrap());
    let stat = fs::metadata(place.path().join("root/srv/b")).unwrap();
    assert_eq!((stat.mode() & 0o7777, stat.uid()), (0o711, NOBODY));
}

#[test]
fn an_image_that_was_built_before_is_unpacked() {
    let world = World::new();
    for (output, kind) in [("type=docker,dest=it.tar", "docker-archive"), ("it.tar", "oci-archive"), ("it/", "oci")] {
        world.build(&["-o", output, "-o", "type=local,dest=direct"]).success();
        let place = tempfile::tempdir().unwrap();
        let root = format!("type=local,dest={}/root", place.path().display());
        let path = world.path(output.trim_start_matches("type=docker,dest="));
        let store: Box<dyn ocibake::store::Store> = match kind {
            "docker-archive" => Box::new(ocibake::image::archive::open_docker(path).unwrap()),
            "oci-archive" => Box::new(ocibake::image::archive::open(path).unwrap()),
            _ => Box::new(ocibake::store::Layout::open(path).unwrap()),
        };
        crate::support::handmade::write(store.as_ref(), &root).unwrap();
        Listing::of_directory(&place.path().join("root")).assert_is(&Listing::of_directory(&world.path("direct")));
        fs::remove_dir_all(world.path("direct")).unwrap();
    }
}

#[test]
fn a_platform_that_leads_elsewhere_is_refused() {
    let image = Handmade::of(&[&[file("a", "")]]);
    let other = Handmade::of(&[&[file("b", "")]]);
    // Two images, of which one says that it is for `../..`.
    let digests: Vec<_> = [&image, &other].iter().map(|image| Layout::open(image.path()).roots().remove(0)).collect();
    let merged = tempfile::tempdir().unwrap();
    fs::create_dir_all(merged.path().join("blobs/sha256")).unwrap();
    for image in [&image, &other] {
        for name in names_in(&image.path().join("blobs/sha256")) {
            fs::copy(image.path().join("blobs/sha256").join(&name), merged.path().join("blobs/sha256").join(&name))
                .unwrap();
        }
    }
    let index = |platforms: [&str; 2]| {
        let manifests: Vec<_> = digests
            .iter()
            .zip(platforms)
            .map(|(descriptor, architecture)| {
                let mut descriptor = descriptor.clone();
                descriptor["platform"] = serde_json::json!({"os": "linux", "architecture": architecture});
                descriptor
            })
            .collect();
        let media_type = "application/vnd.oci.image.index.v1+json";
        let index = serde_json::json!({"schemaVersion": 2, "mediaType": media_type, "manifests": manifests});
        let bytes = index.to_string();
        let digest = crate::support::listing::digest(bytes.as_bytes()).1;
        fs::write(merged.path().join("blobs/sha256").join(&digest), &bytes).unwrap();
        let root = serde_json::json!({"schemaVersion": 2, "manifests": [
            {"mediaType": media_type, "digest": format!("sha256:{digest}"), "size": bytes.len()}]});
        fs::write(merged.path().join("index.json"), root.to_string()).unwrap();
        fs::write(merged.path().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        let place = tempfile::tempdir().unwrap();
        let output = format!("type=local,dest={}/root", place.path().display());
        let store = ocibake::store::Layout::open(merged.path()).unwrap();
        let outcome = crate::support::handmade::write(&store, &output);
        (outcome.map_err(|error| error.message), names_in(place.path()), place)
    };
    let (outcome, names, _) = index(["amd64", "../../x"]);
    assert_eq!(outcome.unwrap_err(), "`linux/../../x` is not a platform");
    assert_eq!(names, [""; 0]);
    let (outcome, names, _) = index(["amd64", "x86_64"]);
    assert_eq!(outcome.unwrap_err(), "there are several images for linux/amd64");
    assert_eq!(names, [""; 0]);
    let (outcome, _, place) = index(["amd64", "arm64"]);
    outcome.unwrap();
    assert_eq!(names_in(&place.path().join("root")), ["linux_amd64", "linux_arm64"]);
    assert_eq!(names_in(&place.path().join("root/linux_arm64")), ["b"]);
}

#[test]
fn outputs_that_make_no_sense() {
    let world = World::new();
    let cases: [(&str, &[&str]); 7] = [
        ("type=local", &["does not say where to", "dest=PATH"]),
        ("type=tar", &["does not say where to"]),
        ("type=local,dest=", &["does not say where to"]),
        ("type=locla,dest=x", &["did you mean type=local?"]),
        ("type=local,dest=x,limit=much", &["`much` is not a size", "20g"]),
        ("type=oci,dest=x,limit=20g", &["takes no limit"]),
        ("type=local,dest=x,limt=20g", &["`limt=20g`", "limit=SIZE"]),
    ];
    for (output, says) in cases {
        world.build(&["-o", output]).failure(2).says(says);
    }
    assert_eq!(names_in(world.place.path()), [""; 0]);
}

#[test]
fn a_limit_is_kept_and_can_be_raised() {
    let world = World::new();
    fs::write(world.context.path().join("files/zeros"), vec![0; 3 << 20]).unwrap();
    let outcome = world.build(&["-o", "type=local,dest=root,limit=2M"]).failure(1);
    outcome.says(&["unpack to more than 2097152 bytes", "limit=50g"]);
    assert_eq!(names_in(world.place.path()), [""; 0]);
    world.build(&["-o", "type=local,dest=root,limit=4m"]).success();
    assert_eq!(fs::metadata(world.path("root/srv/zeros")).unwrap().len(), 3 << 20);
}

/// An interrupt in the middle leaves nothing of what was on its way.
#[test]
fn an_interrupt_leaves_nothing() {
    let world = World::new();
    let files: Tree = (0..4000).fold(Tree::new(), |tree, number| {
        tree.file(format!("files/{}/{number}", number % 40), vec![number as u8; 20_000])
    });
    files.plant_in(world.context.path());
    let context = world.context.path().to_str().unwrap();
    world.build(&["-o", "type=local,dest=root"]).success();
    let root = world.path("root");
    let whole = Listing::of_directory(&root);
    fs::remove_dir_all(&root).unwrap();
    let mut caught = 0;
    for wait in [30, 60, 100, 150, 200, 300] {
        let mut command = world.program.command(["build", context, "-o", "type=local,dest=root"]);
        let mut child =
            command.stderr(std::process::Stdio::null()).stdout(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(wait));
        let process = rustix::process::Pid::from_child(&child);
        let _ = rustix::process::kill_process(process, rustix::process::Signal::INT);
        let status = child.wait().unwrap();
        caught += usize::from(!status.success());
        // It may be there if all was done but the end of the process.
        if status.success() || root.exists() {
            Listing::of_directory(&root).assert_is(&whole);
            fs::remove_dir_all(&root).unwrap();
        }
        assert_eq!(names_in(world.place.path()), [""; 0], "after {wait} ms");
    }
    assert!(caught > 0, "all were done before");
}
