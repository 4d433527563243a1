//! The blob of a layer, held against its diff_id while it passes.

use std::io::{self, Read, Write};

use flate2::write::MultiGzDecoder;
use zstd::stream::write::Decoder;

use super::{Packing, ZSTD_MAGIC, ZSTD_WINDOW, undecompressed};
use crate::layer::Layer;
use crate::oci::Hasher;
use crate::tree::{Budget, Limits, Whole};

/// Reads the blob of a layer and fails in place of the end of file if it does not unpack to the layer's diff_id, or to
/// more than [`Limits`] allow. That the blob is the right one is for the reader within to check.
pub struct LayerReader<R> {
    blob: R,
    layer: Layer,
    /// None once the end was told of.
    unpacking: Option<io::Result<DecodedBlob>>,
}

/// As much as was read, decompressed.
enum DecodedBlob {
    /// Too little to tell what it is.
    Begun(Vec<u8>, CheckedTar),
    Plain(CheckedTar),
    Gzip(Box<MultiGzDecoder<CheckedTar>>),
    Zstd(Decoder<'static, CheckedTar>),
}

struct CheckedTar {
    hasher: Hasher,
    budget: Budget,
}

impl<R: Read> LayerReader<R> {
    /// Returns a reader of `blob`, which is to be that of `layer`; its limits are those of an image with this layer
    /// alone.
    pub fn new(blob: R, layer: &Layer) -> Self {
        let budget = Budget::new(Limits::of(std::slice::from_ref(layer), None), Whole::Image);
        let tar = CheckedTar { hasher: Hasher::new(), budget };
        LayerReader { blob, layer: layer.clone(), unpacking: Some(Ok(DecodedBlob::Begun(Vec::new(), tar))) }
    }
}

impl<R: Read> Read for LayerReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.blob.read(buffer)?;
        if count == 0 && !buffer.is_empty() {
            let Some(unpacking) = self.unpacking.take() else { return Ok(0) };
            let tar = unpacking.and_then(DecodedBlob::finish);
            let tar = tar.map_err(|error| undecompressed(self.layer.descriptor.digest, error))?;
            self.layer.check_diff_id(tar.hasher.finish()).map_err(io::Error::other)?;
        } else if let Some(Ok(unpacking)) = self.unpacking.take_if(|unpacking| unpacking.is_ok()) {
            // Should the blob be another, its reader tells of that at the end, and that is what is wrong.
            self.unpacking = Some(unpacking.fed(&buffer[..count]));
        }
        Ok(count)
    }
}

impl DecodedBlob {
    fn fed(mut self, bytes: &[u8]) -> io::Result<Self> {
        match &mut self {
            DecodedBlob::Begun(head, _) => {
                head.extend_from_slice(bytes);
                if head.len() >= ZSTD_MAGIC.len() {
                    return self.told();
                }
            }
            DecodedBlob::Plain(tar) => tar.write_all(bytes)?,
            DecodedBlob::Gzip(decoder) => decoder.write_all(bytes)?,
            DecodedBlob::Zstd(decoder) => decoder.write_all(bytes)?,
        }
        Ok(self)
    }

    /// By its first bytes, as for whoever unpacks it.
    fn told(self) -> io::Result<Self> {
        let DecodedBlob::Begun(head, tar) = self else { return Ok(self) };
        let unpacking = match Packing::of(&head) {
            Packing::Gzip => DecodedBlob::Gzip(Box::new(MultiGzDecoder::new(tar))),
            Packing::Zstd => {
                let mut decoder = Decoder::new(tar)?;
                decoder.window_log_max(ZSTD_WINDOW)?;
                DecodedBlob::Zstd(decoder)
            }
            Packing::None => DecodedBlob::Plain(tar),
        };
        unpacking.fed(&head)
    }

    fn finish(self) -> io::Result<CheckedTar> {
        match self.told()? {
            DecodedBlob::Begun(_, tar) | DecodedBlob::Plain(tar) => Ok(tar),
            DecodedBlob::Gzip(decoder) => decoder.finish(),
            DecodedBlob::Zstd(mut decoder) => {
                decoder.flush()?;
                Ok(decoder.into_inner())
            }
        }
    }
}

impl Write for CheckedTar {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hasher.update(bytes);
        self.budget.size(bytes.len() as u64).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
