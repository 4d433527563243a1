//! The layer engine: file-system entries in, a compressed tar with both its digests out, in one pass and on every core;
//! and back, from layers to the root file system that they make.
//!
//! A layer's bytes are a function of its entries and the compression alone: [`write()`] says how. What comes from
//! elsewhere is read twice: [`read()`] checks all of it and learns what is to be, [`unpack()`] brings that to disk.

mod blocks;
mod chain;
mod change;
mod compress;
mod content;
mod deflate;
mod entry;
mod estargz;
mod field;
mod flatten;
mod ignore;
mod limits;
mod member;
mod pieces;
mod read;
mod survey;
mod tar;
mod target;
mod unpack;
mod walk;
mod write;

pub use change::{Node, Tree, WHITEOUT};
pub use compress::Compression;
pub use content::{Content, Identity};
pub use entry::{Entry, Kind};
pub use flatten::flatten;
pub use ignore::Ignore;
pub use limits::Limits;
pub use member::{Attributes, LONGEST_PATH, Member, Object, Time};
pub use pieces::{Earlier, Piece};
pub use read::{Open, read};
pub use tar::{TRAILER, header};
pub use unpack::{Directories, Unpacked, unpack};
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
