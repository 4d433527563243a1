//! A graph into a repository (distribution-spec, "Push"): blobs, then the manifests that name them, then the tags.
//!
//! ```text
//!  manifest there? ──► what it names is there, too
//!  blob: there? ─► mount ─► POST ─► PUT      refused: POST ─► PATCH, PATCH, … ─► PUT
//!                                            cut off: GET ─► PATCH the rest ─► PUT, or anew
//! ```
//!
//! A blob is mounted from where this process knows it to be, else from where its store does: see
//! [`Store::repositories`](crate::store::Store::repositories).

mod blob;
mod content;
mod document;
mod manifest;
mod session;
mod upload;

pub(crate) use content::StreamedContent;
