//! A directory that a root file system is made in. Whatever is made is made in a directory that was opened name by name
//! from there, no name being a link: even a mistake elsewhere could not lead outside.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags, chmodat, chownat, fchmod, fchown,
    fsetxattr, futimens, mkdirat, openat, symlinkat, utimensat,
};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::survey::Place;
use crate::error::{Error, Result};
use crate::kernel::{self, PLACE, device, make_node, set_xattr_of_other};
use crate::layer::kept::{KEPT_PREFIX, has_one_id, is_kept};
use crate::progress::WarningKind;
use crate::sync::{locked, take};
use crate::tree::{
    Attributes, Kind, Object,
    path::{names, split},
};

/// Set-user-ID and set-group-ID.
const SET_ID: u32 = 0o6000;

/// The directory that all goes into.
pub struct UnpackRoot {
    root: OwnedFd,
    /// For errors.
    shown: PathBuf,
    /// Whether files can have other owners than who makes them.
    pub is_root: bool,
    /// Whose the files are.
    pub owners: Owners,
    left_out: Mutex<BTreeMap<Omission, (u64, Vec<u8>)>>,
}

/// Whose the files are that are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owners {
    /// Those that the layers name, if it is root who writes them; else the writer's.
    OfLayers,
    /// The writer's, whoever that is.
    Own,
}

/// The things that may be left out, for nobody's content is lost with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Omission {
    Device,
    SetId,
    Xattr,
}

impl UnpackRoot {
    /// Returns what all goes into: the open directory `root`, which errors call `shown`.
    pub fn new(root: BorrowedFd<'_>, shown: &Path, owners: Owners) -> Result<Self> {
        let root = root.try_clone_to_owned().map_err(|source| Error::io("open", shown, source))?;
        let is_root = owners == Owners::OfLayers && geteuid().is_root() && !has_one_id();
        let shown = shown.to_owned();
        Ok(UnpackRoot { root, shown, is_root, owners, left_out: Mutex::default() })
    }

    /// Returns the directory itself.
    pub fn root(&self) -> &OwnedFd {
        &self.root
    }

    /// Does what [`set`](Self::set) does, and tells of what was left out.
    pub fn settle(&self, object: impl AsFd, path: &[u8], attributes: &Attributes, mode: u32) -> Result<()> {
        let left_out = self.set(object, path, attributes, mode)?;
        self.leave_out(Omission::Xattr, path, left_out);
        Ok(())
    }

    /// Does what [`settle`](Self::settle) does, for a file that is new.
    pub fn settle_file(&self, file: impl AsFd, Place { path, node }: &Place<'_>) -> Result<()> {
        let attributes = node.attributes();
        self.leave_out_ids(path, attributes);
        self.settle(file, path, attributes, self.mode(attributes))
    }

    /// Sets attributes in the order that is right: a new owner clears set-user-ID bits and capabilities, and all of it changes
    /// times. Returns the number of extended attributes that were left out.
    pub fn set(&self, object: impl AsFd, path: &[u8], attributes: &Attributes, mode: u32) -> Result<u64> {
        let failed = |errno: Errno| self.failed("set the attributes of", path, errno.into());
        if self.is_root {
            let (user, group) = owner(attributes);
            fchown(&object, user, group).map_err(failed)?;
        }
        let left_out =
            self.xattrs(path, attributes, |name, value| fsetxattr(&object, name, value, XattrFlags::empty()))?;
        fchmod(&object, kernel::mode(mode)).map_err(failed)?;
        futimens(&object, &times(attributes)).map_err(failed)?;
        Ok(left_out)
    }

    /// Returns the mode that a file gets: in other hands, set-user-ID and set-group-ID bits would lend out other rights than
    /// were meant.
    pub fn mode(&self, attributes: &Attributes) -> u32 {
        if self.is_root || is_kept(attributes) { attributes.mode } else { attributes.mode & !SET_ID }
    }

    /// Tells of the bits that the file at `path` does [not get](Self::mode).
    pub fn leave_out_ids(&self, path: &[u8], attributes: &Attributes) {
        self.leave_out(Omission::SetId, path, (self.mode(attributes) != attributes.mode).into());
    }

    /// Returns how many were left out.
    fn xattrs(
        &self,
        path: &[u8],
        attributes: &Attributes,
        set: impl Fn(&[u8], &[u8]) -> Result<(), Errno>,
    ) -> Result<u64> {
        let mut left_out = 0;
        for (name, value) in &attributes.xattrs {
            match set(name, value) {
                Ok(()) => {}
                Err(Errno::PERM | Errno::ACCESS | Errno::NOTSUP) if !name.starts_with(KEPT_PREFIX) => left_out += 1,
                Err(errno) => {
                    let action = format!("set the extended attribute {} of", name.escape_ascii());
                    return Err(self.failed(&action, path, errno.into()));
                }
            }
        }
        Ok(left_out)
    }

    /// Takes it that so many things were left out at `path`; none is nothing to tell of.
    pub fn leave_out(&self, what: Omission, path: &[u8], times: u64) {
        if times == 0 {
            return;
        }
        let mut all = locked(&self.left_out);
        let (count, first) = all.entry(what).or_insert_with(|| (0, path.to_owned()));
        *count += times;
        // Threads come in any order; the words should not depend on it.
        if path < &first[..] {
            path.clone_into(first);
        }
    }

    /// Returns what was left out, in the order of [`Omission`], each with the words for it.
    pub fn left_out(&self) -> Vec<(WarningKind<'static>, String)> {
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

/// Directories that are made for files of which it is not known yet where they belong. There are few more of them than files that have
/// been read: a short layer of long paths does not make millions.
pub struct EarlyDirectories {
    made: Mutex<HashSet<Vec<u8>>>,
    left: AtomicU64,
}

/// So many may be made beside one for each file: in a layer that begins with deep directories they come before the files.
const EARLY: u64 = 4096;

impl EarlyDirectories {
    pub fn new() -> Self {
        EarlyDirectories { made: Mutex::default(), left: EARLY.into() }
    }

    /// Allows one more, as a file was read.
    pub fn allow(&self) {
        self.left.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the paths of those that were made.
    pub fn into_made(self) -> HashSet<Vec<u8>> {
        self.made.into_inner().unwrap_or_default()
    }

    /// Makes the one at `path`, which is `name` in `parent`, if it is not there. Fails as if the parent were not there if it is not
    /// allowed.
    fn make(&self, parent: &OwnedFd, name: &[u8], path: &[u8]) -> Result<(), Errno> {
        if !take(&self.left, 1) {
            return Err(Errno::NOENT);
        }
        match mkdirat(parent, name, Mode::RWXU) {
            Ok(()) => drop(locked(&self.made).insert(path.to_owned())),
            Err(Errno::EXIST) => self.allow(),
            Err(errno) => return Err(errno),
        }
        Ok(())
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

    /// Returns the directory that `path` is in, and its name there; the root is `.` in itself.
    pub fn parent<'p>(&mut self, path: &'p [u8]) -> Result<(BorrowedFd<'_>, &'p [u8])> {
        let (parent, name) = if path.is_empty() { (path, &b"."[..]) } else { split(path) };
        let target = self.target;
        let entered = self.enter(parent, None);
        entered.map(|directory| (directory, name)).map_err(|errno| target.failed("open", parent, errno.into()))
    }

    /// Goes to the directory at `path`. What is missing of it is made if it is among the `early` ones.
    pub fn enter(&mut self, path: &[u8], early: Option<&EarlyDirectories>) -> Result<BorrowedFd<'_>, Errno> {
        if self.path != path {
            let flags = PLACE | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let is_below =
                !self.path.is_empty() && path.strip_prefix(&self.path[..]).is_some_and(|rest| rest[0] == b'/');
            let (mut directory, mut at) = match (is_below, self.directory.take()) {
                (true, directory) => (directory, self.path.len() + 1),
                (false, _) => (None, 0),
            };
            // Should this fail, it is at the root again.
            self.path.clear();
            for part in names(&path[at..]) {
                let from = directory.as_ref().unwrap_or(&self.target.root);
                at += part.len() + 1;
                let opened = openat(from, part, flags, Mode::empty()).or_else(|errno| match (errno, early) {
                    (Errno::NOENT, Some(early)) => {
                        early.make(from, part, &path[..at - 1])?;
                        openat(from, part, flags, Mode::empty())
                    }
                    _ => Err(errno),
                });
                directory = Some(opened?);
            }
            (self.directory, self.path) = (directory, path.to_owned());
        }
        Ok(self.directory.as_ref().unwrap_or(&self.target.root).as_fd())
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
            Kind::CharacterDevice { major, minor } => (FileType::CharacterDevice, device(*major, *minor)),
            Kind::BlockDevice { major, minor } => (FileType::BlockDevice, device(*major, *minor)),
            // And these, too.
            Kind::File(_) | Kind::Directory | Kind::HardLink { .. } => return Ok(()),
        };
        let (target, (parent, name)) = (self.target, self.parent(path)?);
        match make_node(parent, name, kind, Mode::empty(), device) {
            Err(Errno::PERM) if kind != FileType::Fifo => {
                target.leave_out(Omission::Device, path, 1);
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
            let set = |attribute: &[u8], value: &[u8]| set_xattr_of_other(parent, name, attribute, value);
            let left_out = target.xattrs(path, attributes, set)?;
            target.leave_out(Omission::Xattr, path, left_out);
        }
        if !is_link {
            chmodat(parent, name, kernel::mode(attributes.mode), AtFlags::empty()).map_err(failed)?;
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
