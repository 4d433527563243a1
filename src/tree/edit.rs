//! A file system that a step changes, and the layer that the changes come to.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::entry::{Attributes, Entry, Kind};
use super::files::{Files, Node};
use super::limits::Budget;
use super::mode::Mode;
use super::path::{self, joined, names, parent};
use super::time::Time;
use crate::error::{Error, Result};

/// The files that a step starts from, and those that it has changed so far.
pub struct Edit {
    files: Files,
    /// Paths of what was put or changed, without links on the way; some may be there twice.
    touched: Vec<Vec<u8>>,
    /// The attributes of directories that are made on the way.
    made: Attributes,
    budget: Arc<Budget>,
}

/// How much of a directory that is brought counts where there is one already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Onto {
    pub mode: bool,
    pub owner: bool,
    /// Its time and its extended attributes.
    pub rest: bool,
}

impl Onto {
    pub const NOTHING: Onto = Onto { mode: false, owner: false, rest: false };
    pub const ALL: Onto = Onto { mode: true, owner: true, rest: true };
}

/// How something is brought, in the words of errors.
pub struct Manner {
    /// The words that follow "a file is".
    pub done: &'static str,
    pub hint: Option<&'static str>,
}

impl Manner {
    fn conflict(&self, path: &[u8], what: &str) -> Error {
        let error = Error::input(format!("/{} {what} {}", String::from_utf8_lossy(path), self.done));
        match self.hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }
}

impl Edit {
    /// Directories that are missing will be of `owner`, or of root. What is changed counts against `budget`.
    pub fn new(files: Files, owner: Option<(u32, u32)>, time: i64, budget: Arc<Budget>) -> Self {
        let (user, group) = owner.unwrap_or((0, 0));
        let modified = Time::of_seconds(time);
        let made = Attributes { user, group, modified, ..Attributes::implied() };
        Edit { files, touched: Vec::new(), made, budget }
    }

    /// Returns the files as they are so far.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// Brings `node` to `path`, whose directory is there. A directory that is there already takes as much of a directory as
    /// `onto` says, and is not touched if that is nothing. A file where a directory is, and a directory where something else
    /// is, are errors in the words of `manner`.
    pub fn bring(&mut self, path: Vec<u8>, node: Node, onto: Onto, manner: &Manner) -> Result<()> {
        let present = self.files.get(&path).map(Node::is_directory);
        match (present, node.is_directory()) {
            (Some(true), false) => Err(manner.conflict(&path, "is a directory in the image, and a file is")),
            (Some(false), true) => Err(manner.conflict(&path, "is not a directory in the image, and a directory is")),
            (Some(true), true) if onto == Onto::NOTHING => Ok(()),
            (Some(true), true) => {
                let (present, brought) = (self.change(path)?, node.attributes().clone());
                if onto.mode {
                    present.mode = brought.mode;
                }
                if onto.owner {
                    (present.user, present.group) = (brought.user, brought.group);
                }
                if onto.rest {
                    (present.modified, present.xattrs) = (brought.modified, brought.xattrs);
                }
                Ok(())
            }
            _ => self.put(path, node),
        }
    }

    /// Puts `node` at `path`, whose directory is there. A path that no system opens is refused.
    pub fn put(&mut self, path: Vec<u8>, node: Node) -> Result<()> {
        self.touch(&path)?;
        self.files.put(&path, node);
        Ok(())
    }

    /// Returns the attributes of what is at `path`, to be changed.
    pub fn change(&mut self, path: Vec<u8>) -> Result<&mut Attributes> {
        self.touch(&path)?;
        Ok(self.files.place(&path).attributes_mut())
    }

    fn touch(&mut self, path: &[u8]) -> Result<()> {
        path::check(path)?;
        self.budget.entry(path.len() as u64)?;
        self.touched.push(path.to_vec());
        Ok(())
    }

    /// Makes what is missing of the directory at `path`, whose links have been followed.
    pub fn make_directory(&mut self, path: &[u8]) -> Result<()> {
        self.make_directory_for(path, None)
    }

    /// Makes what is missing of the directory at `path`, whose links have been followed, on the way to what gets `mode`.
    pub fn make_directory_for(&mut self, path: &[u8], mode: Option<&Mode>) -> Result<()> {
        if self.files.get(path).is_some_and(Node::is_directory) {
            return Ok(());
        }
        let mut made = self.made.clone();
        made.mode = mode.map_or(made.mode, |mode| mode.of_made_directory(made.mode));
        let mut so_far = Vec::new();
        for name in names(path) {
            so_far = joined(&so_far, name);
            match self.files.get(&so_far) {
                Some(node) if node.is_directory() => {}
                Some(_) => {
                    let path = String::from_utf8_lossy(&so_far);
                    return Err(Error::input(format!("/{path} must be a directory, but is something else")));
                }
                None => self.put(so_far.clone(), Node::directory(made.clone()))?,
            }
        }
        Ok(())
    }

    /// Returns the file system as it is now, and the layer that leads there: sorted by path; what was changed, and the
    /// directories that lead to it as they are, for those who unpack a layer give others to what they miss.
    ///
    /// Fails where there are more of those directories than the budget has left.
    pub fn finish(self) -> Result<(Files, Vec<Entry>)> {
        let Edit { mut files, touched, budget, .. } = self;
        let mut paths: BTreeSet<Vec<u8>> = BTreeSet::new();
        for path in touched.into_iter().filter(|path| !path.is_empty()) {
            let mut above = parent(&path);
            while let Some(directory) = above.filter(|directory| !directory.is_empty() && !paths.contains(*directory)) {
                budget.entry(directory.len() as u64)?;
                paths.insert(directory.to_vec());
                above = parent(directory);
            }
            paths.insert(path);
        }
        let mut first: HashMap<usize, Vec<u8>> = HashMap::new();
        let mut entries = Vec::with_capacity(paths.len());
        for path in paths {
            let Some(node) = files.get(&path) else { continue };
            let mut entry = node.entry(path);
            if let Some(identity) = node.identity().filter(|_| !node.is_directory()) {
                match first.get(&identity) {
                    Some(target) => entry.kind = Kind::HardLink { target: target.clone() },
                    None => drop(first.insert(identity, entry.path.clone())),
                }
            }
            entries.push(entry);
        }
        for entry in entries.iter().filter(|entry| entry.kind.is_directory()) {
            files.compact(&entry.path);
        }
        Ok((files, entries))
    }
}
