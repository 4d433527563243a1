//! What a layer changed in overlayfs' own form, to be written out as a lower directory (the kernel's
//! Documentation/filesystems/overlayfs.rst). Overlays are mounted with `userxattr`.

use std::collections::{BTreeMap, HashSet};
use std::iter;

use crate::tree::{Attributes, Entry, Files, Kind, Node, Object, parent};

/// The attribute whose value `y` hides what lower directories have in the same place.
pub(super) const OVERLAY_OPAQUE: &str = "user.overlay.opaque";

/// The attributes that overlayfs keeps for itself, with `userxattr` and without. In an image they are what its maker had
/// lying about, or a try to make overlayfs show other things than the layers have.
const OVERLAY_XATTRS: [&[u8]; 2] = [b"user.overlay.", b"trusted.overlay."];

/// Overlay's whiteout, which is not a device that any machine has.
pub(super) const OVERLAY_WHITEOUT: Kind = Kind::CharacterDevice { major: 0, minor: 0 };

/// Returns a lower directory of a change, in which first `removed` goes and then `entries`, sorted by path, come, so that
/// `after` is there. If one name of a file is among `entries`, all of them are, as [`diff`](crate::tree::diff) has it.
///
/// Directories on the way have the attributes that they have in `after`, for overlayfs shows those of the topmost one. What
/// is gone is a whiteout, and a directory is opaque if it is in the place of another that went. Nothing of the input becomes
/// either by what it looks like: attributes of overlayfs are left out, and a device with the numbers of a whiteout is one. It
/// could not be shown, as containerd and BuildKit do not, and what it replaced must not come to light.
pub fn lower(entries: &[Entry], removed: &[Vec<u8>], after: &Files) -> Files {
    let mut lower = Lower { files: Files::new(), after };
    *lower.files.place(b"").attributes_mut() = plain(after.root().attributes());
    let mut opaque = Vec::new();
    let gone: HashSet<&[u8]> = removed.iter().map(Vec::as_slice).collect();
    // A whiteout in an opaque directory hides nothing, and is listed.
    let goes_along =
        |path: &[u8]| iter::successors(parent(path), |above| parent(above)).any(|above| gone.contains(above));
    for path in removed.iter().filter(|path| !goes_along(path)) {
        match after.get(path) {
            Some(node) if node.is_directory() => opaque.push(path),
            // Something that comes is there by now.
            Some(_) => {}
            None if after.get(parent(path).unwrap_or_default()).is_some_and(Node::is_directory) => {
                lower.put(path, Node::of(OVERLAY_WHITEOUT, Attributes::implied()));
            }
            // Its directory is gone, too.
            None => {}
        }
    }
    for entry in entries {
        lower.come(entry);
    }
    for path in opaque {
        lower.make_way(path);
        let xattrs = &mut lower.files.place(path).attributes_mut().xattrs;
        xattrs.insert(OVERLAY_OPAQUE.into(), b"y".to_vec());
    }
    lower.files
}

/// Takes the whiteouts out of `files`, a lower directory, and returns their paths: for a file system on which such nodes cannot
/// be made, as on an overlay. See [`hide`](super::hide).
pub fn take_whiteouts(files: &mut Files) -> Vec<Vec<u8>> {
    let is_one = |node: &Node| matches!(node.object(), Object::Other(kind) if *kind == OVERLAY_WHITEOUT);
    let paths: Vec<Vec<u8>> = files.paths().filter(|(_, node)| is_one(node)).map(|(path, _)| path).collect();
    paths.iter().for_each(|path| files.remove(path));
    paths
}

/// Returns `files` as the lowest directory of an overlay, below which nothing is. Attributes of overlayfs are left out, and so
/// are devices with the numbers of a whiteout: there is nothing that they could hide, and a directory of one layer would list
/// them.
pub fn lowest(files: &Files) -> Files {
    let mut lowest = files.clone();
    let mut names: BTreeMap<usize, Node> = BTreeMap::new();
    for (path, node) in files.paths() {
        if matches!(node.object(), Object::Other(kind) if *kind == OVERLAY_WHITEOUT) {
            lowest.remove(&path);
        } else if node.attributes().xattrs.keys().any(|name| is_overlays(name)) {
            if node.is_directory() {
                *lowest.place(&path).attributes_mut() = plain(node.attributes());
                continue;
            }
            // All names of a file stay names of one.
            let made = || Node::new(node.object().clone(), plain(node.attributes()));
            let same = names.entry(node.address()).or_insert_with(made).clone();
            lowest.put(&path, same);
        }
    }
    lowest
}

struct Lower<'a> {
    files: Files,
    after: &'a Files,
}

impl Lower<'_> {
    fn come(&mut self, entry: &Entry) {
        let Entry { path, kind, attributes } = entry;
        let known = match kind {
            Kind::HardLink { target } => self.files.get(target).cloned(),
            Kind::Directory => self.files.get(path).filter(|node| node.is_directory()).cloned(),
            _ => None,
        };
        let node = match (known, kind) {
            (Some(mut directory), Kind::Directory) => {
                *directory.attributes_mut() = plain(attributes);
                directory
            }
            (Some(file), _) => file,
            // A link to what is not among the entries.
            (None, Kind::HardLink { .. }) => match self.after.get(path) {
                Some(node) => Node::new(node.object().clone(), plain(node.attributes())),
                None => return,
            },
            (None, kind) => Node::of(kind.clone(), plain(attributes)),
        };
        self.put(path, node);
    }

    fn put(&mut self, path: &[u8], node: Node) {
        self.make_way(parent(path).unwrap_or_default());
        self.files.put(path, node);
    }

    /// Makes what is missing of the directory at `path`, with the attributes that it has afterwards.
    fn make_way(&mut self, path: &[u8]) {
        if self.files.get(path).is_some_and(Node::is_directory) {
            return;
        }
        self.make_way(parent(path).unwrap_or_default());
        let attributes = self.after.get(path).map_or_else(Attributes::implied, |node| plain(node.attributes()));
        self.files.put(path, Node::directory(attributes));
    }
}

/// Returns `attributes` without those of overlayfs.
fn plain(attributes: &Attributes) -> Attributes {
    let mut attributes = attributes.clone();
    attributes.xattrs.retain(|name, _| !is_overlays(name));
    attributes
}

fn is_overlays(name: &[u8]) -> bool {
    OVERLAY_XATTRS.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Content;

    fn entry(path: &str, kind: Kind, mode: u32) -> Entry {
        let attributes = Attributes { mode, ..Attributes::implied() };
        Entry { path: path.as_bytes().to_vec(), kind, attributes }
    }

    fn file() -> Kind {
        Kind::File(Content::Bytes(b"x"[..].into()))
    }

    fn files(entries: &[Entry]) -> Files {
        let mut files = Files::new();
        files.put_all(entries);
        files
    }

    fn shown(files: &Files) -> Vec<(String, &'static str, u32)> {
        let shown = |(path, node): (Vec<u8>, &Node)| {
            let what = match node.object() {
                Object::Directory(_) if node.attributes().xattrs.contains_key(OVERLAY_OPAQUE.as_bytes()) => "opaque",
                Object::Directory(_) => "directory",
                Object::Other(kind) if *kind == OVERLAY_WHITEOUT => "whiteout",
                Object::Other(_) => "other",
            };
            (String::from_utf8(path).unwrap(), what, node.attributes().mode)
        };
        files.paths().skip(1).map(shown).collect()
    }

    #[test]
    fn the_way_has_the_attributes_that_it_has() {
        let after = files(&[entry("a", Kind::Directory, 0o700), entry("a/b", Kind::Directory, 0o1777)]);
        let made = lower(&[], &[b"a/b/gone".to_vec(), b"gone".to_vec(), b"no/way".to_vec()], &after);
        let gone = |path: &str| (path.to_owned(), "whiteout", 0o755);
        let way = |path: &str, mode| (path.to_owned(), "directory", mode);
        assert_eq!(shown(&made), [way("a", 0o700), way("a/b", 0o1777), gone("a/b/gone"), gone("gone")]);
    }

    #[test]
    fn a_directory_in_the_place_of_another_is_opaque() {
        let come = [entry("a", Kind::Directory, 0o700), entry("a/new", file(), 0o644), entry("b", file(), 0o644)];
        let made = lower(&come, &[b"a".to_vec(), b"a/old".to_vec(), b"b".to_vec()], &files(&come));
        let expected = [("a", "opaque", 0o700), ("a/new", "other", 0o644), ("b", "other", 0o644)];
        assert_eq!(shown(&made), expected.map(|(path, what, mode)| (path.to_owned(), what, mode)));
        // Without being in the place of one it is not, whatever an image says.
        let mut come = come.to_vec();
        come[0].attributes.xattrs.insert(OVERLAY_OPAQUE.into(), b"y".to_vec());
        assert_eq!(shown(&lower(&come, &[], &files(&come)))[0].1, "directory");
        assert_eq!(shown(&lowest(&files(&come)))[0].1, "directory");
    }

    #[test]
    fn what_looks_like_a_whiteout_hides_and_is_not_at_the_bottom() {
        let come =
            [entry("a", OVERLAY_WHITEOUT, 0o666), entry("null", Kind::CharacterDevice { major: 1, minor: 3 }, 0)];
        assert_eq!(shown(&lower(&come, &[], &files(&come)))[0].1, "whiteout");
        assert_eq!(shown(&lowest(&files(&come))), [("null".to_owned(), "other", 0)]);
    }

    #[test]
    fn names_of_one_file_stay_together() {
        let link = Kind::HardLink { target: b"a/one".to_vec() };
        let mut come = vec![entry("a", Kind::Directory, 0o700), entry("a/one", file(), 0o644), entry("b", link, 0o644)];
        come[1].attributes.xattrs.insert(b"trusted.overlay.redirect".to_vec(), b"/etc".to_vec());
        for made in [lower(&come, &[], &files(&come)), lowest(&files(&come))] {
            let [one, other] = [&b"a/one"[..], b"b"].map(|path| made.get(path).unwrap());
            assert!(one.is(other));
            assert_eq!(one.attributes().xattrs, BTreeMap::new());
        }
    }
}
