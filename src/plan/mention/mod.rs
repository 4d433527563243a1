//! The images that Kubernetes manifests, kustomizations and Helm values name, and the same texts with digests instead of tags.
//!
//! A [`MentionText`] is a file of YAML or JSON documents. Nothing of it is written anew: a digest takes the place of just the
//! bytes that said a tag, and everything else (comments, order, quotation marks, anchors) stays as it is.

mod find;
mod known;
mod yaml;

pub use find::{ImageMention, MentionText};
pub use known::KnownImages;
