//! What a walk takes along, what it leaves, and what it refuses.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};

use ocibake::error::ErrorKind;
use ocibake::tree::{Entry, Ignore, Kind, inspect, read_xattrs, walk};
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::support::entry::listing_of;
use crate::support::listing::Listing;
use crate::support::tool::require_root;
use crate::support::tree::Tree;

#[test]
fn entries_are_sorted_by_path_with_parents_first() {
    let tree = Tree::new().file("a/z", "").file("a.b", "").file("a-b/c", "").file("B", "").directory("a/empty");
    let context = tree.file("\u{e9}", "").file(b"\xff", "").plant();
    // By bytes: `-` and `.` come before `/`, capitals before small letters.
    let expected: [&[u8]; 9] = [b"B", b"a", b"a-b", b"a-b/c", b"a.b", b"a/empty", b"a/z", "\u{e9}".as_bytes(), b"\xff"];
    assert_eq!(paths(&walk(context.path(), &Ignore::default()).unwrap()), expected);
}

#[test]
fn an_entry_is_what_is_on_disk() {
    let tree = Tree::new().file("file", "content").mode(0o6755).time(7).file("noted", "").attribute("user.note", "n");
    let tree = tree.directory("directory").mode(0o1777).time(8).symlink("link", "no/where").time(9);
    let context = tree.plant();
    let entries = with_xattrs(walk(context.path(), &Ignore::default()).unwrap());
    listing_of(&entries).assert_is(&Listing::of_directory(context.path()));
}

#[test]
fn notes_of_the_machine_stay_behind() {
    let tree = Tree::new().file("file", "").attribute("user.kept", "k").attribute("user.overlay.opaque", "y");
    let context = tree.plant();
    let entries = with_xattrs(walk(context.path(), &Ignore::default()).unwrap());
    assert_eq!(entries[0].attributes.xattrs.keys().map(Vec::as_slice).collect::<Vec<_>>(), [b"user.kept"]);
}

#[test]
fn a_file_that_is_gone_when_its_attributes_are_read_has_changed() {
    let context = Tree::new().file("file", "").plant();
    let mut entries = walk(context.path(), &Ignore::default()).unwrap();
    fs::remove_file(context.path().join("file")).unwrap();
    let error = read_xattrs(&mut entries).unwrap_err();
    assert_eq!(error.message, format!("{} changed while it was read", context.path().join("file").display()));
}

#[test]
fn links_are_not_followed() {
    let elsewhere = Tree::new().file("secret", "").plant();
    let target = elsewhere.path().to_str().unwrap();
    let context = Tree::new().symlink("link", target).symlink("loop", "loop").symlink("up", "..").plant();
    let entries = walk(context.path(), &Ignore::default()).unwrap();
    assert_eq!(paths(&entries), [&b"link"[..], b"loop", b"up"]);
    assert_eq!(entries[0].kind, Kind::Symlink { target: target.as_bytes().to_owned() });
}

#[test]
fn what_is_behind_a_link_by_now_is_not_read() {
    let context = Tree::new().file("a/b/f", "inside").attribute("user.note", "n").symlink("link", "b").plant();
    let elsewhere = Tree::new().file("b/f", "OUTSIDE").attribute("user.note", "o").file("f", "OUTSIDE");
    let elsewhere = elsewhere.attribute("user.note", "o").plant();
    let (root, outside) = (context.path(), elsewhere.path());
    let mut entries = walk(root, &Ignore::default()).unwrap();
    let Kind::File(content) = entries[2].kind.clone() else { panic!("{entries:?}") };
    assert_eq!(content.bytes().unwrap(), b"inside");
    let changed = format!("{} changed while it was read", root.join("a/b/f").display());
    // A file that is moved has another change time, so it comes last.
    for place in ["a/b", "a", "a/b/f"] {
        fs::rename(root.join(place), root.join("moved")).unwrap();
        let there = if place == "a/b" {
            outside.join("b")
        } else if place == "a" {
            outside.to_owned()
        } else {
            outside.join("f")
        };
        // Even if it leads to the very same file.
        for target in [there, root.join("moved")] {
            symlink(&target, root.join(place)).unwrap();
            assert_eq!(content.bytes().unwrap_err().message, changed, "{place}");
            let read = read_xattrs(&mut entries);
            assert!(entries[2].attributes.xattrs.is_empty(), "{place}: they are another file's");
            if place != "a/b/f" {
                assert_eq!(read.unwrap_err().message, changed, "{place}");
                assert!(inspect(&root.join("a/b/f"), b"f".to_vec()).is_err(), "{place}");
                assert!(walk(&root.join("a/b"), &Ignore::default()).is_err(), "{place}");
            }
            fs::remove_file(root.join(place)).unwrap();
        }
        fs::rename(root.join("moved"), root.join(place)).unwrap();
        assert_eq!(content.bytes().is_ok(), place != "a/b/f");
    }
    assert!(walk(&root.join("a/link"), &Ignore::default()).is_err());
}

#[test]
fn a_directory_that_is_exchanged_for_a_link_is_not_gone_through() {
    const ROUNDS: usize = 300;
    let tree = (0..40).fold(Tree::new().file("d/f", "inside"), |tree, number| tree.file(format!("p{number}"), ""));
    let elsewhere = Tree::new().file("f", "OUTSIDE").plant();
    let context = tree.symlink("z", elsewhere.path().to_str().unwrap()).plant();
    let root = context.path();
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                renameat_with(CWD, root.join("d"), CWD, root.join("z"), RenameFlags::EXCHANGE).unwrap();
            }
        });
        let look = || {
            for _ in 0..ROUNDS {
                // An error is an answer, too.
                for entry in walk(root, &Ignore::default()).unwrap_or_default() {
                    if let (true, Kind::File(content)) = (entry.path.ends_with(b"/f"), &entry.kind) {
                        assert_eq!(content.size(), 6, "{entry:?}");
                        if let Ok(bytes) = content.bytes() {
                            assert_eq!(bytes, b"inside");
                        }
                    }
                }
            }
        };
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(look));
        is_done.store(true, Ordering::Relaxed);
        outcome.unwrap();
    });
}

#[test]
fn sockets_fifos_and_devices_are_refused_by_name() {
    let mut trees = vec![("a socket", Tree::new().socket("sub/odd")), ("a FIFO", Tree::new().fifo("sub/odd"))];
    if require_root() {
        trees.push(("a character device", Tree::new().device("sub/odd")));
    }
    for (what, tree) in trees {
        let context = tree.file("sub/good", "").plant();
        let path = context.path().join("sub/odd");
        let named = walk(context.path(), &Ignore::default()).unwrap_err();
        for error in [named, inspect(&path, b"odd".to_vec()).unwrap_err()] {
            assert_eq!(error.kind, ErrorKind::Input);
            assert_eq!(error.message, format!("{} is {what}", path.display()));
            assert!(error.hint.as_ref().is_some_and(|hint| hint.contains("exclude")));
        }
        // What is excluded is in nobody's way.
        let entries = walk(context.path(), &Ignore::new(["sub/odd"]).unwrap()).unwrap();
        assert_eq!(paths(&entries), [&b"sub"[..], b"sub/good"]);
    }
}

#[test]
fn a_root_that_is_missing_or_a_file() {
    let context = Tree::new().file("file", "").plant();
    let error = walk(&context.path().join("missing"), &Ignore::default()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert!(error.message.contains("missing"));
    assert!(walk(&context.path().join("file"), &Ignore::default()).unwrap_err().message.contains("file"));
}

/// Expectations are what docker's COPY of the same tree takes with these lines in .dockerignore.
#[test]
fn excludes_prune_and_take_back() {
    let files = ["a/keep.txt", "a/drop.log", "a/deep/keep.log", "a/deep/x.log", "b/x.log", "b/y.txt", "c.log"];
    let context = files.iter().fold(Tree::new().directory("empty"), |tree, path| tree.file(path, "")).plant();
    let cases: [(&[&str], &[&str]); 8] = [
        (&["**/*.log"], &["a", "a/deep", "a/keep.txt", "b", "b/y.txt", "empty"]),
        (
            &["*.log"],
            &[
                "a",
                "a/deep",
                "a/deep/keep.log",
                "a/deep/x.log",
                "a/drop.log",
                "a/keep.txt",
                "b",
                "b/x.log",
                "b/y.txt",
                "empty",
            ],
        ),
        (&["a", "b"], &["c.log", "empty"]),
        (&["a", "!a/deep/keep.log", "b", "c.log"], &["a", "a/deep", "a/deep/keep.log", "empty"]),
        (&["a/*", "!a/deep", "b"], &["a", "a/deep", "a/deep/keep.log", "a/deep/x.log", "c.log", "empty"]),
        (&["a/**", "!**/keep.*", "b", "c.log", "empty"], &["a", "a/deep", "a/deep/keep.log", "a/keep.txt"]),
        (&["*", "!b", "b/x.log"], &["b", "b/y.txt"]),
        (&["*"], &[]),
    ];
    for (patterns, expected) in cases {
        let ignore = Ignore::new(patterns.iter().copied()).unwrap();
        let entries = walk(context.path(), &ignore).unwrap();
        let expected: Vec<_> = expected.iter().map(|path| path.as_bytes()).collect();
        assert_eq!(paths(&entries), expected, "{patterns:?}");
    }
}

#[test]
fn what_is_pruned_is_not_looked_into() {
    // An odd file below an excluded directory: a walk that went there would refuse it.
    let context = Tree::new().socket("closed/odd").file("open", "").plant();
    let entries = walk(context.path(), &Ignore::new(["closed"]).unwrap()).unwrap();
    assert_eq!(paths(&entries), [b"open"]);
}

#[test]
fn names_of_one_inode_have_one_identity() {
    let context = Tree::new().file("a", "content").hard_link("b", "a").file("c", "content").plant();
    let entries = walk(context.path(), &Ignore::default()).unwrap();
    let identity = |entry: &Entry| match &entry.kind {
        Kind::File(ocibake::tree::Content::Disk(file)) => {
            assert_eq!(fs::read(file.path()).unwrap(), b"content");
            file.identity
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(identity(&entries[0]), identity(&entries[1]));
    assert_ne!(identity(&entries[0]), identity(&entries[2]));
    assert_eq!(identity(&entries[0]).links, 2);
}

#[test]
fn a_path_of_4000_bytes_is_walked() {
    // By steps: as a whole it is longer than what the system takes.
    let context = Tree::new().plant();
    let mut at = fs::File::open(context.path()).unwrap();
    let mut depth = 0;
    let name = "n".repeat(200);
    while depth < 15 {
        rustix::fs::mkdirat(&at, &name, rustix::fs::Mode::RWXU).unwrap();
        let flags = rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
        at = rustix::fs::openat(&at, &name, flags, rustix::fs::Mode::empty()).unwrap().into();
        depth += 1;
    }
    let entries = walk(context.path(), &Ignore::default()).unwrap();
    assert_eq!(entries.last().unwrap().path.len(), 15 * 201 - 1);
    assert_eq!(entries.len(), 15);
}

fn with_xattrs(mut entries: Vec<Entry>) -> Vec<Entry> {
    read_xattrs(&mut entries).unwrap();
    entries
}

fn paths(entries: &[Entry]) -> Vec<&[u8]> {
    entries.iter().map(|entry| &entry.path[..]).collect()
}
