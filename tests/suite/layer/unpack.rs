//! Layers from anywhere, unpacked: what is in them comes out, and nothing gets out of the root.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink as link};
use std::path::Path;
use std::process::Command;

use ocibake::error::{Error, ErrorKind};
use ocibake::layer::{self, Layer};
use ocibake::oci::{Descriptor, Digest};
use ocibake::tree::Limits;
use tar::EntryType;
use tempfile::TempDir;

use crate::support::handmade::{
    Blob, DOCKER, Entry, GZIP, Handmade, PLAIN, ZSTD, device, directory, entry, file, gzip, hard_link, symlink, tar,
};
use crate::support::listing::{Listing, digest};
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
        if let ocibake::progress::Event::Warning { message } = event {
            println!("{message}");
        }
    });
    outcome.unwrap();
}

/// Each of them tries to get out. What it is to hit lies beside the root, under the name that is tried.
#[test]
fn nothing_gets_out_of_the_root() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "secret").unwrap();
    let away = outside.path().to_str().unwrap().to_owned();
    let within = format!("{}/x", &away[1..]);
    let before = Listing::of_directory(outside.path());
    let go = |layers: &[&[Entry]]| {
        let place = tempfile::tempdir().unwrap();
        link(&away, place.path().join("beside")).unwrap();
        let root = place.path().join("root");
        let outcome = Handmade::of(layers).write(&format!("type=local,dest={}", root.display()));
        Listing::of_directory(outside.path()).assert_is(&before);
        match outcome {
            Ok(()) => {
                assert_eq!(names_in(place.path()), ["beside", "root"]);
                Ok((place, root))
            }
            Err(error) => {
                assert_eq!(names_in(place.path()), ["beside"], "nothing is left of what failed");
                Err(error)
            }
        }
    };
    let refused = |layers: &[&[Entry]], says: &str| {
        let error = go(layers).map(drop).unwrap_err();
        assert!(error.message.contains(says), "{says:?} is not in {error:?}");
        assert!(error.message.contains("sha256:"), "{error:?} does not say which layer");
    };
    let harmless = |layers: &[&[Entry]], there: &str| {
        let (_place, root) = go(layers).unwrap();
        assert_eq!(fs::read(root.join(there)).unwrap(), b"x", "{there}");
    };

    // `..` leads up to the root and no further.
    harmless(&[&[file("../x", "x")]], "x");
    harmless(&[&[file("./../a/../../beside/x", "x")]], "beside/x");
    harmless(&[&[directory("a/.."), file("b", "x"), hard_link("c", "../../b")]], "c");
    refused(&[&[file("..", "x")]], "root");
    harmless(&[&[file(format!("{away}/x"), "x")]], &within);
    harmless(&[&[file("//x", "x")]], "x");

    // A link, and then a file through it, to where it would lead within the root.
    harmless(&[&[symlink("l", &away), file("l/x", "x")]], &within);
    harmless(&[&[symlink("l", &away)], &[file("l/x", "x")]], &within);
    harmless(&[&[symlink("l", "../../../../../../beside"), file("l/x", "x")]], "beside/x");
    harmless(&[&[directory("d"), symlink("d/l", "../../beside"), file("d/l/x", "x")]], "beside/x");
    harmless(&[&[symlink("a", "b"), symlink("b", &away), file("a/x", "x")]], &within);
    // A link is replaced and not written through.
    harmless(&[&[symlink("x", format!("{away}/secret")), file("x", "x")]], "x");
    harmless(&[&[symlink("x", format!("{away}/secret"))], &[file("x", "x")]], "x");
    harmless(&[&[symlink("d", &away)], &[directory("d"), file("d/x", "x")]], "d/x");
    // The same in the other order: a directory is there, then a link takes its place.
    harmless(&[&[directory("d"), file("d/x", "x"), symlink("d", &away), file("y", "x")]], "y");
    refused(&[&[symlink("a", "b"), symlink("b", "a"), file("a/x", "x")]], "40 links");
    refused(&[&[file("f", ""), file("f/x", "x")]], "f is no directory");
    refused(&[&[symlink("l", "f"), file("f", ""), file("l/x", "x")]], "f is no directory");

    refused(&[&[hard_link("h", "/etc/passwd")]], "not there");
    refused(&[&[hard_link("h", "../beside/secret")]], "not there");
    refused(&[&[hard_link("h", format!("{away}/secret"))]], "not there");
    refused(&[&[symlink("l", &away), hard_link("h", "l/secret")]], "not there");
    refused(&[&[directory("d"), hard_link("h", "d")]], "a directory");
    refused(&[&[hard_link("h", "/")]], "the root");
    refused(&[&[hard_link("h", "h")]], "not there");
    // Of the link itself, not of what it leads to.
    let (_place, root) = go(&[&[symlink("l", format!("{away}/secret")), hard_link("h", "l")]]).unwrap();
    assert_eq!(fs::read_link(root.join("h")).unwrap().to_str().unwrap(), format!("{away}/secret"));

    refused(&[&[file(".wh...", "")]], "a whiteout of nothing");
    refused(&[&[file(".wh..", "")]], "a whiteout of nothing");
    refused(&[&[file(".wh.", "")]], "a whiteout of nothing");
    go(&[&[file("../.wh.secret", "")]]).unwrap(); // what it removes is not there
    refused(&[&[file("a/.wh.b/c", "")]], "lies in a whiteout");
    harmless(&[&[file("x", "x"), symlink("l", &away)], &[file("l/.wh.secret", "")]], "x");
    harmless(&[&[file("x", "x"), symlink("l", &away)], &[file("l/.wh..wh..opq", "")]], "x");
    harmless(&[&[file("x", "x")], &[file("no/such/.wh.file", ""), file("no/.wh..wh..opq", "")]], "x");
    harmless(&[&[file("x", "x"), directory(".wh..wh.plnk"), file(".wh..wh.plnk/1", "")]], "x");

    refused(&[&[symlink("/", &away)]], "the root is no directory");
    refused(&[&[file("./", "x").record("path", "./")]], "the root is no directory");
    refused(&[&[symlink("l", "")]], "a target that cannot be");
    refused(&[&[symlink("l", "a").record("linkpath", "a\0b")]], "a target that cannot be");
    refused(&[&[file("x", "").record("path", "a\0b")]], "NUL");
    refused(&[&[file("x", "").record("path", [b"y/".repeat(3000), b"x".to_vec()].concat())]], "4095");

    // Links lead to where no path could; and no deeper than any program can follow.
    let far = format!("{}/", "d".repeat(200)).repeat(15);
    harmless(&[&[symlink("a", &far), file("a/x", "x")]], &format!("{far}x"));
    refused(&[&[symlink(format!("{far}l"), &far), file(format!("{far}l/x"), "")]], "4095 bytes");
    harmless(&[&[file(format!("{}x", "d/".repeat(255)), "x")]], &format!("{}x", "d/".repeat(255)));
    refused(&[&[file(format!("{}x", "d/".repeat(256)), "x")]], "256 directories deep");
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
fn what_is_no_whole_tar_is_refused() {
    let whole = tar(&[file("a", noise(1, 5000)), file("b", "b")]);
    let of = |bytes: &[u8]| Handmade::new(&[Blob::of(bytes, PLAIN)]);
    let refused = |bytes: &[u8], says: &str| fails(&of(bytes), &[says]);

    let mut checksum = whole.clone();
    checksum[0] ^= 1;
    refused(&checksum, "the header at byte 0 has a wrong checksum");
    refused(&whole[..3000], "in the middle of an entry");
    refused(&whole[..512 + 5120 + 100], "in the middle of an entry");
    refused(&whole[..100], "in the middle of an entry");
    refused(b"no tar at all, but long enough to be a header".repeat(20).as_slice(), "checksum");

    let sized = |size: u64| {
        let mut header = file("huge", "").header();
        header.set_size(size);
        header.set_cksum();
        [header.as_bytes(), &[0; 1024][..]].concat()
    };
    refused(&sized(1 << 40), "unpack to more than 4294967296 bytes");
    refused(&sized(u64::MAX), "no size that can be");
    refused(&sized(1200), "in the middle of an entry");
    refused(&tar(&[file("a", "").record("size", "-5")]), "no size that can be");
    refused(&tar(&[file("a", "").record("size", "many")]), "no size that can be");
    refused(&tar(&[file("a", "").record("mtime", "noon")]), "no time that can be");
    refused(&tar(&[file("a", "").record("uid", "4294967295")]), "no uid that can be");
    refused(&tar(&[file("a", "").record("GNU.sparse.major", "1")]), "sparse");
    refused(&tar(&[entry(EntryType::GNUSparse, "a")]), "sparse");
    refused(&tar(&[entry(EntryType::new(b'?'), "a")]), "of the type `?`");
    let mut long = entry(EntryType::XHeader, "x").header();
    long.set_size(2 << 20);
    long.set_cksum();
    refused(&[long.as_bytes(), &vec![0; 3 << 20][..]].concat(), "2097152 bytes");
    let mut records = entry(EntryType::XHeader, "x").header();
    records.set_size(9);
    records.set_cksum();
    let mut data = b"99 path=a".to_vec();
    data.resize(512, 0);
    refused(&[records.as_bytes(), &data[..], &whole].concat(), "a pax header is damaged");

    // Nothing at all is a layer of nothing, as docker makes them, and a tar may lack its end.
    assert_eq!(names_in(unpacked(&of(&[])).path()), [""; 0]);
    assert_eq!(names_in(unpacked(&of(&[0; 1024])).path()), [""; 0]);
    assert_eq!(names_in(unpacked(&of(&whole[..whole.len() - 1024])).path()), ["a", "b"]);
    // What stands behind the end is nobody's.
    assert_eq!(names_in(unpacked(&of(&[whole.clone(), noise(3, 300_000)].concat())).path()), ["a", "b"]);
}

/// Whatever the headers say, with checksums that are right: it is unpacked or refused, and nothing is hit beside it.
#[test]
fn a_tar_of_arbitrary_headers_does_no_harm() {
    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};

    let whole = tar(&[
        directory("d"),
        file("d/a", "content").record("SCHILY.xattr.user.note", "kept"),
        symlink("l", "../beside"),
        hard_link("h", "d/a"),
        file("l/b", noise(1, 700)),
        file("n".repeat(150), "long"),
        file("d/.wh.a", ""),
    ]);
    let edit = (any::<prop::sample::Index>(), prop_oneof![any::<u8>(), Just(0), Just(b'/'), Just(b'.'), b'0'..b'8']);
    let config = Config { cases: 300, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&proptest::collection::vec(edit, 1..6), |edits| {
        let mut bytes = whole.clone();
        for (at, byte) in &edits {
            *at.get_mut(&mut bytes) = *byte;
        }
        for record in bytes.chunks_mut(512).filter(|record| &record[257..262] == b"ustar") {
            record[148..156].fill(b' ');
            let sum: u32 = record.iter().map(|byte| u32::from(*byte)).sum();
            record[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        }
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("beside")).unwrap();
        let image = Handmade::new(&[Blob::of(&bytes, PLAIN)]);
        let outcome = image.write(&format!("type=local,dest={}/root", place.path().display()));
        let expected: &[&str] = if outcome.is_ok() { &["beside", "root"] } else { &["beside"] };
        prop_assert_eq!(names_in(place.path()), expected, "{:?}", outcome);
        prop_assert_eq!(names_in(&place.path().join("beside")), [""; 0]);
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn what_cannot_be_decompressed_is_refused() {
    let whole = tar(&[file("a", noise(1, 500_000))]);
    let refused = |media_type, bytes: Vec<u8>| {
        fails(
            &Handmade::new(&[Blob { bytes, ..Blob::of(&whole, media_type) }]),
            &["cannot be decompressed", "sha256:"],
        );
    };
    for media_type in [GZIP, ZSTD] {
        let blob = Blob::of(&whole, media_type).bytes;
        refused(media_type, blob[..blob.len() - 5].to_vec());
        refused(media_type, blob[..blob.len() / 2].to_vec());
        refused(media_type, [&blob[..], b"and something behind it"].concat());
        let mut damaged = blob.clone();
        damaged[blob.len() / 2] ^= 0x55;
        let image = Handmade::new(&[Blob { bytes: damaged, ..Blob::of(&whole, media_type) }]);
        // Noise is stored as it is: it decompresses, and to something else.
        let (outcome, _, place) = written(&image);
        outcome.unwrap_err();
        assert_eq!(names_in(place.path()), [""; 0]);
    }
}

#[test]
fn what_is_no_layer_is_refused() {
    let odd = Blob { media_type: "application/vnd.example.model", ..Blob::of(&tar(&[]), PLAIN) };
    fails(&Handmade::new(&[odd]), &["application/vnd.example.model", "sha256:"]);
    let image = Handmade::of(&[&[file("a", "")]]);
    fs::remove_file(image.blob_path(&gzip(&tar(&[file("a", "")])))).unwrap();
    let (outcome, _, place) = written(&image);
    assert_eq!(outcome.unwrap_err().kind, ErrorKind::NotFound);
    assert_eq!(names_in(place.path()), [""; 0]);
}

/// All layers are checked before anything is written, those with what is damaged behind the last entry, too.
#[test]
fn a_wrong_digest_leaves_nothing() {
    let good = Blob::of(&tar(&[file("a", noise(1, 100_000))]), GZIP);
    let other = Blob::of(&tar(&[file("b", "b")]), GZIP);
    let wrong_diff_id = Blob { diff_id: digest(&b"another"[..]).1, ..other.clone() };
    fails(
        &Handmade::new(&[good.clone(), wrong_diff_id]),
        &["unpacks to sha256:", &other.diff_id, "of the image's config"],
    );

    let damages: [fn(&mut Vec<u8>); 3] =
        [|bytes| bytes[50] ^= 1, |bytes| bytes.truncate(50_000), |bytes| bytes.push(0)];
    for damage in damages {
        let image = Handmade::new(&[other.clone(), good.clone()]);
        let path = image.blob_path(&good.bytes);
        let mut bytes = good.bytes.clone();
        damage(&mut bytes);
        fs::write(&path, bytes).unwrap();
        let (outcome, _, place) = written(&image);
        let error = outcome.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Integrity, "{error:?}");
        assert!(error.message.contains(&digest(&good.bytes[..]).1), "{error:?}");
        assert_eq!(names_in(place.path()), [""; 0]);
    }
}

#[test]
fn bombs_are_refused() {
    let limited = |image: &Handmade, limit: &str, says: &str| {
        let place = tempfile::tempdir().unwrap();
        let output = |kind: &str| format!("type={kind},dest={}/root,limit={limit}", place.path().display());
        for kind in ["local", "tar"] {
            let error = image.write(&output(kind)).unwrap_err();
            assert!(error.message.contains(says), "{error:?}");
            assert!(error.hint.is_some(), "{error:?}");
            assert_eq!(names_in(place.path()), [""; 0]);
        }
    };
    let zeros = vec![0; 64 << 20];
    let bomb = tar(&[file("zeros", &zeros)]);
    for media_type in [GZIP, ZSTD] {
        limited(&Handmade::new(&[Blob::of(&bomb, media_type)]), "60m", "62914560 bytes");
    }
    // What stands behind the end of the tar counts, too, and so do several layers together.
    limited(&Handmade::new(&[Blob::of(&[tar(&[]), zeros].concat(), GZIP)]), "60m", "62914560 bytes");
    let part = Blob::of(&tar(&[file("zeros", vec![0; 6 << 20])]), GZIP);
    limited(&Handmade::new(&[part.clone(), part.clone(), part.clone()]), "15m", "15728640 bytes");
    let place = tempfile::tempdir().unwrap();
    let output = format!("type=local,dest={}/root,limit=20m", place.path().display());
    Handmade::new(&[part.clone(), part.clone(), part]).write(&output).unwrap();
    assert_eq!(fs::metadata(place.path().join("root/zeros")).unwrap().len(), 6 << 20);
}

/// A million short attributes have few bytes in the tar and many in memory.
#[test]
fn what_attributes_take_in_memory_is_limited() {
    let read = |key: &str, count: usize| {
        let many = (0..count).fold(file("a", ""), |file, number| file.record(&format!("{key}{number:04}"), "x"));
        let tar = tar(&[many]);
        let (blob, diff_id) = (Descriptor::of(PLAIN, &tar), Digest::of(&tar));
        let open = |_: &Descriptor| Ok(Box::new(&tar[..]) as Box<dyn std::io::Read + Send>);
        let limits = Limits { size: 1 << 20, entries: 10, text: 100_000 };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        layer::read(&[Layer { descriptor: blob, diff_id }], &open, limits, &pool)
    };
    let error = read("SCHILY.xattr.user.", 1000).unwrap_err();
    assert!(error.message.contains("extended attributes of the image have more than 100000 bytes"), "{error:?}");
    let tree = read("SCHILY.xattr.user.", 500).unwrap();
    assert_eq!(tree.get(b"a").unwrap().attributes().xattrs.len(), 500);
    // What is not heeded is not kept.
    assert_eq!(read("comment", 1000).unwrap().get(b"a").unwrap().attributes().xattrs.len(), 0);
}

#[test]
fn a_zstd_frame_with_a_huge_window_is_refused() {
    let whole = tar(&[file("a", "a")]);
    // RFC 8878, 3.1.1.1: no single segment; the window is 2^(10 + exponent) bytes. Then one raw block, the last.
    let frame = |exponent: u8| {
        let size = whole.len() as u32;
        let block = (size << 3 | 1).to_le_bytes();
        [&[0x28, 0xb5, 0x2f, 0xfd, 0, exponent << 3][..], &block[..3], &whole].concat()
    };
    let image = |exponent| Handmade::new(&[Blob { bytes: frame(exponent), ..Blob::of(&whole, ZSTD) }]);
    for exponent in [18, 21, 31] {
        fails(&image(exponent), &["cannot be decompressed"]);
    }
    assert_eq!(names_in(unpacked(&image(17)).path()), ["a"]);
}

/// A million entries are many, but no crime; more than two are.
#[test]
#[ignore = "takes a while: with the large images"]
fn the_number_of_entries_is_limited() {
    let header = file("same", "").header();
    let header = header.as_bytes().repeat(1000);
    let mut hasher = <sha2::Sha256 as sha2::Digest>::new();
    (0..2001).for_each(|_| sha2::Digest::update(&mut hasher, &header));
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(1));
    (0..2001).for_each(|_| encoder.write_all(&header).unwrap());
    let diff_id = sha2::Digest::finalize(hasher).iter().map(|byte| format!("{byte:02x}")).collect();
    let bytes = encoder.finish().unwrap();
    fails(&Handmade::new(&[Blob { media_type: GZIP, bytes, diff_id }]), &["more than 2000000 entries"]);
    // Some thousand entries, and each of them in 250 directories of its own.
    let entries: Vec<_> = (0..8100).map(|number| file(format!("{number}/{}", "d/".repeat(250)), "")).collect();
    fails(&Handmade::of(&[&entries]), &["one too many of 2000000 entries with the directories they are in"]);
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
fn unpacked(image: &Handmade) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::remove_dir(root.path()).unwrap();
    image.write(&format!("type=local,dest={}", root.path().display())).unwrap_or_else(|error| panic!("{error:?}"));
    root
}

/// What became of it: the outcome, the warnings, and the place where `root` is if it was written.
fn written(image: &Handmade) -> (Result<(), Error>, Vec<String>, TempDir) {
    let place = tempfile::tempdir().unwrap();
    let (outcome, warnings) = image.write_watched(&format!("type=local,dest={}/root", place.path().display()));
    (outcome, warnings, place)
}

/// It is refused with all of `says`, and leaves nothing, neither as a directory nor as a tar.
#[track_caller]
fn fails(image: &Handmade, says: &[&str]) {
    let place = tempfile::tempdir().unwrap();
    for kind in ["local", "tar"] {
        let error = image.write(&format!("type={kind},dest={}/root", place.path().display())).unwrap_err();
        for part in says {
            assert!(error.message.contains(part), "{part:?} is not in {error:?}");
        }
        assert_eq!(names_in(place.path()), [""; 0]);
    }
}

fn by_umoci(image: &Handmade) -> Listing {
    let bundle = tempfile::tempdir().unwrap();
    let bundle = bundle.path().join("bundle");
    let name = format!("{}:it", image.path().display());
    tool::run("umoci", ["unpack", "--image", &name, bundle.to_str().unwrap()]);
    Listing::of_directory(&bundle.join("rootfs"))
}
