//! The ways in which commands are run, the best one first.

use std::fmt;

/// A way in which commands are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rung {
    /// With namespaces, and all IDs that the image may name.
    Ids,
    /// With namespaces, and one ID for all.
    SingleId,
    /// In another root directory alone: nothing is mounted, and there are no namespaces.
    Chroot,
}

/// As `--isolation` names it.
impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rung::Ids => "ids",
            Rung::SingleId => "single-id",
            Rung::Chroot => "chroot",
        })
    }
}
