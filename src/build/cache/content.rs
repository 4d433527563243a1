//! What steps work on by its content: a checkout of another machine, or of another day, comes to the same.

use rayon::prelude::*;

use super::key::{Key, started};
use super::records::marker;
use crate::build::inputs::Bases;
use crate::error::Result;
use crate::layer::Compression;
use crate::oci::{Digest, Encode, KeyBuilder};
use crate::store::LocalStore;
use crate::tree::{Attributes, Change, Content, Entry, Files, Kind, Node, diff};

impl Key {
    /// Begins the key of a command by the content of what it works on, which `differs` so from what `below` stands for;
    /// [`Key::of_parts`] ends it.
    pub fn by_content(kind: &str, below: &Digest, differs: &Digest, compression: Compression) -> KeyBuilder {
        started(compression).part("content", kind).part("below", below).part("differs", differs)
    }
}

/// Returns the digest of what makes `to` out of `from`, times aside: all that differs is read.
pub fn difference(from: &Files, to: &Files, bases: &Bases<'_>) -> Result<Digest> {
    let changes = diff(from, to);
    bases.bring(changes.iter().filter_map(content))?;
    let sums = bases.pool().install(|| changes.par_iter().map(sum).collect::<Result<Vec<Digest>>>())?;
    Ok(KeyBuilder::new("changes 1").part("changes", &sums).finish())
}

/// Returns the digest of the content of all that is at `path` of `files`, whoever looks at it: of the times of files, too,
/// if they `count`.
pub fn content_of(files: &Files, path: &[u8], times_count: bool, bases: &Bases<'_>) -> Result<Digest> {
    let Some(node) = files.get(path) else { return Ok(Digest::of(b"nothing")) };
    let Attributes { mode, user, group, modified: _, xattrs } = node.attributes();
    let mut root = Vec::new();
    (mode, user, group, xattrs).encode(&mut root);
    let alone = |node: &Node| {
        let mut alone = Files::new();
        alone.put(b"file", node.clone());
        alone
    };
    let inner = if node.is_directory() { files.below(path) } else { alone(node) };
    let mut times = Vec::new();
    if times_count {
        let mut note = |node: &Node| node.attributes().modified.seconds.encode(&mut times);
        note(node);
        inner.paths().for_each(|(_, node)| note(node));
    }
    let key = KeyBuilder::new("content 1").part("is directory", &node.is_directory()).part("root", &root);
    let key = key.part("inner", &difference(&Files::new(), &inner, bases)?).part("times", &times);
    Ok(key.finish())
}

/// Returns what `find` returns for what makes the file system that is known by `to` out of the one that is known by the content
/// `from`: as it was noted, or else found and noted.
pub fn known_difference(
    store: &LocalStore,
    from: &Digest,
    to: Key,
    find: impl FnOnce() -> Result<Digest>,
) -> Result<Digest> {
    let key = KeyBuilder::new("difference 1").part("from", from).part("to", &to.digest()).finish();
    let noted = store.record(&key).and_then(|(_, noted)| <[u8; 32]>::try_from(noted).ok());
    if let Some(noted) = noted {
        return Ok(Digest::from(noted));
    }
    let found = find()?;
    store.put_record(&key, &marker(store)?, found.as_bytes())?;
    Ok(found)
}

fn content(change: &Change) -> Option<&Content> {
    match change {
        Change::Put(Entry { kind: Kind::File(content), .. }) => Some(content),
        Change::Put(_) | Change::Remove(_) => None,
    }
}

fn sum(change: &Change) -> Result<Digest> {
    let mut noted = Vec::new();
    match change {
        Change::Remove(path) => (0u8, path).encode(&mut noted),
        Change::Put(Entry { path, kind, attributes: Attributes { mode, user, group, modified: _, xattrs } }) => {
            (1u8, path, mode, user, group, xattrs).encode(&mut noted);
            match kind {
                Kind::File(content) => (0u8, content.digest()?).encode(&mut noted),
                // It says all there is to say.
                other => other.encode(&mut noted),
            }
        }
    }
    Ok(Digest::of(&noted))
}
