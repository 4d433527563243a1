//! The manifests of a graph.

use crate::oci::Descriptor;

/// A manifest or an index, and its bytes.
pub(super) type ManifestBytes = (Descriptor, Vec<u8>);
