//! What this machine knows of a cache mount that a registry has, too: the layers, and what they made here. So it can be told what
//! has changed since.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::entry::MountLayer;
use crate::error::Result;
use crate::layer::{Layer, with_whiteouts};
use crate::oci::{Descriptor, Digest, Encode, KeyBuilder, Keyed, from_json, to_json};
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

/// What was in a directory, by its paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountListing(BTreeMap<Vec<u8>, ListedMark>);

/// What tells an entry from what may come in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ListedMark {
    /// Of what it looks like: one that looks the same is the same. None where nothing would tell.
    look: Option<ShortDigest>,
    /// Of what it is, for which a file has to be read: where all files of a directory get further names for a while, each looks
    /// another afterwards.
    content: ShortDigest,
}

/// The beginning of a digest.
type ShortDigest = [u8; 16];

/// The first line of what is noted.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StateHead {
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

impl Keyed for StateHead {}

impl MountState {
    /// Returns what is to be noted.
    pub fn encoded(&self) -> Vec<u8> {
        let layers = self.layers.iter().map(|MountLayer { layer: Layer { descriptor, diff_id }, size }| NotedLayer {
            descriptor: descriptor.clone(),
            diff_id: *diff_id,
            size: *size,
        });
        let mut bytes = to_json(&StateHead { layers: layers.collect(), is_vouched: self.is_vouched });
        bytes.push(b'\n');
        for (path, ListedMark { look, content }) in &self.listing.0 {
            bytes.extend_from_slice(&u32::try_from(path.len()).unwrap_or(u32::MAX).to_le_bytes());
            bytes.extend_from_slice(path);
            bytes.push(look.is_some().into());
            bytes.extend_from_slice(&look.unwrap_or_default());
            bytes.extend_from_slice(content);
        }
        bytes
    }

    /// Returns what was noted; none if that is something else.
    pub fn decoded(bytes: &[u8]) -> Option<MountState> {
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let StateHead { layers, is_vouched } = from_json("what is noted of a cache mount", &bytes[..end]).ok()?;
        let layers = layers
            .into_iter()
            .map(|NotedLayer { descriptor, diff_id, size }| MountLayer { layer: Layer { descriptor, diff_id }, size });
        let (mut listing, mut rest) = (BTreeMap::new(), &bytes[end + 1..]);
        while !rest.is_empty() {
            let (length, behind) = rest.split_first_chunk()?;
            let (path, behind) = behind.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            let (has_look, behind) = behind.split_first()?;
            let (look, behind) = behind.split_first_chunk()?;
            let (content, behind) = behind.split_first_chunk()?;
            let look = (*has_look == 1).then_some(*look);
            listing.insert(path.to_vec(), ListedMark { look, content: *content });
            rest = behind;
        }
        Some(MountState { layers: layers.collect(), is_vouched, listing: MountListing(listing) })
    }
}

impl MountListing {
    /// Returns that of `entries`. Files are read, unless they look as they did `before`.
    pub fn of(entries: &[Entry], before: Option<&MountListing>) -> Result<MountListing> {
        let listed = |entry: &Entry| {
            let look = look(entry);
            let known = before.and_then(|before| before.0.get(&entry.path));
            let content = match known {
                Some(known) if look.is_some() && known.look == look => known.content,
                _ => content(entry)?,
            };
            Ok((entry.path.clone(), ListedMark { look, content }))
        };
        entries.par_iter().map(listed).collect::<Result<_>>().map(MountListing)
    }

    /// Returns the entries of the layer that makes `entries`, sorted by path, of what was listed; none if nothing has changed. They are `now`
    /// listed so. If one name of a file comes, all of them do.
    pub fn changes(&self, now: &MountListing, entries: &[Entry]) -> Arc<Vec<Entry>> {
        let content = |listing: &MountListing, path: &[u8]| listing.0.get(path).map(|listed| listed.content);
        let is_same = |entry: &Entry| content(self, &entry.path) == content(now, &entry.path);
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

/// The mark of what a file looks like; of other entries that is what they are.
fn look(entry: &Entry) -> Option<ShortDigest> {
    let key = KeyBuilder::new("cache mount look 1").part("attributes", &attributes(entry));
    Some(finished(match &entry.kind {
        Kind::File(Content::Disk(file)) if file.tells_changes => {
            // The number of the device may be another after a restart.
            let Identity { device: _, inode, links, size, modified, changed } = file.identity;
            key.part("file", &(inode, links, size, modified, changed))
        }
        Kind::File(_) => return None,
        other => with_kind(key, other),
    }))
}

/// The mark of what an entry is.
fn content(entry: &Entry) -> Result<ShortDigest> {
    let key = KeyBuilder::new("cache mount content 1").part("attributes", &attributes(entry));
    Ok(finished(match &entry.kind {
        Kind::File(content) => key.part("file", &content.digest()?),
        other => with_kind(key, other),
    }))
}

fn attributes(entry: &Entry) -> impl Encode {
    let Attributes { mode, user, group, modified, xattrs } = &entry.attributes;
    (*mode, *user, *group, modified.seconds, modified.nanoseconds, xattrs.clone())
}

/// Adds what is not a file.
fn with_kind(key: KeyBuilder, kind: &Kind) -> KeyBuilder {
    match kind {
        Kind::File(_) => key,
        Kind::Directory => key.part("kind", "directory"),
        Kind::Fifo => key.part("kind", "fifo"),
        Kind::Symlink { target } => key.part("symlink", target),
        Kind::HardLink { target } => key.part("hard link", target),
        Kind::CharacterDevice { major, minor } => key.part("character device", &(*major, *minor)),
        Kind::BlockDevice { major, minor } => key.part("block device", &(*major, *minor)),
    }
}

fn finished(key: KeyBuilder) -> ShortDigest {
    key.finish().as_bytes().first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::media_type;

    fn file(path: &str, content: &str) -> Entry {
        let kind = Kind::File(Content::Bytes(content.as_bytes().into()));
        Entry { path: path.into(), kind, attributes: Attributes::implied() }
    }

    fn link(path: &str, target: &str) -> Entry {
        let kind = Kind::HardLink { target: target.into() };
        Entry { path: path.into(), kind, attributes: Attributes::implied() }
    }

    fn listing(entries: &[Entry]) -> MountListing {
        MountListing::of(entries, None).unwrap()
    }

    fn paths(was: &[Entry], entries: &[Entry]) -> Vec<String> {
        let changes = listing(was).changes(&listing(entries), entries);
        changes.iter().map(|entry| String::from_utf8(entry.path.clone()).unwrap()).collect()
    }

    #[test]
    fn a_state_is_read_as_it_was_noted_and_a_part_of_it_is_none() {
        let layer = Layer { descriptor: Descriptor::of(media_type::LAYER_ZSTD, b"blob"), diff_id: Digest::of(b"tar") };
        let listing = listing(&[Entry::directory(Vec::new(), 1), file("a\nb", "2")]);
        let state = MountState { layers: vec![MountLayer { layer, size: 9 }], is_vouched: true, listing };
        let bytes = state.encoded();
        let read = MountState::decoded(&bytes).unwrap();
        assert_eq!((read.layers, read.is_vouched, &read.listing), (state.layers, true, &state.listing));
        for length in 0..bytes.len() {
            assert!(MountState::decoded(&bytes[..length]).is_none_or(|part| part.listing != state.listing), "{length}");
        }
    }

    #[test]
    fn what_is_new_changed_or_gone_is_a_change_and_nothing_else_is() {
        let was = [file("a", "1"), file("b", "2"), Entry::directory(b"d".to_vec(), 1), file("d/e", "3")];
        assert_eq!(paths(&was, &was), Vec::<String>::new());
        assert_eq!(paths(&was, &[file("a", "1"), file("b", "9"), file("c", "4")]), [".wh.d", "b", "c"]);
        let attributes = Attributes { mode: 0o600, ..Attributes::implied() };
        let other = Entry { attributes, ..file("b", "2") };
        assert_eq!(paths(&was[..2], &[file("a", "1"), other]), ["b"]);
        // A directory has become a file, and a file a directory.
        let now = [Entry::directory(b"a".to_vec(), 1), file("a/x", "5"), file("b", "2"), file("d", "6")];
        assert_eq!(paths(&was, &now), ["a", "a/x", "d"]);
    }

    #[test]
    fn a_file_that_looks_the_same_is_not_read_and_one_that_does_not_is() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("file");
        let walked = |text: Option<&str>| {
            text.iter().for_each(|text| std::fs::write(&path, text).unwrap());
            [crate::tree::inspect(&path.canonicalize().unwrap(), b"file".to_vec()).unwrap()]
        };
        let first = walked(Some("one"));
        let mut before = listing(&first);
        let content = before.0[&b"file"[..]].content;
        let told = |mark: ShortDigest| {
            MountListing(BTreeMap::from([(b"file".to_vec(), ListedMark { look: look(&first[0]), content: mark })]))
        };
        before = told([7; 16]);
        assert_eq!(MountListing::of(&first, Some(&before)).unwrap(), before, "it is taken at its look");
        std::fs::hard_link(&path, place.path().join("name")).unwrap();
        std::fs::remove_file(place.path().join("name")).unwrap();
        let again = MountListing::of(&walked(None), Some(&before)).unwrap();
        assert_eq!(again.0[&b"file"[..]].content, content);
        assert_eq!(*told(content).changes(&again, &walked(None)), []);
    }

    #[test]
    fn if_one_name_of_a_file_comes_all_of_them_do() {
        let was = [file("a", "1"), link("b", "a"), link("c", "a"), file("d", "2")];
        assert_eq!(paths(&was, &[file("a", "9"), link("b", "a"), link("c", "a"), file("d", "2")]), ["a", "b", "c"]);
        let now = [file("a", "1"), link("b", "a"), link("c", "a"), link("d", "a")];
        assert_eq!(paths(&was, &now), ["a", "b", "c", "d"]);
    }
}
