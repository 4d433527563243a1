//! What the contexts of a build have: each walked once, when a step first takes from it.

use std::collections::HashMap;
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;
use std::time::SystemTime;

use rayon::ThreadPool;

use super::cache::Sum;
use super::files::{Files, Node, Object, attributes};
use crate::error::{Error, Result};
use crate::layer::{Content, Entry, Identity, Ignore, Kind, walk_all};
use crate::plan::Context;

/// The contexts of a plan.
pub struct Contexts<'a> {
    contexts: &'a [Context],
    started: SystemTime,
    pool: &'a ThreadPool,
    walked: HashMap<usize, Walked>,
}

/// One that was walked.
pub struct Walked {
    /// All root's.
    pub files: Files,
    /// For errors.
    pub title: String,
    root: PathBuf,
    when: SystemTime,
    sums: HashMap<Vec<u8>, Sum>,
}

impl<'a> Contexts<'a> {
    /// No file is looked at before `started`.
    pub fn new(contexts: &'a [Context], started: SystemTime, pool: &'a ThreadPool) -> Self {
        Contexts { contexts, started, pool, walked: HashMap::new() }
    }

    pub fn get(&mut self, number: usize) -> Result<&mut Walked> {
        if !self.walked.contains_key(&number) {
            let context = self.contexts.get(number);
            let context = context.ok_or_else(|| Error::input(format!("the plan has no context {number}")))?;
            let walked = Walked::new(context, self.started, self.pool)?;
            self.walked.insert(number, walked);
        }
        self.walked.get_mut(&number).ok_or_else(|| Error::input("the context is gone"))
    }
}

impl Walked {
    /// Walks `context`, at `when` or later.
    pub fn new(context: &Context, when: SystemTime, pool: &ThreadPool) -> Result<Self> {
        let ignore = Ignore::new(context.ignore.iter().map(String::as_str))?;
        let root = &context.root;
        let root = root.canonicalize().map_err(|source| Error::io("read", root, source))?;
        let entries = pool.install(|| walk_all(&root, &ignore))?;
        let title = format!("the context {}", context.title);
        Ok(Walked { files: planted(entries), title, root, when, sums: HashMap::new() })
    }

    /// Returns whether `path` in the context is a socket, which no tar can hold and so `files` does not have.
    pub fn is_socket(&self, path: &str) -> bool {
        let place = self.root.join(path.trim_start_matches('/'));
        let parent = place.parent().and_then(|parent| parent.canonicalize().ok());
        parent.is_some_and(|parent| parent.starts_with(&self.root))
            && place.symlink_metadata().is_ok_and(|status| status.file_type().is_socket())
    }

    /// What all that is at `path`, which has no links, looks like.
    pub fn sum(&mut self, path: Vec<u8>) -> Sum {
        let Walked { files, when, sums, .. } = self;
        *sums.entry(path).or_insert_with_key(|path| match files.get(path) {
            Some(node) => Sum::of(node, *when),
            None => Sum::nothing(),
        })
    }
}

/// Entries as a file system. Files that are one on disk are one there.
fn planted(entries: Vec<Entry>) -> Files {
    let mut files = Files::new();
    let mut linked: HashMap<(u64, u64), Node> = HashMap::new();
    for mut entry in entries {
        (entry.user, entry.group) = (0, 0);
        // As docker has it, they stay behind with the owners.
        entry.xattrs.clear();
        let attributes = attributes(&entry);
        let node = match entry.kind {
            Kind::Directory => Node::directory(attributes),
            Kind::File(Content::Disk { identity: Identity { device, inode, links: 2.., .. }, .. }) => {
                let new = || Node::new(Object::Other(entry.kind), attributes);
                linked.entry((device, inode)).or_insert_with(new).clone()
            }
            kind => Node::new(Object::Other(kind), attributes),
        };
        files.put(&entry.path, node);
    }
    files
}
