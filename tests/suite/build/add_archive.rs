//! Archives that ADD unpacks: what is in them, as entries.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use ocibake::error::{Error, ErrorKind};
use ocibake::source::archive;
use ocibake::store::LocalStore;
use ocibake::tree::{Attributes, Content, Entry, Kind};
use tempfile::TempDir;

use crate::support::tool::{checked, require, run};
use crate::support::tree::Tree;

fn entries(archive: &[u8]) -> Result<Option<Vec<Entry>>, Error> {
    let directory = tempfile::tempdir().unwrap();
    let store = LocalStore::open(directory.path()).unwrap();
    archive::entries(&Content::Bytes(archive.into()), "the archive", &store)
}

fn unpacked(archive: &[u8]) -> Vec<Entry> {
    entries(archive).unwrap().expect("it is an archive")
}

/// A tar of a directory by GNU tar, uncompressed.
fn tar(tree: &TempDir, flags: &[&str]) -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut command = Command::new("tar");
    command.arg("-C").arg(tree.path()).arg("-cf").arg(file.path()).args(flags).arg(".");
    checked(&mut command);
    fs::read(file.path()).unwrap()
}

/// `bytes` through a program that compresses its standard input.
pub fn compressed(program: &str, flags: &[&str], bytes: &[u8]) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let (from, to) = (directory.path().join("from"), directory.path().join("to"));
    fs::write(&from, bytes).unwrap();
    let mut command = Command::new(program);
    command.args(flags).stdin(fs::File::open(&from).unwrap()).stdout(fs::File::create(&to).unwrap());
    assert!(command.status().unwrap().success(), "{program}");
    fs::read(&to).unwrap()
}

/// Path, kind, mode, owner and time in one line.
fn line(entry: &Entry) -> String {
    let kind = match &entry.kind {
        Kind::File(content) => format!("file {:?}", String::from_utf8(content.bytes().unwrap()).unwrap()),
        Kind::Directory => "directory".to_owned(),
        Kind::Symlink { target } => format!("-> {}", String::from_utf8_lossy(target)),
        Kind::HardLink { target } => format!("= {}", String::from_utf8_lossy(target)),
        Kind::Fifo => "fifo".to_owned(),
        Kind::CharacterDevice { major, minor } => format!("character {major}:{minor}"),
        Kind::BlockDevice { major, minor } => format!("block {major}:{minor}"),
    };
    let path = String::from_utf8_lossy(&entry.path);
    let Attributes { mode, user, group, modified, .. } = entry.attributes;
    format!("{path} {kind} {mode:o} {user}:{group} {}", modified.seconds)
}

#[test]
fn every_compression_is_told_by_its_content() {
    let tools = ["tar", "gzip", "bzip2", "xz", "zstd"];
    if !tools.iter().all(|tool| require(tool)) {
        return;
    }
    let tree = Tree::new().file("a", "first").mode(0o4755).time(1000).hard_link("b", "a").file("d/c", "");
    let tree = tree.symlink("link", "d/c").plant();
    let flags = ["--owner=7", "--group=8", "--mtime=@1000", "--sort=name"];
    let plain = tar(&tree, &flags);
    let expected = [
        "a file \"first\" 4755 7:8 1000",
        "b = a 4755 7:8 1000",
        "d directory 755 7:8 1000",
        "d/c file \"\" 644 7:8 1000",
        "link -> d/c 777 7:8 1000",
    ];
    for (program, flags) in [
        ("cat", &[][..]),
        ("gzip", &["-c"]),
        ("bzip2", &["-c"]),
        ("xz", &["-c"]),
        ("xz", &["-9e", "-c"]),
        ("zstd", &["-q", "-c"]),
        ("zstd", &["-q", "-19", "--long=27", "-c"]),
    ] {
        let archive = compressed(program, flags, &plain);
        assert_eq!(unpacked(&archive).iter().map(line).collect::<Vec<_>>(), expected, "{program} {flags:?}");
    }
    // Several members make one archive, and what follows its end does not matter.
    let (first, second) = plain.split_at(700);
    for (program, flags) in [("gzip", ["-c"]), ("bzip2", ["-c"]), ("xz", ["-c"]), ("zstd", ["-c"])] {
        let parts = [compressed(program, &flags, first), compressed(program, &flags, second)].concat();
        assert_eq!(unpacked(&parts).len(), expected.len(), "{program}");
        let followed = [compressed(program, &flags, &plain), b"junk".to_vec()].concat();
        assert_eq!(unpacked(&followed).len(), expected.len(), "{program}");
    }
}

#[test]
fn what_is_no_tar_is_a_file_like_any_other() {
    if !["gzip", "tar"].iter().all(|tool| require(tool)) {
        return;
    }
    let gzip = |bytes: &[u8]| compressed("gzip", &["-c"], bytes);
    for bytes in [
        b"".to_vec(),
        b"text".to_vec(),
        vec![b'x'; 4096],
        vec![0; 10240],
        gzip(b"text"),
        gzip(&[b'x'; 4096]),
        b"\x1f\x8b\x08 but nothing more".to_vec(),
        b"BZh91AY&SY and then something else entirely".to_vec(),
        b"\xfd7zXZ\0 and no header".to_vec(),
        b"\x28\xb5\x2f\xfd\xff\xff".to_vec(),
        b"PK\x03\x04 a zip is never unpacked".to_vec(),
    ] {
        assert_eq!(entries(&bytes).unwrap(), None, "{:?}", bytes.escape_ascii().to_string());
    }
    // One that begins as a tar and is cut off is no file, but broken.
    let noise: Vec<u8> = (0..5000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let whole = tar(&Tree::new().file("a", noise).plant(), &[]);
    let error = entries(&whole[..3000]).unwrap_err();
    assert!(error.message.contains("the archive") && error.message.contains("ends in the middle"), "{error}");
    let packed = gzip(&whole);
    let error = entries(&packed[..packed.len() - 1000]).unwrap_err();
    assert!(error.message.contains("the archive"), "{error}");
}

#[test]
fn directories_that_the_archive_does_not_tell_of_are_left_to_what_is_there() {
    if !require("tar") {
        return;
    }
    let tree = Tree::new().file("usr/bin/x", "").file("etc/y", "").plant();
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut command = Command::new("tar");
    command.arg("-C").arg(tree.path()).arg("-cf").arg(file.path()).args([
        "usr/bin/x",
        "--no-recursion",
        "etc",
        "etc/y",
    ]);
    checked(&mut command);
    let found = unpacked(&fs::read(file.path()).unwrap());
    let paths: Vec<&[u8]> = found.iter().map(|entry| &entry.path[..]).collect();
    assert_eq!(paths, [&b"etc"[..], b"etc/y", b"usr/bin/x"]);
}

/// By Python's tarfile, which writes what it is told to.
fn handmade(members: &str) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.tar");
    let script = format!(
        "import sys, tarfile, io\n\
         t = tarfile.open(sys.argv[1], 'w', format=tarfile.PAX_FORMAT)\n\
         def add(name, content=b'', **more):\n\
         \x20   i = tarfile.TarInfo(name); i.size = len(content); i.mode = 0o644\n\
         \x20   [setattr(i, key, value) for key, value in more.items()]\n\
         \x20   t.addfile(i, io.BytesIO(content))\n\
         {members}\n\
         t.close()\n"
    );
    run("python3", ["-c", &script, path.to_str().unwrap()]);
    fs::read(&path).unwrap()
}

#[test]
fn links_within_the_archive_are_followed_and_never_out_of_it() {
    if !require("python3") {
        return;
    }
    let found = unpacked(&handmade(
        "add('lib', type=tarfile.SYMTYPE, linkname='usr/lib')\n\
         add('usr/lib', type=tarfile.DIRTYPE, mode=0o755)\n\
         add('lib/x', b'x')\n\
         add('out', type=tarfile.SYMTYPE, linkname='/../../../etc')\n\
         add('out/y', b'y')\n\
         add('twice', b'1'); add('twice', b'2')\n\
         add('caf\u{e9}' + 'n' * 200, b'long', mtime=1.5)\n",
    ));
    let lines: Vec<String> = found.iter().map(line).collect();
    assert!(lines.contains(&"usr/lib/x file \"x\" 644 0:0 0".to_owned()), "{lines:?}");
    assert!(lines.contains(&"etc/y file \"y\" 644 0:0 0".to_owned()), "{lines:?}");
    assert!(lines.contains(&"out -> /../../../etc 644 0:0 0".to_owned()), "{lines:?}");
    assert!(lines.contains(&"twice file \"2\" 644 0:0 0".to_owned()), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("nnn file \"long\" 644 0:0 1")), "{lines:?}");
    assert!(!lines.iter().any(|line| line.starts_with("lib/")), "{lines:?}");
}

#[test]
fn devices_and_fifos_are_what_they_were() {
    if !require("python3") {
        return;
    }
    let found = unpacked(&handmade(
        "add('dev/null', type=tarfile.CHRTYPE, devmajor=1, devminor=3)\n\
         add('dev/sda', type=tarfile.BLKTYPE, devmajor=8)\n\
         add('p', type=tarfile.FIFOTYPE)\n",
    ));
    let lines: Vec<String> = found.iter().map(line).collect();
    assert_eq!(lines, ["dev/null character 1:3 644 0:0 0", "dev/sda block 8:0 644 0:0 0", "p fifo 644 0:0 0"]);
}

#[test]
fn hostile_archives_are_refused_by_name() {
    if !require("python3") {
        return;
    }
    for (members, says) in [
        ("add('ok'); add('../out', b'x')", "has `..` in it"),
        ("add('ok'); add('a/../../out', b'x')", "has `..` in it"),
        ("add('ok'); add('h', type=tarfile.LNKTYPE, linkname='../../etc/passwd')", "has `..` in it"),
        ("add('ok'); add('h', type=tarfile.LNKTYPE, linkname='none')", "is not there"),
        ("add('d/.wh.x')", "stands for a removal"),
        ("add('a', type=tarfile.SYMTYPE, linkname='a'); add('a/b')", "a/b"),
    ] {
        let error = entries(&handmade(members)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Input, "{members}: {error}");
        assert!(error.message.contains("the archive: ") && error.message.contains(says), "{members}: {error}");
    }
    // An absolute path begins at the place that it is unpacked to.
    assert_eq!(
        unpacked(&handmade("add('/etc/x')")).iter().map(line).collect::<Vec<_>>(),
        ["etc/x file \"\" 644 0:0 0"]
    );
}

#[test]
fn a_bomb_ends_before_it_fills_the_disk() {
    if !require("zstd") {
        return;
    }
    // A header that tells of 8 GiB of zeros, and as many of them as fit into a small file.
    let mut header = [0; 512];
    header[..4].copy_from_slice(b"bomb");
    header[100..107].copy_from_slice(b"0000644");
    header[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]);
    header[148..156].fill(b' ');
    header[156] = b'0';
    let sum: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut tar = tempfile::NamedTempFile::new().unwrap();
    tar.write_all(&header).unwrap();
    tar.as_file().set_len(1 << 20).unwrap();
    let archive = compressed("zstd", &["-q", "-c"], &fs::read(tar.path()).unwrap());
    let error = entries(&archive).unwrap_err();
    assert!(error.message.contains("the archive unpacks to more than 4294967296 bytes"), "{error}");
}

#[test]
fn a_file_that_changes_while_it_is_read_is_not_taken_for_another() {
    if !require("tar") {
        return;
    }
    let tree = Tree::new().file("a", "a").plant();
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("a.tar");
    fs::write(&path, tar(&tree, &[])).unwrap();
    let Kind::File(content) = ocibake::tree::inspect(&path, b"a.tar".to_vec()).unwrap().kind else { unreachable!() };
    let store = LocalStore::open(place.path().join("store")).unwrap();
    let read = |name: &str| archive::entries(&content, name, &store);
    assert_eq!(read("a.tar").unwrap().unwrap().len(), 1);
    fs::write(&path, tar(&tree, &["--mtime=@5"])).unwrap();
    let error = read("a.tar").unwrap_err();
    assert!(error.message.contains("changed while it was read"), "{error}");
    assert!(Path::new(&error.message.split(' ').next().unwrap()).ends_with("a.tar"), "{error}");
}
