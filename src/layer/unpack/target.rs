//! A directory that a root file system is made in. Whatever is made is made in a directory that was opened name by name
//! from there, no name being a link: even a mistake elsewhere could not lead outside.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags, chmodat, chownat, fchmod, fchown,
    fsetxattr, futimens, lsetxattr, makedev, mknodat, openat, symlinkat, utimensat,
};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::survey::Place;
use crate::error::{Error, Result};
use crate::layer::kept::{KEPT_PREFIX, has_one_id};
use crate::progress::WarningKind;
use crate::sync::locked;
use crate::tree::{
    Attributes, Kind, Object,
    path::{names, split},
};

/// The directory that all goes into.
pub struct UnpackRoot {
    root: OwnedFd,
    /// For errors.
    shown: PathBuf,
    /// Whether files can have other owners than who makes them.
    pub is_root: bool,
    left_out: Mutex<BTreeMap<Omission, (u64, Vec<u8>)>>,
}

/// The things that may be left out, for nobody's content is lost with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Omission {
    Device,
    SetId,
    Xattr,
}

impl UnpackRoot {
    /// All goes into the open directory `root`, which errors call `shown`.
    pub fn new(root: BorrowedFd<'_>, shown: &Path) -> Result<Self> {
        let root = root.try_clone_to_owned().map_err(|source| Error::io("open", shown, source))?;
        let (shown, is_root) = (shown.to_owned(), geteuid().is_root() && !has_one_id());
        Ok(UnpackRoot { root, shown, is_root, left_out: Mutex::default() })
    }

    /// In the order that is right: a new owner clears set-user-ID bits and capabilities, and all of it changes times.
    pub fn settle(&self, object: impl AsFd, path: &[u8], attributes: &Attributes, mode: u32) -> Result<()> {
        let failed = |errno: Errno| self.failed("set the attributes of", path, errno.into());
        if self.is_root {
            let (user, group) = owner(attributes);
            fchown(&object, user, group).map_err(failed)?;
        }
        self.xattrs(path, attributes, |name, value| fsetxattr(&object, name, value, XattrFlags::empty()))?;
        fchmod(&object, Mode::from_raw_mode(mode)).map_err(failed)?;
        futimens(&object, &times(attributes)).map_err(failed)
    }

    fn xattrs(
        &self,
        path: &[u8],
        attributes: &Attributes,
        set: impl Fn(&[u8], &[u8]) -> Result<(), Errno>,
    ) -> Result<()> {
        for (name, value) in &attributes.xattrs {
            match set(name, value) {
                Ok(()) => {}
                Err(Errno::PERM | Errno::ACCESS | Errno::NOTSUP) if !name.starts_with(KEPT_PREFIX) => {
                    self.leave_out(Omission::Xattr, path);
                }
                Err(errno) => {
                    let action = format!("set the extended attribute {} of", name.escape_ascii());
                    return Err(self.failed(&action, path, errno.into()));
                }
            }
        }
        Ok(())
    }

    pub fn leave_out(&self, what: Omission, path: &[u8]) {
        let mut all = locked(&self.left_out);
        let (count, first) = all.entry(what).or_insert_with(|| (0, path.to_owned()));
        *count += 1;
        // Threads come in any order; the words should not depend on it.
        if path < &first[..] {
            path.clone_into(first);
        }
    }

    /// Returns what was left out, in the order of [`Omission`], each with the words for it.
    pub fn left_out(&self) -> Vec<(WarningKind, String)> {
        let all = locked(&self.left_out);
        all.iter()
            .map(|(what, (count, first))| {
                let which = format!("({count}, /{} the first)", first.escape_ascii());
                match what {
                    Omission::Device => {
                        (WarningKind::DeviceLeftOut, format!("devices were left out {which}: only root can make them"))
                    }
                    Omission::SetId => (
                        WarningKind::SetIdLeftOut,
                        format!(
                            "set-user-ID and set-group-ID bits were left out {which}: the files have another owner now"
                        ),
                    ),
                    Omission::Xattr => (
                        WarningKind::XattrLeftOut,
                        format!(
                            "extended attributes were left out {which}: the file system has none, or only root may set \
                             them"
                        ),
                    ),
                }
            })
            .collect()
    }

    pub fn failed(&self, action: &str, path: &[u8], source: io::Error) -> Error {
        Error::io(action, self.shown.join(OsStr::from_bytes(path)), source)
    }
}

/// Goes from parent to parent. What follows in a layer mostly lies in the same directory, which then stays open.
pub struct Cursor<'a> {
    target: &'a UnpackRoot,
    path: Vec<u8>,
    /// None for the root.
    directory: Option<OwnedFd>,
}

impl<'a> Cursor<'a> {
    pub fn new(target: &'a UnpackRoot) -> Self {
        Cursor { target, path: Vec::new(), directory: None }
    }

    /// The directory that `path` is in, and its name there; the root is `.` in itself.
    pub fn parent<'p>(&mut self, path: &'p [u8]) -> Result<(BorrowedFd<'_>, &'p [u8])> {
        let (parent, name) = if path.is_empty() { (path, &b"."[..]) } else { split(path) };
        if self.path != parent {
            let mut directory: Option<OwnedFd> = None;
            for part in names(parent) {
                let from = directory.as_ref().unwrap_or(&self.target.root);
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let opened = openat(from, part, flags, Mode::empty());
                directory = Some(opened.map_err(|errno| self.target.failed("open", parent, errno.into()))?);
            }
            (self.directory, self.path) = (directory, parent.to_owned());
        }
        Ok((self.directory.as_ref().unwrap_or(&self.target.root).as_fd(), name))
    }

    pub fn open(&mut self, path: &[u8], flags: OFlags) -> Result<OwnedFd> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let action = if flags.contains(OFlags::CREATE) { "create" } else { "open" };
        let (target, (parent, name)) = (self.target, self.parent(path)?);
        openat(parent, name, flags, Mode::RUSR | Mode::WUSR).map_err(|errno| target.failed(action, path, errno.into()))
    }

    pub fn make(&mut self, path: &[u8], make: impl FnOnce(BorrowedFd<'_>, &[u8]) -> Result<(), Errno>) -> Result<()> {
        let (target, (parent, name)) = (self.target, self.parent(path)?);
        make(parent, name).map_err(|errno| target.failed("create", path, errno.into()))
    }

    /// Makes what is neither a file nor a directory.
    pub fn other(&mut self, place: &Place<'_>) -> Result<()> {
        let Place { path, node } = place;
        // The survey has directories elsewhere.
        let Object::Other(kind) = node.object() else { return Ok(()) };
        let (kind, device) = match kind {
            Kind::Symlink { target } => {
                self.make(path, |parent, name| symlinkat(target.as_slice(), parent, name))?;
                return self.settle_other(path, node.attributes(), true);
            }
            Kind::Fifo => (FileType::Fifo, 0),
            Kind::CharacterDevice { major, minor } => (FileType::CharacterDevice, makedev(*major, *minor)),
            Kind::BlockDevice { major, minor } => (FileType::BlockDevice, makedev(*major, *minor)),
            // And these, too.
            Kind::File(_) | Kind::Directory | Kind::HardLink { .. } => return Ok(()),
        };
        let (target, (parent, name)) = (self.target, self.parent(path)?);
        match mknodat(parent, name, kind, Mode::empty(), device) {
            Err(Errno::PERM) if kind != FileType::Fifo => {
                target.leave_out(Omission::Device, path);
                Ok(())
            }
            Err(errno) => Err(target.failed("create", path, errno.into())),
            Ok(()) => self.settle_other(path, node.attributes(), false),
        }
    }

    /// As [`UnpackRoot::settle`], for what cannot be opened: by its name, which was made just before.
    fn settle_other(&mut self, path: &[u8], attributes: &Attributes, is_link: bool) -> Result<()> {
        let (target, (parent, name)) = (self.target, self.parent(path)?);
        let failed = |errno: Errno| target.failed("set the attributes of", path, errno.into());
        if target.is_root {
            let (user, group) = owner(attributes);
            chownat(parent, name, user, group, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
        }
        if !attributes.xattrs.is_empty() {
            // There is no call that takes a directory and a name.
            let through = [format!("/proc/self/fd/{}/", parent.as_raw_fd()).as_bytes(), name].concat();
            target.xattrs(path, attributes, |name, value| {
                lsetxattr(through.as_slice(), name, value, XattrFlags::empty())
            })?;
        }
        if !is_link {
            let mode = Mode::from_raw_mode(attributes.mode);
            chmodat(parent, name, mode, AtFlags::empty()).map_err(failed)?;
        }
        utimensat(parent, name, &times(attributes), AtFlags::SYMLINK_NOFOLLOW).map_err(failed)
    }
}

fn owner(attributes: &Attributes) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(attributes.user)), Some(Gid::from_raw(attributes.group)))
}

fn times(attributes: &Attributes) -> Timestamps {
    let time = Timespec { tv_sec: attributes.modified.seconds, tv_nsec: attributes.modified.nanoseconds.into() };
    Timestamps { last_access: time, last_modification: time }
}
