//! This module lets tags stand for images in registries: it knows which tags a version has and which of them a push moves,
//! sets them once everything is uploaded, and undoes that.

mod flip;
mod push;
pub mod ratchet;
pub mod record;
pub mod rollback;
mod survey;
pub mod tag;
mod target;
mod together;
mod write;

pub use push::Release;
pub use survey::TagStep;
pub use target::ReleaseTarget;
pub use together::{PushedImage, push_together};
pub use write::{write, write_all};
