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

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::layer::{Compression, Earlier, Layer, Piece};
use crate::oci::{
    Descriptor, Digest, Encode, Hasher, KeyBuilder, Keyed, encode_members, from_json, media_type, to_json,
};
use crate::store::{LocalStore, Store};
use crate::tree::{Attributes, Content, Entry, Identity, Kind, Node, Object, Time};

/// Stands for the form of [`Key`]s, records and layers: another form, another number. Another version of the program
/// never trusts this one's records, for it may make other bytes.
const FORM: &str = concat!("ocibake ", env!("CARGO_PKG_VERSION"), " layer 8");

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
    /// The key of the layer itself, by what its files look like.
    made_of: Option<Digest>,
}

impl Keyed for Record {}

impl Keyed for Outcome {}

impl Keyed for Vec<Piece> {}

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
        let Attributes { mode, user, group, modified: Time { seconds, nanoseconds }, xattrs } = node.attributes();
        let noted = &mut self.noted;
        encode_members(noted, &[&name, mode, user, group, seconds, nanoseconds, xattrs]);
        match node.object() {
            Object::Directory(children) => {
                encode_members(noted, &[&Kind::Directory, &children.len()]);
                children.iter().for_each(|(name, child)| self.add(name, child, walked));
            }
            Object::Other(kind) => {
                kind.encode(noted);
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
    /// Begins that of a step that does what `kind` says on what the key `below` stands for; [`Key::of_parts`] ends it.
    pub fn step(kind: &str, below: Option<&Key>, compression: Compression) -> KeyBuilder {
        let below = below.map(Key::digest);
        started(compression).part("step", kind).part("below", &below)
    }

    pub fn of_parts(parts: KeyBuilder) -> Key {
        Key(parts.finish())
    }

    pub fn digest(&self) -> Digest {
        self.0
    }

    /// Returns what the step of this key came to, which is a layer or none, if the store still has it. What is known of the
    /// layer's own key counts as used, too: a build that has to look at the files asks for that.
    pub fn outcome(&self, store: &LocalStore) -> Option<Option<Layer>> {
        let (blob, content) = store.record(&self.0)?;
        let Outcome { layer, made_of } = from_json::<Outcome>("a step's record", &content).ok()?;
        if let Some(made_of) = made_of {
            store.touch_record(&made_of);
        }
        match layer {
            None => Some(None),
            Some(record) => record.layer(&blob, store).map(Some),
        }
    }

    /// Remembers what the step of this key came to; a layer [is certain](is_certain), and is beside its own key.
    pub fn remember_outcome(&self, store: &LocalStore, layer: Option<&Layer>, made_of: Option<Key>) -> Result<()> {
        let outcome = Outcome { layer: layer.map(Record::of), made_of: made_of.map(|key| key.0) };
        let blob = layer.map_or_else(|| marker(store), |layer| Ok(layer.descriptor.digest))?;
        store.put_record(&self.0, &blob, &to_json(&outcome))
    }

    /// `entries` are as they were walked, without the extended attributes that files on disk have, which the layer gets or not.
    pub fn of(entries: &[Entry], has_xattrs: bool, compression: Compression) -> Key {
        let sums: Vec<Digest> = entries.par_chunks(SUMMED).map(sum).collect();
        Key(started(compression).part("entries", &sums).part("xattrs", &has_xattrs).finish())
    }

    /// The layer that this key led to, if the store still has it. A record that cannot be read is none.
    pub fn find(&self, store: &LocalStore) -> Option<Layer> {
        let (blob, content) = store.record(&self.0)?;
        from_json::<Record>("a layer's record", &content).ok()?.layer(&blob, store)
    }

    /// Remembers `layer`, which [is certain](is_certain).
    pub fn remember(&self, store: &LocalStore, layer: &Layer) -> Result<()> {
        store.put_record(&self.0, &layer.descriptor.digest, &to_json(&Record::of(layer)))
    }
}

impl Record {
    fn of(layer: &Layer) -> Self {
        Record { descriptor: layer.descriptor.clone(), diff_id: layer.diff_id }
    }

    /// If it is of `blob`, and the store still has that.
    fn layer(self, blob: &Digest, store: &LocalStore) -> Option<Layer> {
        let Record { descriptor, diff_id } = self;
        let layer = Layer { descriptor, diff_id };
        if layer.descriptor.digest != *blob || !store.claim(&layer.descriptor) {
            return None;
        }
        match store.diff_id(&layer.descriptor) {
            Some(known) => (known == diff_id).then_some(layer),
            None => {
                store.take_diff_id(&layer);
                Some(layer)
            }
        }
    }
}

/// Whether the store has a layer, and it was found out there that it unpacks to its diff_id. Nothing is remembered of any
/// other: what an image says of its layers may be a lie.
pub fn is_certain(store: &LocalStore, layer: &Layer) -> bool {
    store.claim(&layer.descriptor) && store.diff_id(&layer.descriptor) == Some(layer.diff_id)
}

/// A key of what is made here, in this form.
fn started(compression: Compression) -> KeyBuilder {
    KeyBuilder::new(FORM).part("compression", &compression.identity())
}

/// The blob that records are of which are of no layer in the store.
pub fn marker(store: &LocalStore) -> Result<Digest> {
    let empty = Descriptor::of(media_type::EMPTY, b"{}");
    if !store.claim(&empty) {
        store.put(media_type::EMPTY, b"{}")?;
    }
    Ok(empty.digest)
}

/// Where the last layer of a step is noted, for the next one to take over what has not changed: the step's number and
/// title say which. Another context may have the same place, which does no harm: blocks are found by their digests.
pub fn place(number: usize, title: &str, compression: Compression) -> Digest {
    let encoder = compression.identity();
    KeyBuilder::new("pieces 4").part("compression", &encoder).part("number", &number).part("title", title).finish()
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
        Kind::File(Content::Disk(file)) if !file.tells_changes => false,
        Kind::File(Content::Disk(file)) => {
            let Identity { changed: (seconds, nanoseconds), .. } = &file.identity;
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
    for Entry { path, kind, attributes: Attributes { mode, user, group, modified, xattrs } } in entries {
        let (user, group) = (u64::from(*user), u64::from(*group));
        encode_members(&mut noted, &[path, mode, &user, &group, &modified.seconds, xattrs, kind]);
    }
    Digest::of(&noted)
}

impl Encode for Kind {
    fn encode(&self, to: &mut Vec<u8>) {
        match self {
            Kind::File(Content::Bytes(bytes)) => encode_members(to, &[&0u8, &Digest::of(bytes)]),
            // Whatever it is called, it is the same file.
            Kind::File(Content::Disk(file)) => {
                encode_members(to, &[&1u8, &file.identity, &file.tells_changes]);
            }
            Kind::Directory => 2u8.encode(to),
            Kind::Symlink { target } => encode_members(to, &[&3u8, target]),
            Kind::HardLink { target } => encode_members(to, &[&4u8, target]),
            Kind::File(Content::Part { spool, offset, size }) => {
                encode_members(to, &[&5u8, &spool.tar(), offset, size]);
            }
            Kind::Fifo => 6u8.encode(to),
            Kind::CharacterDevice { major, minor } => encode_members(to, &[&7u8, major, minor]),
            Kind::BlockDevice { major, minor } => encode_members(to, &[&8u8, major, minor]),
        }
    }
}

impl Encode for Identity {
    fn encode(&self, to: &mut Vec<u8>) {
        let Identity { device, inode, links, size, modified, changed } = self;
        encode_members(to, &[device, inode, links, size, &modified.0, &modified.1, &changed.0, &changed.1]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_change_times_of_a_while_ago_and_with_nanoseconds_are_settled() {
        let walked = UNIX_EPOCH + Duration::from_secs(1000);
        let looks_settled = |modified, changed, tells_changes| {
            let identity = Identity { device: 1, inode: 1, links: 1, size: 1, modified, changed };
            let kind =
                Kind::File(Content::Disk(crate::tree::DiskFile { path: "".into(), identity, tells_changes }.into()));
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
