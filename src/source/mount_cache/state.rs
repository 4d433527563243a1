//! What this machine knows of a cache mount that a registry has, too: the layers, and what they made here. So it can be told what
//! has changed since.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::entry::MountLayer;
use crate::layer::{Layer, with_whiteouts};
use crate::oci::{Descriptor, Digest, KeyBuilder, Keyed, from_json, to_json};
use crate::tree::{Attributes, Content, Entry, Identity, Kind};

/// What the registry has, and what of it is here.
pub struct MountState {
    /// The layers there, the lowest first.
    pub layers: Vec<MountLayer>,
    /// Nothing of it comes from others whom nobody has verified.
    pub is_vouched: bool,
    /// What they make, as it was here.
    pub listing: MountListing,
}

/// What was in a directory: of each path, what tells it from what it may become. None where nothing would tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountListing(BTreeMap<Vec<u8>, Option<Mark>>);

/// The beginning of a digest.
type Mark = [u8; 16];

/// The first line of what is noted.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    layers: Vec<NotedLayer>,
    is_vouched: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct NotedLayer {
    descriptor: Descriptor,
    diff_id: Digest,
    size: u64,
}

impl Keyed for Head {}

impl MountState {
    /// Returns what is to be noted.
    pub fn encoded(&self) -> Vec<u8> {
        let layers = self.layers.iter().map(|MountLayer { layer: Layer { descriptor, diff_id }, size }| NotedLayer {
            descriptor: descriptor.clone(),
            diff_id: *diff_id,
            size: *size,
        });
        let mut bytes = to_json(&Head { layers: layers.collect(), is_vouched: self.is_vouched });
        bytes.push(b'\n');
        for (path, mark) in &self.listing.0 {
            bytes.extend_from_slice(&u32::try_from(path.len()).unwrap_or(u32::MAX).to_le_bytes());
            bytes.extend_from_slice(path);
            bytes.push(mark.is_some().into());
            bytes.extend_from_slice(&mark.unwrap_or_default());
        }
        bytes
    }

    /// Returns what was noted; none if that is something else.
    pub fn decoded(bytes: &[u8]) -> Option<MountState> {
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let Head { layers, is_vouched } = from_json("what is noted of a cache mount", &bytes[..end]).ok()?;
        let layers = layers
            .into_iter()
            .map(|NotedLayer { descriptor, diff_id, size }| MountLayer { layer: Layer { descriptor, diff_id }, size });
        let (mut listing, mut rest) = (BTreeMap::new(), &bytes[end + 1..]);
        while !rest.is_empty() {
            let (length, behind) = rest.split_first_chunk()?;
            let (path, behind) = behind.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            let (is_marked, behind) = behind.split_first()?;
            let (mark, behind) = behind.split_first_chunk::<16>()?;
            listing.insert(path.to_vec(), (*is_marked == 1).then_some(*mark));
            rest = behind;
        }
        Some(MountState { layers: layers.collect(), is_vouched, listing: MountListing(listing) })
    }
}

impl MountListing {
    /// Returns that of `entries`.
    pub fn of(entries: &[Entry]) -> MountListing {
        MountListing(entries.iter().map(|entry| (entry.path.clone(), mark(entry))).collect())
    }

    /// Returns the entries of the layer that makes `entries`, sorted by path, of what was listed; none if nothing has changed. If one
    /// name of a file comes, all of them do.
    pub fn changes(&self, entries: &[Entry]) -> Arc<Vec<Entry>> {
        let is_same = |entry: &Entry| self.0.get(&entry.path).is_some_and(|was| was.is_some() && *was == mark(entry));
        let mut changed: HashSet<&[u8]> =
            entries.iter().filter(|entry| !is_same(entry)).map(|entry| entry.path.as_slice()).collect();
        let links = |entry: &Entry| match &entry.kind {
            Kind::HardLink { target } => Some(target.clone()),
            _ => None,
        };
        let first: HashSet<Vec<u8>> =
            entries.iter().filter(|entry| changed.contains(&*entry.path)).filter_map(links).collect();
        changed.extend(entries.iter().map(|entry| entry.path.as_slice()).filter(|path| first.contains(*path)));
        let comes_along = |entry: &Entry| links(entry).is_some_and(|target| changed.contains(&*target));
        let along: Vec<&[u8]> =
            entries.iter().filter(|entry| comes_along(entry)).map(|entry| entry.path.as_slice()).collect();
        changed.extend(along);
        let put: Vec<Entry> = entries.iter().filter(|entry| changed.contains(&*entry.path)).cloned().collect();
        let present: HashSet<&[u8]> = entries.iter().map(|entry| entry.path.as_slice()).collect();
        let removed: Vec<Vec<u8>> = self.0.keys().filter(|path| !present.contains(&***path)).cloned().collect();
        Arc::new(with_whiteouts(&put, &removed, 0))
    }
}

/// Returns what tells `entry` from what may come in its place.
fn mark(entry: &Entry) -> Option<Mark> {
    let Attributes { mode, user, group, modified, xattrs } = &entry.attributes;
    let attributes = (*mode, *user, *group, modified.seconds, modified.nanoseconds, xattrs.clone());
    let key = KeyBuilder::new("cache mount entry 1").part("attributes", &attributes);
    let key = match &entry.kind {
        Kind::File(Content::Disk(file)) if file.tells_changes => {
            // The number of the device may be another after a restart.
            let Identity { device: _, inode, links, size, modified, changed } = file.identity;
            key.part("file", &(inode, links, size, modified, changed))
        }
        Kind::File(_) => return None,
        Kind::Directory => key.part("kind", "directory"),
        Kind::Fifo => key.part("kind", "fifo"),
        Kind::Symlink { target } => key.part("symlink", target),
        Kind::HardLink { target } => key.part("hard link", target),
        Kind::CharacterDevice { major, minor } => key.part("character device", &(*major, *minor)),
        Kind::BlockDevice { major, minor } => key.part("block device", &(*major, *minor)),
    };
    key.finish().as_bytes().first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::media_type;
    use crate::tree::DiskFile;

    fn file(path: &str, inode: u64) -> Entry {
        let identity = Identity { device: 1, inode, links: 1, size: 3, modified: (5, 6), changed: (7, 8) };
        let file = DiskFile {
            directory: std::path::Path::new("/").into(),
            name: path.as_bytes().into(),
            identity,
            tells_changes: true,
        };
        let kind = Kind::File(Content::Disk(Arc::new(file)));
        Entry { path: path.into(), kind, attributes: Attributes::implied() }
    }

    fn link(path: &str, target: &str) -> Entry {
        let kind = Kind::HardLink { target: target.into() };
        Entry { path: path.into(), kind, attributes: Attributes::implied() }
    }

    fn paths(listing: &MountListing, entries: &[Entry]) -> Vec<String> {
        let changes = listing.changes(entries);
        changes.iter().map(|entry| String::from_utf8(entry.path.clone()).unwrap()).collect()
    }

    #[test]
    fn a_state_is_read_as_it_was_noted_and_nothing_else_is_one() {
        let layer = Layer { descriptor: Descriptor::of(media_type::LAYER_ZSTD, b"blob"), diff_id: Digest::of(b"tar") };
        let untold = Entry { kind: Kind::File(Content::Bytes([].into())), ..file("untold", 1) };
        let listing = MountListing::of(&[Entry::directory(Vec::new(), 1), file("a\nb", 2), untold]);
        let state = MountState { layers: vec![MountLayer { layer, size: 9 }], is_vouched: true, listing };
        let bytes = state.encoded();
        let read = MountState::decoded(&bytes).unwrap();
        assert_eq!((read.layers, read.is_vouched, read.listing), (state.layers, true, state.listing));
        for length in 0..bytes.len() {
            let part = MountState::decoded(&bytes[..length]);
            assert!(part.is_none_or(|part| part.listing != MountState::decoded(&bytes).unwrap().listing), "{length}");
        }
    }

    #[test]
    fn what_is_new_changed_or_gone_is_a_change_and_nothing_else_is() {
        let was = [file("a", 1), file("b", 2), Entry::directory(b"d".to_vec(), 1), file("d/e", 3)];
        let listing = MountListing::of(&was);
        assert_eq!(paths(&listing, &was), Vec::<String>::new());
        assert_eq!(paths(&listing, &[file("a", 1), file("b", 9), file("c", 4)]), [".wh.d", "b", "c"]);
        // A directory has become a file, and a file a directory.
        let now = [Entry::directory(b"a".to_vec(), 1), file("a/x", 5), file("b", 2), file("d", 6)];
        assert_eq!(paths(&listing, &now), ["a", "a/x", "d"]);
        // Of a file on a file system that does not tell, nobody knows.
        let untold = [Entry { kind: Kind::File(Content::Bytes([].into())), ..file("a", 1) }];
        assert_eq!(paths(&MountListing::of(&untold), &untold), ["a"]);
    }

    #[test]
    fn if_one_name_of_a_file_comes_all_of_them_do() {
        let was = [file("a", 1), link("b", "a"), link("c", "a"), file("d", 2)];
        let listing = MountListing::of(&was);
        assert_eq!(paths(&listing, &[file("a", 9), link("b", "a"), link("c", "a"), file("d", 2)]), ["a", "b", "c"]);
        assert_eq!(
            paths(&listing, &[file("a", 1), link("b", "a"), link("c", "a"), link("d", "a")]),
            ["a", "b", "c", "d"]
        );
    }
}
