//! What makes one file system out of another.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap, HashSet};

use super::entry::Entry;
use super::files::{Files, Node, Object};
use super::path::joined;

/// A change that a step made to a file system, or a layer tells of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Puts an entry at its path, in place of what is there; a directory that is there keeps what is in it.
    Put(Entry),
    /// Removes what stands at a path, and all below it.
    Remove(Vec<u8>),
}

impl Files {
    /// Makes `changes`, one after the other.
    pub fn apply(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Put(entry) => self.put_entry(entry),
                Change::Remove(path) => self.remove(path),
            }
        }
    }
}

/// Returns what makes `to` out of `from`: sorted by path, each path once. What both share is not looked into.
///
/// If one name of a file comes, all of them do, the first as the file and the others as its hard links, so that whoever has the
/// changes alone has the whole of it.
pub fn diff(from: &Files, to: &Files) -> Vec<Change> {
    let mut comparison = Comparison {
        from: NodePaths { files: from, several: OnceCell::new() },
        to: NodePaths { files: to, several: OnceCell::new() },
        alike: HashMap::new(),
        found: BTreeMap::new(),
    };
    comparison.compare(from.root(), to.root());
    let Comparison { to: names, mut found, .. } = comparison;
    let mut seen = HashSet::new();
    let nodes: Vec<&Node> = found.values().copied().flatten().filter(|node| seen.insert(node.address())).collect();
    for node in nodes {
        found.extend(names.of(node).iter().map(|path| (path.clone(), Some(node))));
    }
    let change = |(path, node): (Vec<u8>, Option<&Node>)| match node {
        None => Change::Remove(path),
        Some(node) => match names.of(node).first().filter(|first| **first != path) {
            Some(first) => Change::Put(node.link(path, first.clone())),
            None => Change::Put(node.entry(path)),
        },
    };
    found.into_iter().map(change).collect()
}

/// Two file systems, and what differs as far as they have been compared.
struct Comparison<'n> {
    from: NodePaths<'n>,
    to: NodePaths<'n>,
    /// True where two objects that have several names have the same ones.
    alike: HashMap<(usize, usize), bool>,
    /// The node at each path; none where nothing is any more.
    found: BTreeMap<Vec<u8>, Option<&'n Node>>,
}

/// The paths of what has several, which are looked for when they are first asked for.
struct NodePaths<'n> {
    files: &'n Files,
    several: OnceCell<HashMap<usize, Vec<Vec<u8>>>>,
}

impl NodePaths<'_> {
    /// Returns the paths of `node`, sorted, if it has several; none else.
    fn of(&self, node: &Node) -> &[Vec<u8>] {
        let may_have_several = |node: &Node| !node.is_directory() && node.identity().is_some();
        if !may_have_several(node) {
            return &[];
        }
        let several = self.several.get_or_init(|| {
            let mut all: HashMap<usize, Vec<Vec<u8>>> = HashMap::new();
            for (path, node) in self.files.paths().filter(|(_, node)| may_have_several(node)) {
                all.entry(node.address()).or_default().push(path);
            }
            all.retain(|_, paths| paths.len() > 1);
            all.values_mut().for_each(|paths| paths.sort_unstable());
            all
        });
        several.get(&node.address()).map_or(&[], Vec::as_slice)
    }
}

impl<'n> Comparison<'n> {
    /// Notes what is not in the root as it was: there was `from`, and `to` is there now.
    fn compare(&mut self, from: &'n Node, to: &'n Node) {
        let mut left = vec![(Some(from), to, Vec::new())];
        while let Some((from, to, path)) = left.pop() {
            if from.is_some_and(|from| from.is(to)) {
                continue;
            }
            let Some(children) = to.children() else {
                if !from.is_some_and(|from| self.are_alike(from, to)) {
                    self.found.insert(path, Some(to));
                }
                continue;
            };
            let before = from.and_then(Node::children);
            let gone = before.into_iter().flat_map(BTreeMap::keys).filter(|name| !children.contains_key(*name));
            self.found.extend(gone.map(|name| (joined(&path, name), None)));
            for (name, child) in children {
                left.push((before.and_then(|before| before.get(name)), child, joined(&path, name)));
            }
            if before.is_none() || from.is_some_and(|from| from.attributes() != to.attributes()) {
                self.found.insert(path, Some(to));
            }
        }
    }

    /// Returns whether two objects that are not directories look the same and have the same names.
    fn are_alike(&mut self, from: &Node, to: &Node) -> bool {
        let (Object::Other(kind), Object::Other(other)) = (from.object(), to.object()) else { return false };
        if kind != other || from.attributes() != to.attributes() {
            return false;
        }
        let (names, others) = (self.from.of(from), self.to.of(to));
        // A file may have any number of names, and they are all compared once.
        *self.alike.entry((from.address(), to.address())).or_insert_with(|| names == others)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::tree::{Attributes, Content, Kind};

    /// A thing that is done to a file system; of several names, each from a small set, so that they meet.
    #[derive(Debug, Clone)]
    enum RandomEdit {
        Put(Vec<u8>, Kind, u32),
        Link(Vec<u8>, Vec<u8>),
        Remove(Vec<u8>),
        /// The mode alone.
        Change(Vec<u8>, u32),
    }

    fn any_path() -> impl Strategy<Value = Vec<u8>> {
        vec(select(vec!["a", "b", "a.b", "c"]), 1..4).prop_map(|names| names.join("/").into_bytes())
    }

    fn any_edits() -> impl Strategy<Value = Vec<RandomEdit>> {
        let kind = prop_oneof![
            3 => Just(Kind::Directory),
            4 => (0u8..4).prop_map(|content| Kind::File(Content::Bytes([content][..].into()))),
            1 => select(vec!["a", "/b"]).prop_map(|target| Kind::Symlink { target: target.into() }),
            1 => Just(Kind::Fifo),
        ];
        let edit = prop_oneof![
            6 => (any_path(), kind, select(vec![0o644, 0o755])).prop_map(|(path, kind, mode)| RandomEdit::Put(path, kind, mode)),
            3 => (any_path(), any_path()).prop_map(|(path, target)| RandomEdit::Link(path, target)),
            2 => prop_oneof![9 => any_path(), 1 => Just(Vec::new())].prop_map(RandomEdit::Remove),
            1 => (prop_oneof![any_path(), Just(Vec::new())], 0u32..3).prop_map(|(path, mode)| RandomEdit::Change(path, mode)),
        ];
        vec(edit, 0..24)
    }

    fn edit(files: &mut Files, edits: &[RandomEdit]) {
        for edit in edits {
            match edit {
                RandomEdit::Put(path, kind, mode) => {
                    let attributes = Attributes { mode: *mode, ..Attributes::implied() };
                    files.put_entry(&Entry { path: path.clone(), kind: kind.clone(), attributes });
                }
                RandomEdit::Link(path, target) => {
                    let node = files.get(target).filter(|node| !node.is_directory()).cloned();
                    node.into_iter().for_each(|node| files.put(path, node));
                }
                RandomEdit::Remove(path) => files.remove(path),
                RandomEdit::Change(path, mode) if files.get(path).is_some() => {
                    files.place(path).attributes_mut().mode = *mode
                }
                RandomEdit::Change(..) => {}
            }
        }
    }

    /// Every path with what is there; a further name of a file as a hard link to its first.
    fn listed(files: &Files) -> BTreeMap<Vec<u8>, Entry> {
        let mut nodes: Vec<(Vec<u8>, &Node)> = files.paths().collect();
        nodes.sort_by(|(one, _), (other, _)| one.cmp(other));
        let first = |node: &Node| nodes.iter().find(|(_, other)| other.is(node)).map(|(path, _)| path.clone());
        let entry = |(path, node): &(Vec<u8>, &Node)| match first(node).filter(|first| first != path) {
            Some(target) => node.link(path.clone(), target),
            None => node.entry(path.clone()),
        };
        nodes.iter().map(|at| (at.0.clone(), entry(at))).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_differs_makes_one_of_the_other(before in any_edits(), after in any_edits(), is_kin in any::<bool>()) {
            let mut from = Files::new();
            edit(&mut from, &before);
            // One that came of the other shares most with it; one that did not shares nothing.
            let mut to = if is_kin { from.clone() } else { Files::new() };
            edit(&mut to, &after);
            let changes = diff(&from, &to);
            let mut made = from.clone();
            made.apply(&changes);
            prop_assert_eq!(listed(&made), listed(&to), "by {:?}", changes);
            let paths: Vec<&Vec<u8>> = changes.iter().map(path).collect();
            prop_assert!(paths.is_sorted_by(|one, other| one < other), "{:?}", paths);
            prop_assert_eq!(diff(&to, &to.clone()), []);
            // Nor does anything differ from what was put together anew, whoever shares the one or the other.
            let (mut anew, _copies) = (Files::new(), [made.clone(), to.clone()]);
            let listed = listed(&to);
            listed.values().for_each(|entry| anew.put_entry(entry));
            prop_assert_eq!(diff(&made, &anew), []);
            let _copy = anew.clone();
            prop_assert_eq!(diff(&anew, &to), []);
        }
    }

    fn path(change: &Change) -> &Vec<u8> {
        match change {
            Change::Put(Entry { path, .. }) | Change::Remove(path) => path,
        }
    }

    fn put(path: &str, kind: Kind) -> RandomEdit {
        RandomEdit::Put(path.into(), kind, 0o755)
    }

    fn file(content: &str) -> Kind {
        Kind::File(Content::Bytes(content.as_bytes().into()))
    }

    #[test]
    fn a_directory_gives_way_to_a_file_and_a_file_to_a_directory() {
        let (mut from, mut to) = (Files::new(), Files::new());
        edit(&mut from, &[put("a/b/c", file("c")), put("d", file("d")), put("kept", file("k"))]);
        edit(&mut to, &[put("a", file("a")), put("d/e", file("e")), put("kept", file("k"))]);
        let changes = diff(&from, &to);
        assert_eq!(changes.iter().map(path).collect::<Vec<_>>(), [&b"a"[..], b"d", b"d/e"]);
        from.apply(&changes);
        assert_eq!(listed(&from), listed(&to));
    }

    #[test]
    fn a_new_name_brings_all_names_of_its_file() {
        let mut from = Files::new();
        edit(&mut from, &[put("a/file", file("f")), put("other", file("o"))]);
        let mut to = from.clone();
        edit(
            &mut to,
            &[RandomEdit::Link(b"b/name".to_vec(), b"a/file".to_vec()), RandomEdit::Remove(b"other".to_vec())],
        );
        let changes = diff(&from, &to);
        assert_eq!(changes.iter().map(path).collect::<Vec<_>>(), [&b"a/file"[..], b"b", b"b/name", b"other"]);
        assert!(
            matches!(&changes[2], Change::Put(Entry { kind: Kind::HardLink { target }, .. }) if target == b"a/file")
        );
        assert_eq!(changes[3], Change::Remove(b"other".to_vec()));
    }

    #[test]
    fn names_that_come_together_or_apart_are_a_difference() {
        let (mut one, mut two) = (Files::new(), Files::new());
        edit(&mut one, &[put("a", file("same")), RandomEdit::Link(b"b".to_vec(), b"a".to_vec())]);
        edit(&mut two, &[put("a", file("same")), put("b", file("same"))]);
        for (from, to) in [(&one, &two), (&two, &one)] {
            let changes = diff(from, to);
            assert_eq!(changes.iter().map(path).collect::<Vec<_>>(), [b"a", b"b"]);
            let mut made = from.clone();
            made.apply(&changes);
            assert_eq!(listed(&made), listed(to));
        }
    }
}
