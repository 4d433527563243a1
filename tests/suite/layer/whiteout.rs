//! Layers of changes that remove something: what umoci makes of them, and what this library reads.

use std::collections::BTreeMap;
use std::process::Command;

use ocibake::layer::{Compression, with_whiteouts};
use ocibake::tree::{Content, Entry, Files, Kind};
use tempfile::TempDir;

use super::unpack::{by_umoci, unpacked};
use crate::support::entry::{directory, file, hard_link, symlink, write};
use crate::support::handmade::{Blob, Handmade, PLAIN};
use crate::support::listing::Listing;
use crate::support::tool::{self, require, require_root};
use crate::support::traces::names_in;

/// An image of layers that the library writes of these entries.
pub(super) fn image_of(layers: &[&[Entry]]) -> Handmade {
    let blob = |entries: &&[Entry]| Blob::of(&write(entries, Compression::None, 1).sink, PLAIN);
    Handmade::new(&layers.iter().map(blob).collect::<Vec<_>>())
}

/// The paths below `root`, files with what is in them.
fn shown(root: &TempDir) -> BTreeMap<String, String> {
    let listing = Listing::of_directory(root.path());
    let shown = |path: &Vec<u8>| {
        let path = String::from_utf8(path.clone()).unwrap();
        let at = root.path().join(&path);
        let what = match at.symlink_metadata().unwrap() {
            it if it.is_dir() => "directory".to_owned(),
            it if it.is_symlink() => format!("-> {}", std::fs::read_link(&at).unwrap().display()),
            _ => std::fs::read_to_string(&at).unwrap(),
        };
        (path, what)
    };
    listing.0.keys().map(shown).collect()
}

fn below() -> Vec<Entry> {
    vec![
        directory("directory"),
        file("directory/a", "a"),
        directory("directory/b"),
        file("directory/b/c", "c"),
        file("file", "f"),
        file("kept", "k"),
        symlink("link", "directory"),
        file("one", "1"),
        hard_link("other", "one"),
    ]
}

/// What is left of [`below`] when `removed` go and `entries` come; umoci unpacks it, too, and gets the same.
fn changed(removed: &[&str], entries: &[Entry]) -> BTreeMap<String, String> {
    let removed: Vec<Vec<u8>> = removed.iter().map(|path| path.as_bytes().to_vec()).collect();
    let image = image_of(&[&below(), &with_whiteouts(entries, &removed, 0)]);
    let root = unpacked(&image);
    if require_root() && require("umoci") {
        Listing::of_directory(root.path()).at_time(0).assert_is(&by_umoci(&image).at_time(0));
    }
    // As the build has it in memory.
    let mut files = Files::new();
    files.put_all(&below());
    removed.iter().for_each(|path| files.remove(path));
    files.put_all(entries);
    let shown = shown(&root);
    let of_files: BTreeMap<String, String> = files
        .paths()
        .filter(|(path, _)| !path.is_empty())
        .map(|(path, node)| {
            let what = match node.entry(Vec::new()).kind {
                Kind::Directory => "directory".to_owned(),
                Kind::Symlink { target } => format!("-> {}", String::from_utf8(target).unwrap()),
                Kind::File(Content::Bytes(bytes)) => String::from_utf8(bytes.to_vec()).unwrap(),
                other => unreachable!("{other:?}"),
            };
            (String::from_utf8(path).unwrap(), what)
        })
        .collect();
    assert_eq!(of_files, shown);
    shown
}

fn paths(shown: &BTreeMap<String, String>) -> Vec<&str> {
    shown.keys().map(String::as_str).collect()
}

#[test]
fn a_file_and_a_directory_go_with_one_whiteout_each() {
    let shown = changed(&["directory", "file", "link", "other"], &[]);
    assert_eq!(paths(&shown), ["kept", "one"]);
    let shown = changed(&["directory/b"], &[directory("directory")]);
    assert!(shown.contains_key("directory/a") && !shown.contains_key("directory/b"), "{shown:?}");
}

#[test]
fn a_directory_gives_way_to_a_file_or_a_link() {
    let shown = changed(&["directory"], &[file("directory", "now a file")]);
    assert_eq!(paths(&shown), ["directory", "file", "kept", "link", "one", "other"]);
    assert_eq!(shown["directory"], "now a file");
    // What was in it need not be told of, and may be.
    let shown = changed(&["directory/a", "directory/b"], &[symlink("directory", "kept")]);
    assert_eq!(shown["directory"], "-> kept");
}

#[test]
fn a_file_and_a_link_give_way_to_a_directory() {
    for removed in [&[][..], &["file", "link"]] {
        let come = [directory("file"), file("file/new", "n"), directory("link"), file("link/a", "new")];
        let shown = changed(removed, &come);
        assert_eq!(shown["file/new"], "n");
        assert_eq!((shown["link"].as_str(), shown["link/a"].as_str()), ("directory", "new"));
        assert_eq!(shown["directory/a"], "a", "the link is not followed");
    }
}

#[test]
fn a_directory_that_is_replaced_by_another_has_nothing_of_it() {
    let come = [directory("directory"), directory("directory/b"), file("directory/b/new", "n")];
    let shown = changed(&["directory"], &come);
    let left: Vec<&str> = paths(&shown).into_iter().filter(|path| path.starts_with("directory")).collect();
    assert_eq!(left, ["directory", "directory/b", "directory/b/new"]);
    // The same, child by child.
    assert_eq!(changed(&["directory/a", "directory/b/c"], &come), shown);
}

/// As docker unpacks for overlayfs: whiteouts become devices as they come, and a directory in the place of one is none.
#[test]
fn no_name_has_a_whiteout_and_comes() {
    let removed = [b"directory".to_vec(), b"file".to_vec(), b"link".to_vec()];
    let entries = [directory("directory"), file("file", "new"), directory("link")];
    let names: Vec<_> = with_whiteouts(&entries, &removed, 0).into_iter().map(|entry| entry.path).collect();
    assert_eq!(
        names,
        [&b"directory"[..], b"directory/.wh..wh..opq", b"file", b"link", b"link/.wh..wh..opq"].map(<[u8]>::to_vec)
    );
}

/// GNU tar shows what stands in the layer: whiteouts are empty regular files.
#[test]
fn whiteouts_are_empty_files_in_the_tar() {
    if !require("tar") {
        return;
    }
    let layer = with_whiteouts(&[directory("d")], &[b"d/gone".to_vec()], 315_532_800);
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("layer.tar");
    std::fs::write(&path, write(&layer, Compression::None, 1).sink).unwrap();
    let mut list = Command::new("tar");
    list.env("TZ", "UTC").args(["--list", "--verbose", "--numeric-owner", "--file"]).arg(&path);
    let lines: Vec<String> =
        tool::checked(&mut list).lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(lines, ["drwxr-xr-x 0/0 0 1970-01-01 00:00 d/", "---------- 0/0 0 1980-01-01 00:00 d/.wh.gone"]);
    assert_eq!(names_in(place.path()), ["layer.tar"]);
}
