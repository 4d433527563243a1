//! What is made and has an owner from then on.
//!
//! Root's files are root's, and the kernel makes them; unless the directory gives them its group. All others are made here.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, StatxFlags, mkdirat, mknodat, openat, readlinkat, statat, statx,
    symlinkat,
};
use rustix::io::Errno;
use rustix::process::umask;

use super::asked::{Asked, Outcome};
use crate::layer::Device;
use crate::run::supervisor::identity::Right;
use crate::run::supervisor::listener::Answer;
use crate::run::supervisor::owners::{Status, keep_new};
use crate::run::supervisor::target::{Base, Place};
use crate::run::system::open_within;

/// As many links as the kernel follows.
const MOST_LINKS: usize = 40;

const WRITE: u32 = 2;
const SEARCH: u32 = 1;

/// What is made, beside the files that an open makes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Making {
    Directory {
        mode: u32,
    },
    Node {
        mode: u32,
        device: u32,
    },
    /// The argument of this number is where it leads.
    Link {
        target: usize,
    },
}

/// Where something is to be made.
struct Parent {
    directory: OwnedFd,
    status: Status,
    name: CString,
}

impl Asked<'_> {
    pub(super) fn open(&self, base: Base, path: usize, flags: OFlags, mode: u32) -> Outcome {
        self.open_with(base, path, flags, mode, ResolveFlags::empty())
    }

    /// `openat2`, whose flags lie in memory.
    pub(super) fn open_how(&self) -> Outcome {
        let how = self.target.read_numbers(self.target.argument(2), 6)?;
        let [flags, _, mode, _, resolve, _] = how[..] else { return Err(Errno::FAULT) };
        let flags = OFlags::from_bits_retain(flags);
        if !is_of_interest(flags) {
            return Ok(Answer::Continue);
        }
        self.open_with(self.target.base(0), 1, flags, mode, ResolveFlags::from_bits_retain(resolve.into()))
    }

    fn open_with(&self, base: Base, path: usize, flags: OFlags, mode: u32, resolve: ResolveFlags) -> Outcome {
        let makes = flags.contains(OFlags::CREATE) || flags.contains(OFlags::TMPFILE);
        if self.identity.overrides() && !makes {
            return Ok(Answer::Continue);
        }
        let Ok(place) = self.place(base, Some(path), AtFlags::empty()) else { return Ok(Answer::Continue) };
        if flags.contains(OFlags::TMPFILE) {
            return self.open_nameless(&place, flags, mode, resolve);
        }
        if self.identity.makes_as_root() && !self.gives_group(&place) {
            return Ok(Answer::Continue);
        }
        let start = self.target.start(&place)?;
        let resolve = resolve | ResolveFlags::NO_MAGICLINKS;
        let mut path = place.path;
        for _ in 0..MOST_LINKS {
            let follow = if flags.contains(OFlags::NOFOLLOW) { OFlags::NOFOLLOW } else { OFlags::empty() };
            match open_within(&start, &path, OFlags::PATH | OFlags::CLOEXEC | follow, resolve) {
                Ok(object) => return self.open_existing(object.as_fd(), flags),
                Err(Errno::NOENT) if makes => {}
                // The kernel says what is wrong, or finds what is open in /proc.
                Err(_) => return Ok(Answer::Continue),
            }
            let Some(parent) = self.parent(&start, &path, resolve)? else { return Ok(Answer::Continue) };
            match readlinkat(&parent.directory, parent.name.as_c_str(), Vec::new()) {
                // A link that leads to nothing: what it leads to is made.
                Ok(_) if flags.intersects(OFlags::EXCL | OFlags::NOFOLLOW) => return Ok(Answer::Continue),
                Ok(target) => {
                    path = beside(&path, target.to_bytes()).ok_or(Errno::NAMETOOLONG)?;
                    continue;
                }
                Err(_) => {}
            }
            return self.open_new(&parent, flags, mode);
        }
        Err(Errno::LOOP)
    }

    /// The kernel opens what is there, if it may be opened.
    fn open_existing(&self, object: BorrowedFd<'_>, flags: OFlags) -> Outcome {
        let wanted = match flags & OFlags::RWMODE {
            OFlags::RDWR => 6,
            OFlags::WRONLY => 2,
            _ => 4,
        };
        let wanted = if flags.contains(OFlags::TRUNC) { wanted | WRITE } else { wanted };
        let status = Status::of(object)?;
        let is_file = status.kind == FileType::RegularFile;
        if is_file && !status.permits(self.identity, self.file_user(), wanted) || status.kept.device.is_some() {
            return Err(Errno::ACCESS);
        }
        Ok(Answer::Continue)
    }

    fn open_new(&self, parent: &Parent, flags: OFlags, mode: u32) -> Outcome {
        self.may_make_in(&parent.status)?;
        let before = self.use_mask()?;
        let flags_of_new = flags | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let opened =
            openat(&parent.directory, parent.name.as_c_str(), flags_of_new, Mode::from_raw_mode(mode & 0o7777));
        umask(before);
        match opened {
            // Somebody was faster.
            Err(Errno::EXIST) if !flags.contains(OFlags::EXCL) => Ok(Answer::Continue),
            opened => {
                let file = opened?;
                keep_new(file.as_fd(), self.identity, &parent.status, None)?;
                Ok(Answer::Opened(file, flags.contains(OFlags::CLOEXEC)))
            }
        }
    }

    fn open_nameless(&self, place: &Place, flags: OFlags, mode: u32, resolve: ResolveFlags) -> Outcome {
        let start = self.target.start(place)?;
        let resolve = resolve | ResolveFlags::NO_MAGICLINKS;
        let Ok(directory) = open_within(&start, &place.path, OFlags::PATH | OFlags::CLOEXEC, resolve) else {
            return Ok(Answer::Continue);
        };
        let status = Status::of(directory.as_fd())?;
        if self.identity.makes_as_root() && status.mode & libc::S_ISGID == 0 {
            return Ok(Answer::Continue);
        }
        self.may_make_in(&status)?;
        let before = self.use_mask()?;
        let opened = openat(&directory, c".", flags | OFlags::CLOEXEC, Mode::from_raw_mode(mode & 0o7777));
        umask(before);
        let file = opened?;
        keep_new(file.as_fd(), self.identity, &status, None)?;
        Ok(Answer::Opened(file, flags.contains(OFlags::CLOEXEC)))
    }

    pub(super) fn make(&self, base: Base, path: usize, making: Making) -> Outcome {
        let Ok(place) = self.place(base, Some(path), AtFlags::empty()) else { return Ok(Answer::Continue) };
        let device = match making {
            Making::Node { mode, device } => device_of(mode, device),
            _ => None,
        };
        if device.is_some() && !self.identity.has(Right::MakeDevice) {
            return Err(Errno::PERM);
        }
        if self.identity.makes_as_root() && device.is_none() && !self.gives_group(&place) {
            return Ok(Answer::Continue);
        }
        let start = self.target.start(&place)?;
        let Some(parent) = self.parent(&start, &place.path, ResolveFlags::NO_MAGICLINKS)? else {
            return Ok(Answer::Continue);
        };
        let Parent { directory, status, name } = &parent;
        if statat(directory, name.as_c_str(), AtFlags::SYMLINK_NOFOLLOW).is_ok() {
            return Err(Errno::EXIST);
        }
        self.may_make_in(status)?;
        match making {
            // A link has no mode, and where it leads is read before anything is done.
            Making::Link { target } => {
                let target = self.target.string(self.target.argument(target), libc::PATH_MAX as usize)?;
                self.check()?;
                symlinkat(target.as_c_str(), directory, name.as_c_str())?;
            }
            Making::Directory { mode } => {
                let before = self.use_mask()?;
                let made = mkdirat(directory, name.as_c_str(), Mode::from_raw_mode(mode & 0o1777));
                umask(before);
                made?;
            }
            Making::Node { mode, .. } => {
                let kind = match FileType::from_raw_mode(mode) {
                    kind @ (FileType::Fifo | FileType::Socket) => kind,
                    // A device is an empty file.
                    _ => FileType::RegularFile,
                };
                let before = self.use_mask()?;
                let made = mknodat(directory, name.as_c_str(), kind, Mode::from_raw_mode(mode & 0o7777), 0);
                umask(before);
                made?;
            }
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let object = openat(directory, name.as_c_str(), flags, Mode::empty())?;
        match keep_new(object.as_fd(), self.identity, status, device) {
            // A socket is in no image.
            Err(_) if matches!(making, Making::Node { mode, .. } if FileType::from_raw_mode(mode) == FileType::Socket) =>
                {}
            kept => kept?,
        }
        Ok(Answer::Done(0))
    }

    fn may_make_in(&self, directory: &Status) -> Result<(), Errno> {
        let may = directory.permits(self.identity, self.file_user(), WRITE | SEARCH);
        if may { Ok(()) } else { Err(Errno::ACCESS) }
    }

    /// As whom it makes and opens files, and whether their modes count.
    fn file_user(&self) -> (u32, bool) {
        (self.identity.user.file, self.identity.overrides())
    }

    /// Whether the directory that `place` is in gives its group to what is made there. It only looks.
    fn gives_group(&self, place: &Place) -> bool {
        let Some((above, _)) = split(&place.path) else { return false };
        let text = self.target.look_up(&Place { base: place.base, path: above });
        let status = statx(rustix::fs::CWD, text, AtFlags::empty(), StatxFlags::MODE);
        status.is_ok_and(|status| u32::from(status.stx_mode) & libc::S_ISGID != 0)
    }

    /// Opens the directory that `path` is in; none if the kernel is to say what is wrong.
    fn parent(&self, start: &OwnedFd, path: &CStr, resolve: ResolveFlags) -> Result<Option<Parent>, Errno> {
        let Some((above, name)) = split(path) else { return Ok(None) };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Ok(directory) = open_within(start, &above, flags, resolve) else { return Ok(None) };
        let status = Status::of(directory.as_fd())?;
        Ok(Some(Parent { directory, status, name }))
    }

    /// Takes the mask of the process for this thread's own, and returns what that was. It comes last before something is made.
    fn use_mask(&self) -> Result<Mode, Errno> {
        let mask = self.target.status().and_then(|status| mask_of(&status).ok_or(Errno::IO))?;
        self.check()?;
        Ok(umask(Mode::from_raw_mode(mask)))
    }
}

fn mask_of(status: &str) -> Option<u32> {
    let text = status.lines().find_map(|line| line.strip_prefix("Umask:"))?;
    u32::from_str_radix(text.trim(), 8).ok()
}

/// Whether an open with these flags may make something or write to it.
fn is_of_interest(flags: OFlags) -> bool {
    flags.intersects(OFlags::CREATE | OFlags::RWMODE | OFlags::TRUNC) || flags.contains(OFlags::TMPFILE)
}

/// The device that is meant; none for what is no device, and for the one that nobody is kept from making.
fn device_of(mode: u32, device: u32) -> Option<Device> {
    let is_block = match FileType::from_raw_mode(mode) {
        FileType::BlockDevice => true,
        FileType::CharacterDevice if device != 0 => false,
        _ => return None,
    };
    // As the call has them (`new_decode_dev` of the kernel).
    let (major, minor) = ((device & 0xfff00) >> 8, device & 0xff | device >> 12 & 0xfff00);
    Some(Device { is_block, major, minor })
}

/// The path of the directory, and the name in it; none if it ends in no name.
fn split(path: &CStr) -> Option<(CString, CString)> {
    let bytes = path.to_bytes();
    let end = bytes.iter().rposition(|byte| *byte != b'/')? + 1;
    let bytes = bytes.get(..end)?;
    let (above, name) = match bytes.iter().rposition(|byte| *byte == b'/') {
        Some(0) => (&b"/"[..], bytes.get(1..)?),
        Some(slash) => (bytes.get(..slash)?, bytes.get(slash + 1..)?),
        None => (&b"."[..], bytes),
    };
    if matches!(name, b"." | b"..") {
        return None;
    }
    Some((CString::new(above).ok()?, CString::new(name).ok()?))
}

/// Where a link at `path` leads that says `target`.
fn beside(path: &CStr, target: &[u8]) -> Option<CString> {
    if target.starts_with(b"/") {
        return CString::new(target).ok();
    }
    let (above, _) = split(path)?;
    let path = CString::new([above.to_bytes(), b"/", target].concat()).ok()?;
    (path.to_bytes().len() < libc::PATH_MAX as usize).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_split_before_their_last_name() {
        let parts =
            |path: &CStr| split(path).map(|(above, name)| (above.into_string().unwrap(), name.into_string().unwrap()));
        let wanted = |above: &str, name: &str| Some((above.to_owned(), name.to_owned()));
        assert_eq!(parts(c"a"), wanted(".", "a"));
        assert_eq!(parts(c"/a"), wanted("/", "a"));
        assert_eq!(parts(c"/a/b//"), wanted("/a", "b"));
        assert_eq!(parts(c"../x"), wanted("..", "x"));
        for path in [c"", c"/", c".", c"a/..", c"//"] {
            assert_eq!(parts(path), None, "{path:?}");
        }
        assert_eq!(beside(c"/a/link", b"b").unwrap().as_c_str(), c"/a/b");
        assert_eq!(beside(c"link", b"/b").unwrap().as_c_str(), c"/b");
    }

    #[test]
    fn devices_have_the_numbers_of_the_call() {
        let call = |major, minor| (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12);
        for (major, minor) in [(1, 3), (8, 0), (259, 1 << 18), (4095, 255)] {
            let device = device_of(libc::S_IFBLK | 0o660, call(major, minor));
            assert_eq!(device, Some(Device { is_block: true, major, minor }));
        }
        assert_eq!(device_of(libc::S_IFCHR, 0), None);
        assert_eq!(device_of(libc::S_IFIFO, 7), None);
        assert_eq!(mask_of("Name:\tx\nUmask:\t0022\nState:\tR\n"), Some(0o022));
    }
}
