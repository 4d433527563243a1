//! This file reads the layers of a docker archive, of which nothing but their bytes says what they are.

use std::collections::HashMap;
use std::io::{self, BufReader, Read};

use super::{Archive, ArchiveMember, Blob};
use crate::error::{Error, Result};
use crate::layer::{self, Layer, ZSTD_MAGIC};
use crate::oci::{Descriptor, Digest, Hasher, HashingWriter, media_type};
use crate::tree::{Budget, Limits, Whole};

/// The hint of errors about layers that do not fit their config.
pub(crate) const DAMAGED: &str = "the archive is damaged or was assembled wrongly: fetch or make it again";

/// The layers of an archive may unpack to this many times its size, or to this many bytes if that is more. Nothing of it
/// is kept: all of it passes in some seconds.
const UNPACKED_RATIO: u64 = 100;
const UNPACKED_FLOOR: u64 = 2 << 30;

/// So many bytes are read at a time.
const CHUNK: usize = 256 << 10;

/// The layers of a docker archive that are known already. Images share them, and the same one may have many names: each
/// is read and unpacked once.
pub(crate) struct KnownLayers {
    of_members: HashMap<ArchiveMember, Layer>,
    /// By the digest of the blob.
    diff_ids: HashMap<Digest, Digest>,
    /// For all that is unpacked.
    budget: Budget,
}

impl KnownLayers {
    /// Returns what is known of `archive` at first: no layer, and how much all may unpack to.
    pub fn none(archive: &Archive) -> Result<Self> {
        let size = archive.file.metadata().map_err(|source| Error::io("read", &archive.path, source))?.len();
        let size = size.saturating_mul(UNPACKED_RATIO).max(UNPACKED_FLOOR);
        let budget = Budget::new(Limits { size, ..Limits::of_archive(size) }, Whole::Layers);
        Ok(KnownLayers { of_members: HashMap::new(), diff_ids: HashMap::new(), budget })
    }
}

impl Archive {
    /// Reads and unpacks the layer that lies at `name`, unless it is `known`. Returns it with the digest of what it
    /// unpacks to, and has it as a blob from now on.
    pub(crate) fn layer(&mut self, name: &str, known: &mut KnownLayers) -> Result<Layer> {
        let member = self.only(name)?;
        if let Some(layer) = known.of_members.get(&member) {
            return Ok(layer.clone());
        }
        let descriptor = self.layer_blob(member).map_err(|source| Error::io("read", &self.path, source))?;
        let diff_id = match known.diff_ids.get(&descriptor.digest) {
            Some(diff_id) => *diff_id,
            // Uncompressed, it is what it unpacks to.
            None if descriptor.media_type == media_type::LAYER => descriptor.digest,
            None => self.diff_id_of(name, member, &known.budget)?,
        };
        known.diff_ids.insert(descriptor.digest, diff_id);
        self.blobs.insert(descriptor.digest, Blob::Member(member));
        let layer = Layer { descriptor, diff_id };
        known.of_members.insert(member, layer.clone());
        Ok(layer)
    }

    /// Returns the descriptor of the layer whose bytes lie at `member`.
    fn layer_blob(&self, member: ArchiveMember) -> io::Result<Descriptor> {
        let mut magic = Vec::with_capacity(ZSTD_MAGIC.len());
        self.reader(member).take(ZSTD_MAGIC.len() as u64).read_to_end(&mut magic)?;
        let mut hasher = HashingWriter::new(io::sink());
        io::copy(&mut BufReader::with_capacity(CHUNK, self.reader(member)), &mut hasher)?;
        let (_, digest, size) = hasher.finish();
        Ok(Descriptor::new(layer::media_type_of(&magic), digest, size))
    }

    /// Returns the digest of what the layer at `member`, which errors call `name`, unpacks to.
    fn diff_id_of(&self, name: &str, member: ArchiveMember, budget: &Budget) -> Result<Digest> {
        let failed = |source: io::Error| match source.raw_os_error() {
            Some(_) => Error::io("read", &self.path, source),
            None => Error::integrity(format!("the layer {name} in {} cannot be unpacked", self.path.display()))
                .with_source(source)
                .with_hint(DAMAGED),
        };
        let mut tar = layer::decompressed(self.reader(member)).map_err(failed)?;
        let (mut hasher, mut chunk) = (Hasher::new(), vec![0; CHUNK]);
        loop {
            match tar.read(&mut chunk) {
                Ok(0) => return Ok(hasher.finish()),
                Ok(count) => {
                    let within = budget.size(count as u64);
                    within.map_err(|error| Error {
                        message: format!("{}: {}", self.path.display(), error.message),
                        ..error
                    })?;
                    hasher.update(&chunk[..count]);
                }
                Err(source) if source.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(failed(source)),
            }
        }
    }
}
