//! The words that more than one style has for the same thing.

use crate::oci::Digest;
use crate::progress::BlobOutcome;

pub fn layer_title(title: &str) -> String {
    format!("layer {title}")
}

pub fn blob_title(digest: Digest) -> String {
    format!("blob {}", digest.hex().chars().take(12).collect::<String>())
}

pub fn outcome_word(outcome: BlobOutcome) -> &'static str {
    match outcome {
        BlobOutcome::Sent => "sent",
        BlobOutcome::Written => "written",
        BlobOutcome::Present => "present",
        BlobOutcome::Mounted => "mounted",
    }
}
