//! Device nodes in copies.

use std::io;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode};

use crate::kernel::make_node;

/// What becomes of device nodes in a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Devices {
    /// They are the devices that they are. Those that may not be made are left out.
    Live,
    /// They are nodes that lead to no device, for where nothing else keeps a command from using them.
    Dead,
}

/// The device that a node in a layer stands for, where a dead one stands for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Device {
    pub(super) is_block: bool,
    pub(super) number: u64,
}

impl Device {
    /// The numbers of a device that no driver has.
    pub(super) const NONE: Device = Device { is_block: false, number: 1 };

    pub(super) fn make(self, to: &Path) -> io::Result<()> {
        let kind = if self.is_block { FileType::BlockDevice } else { FileType::CharacterDevice };
        Ok(make_node(CWD, to, kind, Mode::RUSR | Mode::WUSR, self.number)?)
    }
}
