//! The ways in which commands are kept apart from the machine, the best one first.

use std::fmt;

use crate::layer::has_one_id;
use crate::plan::Isolation;

/// A way in which commands are kept apart from the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rung {
    /// Namespaces, with all user and group IDs.
    Ids,
    /// Namespaces, in which there is one user and one group.
    SingleId,
    /// No namespaces.
    Chroot,
}

impl Rung {
    /// Returns the one that `isolation` names; none if the best one is to be taken.
    pub fn named(isolation: Isolation) -> Option<Rung> {
        match isolation {
            Isolation::Auto => None,
            Isolation::Ids => Some(Rung::Ids),
            Isolation::SingleId => Some(Rung::SingleId),
            Isolation::Chroot => Some(Rung::Chroot),
        }
    }

    /// Returns whether it is for as many users as there are here.
    pub fn fits(self) -> bool {
        (self == Rung::SingleId) == has_one_id()
    }

    /// Returns its name, as `--isolation` has it.
    pub fn name(self) -> &'static str {
        match self {
            Rung::Ids => "ids",
            Rung::SingleId => "single-id",
            Rung::Chroot => "chroot",
        }
    }
}

impl fmt::Display for Rung {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
