//! A [`Record`] says what a push did to tags, and how to undo it.

use serde::{Deserialize, Serialize};

use crate::oci::{Descriptor, Digest};

/// The tags of one push, in the order in which it sets them. Written before the first of them is set, so that a push
/// that ends in the middle can be undone, too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// True once all of them are set.
    pub complete: bool,
    /// In the order in which they are set.
    pub tags: Vec<RecordedTag>,
}

/// A tag of a push, and what it stood for before and after.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordedTag {
    /// `registry/repository`.
    pub repository: String,
    /// The tag alone.
    pub tag: String,
    /// [`TagChange::word`](super::ratchet::TagChange::word).
    pub change: String,
    /// The image that it stood for; none if there was no such tag.
    pub before: Option<Descriptor>,
    /// The image that it stands for once the record is complete.
    pub after: Option<Descriptor>,
}

/// The outcome for a tag when a push is undone.
#[derive(Debug, Clone, PartialEq)]
pub enum Return {
    /// The push did not change it.
    Unchanged,
    /// It stands for what it stood for before already.
    Done,
    /// It returns to this.
    Back(Descriptor),
    /// It was new, and nothing is deleted in a registry.
    New,
    /// It was new, and is gone.
    Gone,
    /// It stands for this, which the push did not set, or for nothing.
    Elsewhere(Option<Digest>),
}

impl Record {
    /// Takes over what a tag stood for before an `earlier` push of the same image set it, and before one that has not
    /// completed, whatever it pushed: a push that is repeated leaves a record that undoes all of it.
    pub fn carry_over(&mut self, earlier: &Record) {
        let digest = |descriptor: &Option<Descriptor>| descriptor.as_ref().map(|descriptor| descriptor.digest);
        for tag in &mut self.tags {
            let set_by = |other: &&RecordedTag| {
                (&other.repository, &other.tag) == (&tag.repository, &tag.tag)
                    && digest(&other.after) == digest(&tag.before)
                    && digest(&other.after) != digest(&other.before)
            };
            let counts = match tag.change.as_str() {
                "same" => true,
                "moves" => !earlier.complete,
                _ => false,
            };
            if let Some(other) = earlier.tags.iter().find(set_by).filter(|_| counts) {
                (tag.before, tag.change) = (other.before.clone(), other.change.clone());
            }
        }
    }
}

impl RecordedTag {
    /// Returns how to undo what was done to this tag, which stands for `now`.
    pub fn back(&self, now: Option<Digest>) -> Return {
        let digest = |descriptor: &Option<Descriptor>| descriptor.as_ref().map(|descriptor| descriptor.digest);
        let (before, after) = (digest(&self.before), digest(&self.after));
        match &self.before {
            _ if before == after => Return::Unchanged,
            None if now.is_none() => Return::Gone,
            None if now == after => Return::New,
            Some(_) if now == before => Return::Done,
            Some(before) if now == after => Return::Back(before.clone()),
            _ => Return::Elsewhere(now),
        }
    }
}
