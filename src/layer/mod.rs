//! The layer engine: file-system entries in, a compressed tar with both its digests out, in one pass and on every core;
//! and back, from layers to the root file system that they make.
//!
//! - `walk`, `ignore`: what is on disk, as entries; `entry`, `content`: what they say; `tar`: the headers they become.
//! - `write`: entries to blobs. A layer's bytes are a function of its entries and the compression alone: [`write()`] says how.
//! - `read`: blobs to the tree that they make. What comes from elsewhere is read twice: [`read()`] checks all of it and
//!   learns what is to be,
//! - `unpack`: and [`unpack()`] brings that to disk, or [`flatten()`] into one tar.

mod content;
mod entry;
mod ignore;
mod read;
mod tar;
mod unpack;
mod walk;
mod write;

pub use content::{Content, Identity};
pub use entry::{Entry, Kind};
pub use ignore::Ignore;
pub use read::{Attributes, LONGEST_PATH, Limits, Member, Node, Object, Open, Time, Tree, read};
pub use tar::{TRAILER, header};
pub use unpack::{Directories, Unpacked, flatten, unpack};
pub use walk::{inspect, walk};
pub use write::{Compression, Earlier, Job, Piece, Written, write};

use crate::oci::{Descriptor, Digest};

/// A finished layer; immutable.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    pub descriptor: Descriptor,
    /// The digest of the uncompressed tar (image-spec, config.md "Layer DiffID").
    pub diff_id: Digest,
}
