//! The way that a path leads, as far as a process may go it: directory by directory, as the kernel does it for a process that
//! modes of files keep from something (path_resolution(7)).
//!
//! It only looks. What it opens it opens without the right to read, one name at a time, and no link is followed but by its
//! text, so that the root of the supervisor's thread ends all of them.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, StatxFlags, fstatfs, openat, readlinkat, statx};
use rustix::io::Errno;

use super::identity::Identity;
use super::owners::{SEARCH, Status, has_no_more_than_its_mode, is_shared};
use super::target::{Place, Target, own_descriptor};

/// As many links as the kernel follows.
pub(super) const MOST_LINKS: usize = 40;

/// `PROC_SUPER_MAGIC`: what lies there is the kernel's to say.
pub(super) const PROCESSES: u64 = 0x9fa0;

/// What becomes of a link that a path ends in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    Followed,
    /// It is meant itself, unless a slash follows.
    Itself,
    /// The name is meant.
    Name,
}

/// Where a path has led.
#[derive(Debug)]
pub(super) struct Way {
    /// The directory that the last name was looked up in; none of a path that ends in no name.
    pub(super) parent: Option<OwnedFd>,
    /// What is there, if anything is.
    pub(super) object: Option<OwnedFd>,
}

impl Way {
    /// Goes to `place` as `identity`. Fails with `EACCES` where that may not go on, and is none where it is for the kernel to
    /// say what is wrong, or what is there.
    pub(super) fn of(target: &Target, identity: &Identity, place: &Place, last: Last) -> Result<Option<Way>, Errno> {
        let path = place.path.to_bytes();
        let open = match own_descriptor(path) {
            Some(descriptor) if last == Last::Followed => Some(target.descriptor(descriptor)),
            _ if path.is_empty() => Some(place.clone()),
            _ => None,
        };
        if let Some(open) = open {
            let object = target.start(&open).ok().filter(|object| !is_of_processes(object.as_fd()));
            return Ok(object.map(|object| Way { parent: None, object: Some(object) }));
        }
        let Ok(start) = target.start(place) else { return Ok(None) };
        Walk { identity, directory: start, rest: names(path), links: 0, ends_in_slash: path.ends_with(b"/") }.go(last)
    }
}

struct Walk<'a> {
    identity: &'a Identity,
    directory: OwnedFd,
    /// The names that are still to be looked up, the next one last.
    rest: Vec<Vec<u8>>,
    links: usize,
    ends_in_slash: bool,
}

impl Walk<'_> {
    fn go(mut self, last: Last) -> Result<Option<Way>, Errno> {
        let mut is_name = false;
        let mut above = None;
        let mut device = self.device()?;
        if is_of_processes(self.directory.as_fd()) {
            return Ok(None);
        }
        while let Some(name) = self.rest.pop() {
            // Of what is not a directory the kernel says so.
            let Some(status) = self.searched()? else { return Ok(None) };
            let is_last = self.rest.is_empty();
            is_name = !matches!(&name[..], b"." | b"..");
            if name == b"." {
                continue;
            }
            let Ok(name) = CString::new(name) else { return Ok(None) };
            let object = match open(self.directory.as_fd(), &name) {
                Ok(object) => object,
                Err(Errno::NOENT) if is_last && is_name => {
                    return Ok(Some(Way { parent: Some(self.directory), object: None }));
                }
                Err(_) => return Ok(None),
            };
            let found = statx(&object, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS).map_err(|_| Errno::ACCESS)?;
            let found_device = (found.stx_dev_major, found.stx_dev_minor);
            if found_device != device {
                if is_of_processes(object.as_fd()) {
                    return Ok(None);
                }
                device = found_device;
            }
            let is_link = FileType::from_raw_mode(found.stx_mode.into()) == FileType::Symlink;
            let follows = !is_last
                || match last {
                    Last::Followed => true,
                    Last::Itself => self.ends_in_slash,
                    Last::Name => false,
                };
            if is_link && follows {
                if !self.follow(&name, &object, status)? {
                    return Ok(None);
                }
                device = self.device()?;
                is_name = false;
                continue;
            }
            let is_directory = FileType::from_raw_mode(found.stx_mode.into()) == FileType::Directory;
            if is_last && self.ends_in_slash && last != Last::Name && !is_directory {
                return Ok(None);
            }
            above = Some(std::mem::replace(&mut self.directory, object));
        }
        Ok(Some(Way { parent: above.filter(|_| is_name), object: Some(self.directory) }))
    }

    /// Returns what is known of the directory, if it is one; fails if nothing may be looked up in it.
    fn searched(&self) -> Result<Option<u32>, Errno> {
        let status = statx(&self.directory, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)?;
        let mode = u32::from(status.stx_mode);
        if FileType::from_raw_mode(mode) != FileType::Directory {
            return Ok(None);
        }
        let is_open = mode & 0o111 == 0o111 && has_no_more_than_its_mode(self.directory.as_fd());
        if !is_open {
            let status = Status::of(self.directory.as_fd())?;
            if !status.permits(self.directory.as_fd(), self.identity, SEARCH)? {
                return Err(Errno::ACCESS);
            }
        }
        Ok(Some(mode))
    }

    /// Goes on where a link of the directory leads; not if that is for the kernel to say.
    fn follow(&mut self, name: &CStr, link: &OwnedFd, mode: u32) -> Result<bool, Errno> {
        self.links += 1;
        if self.links > MOST_LINKS {
            return Ok(false);
        }
        if is_shared(mode) && protects_links() {
            let directory = Status::of(self.directory.as_fd())?;
            if Status::of(link.as_fd())?.is_of_others(&directory, self.identity) {
                return Err(Errno::ACCESS);
            }
        }
        let Ok(text) = readlinkat(&self.directory, name, Vec::new()) else { return Ok(false) };
        let text = text.to_bytes();
        if self.rest.is_empty() {
            self.ends_in_slash |= text.ends_with(b"/");
        }
        self.rest.extend(names(text));
        if text.starts_with(b"/") {
            self.directory = openat(CWD, c"/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        }
        Ok(true)
    }

    fn device(&self) -> Result<(u32, u32), Errno> {
        let status = statx(&self.directory, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)?;
        Ok((status.stx_dev_major, status.stx_dev_minor))
    }
}

/// Returns the names of a path, the first one last.
pub(super) fn names(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()).rev().map(<[u8]>::to_vec).collect()
}

fn open(directory: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    openat(directory, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

fn is_of_processes(object: BorrowedFd<'_>) -> bool {
    fstatfs(object).is_ok_and(|system| system.f_type as u64 == PROCESSES)
}

/// Whether this machine keeps users of shared directories from links of others (proc_sys_fs(5)).
fn protects_links() -> bool {
    static PROTECTS: OnceLock<bool> = OnceLock::new();
    *PROTECTS.get_or_init(|| is_set(c"sys/fs/protected_symlinks"))
}

/// Returns whether it keeps them from giving a further name to files that they may not read and write.
pub(super) fn protects_hard_links() -> bool {
    static PROTECTS: OnceLock<bool> = OnceLock::new();
    *PROTECTS.get_or_init(|| is_set(c"sys/fs/protected_hardlinks"))
}

/// The working directory of the supervisor's thread is the machine's `/proc`.
fn is_set(path: &CStr) -> bool {
    let Ok(file) = openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) else { return false };
    let mut byte = [0];
    rustix::io::read(&file, &mut byte).is_ok_and(|read| read == 1) && byte != *b"0"
}
