//! What is found out once.

use std::sync::{Mutex, OnceLock};

use crate::sync::locked;

/// A value that is found out when it is first asked for; who asks meanwhile waits. What has failed is tried anew at the next
/// question.
pub(super) struct Once<T> {
    value: OnceLock<T>,
    finding: Mutex<()>,
}

impl<T> Once<T> {
    pub fn new() -> Self {
        Once { value: OnceLock::new(), finding: Mutex::new(()) }
    }

    /// Returns the value if it is known.
    pub fn get(&self) -> Option<&T> {
        self.value.get()
    }

    /// Returns the value, which `find` finds out if it is not known.
    pub fn get_or_find<E>(&self, find: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        if let Some(known) = self.value.get() {
            return Ok(known);
        }
        let _alone = locked(&self.finding);
        match self.value.get() {
            Some(known) => Ok(known),
            None => find().map(|found| self.value.get_or_init(|| found)),
        }
    }
}

impl<T> From<T> for Once<T> {
    fn from(known: T) -> Self {
        Once { value: OnceLock::from(known), finding: Mutex::new(()) }
    }
}
