//! What the layer engine writes is one gzip member of the tar that the entries describe, the same for any number of
//! threads.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::Command;

use ocibake::layer::{Compression, Written};
use ocibake::tree::{Attributes, Content, Entry, Kind, Time};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};

use crate::support::entry::{directory, file, hard_link, listing_of, symlink, tar_of, write, write_all, write_to};
use crate::support::listing::{Listing, digest};
use crate::support::noise::noise;
use crate::support::python;
use crate::support::tool::{checked, require, require_root};
use crate::support::tree::Tree;

const THREADS: [usize; 5] = [1, 2, 3, 8, 64];

/// Around everything that is cut or padded: a record, and the shortest, usual, large and longest block.
const SIZES: [usize; 24] = [
    0,
    1,
    511,
    512,
    513,
    (96 << 10) - 513,
    (96 << 10) - 512,
    (96 << 10) - 511,
    96 << 10,
    (96 << 10) + 1,
    (512 << 10) - 512,
    512 << 10,
    (512 << 10) + 1,
    (768 << 10) - 513,
    (768 << 10) - 512,
    (768 << 10) - 511,
    768 << 10,
    (768 << 10) + 1,
    (1 << 20) - 513,
    (1 << 20) - 512,
    (1 << 20) - 511,
    1 << 20,
    (1 << 20) + 1,
    (4 << 20) + 1234,
];

#[test]
fn any_entries_come_back() {
    let blobs = tempfile::tempdir().unwrap();
    let made: RefCell<Vec<(PathBuf, String)>> = RefCell::default();
    let settings = (any_entries(), any_compression(), select(&THREADS[..]), select(&THREADS[..]));
    let config = Config { cases: 24, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&settings, |(entries, compression, threads, others)| {
        let blob = write(&entries, compression, threads);
        prop_assert_eq!(&write(&entries, compression, others).sink, &blob.sink);
        assert_holds(&blob, &entries, compression);
        if matches!(compression, Compression::Gzip(_)) {
            let mut made = made.borrow_mut();
            let path = blobs.path().join(format!("{}.gz", made.len()));
            fs::write(&path, &blob.sink).unwrap();
            made.push((path, blob.diff_id.to_string()));
        }
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    let made = made.into_inner();
    if require("gzip") {
        checked(Command::new("gzip").arg("-t").args(made.iter().map(|(path, _)| path)));
    }
    if require("python3") {
        python::assert_one_member(made.iter().map(|(path, diff_id)| (path.as_path(), diff_id.clone())));
    }
}

#[test]
fn files_of_every_size_around_a_boundary_come_back() {
    let all: Vec<Entry> = SIZES.iter().map(|size| file(format!("{size:08}"), noise(7, *size))).collect();
    assert_holds(&write(&all, Compression::None, 2), &all, Compression::None);
    for one in &all {
        let one = std::slice::from_ref(one);
        assert_holds(&write(one, Compression::Gzip(1), 2), one, Compression::Gzip(1));
    }
}

#[test]
fn the_bytes_are_the_same_for_any_number_of_threads() {
    let entries = assorted();
    let plain = write(&entries, Compression::None, 1);
    for compression in std::iter::once(Compression::None).chain((1..=9).map(Compression::Gzip)) {
        let expected = write(&entries, compression, 1);
        assert_eq!(expected.diff_id, plain.diff_id, "{compression}");
        assert!(tar_of(&expected.sink, compression) == plain.sink, "{compression}");
        for threads in THREADS {
            let blob = write(&entries, compression, threads);
            assert!(blob.sink == expected.sink, "{compression} with {threads} threads");
            assert_eq!((blob.digest, blob.diff_id), (expected.digest, expected.diff_id));
        }
    }
}

#[test]
fn layers_side_by_side_are_each_as_if_alone() {
    let layers = [assorted(), vec![], vec![file("one", "1")], assorted().split_off(3), vec![directory("empty")]];
    let compression = Compression::Gzip(1);
    for threads in THREADS {
        let jobs = layers.iter().map(|entries| (Vec::new(), &entries[..])).collect();
        let written = write_all(jobs, compression, threads);
        assert_eq!(written.len(), layers.len());
        for (written, entries) in written.into_iter().zip(&layers) {
            let written = written.unwrap();
            let alone = write(entries, compression, 1);
            assert!(written.sink == alone.sink, "{threads} threads");
            assert_eq!((written.digest, written.diff_id), (alone.digest, alone.diff_id));
        }
    }
}

#[test]
fn a_layer_without_entries_is_an_empty_tar() {
    // POSIX.1-2017, pax, "ustar Interchange Format": two records of zeros end an archive.
    let blob = write(&[], Compression::None, 1);
    assert_eq!(blob.sink, [0; 1024]);
    assert_holds(&blob, &[], Compression::None);
    assert_eq!(tar_of(&write(&[], Compression::Gzip(6), 2).sink, Compression::Gzip(6)), [0; 1024]);
}

#[test]
fn a_sink_that_fails_is_an_error_that_names_it() {
    /// Takes so many bytes.
    struct Full(usize);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if bytes.len() > self.0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.0 -= bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let entries: Vec<Entry> = (0..40).map(|number| file(format!("{number:02}"), noise(number, 1 << 20))).collect();
    for threads in THREADS {
        for room in [0, 10, 2 << 20, 39 << 20] {
            let error = write_to(Full(room), &entries, Compression::Gzip(1), threads).err();
            let error = error.unwrap_or_else(|| panic!("40 MiB of noise do not fit into {room} bytes"));
            assert!(error.message.contains("the sink"), "{error:?}");
            assert!(error.hint.is_some_and(|hint| hint.contains("space")));
        }
    }
}

/// The same tree, packed by GNU tar: what ustar can hold in its ustar format, and in its pax format all but the path
/// that we split and it does not.
#[test]
fn gnu_tar_writes_the_same_bytes() {
    if !require("tar") || !require_root() {
        return;
    }
    let tree = golden().iter().fold(Tree::new(), plant).plant();
    let needs_pax =
        |entry: &Entry| !entry.attributes.xattrs.is_empty() || entry.path.ends_with(b"g") || entry.path.ends_with(b"h");
    for (format, wanted) in [
        ("ustar", &(|entry: &Entry| !needs_pax(entry)) as &dyn Fn(&Entry) -> bool),
        ("pax", &|entry| !entry.path.ends_with(b"f")),
    ] {
        let entries: Vec<Entry> = golden().into_iter().filter(wanted).collect();
        let names: Vec<u8> = entries.iter().flat_map(|entry| [&entry.path[..], b"\0"].concat()).collect();
        let list = tempfile::NamedTempFile::new().unwrap();
        fs::write(list.path(), names).unwrap();
        let mut command = Command::new("tar");
        command.args(["--create", "--blocking-factor=1", "--numeric-owner", "--no-recursion", "--format", format]);
        if format == "pax" {
            let records = "--pax-option=exthdr.name=././@PaxHeader,exthdr.mtime=0,delete=atime,delete=ctime";
            command.args(["--xattrs", "--xattrs-include=user.*", records]);
        }
        command.arg("--directory").arg(tree.path()).args(["--null", "--files-from"]).arg(list.path());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let (ours, theirs) = (write(&entries, Compression::None, 1).sink, output.stdout);
        for (number, (ours, theirs)) in ours.chunks(512).zip(theirs.chunks(512)).enumerate() {
            let (ours, theirs) = (ours.escape_ascii().to_string(), theirs.escape_ascii().to_string());
            assert_eq!(ours, theirs, "record {number}, {format}");
        }
        assert_eq!(ours.len(), theirs.len(), "{format}");
    }
}

/// An encoder's or a library's update that changes bytes changes every layer of everybody: it must not pass unseen.
#[test]
fn the_bytes_are_those_they_have_always_been() {
    let expected = [
        (Compression::None, "21dd44226747ec229137b72cb605992fefa9798676b176f6e32da4fa8e478b5c"),
        (Compression::Gzip(1), "3bc9ce07329e208a187a1930623a6430b86074fa619a95082d241a308cb1c576"),
        (Compression::Gzip(2), "2a4b2d14b184ffbe763da4732b200dc01f021f7f8ec7b29ace7ffe092b922120"),
        (Compression::Gzip(4), "7b650d5481f43d81728788a9343473feb25684c0976b600dff3a335cc0c9b341"),
        (Compression::Gzip(5), "bd8633a240888edff39d260b8ddc083951b6ad5e57fd6301f21140cff3e5c84f"),
        (Compression::Gzip(6), "ec58c2d6969150b80d86c139ec691aefc3264e8ee4cc05a52e1035ecbfab40df"),
        (Compression::Gzip(9), "26242b0d344aa7fa0f4806a9c00c1a68756e2281bfb6e17c527fad896ad12c94"),
        (Compression::Gzip(12), "6fae2164a033afd9b41a86fb3524a758cf40595c2e0a6b99a8b490fa5db03a61"),
        (Compression::Zstd(1), "4e7fa300d8525a111b435116df9aa28d5a9653900f6f3422bc3e12bbd0d5b55f"),
        (Compression::Zstd(3), "93e99244e7fba97775a6cb5f4a504d32bb5f77011cded2cb84f91562633e5267"),
        (Compression::Zstd(9), "228dfe565eafd7d568542cdbbd017f2a8c725018d3062e92f6047362e670d171"),
    ];
    // Of many blocks, so that where they are cut counts too.
    let mut entries = [golden(), assorted()].concat();
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    let digests = expected.map(|(compression, _)| {
        let blob = write(&entries, compression, 2);
        assert_holds(&blob, &entries, compression);
        (compression, blob.digest.hex())
    });
    assert_eq!(digests.each_ref().map(|(compression, digest)| (*compression, digest.as_str())), expected);
}

/// Digests, size and content are what they should be.
fn assert_holds(blob: &Written<Vec<u8>>, entries: &[Entry], compression: Compression) {
    let (size, sha256) = digest(&blob.sink[..]);
    assert_eq!((blob.size, blob.digest.hex()), (size, sha256));
    let tar = tar_of(&blob.sink, compression);
    assert_eq!(blob.diff_id.hex(), digest(&tar[..]).1);
    assert!(tar.ends_with(&[0; 1024]) && tar.len().is_multiple_of(512));
    Listing::of_tar(&tar[..]).assert_is(&listing_of(entries));
}

/// About 9 MiB of files of every size, some compressible and some not.
pub fn assorted() -> Vec<Entry> {
    let lines: String =
        (0u32..60_000).map(|number| format!("{number} {}\n", number.wrapping_mul(2_654_435_761))).collect();
    let mut entries = vec![directory("a"), file("a/text", &lines), file("a/noise", noise(2, 900_000))];
    entries.extend((0..200).map(|number| file(format!("b{number:03}"), &lines[number..number * 100])));
    entries.extend([file("c", noise(3, (3 << 19) + 1)), symlink("d", "c"), hard_link("e", "c"), file("f", "")]);
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    entries
}

/// A small tree with one of everything.
pub fn golden() -> Vec<Entry> {
    let lines: String = (0..4000).map(|number| format!("line {number}, {:08x}\n", number * 48271)).collect();
    let mut tool = file("bin/tool", noise(5, 70_000));
    (tool.attributes.mode, tool.attributes.user, tool.attributes.group) = (0o4755, 1000, 1001);
    let link =
        Entry { kind: Kind::HardLink { target: tool.path.clone() }, path: b"bin/tool-too".to_vec(), ..tool.clone() };
    let mut noted = file("etc/noted", "noted\n");
    noted.attributes.xattrs.insert(b"user.note".to_vec(), b"kept".to_vec());
    let mut temporary = directory("tmp");
    temporary.attributes.mode = 0o1777;
    let far = "d".repeat(90);
    vec![
        directory("bin"),
        tool,
        link,
        directory("etc"),
        file("etc/empty", ""),
        symlink("etc/link", "../bin/tool"),
        file("etc/lines", lines),
        noted,
        directory(&far),
        file(format!("{far}/{}", "f".repeat(100)), "its path is split\n"),
        file(format!("{far}/{}", "g".repeat(101)), "its path is in a pax header\n"),
        symlink(format!("{far}/h"), "t".repeat(101)),
        temporary,
    ]
}

fn plant(tree: Tree, entry: &Entry) -> Tree {
    let tree = match &entry.kind {
        Kind::File(Content::Bytes(bytes)) => tree.file(&entry.path, bytes),
        Kind::Fifo => tree.fifo(&entry.path),
        Kind::File(_) | Kind::CharacterDevice { .. } | Kind::BlockDevice { .. } => unreachable!("it is not made here"),
        Kind::Directory => tree.directory(&entry.path),
        Kind::Symlink { target } => return tree.symlink(&entry.path, target).time(0),
        Kind::HardLink { target } => return tree.hard_link(&entry.path, target),
    };
    let tree = tree
        .mode(entry.attributes.mode)
        .owner(entry.attributes.user, entry.attributes.group)
        .time(entry.attributes.modified.seconds);
    entry
        .attributes
        .xattrs
        .iter()
        .fold(tree, |tree, (name, value)| tree.attribute(std::str::from_utf8(name).unwrap(), value))
}

fn any_compression() -> impl Strategy<Value = Compression> {
    prop_oneof![1 => Just(Compression::None), 4 => (1..=12).prop_map(Compression::Gzip), 1 => (1..=19).prop_map(Compression::Zstd)]
}

/// Sorted, parents first, with every kind of entry, odd names, and mostly small files.
pub fn any_entries() -> impl Strategy<Value = Vec<Entry>> {
    let name = prop_oneof![
        4 => "[a-z]{1,8}".prop_map(String::into_bytes),
        2 => vec(any::<u8>(), 1..20),
        1 => "[a-z]{90,255}".prop_map(String::into_bytes),
    ];
    let name = name.prop_map(|mut name| {
        name.iter_mut().filter(|byte| matches!(byte, 0 | b'/')).for_each(|byte| *byte = b'_');
        if matches!(&name[..], b"." | b"..") { b"dots".to_vec() } else { name }
    });
    let size = prop_oneof![30 => 0usize..3000, 10 => 3000usize..100_000, 1 => select(&SIZES[..])];
    let any_file = (size, any::<u64>()).prop_map(|(size, seed)| {
        let content = noise(seed, size);
        file("", if seed % 2 == 0 { content } else { content.iter().map(|byte| byte & 3).collect() })
    });
    let kind = prop_oneof![
        8 => any_file,
        2 => Just(directory("")),
        2 => vec(1u8.., 1..300).prop_map(|target| symlink("", target)),
    ];
    let id = || prop_oneof![Just(0), 0u32..70_000, 0..u32::MAX];
    let time = prop_oneof![Just(0), 0i64..1 << 34, -(1i64 << 40)..1 << 40];
    let xattrs = btree_map("user\\.[a-z]{1,9}", vec(any::<u8>(), 0..300), 0..2);
    let leaf =
        (kind, 0u32..0o10000, id(), id(), time, xattrs).prop_map(|(kind, mode, user, group, modified, xattrs)| {
            let xattrs = xattrs.into_iter().map(|(name, value)| (name.into_bytes(), value)).collect();
            let modified = Time::of_seconds(modified);
            Entry { attributes: Attributes { mode, user, group, modified, xattrs }, ..kind }
        });
    let leaves = btree_map(vec(name, 1..5), leaf, 0..40);
    (leaves, vec(any::<Index>(), 0..3)).prop_map(|(leaves, links)| {
        let mut entries: BTreeMap<Vec<u8>, Entry> = Default::default();
        for (path, leaf) in leaves {
            let parents: Vec<Vec<u8>> = (1..path.len()).map(|depth| path[..depth].join(&b'/')).collect();
            let path = path.join(&b'/');
            let is_directory = |path: &Vec<u8>| entries.get(path).is_none_or(|entry| entry.kind == Kind::Directory);
            if entries.contains_key(&path) || !parents.iter().all(is_directory) {
                continue;
            }
            for parent in parents {
                entries.entry(parent.clone()).or_insert_with(|| directory(parent));
            }
            entries.insert(path.clone(), Entry { path, ..leaf });
        }
        let is_file = |entry: &&Entry| matches!(entry.kind, Kind::File(_));
        let files: Vec<Vec<u8>> = entries.values().filter(is_file).map(|entry| entry.path.clone()).collect();
        for (number, link) in links.iter().enumerate().filter(|_| !files.is_empty()) {
            // Behind whatever begins with another byte, so that each follows its target.
            let path = [&[0xff; 256][..], format!("{number}").as_bytes()].concat();
            entries.insert(path.clone(), hard_link(path, link.get(&files)));
        }
        entries.into_values().collect()
    })
}

/// Takes some, and then panics.
struct Panics(usize);

impl Write for Panics {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).expect("the sink has had enough");
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_sink_that_panics_ends_the_write_on_all_threads() {
    for threads in [1, 2, 8] {
        let (done, outcome) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let write = || write_to(Panics(3 << 20), &[file("large", noise(1, 32 << 20))], Compression::None, threads);
            done.send(std::panic::catch_unwind(write).map(drop).is_err())
        });
        let panicked = outcome.recv_timeout(std::time::Duration::from_secs(300));
        assert_eq!(panicked, Ok(true), "with {threads} threads");
    }
}
