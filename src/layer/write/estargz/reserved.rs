//! The files that the format puts into a layer, and the refusal of entries in their places.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::tree::{Attributes, Content, Entry, Kind};

/// The TOC's path in the layer.
pub const TOC_NAME: &str = "stargz.index.json";

/// Says that no file is to be fetched before it is asked for ("Prioritized Files and Landmark Files").
pub const LANDMARK: &str = ".no.prefetch.landmark";
pub const LANDMARK_CONTENT: &[u8] = &[0x0f];

/// Says that what stands before it is to be fetched at once. We write none, and nobody else is to.
const PREFETCH_LANDMARK: &str = ".prefetch.landmark";

/// Returns the landmark.
pub fn landmark_entry() -> Entry {
    file(LANDMARK, LANDMARK_CONTENT)
}

/// Returns a file of the format's own at `path`.
pub fn file(path: &str, content: impl Into<Arc<[u8]>>) -> Entry {
    let kind = Kind::File(Content::Bytes(content.into()));
    Entry { path: path.into(), kind, attributes: Attributes { mode: 0o644, ..Attributes::implied() } }
}

/// Fails for an entry that would be taken for a part of the format, and for one that its JSON cannot hold.
pub fn check(entries: &[Entry]) -> Result<()> {
    for entry in entries {
        let path = String::from_utf8_lossy(&entry.path);
        if [TOC_NAME, LANDMARK, PREFETCH_LANDMARK].contains(&&*path) {
            return Err(Error::input(format!("`{path}` at the root of a layer has a meaning of its own in eStargz"))
                .with_hint("exclude it, or choose another compression"));
        }
        let target = match &entry.kind {
            Kind::Symlink { target } | Kind::HardLink { target } => &target[..],
            _ => &[],
        };
        if std::str::from_utf8(&entry.path).and(std::str::from_utf8(target)).is_err() {
            return Err(Error::input(format!(
                "the name or the target of `{path}` is not UTF-8, which eStargz requires"
            ))
            .with_hint("rename it, or choose another compression"));
        }
    }
    Ok(())
}
