//! Changes where there is no overlay: what was done to a copy of directories is what an overlay of them would have said.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use ocibake::layer::{Devices, Provided, StandingRoot, lower, lowest, upper};
use ocibake::tree::{Attributes, Change, Entry, Files, Identity, Kind, Time, diff};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use tempfile::TempDir;

use super::overlay::{apply, written};
use super::overlay_model::{Deed, deeds, edit, edits, perform};
use crate::support::entry::{directory, file, hard_link, symlink as link};
use crate::support::listing::{self, Listing};
use crate::support::overlay::Overlay;
use crate::support::tool::require_root;
use crate::support::traces::names_in;

/// A file system in two directories, and a copy of both.
struct Stand {
    below: Files,
    lowers: [TempDir; 2],
    place: TempDir,
    standing: StandingRoot,
}

type Changed = (Vec<Entry>, Vec<Vec<u8>>);

impl Stand {
    fn new(base: &Files, below: &Files, devices: Devices) -> Self {
        let (mut entries, mut removed) = (Vec::new(), Vec::new());
        for change in diff(base, below) {
            match change {
                Change::Put(entry) => entries.push(entry),
                Change::Remove(path) => removed.push(path),
            }
        }
        let lowers = [written(&lower(&entries, &removed, below)), written(&lowest(base))];
        let place = tempfile::tempdir().unwrap();
        for name in ["root", "upper"] {
            fs::create_dir(place.path().join(name)).unwrap();
        }
        let mut standing = StandingRoot::new(place.path().join("root"), devices);
        lowers.iter().rev().for_each(|lower| standing.lay(lower.path()).unwrap());
        standing.mark().unwrap();
        Stand { below: below.clone(), lowers, place, standing }
    }

    /// None where the tests do not run as root.
    fn on(entries: &[Entry]) -> Option<Self> {
        require_root().then(|| {
            let mut below = Files::new();
            below.put_all(entries);
            Stand::new(&below, &below, Devices::Live)
        })
    }

    fn at(&self, path: &str) -> PathBuf {
        self.standing.root().join(path)
    }

    fn upper(&self) -> PathBuf {
        self.place.path().join("upper")
    }

    fn lowers(&self) -> Vec<PathBuf> {
        self.lowers.iter().map(|lower| lower.path().to_owned()).collect()
    }

    fn take(&mut self, provided: &[Provided]) -> Changed {
        let (lowers, upper_directory) = (self.lowers(), self.upper());
        self.standing.take(&lowers, provided, &upper_directory).unwrap();
        upper(&upper_directory, &self.below, &[], &lowers).unwrap()
    }

    /// Returns the paths that have changed, and those that are gone.
    fn paths(&mut self, provided: &[Provided]) -> (Vec<String>, Vec<String>) {
        let (entries, removed) = self.take(provided);
        let text = |path: Vec<u8>| String::from_utf8(path).unwrap();
        (entries.into_iter().map(|entry| text(entry.path)).collect(), removed.into_iter().map(text).collect())
    }
}

/// Whoever puts things into directories changes their times.
fn listed(root: &Path) -> Listing {
    let mut listing = Listing::of_directory(root);
    listing.0.values_mut().filter(|record| record.kind == listing::Kind::Directory).for_each(|record| record.time = 0);
    listing
}

/// The same, for who does not ask which names are of one file.
fn apart(root: &Path) -> Listing {
    let mut listing = listed(root);
    for record in listing.0.values_mut() {
        if let listing::Kind::File { link, .. } = &mut record.kind {
            *link = None;
        }
    }
    listing
}

/// A change in a form that does not say where contents lie.
type Comparable = (Vec<(Vec<u8>, String, Attributes)>, Vec<Vec<u8>>);

fn comparable((entries, removed): Changed) -> Comparable {
    let one = |entry: Entry| {
        let kind = match &entry.kind {
            Kind::File(content) => format!("file {:?}", content.bytes().unwrap()),
            other => format!("{other:?}"),
        };
        (entry.path, kind, Attributes { modified: Time::of_seconds(0), ..entry.attributes })
    };
    (entries.into_iter().map(one).collect(), removed)
}

fn config() -> Config {
    Config { cases: 80, failure_persistence: None, ..Config::default() }
}

#[test]
fn a_change_is_what_an_overlay_says() {
    if !require_root() {
        return;
    }
    // overlayfs does not move directories of lower ones.
    let without_moves = |deeds: Vec<Deed>| -> Vec<Deed> {
        deeds.into_iter().filter(|deed| !matches!(deed, Deed::Rename(..))).collect()
    };
    let outcome = TestRunner::new(config()).run(&(edits(), edits(), deeds()), |(first, second, deeds)| {
        let deeds = without_moves(deeds);
        let mut base = Files::new();
        edit(&mut base, &first);
        let mut below = base.clone();
        edit(&mut below, &second);
        let mut stand = Stand::new(&base, &below, Devices::Live);
        let lowers = stand.lowers();
        let Some(overlay) = Overlay::mount(&[&lowers[0], &lowers[1]]) else { return Ok(()) };
        perform(&overlay.merged(), &deeds);
        perform(stand.standing.root(), &deeds);
        let expected = upper(&overlay.upper(), &below, &[], &lowers).unwrap();
        prop_assert_eq!(comparable(stand.take(&[])), comparable(expected));
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn a_copy_holds_what_it_is_a_copy_of_and_after_a_change_what_was_made_of_it() {
    if !require_root() {
        return;
    }
    let outcome = TestRunner::new(config()).run(&(edits(), edits(), deeds()), |(first, second, deeds)| {
        let mut base = Files::new();
        edit(&mut base, &first);
        let mut below = base.clone();
        edit(&mut below, &second);
        let mut stand = Stand::new(&base, &below, Devices::Live);
        apart(stand.standing.root()).assert_is(&apart(written(&below).path()));

        perform(stand.standing.root(), &deeds);
        let after = apart(stand.standing.root());
        let change = stand.take(&[]);
        // It is brought up to what it was, and the next one may go on in it.
        let upper = stand.upper();
        stand.standing.lay(&upper).unwrap();
        let again = apart(stand.standing.root());
        apart(written(&apply(&below, &change)).path()).assert_is(&again);
        // And so is one that is copied anew.
        let copy = tempfile::tempdir().unwrap();
        let mut anew = StandingRoot::new(copy.path().to_owned(), Devices::Live);
        stand.lowers.iter().rev().for_each(|lower| anew.lay(lower.path()).unwrap());
        anew.lay(&upper).unwrap();
        apart(copy.path()).assert_is(&again);
        again.assert_is(&after);
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn what_was_noted_of_a_root_holds_for_one_command_after_the_other() {
    if !require_root() {
        return;
    }
    let rounds = prop::collection::vec(deeds(), 2..5);
    let outcome = TestRunner::new(Config { cases: 40, ..config() }).run(&(edits(), rounds), |(edits, rounds)| {
        let mut below = Files::new();
        edit(&mut below, &edits);
        let mut stand = Stand::new(&below, &below, Devices::Live);
        let mut lowers = stand.lowers();
        let mut uppers = Vec::new();
        for deeds in rounds {
            let (copy, [kept, anew]) = (tempfile::tempdir().unwrap(), [(), ()].map(|()| tempfile::tempdir().unwrap()));
            let mut other = StandingRoot::new(copy.path().to_owned(), Devices::Live);
            lowers.iter().rev().for_each(|lower| other.lay(lower).unwrap());
            other.mark().unwrap();
            let taken = |standing: &mut StandingRoot, upper_directory: &Path| {
                perform(standing.root(), &deeds);
                standing.take(&lowers, &[], upper_directory).unwrap();
                upper(upper_directory, &below, &[], &lowers).unwrap()
            };
            let change = taken(&mut stand.standing, kept.path());
            let after = apply(&below, &change);
            prop_assert_eq!(comparable(change), comparable(taken(&mut other, anew.path())));
            below = after;
            stand.standing.lay(kept.path()).unwrap();
            stand.standing.mark().unwrap();
            lowers.insert(0, kept.path().to_owned());
            uppers.push(kept);
        }
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

fn some() -> Vec<Entry> {
    vec![
        directory("d"),
        directory("d/e"),
        file("d/e/f", "f"),
        file("d/one", "1"),
        hard_link("d/other", "d/one"),
        file("g", "g"),
        link("link", "d"),
    ]
}

fn of<const N: usize, const M: usize>(changed: [&str; N], gone: [&str; M]) -> (Vec<String>, Vec<String>) {
    (changed.map(str::to_owned).to_vec(), gone.map(str::to_owned).to_vec())
}

#[test]
fn a_change_of_the_same_size_and_time_is_found_at_once() {
    let Some(mut stand) = Stand::on(&some()) else { return };
    let time = fs::metadata(stand.at("g")).unwrap().modified().unwrap();
    fs::write(stand.at("g"), "x").unwrap();
    File::options().write(true).open(stand.at("g")).unwrap().set_modified(time).unwrap();
    assert_eq!(stand.paths(&[]), of(["g"], []));
}

#[test]
fn what_is_as_it_was_is_no_change_whatever_was_done_to_it() {
    let Some(mut stand) = Stand::on(&some()) else { return };
    let time = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
    let set_time = |path: &Path| File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    stand
        .lowers
        .iter()
        .map(|lower| lower.path().join("g"))
        .filter(|path| path.exists())
        .for_each(|path| set_time(&path));
    set_time(&stand.at("g"));
    stand.standing.mark().unwrap();
    fs::write(stand.at("g"), "g").unwrap();
    set_time(&stand.at("g"));
    fs::set_permissions(stand.at("d/e/f"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::rename(stand.at("d"), stand.at("x")).unwrap();
    fs::rename(stand.at("x"), stand.at("d")).unwrap();
    fs::write(stand.at("d/new"), "").unwrap();
    fs::remove_file(stand.at("d/new")).unwrap();
    assert_eq!(stand.paths(&[]), of([], []));
    // Another time is one, as it is with docker.
    let Some(mut stand) = Stand::on(&some()) else { return };
    fs::write(stand.at("g"), "g").unwrap();
    assert_eq!(stand.paths(&[]), of(["g"], []));
}

#[test]
fn attributes_alone_are_a_change() {
    let Some(mut stand) = Stand::on(&some()) else { return };
    xattr::set(stand.at("g"), "user.note", b"n").unwrap();
    std::os::unix::fs::lchown(stand.at("link"), Some(7), Some(8)).unwrap();
    assert_eq!(stand.paths(&[]), of(["g", "link"], []));
}

#[test]
fn a_directory_that_was_moved_is_all_new() {
    let Some(mut stand) = Stand::on(&some()) else { return };
    fs::rename(stand.at("d"), stand.at("moved")).unwrap();
    let (entries, removed) = stand.take(&[]);
    let paths: Vec<_> = entries.iter().map(|entry| std::str::from_utf8(&entry.path).unwrap()).collect();
    assert_eq!(paths, ["moved", "moved/e", "moved/e/f", "moved/one", "moved/other"]);
    assert_eq!(removed, [b"d"]);
}

#[test]
fn names_of_one_file_come_apart_and_new_ones_come_together() {
    let Some(mut stand) = Stand::on(&some()) else { return };
    std::os::unix::fs::lchown(stand.at("d/other"), Some(7), Some(7)).unwrap();
    fs::hard_link(stand.at("g"), stand.at("new")).unwrap();
    let (entries, _) = stand.take(&[]);
    let paths: Vec<_> = entries.iter().map(|entry| std::str::from_utf8(&entry.path).unwrap()).collect();
    assert_eq!(paths, ["d", "d/other", "g", "new"]);
    assert!(matches!(&entries[3].kind, Kind::HardLink { target } if target == b"g"));
}

#[test]
fn what_was_provided_gives_way_to_what_was_in_its_place() {
    let base = [directory("etc"), link("etc/resolv.conf", "../run/resolv.conf"), file("etc/hosts", "own")];
    let Some(mut stand) = Stand::on(&base) else { return };
    let provide = |stand: &Stand, path: &str| {
        let _ = fs::remove_file(stand.at(path));
        fs::create_dir_all(stand.at(path).parent().unwrap()).unwrap();
        fs::write(stand.at(path), "provided").unwrap();
        Provided { path: path.into(), identity: Identity::of(&rustix::fs::stat(stand.at(path)).unwrap()) }
    };
    let provided = ["etc/resolv.conf", "etc/hosts", "made/for/it"].map(|path| provide(&stand, path));
    assert_eq!(stand.paths(&provided), of([], []));
    assert_eq!(fs::read_link(stand.at("etc/resolv.conf")).unwrap(), Path::new("../run/resolv.conf"));
    assert_eq!(fs::read_to_string(stand.at("etc/hosts")).unwrap(), "own");
    assert_eq!(names_in(stand.standing.root()), ["etc"]);
    // What a command has made of them is the image's.
    let Some(mut stand) = Stand::on(&base) else { return };
    let provided = ["etc/resolv.conf", "etc/hosts"].map(|path| provide(&stand, path));
    fs::remove_file(stand.at("etc/resolv.conf")).unwrap();
    fs::set_permissions(stand.at("etc/hosts"), fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(stand.paths(&provided), of(["etc", "etc/hosts"], ["etc/resolv.conf"]));
}

#[test]
fn a_dead_device_is_none_in_the_copy_and_the_one_that_it_was_in_the_change() {
    if !require_root() {
        return;
    }
    let node = |path: &str| Entry { kind: Kind::CharacterDevice { major: 1, minor: 5 }, ..file(path, "") };
    let mut below = Files::new();
    below.put_all(&[node("kept"), node("zero")]);
    let mut stand = Stand::new(&below, &below, Devices::Dead);
    assert_eq!(fs::metadata(stand.at("zero")).unwrap().rdev(), makedev(0, 1));
    assert!(File::open(stand.at("zero")).is_err());
    fs::set_permissions(stand.at("zero"), fs::Permissions::from_mode(0o600)).unwrap();
    // Nobody takes what a command makes for a whiteout of its own.
    mknodat(CWD, stand.at("false"), FileType::CharacterDevice, Mode::RWXU, 0).unwrap();
    let (entries, removed) = stand.take(&[]);
    assert_eq!((entries.len(), removed), (1, Vec::new()));
    assert_eq!((entries[0].path.as_slice(), entries[0].attributes.mode), (&b"zero"[..], 0o600));
    assert_eq!(entries[0].kind, Kind::CharacterDevice { major: 1, minor: 5 });
    assert_eq!(fs::metadata(stand.upper().join("zero")).unwrap().rdev(), makedev(1, 5));
}

#[test]
fn notes_of_overlayfs_that_a_command_writes_mean_nothing() {
    let Some(mut stand) = Stand::on(&some()) else { return };
    fs::write(stand.at("new"), "").unwrap();
    xattr::set(stand.at("new"), "user.overlay.whiteout", b"y").unwrap();
    xattr::set(stand.at("d"), "user.overlay.opaque", b"y").unwrap();
    assert_eq!(stand.paths(&[]), of(["new"], []));
}

#[test]
fn holes_stay_holes() {
    let Some(mut stand) = Stand::on(&some()) else { return };
    let sparse = File::create(stand.at("sparse")).unwrap();
    sparse.set_len(1 << 40).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"end", (1 << 40) - 3).unwrap();
    symlink("sparse", stand.at("to")).unwrap();
    let upper = stand.upper();
    stand.standing.take(&[], &[], &upper).unwrap();
    stand.standing.lay(&upper).unwrap();
    let copied = fs::metadata(stand.at("sparse")).unwrap();
    assert_eq!(copied.len(), 1 << 40);
    assert!(copied.blocks() < 100);
}
