//! What the systems that this program runs on do each in their own way: calls that only one of them has, and numbers that are
//! not as wide on each. A file for each system has the same functions, which keep the same promises.
//!
//! What only the sandbox of commands wants of Linux is not here but in [`run`](crate::run).

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "macos")]
mod macos;
mod number;

#[cfg(target_os = "linux")]
use linux as system;
#[cfg(target_os = "macos")]
use macos as system;

pub use number::{changed, device, device_of, mode, mode_of, modified};
pub use system::{
    Found, PLACE, copy_range, for_each_name, id_maps, is_open_file, make_node, open_at_once, open_by_path,
    open_terminal, own_program, rename_new, set_xattr_of_other, share_blocks, spare_file,
};

use rustix::fs::FileType;

/// What tells an object from another, and from what it was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectMark {
    /// What it is.
    pub kind: FileType,
    /// Its number in its file system.
    pub inode: u64,
    /// The number of its names.
    pub links: u32,
    /// In bytes.
    pub size: u64,
    /// What it stands for if it is a device.
    pub device: u64,
    /// When it was made, as far as the file system knows. Here and below: seconds and nanoseconds.
    pub born: (i64, u32),
    /// When it was last changed in any way, which programs cannot choose.
    pub changed: (i64, u32),
    /// When its content was last changed, as programs may have set it.
    pub modified: (i64, u32),
}
