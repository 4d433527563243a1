//! The files that a step has taken from outside, as they looked: for who asks which of them have changed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::StepMark;
use crate::error::Result;
use crate::oci::{Digest, Encode, KeyBuilder, Keyed, from_json, to_json};
use crate::store::LocalStore;
use crate::tree::{Attributes, Content, Kind, Node, Object};

/// Of more files no listing is kept.
const FILES_LIMIT: usize = 100_000;

/// The files that a step takes, by their paths, as they looked.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FileListing(BTreeMap<String, FileLook>);

/// What a file looks like, without a look into it.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct FileLook {
    /// The beginning of a digest of all but its time: kind, size, mode, owner.
    sum: String,
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

impl Keyed for FileListing {}

impl FileListing {
    /// Returns the listing that was kept for the step of this `mark`.
    pub fn read(store: &LocalStore, mark: &StepMark) -> Option<FileListing> {
        let noted = store.note(&key(mark))?;
        from_json("the files that a step takes", &noted).ok()
    }

    /// Keeps it for the step of this `mark`, unless it has no files, or too many.
    pub fn keep(&self, store: &LocalStore, mark: &StepMark) -> Result<()> {
        match self.0.is_empty() || self.0.len() > FILES_LIMIT {
            true => Ok(()),
            false => store.put_note(&key(mark), &to_json(self)),
        }
    }

    /// Returns whether one is kept for the step of this `mark`.
    pub fn is_kept(store: &LocalStore, mark: &StepMark) -> bool {
        store.has_note(&key(mark))
    }

    /// Adds what is at `path`. What is in a directory is added by itself.
    pub fn add(&mut self, path: &[u8], node: &Node) {
        let Attributes { mode, user, group, modified, .. } = node.attributes();
        let mut look = Vec::new();
        (mode, user, group).encode(&mut look);
        let time = match node.object() {
            Object::Directory(_) => (0, 0),
            Object::Other(Kind::File(content)) => {
                content.size().encode(&mut look);
                match content {
                    Content::Disk(file) => file.identity.modified,
                    Content::Bytes(_) | Content::Part { .. } => (modified.seconds, 0),
                }
            }
            Object::Other(kind) => {
                kind.encode(&mut look);
                (0, 0)
            }
        };
        let sum = Digest::of(&look).hex()[..16].to_owned();
        self.0.insert(String::from_utf8_lossy(path).into_owned(), FileLook { sum, time });
    }

    /// Returns what has become of files since `earlier`, those first that surely have changed.
    pub fn changes_since<'f>(&'f self, earlier: &'f FileListing) -> Vec<(&'f str, FileChange)> {
        let now = self.0.iter().filter_map(|(path, look)| match earlier.0.get(path) {
            None => Some((&**path, FileChange::New)),
            Some(then) if then.sum != look.sum => Some((&**path, FileChange::Changed)),
            Some(then) if then.time != look.time => Some((&**path, FileChange::Rewritten)),
            Some(_) => None,
        });
        let gone = earlier.0.keys().filter(|path| !self.0.contains_key(*path));
        let mut changes: Vec<(&str, FileChange)> = now.chain(gone.map(|path| (&**path, FileChange::Gone))).collect();
        changes.sort_by_key(|(path, change)| (*change, *path));
        changes
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
