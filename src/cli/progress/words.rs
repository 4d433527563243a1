//! The words that more than one style has for the same thing.

use crate::oci::Digest;
use crate::progress::BlobOutcome;

/// Returns what a layer is called in front of its title.
pub fn layer_title(title: &str) -> String {
    format!("layer {title}")
}

/// Returns what a blob is called: its digest in short.
pub fn blob_title(digest: Digest) -> String {
    format!("blob {}", digest.hex().chars().take(12).collect::<String>())
}

/// Returns what has become of a blob, in a word.
pub fn outcome_word(outcome: BlobOutcome) -> &'static str {
    match outcome {
        BlobOutcome::Sent => "sent",
        BlobOutcome::Written => "written",
        BlobOutcome::Present => "present",
        BlobOutcome::Mounted => "mounted",
    }
}
