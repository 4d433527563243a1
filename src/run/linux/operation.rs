//! What is done to make the root, as a list.

use std::ffi::{CStr, CString};
use std::fmt;
use std::os::fd::OwnedFd;

use rustix::mount::MountAttrFlags;
use rustix::process::{Gid, Uid};

/// One thing that is done. The paths of targets are absolute in the root.
pub(super) enum Operation {
    /// Registers an emulator, once the users of the namespace are told.
    Emulate { program: OwnedFd, text: CString, ready: OwnedFd },
    /// Stacks directories, and mounts them over the upper one. Without lower ones, mounts that over itself.
    Root {
        /// The topmost first.
        lowers: Vec<CString>,
        upper: CString,
        work: CString,
        attributes: MountAttrFlags,
    },
    /// Writes a file in the root, in place of what is there.
    Provide { directory: CString, name: CString, content: Vec<u8> },
    /// Mounts a new file system.
    Mount {
        filesystem: &'static CStr,
        options: Vec<(&'static CStr, CString)>,
        attributes: MountAttrFlags,
        target: CString,
        /// What later operations know it as.
        name: Option<Known>,
    },
    /// Mounts what this machine has at a path, with all that is mounted there, at the same path.
    Share { path: &'static CStr, attributes: MountAttrFlags, name: Known },
    /// Makes the device nodes in [`Known::Devices`]; no others can be used there.
    Devices { attributes: MountAttrFlags },
    /// Makes a link in [`Known::Devices`].
    Link { name: &'static CStr, target: &'static CStr },
    /// Hides what is at a path, if something is.
    Mask { within: Known, path: &'static CStr },
    /// Keeps what is at a path from being written to, if something is.
    ReadOnly { within: Known, path: &'static CStr },
    /// Mounts what was opened.
    Bind { tree: OwnedFd, is_directory: bool, attributes: MountAttrFlags, target: CString },
    /// Mounts a directory that was opened, below one in memory that takes all writes.
    Discard { tree: OwnedFd, attributes: MountAttrFlags, target: CString },
    /// Mounts a file in memory.
    File { content: Vec<u8>, mode: u32, user: u32, group: u32, attributes: MountAttrFlags, target: CString },
    /// Makes a directory if it is missing, and those on the way to it.
    Directory { path: CString, user: Uid, group: Gid },
}

/// A file system that later operations work in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// `/proc`
    Processes,
    /// `/dev`
    Devices,
    /// `/sys`
    Kernel,
}

/// The nodes in `/dev`, with their numbers.
pub(super) const NODES: [(&CStr, u32, u32); 6] =
    [(c"null", 1, 3), (c"zero", 1, 5), (c"full", 1, 7), (c"random", 1, 8), (c"urandom", 1, 9), (c"tty", 5, 0)];

/// The links in `/dev`.
pub(super) const LINKS: [(&CStr, &CStr); 6] = [
    (c"fd", c"/proc/self/fd"),
    (c"stdin", c"/proc/self/fd/0"),
    (c"stdout", c"/proc/self/fd/1"),
    (c"stderr", c"/proc/self/fd/2"),
    (c"core", c"/proc/kcore"),
    (c"ptmx", c"pts/ptmx"),
];

/// What containerd hides, and docker with it.
pub(super) const MASKED: [(Known, &CStr); 12] = [
    (Known::Processes, c"acpi"),
    (Known::Processes, c"asound"),
    (Known::Processes, c"interrupts"),
    (Known::Processes, c"kcore"),
    (Known::Processes, c"keys"),
    (Known::Processes, c"latency_stats"),
    (Known::Processes, c"timer_list"),
    (Known::Processes, c"timer_stats"),
    (Known::Processes, c"sched_debug"),
    (Known::Processes, c"scsi"),
    (Known::Kernel, c"firmware"),
    (Known::Kernel, c"devices/virtual/powercap"),
];

const READ_ONLY: [&CStr; 5] = [c"bus", c"fs", c"irq", c"sys", c"sysrq-trigger"];

const SHM_SIZE: u64 = 64 << 20;

/// What no mount in the root has unless it is asked for.
pub(super) const CLOSED: MountAttrFlags =
    MountAttrFlags::MOUNT_ATTR_NOSUID.union(MountAttrFlags::MOUNT_ATTR_NODEV).union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

/// Adds the file systems that every process has. Where it is `insecure` nothing is hidden or kept from being written to.
pub(super) fn add_system(operations: &mut Vec<Operation>, shm_size: Option<u64>, insecure: bool) {
    let none = Vec::new;
    let mount = |filesystem, target: &CStr, options, attributes, name| Operation::Mount {
        filesystem,
        options,
        attributes,
        target: target.to_owned(),
        name,
    };
    operations.push(mount(c"proc", c"/proc", none(), CLOSED, Some(Known::Processes)));
    let options = vec![(c"mode", c"755".to_owned()), (c"size", c"65536k".to_owned())];
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_STRICTATIME;
    operations.push(mount(c"tmpfs", c"/dev", options, attributes, Some(Known::Devices)));
    let attributes = if insecure { MountAttrFlags::empty() } else { MountAttrFlags::MOUNT_ATTR_NODEV };
    operations.push(Operation::Devices { attributes });
    operations.extend(LINKS.map(|(name, target)| Operation::Link { name, target }));
    let options = vec![(c"ptmxmode", c"666".to_owned()), (c"mode", c"620".to_owned()), (c"gid", c"5".to_owned())];
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    operations.push(mount(c"devpts", c"/dev/pts", options, attributes, None));
    let options = vec![(c"mode", c"1777".to_owned()), (c"size", number(shm_size.unwrap_or(SHM_SIZE)))];
    operations.push(mount(c"tmpfs", c"/dev/shm", options, CLOSED, None));
    operations.push(mount(c"mqueue", c"/dev/mqueue", none(), CLOSED, None));
    let read_only = if insecure { MountAttrFlags::empty() } else { MountAttrFlags::MOUNT_ATTR_RDONLY };
    operations.push(mount(c"sysfs", c"/sys", none(), CLOSED | read_only, Some(Known::Kernel)));
    if !insecure {
        operations.extend(MASKED.map(|(within, path)| Operation::Mask { within, path }));
        operations.extend(READ_ONLY.map(|path| Operation::ReadOnly { within: Known::Processes, path }));
    }
}

/// Has the command find this machine's own processes in `/proc`, and no others.
pub(super) fn share_processes(operations: &mut [Operation]) {
    for operation in operations {
        if let Operation::Mount { attributes, name: Some(name @ Known::Processes), .. } = *operation {
            *operation = Operation::Share { path: c"/proc", attributes, name };
        }
    }
}

/// Returns `number` in digits.
pub(super) fn number(number: u64) -> CString {
    CString::new(number.to_string()).unwrap_or_default()
}

impl Operation {
    /// Returns the directories that may have to be made for it, at most, if none of them is a link.
    pub(super) fn depth(&self) -> usize {
        let names = |path: &CStr| path.to_bytes().iter().filter(|byte| **byte == b'/').count() + 1;
        match self {
            Operation::Provide { directory, .. } => names(directory),
            Operation::Share { path, .. } => names(path),
            Operation::Mount { target, .. }
            | Operation::Bind { target, .. }
            | Operation::Discard { target, .. }
            | Operation::File { target, .. } => names(target),
            _ => 0,
        }
    }
}

/// Completes "cannot …".
impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |path: &CStr| path.to_string_lossy().into_owned();
        match self {
            Operation::Emulate { .. } => write!(f, "register the emulator for the command"),
            Operation::Root { lowers, upper, .. } if lowers.is_empty() => {
                write!(f, "mount the directory {} over itself", text(upper))
            }
            Operation::Root { upper, .. } => write!(f, "mount an overlay with the changes in {}", text(upper)),
            Operation::Provide { directory, name, .. } => {
                write!(f, "write {}/{} for the command", text(directory), text(name))
            }
            Operation::Mount { filesystem, target, .. } => {
                write!(f, "mount a {} at {} for the command", text(filesystem), text(target))
            }
            Operation::Share { path, .. } => write!(f, "mount this program's own {} for the command", text(path)),
            Operation::Devices { .. } => write!(f, "make the devices in /dev for the command"),
            Operation::Link { name, .. } => write!(f, "make the link /dev/{} for the command", text(name)),
            Operation::Mask { within, path } => write!(f, "hide {within}/{} from the command", text(path)),
            Operation::ReadOnly { within, path } => write!(f, "make {within}/{} read-only for the command", text(path)),
            Operation::Bind { target, .. } | Operation::Discard { target, .. } | Operation::File { target, .. } => {
                write!(f, "mount what the command is to find at {}", text(target))
            }
            Operation::Directory { path, .. } => write!(f, "make the working directory {}", text(path)),
        }
    }
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Known::Processes => "/proc",
            Known::Devices => "/dev",
            Known::Kernel => "/sys",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(shm_size: Option<u64>, insecure: bool) -> Vec<String> {
        let mut operations = Vec::new();
        add_system(&mut operations, shm_size, insecure);
        operations.iter().map(Operation::to_string).collect()
    }

    #[test]
    fn what_every_process_has_is_a_list_in_which_what_is_within_comes_later() {
        let names = names(None, false);
        let at = |part: &str| names.iter().position(|name| name.contains(part)).unwrap();
        assert!(at("at /dev for") < at("the devices"));
        assert!(at("the devices") < at("at /dev/pts"));
        assert!(at("at /proc for") < at("hide /proc/kcore"));
        assert!(at("at /sys for") < at("hide /sys/firmware"));
        assert_eq!(names.iter().filter(|name| name.starts_with("hide")).count(), MASKED.len());
        assert_eq!(names.iter().filter(|name| name.contains("read-only")).count(), READ_ONLY.len());
    }

    #[test]
    fn nothing_is_hidden_where_it_is_insecure() {
        assert!(!names(None, true).iter().any(|name| name.contains("hide") || name.contains("read-only")));
    }

    #[test]
    fn the_size_of_shm_is_what_was_asked_for() {
        for (asked, size) in [(None, c"67108864"), (Some(1 << 20), c"1048576")] {
            let mut operations = Vec::new();
            add_system(&mut operations, asked, false);
            let found = operations.iter().find_map(|operation| match operation {
                Operation::Mount { target, options, .. } if target.as_c_str() == c"/dev/shm" => Some(options.clone()),
                _ => None,
            });
            assert!(found.unwrap().contains(&(c"size", size.to_owned())));
        }
    }
}
