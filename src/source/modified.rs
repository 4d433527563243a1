//! The time that the files of layers carry.

use crate::oci::Encode;

/// The time that the files of layers carry unless another is asked for: 1980-01-01T00:00:00Z in seconds since the epoch, the
/// first that a zip archive can hold. It depends on no commit and no clock, so an unchanged directory is the same layer in
/// every release.
pub const FILES_TIME: i64 = 315_532_800;

/// The time that entries carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Modified {
    /// All the same, in seconds since the epoch.
    At(i64),
    /// The time on disk, in whole seconds. What has no time of its own, such as a directory made on the way, has
    /// [`FILES_TIME`].
    Preserve,
}

impl Default for Modified {
    fn default() -> Self {
        Modified::At(FILES_TIME)
    }
}

impl Modified {
    /// Returns the time of what is made and comes from nowhere, in seconds since the epoch.
    pub fn of_made(self) -> i64 {
        match self {
            Modified::At(time) => time,
            Modified::Preserve => FILES_TIME,
        }
    }
}

impl Encode for Modified {
    fn encode(&self, to: &mut Vec<u8>) {
        match self {
            Modified::At(time) => Some(*time).encode(to),
            Modified::Preserve => None::<i64>.encode(to),
        }
    }
}
