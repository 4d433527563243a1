//! Images as documents: read from wherever they are, made of settings and layers, joined to an index, put on another base.

pub mod archive;
mod assemble;
mod join;
mod read;
pub mod rebase;

pub use assemble::{Document, Image, Parts, Step, index};
pub use join::{Member, join};
pub use read::{Existing, Reader, manifest, no_image};
