//! The ways to run a command, the best one first.

use crate::layer::has_one_id;

/// A way to run commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rung {
    /// In namespaces, with many ids: files have the owners that they are given.
    Ids,
    /// In namespaces of a user namespace with one id: a supervisor keeps the owners, and tells of them.
    SingleId,
}

impl Rung {
    /// Returns the way that the user namespace of this program leaves.
    pub fn here() -> Rung {
        if has_one_id() { Rung::SingleId } else { Rung::Ids }
    }
}
