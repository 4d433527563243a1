//! Names that come to stand for images in registries: which tags a version has, which of them a push moves, in which order
//! they are set once everything is uploaded, and how that is undone.

mod flip;
mod push;
pub mod ratchet;
pub mod record;
pub mod rollback;
mod survey;
pub mod tag;
mod target;
mod write;

pub use push::Release;
pub use survey::Step;
pub use target::Target;
pub use write::{write, write_all};
