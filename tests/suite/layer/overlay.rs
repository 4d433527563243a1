//! Changes as overlayfs has them, both ways: written out, mounted, changed by what programs do, and read again.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, SystemTime};

use ocibake::layer::{Owners, Provided, lower, lowest, unpack, upper, with_whiteouts};
use ocibake::tree::{Attributes, Change, Entry, Files, Identity, Kind, diff};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use tempfile::TempDir;

use super::overlay_model::{CAPABILITY, deeds, edit, edits, perform};
use super::unpack::{by_umoci, unpacked};
use super::whiteout::image_of;
use crate::support::entry::{directory, file, hard_link, symlink as link};
use crate::support::listing::{self, Listing};
use crate::support::overlay::Overlay;
use crate::support::tool::{require, require_root};
use crate::support::traces::names_in;

/// `files`, whose contents are at hand, on disk.
pub(super) fn written(files: &Files) -> TempDir {
    let place = tempfile::tempdir().unwrap();
    let directory = File::open(place.path()).unwrap();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    let open = |_: &_| unreachable!("there are no layers");
    let unpacked = unpack(Owners::OfLayers, files, &[], &open, (directory.as_fd(), place.path()), &pool).unwrap();
    assert_eq!(unpacked.left_out, []);
    unpacked.directories.finish(b"", directory.as_fd(), place.path()).unwrap();
    place
}

fn split(changes: Vec<Change>) -> (Vec<Entry>, Vec<Vec<u8>>) {
    let (mut entries, mut removed) = (Vec::new(), Vec::new());
    for change in changes {
        match change {
            Change::Put(entry) => entries.push(entry),
            Change::Remove(path) => removed.push(path),
        }
    }
    (entries, removed)
}

pub(super) fn apply(files: &Files, (entries, removed): &(Vec<Entry>, Vec<Vec<u8>>)) -> Files {
    let mut after = files.clone();
    removed.iter().for_each(|path| after.remove(path));
    after.put_all(entries);
    after
}

/// Whoever unpacks puts files into directories and changes their times.
fn comparable(mut listing: Listing) -> Listing {
    listing.0.values_mut().filter(|record| record.kind == listing::Kind::Directory).for_each(|record| record.time = 0);
    listing
}

fn listed(root: &Path) -> Listing {
    comparable(Listing::of_directory(root))
}

#[test]
fn what_is_written_out_mounted_and_changed_is_read_again() {
    if !require_root() || !require("umoci") {
        return;
    }
    let config = Config { cases: 60, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&(edits(), edits(), deeds()), |(first, second, deeds)| {
        let mut base = Files::new();
        edit(&mut base, &first);
        let mut below = base.clone();
        edit(&mut below, &second);
        let (entries, removed) = split(diff(&base, &below));
        let lowers = [written(&lower(&entries, &removed, &below)), written(&lowest(&base))];
        let Some(overlay) = Overlay::mount(&lowers.each_ref().map(TempDir::path)) else { return Ok(()) };
        listed(&overlay.merged()).assert_is(&listed(written(&below).path()));

        perform(&overlay.merged(), &deeds);
        let merged = listed(&overlay.merged());
        let change = upper(&overlay.upper(), &below, &[], &[]).unwrap();
        prop_assert!(change.0.is_sorted_by(|one, other| one.path < other.path), "{:?}", change);
        prop_assert!(change.1.is_sorted_by(|one, other| one < other), "{:?}", change);
        let after = apply(&below, &change);
        listed(written(&after).path()).assert_is(&merged);
        // Written out, it is the next lower directory.
        let next = written(&lower(&change.0, &change.1, &after));
        let again = Overlay::mount(&[next.path(), lowers[0].path(), lowers[1].path()]).unwrap();
        listed(&again.merged()).assert_is(&merged);
        // And its layer says the same to others.
        let layers = [
            split(diff(&Files::new(), &base)).0,
            with_whiteouts(&entries, &removed, 0),
            with_whiteouts(&change.0, &change.1, 0),
        ];
        let image = image_of(&layers.each_ref().map(Vec::as_slice));
        comparable(by_umoci(&image)).assert_is(&merged);
        listed(unpacked(&image).path()).assert_is(&merged);
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

/// A stack of directories below, what it holds, and an overlay of it.
struct Stand {
    below: Files,
    _lower: TempDir,
    overlay: Overlay,
}

impl Stand {
    fn on(entries: &[Entry]) -> Option<Self> {
        let mut below = Files::new();
        below.put_all(entries);
        let lower = written(&lowest(&below));
        let overlay = Overlay::mount(&[lower.path()])?;
        Some(Stand { below, _lower: lower, overlay })
    }

    fn at(&self, path: &str) -> std::path::PathBuf {
        self.overlay.merged().join(path)
    }

    fn change(&self) -> (BTreeMap<String, Entry>, Vec<String>) {
        self.change_beside(&[])
    }

    fn change_beside(&self, provided: &[Provided]) -> (BTreeMap<String, Entry>, Vec<String>) {
        let text = |path: &Vec<u8>| String::from_utf8(path.clone()).unwrap();
        let (entries, removed) = upper(&self.overlay.upper(), &self.below, provided, &[]).unwrap();
        let entries = entries.into_iter().map(|entry| (text(&entry.path), entry)).collect();
        (entries, removed.iter().map(text).collect())
    }
}

fn paths(change: &(BTreeMap<String, Entry>, Vec<String>)) -> (Vec<&str>, Vec<&str>) {
    (change.0.keys().map(String::as_str).collect(), change.1.iter().map(String::as_str).collect())
}

fn some() -> Vec<Entry> {
    let mut closed = directory("d");
    closed.attributes.mode = 0o700;
    vec![
        closed,
        directory("d/e"),
        file("d/e/f", "f"),
        file("d/one", "1"),
        hard_link("d/other", "d/one"),
        file("g", "g"),
        link("link", "d"),
    ]
}

#[test]
fn whiteouts_are_no_names_of_one_file() {
    let Some(stand) = Stand::on(&some()) else { return };
    for name in ["g", "d/e/f", "d/one"] {
        fs::remove_file(stand.at(name)).unwrap();
    }
    let inode = |name: &str| fs::symlink_metadata(stand.overlay.upper().join(name)).unwrap().ino();
    assert_eq!(inode("g"), inode("d/one"), "this is no trap here any more");
    let change = stand.change();
    assert_eq!(paths(&change), (vec!["d", "d/e"], vec!["d/e/f", "d/one", "g"]));
    assert_eq!(change.0["d"].attributes.mode, 0o700);
}

#[test]
fn a_directory_that_is_made_again_hides_what_was_in_it() {
    let Some(stand) = Stand::on(&some()) else { return };
    fs::remove_dir_all(stand.at("d")).unwrap();
    fs::create_dir_all(stand.at("d/e")).unwrap();
    fs::write(stand.at("d/new"), "n").unwrap();
    // One that hides nothing, for there is nothing, is opaque all the same where it is in the place of something else.
    fs::remove_file(stand.at("g")).unwrap();
    fs::create_dir(stand.at("g")).unwrap();
    fs::create_dir(stand.at("h")).unwrap();
    let change = stand.change();
    let expected = (vec!["d", "d/e", "d/new", "g", "h"], vec!["d/e/f", "d/one", "d/other"]);
    assert_eq!(paths(&change), expected);
    // What was there is there again, and some of what was in it.
    fs::write(stand.at("d/e/f"), "again").unwrap();
    assert_eq!(paths(&stand.change()).1, ["d/one", "d/other"]);
}

#[test]
fn only_new_directories_are_no_removal() {
    let Some(stand) = Stand::on(&some()) else { return };
    fs::create_dir_all(stand.at("d/new/deep")).unwrap();
    fs::create_dir(stand.at("x")).unwrap();
    // As the kernel marks those that are made where a whiteout is.
    fs::write(stand.at("y"), "").unwrap();
    fs::remove_file(stand.at("y")).unwrap();
    fs::create_dir(stand.at("y")).unwrap();
    assert_eq!(paths(&stand.change()), (vec!["d", "d/new", "d/new/deep", "x", "y"], vec![]));
}

#[test]
fn directories_that_were_only_copied_up_are_no_change() {
    let Some(stand) = Stand::on(&some()) else { return };
    fs::write(stand.at("d/e/passing"), "").unwrap();
    fs::remove_file(stand.at("d/e/passing")).unwrap();
    fs::set_permissions(stand.at("d"), fs::Permissions::from_mode(0o700)).unwrap();
    assert_ne!(names_in(&stand.overlay.upper()), [""; 0], "nothing was copied");
    assert_eq!(paths(&stand.change()), (vec![], vec![]));
    // Their attributes are one.
    fs::set_permissions(stand.at("d/e"), fs::Permissions::from_mode(0o2755)).unwrap();
    assert_eq!(paths(&stand.change()), (vec!["d", "d/e"], vec![]));
    xattr::set(stand.at("d"), "user.note", b"n").unwrap();
    fs::set_permissions(stand.at("d/e"), fs::Permissions::from_mode(0o755)).unwrap();
    let change = stand.change();
    assert_eq!(paths(&change), (vec!["d"], vec![]));
    assert_eq!(change.0["d"].attributes.xattrs, BTreeMap::from([(b"user.note".to_vec(), b"n".to_vec())]));
}

#[test]
fn attributes_alone_are_a_change_of_a_file() {
    let Some(stand) = Stand::on(&some()) else { return };
    xattr::set(stand.at("g"), "user.note", b"n").unwrap();
    xattr::set(stand.at("d/e/f"), "security.capability", &CAPABILITY).unwrap();
    lchown(stand.at("link"), Some(7), Some(8)).unwrap();
    let change = stand.change();
    assert_eq!(paths(&change), (vec!["d", "d/e", "d/e/f", "g", "link"], vec![]));
    let attributes = |path: &str| change.0[path].attributes.clone();
    assert_eq!(attributes("g").xattrs, BTreeMap::from([(b"user.note".to_vec(), b"n".to_vec())]));
    let capability = BTreeMap::from([(b"security.capability".to_vec(), CAPABILITY.to_vec())]);
    assert_eq!(attributes("d/e/f").xattrs, capability);
    assert_eq!((attributes("link").user, attributes("link").group), (7, 8));
}

#[test]
fn a_change_of_the_same_size_and_time_is_found() {
    let Some(stand) = Stand::on(&some()) else { return };
    let time = fs::metadata(stand.at("g")).unwrap().modified().unwrap();
    fs::write(stand.at("g"), "x").unwrap();
    File::options().write(true).open(stand.at("g")).unwrap().set_modified(time).unwrap();
    let change = stand.change();
    assert_eq!(paths(&change), (vec!["g"], vec![]));
    let Kind::File(content) = &change.0["g"].kind else { panic!("{change:?}") };
    assert_eq!(content.bytes().unwrap(), b"x");
}

#[test]
fn names_of_one_file_come_together_or_apart_as_they_are() {
    let Some(stand) = Stand::on(&some()) else { return };
    // overlayfs breaks the link: the other name stays what it was.
    lchown(stand.at("d/other"), Some(7), Some(7)).unwrap();
    fs::hard_link(stand.at("g"), stand.at("new")).unwrap();
    let change = stand.change();
    assert_eq!(paths(&change), (vec!["d", "d/other", "g", "new"], vec![]));
    assert!(matches!(change.0["d/other"].kind, Kind::File(_)));
    assert!(matches!(change.0["g"].kind, Kind::File(_)));
    assert!(matches!(&change.0["new"].kind, Kind::HardLink { target } if target == b"g"), "{change:?}");
    let mut after = stand.below.clone();
    after.put_all(&change.0.into_values().collect::<Vec<_>>());
    assert!(!after.get(b"d/one").unwrap().is(after.get(b"d/other").unwrap()));
    assert_eq!(after.get(b"d/one").unwrap().attributes().user, 0);
}

#[test]
fn sockets_stay_behind_and_take_the_place_of_what_was_there() {
    let Some(stand) = Stand::on(&some()) else { return };
    fs::remove_file(stand.at("g")).unwrap();
    drop(UnixListener::bind(stand.at("g")).unwrap());
    drop(UnixListener::bind(stand.at("d/socket")).unwrap());
    assert_eq!(paths(&stand.change()), (vec![], vec!["g"]));
}

#[test]
fn what_was_provided_is_left_out_unless_it_was_changed() {
    let Some(stand) = Stand::on(&[directory("d")]) else { return };
    let upper = stand.overlay.upper();
    let provide = |path: &str| {
        fs::create_dir_all(stand.at(path).parent().unwrap()).unwrap();
        fs::write(stand.at(path), format!("# {path}\n")).unwrap();
        Provided { path: path.into(), identity: Identity::of(&rustix::fs::stat(stand.at(path)).unwrap()) }
    };
    let provided = ["etc/hosts", "etc/resolv.conf", "etc/deep/er"].map(provide);
    assert_eq!(names_in(&upper), ["etc"]);
    assert_eq!(paths(&stand.change_beside(&provided)), (vec![], vec![]));
    assert_eq!(paths(&stand.change()).0, ["etc", "etc/deep", "etc/deep/er", "etc/hosts", "etc/resolv.conf"]);
    // A directory with something else in it is the image's.
    fs::write(stand.at("etc/own"), "").unwrap();
    assert_eq!(paths(&stand.change_beside(&provided)), (vec!["etc", "etc/own"], vec![]));
    fs::remove_file(stand.at("etc/own")).unwrap();
    // And so is one that is not as it was made; and a file with other words, even if it is as long and as old.
    fs::set_permissions(stand.at("etc/deep"), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(paths(&stand.change_beside(&provided)), (vec!["etc", "etc/deep"], vec![]));
    std::thread::sleep(Duration::from_millis(20));
    fs::write(stand.at("etc/hosts"), "! etc/hosts\n").unwrap();
    let (seconds, nanoseconds) = provided[0].identity.modified;
    let time = SystemTime::UNIX_EPOCH + Duration::new(seconds as u64, nanoseconds as u32);
    File::options().write(true).open(stand.at("etc/hosts")).unwrap().set_modified(time).unwrap();
    assert_eq!(paths(&stand.change_beside(&provided)), (vec!["etc", "etc/deep", "etc/hosts"], vec![]));
}

/// One that a base has is there again, whatever the process has seen.
#[test]
fn what_was_provided_in_the_place_of_something_leaves_that() {
    let Some(stand) = Stand::on(&[directory("etc"), file("etc/hosts", "base"), file("etc/resolv.conf", "base")]) else {
        return;
    };
    fs::write(stand.at("etc/hosts"), "provided").unwrap();
    let identity = Identity::of(&rustix::fs::stat(stand.at("etc/hosts")).unwrap());
    let provided = [Provided { path: b"etc/hosts".to_vec(), identity }];
    assert_eq!(paths(&stand.change_beside(&provided)), (vec![], vec![]));
    fs::remove_file(stand.at("etc/hosts")).unwrap();
    assert_eq!(paths(&stand.change_beside(&provided)), (vec!["etc"], vec!["etc/hosts"]));
}

/// Without a mount: what the kernel writes in a user namespace, and what other programs do.
#[test]
fn other_forms_of_the_same_are_read() {
    if !require_root() {
        return;
    }
    let mut below = Files::new();
    below.put_all(&some());
    let place = tempfile::tempdir().unwrap();
    let at = |path: &str| place.path().join(path);
    let read = || upper(place.path(), &below, &[], &[]).unwrap();
    // A whiteout without a device, and an empty file that is none.
    fs::create_dir(at("d")).unwrap();
    fs::set_permissions(at("d"), fs::Permissions::from_mode(0o700)).unwrap();
    xattr::set(at("d"), "user.overlay.opaque", b"x").unwrap();
    fs::write(at("d/one"), "").unwrap();
    xattr::set(at("d/one"), "user.overlay.whiteout", b"").unwrap();
    fs::write(at("d/empty"), "").unwrap();
    let (entries, removed) = read();
    assert_eq!(removed, [b"d/one".to_vec()]);
    assert_eq!(entries.iter().map(|entry| entry.path.as_slice()).collect::<Vec<_>>(), [&b"d"[..], b"d/empty"]);
    assert_eq!(entries[0].attributes.xattrs, BTreeMap::new());
    // A whiteout of nothing.
    mknodat(CWD, at("nothing"), FileType::CharacterDevice, Mode::empty(), makedev(0, 0)).unwrap();
    assert_eq!(read(), (entries, removed));
    // A capability of a user namespace, whose root is 1000 (linux/capability.h).
    fs::write(at("program"), "p").unwrap();
    let (mut capability, root) = (CAPABILITY.to_vec(), 1000u32.to_le_bytes());
    capability[3] = 3;
    xattr::set(at("program"), "security.capability", &[&capability[..], &root].concat()).unwrap();
    xattr::set(at("program"), "user.overlay.origin", b"o").unwrap();
    let (entries, _) = read();
    let xattrs = &entries.last().unwrap().attributes.xattrs;
    assert_eq!(*xattrs, BTreeMap::from([(b"security.capability".to_vec(), CAPABILITY.to_vec())]));
}

/// An image may have devices that look like whiteouts, and attributes of overlayfs.
#[test]
fn nothing_in_an_image_hides_what_it_does_not_replace() {
    let null = |path: &str| Entry { kind: Kind::CharacterDevice { major: 0, minor: 0 }, ..file(path, "") };
    let noted = |mut entry: Entry, name: &str, value: &str| {
        entry.attributes.xattrs.insert(name.into(), value.into());
        entry
    };
    let mut base = Files::new();
    base.put_all(&[directory("d"), null("d/null"), file("d/kept", "k"), file("f", "f"), file("g", "g")]);
    let come = [
        noted(directory("d"), "user.overlay.opaque", "y"),
        file("d/new", "n"),
        null("f"),
        noted(file("g", ""), "user.overlay.whiteout", ""),
        noted(directory("h"), "user.overlay.redirect", "/d"),
    ];
    let mut after = base.clone();
    after.put_all(&come);
    let lowers = [written(&lower(&come, &[], &after)), written(&lowest(&base))];
    let Some(overlay) = Overlay::mount(&lowers.each_ref().map(TempDir::path)) else { return };
    let names = |path: &str| names_in(&overlay.merged().join(path));
    assert_eq!(names(""), ["d", "g", "h"], "what the device replaced is gone, and the device as well");
    assert_eq!((names("d"), names("h")), (vec!["kept".to_owned(), "new".to_owned()], vec![]));
    let attributes = |path: &str| {
        let names = xattr::list(overlay.merged().join(path)).unwrap();
        names.map(|name| name.into_string().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!((attributes("d"), attributes("g"), attributes("h")), (vec![], vec![], vec![]));
    fs::remove_dir_all(overlay.merged().join("d")).unwrap();
    let (entries, removed) = upper(&overlay.upper(), &after, &[], &[]).unwrap();
    assert_eq!((entries, removed), (vec![], vec![b"d".to_vec()]));
}

#[test]
fn the_root_has_the_attributes_that_it_has() {
    let mut base = Files::new();
    *base.place(b"").attributes_mut() = Attributes { mode: 0o711, user: 3, ..Attributes::implied() };
    base.put_all(&[file("a", "a")]);
    if !require_root() {
        return;
    }
    for files in [lowest(&base), lower(&[], &[b"gone".to_vec()], &base)] {
        let root = fs::metadata(written(&files).path()).unwrap();
        assert_eq!((root.mode() & 0o7777, root.uid()), (0o711, 3));
    }
    // A symbolic link may lead to where the upper directory is.
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("upper")).unwrap();
    fs::write(place.path().join("upper/b"), "b").unwrap();
    symlink("upper", place.path().join("link")).unwrap();
    let (entries, _) = upper(&place.path().join("link"), &base, &[], &[]).unwrap();
    let Kind::File(content) = &entries[0].kind else { panic!("{entries:?}") };
    assert_eq!(content.bytes().unwrap(), b"b");
}
