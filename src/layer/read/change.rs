//! What layers make together (image-spec, layer.md, "Applying Changesets"): their members become changes of a file system
//! in memory, and whiteouts end here. No disk is touched, so no link can lead anywhere but through that file system.

use std::collections::HashSet;
use std::sync::Arc;

use super::member::{Extent, Member};
use crate::error::{Error, Result};
use crate::tree::path::{DEEPEST, LINKS_LIMIT, LONGEST_PATH, joined, names, split};
use crate::tree::{Attributes, BOMB, Content, ENTRIES, Entry, Files, Kind, Node, Object, Spool, TEXT};

/// Layers one over the other, and the root file system that they make.
#[derive(Debug, Default)]
pub struct Overlay {
    files: Files,
    /// The number of the layer that is being put over the others.
    layer: usize,
    /// The paths at which that layer has put something.
    own: HashSet<Vec<u8>>,
    /// Directories in which that layer has hidden all that lower ones have: however often it says so again, nothing is left
    /// to hide.
    cleared: HashSet<Vec<u8>>,
    /// Directories that are there for what lies in them, and that no layer tells of.
    implied: HashSet<Vec<u8>>,
    /// A directory as the last member has it, and its path without links: neighbours share it.
    last: Option<(Vec<u8>, Vec<u8>)>,
    /// How many objects were made, whether they are still there or not.
    made: u64,
    /// The length of the paths, without links, at which something was put, in bytes: links and directories that nobody tells
    /// of make long ones of short members.
    text: u64,
    /// How many names links have added to the ways there.
    detours: u64,
}

/// The beginning of names that stand for the removal of the rest of the name.
pub const WHITEOUT: &[u8] = b".wh.";
/// The beginning of the names that AUFS keeps for itself.
const WHITEOUT_META: &[u8] = b".wh..wh.";
/// The name that hides all that lower layers have in its directory.
pub const OPAQUE: &[u8] = b".wh..wh..opq";

impl Overlay {
    /// Returns a root without anything in it.
    pub fn new() -> Self {
        Overlay::default()
    }

    /// Returns what earlier layers have made, for the next one to be put over it: its number is not 0.
    pub fn over(files: Files) -> Self {
        Overlay { files, ..Overlay::default() }
    }

    /// Puts layer number `layer` over those below it; numbers grow. Contents lie in `spool`.
    ///
    /// Members count in their order, the last of several with one path being the one that stays. A whiteout hides what
    /// lower layers have, wherever in its own layer it stands. Parents that are links lead to where they would in a
    /// container, never out of the root; those that nobody tells of are directories of root, `rwxr-xr-x`.
    pub fn apply(&mut self, layer: usize, members: Vec<Member>, spool: &Arc<Spool>) -> Result<()> {
        if layer != self.layer {
            self.layer = layer;
            self.own.clear();
            self.cleared.clear();
        }
        members.into_iter().try_for_each(|member| self.apply_one(member, spool))
    }

    /// Returns what the layers make. The directories that no layer tells of are root's.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// Returns what the layers make, and ends the reading of changes.
    pub fn into_files(self) -> Files {
        self.files
    }

    /// Returns whether the directory at `path` is there for what lies in it alone, and no layer tells of it.
    pub fn is_implied(&self, path: &[u8]) -> bool {
        self.implied.contains(path)
    }

    /// Returns what stands at `path`, a path like that of a [`Member`]. Parents that are links are followed, the last name is
    /// not.
    pub fn find(&self, path: &[u8]) -> Option<&Node> {
        let (parent, name) = split(path);
        let mut way = Way::new(parent, 0);
        let is_there = self.follow(&mut way, false).is_ok_and(|missing| missing.is_none());
        self.files.get(&joined(&way.real(), name)).filter(|_| is_there)
    }

    fn apply_one(&mut self, member: Member, spool: &Arc<Spool>) -> Result<()> {
        let Entry { path, kind, attributes } = member;
        let (parent, name) = split(&path);
        if let Some(part) = names(parent).find(|part| part.starts_with(WHITEOUT)) {
            if part.starts_with(WHITEOUT_META) {
                return Ok(());
            }
            return Err(Error::input(format!("{} lies in a whiteout, which is not a directory", path.escape_ascii())));
        }
        if let Some(hidden) = name.strip_prefix(WHITEOUT) {
            self.last = None;
            return self.white_out(&path, parent, name, hidden);
        }
        if path.is_empty() {
            if !kind.is_directory() {
                return Err(Error::input("its root is not a directory"));
            }
            *self.files.place(b"").attributes_mut() = attributes;
            return Ok(());
        }
        let linked = match &kind {
            Kind::HardLink { target } => Some(self.link_target(&path, target)?),
            _ => None,
        };
        let directory = match self.last.take() {
            Some((known, real)) if known == parent => real,
            _ => self.directory(parent).map_err(|what| what.error(&path))?,
        };
        let real = joined(&directory, name);
        check(&real).map_err(|what| what.error(&path))?;
        // What ways lead through: a directory that gives way, and a link.
        let (is_kept, turns_ways) = match self.files.get(&real).map(Node::object) {
            Some(Object::Directory(_)) => (kind.is_directory(), !kind.is_directory()),
            Some(Object::Other(present)) => (false, matches!(present, Kind::Symlink { .. })),
            None => (false, false),
        };
        if is_kept {
            *self.files.place(&real).attributes_mut() = attributes;
        } else if let Some(node) = linked {
            self.files.put(&real, node);
        } else {
            self.count().map_err(|what| what.error(&path))?;
            let place = |Extent { offset, size }: Extent| Content::Part { spool: spool.clone(), offset, size };
            self.files.put(&real, Node::of(kind.map(place), attributes));
        }
        self.last = (!turns_ways).then(|| (parent.to_vec(), directory));
        self.implied.remove(&real);
        self.put_by_layer(real).map_err(|what| what.error(&path))
    }

    fn link_target(&mut self, path: &[u8], target: &[u8]) -> Result<Node> {
        let wrong = |what: &str| {
            let (path, target) = (path.escape_ascii(), target.escape_ascii());
            Error::input(format!("{path} is a hard link to {target}, {what}"))
        };
        let (parent, name) = split(target);
        let parent = self.existing(parent, false).map_err(|what| what.error(path))?;
        let found = parent.and_then(|parent| self.files.get(&joined(&parent, name)));
        match found {
            _ if target.is_empty() => Err(wrong("which is the root")),
            None => Err(wrong("which is not there")),
            Some(node) if node.is_directory() => Err(wrong("which is a directory")),
            Some(node) => Ok(node.clone()),
        }
    }

    /// Hides `hidden`, or for an opaque whiteout all that is beside it, as far as it comes from lower layers.
    fn white_out(&mut self, path: &[u8], parent: &[u8], name: &[u8], hidden: &[u8]) -> Result<()> {
        if name != OPAQUE && name.starts_with(WHITEOUT_META) {
            return Ok(());
        }
        if matches!(hidden, b"" | b"." | b"..") {
            return Err(Error::input(format!("{} is a whiteout of a name that cannot exist", path.escape_ascii()))
                .with_hint("no tool makes such a tar by accident: do not trust it"));
        }
        // Where there is no such directory any more, there is nothing to hide. Some tools tell of all that was in one that
        // is a file or a link now: what that link leads to is not meant.
        let parent = match self.existing(parent, true) {
            Ok(Some(parent)) => parent,
            Err(what @ PathObstacle::Detours) => return Err(what.error(path)),
            Ok(None) | Err(_) => return Ok(()),
        };
        if name == OPAQUE {
            self.hide_children(parent);
        } else {
            self.hide(joined(&parent, hidden));
        }
        Ok(())
    }

    /// Hides what is at `path`, unless the layer itself has put it there. A directory that holds something of the layer stays
    /// for that; if only lower layers tell of it, nobody does any more.
    fn hide(&mut self, path: Vec<u8>) {
        let Some(node) = self.files.get(&path) else { return };
        if node.is_directory() {
            self.hide_children(path.clone());
        }
        if self.own.contains(&path) {
            return;
        }
        if self.files.get(&path).and_then(Node::children).is_none_or(|children| children.is_empty()) {
            self.files.remove(&path);
        } else {
            *self.files.place(&path).attributes_mut() = Attributes::implied();
            self.implied.insert(path.clone());
            self.own.insert(path);
        }
    }

    fn hide_children(&mut self, directory: Vec<u8>) {
        let children = self.files.get(&directory).and_then(Node::children).into_iter().flatten();
        let paths: Vec<Vec<u8>> = match self.cleared.contains(&directory) {
            true => return,
            false => children.map(|(name, _)| joined(&directory, name)).collect(),
        };
        self.cleared.insert(directory);
        paths.into_iter().for_each(|path| self.hide(path));
    }

    /// Returns the path without links of the directory at `path`, if there is one. Links of the layer itself lead nowhere if
    /// they are `not_by_own`.
    fn existing(&mut self, path: &[u8], not_by_own: bool) -> Result<Option<Vec<u8>>, PathObstacle> {
        let mut way = Way::new(path, self.detours);
        let missing = self.follow(&mut way, not_by_own);
        self.detours = way.detours;
        Ok(missing?.is_none().then(|| way.real()))
    }

    /// Returns the path without links of the directory at `path`; what is missing of it is made.
    fn directory(&mut self, path: &[u8]) -> Result<Vec<u8>, PathObstacle> {
        let mut way = Way::new(path, self.detours);
        while let Some(name) = self.follow(&mut way, false)? {
            way.behind.push(name);
            let real = way.real();
            check(&real)?;
            self.count()?;
            self.files.put(&real, Node::directory(Attributes::implied()));
            self.implied.insert(real.clone());
            self.put_by_layer(real)?;
        }
        self.detours = way.detours;
        Ok(way.real())
    }

    /// Goes on along `way` to its end, or to the first name that is missing, and returns that.
    fn follow(&self, way: &mut Way, not_by_own: bool) -> Result<Option<Vec<u8>>, PathObstacle> {
        let mut nodes = vec![self.files.root()];
        for name in &way.behind {
            nodes.extend(nodes.last().and_then(|node| node.children()?.get(&name[..])));
        }
        while let Some(name) = way.ahead.pop() {
            match &name[..] {
                b"." => continue,
                b".." => {
                    // Above the root is the root.
                    way.behind.pop();
                    nodes.truncate(way.behind.len() + 1);
                    continue;
                }
                _ => {}
            }
            let node = nodes.last().and_then(|node| node.children()?.get(&name[..]));
            match node.map(Node::object) {
                None => return Ok(Some(name)),
                Some(Object::Directory(_)) => {
                    nodes.extend(node);
                    way.behind.push(name);
                }
                Some(Object::Other(Kind::Symlink { target })) => {
                    if not_by_own && self.own.contains(&joined(&way.real(), &name)) {
                        return Ok(Some(name));
                    }
                    way.turn(target)?;
                    nodes.truncate(way.behind.len() + 1);
                }
                Some(Object::Other(_)) => return Err(PathObstacle::NoDirectory(name)),
            }
        }
        Ok(None)
    }

    /// Counts an object that is to be made: one member can bring many directories that nobody tells of.
    fn count(&mut self) -> Result<(), PathObstacle> {
        if self.made >= ENTRIES {
            return Err(PathObstacle::TooMany);
        }
        self.made += 1;
        Ok(())
    }

    /// Notes that the layer has put something at `real`.
    fn put_by_layer(&mut self, real: Vec<u8>) -> Result<(), PathObstacle> {
        self.text += real.len() as u64;
        if self.text > TEXT {
            return Err(PathObstacle::Text);
        }
        self.own.insert(real);
        Ok(())
    }
}

/// So many names may links add to the ways to all that layers have: some fifty to each, where there are as many as there may be.
const DETOURS: u64 = 100_000_000;

/// Refuses a path that is too long or too deep: links can lead to longer ones than any member has.
fn check(real: &[u8]) -> Result<(), PathObstacle> {
    if real.len() > LONGEST_PATH {
        return Err(PathObstacle::TooLong);
    }
    if names(real).count() > DEEPEST {
        return Err(PathObstacle::TooDeep);
    }
    Ok(())
}

/// A path that is being walked.
struct Way {
    /// The directories that have been entered, below the root.
    behind: Vec<Vec<u8>>,
    /// Names to come, the next one last.
    ahead: Vec<Vec<u8>>,
    links: usize,
    /// The names that links have added to this way, and to those before it.
    detours: u64,
}

/// Why a path leads nowhere.
enum PathObstacle {
    NoDirectory(Vec<u8>),
    Loop,
    TooLong,
    TooDeep,
    TooMany,
    Text,
    Detours,
}

impl Way {
    fn new(path: &[u8], detours: u64) -> Self {
        let ahead = names(path).rev().map(<[u8]>::to_vec).collect();
        Way { behind: Vec::new(), ahead, links: 0, detours }
    }

    /// Returns where it has come to, without links.
    fn real(&self) -> Vec<u8> {
        self.behind.join(&b'/')
    }

    /// Turns to where a link leads.
    fn turn(&mut self, target: &[u8]) -> Result<(), PathObstacle> {
        self.links += 1;
        if self.links > LINKS_LIMIT {
            return Err(PathObstacle::Loop);
        }
        if target.starts_with(b"/") {
            self.behind.clear();
        }
        let before = self.ahead.len();
        self.ahead.extend(names(target).rev().map(<[u8]>::to_vec));
        self.detours += (self.ahead.len() - before) as u64;
        if self.detours > DETOURS { Err(PathObstacle::Detours) } else { Ok(()) }
    }
}

impl PathObstacle {
    fn error(self, path: &[u8]) -> Error {
        let path = path.escape_ascii();
        let bomb = |message: String| Error::input(message).with_hint(BOMB);
        match self {
            PathObstacle::NoDirectory(name) => {
                Error::input(format!("{path} cannot be placed: {} is not a directory", name.escape_ascii()))
            }
            PathObstacle::Loop => {
                Error::input(format!("the way to {path} leads through more than {LINKS_LIMIT} links"))
            }
            PathObstacle::TooLong => Error::input(format!("{path} leads to a path of more than {LONGEST_PATH} bytes")),
            PathObstacle::TooDeep => Error::input(format!("{path} is more than {DEEPEST} directories deep")),
            PathObstacle::TooMany => {
                bomb(format!("{path} exceeds the limit of {ENTRIES} entries, counting the directories they are in"))
            }
            PathObstacle::Text => bomb(format!(
                "{path} exceeds the limit of {TEXT} bytes for all paths, counting those that links lead to"
            )),
            PathObstacle::Detours => {
                bomb(format!("{path} exceeds the limit of {DETOURS} names that links add to paths"))
            }
        }
    }
}
