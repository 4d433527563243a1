//! The layer engine: file-system entries in, a compressed tar with both its digests out, in one pass and on every core;
//! and back, from layers to the root file system that they make.
//!
//! - `tar`: the headers that entries become; `whiteout`: the entries that tell of removals.
//! - `write`: entries to blobs. A layer's bytes are a function of its entries and the compression alone: [`Writer`] says how.
//! - `read`: blobs to the file system that they make, all digests checked.
//! - `unpack`: that file system on disk. [`unpack_all()`] reads layers once and brings them to disk meanwhile; where what is to be is
//!   known already, [`unpack()`] brings that to disk, and [`flatten()`] into one tar.
//! - `lower`: changes as directories that overlayfs is mounted of; `upper`: changes that were made in what is mounted;
//!   `stack`: what such directories hold together, `same`: what in them is not a change, and `standing`: the same as a copy, for where overlayfs is not to
//!   be had; `kept`: the owners of files where all files have one; `kept_tree`: what is in a directory that commands keep.

mod kept;
mod kept_tree;
mod lower;
mod read;
mod same;
mod stack;
mod standing;
mod tar;
mod unpack;
mod upper;
mod whiteout;
mod write;

pub use kept::{CAPABILITY, Device, KEPT_LENGTH, KEPT_PREFIX, Kept, OWNER, has_one_id, keep_owners_in, with_kept};
pub use kept_tree::kept_tree;
pub use lower::{lower, lowest, take_whiteouts};
pub use read::{
    Extent, GZIP_MAGIC, LayerReader, Member, Open, Overlay, WHITEOUT, ZSTD_MAGIC, ZSTD_SKIPPABLE, ZSTD_WINDOW,
    decompressed, is_header, media_type_of, read, read_archive, read_members, threads_for_each,
};
pub use stack::{can_make_whiteouts, hide};
pub use standing::{Devices, StandingRoot, copy, files_of, link, outlast, replace_by_copy, settle_as};
pub use tar::{RECORD, TRAILER, WINDOWS_ATTRIBUTES, WINDOWS_CREATED, WINDOWS_SECURITY};
pub use unpack::{Directories, Owners, Staged, Unpacked, extract, flatten, stage, unpack, unpack_all};
pub use upper::{Provided, upper};
pub use whiteout::with_whiteouts;
pub use write::{Compression, Earlier, Job, Piece, Writer, Written};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::oci::{Descriptor, Digest};

/// With more threads than this a layer hardly gets done any sooner: the digests of the tar and of the blob are each
/// computed by one at a time. And each costs memory, 4 MiB or so, for it has blocks of a layer in hand.
pub const USUAL_THREADS: usize = 16;

/// Returns how many threads `jobs` stands for: 0 is one for each core, up to [`USUAL_THREADS`].
pub fn threads(jobs: usize) -> usize {
    match jobs {
        0 => std::thread::available_parallelism().map_or(1, usize::from).min(USUAL_THREADS),
        jobs => jobs,
    }
}

/// A finished layer; immutable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Layer {
    /// The compressed blob, as a manifest lists it.
    pub descriptor: Descriptor,
    /// The digest of the uncompressed tar (image-spec, config.md "Layer DiffID").
    pub diff_id: Digest,
}

impl Layer {
    /// Returns the layers of an image, the lowest first: those that its manifest lists, each with its diff_id in the config.
    pub fn all(manifest: Digest, layers: Vec<Descriptor>, diff_ids: Vec<Digest>) -> Result<Vec<Layer>> {
        let (listed, named) = (layers.len(), diff_ids.len());
        if listed != named {
            return Err(Error::integrity(format!(
                "the manifest {manifest} has {listed} layers, but its config has {named} diff_ids"
            )));
        }
        let layers = layers.into_iter().zip(diff_ids);
        Ok(layers.map(|(descriptor, diff_id)| Layer { descriptor, diff_id }).collect())
    }

    /// Fails unless `actual`, the digest of the tar in its blob, is its diff_id.
    pub fn check_diff_id(&self, actual: Digest) -> Result<()> {
        if actual == self.diff_id {
            return Ok(());
        }
        let Layer { descriptor, diff_id } = self;
        let message =
            format!("layer {} unpacks to {actual}, not to the {diff_id} of the image's config", descriptor.digest);
        Err(Error::integrity(message).with_hint("the image was assembled wrongly: fetch or build it again"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layer_has_one_diff_id() {
        let [one, two, tar] = [b"one", b"two", b"tar"].map(|content| Descriptor::of("any", content));
        let layers = Layer::all(tar.digest, vec![one.clone(), two.clone()], vec![two.digest, one.digest]).unwrap();
        let expected = [(&one, two.digest), (&two, one.digest)];
        assert_eq!(layers.iter().map(|layer| (&layer.descriptor, layer.diff_id)).collect::<Vec<_>>(), expected);
        for diff_ids in [vec![], vec![one.digest], vec![one.digest; 3]] {
            let says = format!("2 layers, but its config has {} diff_ids", diff_ids.len());
            let error = Layer::all(tar.digest, vec![one.clone(), two.clone()], diff_ids).unwrap_err();
            assert!(error.message.contains(&says), "{error:?}");
        }
    }
}
