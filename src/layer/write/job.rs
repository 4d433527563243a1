//! What is to be written, and what has become of it.

use std::path::Path;
use std::sync::Arc;

use super::pieces::{Earlier, Piece};
use crate::oci::{Digest, Map};
use crate::tree::Entry;

/// One layer to write.
pub struct Job<'a, W> {
    /// For progress, as is the title.
    pub number: usize,
    /// The name of the layer's step, for people.
    pub title: &'a str,
    /// Sorted by path, each path once, parents before children, a hard link after its target.
    pub entries: Arc<Vec<Entry>>,
    /// Takes the blob.
    pub sink: W,
    /// For errors: where the sink leads.
    pub destination: &'a Path,
    /// A layer of the same compression that may have some of the blocks already.
    pub earlier: Option<Earlier>,
}

/// The outcome of a job.
#[derive(Debug)]
pub struct Written<W> {
    /// The sink, which has taken all of the blob.
    pub sink: W,
    /// The digest of the tar.
    pub diff_id: Digest,
    /// The digest of the blob.
    pub digest: Digest,
    /// The size of the blob, in bytes.
    pub size: u64,
    /// The annotations that the blob's descriptor has to have, for readers to make use of its form.
    pub annotations: Map<String>,
    /// The blob's blocks that are worth taking over, in their order; none if they are not compressed.
    pub pieces: Vec<Piece>,
}
