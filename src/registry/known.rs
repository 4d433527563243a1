//! What pushes have found out about a registry, for those that come after them.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::net::StatusCode;
use crate::oci::Digest;
use crate::sync::locked;

/// In bytes: what GHCR takes at the most, and what all take that take chunks of any size.
const USUAL_CHUNK: u64 = 4 << 20;
/// Behind a limit that is lower still nothing can be done.
const SMALLEST_CHUNK: u64 = 64 << 10;

/// In which requests the bytes of a blob go up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum UploadForm {
    /// All in one PUT (distribution-spec, "Pushing a blob monolithically").
    #[default]
    Whole,
    /// In PATCHes of so many bytes ("Pushing a blob in chunks").
    Chunks(u64),
}

impl UploadForm {
    /// Returns what to try after `self` was refused with `status` by a registry that wants chunks of at least `least`
    /// bytes: a limit calls for smaller chunks, anything else may mean that they are too small.
    pub fn after(self, status: StatusCode, least: u64) -> Option<UploadForm> {
        let size = match self {
            UploadForm::Whole => USUAL_CHUNK.max(least),
            UploadForm::Chunks(size) if status == StatusCode::PAYLOAD_TOO_LARGE && size <= USUAL_CHUNK => size / 4,
            UploadForm::Chunks(USUAL_CHUNK) if status != StatusCode::PAYLOAD_TOO_LARGE => 4 * USUAL_CHUNK,
            UploadForm::Chunks(_) => return None,
        };
        (size >= least.max(SMALLEST_CHUNK)).then_some(UploadForm::Chunks(size))
    }
}

/// The repositories of a registry that have one blob by now. Held while it goes to one of them, so that what is in
/// flight is not sent to another as well.
type Places = Arc<Mutex<Vec<String>>>;

#[derive(Default)]
pub(super) struct Known {
    form: Mutex<UploadForm>,
    /// Set once the registry has passed over the tags of a manifest that was put by its digest.
    pub(super) ignores_tags: Flag,
    /// Held while a list of referrers is read and written: of two at once one would get lost.
    pub(super) referrers: Mutex<()>,
    places: Mutex<HashMap<Digest, Places>>,
    /// The pairs of repositories of which the first gets nothing from the second.
    apart: Mutex<HashSet<(String, String)>>,
}

impl Known {
    pub(super) fn form(&self) -> UploadForm {
        *locked(&self.form)
    }

    pub(super) fn set_form(&self, form: UploadForm) {
        *locked(&self.form) = form;
    }

    pub(super) fn places(&self, digest: Digest) -> Places {
        locked(&self.places).entry(digest).or_default().clone()
    }

    /// Returns whether the registry has refused to let the repository `to` have anything from the repository `from`.
    pub(super) fn are_apart(&self, to: &str, from: &str) -> bool {
        locked(&self.apart).contains(&(to.to_owned(), from.to_owned()))
    }

    pub(super) fn set_apart(&self, to: &str, from: &str) {
        locked(&self.apart).insert((to.to_owned(), from.to_owned()));
    }
}

#[derive(Default)]
pub(super) struct Flag(AtomicBool);

impl Flag {
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(statuses: impl Fn(u64) -> u16, least: u64) -> Vec<u64> {
        let mut sizes = Vec::new();
        let mut form = UploadForm::Whole.after(StatusCode::PAYLOAD_TOO_LARGE, least);
        while let Some(UploadForm::Chunks(size)) = form {
            sizes.push(size);
            form = UploadForm::Chunks(size).after(StatusCode::from_u16(statuses(size)).unwrap(), least);
        }
        sizes
    }

    #[test]
    fn chunks_shrink_below_a_limit_and_grow_above_a_minimum() {
        const MIB: u64 = 1 << 20;
        assert_eq!(tried(|_| 413, 0), [4 * MIB, MIB, MIB / 4, MIB / 16]);
        assert_eq!(tried(|_| 416, 0), [4 * MIB, 16 * MIB]);
        assert_eq!(tried(|size| if size > 4 * MIB { 413 } else { 400 }, 0), [4 * MIB, 16 * MIB]);
        assert_eq!(tried(|_| 413, 5 * MIB), [5 * MIB]);
        assert_eq!(tried(|_| 413, 2 * MIB), [4 * MIB]);
    }
}
