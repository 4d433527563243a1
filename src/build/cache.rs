//! Layers that need not be made again, because everything they were made of still looks the same.
//!
//! There are two looks. A step is known by what it is told to do, by what is below it, and by what that which it takes from
//! looks like: if nothing of it has changed, the layer it led to, or that it led to none, is known without a look at any
//! file system. Else its entries are put together, and may still be those of a known layer.
//!
//! What a layer is made of is summed up without a look into the files: all that an entry says, and for a file on disk its
//! identity (device, inode, size, times) in place of its content and its extended attributes. The sum and the layer it
//! led to are kept in the local store. A file that was touched so shortly before it was read that a later change might
//! leave its times as they are is racy, as git calls it, and a layer with such a file is not remembered. What a program
//! still writes to through a mapping changes without a sign for as long as the system likes; no look at times can tell.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::files::{Node, Object};
use crate::error::Result;
use crate::layer::{Attributes, Compression, Content, Earlier, Entry, Identity, Kind, Layer, Piece};
use crate::oci::{Descriptor, Digest, Hasher, from_json, media_type, to_json};
use crate::store::LocalStore;

/// Stands for the form of [`Key`]s, records and layers: another form, another number. Another version of the program
/// never trusts this one's records, for it may make other bytes.
const FORM: &str = concat!("ocibake ", env!("CARGO_PKG_VERSION"), " layer 7\n");

/// Entries that are summed up by one thread at a time.
const SUMMED: usize = 512;

/// The largest step in which file systems with nanoseconds keep time (the kernel's tick), and with room to spare.
const TICK: Duration = Duration::from_millis(100);

/// What a layer is made of, or a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(Digest);

/// What files look like, of which something is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    pub digest: Digest,
    /// A later change of any of them is sure to show.
    pub is_settled: bool,
    pub has_links: bool,
}

/// What is remembered of a layer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    descriptor: Descriptor,
    diff_id: Digest,
}

/// What is remembered of a step.
#[derive(Debug, Serialize, Deserialize)]
struct Outcome {
    /// None if it changed nothing.
    layer: Option<Record>,
}

impl Sum {
    /// Of `node` and all below it, when it was looked at.
    pub fn of(node: &Node, walked: SystemTime) -> Sum {
        let mut summary = Summary { hasher: Hasher::new(), noted: Vec::new(), is_settled: true, has_links: false };
        summary.add(b"", node, walked);
        summary.hasher.update(&summary.noted);
        let Summary { hasher, is_settled, has_links, .. } = summary;
        Sum { digest: hasher.finish(), is_settled, has_links }
    }

    /// Of what is not there.
    pub fn nothing() -> Sum {
        Sum { digest: Digest::of(b"nothing"), is_settled: true, has_links: false }
    }
}

struct Summary {
    hasher: Hasher,
    noted: Vec<u8>,
    is_settled: bool,
    has_links: bool,
}

impl Summary {
    fn add(&mut self, name: &[u8], node: &Node, walked: SystemTime) {
        let Attributes { mode, user, group, modified, xattrs } = node.attributes();
        let noted = &mut self.noted;
        note_bytes(noted, name);
        note_numbers(noted, [u64::from(*mode), u64::from(*user), u64::from(*group), bits(modified.seconds)]);
        note_xattrs(noted, xattrs);
        match node.object() {
            Object::Directory(children) => {
                note_numbers(noted, [children.len() as u64]);
                children.iter().for_each(|(name, child)| self.add(name, child, walked));
            }
            Object::Other(kind) => {
                note_kind(noted, kind);
                self.is_settled &= is_settled(kind, walked);
                self.has_links |= matches!(kind, Kind::Symlink { .. });
            }
        }
        if self.noted.len() > 1 << 16 {
            self.hasher.update(&self.noted);
            self.noted.clear();
        }
    }
}

impl Key {
    /// Of a step: `below` it is what that key stands for, it is told what `work` says, and takes what `sources` tell of.
    pub fn of_step(below: Option<&Key>, work: &str, sources: &[Digest], compression: Compression) -> Key {
        let mut noted = FORM.as_bytes().to_vec();
        noted.extend_from_slice(b"step 1\n");
        noted.extend_from_slice(compression.identity().as_bytes());
        noted.push(below.is_some().into());
        below.iter().for_each(|key| noted.extend_from_slice(key.0.as_bytes()));
        note_bytes(&mut noted, work.as_bytes());
        sources.iter().for_each(|source| noted.extend_from_slice(source.as_bytes()));
        Key(Digest::of(&noted))
    }

    pub fn digest(&self) -> Digest {
        self.0
    }

    /// What the step of this key came to, which is a layer or none, if the store still has it.
    pub fn outcome(&self, store: &LocalStore) -> Option<Option<Layer>> {
        let (_, content) = store.record(&self.0)?;
        match from_json::<Outcome>("a step's record", &content).ok()?.layer {
            None => Some(None),
            Some(record) => record.layer(store).map(Some),
        }
    }

    /// Remembers what the step of this key came to; a layer is in the store.
    pub fn remember_outcome(&self, store: &LocalStore, layer: Option<&Layer>) -> Result<()> {
        let outcome = Outcome { layer: layer.map(Record::of) };
        let blob = layer.map_or_else(|| marker(store), |layer| Ok(layer.descriptor.digest))?;
        store.put_record(&self.0, &blob, &to_json(&outcome))
    }

    /// `entries` are as they were walked, without the extended attributes that files on disk have, which the layer gets or not.
    pub fn of(entries: &[Entry], has_xattrs: bool, compression: Compression) -> Key {
        let sums: Vec<Digest> = entries.par_chunks(SUMMED).map(sum).collect();
        let mut hasher = Hasher::new();
        hasher.update(FORM.as_bytes());
        hasher.update(compression.identity().as_bytes());
        hasher.update(if has_xattrs { b"\nattributes\n" } else { b"\n" });
        sums.iter().for_each(|sum| hasher.update(sum.as_bytes()));
        Key(hasher.finish())
    }

    /// The layer that this key led to, if the store still has it. A record that cannot be read is none.
    pub fn find(&self, store: &LocalStore) -> Option<Layer> {
        let (_, content) = store.record(&self.0)?;
        from_json::<Record>("a layer's record", &content).ok()?.layer(store)
    }

    /// Remembers `layer`, which is in the store.
    pub fn remember(&self, store: &LocalStore, layer: &Layer) -> Result<()> {
        store.put_record(&self.0, &layer.descriptor.digest, &to_json(&Record::of(layer)))
    }
}

impl Record {
    fn of(layer: &Layer) -> Self {
        Record { descriptor: layer.descriptor.clone(), diff_id: layer.diff_id }
    }

    /// If the store still has its blob.
    fn layer(self, store: &LocalStore) -> Option<Layer> {
        let Record { descriptor, diff_id } = self;
        store.has(&descriptor).then_some(Layer { descriptor, diff_id })
    }
}

/// The blob that records are of which are of no layer in the store.
pub fn marker(store: &LocalStore) -> Result<Digest> {
    let empty = Descriptor::of(media_type::EMPTY, b"{}");
    if !store.has(&empty) {
        store.put(media_type::EMPTY, b"{}")?;
    }
    Ok(empty.digest)
}

/// Where the last layer of a step is noted, for the next one to take over what has not changed: the step's number and
/// title say which. Another context may have the same place, which does no harm: blocks are found by their digests.
pub fn place(number: usize, title: &str, compression: Compression) -> Digest {
    Digest::of(format!("ocibake pieces 3\n{}\n{number} {title}", compression.identity()).as_bytes())
}

/// The layer that was noted at `place`, if the store still has its blob.
pub fn earlier(store: &LocalStore, place: &Digest) -> Option<Earlier> {
    let (blob, content) = store.record(place)?;
    let pieces: Vec<Piece> = from_json("a layer's pieces", &content).ok()?;
    Some(Earlier::new(store.blob(&blob)?, pieces))
}

/// Notes a layer, which is in the store as `blob`, at `place`.
pub fn note(store: &LocalStore, place: &Digest, blob: &Digest, pieces: &[Piece]) -> Result<()> {
    store.put_record(place, blob, &to_json(&pieces))
}

/// Whether a change to any of the files after `walked`, when they were looked at, is sure to show in its change time,
/// which nobody can set where the file system keeps one. One in whole seconds tells nothing: it may be that of a change to
/// come.
pub fn are_settled(entries: &[Entry], walked: SystemTime) -> bool {
    entries.iter().all(|entry| is_settled(&entry.kind, walked))
}

fn is_settled(kind: &Kind, walked: SystemTime) -> bool {
    match kind {
        Kind::File(Content::Disk { tells_changes: false, .. }) => false,
        Kind::File(Content::Disk { identity: Identity { changed: (seconds, nanoseconds), .. }, .. }) => {
            let (Ok(seconds), Ok(nanoseconds @ 1..)) = (u64::try_from(*seconds), u32::try_from(*nanoseconds)) else {
                return false;
            };
            let changed = UNIX_EPOCH.checked_add(Duration::new(seconds, nanoseconds));
            changed.and_then(|changed| walked.duration_since(changed).ok()).is_some_and(|age| age > TICK)
        }
        _ => true,
    }
}

/// What `entries` are made of.
fn sum(entries: &[Entry]) -> Digest {
    let mut noted = Vec::new();
    for Entry { path, kind, mode, user, group, modified, xattrs } in entries {
        note_bytes(&mut noted, path);
        note_numbers(&mut noted, [u64::from(*mode), *user, *group, bits(*modified)]);
        note_xattrs(&mut noted, xattrs);
        note_kind(&mut noted, kind);
    }
    Digest::of(&noted)
}

fn note_xattrs(noted: &mut Vec<u8>, xattrs: &BTreeMap<Vec<u8>, Vec<u8>>) {
    note_numbers(noted, [xattrs.len() as u64]);
    for (name, value) in xattrs {
        note_bytes(noted, name);
        note_bytes(noted, value);
    }
}

fn note_kind(noted: &mut Vec<u8>, kind: &Kind) {
    match kind {
        Kind::File(Content::Bytes(bytes)) => {
            noted.push(0);
            noted.extend_from_slice(Digest::of(bytes).as_bytes());
        }
        Kind::File(Content::Disk { identity, tells_changes, .. }) => {
            noted.push(if *tells_changes { 1 } else { 9 });
            note_numbers(noted, numbers(identity));
        }
        Kind::File(Content::Part { spool, offset, size }) => {
            noted.push(5);
            noted.extend_from_slice(spool.tar().as_bytes());
            note_numbers(noted, [*offset, *size]);
        }
        Kind::Directory => noted.push(2),
        Kind::Symlink { target } => {
            noted.push(3);
            note_bytes(noted, target);
        }
        Kind::HardLink { target } => {
            noted.push(4);
            note_bytes(noted, target);
        }
        Kind::Fifo => noted.push(6),
        Kind::CharacterDevice { major, minor } => {
            noted.push(7);
            note_numbers(noted, [u64::from(*major), u64::from(*minor)]);
        }
        Kind::BlockDevice { major, minor } => {
            noted.push(8);
            note_numbers(noted, [u64::from(*major), u64::from(*minor)]);
        }
    }
}

/// With its length, so that nothing runs together.
fn note_bytes(noted: &mut Vec<u8>, bytes: &[u8]) {
    note_numbers(noted, [bytes.len() as u64]);
    noted.extend_from_slice(bytes);
}

fn note_numbers<const COUNT: usize>(noted: &mut Vec<u8>, numbers: [u64; COUNT]) {
    noted.extend_from_slice(numbers.map(u64::to_le_bytes).as_flattened());
}

fn numbers(identity: &Identity) -> [u64; 8] {
    let Identity { device, inode, links, size, modified, changed } = *identity;
    [device, inode, links, size, bits(modified.0), bits(modified.1), bits(changed.0), bits(changed.1)]
}

/// Reinterpreted, not converted: all that counts is that different times stay different.
fn bits(number: i64) -> u64 {
    u64::from_le_bytes(number.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_change_times_of_a_while_ago_and_with_nanoseconds_are_settled() {
        let walked = UNIX_EPOCH + Duration::from_secs(1000);
        let looks_settled = |modified, changed, tells_changes| {
            let identity = Identity { device: 1, inode: 1, links: 1, size: 1, modified, changed };
            let kind = Kind::File(Content::Disk { path: "".into(), identity, tells_changes });
            are_settled(&[Entry { kind, ..Entry::directory(b"a".to_vec(), 0) }], walked)
        };
        let settled = |modified, changed| looks_settled(modified, changed, true);
        assert!(!looks_settled((5, 0), (999, 1), false), "a time that anybody could set");
        assert!(settled((5, 0), (999, 899_999_999)));
        assert!(settled((5000, 7), (999, 1)), "the time of modification may be anything");
        assert!(!settled((5, 0), (999, 900_000_001)), "just before");
        assert!(!settled((5, 0), (1000, 1)), "meanwhile");
        assert!(!settled((5, 0), (5000, 1)), "by another clock");
        assert!(!settled((5, 0), (5, 0)), "there are no nanoseconds");
        assert!(!settled((-5, 1), (-5, 1)));
        assert!(are_settled(&[Entry::directory(b"a".to_vec(), 0)], walked));
    }
}
