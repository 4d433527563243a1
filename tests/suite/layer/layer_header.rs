//! Headers at the edge of what ustar and pax hold, as the tar crate, Python and GNU tar read them.

use std::fs;
use std::io::{self, Cursor, Read, Write};
use std::process::Command;
use std::sync::{Arc, Mutex};

use ocibake::layer::Compression;
use ocibake::tree::{Attributes, Entry, Kind, Time, inspect};

use crate::support::entry::{directory, file, hard_link, listing_of, symlink, write, write_to};
use crate::support::layout::Layout;
use crate::support::listing::Listing;
use crate::support::program::Program;
use crate::support::python;
use crate::support::tool::{self, checked, require, require_root};
use crate::support::tree::Tree;

#[test]
fn paths_of_every_length_that_matters() {
    // 100 bytes are the name's, 155 the prefix's, and the slash between them is stored nowhere.
    let split = |prefix: usize, name: usize| format!("{}/{}", "p".repeat(prefix), "n".repeat(name));
    let mut paths: Vec<String> = [1, 99, 100, 101, 255].iter().map(|length| "a".repeat(*length)).collect();
    for prefix in 154..=157 {
        paths.extend([99, 100, 101].map(|name| split(prefix, name)));
    }
    paths.extend([255, 256, 257, 1000, 4095].map(|length| nested(length, 50)));
    read_by_all(paths.iter().map(|path| file(path, path)));
    read_by_all(paths.iter().map(directory));
    read_by_all(paths.iter().map(|path| symlink(path, "target")));
}

#[test]
fn targets_of_every_length_that_matters() {
    let lengths = [1, 99, 100, 101, 255, 256, 4095];
    read_by_all(lengths.map(|length| symlink(format!("link {length}"), "t".repeat(length))));
    let targets = lengths.map(|length| nested(length, 60));
    let links = targets.iter().map(|target| hard_link(format!("z {}", target.len()), target));
    read_by_all(targets.iter().map(|target| file(target, target)).chain(links));
}

#[test]
fn owners_around_the_largest_that_a_field_holds() {
    let ids = [0, 65_534, 2_097_151, 2_097_152, 4_294_967_294];
    let pairs = ids.iter().flat_map(|user| ids.map(|group| (*user, group)));
    read_by_all(pairs.flat_map(|(user, group)| {
        let name = format!("{user} {group}");
        [file(&name, "content"), directory(name + " directory")].map(|entry| {
            let attributes = Attributes { user, group, ..entry.attributes };
            Entry { attributes, ..entry }
        })
    }));
}

#[test]
fn times_before_1970_and_far_from_now() {
    // 0o77777777777 is the largest that a field holds.
    let times = [-1, -62_135_596_800, 1, 0o77777777777, 0o77777777777 + 1, 1 << 40, i64::MAX, i64::MIN];
    read_by_all(times.iter().flat_map(|&modified| {
        let name = format!("{modified}");
        [file(&name, "content"), symlink(name + " link", "target")].map(|entry| {
            let attributes = Attributes { modified: Time::of_seconds(modified), ..entry.attributes };
            Entry { attributes, ..entry }
        })
    }));
}

#[test]
fn names_of_any_bytes() {
    let all: Vec<u8> = (1..=255).filter(|byte| *byte != b'/').collect();
    let odd: [&[u8]; 7] = [b"caf\xe9", "caf\u{e9}".as_bytes(), b"new\nline", b"\n", b" ", b"30 path=fake\n", &all];
    let long = odd.map(|name| [&b"long/".repeat(60)[..], name].concat());
    let paths: Vec<&[u8]> = odd.into_iter().chain(long.iter().map(Vec::as_slice)).collect();
    read_by_all(paths.iter().flat_map(|path| [file(path, "content"), symlink([path, &b".link"[..]].concat(), path)]));
    read_by_all(paths.iter().map(directory));
}

#[test]
fn attributes_of_any_value_and_size() {
    // Around the lengths at which a record's own length takes one digit more.
    let lengths = (50..80).chain(960..980).chain([9_950, 9_970, 65_535]).map(|length| b"v".repeat(length));
    let odd = [&b""[..], b"\0", b"\n", b"a\nb\n", b"\0\xff\0", b"9 a=b\n", b"="].map(<[u8]>::to_vec);
    read_by_all(odd.into_iter().chain(lengths).enumerate().map(|(number, value)| {
        let mut entry =
            if number % 2 == 0 { file(number.to_string(), "content") } else { directory(number.to_string()) };
        entry.attributes.xattrs.insert(b"user.one".to_vec(), value);
        entry.attributes.xattrs.insert(b"user.two".to_vec(), b"two".to_vec());
        entry
    }));
}

#[test]
fn an_attribute_with_a_name_that_no_record_can_hold_is_refused() {
    for name in [&b"user.a=b"[..], b"user.\xff"] {
        let mut entry = file("some/file", "");
        entry.attributes.xattrs.insert(name.to_vec(), b"value".to_vec());
        let error = write_to(Vec::new(), &[entry], Compression::None, 1).unwrap_err();
        assert!(error.message.contains("user.") && error.message.contains("some/file"), "{error}");
    }
}

#[test]
fn a_size_over_8_gib() {
    let place = tempfile::tempdir().unwrap();
    for size in [0o77777777777, 0o77777777777 + 1, 9 << 30, 1 << 41] {
        let sparse = place.path().join("sparse");
        fs::File::create(&sparse).unwrap().set_len(size).unwrap();
        let head = head_of(&inspect(&sparse, b"sparse".to_vec()).unwrap());
        let mut archive = tar::Archive::new(Cursor::new(&head).chain(io::repeat(0)));
        let entry = archive.entries().unwrap().next().unwrap().unwrap();
        assert_eq!((entry.size(), entry.path_bytes().as_ref()), (size, &b"sparse"[..]));
        let path = place.path().join("head.tar");
        fs::write(&path, &head).unwrap();
        if require("python3") {
            let script = "import sys, tarfile; print(tarfile.open(sys.argv[1], 'r:').next().size)";
            let read = tool::run("python3", ["-c", script, path.to_str().unwrap()]);
            assert_eq!(read.trim_end(), size.to_string());
        }
        if require("tar") {
            // It complains of the end that is missing, after it has told of the entry.
            let listed = Command::new("tar").args(["--list", "--verbose", "--file"]).arg(&path).output().unwrap();
            let listed = String::from_utf8(listed.stdout).unwrap();
            assert_eq!(listed.split_whitespace().nth(2), Some(size.to_string().as_str()), "{listed}");
        }
    }
}

#[test]
fn the_program_preserves_times_and_owners_that_need_a_pax_header() {
    if !require_root() {
        return;
    }
    let spec = "name = \"example/x\"\nplatforms = [\"linux/amd64\"]\n\
                [[layer]]\nname = \"all\"\nadd = [{ from = \"files\", to = \"/\", owner = \"preserve\" }]\n";
    let context = Tree::new()
        .file("ocibake.toml", spec)
        .file("files/past", "past")
        .time(-2_147_483_648)
        .file("files/future", "future")
        .time(0o77777777777 + 5)
        .directory("files/far")
        .owner(2_097_152, 4_294_967_294)
        .time(-1)
        .file(format!("files/far/{}", "n".repeat(255)), "long")
        .symlink("files/link", "t".repeat(1000))
        .time(12)
        .plant();
    let place = tempfile::tempdir().unwrap();
    let layout = place.path().join("layout");
    let into = format!("{}/", layout.display());
    let arguments = ["build", context.path().to_str().unwrap(), "--timestamp", "preserve", "-o", &into];
    Program::new().run(arguments).success();
    let expected = Listing::of_directory(&context.path().join("files"));
    Layout::open(&layout).images()[0].listing().assert_is(&expected);
}

/// `length` bytes of path with parts of `part` bytes.
fn nested(length: usize, part: usize) -> String {
    let path: String = (1..=length).map(|at| if at % (part + 1) == 0 { '/' } else { 'x' }).collect();
    // It must not end in a slash.
    path[..length - 1].to_owned() + "y"
}

/// The tar crate, Python and GNU tar read what was meant.
#[track_caller]
fn read_by_all(entries: impl IntoIterator<Item = Entry>) {
    let entries: Vec<Entry> = entries.into_iter().collect();
    let expected = listing_of(&entries);
    let tar = write(&entries, Compression::None, 1).sink;
    Listing::of_tar(&tar[..]).assert_is(&expected);
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("layer.tar");
    fs::write(&path, &tar).unwrap();
    if require("python3") {
        python::listing_of(&path).assert_is(&expected);
    }

    let extractable: Vec<Entry> = entries.into_iter().filter(is_extractable).collect();
    if extractable.is_empty() || !require("tar") || !require_root() {
        return;
    }
    fs::write(&path, write(&extractable, Compression::None, 1).sink).unwrap();
    let into = place.path().join("extracted");
    fs::create_dir(&into).unwrap();
    let keep = ["--same-owner", "--preserve-permissions", "--xattrs", "--xattrs-include=*"];
    let mut command = Command::new("tar");
    command.args(["--extract", "--numeric-owner"]).args(keep).arg("--file").arg(&path).arg("--directory").arg(&into);
    checked(&mut command);
    let mut extracted = Listing::of_directory(&into);
    let expected = listing_of(&extractable);
    // Parents that have no entry come from tar itself.
    extracted.0.retain(|path, _| expected.0.contains_key(path));
    extracted.assert_is(&expected);
}

/// Whether a usual file system can hold it, under a path that can be opened.
fn is_extractable(entry: &Entry) -> bool {
    let target_fits = match &entry.kind {
        Kind::Symlink { target } | Kind::HardLink { target } => target.len() < 3000,
        _ => true,
    };
    target_fits
        && entry.path.len() < 3000
        && entry.path.split(|byte| *byte == b'/').all(|part| part.len() < 256)
        && (-(1i64 << 31)..1 << 33).contains(&entry.attributes.modified.seconds)
        && entry.attributes.xattrs.values().all(|value| value.len() < 2000)
}

/// What stands in the tar before the content of a file that is too long to be written out.
fn head_of(entry: &Entry) -> Vec<u8> {
    /// Takes the first bytes and no more.
    #[derive(Clone, Default)]
    struct Head(Arc<Mutex<Vec<u8>>>);

    impl Write for Head {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut taken = self.0.lock().unwrap();
            if taken.len() >= 8192 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            taken.extend_from_slice(&bytes[..bytes.len().min(8192)]);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let head = Head::default();
    assert!(write_to(head.clone(), std::slice::from_ref(entry), Compression::None, 1).is_err());
    head.0.lock().unwrap().clone()
}
