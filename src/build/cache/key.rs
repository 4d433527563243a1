//! Keys: what steps and layers are known by, and what files look like without a look into them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rayon::prelude::*;

use crate::layer::Compression;
use crate::oci::{Digest, Encode, Hasher, KeyBuilder};
use crate::tree::{Attributes, Content, Entry, Identity, Kind, Node, Object, Time};

/// Stands for the form of [`Key`]s, records and layers: another form, another number. Another version of the program
/// never trusts this one's records, for it may make other bytes.
const FORM: &str = concat!("ocibake ", env!("CARGO_PKG_VERSION"), " layer 9");

/// Entries that are summed up by one thread at a time.
const SUMMED: usize = 512;

/// The largest step in which file systems with nanoseconds keep time (the kernel's tick), and with room to spare.
const TICK: Duration = Duration::from_millis(100);

/// The key of a layer or of a step: a digest of all that it is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(Digest);

/// The mark by which the state of a stage is known.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    /// None for an empty file system.
    pub key: Option<Key>,
    /// A later change of any file that it comes from is sure to show.
    pub is_settled: bool,
    /// Nothing is taken from an earlier build for it, nor for what stands on it.
    pub is_anew: bool,
}

/// What files are known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// What they look like here, unread.
    Look,
    /// What is in them: the same on all machines.
    Content,
}

/// A sum over the looks of files of which something is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    pub digest: Digest,
    /// A later change of any of them is sure to show.
    pub is_settled: bool,
    pub has_links: bool,
}

impl Default for Mark {
    /// Returns the mark of an empty file system.
    fn default() -> Self {
        Mark { key: None, is_settled: true, is_anew: false }
    }
}

impl Sum {
    /// Returns the sum of `node` and all below it, when it was looked at.
    pub fn of(node: &Node, walked: SystemTime) -> Sum {
        let mut summary = Summary { hasher: Hasher::new(), noted: Vec::new(), is_settled: true, has_links: false };
        summary.add(b"", node, walked);
        summary.hasher.update(&summary.noted);
        let Summary { hasher, is_settled, has_links, .. } = summary;
        Sum { digest: hasher.finish(), is_settled, has_links }
    }

    /// Returns the sum of what is not there.
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
        (&name, mode, user, group, seconds, nanoseconds, xattrs).encode(noted);
        match node.object() {
            Object::Directory(children) => {
                (&Kind::Directory, &children.len()).encode(noted);
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
    /// Begins the key of a step by which all machines know it: `below` is such a key, too. [`Key::of_parts`] ends it.
    pub fn portable(kind: &str, below: Option<&Key>, compression: Compression) -> KeyBuilder {
        let below = below.map(Key::digest);
        started(compression).part("portable step", kind).part("below", &below)
    }

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

    /// Returns the key of `entries`, which are as they were walked, without the extended attributes that files on disk have,
    /// which the layer gets or not.
    pub fn of(entries: &[Entry], has_xattrs: bool, compression: Compression) -> Key {
        let sums: Vec<Digest> = entries.par_chunks(SUMMED).map(sum).collect();
        Key(started(compression).part("entries", &sums).part("xattrs", &has_xattrs).finish())
    }
}

/// Returns a key of what is made here, in this form.
pub fn started(compression: Compression) -> KeyBuilder {
    KeyBuilder::new(FORM).part("compression", &compression.identity())
}

/// Returns whether a change to any of the files after `walked`, when they were looked at, is sure to show in its change
/// time, which nobody can set where the file system keeps one. One in whole seconds tells nothing: it may be that of a
/// change to come.
pub fn are_settled(entries: &[Entry], walked: SystemTime) -> bool {
    entries.par_iter().with_min_len(SUMMED).all(|entry| is_settled(&entry.kind, walked))
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

/// Returns what `entries` are made of.
fn sum(entries: &[Entry]) -> Digest {
    let mut noted = Vec::new();
    for Entry { path, kind, attributes: Attributes { mode, user, group, modified, xattrs } } in entries {
        let (user, group) = (u64::from(*user), u64::from(*group));
        (path, mode, &user, &group, &modified.seconds, xattrs, kind).encode(&mut noted);
    }
    Digest::of(&noted)
}

impl Encode for Kind {
    fn encode(&self, to: &mut Vec<u8>) {
        match self {
            Kind::File(Content::Bytes(bytes)) => (0u8, &Digest::of(bytes)).encode(to),
            // Whatever it is called, it is the same file.
            Kind::File(Content::Disk(file)) => {
                (1u8, &file.identity, &file.tells_changes).encode(to);
            }
            Kind::Directory => 2u8.encode(to),
            Kind::Symlink { target } => (3u8, target).encode(to),
            Kind::HardLink { target } => (4u8, target).encode(to),
            Kind::File(Content::Part { spool, offset, size }) => {
                (5u8, &spool.tar(), offset, size).encode(to);
            }
            Kind::Fifo => 6u8.encode(to),
            Kind::CharacterDevice { major, minor } => (7u8, major, minor).encode(to),
            Kind::BlockDevice { major, minor } => (8u8, major, minor).encode(to),
        }
    }
}

impl Encode for Identity {
    fn encode(&self, to: &mut Vec<u8>) {
        let Identity { device, inode, links, size, modified, changed } = self;
        (device, inode, links, size, &modified.0, &modified.1, &changed.0, &changed.1).encode(to);
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
            let kind = Kind::File(Content::Disk(
                crate::tree::DiskFile {
                    directory: std::path::Path::new("").into(),
                    name: b"a"[..].into(),
                    identity,
                    tells_changes,
                }
                .into(),
            ));
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
