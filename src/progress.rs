//! What a running build or push says of itself. The library only calls back; whoever called it decides what to show.

use std::time::Duration;

use crate::oci::{Descriptor, Digest, Reference};

/// Called from many threads at once and in no promised order between different layers and blobs.
pub type Progress<'a> = &'a (dyn Fn(Event<'_>) + Sync);

#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// `layer` numbers the layers of one build; `size` is that of the tar, in bytes. A layer starts twice if it was
    /// looked for among those of earlier images, and not found.
    LayerStarted {
        layer: usize,
        title: &'a str,
        size: u64,
    },
    /// `bytes` more of the tar are hashed and compressed.
    LayerAdvanced {
        layer: usize,
        bytes: u64,
    },
    LayerFinished {
        layer: usize,
        descriptor: &'a Descriptor,
    },
    /// A layer was made by an earlier build, from what still looks the same.
    LayerKnown {
        title: &'a str,
        descriptor: &'a Descriptor,
    },
    /// A layer that had started is taken from the image `from`, which has the same one.
    LayerTaken {
        layer: usize,
        title: &'a str,
        descriptor: &'a Descriptor,
        from: &'a str,
    },
    /// A blob of `descriptor.size` bytes begins to move.
    BlobStarted {
        descriptor: &'a Descriptor,
    },
    BlobAdvanced {
        digest: Digest,
        bytes: u64,
    },
    /// What had advanced is void: the far side has the first `from` bytes, and the blob goes on from there.
    BlobRestarted {
        digest: Digest,
        from: u64,
    },
    BlobFinished {
        digest: Digest,
        outcome: BlobOutcome,
    },
    /// An output on disk is complete.
    OutputWritten {
        output: &'a str,
    },
    /// What becomes of a tag of a release, before any is set; `change` is in words.
    TagPlanned {
        name: &'a str,
        change: &'a str,
    },
    /// An index or manifest now stands under this tag (or digest) in the repository.
    ManifestPushed {
        repository: &'a Reference,
        name: &'a str,
        digest: Digest,
    },
    /// A request failed in a way that may pass; it is made again after `wait`.
    Retrying {
        request: &'a str,
        reason: &'a str,
        wait: Duration,
    },
    Warning {
        message: &'a str,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlobOutcome {
    /// To a registry.
    Sent,
    /// To a file.
    Written,
    /// The far side had it.
    Present,
    /// The far side had it in another repository.
    Mounted,
}

/// For callers that want no news.
pub fn silent(_: Event<'_>) {}
