//! Layers that need not be made again, because everything they were made of still looks the same.
//!
//! What a layer is made of is summed up without a look into the files: each entry's header, and for a file on disk its
//! identity (device, inode, size, times). The sum and the layer it led to are kept in the local store. A file that was
//! touched so shortly before it was read that a later change might leave its times as they are is racy, as git calls
//! it, and a layer with such a file is not remembered.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::layer::{Compression, Content, Earlier, Entry, Identity, Kind, Layer, Piece, header};
use crate::oci::{Descriptor, Digest, Hasher, from_json, to_json};
use crate::store::LocalStore;

/// Stands for the form of [`Key`]s and records: another form, another number.
const FORM: &[u8] = b"ocibake layer 1\n";

/// The largest step in which file systems with nanoseconds keep time (the kernel's tick), and with room to spare.
const TICK: Duration = Duration::from_millis(100);

/// The same for file systems that know only seconds, or every other one.
const COARSE_TICK: Duration = Duration::from_secs(2);

/// What a layer is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key(Digest);

/// What is remembered of a layer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    descriptor: Descriptor,
    diff_id: Digest,
}

/// What is remembered of the blocks of a layer.
#[derive(Debug, Serialize, Deserialize)]
struct Pieces {
    blob: Digest,
    pieces: Vec<Piece>,
}

impl Key {
    pub fn of(entries: &[Entry], compression: Compression) -> Result<Key> {
        let mut hasher = Hasher::new();
        hasher.update(FORM);
        hasher.update(compression.identity().as_bytes());
        for entry in entries {
            // The header begins with its length in whole records or says it in itself; nothing runs together.
            hasher.update(&header(entry)?);
            match &entry.kind {
                Kind::File(Content::Bytes(bytes)) => hasher.update(Digest::of(bytes).as_bytes()),
                Kind::File(Content::Disk { identity, .. }) => {
                    numbers(identity).iter().for_each(|number| hasher.update(&number.to_le_bytes()));
                }
                Kind::Directory | Kind::Symlink { .. } | Kind::HardLink { .. } => {}
            }
        }
        Ok(Key(hasher.finish()))
    }

    /// The layer that this key led to, if the store still has it. A record that cannot be read is none.
    pub fn find(&self, store: &LocalStore) -> Option<Layer> {
        let record: Record = from_json("a layer's record", &store.record(&self.0)?).ok()?;
        store.has(&record.descriptor).then_some(Layer { descriptor: record.descriptor, diff_id: record.diff_id })
    }

    /// Remembers `layer`, which is in the store.
    pub fn remember(&self, store: &LocalStore, layer: &Layer) -> Result<()> {
        let record = Record { descriptor: layer.descriptor.clone(), diff_id: layer.diff_id };
        store.put_record(&self.0, &to_json(&record))
    }
}

/// Where the last layer of a step is noted, for the next one to take over what has not changed: the step's number and
/// title say which. Another context may have the same place, which does no harm: blocks are found by their digests.
pub fn place(number: usize, title: &str, compression: Compression) -> Digest {
    Digest::of(format!("ocibake pieces 1\n{}{number} {title}", compression.identity()).as_bytes())
}

/// The layer that was noted at `place`, if the store still has its blob.
pub fn earlier(store: &LocalStore, place: &Digest) -> Option<Earlier> {
    let pieces: Pieces = from_json("a layer's pieces", &store.record(place)?).ok()?;
    Some(Earlier::new(store.blob(&pieces.blob)?, pieces.pieces))
}

/// Notes a layer at `place`.
pub fn note(store: &LocalStore, place: &Digest, blob: Digest, pieces: Vec<Piece>) -> Result<()> {
    store.put_record(place, &to_json(&Pieces { blob, pieces }))
}

/// Whether a change to any of the files after `walked`, when they were looked at, is sure to show in its times.
pub fn is_settled(entries: &[Entry], walked: SystemTime) -> bool {
    entries.iter().all(|entry| match &entry.kind {
        Kind::File(Content::Disk { identity, .. }) => [identity.modified, identity.changed].iter().all(|time| {
            let tick = if time.1 == 0 { COARSE_TICK } else { TICK };
            let Ok(seconds) = u64::try_from(time.0) else { return true };
            let time = UNIX_EPOCH + Duration::new(seconds, u32::try_from(time.1).unwrap_or(0));
            walked.duration_since(time).is_ok_and(|age| age > tick)
        }),
        _ => true,
    })
}

fn numbers(identity: &Identity) -> [u64; 8] {
    let Identity { device, inode, links, size, modified, changed } = *identity;
    // Reinterpreted, not converted: all that counts is that different times stay different.
    let bits = |number: i64| u64::from_le_bytes(number.to_le_bytes());
    [device, inode, links, size, bits(modified.0), bits(modified.1), bits(changed.0), bits(changed.1)]
}
