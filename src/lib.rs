//! ocibake builds OCI images from plain files and brings them to registries, layouts and archives.
//!
//! ```text
//!  flags + ocibake.toml ──► Plan ──► build ──► Store ──► Output
//!                          (data)   (layers,  (blobs,   (registry, OCI layout,
//!                                    images,   local)    OCI archive, docker archive)
//!                                    index)
//! ```
//!
//! Data flows one way, and a module uses only modules that stand above it in this list (`tests/suite/architecture.rs`
//! holds the order):
pub mod error;
pub mod oci;
pub mod progress;
pub mod registry;
pub mod store;
