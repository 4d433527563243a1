//! ocibake builds OCI images from plain files and Dockerfiles, and brings them to registries, layouts and archives.
//!
//! ```text
//!  flags + ocibake.toml ─┐
//!  Dockerfile ───────────┴─► Plan ──► build ──► Store ──► Output ───────────► Release
//!                           (data)   (layers,  (blobs,   (registry, OCI       (tags: plan,
//!                                     images,   local)    layout, archives,    ratchet,
//!                                     index)              root file system)    flip)
//! ```
//!
//! Data flows one way. A front end turns what the user wrote into a [`plan::Plan`] and nothing else; [`build`] writes
//! only to the local store; an [`output`] only reads a store; a [`release`] sets tags, once every output has all of its
//! content. A module uses only modules that stand above it in the list below (`tests/suite/architecture/mod.rs` holds the
//! order).
//!
//! What is never true:
//! - a blob that depends on a clock, host name, locale, thread count, cache or the file system's order;
//! - a name (of a blob, a layout, an archive, a tag) that stands for something half done;
//! - a blob that goes from the local store while a build or a push relies on it;
//! - bytes from elsewhere that are used without their digest checked;
//! - the library printing, reading the environment or touching the terminal: `cli` alone does;
//! - async outside of `net`.

#![warn(missing_docs)]

pub mod error;
pub mod sync;
pub mod oci;
pub mod progress;
pub mod net;
pub mod tree;
pub mod plan;
pub mod layer;
pub mod store;
pub mod registry;
pub mod image;
pub mod source;
pub mod build;
pub mod output;
pub mod release;
pub mod inspect;
pub mod cli;
