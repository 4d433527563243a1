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

/// What a lock is to a build.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Holding {
    /// Where there is one, all bases of registries are in it.
    #[default]
    Obeyed,
    /// What is not in it comes to it.
    Completed,
    /// What is in it does not count; all that is found comes to it.
    Renewed,
}

impl Pins {
    pub fn new(lock: Option<BaseLock>, holding: Holding) -> Self {
        Pins { lock, holding, is_changed: false }
    }

    /// The digest that `name` is held to, if it is.
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

    pub(super) fn is_refreshing(&self) -> bool {
        self.holding == Holding::Renewed
    }

    /// The lock, if it is another than at first.
    pub(super) fn changed(&self) -> Option<BaseLock> {
        self.lock.clone().filter(|_| self.is_changed)
    }
}
