//! This module has images as documents: it reads them from wherever they are, makes them of settings and layers, joins them
//! to an index and puts them on another base.

pub mod archive;
mod assemble;
mod choose;
mod inline;
mod join;
mod read;
pub mod rebase;

pub use assemble::{Document, HistoryStep, Image, Parts, index};
pub use choose::choose;
pub use inline::{InlineStep, inline_steps};
pub use join::{IndexMember, join, list};
pub use read::{Existing, Reader, manifest, no_image};
