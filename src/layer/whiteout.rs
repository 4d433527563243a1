//! Removals in the words of layers (image-spec, layer.md, "Whiteouts").

use std::collections::{BTreeMap, BTreeSet};

use super::read::{OPAQUE, WHITEOUT};
use crate::tree::path::split;
use crate::tree::{Attributes, Content, Entry, Kind, Time, joined, parent};

/// Returns the entries of the layer of a change, sorted by path: first `removed` goes, then `entries`, sorted by path, come.
/// Each whiteout is an empty file of root without any permissions, as BuildKit's are; its time is `time`, in seconds since
/// 1970.
///
/// What goes with its directory, and what is put in the place of something that goes, needs no whiteout. Only a directory
/// that is put in the place of another that goes says so, by an opaque whiteout: who unpacks would keep what was in it. A
/// whiteout of its own name would not do, for docker and containerd make overlay's whiteout of that, which the directory
/// then replaces. A list of what was in it is better where that is known: name the children in `removed` and not the
/// directory.
///
/// The directories that lead to `removed` should be among `entries`: who unpacks makes those that he misses.
pub fn with_whiteouts(entries: &[Entry], removed: &[Vec<u8>], time: i64) -> Vec<Entry> {
    let put = |path: &[u8]| {
        let found = entries.binary_search_by(|entry| entry.path.as_slice().cmp(path));
        found.ok().map(|number| &entries[number].kind)
    };
    let gone: BTreeSet<&[u8]> = removed.iter().map(Vec::as_slice).collect();
    let goes_along = |path: &[u8]| {
        let above = std::iter::successors(parent(path), |above| parent(above));
        above.into_iter().any(|above| gone.contains(above) || put(above).is_some_and(|kind| !kind.is_directory()))
    };
    let whiteout = |path: &[u8]| match put(path) {
        _ if goes_along(path) => None,
        _ if path.is_empty() => Some(OPAQUE.to_vec()),
        None => {
            let (directory, name) = split(path);
            Some(joined(directory, &[WHITEOUT, name].concat()))
        }
        Some(Kind::Directory) => Some(joined(path, OPAQUE)),
        Some(_) => None,
    };
    let attributes = Attributes { mode: 0, modified: Time::of_seconds(time), ..Attributes::implied() };
    let entry =
        |path: Vec<u8>| Entry { path, kind: Kind::File(Content::Bytes([].into())), attributes: attributes.clone() };
    let mut all: BTreeMap<&[u8], Entry> = entries.iter().map(|entry| (entry.path.as_slice(), entry.clone())).collect();
    let whiteouts: Vec<Vec<u8>> = gone.iter().filter_map(|path| whiteout(path)).collect();
    // A file of such a name, should there be one, is one already; but it may have something in it.
    all.extend(whiteouts.iter().map(|path| (path.as_slice(), entry(path.clone()))));
    all.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> Entry {
        Entry { kind: Kind::File(Content::Bytes(b"x"[..].into())), ..Entry::directory(path.into(), 7) }
    }

    fn directory(path: &str) -> Entry {
        Entry::directory(path.into(), 7)
    }

    fn paths(entries: &[Entry], removed: &[&str]) -> Vec<String> {
        let removed: Vec<Vec<u8>> = removed.iter().map(|path| path.as_bytes().to_vec()).collect();
        let all = with_whiteouts(entries, &removed, 7);
        assert!(all.is_sorted_by(|one, other| one.path < other.path), "{all:?}");
        all.into_iter().map(|entry| String::from_utf8(entry.path).unwrap()).collect()
    }

    #[test]
    fn what_goes_has_one_whiteout_in_its_directory() {
        assert_eq!(paths(&[directory("a"), file("a/new")], &["a/old", "b"]), [".wh.b", "a", "a/.wh.old", "a/new"]);
        assert_eq!(paths(&[directory("a")], &["a/b", "a/b/c", "a/b/d/e", "a/b.c"]), ["a", "a/.wh.b", "a/.wh.b.c"]);
        let all = with_whiteouts(&[], &[b"a".to_vec()], 7);
        let attributes = Attributes { mode: 0, modified: Time::of_seconds(7), ..Attributes::implied() };
        let kind = Kind::File(Content::Bytes([].into()));
        assert_eq!(all, [Entry { path: b".wh.a".to_vec(), kind, attributes }]);
    }

    #[test]
    fn what_is_put_in_the_place_of_something_hides_it_by_itself() {
        assert_eq!(paths(&[file("a")], &["a", "a/b"]), ["a"]);
        assert_eq!(paths(&[file("a")], &["a/b"]), ["a"], "a directory has become a file");
        assert_eq!(paths(&[directory("a"), file("a/b")], &["a"]), ["a", "a/.wh..wh..opq", "a/b"]);
        assert_eq!(paths(&[directory("a"), file("a/b")], &["a", "a/c"]), ["a", "a/.wh..wh..opq", "a/b"]);
        assert_eq!(paths(&[file("a")], &[""]), [".wh..wh..opq", "a"]);
    }

    #[test]
    fn no_path_comes_twice() {
        let all = with_whiteouts(&[file(".wh.a"), file("b")], &[b"a".to_vec(), b"a".to_vec()], 7);
        assert_eq!(all.iter().map(|entry| entry.content_size()).collect::<Vec<_>>(), [0, 1]);
    }
}
