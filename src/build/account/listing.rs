//! The files that a step has taken from outside, as they looked: for who asks which of them have changed.

use std::collections::BTreeMap;

use super::StepMark;
use crate::error::Result;
use crate::oci::{Digest, Encode, KeyBuilder};
use crate::store::LocalStore;
use crate::tree::{Attributes, Content, Kind, Node, Object};

/// Of more files no listing is kept.
const FILES_LIMIT: usize = 100_000;

/// The files that a step takes, as they looked: a line of JSON for each, so that a hundred thousand take little memory.
#[derive(Debug, Default)]
pub struct FileListing {
    lines: Vec<u8>,
    count: usize,
}

/// What a file looks like, without a look into it.
#[derive(Debug, PartialEq)]
struct FileLook {
    /// The beginning of a digest of all but its time: kind, size, mode, owner.
    sum: u64,
    /// The time of its last change, in seconds and nanoseconds.
    time: (i64, i64),
}

/// What has become of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileChange {
    /// It has another size, mode, owner, or target.
    Changed,
    /// It was not there.
    New,
    /// It is not there any more.
    Gone,
    /// It looks the same but for its time.
    Rewritten,
}

impl FileListing {
    /// Returns the listing that was kept for the step of this `mark`.
    pub fn read(store: &LocalStore, mark: &StepMark) -> Option<FileListing> {
        store.note(&key(mark)).map(|lines| FileListing { lines, count: 0 })
    }

    /// Keeps it for the step of this `mark`, unless it has no files, or too many.
    pub fn keep(&self, store: &LocalStore, mark: &StepMark) -> Result<()> {
        match self.count {
            1..=FILES_LIMIT => store.put_note(&key(mark), &self.lines),
            _ => Ok(()),
        }
    }

    /// Returns whether one is kept for the step of this `mark`.
    pub fn is_kept(store: &LocalStore, mark: &StepMark) -> bool {
        store.has_note(&key(mark))
    }

    /// Adds `node`, which is at `path`. What is in a directory is added by itself.
    pub fn add_node(&mut self, path: &[u8], node: &Node) {
        let kind = match node.object() {
            Object::Directory(_) => &Kind::Directory,
            Object::Other(kind) => kind,
        };
        self.add(path, kind, node.attributes());
    }

    /// Adds what is at `path`. What is in a directory is added by itself.
    pub fn add(&mut self, path: &[u8], kind: &Kind, attributes: &Attributes) {
        self.count += 1;
        if self.count > FILES_LIMIT {
            return;
        }
        let Attributes { mode, user, group, modified, .. } = attributes;
        let mut look = Vec::new();
        (mode, user, group).encode(&mut look);
        let (seconds, nanoseconds) = match kind {
            Kind::File(content) => {
                content.size().encode(&mut look);
                match content {
                    Content::Disk(file) => file.identity.modified,
                    Content::Bytes(_) | Content::Part { .. } => (modified.seconds, 0),
                }
            }
            kind => {
                kind.encode(&mut look);
                (0, 0)
            }
        };
        let sum = Digest::of(&look).as_bytes().iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        let path = String::from_utf8_lossy(path);
        // Numbers and text can be written.
        let line = serde_json::to_string(&(path, sum, seconds, nanoseconds)).unwrap_or_default();
        self.lines.extend(line.as_bytes());
        self.lines.push(b'\n');
    }

    /// Returns what has become of files since `earlier`, those first that surely have changed.
    pub fn changes_since(&self, earlier: &FileListing) -> Vec<(String, FileChange)> {
        let (now, then) = (self.looks(), earlier.looks());
        let change = |path: &String, look: &FileLook| match then.get(path) {
            None => Some(FileChange::New),
            Some(then) if then.sum != look.sum => Some(FileChange::Changed),
            Some(then) if then.time != look.time => Some(FileChange::Rewritten),
            Some(_) => None,
        };
        let here = now.iter().filter_map(|(path, look)| Some((path.clone(), change(path, look)?)));
        let gone = then.keys().filter(|path| !now.contains_key(*path)).map(|path| (path.clone(), FileChange::Gone));
        let mut changes: Vec<(String, FileChange)> = here.chain(gone).collect();
        changes.sort_by(|(path, change), (other_path, other)| (change, path).cmp(&(other, other_path)));
        changes
    }

    /// The files by their paths. Lines that say nothing are left out.
    fn looks(&self) -> BTreeMap<String, FileLook> {
        let look = |line: &[u8]| {
            let (path, sum, seconds, nanoseconds) = serde_json::from_slice(line).ok()?;
            Some((path, FileLook { sum, time: (seconds, nanoseconds) }))
        };
        self.lines.split(|byte| *byte == b'\n').filter_map(look).collect()
    }
}

/// What a listing is kept under: all that tells what a step takes.
fn key(mark: &StepMark) -> Digest {
    let key = KeyBuilder::new("files of a step 1");
    mark.parts
        .iter()
        .filter(|part| part.name != "below")
        .fold(key, |key, part| key.part(&part.name, &part.digest))
        .finish()
}
