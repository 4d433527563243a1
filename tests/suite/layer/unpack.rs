//! Layers from anywhere, unpacked: what is in them comes out.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use ocibake::error::{Error, ErrorKind};
use tar::EntryType;
use tempfile::TempDir;

use crate::support::handmade::{
    Blob, DOCKER, GZIP, Handmade, PLAIN, ZSTD, device, directory, entry, file, gzip, hard_link, symlink, tar,
};
use crate::support::listing::Listing;
use crate::support::noise::noise;
use crate::support::program::NOBODY;
use crate::support::small_disk::SmallDisk;
use crate::support::tool::{self, require, require_root};
use crate::support::traces::names_in;
use crate::support::tree::Tree;

#[test]
fn every_form_of_a_layer_is_read() {
    let (one, two, three, four) = (
        tar(&[file("plain", "1"), directory("d")]),
        tar(&[file("d/gzip", noise(1, 700_000))]),
        tar(&[file("d/zstd", noise(2, 600_000))]),
        tar(&[file("d/docker", "4")]),
    );
    // Members and frames one behind the other, cut anywhere; frames without content among them.
    let members = [gzip(&two[..1000]), gzip(&[]), gzip(&two[1000..])].concat();
    let frame = |part: &[u8]| zstd::stream::encode_all(part, 1).unwrap();
    let skipped = [&[0x5e, 0x2a, 0x4d, 0x18, 4, 0, 0, 0][..], b"skip"].concat();
    let frames = [skipped.clone(), frame(&three[..70_000]), skipped.clone(), frame(&three[70_000..]), skipped].concat();
    let image = Handmade::new(&[
        Blob::of(&one, PLAIN),
        Blob { bytes: members, ..Blob::of(&two, GZIP) },
        Blob { bytes: frames, ..Blob::of(&three, ZSTD) },
        Blob::of(&four, DOCKER),
        // Its type says otherwise, as that of many a converted image does.
        Blob { media_type: GZIP, ..Blob::of(&tar(&[file("d/mislabelled", "5")]), PLAIN) },
    ]);
    let root = unpacked(&image);
    assert_eq!(names_in(root.path()), ["d", "plain"]);
    assert_eq!(names_in(&root.path().join("d")), ["docker", "gzip", "mislabelled", "zstd"]);
    assert_eq!(fs::read(root.path().join("d/gzip")).unwrap(), noise(1, 700_000));
    assert_eq!(fs::read(root.path().join("d/zstd")).unwrap(), noise(2, 600_000));
}

/// What GNU tar packs comes out as GNU tar extracts it, and as it was.
#[test]
fn a_tree_with_everything_is_as_tar_and_umoci_unpack_it() {
    if !require_root() || !require("tar") || !require("umoci") {
        return;
    }
    let source = everything().plant();
    for format in ["pax", "gnu"] {
        let xattrs: &[&str] = if format == "pax" { &["--xattrs", "--xattrs-include=*"] } else { &[] };
        let mut pack = Command::new("tar");
        pack.args(["--create", "--numeric-owner", "--sort=name"]).arg(format!("--format={format}")).args(xattrs);
        let packed = pack.arg("-C").arg(source.path()).arg(".").output().unwrap().stdout;
        let image = Handmade::new(&[Blob::of(&packed, GZIP)]);
        let root = unpacked(&image);

        let peer = tempfile::tempdir().unwrap();
        let tarball = peer.path().join("layer.tar");
        fs::write(&tarball, &packed).unwrap();
        let extracted = peer.path().join("tar");
        fs::create_dir(&extracted).unwrap();
        let mut extract = Command::new("tar");
        extract.args(["--extract", "--same-owner", "--same-permissions", "--numeric-owner"]).args(xattrs);
        tool::checked(extract.arg("-C").arg(&extracted).arg("-f").arg(&tarball));
        Listing::of_directory(root.path()).assert_is(&Listing::of_directory(&extracted));
        assert_eq!(
            fs::metadata(root.path()).unwrap().mtime(),
            fs::metadata(source.path()).unwrap().mtime(),
            "the root's own time is in the tar"
        );
        if format == "pax" {
            Listing::of_directory(root.path()).assert_is(&Listing::of_directory(source.path()));
        }
        Listing::of_directory(root.path()).assert_is(&by_umoci(&image));
    }
}

/// Nanoseconds, times before 1970, and GNU's numbers in base 256.
#[test]
fn times_and_numbers_out_of_the_ordinary() {
    if !require_root() {
        return;
    }
    let mut large = file("large-ids", "").header();
    large.set_uid(3_000_000_000);
    large.set_gid(2_500_000_000);
    large.set_cksum();
    let entries = [
        file("fraction", "").record("mtime", "1700000000.123456789"),
        file("before", "").record("mtime", "-1.25"),
        file("ids", "").record("uid", "3000000").record("gid", "4000000"),
    ];
    let start = tar(&entries);
    let bytes = [&start[..start.len() - 1024], large.as_bytes(), &[0; 1024]].concat();
    let root = unpacked(&Handmade::new(&[Blob::of(&bytes, PLAIN)]));
    let stat = |name: &str| fs::metadata(root.path().join(name)).unwrap();
    assert_eq!((stat("fraction").mtime(), stat("fraction").mtime_nsec()), (1_700_000_000, 123_456_789));
    assert_eq!((stat("before").mtime(), stat("before").mtime_nsec()), (-2, 750_000_000));
    assert_eq!((stat("ids").uid(), stat("ids").gid()), (3_000_000, 4_000_000));
    assert_eq!((stat("large-ids").uid(), stat("large-ids").gid()), (3_000_000_000, 2_500_000_000));
}

#[test]
fn libarchives_attributes_are_read_and_those_of_the_machine_left_behind() {
    let entries = [
        file("a", "").record("LIBARCHIVE.xattr.user.per%25cent", "aGVsbG8"),
        file("b", "").record("SCHILY.xattr.user.lines", "one\ntwo\n").record("SCHILY.xattr.user.empty", ""),
        file("c", "")
            .record("SCHILY.xattr.user.overlay.redirect", "/etc")
            .record("SCHILY.xattr.trusted.overlay.opaque", "y")
            .record("SCHILY.xattr.security.selinux", "u:r:t"),
    ];
    let (outcome, warnings, place) = written(&Handmade::of(&[&entries]));
    outcome.unwrap();
    assert_eq!(warnings, [""; 0]);
    let get = |path: &str, name: &str| xattr::get(place.path().join("root").join(path), name).unwrap();
    assert_eq!(get("a", "user.per%cent"), Some(b"hello".to_vec()));
    assert_eq!(get("b", "user.lines"), Some(b"one\ntwo\n".to_vec()));
    assert_eq!(get("b", "user.empty"), Some(Vec::new()));
    assert_eq!(xattr::list(place.path().join("root/c")).unwrap().count(), 0);
}

/// Another user owns what is unpacked; what only root can make is left out, and said.
#[test]
fn an_ordinary_user_gets_the_files() {
    if !require_root() || !require("setpriv") {
        return;
    }
    let entries = [
        directory("closed").mode(0o500),
        file("closed/file", "content").mode(0o400).owner(7, 7),
        directory("blocked").mode(0o000),
        file("blocked/file", "content"),
        file("su", "").mode(0o4755),
        hard_link("su-too", "su"),
        device("null", 1, 3).mode(0o666),
        device("zero", 1, 5),
        hard_link("null-too", "null"),
        entry(EntryType::Fifo, "pipe").mode(0o640),
        file("cap", "").record("SCHILY.xattr.security.capability", "\u{1}\0\0\u{2}\0\u{4}\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        file("noted", "").record("SCHILY.xattr.user.note", "kept"),
        symlink("link", "closed/file").owner(7, 7),
    ];
    let image = Handmade::of(&[&entries]);
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o777)).unwrap();
    fs::set_permissions(image.path(), fs::Permissions::from_mode(0o755)).unwrap();
    for name in ["root", "existing"] {
        let destination = place.path().join(name);
        if name == "existing" {
            fs::create_dir(&destination).unwrap();
            fs::set_permissions(&destination, fs::Permissions::from_mode(0o777)).unwrap();
        }
        // A second binary of this very test does the work as that user.
        let program = place.path().join("test");
        tool::install(&std::env::current_exe().unwrap(), &program);
        let mut unpack = Command::new("setpriv");
        unpack.args([&format!("--reuid={NOBODY}"), &format!("--regid={NOBODY}"), "--clear-groups"]);
        unpack.arg(&program).args([
            "--exact",
            "layer::unpack::as_the_user_that_this_runs_as",
            "--ignored",
            "--nocapture",
        ]);
        unpack.env("OCIBAKE_TEST_IMAGE", image.path()).env("OCIBAKE_TEST_ROOT", &destination);
        let said = tool::checked(&mut unpack);
        for warning in [
            "devices were left out (3, /null the first)",
            "set-user-ID and set-group-ID bits were left out (1, /su the first)",
            "extended attributes were left out (1, /cap the first)",
        ] {
            assert!(said.contains(warning), "{warning} is not in {said}");
        }
        let stat = |path: &str| {
            let stat = fs::symlink_metadata(destination.join(path)).unwrap();
            (stat.mode() & 0o7777, stat.uid())
        };
        assert_eq!(stat("closed"), (0o500, NOBODY));
        assert_eq!(stat("closed/file"), (0o400, NOBODY));
        assert_eq!(stat("blocked"), (0, NOBODY));
        assert_eq!(fs::read(destination.join("blocked/file")).unwrap(), b"content");
        assert_eq!(stat("su"), (0o755, NOBODY));
        assert_eq!(fs::metadata(destination.join("su-too")).unwrap().nlink(), 2);
        assert_eq!(stat("pipe"), (0o640, NOBODY));
        assert_eq!(stat("link").1, NOBODY);
        assert_eq!(xattr::get(destination.join("noted"), "user.note").unwrap(), Some(b"kept".to_vec()));
        assert_eq!(names_in(&destination), ["blocked", "cap", "closed", "link", "noted", "pipe", "su", "su-too"]);
    }
}

/// Not a test of its own: [`an_ordinary_user_gets_the_files`] runs it as another user.
#[test]
#[ignore = "run by another test"]
fn as_the_user_that_this_runs_as() {
    let (Some(image), Some(root)) = (std::env::var_os("OCIBAKE_TEST_IMAGE"), std::env::var_os("OCIBAKE_TEST_ROOT"))
    else {
        return;
    };
    let store = ocibake::store::Layout::open(image).unwrap();
    let root_descriptor = ocibake::store::Store::resolve(&store, None).unwrap();
    let output = format!("type=local,dest={}", Path::new(&root).display());
    let outcome = crate::support::handmade::write_root(&store, &root_descriptor, &output, &|event| {
        if let ocibake::progress::Event::Warning { message, .. } = event {
            println!("{message}");
        }
    });
    outcome.unwrap();
}

#[test]
fn of_several_entries_with_one_path_the_last_counts() {
    let entries = [
        file("a", "first"),
        file("a", "second"),
        file("b", "file"),
        directory("b"),
        file("b/x", "x"),
        directory("c"),
        file("c/x", "x"),
        file("c", "file"),
        file("d", "d"),
        hard_link("e", "d"),
        file("d", "changed"),
        symlink("f", "a"),
        file("f", "file"),
    ];
    let root = unpacked(&Handmade::of(&[&entries]));
    let read = |name: &str| fs::read_to_string(root.path().join(name)).unwrap();
    assert_eq!(
        [read("a"), read("b/x"), read("c"), read("d"), read("e"), read("f")],
        ["second", "x", "file", "changed", "d", "file"]
    );
    assert_eq!(fs::metadata(root.path().join("e")).unwrap().nlink(), 1);
}

#[test]
fn a_full_disk_leaves_nothing() {
    let Some(disk) = SmallDisk::mount("size=1m") else { return };
    let image = Handmade::of(&[&[file("large", noise(1, 3 << 20))], &[file("small", noise(2, 100_000))]]);
    // First of all: what is removed takes its place until nobody has it open, and whatever another test starts has for a
    // moment what this process has.
    let existing = disk.path().join("existing");
    fs::create_dir(&existing).unwrap();
    fs::write(existing.join("mine"), "mine").unwrap();
    for output in ["type=local,dest=root", "type=tar,dest=root", "type=local,dest=existing"] {
        let error = image.write(&output.replace("dest=", &format!("dest={}/", disk.path().display()))).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Io, "{error:?}");
        assert!(error.hint.as_deref().is_some_and(|hint| hint.contains("free some space")), "{error:?}");
    }
    assert_eq!(names_in(disk.path()), ["existing"]);
    assert_eq!(names_in(&existing), ["mine"]);
}

/// Modes and owners of all kinds, capabilities and other attributes, links, long and odd names, an empty directory,
/// a FIFO, a device, a hole, and a file that is written as it comes.
fn everything() -> Tree {
    let long = format!("{}/{}", "directory".repeat(12), "name".repeat(60));
    // Of version 2, cap_net_bind_service, permitted and effective (linux/capability.h).
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    Tree::new()
        .file("bin/su", "su")
        .mode(0o4755)
        .time(1_000_000_000)
        .file("bin/wall", "wall")
        .mode(0o2755)
        .owner(0, 5)
        .file("bin/ping", "ping")
        .attribute("security.capability", capability)
        .owner(10, 20)
        .file("noted", "")
        .attribute("user.note", "a\nb=c\0d")
        .hard_link("also/su", "bin/su")
        .directory("empty")
        .mode(0o1777)
        .time(1_500_000_000)
        .directory("closed")
        .mode(0)
        .file("closed/file", "content")
        .mode(0o400)
        .owner(100_000, 200_000)
        .symlink("link", "/etc/passwd")
        .owner(3, 4)
        .time(1_400_000_000)
        .symlink(&long, "t".repeat(300))
        .file(format!("{long}.txt"), "long")
        .file(b"caf\xe9 \n\x01\\".as_slice(), "odd")
        .fifo("pipe")
        .mode(0o620)
        .device("null")
        .mode(0o666)
        .hole("hole", 3 << 20)
        .file("large", noise(9, 3_000_000))
        .time(1_600_000_000)
}

/// The root file system of an image that can be unpacked.
pub(super) fn unpacked(image: &Handmade) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::remove_dir(root.path()).unwrap();
    image.write(&format!("type=local,dest={}", root.path().display())).unwrap_or_else(|error| panic!("{error:?}"));
    root
}

/// What became of it: the outcome, the warnings, and the place where `root` is if it was written.
pub(super) fn written(image: &Handmade) -> (Result<(), Error>, Vec<String>, TempDir) {
    let place = tempfile::tempdir().unwrap();
    let (outcome, warnings) = image.write_watched(&format!("type=local,dest={}/root", place.path().display()));
    (outcome, warnings, place)
}

/// It is refused with all of `says`, and leaves nothing, neither as a directory nor as a tar.
#[track_caller]
pub(super) fn fails(image: &Handmade, says: &[&str]) {
    let place = tempfile::tempdir().unwrap();
    for kind in ["local", "tar"] {
        let error = image.write(&format!("type={kind},dest={}/root", place.path().display())).unwrap_err();
        for part in says {
            assert!(error.message.contains(part), "{part:?} is not in {error:?}");
        }
        assert_eq!(names_in(place.path()), [""; 0]);
    }
}

pub(super) fn by_umoci(image: &Handmade) -> Listing {
    let bundle = tempfile::tempdir().unwrap();
    let bundle = bundle.path().join("bundle");
    let name = format!("{}:it", image.path().display());
    tool::run("umoci", ["unpack", "--image", &name, bundle.to_str().unwrap()]);
    Listing::of_directory(&bundle.join("rootfs"))
}
