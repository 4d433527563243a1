//! What the lock says about the bases of a build, and what it is to say.

use crate::error::{Error, Result};
use crate::oci::{Digest, Reference};
use crate::plan::BaseLock;

/// The lock, and what becomes of it.
#[derive(Debug, Clone, Default)]
pub struct Pins {
    lock: Option<BaseLock>,
    holding: Holding,
    is_changed: bool,
}

/// The authority that a lock has over a build.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Holding {
    /// All bases of registries are in the lock, where there is one.
    #[default]
    Obeyed,
    /// Bases that are not in the lock come to it.
    Completed,
    /// The lock does not count; all bases that are found come to it.
    Renewed,
}

impl Pins {
    /// Returns the pins of `lock`, which `holding` gives its authority.
    pub fn new(lock: Option<BaseLock>, holding: Holding) -> Self {
        Pins { lock, holding, is_changed: false }
    }

    /// Returns the digest that `name` is held to; none if nothing holds it. Fails if it should be in the lock, and is
    /// not.
    pub(super) fn get(&self, name: &Reference) -> Result<Option<Digest>> {
        let (Some(lock), Holding::Obeyed | Holding::Completed) = (&self.lock, self.holding) else { return Ok(None) };
        match lock.get(name) {
            None if self.holding == Holding::Obeyed => Err(Error::input(format!("the base {name} is not locked"))
                .with_hint("--lock adds it to ocibake.lock, as what it stands for now")),
            pinned => Ok(pinned),
        }
    }

    /// Takes it that `name` stands for `digest`.
    pub(super) fn put(&mut self, name: &Reference, digest: Digest) {
        let is_known = self.lock.as_ref().is_some_and(|lock| lock.get(name) == Some(digest));
        if self.holding != Holding::Obeyed && !is_known {
            self.lock.get_or_insert_default().insert(name, digest);
            self.is_changed = true;
        }
    }

    /// Returns whether the lock does not count, and is written anew.
    pub(super) fn is_refreshing(&self) -> bool {
        self.holding == Holding::Renewed
    }

    /// Returns the lock; none if it is as it was at first.
    pub(super) fn changed(&self) -> Option<BaseLock> {
        self.lock.clone().filter(|_| self.is_changed)
    }
}
