//! This file writes OCI archives: the tar of a layout.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{BufWriter, Write};
use std::path::Path;

use tar::{EntryType, Header};

use super::blob::{copy_blob, copy_layer};
use super::bundle::ReadEntry;
use super::docker_manifest;
use super::layout;
use super::sink::{Sink, shown};
use crate::error::{Error, Result};
use crate::image::archive::DOCKER_MANIFEST;
use crate::layer::Layer;
use crate::oci::{Descriptor, Digest, to_json};
use crate::progress::Progress;
use crate::store::Store;
use crate::store::layout::{INDEX, MARKER, MARKER_CONTENT, blob_path};

/// Writes an OCI archive: the tar of a layout with these images alone, in place of what is there, in one step; with what
/// docker reads of it. If blobs may be `left_out` it is a delta, which its index says, and not for docker.
pub fn write(
    file: &Path,
    items: &[ReadEntry<'_>],
    left_out: Option<&HashSet<Digest>>,
    progress: Progress<'_>,
) -> Result<()> {
    let images = if left_out.is_none() { docker_manifest::of_all(items) } else { Vec::new() };
    let mut documents = Documents::default();
    if !images.is_empty() {
        documents.tops.push((DOCKER_MANIFEST, to_json(&images)));
    }
    write_with(Sink::open(file)?, file, items, &[], left_out, &documents, progress)
}

/// Writes the same into what leads to an engine, which errors call `title` and which knows the blobs that are `left_out`.
pub(super) fn write_into(
    engine: Sink,
    title: &Path,
    items: &[ReadEntry<'_>],
    left_out: &HashSet<Digest>,
    progress: Progress<'_>,
) -> Result<()> {
    let left_out = Some(left_out).filter(|left_out| !left_out.is_empty());
    write_with(engine, title, items, &[], left_out, &Documents::default(), progress)
}

/// Further documents, and layers to be held against their diff_ids, of an archive that is more than an OCI archive.
#[derive(Default)]
pub(super) struct Documents<'a> {
    /// The documents at its top, with their names.
    pub tops: Vec<(&'a str, Vec<u8>)>,
    /// By their blobs' digests: the layers that are held against their diff_ids, because readers of these documents go
    /// by them.
    pub layers: HashMap<Digest, Layer>,
}

/// Writes an OCI archive with further blobs and documents. Members are sorted by name and carry no time and no owner.
pub(super) fn write_with(
    sink: Sink,
    file: &Path,
    items: &[ReadEntry<'_>],
    further: &[(Descriptor, &dyn Store)],
    left_out: Option<&HashSet<Digest>>,
    documents: &Documents<'_>,
    progress: Progress<'_>,
) -> Result<()> {
    let content = items.iter().flat_map(|item| item.content().map(|descriptor| (descriptor, item.entry.image.store)));
    let content = content.chain(further.iter().map(|(descriptor, store)| (descriptor, *store)));
    let mut blobs: BTreeMap<String, (&Descriptor, &dyn Store)> =
        content.map(|(descriptor, store)| (blob_path(&descriptor.digest), (descriptor, store))).collect();
    let all = blobs.len();
    blobs.retain(|_, (descriptor, _)| !left_out.is_some_and(|left_out| left_out.contains(&descriptor.digest)));
    let index = layout::index(items, left_out.map(|_| all - blobs.len()));
    let mut tops: BTreeMap<&str, &[u8]> =
        documents.tops.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
    tops.extend([(INDEX, index.as_slice()), (MARKER, MARKER_CONTENT.as_bytes())]);

    let mut archive = ArchiveWriter { out: BufWriter::with_capacity(BUFFER, sink), file: shown(file) };
    archive.directory("blobs/")?;
    archive.directory("blobs/sha256/")?;
    for (name, (descriptor, store)) in blobs {
        archive.blob(&name, store, descriptor, documents.layers.get(&descriptor.digest), progress)?;
    }
    for (name, bytes) in tops {
        archive.document(name, bytes)?;
    }
    archive.finish(file)
}

/// In bytes; less makes a request of many small pieces.
const BUFFER: usize = 64 << 10;

struct ArchiveWriter<'a> {
    out: BufWriter<Sink>,
    file: &'a Path,
}

impl ArchiveWriter<'_> {
    fn directory(&mut self, name: &str) -> Result<()> {
        self.header(name, EntryType::Directory, 0o755, 0)
    }

    fn document(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        self.header(name, EntryType::Regular, 0o644, bytes.len() as u64)?;
        self.bytes(bytes)?;
        self.pad(bytes.len() as u64)
    }

    fn blob(
        &mut self,
        name: &str,
        store: &dyn Store,
        descriptor: &Descriptor,
        layer: Option<&Layer>,
        progress: Progress<'_>,
    ) -> Result<()> {
        self.header(name, EntryType::Regular, 0o644, descriptor.size)?;
        match layer {
            Some(layer) => copy_layer(store, layer, &mut self.out, self.file, progress)?,
            None => copy_blob(store, descriptor, &mut self.out, self.file, progress)?,
        }
        self.pad(descriptor.size)
    }

    fn header(&mut self, name: &str, kind: EntryType, mode: u32, size: u64) -> Result<()> {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(size);
        header.set_path(name).map_err(|source| Error::io("write", self.file, source))?;
        header.set_cksum();
        self.bytes(header.as_bytes())
    }

    fn pad(&mut self, size: u64) -> Result<()> {
        let padding = (size.next_multiple_of(512) - size) as usize;
        self.bytes(&[0; 512][..padding])
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(|source| Error::io("write", self.file, source))
    }

    /// Writes the two empty records that end a tar, and moves it to its place.
    fn finish(mut self, destination: &Path) -> Result<()> {
        self.bytes(&[0; 1024])?;
        let failed = |source| Error::io("write", self.file, source);
        let sink = self.out.into_inner().map_err(|error| failed(error.into_error()))?;
        sink.keep(destination)
    }
}
