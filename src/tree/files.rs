//! A file system in memory: what a stage, an image or a context has, by headers alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::entry::{Attributes, Entry, Kind};
use super::file_name::FileName;
use super::path::{LINKS_LIMIT, joined, names, split};
use crate::error::{Error, Result};

/// A root and all below it. A clone shares everything with the original; who changes something has his own from there up.
#[derive(Debug, Clone)]
pub struct Files {
    root: Node,
}

/// One file-system object. Names that hard links have made lead to the same one.
#[derive(Debug, Clone)]
pub struct Node(Arc<Inode>);

#[derive(Debug, Clone)]
struct Inode {
    object: Object,
    /// Neighbours mostly have the same, and share them.
    attributes: Arc<Attributes>,
}

/// The kind of a node, with what a directory holds.
#[derive(Debug, Clone)]
pub enum Object {
    /// A directory: its nodes by their names, which are not empty and hold no slash.
    Directory(BTreeMap<FileName, Node>),
    /// Never [`Kind::Directory`] and never [`Kind::HardLink`].
    Other(Kind),
}

/// So many children have one node of the map, whose room is not worth the while.
const FEW: usize = 11;

impl Default for Files {
    fn default() -> Self {
        Files::new()
    }
}

impl Files {
    /// Returns a root without anything in it.
    pub fn new() -> Self {
        Files { root: Node::directory(Attributes::implied()) }
    }

    /// Returns the root, which is always a directory.
    pub fn root(&self) -> &Node {
        &self.root
    }

    /// Returns whether nothing is in the root.
    pub fn is_empty(&self) -> bool {
        self.root.children().is_none_or(BTreeMap::is_empty)
    }

    /// Returns what is in the directory at `path`; nothing if there is none.
    pub fn below(&self, path: &[u8]) -> Files {
        match self.get(path).filter(|node| node.is_directory()) {
            Some(node) => Files { root: node.clone() },
            None => Files::new(),
        }
    }

    /// Puts `entries` over what there is, one after the other: see [`put_entry`](Files::put_entry).
    pub fn put_all(&mut self, entries: &[Entry]) {
        entries.iter().for_each(|entry| self.put_entry(entry));
    }

    /// Puts `entry` at its path, in place of what is there. A directory that is there keeps what is in it. A hard link to
    /// nothing is left out.
    pub fn put_entry(&mut self, entry: &Entry) {
        let Entry { path, kind, attributes } = entry;
        let node = match kind {
            Kind::Directory => match self.get(path).map(Node::object) {
                Some(Object::Directory(children)) => Node::new(Object::Directory(children.clone()), attributes.clone()),
                _ => Node::directory(attributes.clone()),
            },
            Kind::HardLink { target } => match self.get(target) {
                Some(node) => node.clone(),
                None => return,
            },
            other => Node::new(Object::Other(other.clone()), attributes.clone()),
        };
        self.put(path, node);
    }

    /// Returns every path with what stands there: directory by directory, sorted by name, parents before what is in them. The
    /// root comes first, with an empty path.
    pub fn paths(&self) -> impl Iterator<Item = (Vec<u8>, &Node)> {
        let mut left = vec![(Vec::new(), &self.root)];
        std::iter::from_fn(move || {
            let (path, node) = left.pop()?;
            let children = node.children().into_iter().flatten().rev();
            left.extend(children.map(|(name, child)| (joined(&path, name), child)));
            Some((path, node))
        })
    }

    /// Returns what stands at `path`; no link is followed.
    pub fn get(&self, path: &[u8]) -> Option<&Node> {
        names(path).try_fold(&self.root, |node, name| node.children()?.get(name))
    }

    /// Puts `node` at `path`, in place of what is there. Parents that are missing, or no directories, are root's.
    pub fn put(&mut self, path: &[u8], mut node: Node) {
        match split(path) {
            (_, b"") => self.root = node,
            (directory, name) => {
                let children = self.place(directory).entered();
                if let Some((_, last)) = children.last_key_value() {
                    node.share_attributes(last);
                }
                children.insert(name.into(), node);
            }
        }
    }

    /// Removes what stands at `path`, and all below it; nothing if nothing is there. Of the root, all that is in it goes.
    pub fn remove(&mut self, path: &[u8]) {
        if self.get(path).is_none() {
            return;
        }
        match split(path) {
            (_, b"") => self.root.entered().clear(),
            (directory, name) => drop(self.place(directory).entered().remove(name)),
        }
    }

    /// Returns the node at `path`, to be changed; a directory of root's if there was none, and so are its parents.
    pub fn place(&mut self, path: &[u8]) -> &mut Node {
        names(path).fold(&mut self.root, |node, name| {
            let children = node.entered();
            // A name is hardly ever missing, and an entry of the map would want its own copy of it.
            if !children.contains_key(name) {
                children.insert(name.into(), Node::directory(Attributes::implied()));
            }
            children.get_mut(name).unwrap_or_else(|| unreachable!("it is there by now"))
        })
    }

    /// Gives back the room that the directory at `path` has kept for more: what is put there in the order of names leaves
    /// half of it empty.
    pub fn compact(&mut self, path: &[u8]) {
        if self.get(path).and_then(Node::children).is_some_and(|children| children.len() > FEW) {
            let children = self.place(path).entered();
            *children = std::mem::take(children).into_iter().collect();
        }
    }

    /// Returns where `path` leads: links are followed, the last name's too, as if this were the root. What is not there is
    /// taken by its name. A way that leads through a file is an error, as is one through too many links.
    pub fn real(&self, path: &[u8]) -> Result<Vec<u8>> {
        let mut ahead: Vec<Vec<u8>> = names(path).rev().map(<[u8]>::to_vec).collect();
        let mut behind: Vec<Vec<u8>> = Vec::new();
        let mut nodes = vec![Some(&self.root)];
        let mut links = 0;
        while let Some(name) = ahead.pop() {
            match &name[..] {
                b"." => continue,
                b".." => {
                    behind.pop();
                    nodes.truncate(nodes.len().saturating_sub(1).max(1));
                    continue;
                }
                _ => {}
            }
            let shown = || format!("/{}", String::from_utf8_lossy(path));
            let directory = nodes.last().copied().flatten();
            let node = match directory.map(|node| node.children()) {
                None => None,
                Some(None) => {
                    let file = String::from_utf8_lossy(&behind.join(&b'/')).into_owned();
                    return Err(Error::input(format!(
                        "the way to {} leads through /{file}, which is not a directory",
                        shown()
                    )));
                }
                Some(Some(children)) => children.get(&name[..]),
            };
            if let Some(Object::Other(Kind::Symlink { target })) = node.map(Node::object) {
                links += 1;
                if links > LINKS_LIMIT {
                    return Err(Error::input(format!("the way to {} leads through too many links", shown())));
                }
                if target.starts_with(b"/") {
                    behind.clear();
                    nodes.truncate(1);
                }
                ahead.extend(names(target).rev().map(<[u8]>::to_vec));
                continue;
            }
            behind.push(name);
            nodes.push(node);
        }
        Ok(behind.join(&b'/'))
    }
}

impl Node {
    /// Returns a node that is the same as no other.
    pub fn new(object: Object, attributes: Attributes) -> Self {
        Node(Arc::new(Inode { object, attributes: Arc::new(attributes) }))
    }

    /// Returns what `kind` says; a directory has nothing in it.
    pub fn of(kind: Kind, attributes: Attributes) -> Self {
        match kind {
            Kind::Directory => Node::directory(attributes),
            kind => Node::new(Object::Other(kind), attributes),
        }
    }

    /// Returns a directory without anything in it.
    pub fn directory(attributes: Attributes) -> Self {
        Node::new(Object::Directory(BTreeMap::new()), attributes)
    }

    /// Returns the kind of object, with what is in it.
    pub fn object(&self) -> &Object {
        &self.0.object
    }

    /// Returns the owner, the permissions and the time; all names of one file share them.
    pub fn attributes(&self) -> &Attributes {
        &self.0.attributes
    }

    /// Returns whether it is a directory; a link to one is none.
    pub fn is_directory(&self) -> bool {
        self.children().is_some()
    }

    /// Returns what is in a directory; none for what is not a directory.
    pub fn children(&self) -> Option<&BTreeMap<FileName, Node>> {
        match self.object() {
            Object::Directory(children) => Some(children),
            Object::Other(_) => None,
        }
    }

    /// Returns them to be changed; it is this name's alone from now on.
    pub fn attributes_mut(&mut self) -> &mut Attributes {
        Arc::make_mut(&mut Arc::make_mut(&mut self.0).attributes)
    }

    /// Keeps its attributes where `other` keeps its own, if they are equal and nobody else has this node.
    fn share_attributes(&mut self, other: &Node) {
        if let Some(inode) = Arc::get_mut(&mut self.0)
            && inode.attributes == other.0.attributes
        {
            inode.attributes = other.0.attributes.clone();
        }
    }

    /// Returns its children, to be changed. What is not a directory becomes one of root's.
    pub fn entered(&mut self) -> &mut BTreeMap<FileName, Node> {
        if !self.is_directory() {
            *self = Node::directory(Attributes::implied());
        }
        match &mut Arc::make_mut(&mut self.0).object {
            Object::Directory(children) => children,
            Object::Other(_) => unreachable!("it is a directory by now"),
        }
    }

    /// Returns what it is known by if it may have other names; none if it is sure to have one only.
    pub fn identity(&self) -> Option<usize> {
        (Arc::strong_count(&self.0) > 1).then(|| self.address())
    }

    /// Returns what it is known by as long as it is there.
    pub fn address(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    /// Returns the size of the content in bytes; 0 for all but files.
    pub fn content_size(&self) -> u64 {
        match self.object() {
            Object::Other(Kind::File(content)) => content.size(),
            _ => 0,
        }
    }

    /// Returns whether `other` is this very object, and so has all of its names and all that is in it.
    pub fn is(&self, other: &Node) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Returns it as an entry at `path`.
    pub fn entry(&self, path: Vec<u8>) -> Entry {
        let kind = match self.object() {
            Object::Directory(_) => Kind::Directory,
            Object::Other(kind) => kind.clone(),
        };
        Entry { path, kind, attributes: self.attributes().clone() }
    }

    /// Returns it as an entry at `path`: another name of what stands at `target`, which is this, too.
    pub fn link(&self, path: Vec<u8>, target: Vec<u8>) -> Entry {
        Entry { path, kind: Kind::HardLink { target }, attributes: self.attributes().clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Content;

    fn entry(path: &str, kind: Kind) -> Entry {
        Entry { kind, ..Entry::directory(path.as_bytes().to_vec(), 0) }
    }

    fn files(entries: &[(&str, Kind)]) -> Files {
        let mut files = Files::new();
        files.put_all(&entries.iter().map(|(path, kind)| entry(path, kind.clone())).collect::<Vec<_>>());
        files
    }

    fn link(target: &str) -> Kind {
        Kind::Symlink { target: target.as_bytes().to_vec() }
    }

    fn file() -> Kind {
        Kind::File(Content::Bytes(b"x"[..].into()))
    }

    #[test]
    fn links_are_followed_within_the_root() {
        let files = files(&[
            ("bin", link("usr/bin")),
            ("deep/up", link("../../../usr/./bin")),
            ("loop", link("/loop")),
            ("nowhere", link("/not/there")),
            ("usr/bin/sh", file()),
            ("usr/bin/x", link("/etc/../bin/sh")),
        ]);
        let real = |path: &str| files.real(path.as_bytes()).map(|path| String::from_utf8(path).unwrap());
        for (path, expected) in [
            ("", ""),
            ("bin/sh", "usr/bin/sh"),
            ("bin/new/file", "usr/bin/new/file"),
            ("deep/up/x", "usr/bin/sh"),
            ("nowhere", "not/there"),
            ("nowhere/a/../b", "not/there/b"),
            ("../../usr", "usr"),
        ] {
            assert_eq!(real(path).unwrap(), expected, "{path}");
        }
        let chain = |count: usize| {
            let links = (0..count).map(|number| (format!("l{number}"), link(&format!("l{}", number + 1))));
            let mut files = Files::new();
            files.put_all(&links.map(|(path, kind)| entry(&path, kind)).collect::<Vec<_>>());
            files.real(b"l0")
        };
        assert_eq!(chain(LINKS_LIMIT).unwrap(), b"l40");
        assert!(chain(LINKS_LIMIT + 1).unwrap_err().message.contains("too many links"));
        assert!(real("loop").unwrap_err().message.contains("too many links"));
        assert!(real("bin/sh/x").unwrap_err().message.contains("/usr/bin/sh, which is not a directory"));
    }

    #[test]
    fn a_clone_does_not_see_what_is_changed_in_the_original() {
        let mut one = files(&[("a/b/c", file()), ("d", file())]);
        let other = one.clone();
        one.place(b"a/b").attributes_mut().mode = 0o700;
        one.put(b"a/b/new", Node::directory(Attributes::implied()));
        assert_eq!(other.get(b"a/b").unwrap().attributes().mode, 0o755);
        assert!(other.get(b"a/b/new").is_none());
        assert!(one.get(b"a/b/c").is_some());
    }
}
