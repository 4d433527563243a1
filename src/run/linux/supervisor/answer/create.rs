//! What is made and has an owner from then on.
//!
//! Root's files are root's, and the kernel makes them; unless the directory gives them its group. All others are made here.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, StatxFlags, XattrFlags, chmodat, getxattr, mkdirat, mknodat, openat,
    readlinkat, setxattr, statat, statx, symlinkat,
};
use rustix::io::Errno;
use rustix::process::umask;

use super::asked::{Asked, Outcome};
use crate::layer::Device;
use crate::run::linux::supervisor::identity::Right;
use crate::run::linux::supervisor::list::{KEPT, KEPT_DEFAULT, List};
use crate::run::linux::supervisor::listener::Answer;
use crate::run::linux::supervisor::owners::{READ, SEARCH, Status, WRITE, is_plain, is_shared, keep_new};
use crate::run::linux::supervisor::target::{Base, Place, own_link};
use crate::run::linux::supervisor::way::{Last, MOST_LINKS, Way};
use crate::run::linux::system::open_within;

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

    /// Answers `openat2`, whose flags lie in memory.
    pub(super) fn open_how(&self) -> Outcome {
        let how = self.target.read_numbers(self.target.argument(2), 6)?;
        let [flags, _, mode, _, resolve, _] = how[..] else { return Err(Errno::FAULT) };
        let flags = OFlags::from_bits_retain(flags);
        self.open_with(self.target.base(0), 1, flags, mode, ResolveFlags::from_bits_retain(resolve.into()))
    }

    fn open_with(&self, base: Base, path: usize, flags: OFlags, mode: u32, resolve: ResolveFlags) -> Outcome {
        let makes = flags.contains(OFlags::CREATE) || flags.contains(OFlags::TMPFILE);
        if !makes && !self.is_limited() {
            return Ok(Answer::Continue);
        }
        let Ok(place) = self.place(base, Some(path), AtFlags::empty()) else { return Ok(Answer::Continue) };
        let is_nameless = flags.contains(OFlags::TMPFILE);
        if flags.contains(OFlags::CREATE | OFlags::NOFOLLOW) && !flags.intersects(OFlags::EXCL | OFlags::PATH) {
            self.refuse_link_of_others(&place, resolve)?;
        }
        if self.is_limited() {
            let last = if flags.contains(OFlags::NOFOLLOW) { Last::Itself } else { Last::Followed };
            match self.way(&place, last)? {
                Some(Way { parent, object: Some(object) }) if !is_nameless => {
                    return self.open_existing(object.as_fd(), parent.is_some(), flags);
                }
                None => return Ok(Answer::Continue),
                _ => {}
            }
        }
        if is_nameless {
            return self.open_nameless(&place, flags, mode, resolve);
        }
        if !makes || self.makes_as_root() && !self.gives_more(&place) {
            return Ok(Answer::Continue);
        }
        let start = self.target.start(&place)?;
        let resolve = resolve | ResolveFlags::NO_MAGICLINKS;
        let mut path = place.path;
        for _ in 0..MOST_LINKS {
            // With a slash behind it, a name is not a file's, wherever it leads.
            if path.to_bytes().ends_with(b"/") {
                return Ok(Answer::Continue);
            }
            let follow = if flags.contains(OFlags::NOFOLLOW) { OFlags::NOFOLLOW } else { OFlags::empty() };
            match open_within(&start, &path, OFlags::PATH | OFlags::CLOEXEC | follow, resolve) {
                Ok(object) => return self.open_existing(object.as_fd(), true, flags),
                Err(Errno::NOENT) => {}
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

    /// Fails with the kernel's error for a link that is itself to be opened, or made if it were not there, where it is somebody else's
    /// in a directory that is sticky and everybody's (`may_create_in_sticky`: no setting turns that off for links).
    fn refuse_link_of_others(&self, place: &Place, resolve: ResolveFlags) -> Result<(), Errno> {
        if place.path.to_bytes().ends_with(b"/") {
            return Ok(());
        }
        let start = self.target.start(place)?;
        let parent = self.parent(&start, &place.path, resolve | ResolveFlags::NO_MAGICLINKS)?;
        let Some(Parent { directory, status, name }) = parent.filter(|parent| is_shared(parent.status.mode)) else {
            return Ok(());
        };
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let Ok(link) = openat(&directory, name.as_c_str(), flags, Mode::empty()) else { return Ok(()) };
        let link = Status::of(link.as_fd())?;
        let is_refused = link.kind == FileType::Symlink && link.is_of_others(&status, self.identity);
        if is_refused { Err(Errno::ACCESS) } else { Ok(()) }
    }

    /// The kernel opens what is there, if it may be opened. What has no name is open already, and may be of another kind than
    /// modes tell of.
    fn open_existing(&self, object: BorrowedFd<'_>, is_named: bool, flags: OFlags) -> Outcome {
        let makes = flags.contains(OFlags::CREATE);
        if flags.contains(OFlags::PATH) || makes && flags.contains(OFlags::EXCL) {
            return Ok(Answer::Continue);
        }
        let wanted = match flags & OFlags::RWMODE {
            OFlags::RDONLY => READ,
            OFlags::WRONLY => WRITE,
            _ => READ | WRITE,
        };
        let wanted = if flags.contains(OFlags::TRUNC) { wanted | WRITE } else { wanted };
        let status = Status::of(object)?;
        let is_checked = match status.kind {
            // Of others the kernel says that they are of another kind.
            FileType::Directory => wanted == READ && !makes,
            FileType::RegularFile => !flags.contains(OFlags::DIRECTORY),
            FileType::Fifo => is_named && !flags.contains(OFlags::DIRECTORY),
            _ => false,
        };
        if !is_checked {
            return Ok(Answer::Continue);
        }
        if status.kept.device.is_some() || !status.permits(object, self.identity, wanted)? {
            return Err(Errno::ACCESS);
        }
        if flags.contains(OFlags::NOATIME) && !status.is_of(self.identity) {
            return Err(Errno::PERM);
        }
        Ok(Answer::Continue)
    }

    fn open_new(&self, parent: &Parent, flags: OFlags, mode: u32) -> Outcome {
        self.may_make_in(&parent.directory, &parent.status)?;
        let mode = self.mode_in(&parent.status, mode & 0o7777);
        let list = List::kept(parent.directory.as_fd(), KEPT_DEFAULT)?;
        let before = self.use_mask(list.is_some())?;
        let flags_of_new = flags | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let opened = openat(&parent.directory, parent.name.as_c_str(), flags_of_new, Mode::from_raw_mode(mode));
        umask(before);
        match opened {
            // Somebody was faster.
            Err(Errno::EXIST) if !flags.contains(OFlags::EXCL) => Ok(Answer::Continue),
            opened => {
                let file = opened?;
                keep_new(file.as_fd(), self.identity, &parent.status, None)?;
                give_list(file.as_fd(), list, mode)?;
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
        if status.kind != FileType::Directory {
            return Ok(Answer::Continue);
        }
        let list = List::kept(directory.as_fd(), KEPT_DEFAULT)?;
        if self.makes_as_root() && status.mode & libc::S_ISGID == 0 && list.is_none() {
            return Ok(Answer::Continue);
        }
        self.may_make_in(&directory, &status)?;
        let mode = self.mode_in(&status, mode & 0o7777);
        let before = self.use_mask(list.is_some())?;
        let opened = openat(&directory, c".", flags | OFlags::CLOEXEC, Mode::from_raw_mode(mode));
        umask(before);
        let file = opened?;
        keep_new(file.as_fd(), self.identity, &status, None)?;
        give_list(file.as_fd(), list, mode)?;
        Ok(Answer::Opened(file, flags.contains(OFlags::CLOEXEC)))
    }

    pub(super) fn make(&self, base: Base, path: usize, making: Making) -> Outcome {
        let Ok(place) = self.place(base, Some(path), AtFlags::empty()) else { return Ok(Answer::Continue) };
        let device = match making {
            Making::Node { mode, device } => device_of(mode, device),
            _ => None,
        };
        if self.makes_as_root() && device.is_none() && !self.gives_more(&place) {
            return Ok(Answer::Continue);
        }
        self.reach(&place, Last::Name)?;
        if place.path.to_bytes().ends_with(b"/") && !matches!(making, Making::Directory { .. }) {
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
        self.may_make_in(directory, status)?;
        if device.is_some() && !self.identity.has(Right::MakeDevice) {
            return Err(Errno::PERM);
        }
        let list = List::kept(directory.as_fd(), KEPT_DEFAULT)?;
        let has_list = list.is_some();
        match making {
            // A link has no mode, and where it leads is read before anything is done.
            Making::Link { target } => {
                let target = self.target.string(self.target.argument(target), libc::PATH_MAX as usize)?;
                self.check()?;
                symlinkat(target.as_c_str(), directory, name.as_c_str())?;
            }
            Making::Directory { mode } => {
                let before = self.use_mask(has_list)?;
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
                let mode = self.mode_in(status, mode & 0o7777);
                let before = self.use_mask(has_list)?;
                let made = mknodat(directory, name.as_c_str(), kind, Mode::from_raw_mode(mode), 0);
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
        if let Making::Directory { mode } | Making::Node { mode, .. } = making {
            give_list(object.as_fd(), list, mode)?;
        }
        Ok(Answer::Done(0))
    }

    fn may_make_in(&self, directory: &OwnedFd, status: &Status) -> Result<(), Errno> {
        let may = status.permits(directory.as_fd(), self.identity, WRITE | SEARCH)?;
        if may { Ok(()) } else { Err(Errno::ACCESS) }
    }

    /// Whether what it makes is root's, and may be made everywhere.
    fn makes_as_root(&self) -> bool {
        self.identity.makes_as_root() && self.identity.overrides()
    }

    /// The mode that a file has which is made in a directory: who does not belong to the group that the directory gives it
    /// gives nobody that group.
    fn mode_in(&self, parent: &Status, mode: u32) -> u32 {
        const SET_GROUP: u32 = libc::S_ISGID | libc::S_IXGRP;
        let is_given = parent.mode & libc::S_ISGID != 0 && mode & SET_GROUP == SET_GROUP;
        if is_given { self.mode_for(parent, mode) } else { mode }
    }

    /// Whether the directory that `place` is in gives its group to what is made there, or a list. It only looks.
    fn gives_more(&self, place: &Place) -> bool {
        let Some((above, _)) = split(&place.path) else { return false };
        let text = self.target.look_up(&Place { base: place.base, path: above });
        let status = statx(rustix::fs::CWD, text.as_c_str(), AtFlags::empty(), StatxFlags::MODE);
        let gives_group = status.is_ok_and(|status| u32::from(status.stx_mode) & libc::S_ISGID != 0);
        gives_group || getxattr(text.as_c_str(), KEPT_DEFAULT, &mut [0u8; 0][..]).is_ok()
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
    /// Where the directory has a list, that counts instead.
    fn use_mask(&self, has_list: bool) -> Result<Mode, Errno> {
        let mask = match has_list {
            true => 0,
            false => self.target.status().and_then(|status| mask_of(&status).ok_or(Errno::IO))?,
        };
        self.check()?;
        Ok(umask(Mode::from_raw_mode(mask)))
    }
}

/// Gives `object`, which was made just now with `mode`, the list that its directory has for it.
fn give_list(object: BorrowedFd<'_>, list: Option<List>, mode: u32) -> Result<(), Errno> {
    let Some(list) = list else { return Ok(()) };
    let link = own_link(object);
    let status = Status::of(object)?;
    if status.kind == FileType::Directory {
        setxattr(link.as_c_str(), KEPT_DEFAULT, &list.written(), XattrFlags::empty())?;
    }
    let list = list.limited_to(mode).ok_or(Errno::IO)?;
    let mode = status.mode & !0o777 | list.mode().ok_or(Errno::IO)?;
    // What can have no list has the mode alone.
    if is_plain(status.kind) {
        setxattr(link.as_c_str(), KEPT, &list.written(), XattrFlags::empty())?;
    }
    chmodat(rustix::fs::CWD, link.as_c_str(), Mode::from_raw_mode(mode), AtFlags::empty())
}

fn mask_of(status: &str) -> Option<u32> {
    let text = status.lines().find_map(|line| line.strip_prefix("Umask:"))?;
    u32::from_str_radix(text.trim(), 8).ok()
}

/// The device that is meant; none for what is not a device, and for the one that anybody may make.
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
