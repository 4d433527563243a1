//! The layer engine: file-system entries in, a compressed tar with both its digests out, in one pass and on every core.
//!
//! A layer's bytes are a function of its entries and the compression alone: [`write()`] says how.

mod blocks;
mod chain;
mod compress;
mod content;
mod deflate;
mod entry;
mod estargz;
mod ignore;
mod pieces;
mod tar;
mod walk;
mod write;

pub use compress::Compression;
pub use content::{Content, Identity};
pub use entry::{Entry, Kind};
pub use ignore::Ignore;
pub use pieces::{Earlier, Piece};
pub use tar::header;
pub use walk::{inspect, walk};
pub use write::{Job, Written, write};

use crate::oci::{Descriptor, Digest};

/// A finished layer; immutable.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    pub descriptor: Descriptor,
    /// The digest of the uncompressed tar (image-spec, config.md "Layer DiffID").
    pub diff_id: Digest,
}
