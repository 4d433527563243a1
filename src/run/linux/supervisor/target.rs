//! The process that has made a call: its memory, its paths and its descriptors.
//!
//! The supervisor's thread has the sandbox's root for its own, and this machine's `/proc` for its working directory. What a
//! path of a process is to the process, it is to the thread: absolute paths and links begin at the same root, and `..` ends
//! there; and what a process has open, and its own working directory, lie behind the links of `/proc/<thread>/`.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat};
use rustix::io::Errno;

use super::listener::Notification;
use crate::run::linux::system::{open_within, read_memory, write_memory};

/// A descriptor's argument that means the working directory.
pub(super) const WORKING_DIRECTORY: i32 = libc::AT_FDCWD;

const LONGEST_PATH: usize = libc::PATH_MAX as usize;

/// Returns what `status`, which is that of a process in `/proc`, says. The name of a process need not be text.
pub(super) fn read_status(status: OwnedFd) -> Result<String, Errno> {
    let mut bytes = Vec::new();
    File::from(status).read_to_end(&mut bytes).map_err(|_| Errno::IO)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Where a path begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Base(pub(super) i32);

/// A path in the process that it was read from.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) base: Base,
    /// Empty for what is open at the base itself.
    pub(super) path: CString,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    pub(super) thread: u32,
    /// Whether its pointers have 32 bits.
    pub(super) is_forerunner: bool,
    pub(super) arguments: [u64; 6],
}

impl Target {
    pub(super) fn of(notification: &Notification, is_forerunner: bool) -> Target {
        Target { thread: notification.thread, is_forerunner, arguments: notification.arguments }
    }

    pub(super) fn argument(&self, number: usize) -> u64 {
        self.arguments.get(number).copied().unwrap_or_default()
    }

    /// Returns an argument of 32 bits: of a register that holds more the kernel takes no notice.
    pub(super) fn number(&self, number: usize) -> u32 {
        self.argument(number) as u32
    }

    pub(super) fn base(&self, number: usize) -> Base {
        Base(self.number(number).cast_signed())
    }

    /// Fills `bytes` from `address` on.
    pub(super) fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), Errno> {
        let read = read_memory(self.thread, address, bytes)?;
        if read == bytes.len() { Ok(()) } else { Err(Errno::FAULT) }
    }

    pub(super) fn write(&self, address: u64, bytes: &[u8]) -> Result<(), Errno> {
        let written = write_memory(self.thread, address, bytes)?;
        if written == bytes.len() { Ok(()) } else { Err(Errno::FAULT) }
    }

    pub(super) fn write_numbers(&self, address: u64, numbers: &[u32]) -> Result<(), Errno> {
        self.write(address, &numbers.iter().flat_map(|number| number.to_ne_bytes()).collect::<Vec<_>>())
    }

    pub(super) fn read_numbers(&self, address: u64, count: usize) -> Result<Vec<u32>, Errno> {
        let mut bytes = vec![0; count * 4];
        self.read(address, &mut bytes)?;
        Ok(bytes.as_chunks().0.iter().map(|number| u32::from_ne_bytes(*number)).collect())
    }

    /// Reads the string at `address`.
    pub(super) fn string(&self, address: u64, longest: usize) -> Result<CString, Errno> {
        let mut bytes = vec![0; longest];
        let mut length = 0;
        while length < longest {
            let at = address.checked_add(length as u64).ok_or(Errno::FAULT)?;
            // Not beyond the page: what follows may be nothing.
            let part = (PAGE - (at % PAGE)) as usize;
            let part = part.min(longest - length);
            let read = read_memory(self.thread, at, bytes.get_mut(length..length + part).ok_or(Errno::FAULT)?)?;
            let end = bytes.get(length..length + read).and_then(|read| read.iter().position(|byte| *byte == 0));
            if let Some(end) = end {
                bytes.truncate(length + end);
                return CString::new(bytes).map_err(|_| Errno::INVAL);
            }
            if read < part {
                return Err(Errno::FAULT);
            }
            length += read;
        }
        Err(Errno::NAMETOOLONG)
    }

    /// Reads the path at the argument `path`, which begins at `base`.
    pub(super) fn place(&self, base: Base, path: usize) -> Result<Place, Errno> {
        Ok(Place { base, path: self.string(self.argument(path), LONGEST_PATH)? })
    }

    /// Returns what is open as `descriptor`.
    pub(super) fn descriptor(&self, descriptor: i32) -> Place {
        Place { base: Base(descriptor), path: CString::default() }
    }

    /// Returns the path of `place` for the supervisor's thread. Links of `/proc` are followed on it: it serves to look, and
    /// never to change what is there.
    pub(super) fn look_up(&self, place: &Place) -> CString {
        let path = place.path.to_bytes();
        if path.starts_with(b"/") {
            return place.path.clone();
        }
        let mut text = self.link(place.base).into_bytes();
        if !path.is_empty() {
            text.push(b'/');
            text.extend_from_slice(path);
        }
        CString::new(text).unwrap_or_default()
    }

    fn link(&self, base: Base) -> String {
        match base {
            Base(WORKING_DIRECTORY) => format!("{}/cwd", self.thread),
            Base(descriptor) => format!("{}/fd/{descriptor}", self.thread),
        }
    }

    /// Opens what is at `place`, without the right to read it; links that are kept open in `/proc` are not followed, for to
    /// the supervisor more of them are open than to the process.
    pub(super) fn open(&self, place: &Place, follows: bool) -> Result<OwnedFd, Errno> {
        if place.path.is_empty() {
            return self.open_base(place.base);
        }
        let follow = if follows { OFlags::empty() } else { OFlags::NOFOLLOW };
        let opened = self.open_in(&self.start(place)?, &place.path, OFlags::PATH | follow);
        match opened {
            Err(Errno::LOOP | Errno::NOENT) if follows => match own_descriptor(place.path.to_bytes()) {
                Some(descriptor) => self.open_base(Base(descriptor)),
                None => opened,
            },
            opened => opened,
        }
    }

    /// Opens what `path` of `place` is looked up from.
    pub(super) fn start(&self, place: &Place) -> Result<OwnedFd, Errno> {
        if place.path.to_bytes().starts_with(b"/") {
            openat(CWD, c"/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        } else {
            self.open_base(place.base)
        }
    }

    pub(super) fn open_in(&self, start: &OwnedFd, path: &CStr, flags: OFlags) -> Result<OwnedFd, Errno> {
        open_within(start, path, flags | OFlags::CLOEXEC, ResolveFlags::NO_MAGICLINKS)
    }

    /// Returns what `/proc` says of its process.
    pub(super) fn status(&self) -> Result<String, Errno> {
        let path = format!("{}/status", self.thread);
        read_status(openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
    }

    /// Returns the process that is open as `descriptor`, as this program knows it.
    pub(super) fn open_process(&self, descriptor: i32) -> Option<u32> {
        let path = format!("{}/fdinfo/{descriptor}", self.thread);
        let file = openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
        let mut text = String::new();
        File::from(file).read_to_string(&mut text).ok()?;
        text.lines().find_map(|line| line.strip_prefix("Pid:"))?.trim().parse().ok()
    }

    /// Returns whether the thread calls itself `number`.
    pub(super) fn is_called(&self, number: u32) -> Result<bool, Errno> {
        let status = self.status()?;
        let names = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
        let own = names.and_then(|names| names.split_ascii_whitespace().last()?.parse().ok());
        Ok(own == Some(number))
    }

    fn open_base(&self, base: Base) -> Result<OwnedFd, Errno> {
        match openat(CWD, self.link(base), OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) {
            Err(Errno::NOENT) => Err(Errno::BADF),
            opened => opened,
        }
    }
}

const PAGE: u64 = 4096;

/// Returns the descriptor of the process's own that a path means by a link of `/proc`.
pub(super) fn own_descriptor(path: &[u8]) -> Option<i32> {
    let number = match path {
        b"/dev/stdin" => return Some(0),
        b"/dev/stdout" => return Some(1),
        b"/dev/stderr" => return Some(2),
        path => path.strip_prefix(b"/proc/self/fd/").or_else(|| path.strip_prefix(b"/dev/fd/"))?,
    };
    str::from_utf8(number).ok()?.parse().ok().filter(|number| *number >= 0)
}

/// Returns the path by which the supervisor's thread reaches what it has open itself.
pub(super) fn own_link(object: BorrowedFd<'_>) -> CString {
    CString::new(format!("self/fd/{}", object.as_fd().as_raw_fd())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_begin_where_the_process_has_them_begin() {
        let target = Target { thread: 7, is_forerunner: false, arguments: [0; 6] };
        let text = |base, path: &CStr| target.look_up(&Place { base: Base(base), path: path.to_owned() });
        assert_eq!(text(WORKING_DIRECTORY, c"a/b").as_c_str(), c"7/cwd/a/b");
        assert_eq!(text(WORKING_DIRECTORY, c"").as_c_str(), c"7/cwd");
        assert_eq!(text(3, c"/etc").as_c_str(), c"/etc");
        assert_eq!(text(3, c"..").as_c_str(), c"7/fd/3/..");
    }

    #[test]
    fn links_to_the_processs_own_descriptors_are_known() {
        assert_eq!(own_descriptor(b"/dev/stdout"), Some(1));
        assert_eq!(own_descriptor(b"/proc/self/fd/12"), Some(12));
        for path in ["/proc/1/fd/1", "/proc/self/fd/-1", "/proc/self/fd/1/x", "/dev/null"] {
            assert_eq!(own_descriptor(path.as_bytes()), None, "{path}");
        }
    }

    #[test]
    fn memory_is_read_up_to_the_end_of_the_string() {
        let text = [b"x".repeat(5000), vec![0]].concat();
        let thread = std::process::id();
        let target = Target { thread, is_forerunner: false, arguments: [0; 6] };
        let address = text.as_ptr() as u64;
        assert_eq!(target.string(address, 6000).unwrap().as_bytes(), &text[..5000]);
        assert_eq!(target.string(address, 4096), Err(Errno::NAMETOOLONG));
        assert_eq!(target.string(16, 4096), Err(Errno::FAULT));
    }
}
