//! [`Contents`] lists what lies in a local store, for people to look at and for pruning.

use std::fs::{self, DirEntry};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::LocalStore;
use super::layout::read_limited;
use super::pending::PREFIX;
use super::private;
use super::regular;
use super::usage::usage;
use crate::error::{Error, Result};
use crate::layer::{GZIP_MAGIC, ZSTD_MAGIC};
use crate::oci::{Digest, Keyed, MANIFEST_LIMIT, from_json, media_type};

/// All that lies in a local store, in no order. Files whose names the store does not give are not looked at.
#[derive(Debug)]
pub struct Contents {
    /// The blobs.
    pub blobs: Vec<Item>,
    /// The records.
    pub records: Vec<Item>,
    /// What layers unpack to: directories, each with the bytes of the disk that it takes.
    pub unpacked: Vec<Item>,
    /// What commands keep from one build to the next: directories, each with the bytes of the disk that it takes.
    pub caches: Vec<Item>,
    /// The size of all that builds have noted for who asks, in bytes.
    pub notes: u64,
    /// Files and directories in the making, or left by killed builds, and how many bytes each has.
    pub pending: Vec<(PathBuf, u64)>,
}

/// A blob, a record, something unpacked, or a directory that commands keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    /// The digest of a blob, the key of a record, or the name of a directory.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// When it was last used.
    pub used: SystemTime,
}

/// The kind of content that a blob looks like; nothing promises that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BlobKind {
    /// An index.
    Index,
    /// A manifest.
    Manifest,
    /// A config.
    Config,
    /// A layer, compressed or not.
    Layer,
    /// Anything else.
    Unknown,
}

impl Contents {
    /// Returns the size of all but what is in the making, in bytes.
    pub fn size(&self) -> u64 {
        total(&self.blobs) + total(&self.records) + total(&self.unpacked) + total(&self.caches) + self.notes
    }
}

impl LocalStore {
    /// Lists all that lies in the store now.
    pub fn contents(&self) -> Result<Contents> {
        let mut pending = Vec::new();
        visit(&self.pending(), |entry, name| {
            if name.starts_with(PREFIX) {
                let metadata = entry.metadata()?;
                let size = match metadata.is_dir() {
                    true => usage(private::open_no_link(&entry.path())?)?,
                    false => metadata.len(),
                };
                pending.push((entry.path(), size));
            }
            Ok(())
        })?;
        let unpacked = directories(&self.all_unpacked(), |name| self.unpacked_item(name))?;
        let caches = directories(&self.caches(), |name| self.cache_item(name))?;
        let (blobs, records, notes) = (self.all_blobs()?, items(&self.records())?, self.size_of_notes()?);
        Ok(Contents { blobs, records, unpacked, caches, notes, pending })
    }

    pub(super) fn all_blobs(&self) -> Result<Vec<Item>> {
        items(&self.blobs())
    }

    /// Returns what the blob of this digest looks like, by its first bytes, or by a few keys of a document.
    pub fn kind(&self, digest: &Digest) -> BlobKind {
        let look = || -> io::Result<BlobKind> {
            let mut file = regular::open_no_link(&self.path(digest))?;
            let mut head = Vec::with_capacity(TAR_MAGIC.1 + TAR_MAGIC.0.len());
            file.by_ref().take(head.capacity() as u64).read_to_end(&mut head)?;
            if head.starts_with(b"{") {
                return Ok(document_kind(&read_limited(head.chain(file), MANIFEST_LIMIT)?));
            }
            let is_tar = head.get(TAR_MAGIC.1..).is_some_and(|rest| rest == TAR_MAGIC.0);
            let is_layer = is_tar || head.starts_with(&GZIP_MAGIC) || head.starts_with(&ZSTD_MAGIC);
            Ok(if is_layer { BlobKind::Layer } else { BlobKind::Unknown })
        };
        look().unwrap_or(BlobKind::Unknown)
    }
}

impl BlobKind {
    /// Returns it in a word.
    pub fn name(self) -> &'static str {
        match self {
            BlobKind::Index => "index",
            BlobKind::Manifest => "manifest",
            BlobKind::Config => "config",
            BlobKind::Layer => "layer",
            BlobKind::Unknown => "unknown",
        }
    }
}

/// Returns the size of all of `items`, in bytes.
pub(super) fn total(items: &[Item]) -> u64 {
    items.iter().map(|item| item.size).sum()
}

/// The magic of a tar, and where it stands in the first header (POSIX, pax, "ustar Interchange Format").
const TAR_MAGIC: (&[u8], usize) = (b"ustar", 257);

/// What tells a document from another; the media type need not be in it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DocumentFields {
    media_type: Option<String>,
    manifests: Option<serde_json::Value>,
    layers: Option<serde_json::Value>,
    rootfs: Option<serde_json::Value>,
}

impl Keyed for DocumentFields {}

impl DocumentFields {
    /// Reads them; none for what is not a document.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        from_json("a document", bytes).ok()
    }

    /// Returns the media type, if it is a manifest or an index.
    pub fn root_type(&self) -> Option<String> {
        let media_type = match self {
            DocumentFields { media_type: Some(media_type), .. } => media_type,
            DocumentFields { manifests: Some(_), .. } => media_type::IMAGE_INDEX,
            DocumentFields { layers: Some(_), .. } => media_type::IMAGE_MANIFEST,
            _ => return None,
        };
        media_type::is_manifest_or_index(media_type).then(|| media_type.to_owned())
    }
}

fn document_kind(bytes: &[u8]) -> BlobKind {
    let Some(fields) = DocumentFields::of(bytes) else { return BlobKind::Unknown };
    match fields.root_type() {
        Some(media_type) if media_type::is_index(&media_type) => BlobKind::Index,
        Some(_) => BlobKind::Manifest,
        None if fields.rootfs.is_some() => BlobKind::Config,
        None => BlobKind::Unknown,
    }
}

/// Returns the files in `directory` that have the hex of a digest for their name.
fn items(directory: &Path) -> Result<Vec<Item>> {
    let mut items = Vec::new();
    visit(directory, |entry, name| {
        let Some(digest) = digest_of(name) else { return Ok(()) };
        let metadata = entry.metadata()?;
        if metadata.is_file() {
            items.push(Item { digest, size: metadata.len(), used: metadata.modified()? });
        }
        Ok(())
    })?;
    Ok(items)
}

/// Returns what `item` returns for each directory in `directory` that has the hex of a digest for its name.
fn directories(directory: &Path, item: impl Fn(Digest) -> io::Result<Item>) -> Result<Vec<Item>> {
    let mut items = Vec::new();
    visit(directory, |entry, name| {
        if let Some(name) = digest_of(name).filter(|_| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
            items.push(item(name)?);
        }
        Ok(())
    })?;
    Ok(items)
}

/// Returns the digest whose hex `name` is.
fn digest_of(name: &str) -> Option<Digest> {
    format!("sha256:{name}").parse().ok()
}

/// Calls `each` with every entry of `directory` and its name. That one vanishes meanwhile is not an error.
fn visit(directory: &Path, mut each: impl FnMut(&DirEntry, &str) -> io::Result<()>) -> Result<()> {
    let failed = |source| Error::io("list", directory, source);
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        match each(&entry, &entry.file_name().to_string_lossy()) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io("look at", entry.path(), source));
            }
            _ => {}
        }
    }
    Ok(())
}
