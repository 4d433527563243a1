//! The table of contents ("TOC and TOCEntries").

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::members::Chunk;
use super::placed::Placed;
use super::reserved::{LANDMARK_CONTENT, landmark_entry};
use crate::oci::{Digest, to_json};
use crate::plan::label::rfc3339;
use crate::tree::{Entry, Kind};

/// Returns the TOC. `chunks` are those of `entries`, whose names are UTF-8, and all of them are placed.
pub fn json(entries: &[Entry], chunks: &[Chunk], placed: &Placed) -> Arc<[u8]> {
    let mut size = 0;
    write(entries, chunks, placed, |part| size += part.len());
    // Made in its place and of its size: it is large enough as it is.
    let mut json: Arc<[u8]> = std::iter::repeat_n(0, size).collect();
    let mut rest = Arc::get_mut(&mut json).unwrap_or_default();
    write(entries, chunks, placed, |part| {
        let (here, behind) = std::mem::take(&mut rest).split_at_mut(part.len());
        here.copy_from_slice(part);
        rest = behind;
    });
    json
}

/// Gives the parts of the TOC's JSON to `take`, in their order.
fn write(entries: &[Entry], chunks: &[Chunk], placed: &Placed, mut take: impl FnMut(&[u8])) {
    let mut landmark = TocEntry::of(&landmark_entry());
    landmark.digest = Some(Digest::of(LANDMARK_CONTENT));
    landmark.place(placed.landmark, Digest::of(LANDMARK_CONTENT));
    take(br#"{"version":1,"entries":["#);
    take(&to_json(&landmark));
    let mut add = |entry: &TocEntry| {
        take(b",");
        take(&to_json(entry));
    };
    let mut chunks = chunks.iter().zip(&placed.chunks).peekable();
    let mut files = placed.files.iter();
    for (number, entry) in entries.iter().enumerate() {
        let mut part = TocEntry::of(entry);
        while let Some((chunk, (offset, digest))) = chunks.next_if(|(chunk, _)| chunk.entry == number) {
            part.place(*offset, *digest);
            part.chunk_offset = chunk.offset;
            if chunk.is_whole() {
                part.digest = Some(*digest);
            } else if chunk.offset == 0 {
                part.digest = files.next().copied();
            }
            if !chunk.is_last {
                part.chunk_size = chunk.length;
                add(&std::mem::replace(&mut part, TocEntry::chunk(entry)));
            }
        }
        add(&part);
    }
    take(b"]}");
}

/// A file-system object, or a chunk of a file but its first. What is 0 or empty is left out, as the format has it, but
/// for what it requires.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct TocEntry {
    /// As in the tar: a directory ends in a slash.
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "is_zero")]
    size: u64,
    /// RFC 3339. None if that has no such year.
    #[serde(skip_serializing_if = "Option::is_none")]
    modtime: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    link_name: String,
    #[serde(flatten)]
    access: Option<ModeAndOwner>,
    /// Values in base64.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    xattrs: BTreeMap<String, String>,
    /// The digest of the whole file.
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<Digest>,
    #[serde(skip_serializing_if = "is_zero")]
    dev_major: u32,
    #[serde(skip_serializing_if = "is_zero")]
    dev_minor: u32,
    /// The offset of the member in the blob.
    #[serde(skip_serializing_if = "is_zero")]
    offset: u64,
    /// In the file.
    #[serde(skip_serializing_if = "is_zero")]
    chunk_offset: u64,
    /// 0 if the chunk goes to the end of the file.
    #[serde(skip_serializing_if = "is_zero")]
    chunk_size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    chunk_digest: Option<Digest>,
}

#[derive(Serialize)]
struct ModeAndOwner {
    mode: u32,
    uid: u32,
    gid: u32,
}

impl TocEntry {
    /// Returns what is known without the content.
    fn of(entry: &Entry) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (kind, link_name) = match &entry.kind {
            Kind::File(_) => ("reg", String::new()),
            Kind::Directory => ("dir", String::new()),
            Kind::Symlink { target } => ("symlink", text(target)),
            Kind::HardLink { target } => ("hardlink", text(target)),
            Kind::Fifo => ("fifo", String::new()),
            Kind::CharacterDevice { .. } => ("char", String::new()),
            Kind::BlockDevice { .. } => ("block", String::new()),
        };
        let (dev_major, dev_minor) = match entry.kind {
            Kind::CharacterDevice { major, minor } | Kind::BlockDevice { major, minor } => (major, minor),
            _ => (0, 0),
        };
        let attributes = &entry.attributes;
        let slash = if kind == "dir" { "/" } else { "" };
        let is_empty_file = kind == "reg" && entry.content_size() == 0;
        TocEntry {
            name: text(&entry.path) + slash,
            kind,
            size: entry.content_size(),
            // The beginning of 1970, too: readers take no time for one long before that.
            modtime: rfc3339(attributes.modified.seconds).ok(),
            link_name,
            dev_major,
            dev_minor,
            access: Some(ModeAndOwner { mode: attributes.mode, uid: attributes.user, gid: attributes.group }),
            xattrs: attributes.xattrs.iter().map(|(name, value)| (text(name), STANDARD.encode(value))).collect(),
            digest: is_empty_file.then(|| Digest::of(b"")),
            ..TocEntry::default()
        }
    }

    /// A chunk of a file but its first.
    fn chunk(file: &Entry) -> Self {
        let name = String::from_utf8_lossy(&file.path).into_owned();
        TocEntry { name, kind: "chunk", ..TocEntry::default() }
    }

    fn place(&mut self, offset: u64, digest: Digest) {
        self.offset = offset;
        self.chunk_digest = Some(digest);
    }
}

fn is_zero<N: Default + PartialEq>(number: &N) -> bool {
    *number == N::default()
}
