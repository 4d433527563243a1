//! What layers make together (image-spec, layer.md, "Applying Changesets"): their entries are put, one layer over the
//! other, into a tree in memory. No file system is touched, so no link can lead anywhere but through the tree.

use std::collections::BTreeMap;

use super::member::{Extent, Member};
use crate::error::{Error, Result};
use crate::tree::{
    Attributes, ENTRIES, Kind,
    path::{DEEPEST, LINKS_LIMIT, LONGEST_PATH, joined, names, split},
};

/// A root file system: every path in it, and which entry of which layer stands there.
///
/// As on a disk, names lead to nodes, and those that hard links have made lead to the same one.
#[derive(Debug)]
pub struct Tree {
    /// The root is the first. Those that no name leads to any more stay, unseen.
    nodes: Vec<Node>,
}

/// One file-system object.
#[derive(Debug)]
pub struct Node {
    /// The number of the layer that it comes from.
    pub layer: usize,
    /// Never a [`Kind::HardLink`].
    pub kind: Kind<Extent>,
    pub attributes: Attributes,
    /// It is there for what lies in it, and no layer tells of it.
    pub is_implied: bool,
    /// By name; only a directory has any.
    children: BTreeMap<Box<[u8]>, Name>,
    /// The layer that has hidden all that lower ones have in it: however often it says so again, nothing is left to hide.
    cleared_by: Option<u32>,
    reach: Reach,
}

/// How far from the root something is.
#[derive(Debug, Clone, Copy, Default)]
struct Reach {
    /// Of its path, in bytes, with a slash before each name.
    length: u32,
    /// In names.
    depth: u32,
}

#[derive(Debug, Clone, Copy)]
struct Name {
    node: usize,
    /// The layer that gave the name, which for a hard link need not be that of the node.
    layer: usize,
}

const ROOT: usize = 0;

/// What names begin with that stand for the removal of the rest of the name.
pub const WHITEOUT: &[u8] = b".wh.";
/// What AUFS keeps for itself has names with this prefix.
const WHITEOUT_META: &[u8] = b".wh..wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

impl Default for Tree {
    fn default() -> Self {
        Tree::new()
    }
}

impl Tree {
    /// A root without anything in it.
    pub fn new() -> Self {
        Tree { nodes: vec![Node::new(0, Kind::Directory, Attributes::implied(), Reach::default())] }
    }

    /// Puts layer number `layer` over those below it; numbers grow.
    ///
    /// Entries count in their order, the last of several with one path being the one that stays. A whiteout hides what
    /// lower layers have, wherever in its own layer it stands. Parents that are links lead to where they would in a
    /// container, never out of the root; those that nobody tells of are directories of root, `rwxr-xr-x`.
    pub fn apply(&mut self, layer: usize, members: Vec<Member>) -> Result<()> {
        members.into_iter().try_for_each(|member| self.apply_one(layer, member))
    }

    /// What stands at `path`, a path like that of a [`Member`]. Parents that are links are followed, the last name is
    /// not.
    pub fn find(&self, path: &[u8]) -> Option<&Node> {
        if path.is_empty() {
            return Some(&self.nodes[ROOT]);
        }
        let (parent, name) = split(path);
        let parent = self.existing(Way::new(parent)).ok().flatten()?;
        self.nodes[parent].children.get(name).map(|name| &self.nodes[name.node])
    }

    /// Every path and the number of the node that stands there: directory by directory, sorted by name, parents before
    /// what is in them. Hard links show as several paths with one number. The root comes first, with an empty path.
    pub fn paths(&self) -> impl Iterator<Item = (Vec<u8>, usize)> {
        let mut left = vec![(Vec::new(), ROOT)];
        std::iter::from_fn(move || {
            let (path, number) = left.pop()?;
            for (name, child) in self.nodes[number].children.iter().rev() {
                left.push((joined(&path, name), child.node));
            }
            Some((path, number))
        })
    }

    /// The node of a number from [`paths`](Self::paths).
    pub fn node(&self, number: usize) -> &Node {
        &self.nodes[number]
    }

    /// How many paths lead to each node, by its number.
    pub(in crate::layer) fn names(&self) -> Vec<u32> {
        let mut names = vec![0; self.nodes.len()];
        self.paths().for_each(|(_, number)| names[number] += 1);
        names
    }

    fn apply_one(&mut self, layer: usize, member: Member) -> Result<()> {
        let Member { path, kind, attributes } = member;
        let (parent, name) = split(&path);
        if let Some(part) = names(parent).find(|part| part.starts_with(WHITEOUT)) {
            if part.starts_with(WHITEOUT_META) {
                return Ok(());
            }
            return Err(Error::input(format!("{} lies in a whiteout, which is no directory", path.escape_ascii())));
        }
        if let Some(hidden) = name.strip_prefix(WHITEOUT) {
            return self.white_out(layer, &path, parent, name, hidden);
        }
        if path.is_empty() {
            if !kind.is_directory() {
                return Err(Error::input("the root is no directory in it"));
            }
            (self.nodes[ROOT].layer, self.nodes[ROOT].attributes) = (layer, attributes);
            return Ok(());
        }
        let linked = match &kind {
            Kind::HardLink { target } => Some(self.link_target(&path, target)?),
            _ => None,
        };
        let parent = self.directory(layer, parent).map_err(|what| what.error(&path))?;
        let reach = self.reach(parent, name).map_err(|what| what.error(&path))?;
        let present = self.nodes[parent].children.get(name).map(|name| name.node);
        let node = match (linked, present) {
            (Some(node), _) => node,
            (None, Some(present)) if kind.is_directory() && self.is_directory(present) => {
                let known = &mut self.nodes[present];
                (known.layer, known.attributes, known.is_implied) = (layer, attributes, false);
                present
            }
            _ => self.add(Node::new(layer, kind, attributes, reach)).map_err(|what| what.error(&path))?,
        };
        self.nodes[parent].children.insert(name.into(), Name { node, layer });
        Ok(())
    }

    fn link_target(&self, path: &[u8], target: &[u8]) -> Result<usize> {
        let wrong = |what: &str| {
            let (path, target) = (path.escape_ascii(), target.escape_ascii());
            Error::input(format!("{path} is a hard link to {target}, {what}"))
        };
        let (parent, name) = split(target);
        let parent = self.existing(Way::new(parent)).map_err(|what| what.error(path))?;
        let found = parent.and_then(|parent| self.nodes[parent].children.get(name)).map(|name| name.node);
        match found {
            _ if target.is_empty() => Err(wrong("which is the root")),
            None => Err(wrong("which is not there")),
            Some(node) if self.is_directory(node) => Err(wrong("which is a directory")),
            Some(node) => Ok(node),
        }
    }

    /// Hides `hidden`, or for an opaque whiteout all that is beside it, as far as it comes from lower layers.
    fn white_out(&mut self, layer: usize, path: &[u8], parent: &[u8], name: &[u8], hidden: &[u8]) -> Result<()> {
        if name != OPAQUE && name.starts_with(WHITEOUT_META) {
            return Ok(());
        }
        if matches!(hidden, b"" | b"." | b"..") {
            return Err(Error::input(format!("{} is a whiteout of nothing that can be", path.escape_ascii()))
                .with_hint("no tool makes such a tar by accident: do not trust it"));
        }
        // Where there is no such directory any more, there is nothing to hide. Some tools tell of all that was in one that
        // is a file or a link now: what that link leads to is not meant.
        let Ok(Some(parent)) = self.existing(Way { not_by: Some(layer), ..Way::new(parent) }) else { return Ok(()) };
        if name == OPAQUE {
            self.hide_children(layer, parent);
        } else {
            self.hide(layer, parent, hidden);
        }
        Ok(())
    }

    /// Hides `name` in `parent`, unless it is of `layer` itself. A directory that holds something of `layer` stays for
    /// that; if only lower layers tell of it, nobody does any more.
    fn hide(&mut self, layer: usize, parent: usize, name: &[u8]) {
        let Some(Name { node, layer: from }) = self.nodes[parent].children.get(name).copied() else { return };
        if self.is_directory(node) {
            self.hide_children(layer, node);
        }
        if from == layer {
            return;
        }
        if self.nodes[node].children.is_empty() {
            self.nodes[parent].children.remove(name);
        } else {
            let hidden = &mut self.nodes[node];
            (hidden.layer, hidden.attributes, hidden.is_implied) = (layer, Attributes::implied(), true);
            self.nodes[parent].children.insert(name.into(), Name { node, layer });
        }
    }

    fn hide_children(&mut self, layer: usize, directory: usize) {
        let cleared_by = u32::try_from(layer).ok();
        if cleared_by.is_some() && self.nodes[directory].cleared_by == cleared_by {
            return;
        }
        self.nodes[directory].cleared_by = cleared_by;
        let names: Vec<Box<[u8]>> = self.nodes[directory].children.keys().cloned().collect();
        names.iter().for_each(|name| self.hide(layer, directory, name));
    }

    /// The directory at the end of `way`, if there is one.
    fn existing(&self, mut way: Way) -> Result<Option<usize>, Obstacle> {
        while let Some(part) = way.next() {
            match self.step(&mut way, &part)? {
                Step::Taken => {}
                Step::Missing => return Ok(None),
            }
        }
        Ok(Some(way.at()))
    }

    /// The directory at `path`; `layer` makes those that are missing.
    fn directory(&mut self, layer: usize, path: &[u8]) -> Result<usize, Obstacle> {
        let mut way = Way::new(path);
        while let Some(part) = way.next() {
            if let Step::Missing = self.step(&mut way, &part)? {
                let reach = self.reach(way.at(), &part)?;
                let new = Node::new(layer, Kind::Directory, Attributes::implied(), reach);
                let node = self.add(Node { is_implied: true, ..new })?;
                self.nodes[way.at()].children.insert(part.into(), Name { node, layer });
                way.behind.push(node);
            }
        }
        Ok(way.at())
    }

    fn step(&self, way: &mut Way, part: &[u8]) -> Result<Step, Obstacle> {
        match part {
            b"." => return Ok(Step::Taken),
            b".." => {
                // Above the root is the root.
                way.behind.pop();
                return Ok(Step::Taken);
            }
            _ => {}
        }
        let Some(name) = self.nodes[way.at()].children.get(part) else { return Ok(Step::Missing) };
        match &self.nodes[name.node].kind {
            Kind::Directory => way.behind.push(name.node),
            Kind::Symlink { .. } if way.not_by == Some(name.layer) => return Ok(Step::Missing),
            Kind::Symlink { target } => way.follow(target)?,
            _ => return Err(Obstacle::NoDirectory(part.to_vec())),
        }
        Ok(Step::Taken)
    }

    fn add(&mut self, node: Node) -> Result<usize, Obstacle> {
        // One entry can bring many directories that nobody tells of.
        if self.nodes.len() as u64 > ENTRIES {
            return Err(Obstacle::TooMany);
        }
        self.nodes.push(node);
        Ok(self.nodes.len() - 1)
    }

    fn is_directory(&self, node: usize) -> bool {
        self.nodes[node].kind.is_directory()
    }

    /// Of `name` in `parent`. Links can lead to longer paths than any entry has.
    fn reach(&self, parent: usize, name: &[u8]) -> Result<Reach, Obstacle> {
        let Reach { length, depth } = self.nodes[parent].reach;
        let reach = Reach { length: length + 1 + name.len() as u32, depth: depth + 1 };
        if reach.length as usize > 1 + LONGEST_PATH {
            return Err(Obstacle::TooLong);
        }
        if reach.depth as usize > DEEPEST {
            return Err(Obstacle::TooDeep);
        }
        Ok(reach)
    }
}

impl Node {
    fn new(layer: usize, kind: Kind<Extent>, attributes: Attributes, reach: Reach) -> Self {
        Node { layer, kind, attributes, is_implied: false, children: BTreeMap::new(), cleared_by: None, reach }
    }
}

/// A path that is being walked.
struct Way {
    /// The directories that have been entered, below the root.
    behind: Vec<usize>,
    /// Names to come, the next one last.
    ahead: Vec<Vec<u8>>,
    links: usize,
    /// A layer whose links are not followed.
    not_by: Option<usize>,
}

enum Step {
    Taken,
    Missing,
}

/// Why a path leads nowhere.
enum Obstacle {
    NoDirectory(Vec<u8>),
    Loop,
    TooLong,
    TooDeep,
    TooMany,
}

impl Way {
    fn new(path: &[u8]) -> Self {
        let mut way = Way { behind: Vec::new(), ahead: Vec::new(), links: 0, not_by: None };
        way.push(path);
        way
    }

    fn push(&mut self, path: &[u8]) {
        self.ahead.extend(names(path).rev().map(<[u8]>::to_vec));
    }

    fn next(&mut self) -> Option<Vec<u8>> {
        self.ahead.pop()
    }

    fn at(&self) -> usize {
        self.behind.last().copied().unwrap_or(ROOT)
    }

    fn follow(&mut self, target: &[u8]) -> Result<(), Obstacle> {
        self.links += 1;
        if self.links > LINKS_LIMIT {
            return Err(Obstacle::Loop);
        }
        if target.starts_with(b"/") {
            self.behind.clear();
        }
        self.push(target);
        Ok(())
    }
}

impl Obstacle {
    fn error(self, path: &[u8]) -> Error {
        let path = path.escape_ascii();
        Error::input(match self {
            Obstacle::NoDirectory(name) => {
                format!("{path} cannot be where it is to be: {} is no directory", name.escape_ascii())
            }
            Obstacle::Loop => format!("the way to {path} leads through more than {LINKS_LIMIT} links"),
            Obstacle::TooLong => format!("{path} leads to a path of more than {LONGEST_PATH} bytes"),
            Obstacle::TooDeep => format!("{path} lies more than {DEEPEST} directories deep"),
            Obstacle::TooMany => {
                format!("{path} is one too many of {ENTRIES} entries with the directories they are in")
            }
        })
    }
}
