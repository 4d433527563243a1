//! What the contexts of a build have: each walked once, when a step first takes from it.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rayon::ThreadPool;

use crate::build::cache::Sum;
use crate::error::{Error, Result};
use crate::oci::Digest;
use crate::plan::Context;
use crate::sync::Memo;
use crate::tree::{Content, Entry, Files, Identity, Ignore, Kind, LeftOut, Node, path::relative, walk_all};

/// The contexts of a plan.
pub struct Contexts<'a> {
    contexts: &'a [Context],
    /// Where each of them lies.
    roots: &'a [PathBuf],
    started: SystemTime,
    pool: &'a ThreadPool,
    walked: Memo<usize, Arc<Walked>>,
}

/// One that was walked.
pub struct Walked {
    /// All root's.
    pub files: Files,
    /// For errors.
    pub title: String,
    pub missing: Missing,
    when: SystemTime,
    sums: Memo<Vec<u8>, Sum>,
    contents: Memo<Vec<u8>, Digest>,
}

/// The objects that are there and are not among the files of a context; of anything else there is nothing.
#[derive(Debug, Clone, Default)]
pub struct Missing {
    root: PathBuf,
    left_out: Arc<Vec<LeftOut>>,
}

impl<'a> Contexts<'a> {
    /// Returns `contexts`, of which no file is looked at before `started`.
    pub fn new(contexts: &'a [Context], roots: &'a [PathBuf], started: SystemTime, pool: &'a ThreadPool) -> Self {
        Contexts { contexts, roots, started, pool, walked: Memo::default() }
    }

    pub fn get(&self, number: usize) -> Result<Arc<Walked>> {
        self.walked.get(number, || {
            let context = self.contexts.get(number).zip(self.roots.get(number));
            let (context, root) = context.ok_or_else(|| Error::input(format!("the plan has no context {number}")))?;
            Walked::new(context, root, self.started, self.pool).map(Arc::new)
        })
    }
}

impl Walked {
    /// Walks `context`, which lies at `root`, at `when` or later.
    pub fn new(context: &Context, root: &Path, when: SystemTime, pool: &ThreadPool) -> Result<Self> {
        let ignore = Ignore::new(context.ignore.iter().map(String::as_str))?;
        let root = root.canonicalize().map_err(|source| Error::io("read", root, source))?;
        let (entries, left_out) = pool.install(|| walk_all(&root, &ignore))?;
        let title = format!("the context {}", context.title);
        let missing = Missing { root, left_out: Arc::new(left_out) };
        Ok(Walked { files: planted(entries), title, missing, when, sums: Memo::default(), contents: Memo::default() })
    }

    /// Returns the sum of all that is at `path`, which has no links.
    pub fn sum(&self, path: Vec<u8>) -> Result<Sum> {
        self.sums.get(path.clone(), || {
            Ok(match self.files.get(&path) {
                Some(node) => Sum::of(node, self.when),
                None => Sum::nothing(),
            })
        })
    }

    /// Returns the digest of the content of all that is at `path`, which has no links: what `find` returns, which is asked once.
    pub fn content(&self, path: Vec<u8>, find: impl FnOnce() -> Result<Digest>) -> Result<Digest> {
        self.contents.get(path, find)
    }
}

impl Missing {
    /// Returns what is missing at `path` or below it, with its path as seen from there.
    pub fn below(&self, path: &[u8]) -> impl Iterator<Item = (&[u8], &LeftOut)> {
        self.left_out.iter().filter_map(move |left_out| Some((relative(&left_out.path, path)?, left_out)))
    }

    /// Returns why there is nothing at `path`, if that is because it, or a directory on the way, is missing.
    pub fn at(&self, path: &[u8]) -> Option<Error> {
        let found = self.left_out.iter().find(|left_out| relative(path, &left_out.path).is_some());
        found.map(|left_out| self.error(left_out))
    }

    pub fn error(&self, left_out: &LeftOut) -> Error {
        left_out.error(&self.root.join(OsStr::from_bytes(&left_out.path)))
    }
}

/// Entries as a file system. Files that are one on disk are one there.
fn planted(entries: Vec<Entry>) -> Files {
    let mut files = Files::new();
    let mut linked: HashMap<(u64, u64), Node> = HashMap::new();
    for entry in entries {
        let Entry { path, kind, mut attributes } = entry;
        (attributes.user, attributes.group) = (0, 0);
        // As docker has it, they stay behind with the owners.
        attributes.xattrs.clear();
        let node = match kind {
            Kind::File(Content::Disk(ref file)) if file.identity.links > 1 => {
                let Identity { device, inode, .. } = file.identity;
                linked.entry((device, inode)).or_insert_with(|| Node::of(kind, attributes)).clone()
            }
            kind => Node::of(kind, attributes),
        };
        files.put(&path, node);
    }
    files
}
