//! Layers put one over the other, against a model that is nothing but a list of paths, and against umoci.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ocibake::layer::{Extent, Member, Overlay};
use ocibake::oci::Digest;
use ocibake::progress::silent;
use ocibake::tree::{self, Attributes, Content, Node, Object, Spool, Time};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::change_model::{Change, Model, any_layers, is_below};
use crate::support::handmade::{self, Entry, Handmade};
use crate::support::listing::{Kind, Listing};
use crate::support::tool::{self, require, require_root};
use crate::support::tree::Tree as DiskTree;

#[test]
fn a_whiteout_hides_what_is_below_and_only_that() {
    let tree = applied(&[
        &[file("a/b", 1), file("a/c", 2), file("d/e/f", 3), file("g", 4)],
        &[whiteout("a", "b"), file("a/new", 5), whiteout("", "d"), whiteout("", "nothing")],
    ]);
    assert_eq!(paths(&tree), ["", "a", "a/c", "a/new", "g"]);
    // Wherever in its own layer it stands.
    let tree = applied(&[&[file("a/b", 1)], &[file("a/b", 2), whiteout("a", "b"), file("c", 3), whiteout("", "c")]]);
    assert_eq!(paths(&tree), ["", "a", "a/b", "c"]);
    assert_eq!(layer_of(tree.find(b"a/b").unwrap()), 1);
}

#[test]
fn an_opaque_directory_shows_nothing_from_below() {
    let below = [directory("a", 0o700), file("a/b", 1), file("a/c/d", 2), file("e", 3)];
    for layer in [
        [whiteout("a", ".wh..opq"), file("a/new", 4), file("a/c/new", 5)],
        [file("a/new", 4), file("a/c/new", 5), whiteout("a", ".wh..opq")],
    ] {
        let tree = applied(&[&below, &layer]);
        assert_eq!(paths(&tree), ["", "a", "a/c", "a/c/new", "a/new", "e"]);
        assert_eq!(tree.find(b"a").unwrap().attributes().mode, 0o700, "the directory itself stays");
    }
    let tree = applied(&[&below, &[whiteout("", ".wh..opq")]]);
    assert_eq!(paths(&tree), [""]);
}

/// Each of the whiteouts would look at each of the files: some hours, where this takes a second.
#[test]
fn whiteouts_without_end_take_no_time_without_end() {
    let files = || (0..50_000).map(|number| file(&format!("a/{number}"), 1));
    for again in [whiteout("a", ".wh..opq"), whiteout("", "a")] {
        let whiteouts = std::iter::repeat_n(again, 50_000);
        let upper: Vec<Member> = files().chain(whiteouts).chain([file("a/last", 2)]).collect();
        let (done, outcome) = std::sync::mpsc::channel();
        std::thread::spawn(move || done.send(paths(&applied(&[&[file("a/below", 0)], &upper])).len()));
        let count = outcome.recv_timeout(std::time::Duration::from_secs(600)).expect("it goes on for ever");
        // The root and the directory are among them, and what is below is not.
        assert_eq!(count, 50_003);
    }
}

#[test]
fn a_directory_that_is_replaced_by_itself_keeps_its_children() {
    let tree = applied(&[&[directory("a", 0o700), file("a/b", 1)], &[directory("a", 0o755)]]);
    assert_eq!(paths(&tree), ["", "a", "a/b"]);
    assert_eq!(tree.find(b"a").unwrap().attributes().mode, 0o755);
    // By a whiteout and itself it does not.
    let tree = applied(&[&[directory("a", 0o700), file("a/b", 1)], &[whiteout("", "a"), directory("a", 0o755)]]);
    assert_eq!(paths(&tree), ["", "a"]);
    // Nor by way of anything else.
    let tree = applied(&[&[directory("a", 0o700), file("a/b", 1)], &[file("a", 2)], &[directory("a", 0o755)]]);
    assert_eq!(paths(&tree), ["", "a"]);
}

#[test]
fn a_link_in_the_way_is_followed_within_the_root() {
    let tree = applied(&[
        &[
            directory("usr/lib", 0o755),
            symlink("lib", "usr/lib"),
            symlink("usr/up", "../../../lib"),
            symlink("abs", "/usr"),
        ],
        &[file("lib/a", 1), file("usr/up/b", 2), file("abs/c", 3), file("abs/lib/d", 4)],
        &[whiteout("lib", "d")],
    ]);
    assert_eq!(paths(&tree), ["", "abs", "lib", "usr", "usr/c", "usr/lib", "usr/lib/a", "usr/lib/b", "usr/up"]);
    assert_eq!(tree.find(b"abs/lib/a").unwrap().address(), tree.find(b"usr/lib/a").unwrap().address());
    assert!(is_symlink(tree.find(b"lib").unwrap()), "the last name is not followed");
    assert!(tree.find(b"lib/none/x").is_none());
    // One that leads nowhere yet leads to where directories are made.
    let tree = applied(&[&[symlink("data", "/var/data"), file("data/x", 1)]]);
    assert_eq!(paths(&tree), ["", "data", "var", "var/data", "var/data/x"]);
    assert_eq!(*tree.find(b"var").unwrap().attributes(), Attributes::implied());
    // As overlay file systems tell that a link has become a directory.
    let tree = applied(&[
        &[file("usr/lib/a", 1), symlink("lib", "usr/lib")],
        &[directory("lib", 0o755), whiteout("lib", ".wh..opq"), whiteout("lib", "a"), file("lib/b", 2)],
    ]);
    assert_eq!(paths(&tree), ["", "lib", "lib/b", "usr", "usr/lib", "usr/lib/a"]);
}

/// umoci's repack tells of all that was in a directory that is something else now.
#[test]
fn a_whiteout_in_what_is_no_directory_any_more_hides_nothing() {
    let below = [file("a/x", 1), file("b/x", 2)];
    let tree = applied(&[&below, &[file("a", 3), whiteout("a", "x")]]);
    assert_eq!(paths(&tree), ["", "a", "b", "b/x"]);
    let tree = applied(&[&below, &[symlink("a", "b"), whiteout("a", "x"), whiteout("a", ".wh..opq")]]);
    assert_eq!(paths(&tree), ["", "a", "b", "b/x"]);
    assert!(is_symlink(tree.find(b"a").unwrap()));
}

#[test]
fn a_hard_link_is_a_name_of_its_own() {
    let tree = applied(&[&[file("a", 1)], &[hard_link("b", "a")], &[whiteout("", "a")], &[hard_link("c", "b")]]);
    assert_eq!(paths(&tree), ["", "b", "c"]);
    let nodes: Vec<_> = tree.files().paths().map(|(_, node)| node).collect();
    assert!(nodes[1].is(nodes[2]));
    assert_eq!(layer_of(nodes[1]), 0, "the content is the lowest layer's");
    // A whiteout in the layer that made the link is about lower layers.
    let tree = applied(&[&[file("a", 1)], &[hard_link("b", "a"), whiteout("", "b"), whiteout("", "a")]]);
    assert_eq!(paths(&tree), ["", "b"]);
}

#[test]
fn layers_make_what_the_model_says() {
    let config = Config { cases: 400, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&any_layers(), |layers| {
        let mut tree = Overlay::new();
        let mut model = Model::default();
        for (number, changes) in layers.iter().enumerate() {
            for (at, change) in changes.iter().enumerate() {
                let id = (number * 100 + at) as u64;
                let expected = model.apply(number, id, change);
                let result = tree.apply(number, vec![member(change, id)], &spool(number));
                prop_assert_eq!(result.is_ok(), expected, "{:?} after {:?}", change, &layers[..=number]);
            }
        }
        prop_assert_eq!(shown(&tree), model.shown());
        for path in model.names.keys() {
            prop_assert!(tree.find(path.as_bytes()).is_some(), "{} is not found", path);
        }
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

/// As umoci does it, whiteouts standing first in their layers, as they should.
#[test]
fn layers_make_what_umoci_makes_of_them() {
    if !require_root() || !require("umoci") {
        return;
    }
    let config = Config { cases: 25, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&any_layers(), |mut layers| {
        let mut model = Model::default();
        for (number, changes) in layers.iter_mut().enumerate() {
            changes.sort_by_key(|change| !matches!(change, Change::Whiteout(_) | Change::Opaque(_)));
            let mut at = 0;
            // What cannot be is another test's.
            changes.retain(|change| {
                at += 1;
                let has_way = match change {
                    Change::Whiteout(path) => model.place(path).is_some(),
                    Change::Opaque(path) => model.place(&format!("{path}/x")).is_some(),
                    // umoci removes what is in a link's place first, and with it what it would link to.
                    Change::HardLink(path, target) => match (model.place(path), model.place(target)) {
                        (Some(path), Some(target)) => path != target && !is_below(&target, &path),
                        _ => false,
                    },
                    _ => true,
                };
                has_way && model.apply(number, at, change)
            });
        }
        let entries: Vec<Vec<Entry>> = layers
            .iter()
            .enumerate()
            .map(|(number, layer)| layer.iter().map(|change| entry(change, number)).collect())
            .collect();
        let image = Handmade::of(&entries.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let place = tempfile::tempdir().unwrap();
        image.write(&format!("type=local,dest={}/root", place.path().display())).unwrap();
        let bundle = place.path().join("bundle");
        let name = format!("{}:it", image.path().display());
        tool::run("umoci", ["unpack", "--image", &name, bundle.to_str().unwrap()]);
        let (ours, theirs) =
            (Listing::of_directory(&place.path().join("root")), Listing::of_directory(&bundle.join("rootfs")));
        // Directories that nobody tells of are of the present there.
        timeless(ours).assert_is(&timeless(theirs));
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

/// The layer that umoci makes of what has changed in a root file system leads there.
#[test]
fn a_layer_of_changes_by_umoci_is_applied() {
    if !require_root() || !require("umoci") {
        return;
    }
    let image = Handmade::of(&[&[handmade::directory("kept"), handmade::file("kept/lower", "lower")]]);
    let place = tempfile::tempdir().unwrap();
    let bundle = place.path().join("bundle");
    let umoci = |command: &str, name: &str| {
        let image = format!("{}:{name}", image.path().display());
        tool::run("umoci", [command, "--image", &image, bundle.to_str().unwrap()]);
    };
    umoci("unpack", "it");
    let root = bundle.join("rootfs");
    let first = DiskTree::new()
        .file("removed", "r")
        .file("replaced/by/file", "f")
        .file("file", "by a directory")
        .symlink("link", "replaced")
        .file("linked", "two names")
        .hard_link("also", "linked")
        .file("full/a", "a")
        .file("full/b", "b");
    first.plant_in(&root);
    umoci("repack", "first");
    std::fs::remove_dir_all(&bundle).unwrap();
    umoci("unpack", "first");
    std::fs::remove_file(root.join("removed")).unwrap();
    std::fs::remove_dir_all(root.join("replaced")).unwrap();
    std::fs::remove_dir_all(root.join("full")).unwrap();
    std::fs::remove_file(root.join("file")).unwrap();
    std::fs::remove_file(root.join("link")).unwrap();
    std::fs::remove_file(root.join("also")).unwrap();
    let second = DiskTree::new()
        .file("replaced", "now a file")
        .file("file/within", "now a directory")
        .file("link/within", "now a directory")
        .directory("full")
        .mode(0o700)
        .file("kept/upper", "upper")
        .mode(0o4755);
    second.plant_in(&root);
    umoci("repack", "second");

    let store = ocibake::store::Layout::open(image.path()).unwrap();
    let descriptor = ocibake::store::Store::resolve(&store, Some("second")).unwrap();
    let output = format!("type=local,dest={}/root", place.path().display());
    handmade::write_root(&store, &descriptor, &output, &silent).unwrap();
    // umoci rounds times up.
    let ours = Listing::of_directory(&place.path().join("root")).normalised();
    ours.assert_is(&Listing::of_directory(&root).normalised());
    assert_eq!(ours.0.len(), 10, "{ours:?}");
}

fn timeless(mut listing: Listing) -> Listing {
    listing.0.values_mut().filter(|record| record.kind == Kind::Directory).for_each(|record| record.time = 0);
    listing
}

/// A tree in the words of [`Model::shown`].
fn shown(tree: &Overlay) -> BTreeMap<String, String> {
    let mut names: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    for (path, node) in tree.files().paths() {
        names.entry(node.address()).or_default().insert(String::from_utf8(path).unwrap());
    }
    let shown = |node: &Node| match node.object() {
        Object::Other(tree::Kind::File(content)) => format!("file {} {:?}", content.size(), names[&node.address()]),
        Object::Directory(_) => format!("directory {}", node.attributes().mode),
        Object::Other(tree::Kind::Symlink { target }) => {
            format!("link {} {:?}", String::from_utf8_lossy(target), names[&node.address()])
        }
        other => panic!("{other:?}"),
    };
    let all = tree.files().paths().filter(|(path, _)| !path.is_empty());
    all.map(|(path, node)| (String::from_utf8(path).unwrap(), shown(node))).collect()
}

/// As the tree gets it.
fn member(change: &Change, id: u64) -> Member {
    match change {
        Change::File(path) => file(path, id),
        Change::Directory(path) => directory(path, (id % 0o1000) as u32),
        Change::Symlink(path, target) => symlink(path, target),
        Change::HardLink(path, target) => hard_link(path, target),
        Change::Whiteout(path) => {
            let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
            whiteout(parent, name)
        }
        Change::Opaque(path) => whiteout(path, ".wh..opq"),
    }
}

/// As a tar has it.
fn entry(change: &Change, number: usize) -> Entry {
    let path = member(change, 0).path;
    match change {
        Change::File(_) => handmade::file(path, format!("of layer {number}")),
        Change::Directory(_) => handmade::directory(path).mode(0o700 + number as u32),
        Change::Symlink(_, target) => handmade::symlink(path, target),
        Change::HardLink(_, target) => handmade::hard_link(path, target),
        Change::Whiteout(_) | Change::Opaque(_) => handmade::file(path, ""),
    }
}

fn made(path: &str, kind: tree::Kind<Extent>, mode: u32) -> Member {
    let attributes = Attributes { mode, user: 0, group: 0, modified: Time::default(), xattrs: BTreeMap::new() };
    Member { path: path.as_bytes().to_vec(), kind, attributes }
}

fn file(path: &str, size: u64) -> Member {
    made(path, tree::Kind::File(Extent { offset: 0, size }), 0o644)
}

fn directory(path: &str, mode: u32) -> Member {
    made(path, tree::Kind::Directory, mode)
}

fn symlink(path: &str, target: &str) -> Member {
    made(path, tree::Kind::Symlink { target: target.as_bytes().to_vec() }, 0o777)
}

fn hard_link(path: &str, target: &str) -> Member {
    made(path, tree::Kind::HardLink { target: target.as_bytes().to_vec() }, 0o644)
}

fn whiteout(parent: &str, name: &str) -> Member {
    let parent = if parent.is_empty() { String::new() } else { format!("{parent}/") };
    file(&format!("{parent}.wh.{name}"), 0)
}

fn applied(layers: &[&[Member]]) -> Overlay {
    let mut tree = Overlay::new();
    for (number, members) in layers.iter().enumerate() {
        tree.apply(number, members.to_vec(), &spool(number)).unwrap();
    }
    tree
}

fn paths(tree: &Overlay) -> Vec<String> {
    tree.files().paths().map(|(path, _)| String::from_utf8(path).unwrap()).collect()
}

/// The tar of a layer, which nobody reads.
fn spool(layer: usize) -> Arc<Spool> {
    Arc::new(Spool::new(Digest::of(layer.to_string().as_bytes())))
}

/// The layer that a file's content is in.
fn layer_of(node: &Node) -> usize {
    let Object::Other(tree::Kind::File(Content::Part { spool: found, .. })) = node.object() else { panic!("no file") };
    (0..).find(|layer| spool(*layer).tar() == found.tar()).unwrap()
}

fn is_symlink(node: &Node) -> bool {
    matches!(node.object(), Object::Other(tree::Kind::Symlink { .. }))
}
