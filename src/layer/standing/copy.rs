//! Directories are copied one over the other, as overlayfs would show them.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, chown, fchown, lchown, symlink};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, SeekFrom, Timespec, Timestamps, chmodat, seek, utimensat};
use rustix::io::Errno;
use xattr::FileExt;

use super::devices::{Device, Devices};
use crate::error::{Error, Result};
use crate::kernel::{copy_range, make_node, mode, share_blocks};
use crate::layer::stack::{is_opaque, is_whiteout, within};
use crate::sync::locked;
use crate::tree::joined;

/// The attributes that overlayfs keeps for itself.
const OVERLAYS: [&[u8]; 2] = [b"user.overlay.", b"trusted.overlay."];

/// Copies all that is in the directory `from` into the empty directory `to`, and gives that the attributes of `from`, too.
pub fn copy(from: &Path, to: &Path, devices: Devices) -> Result<()> {
    TreeCopy::new(from, to, devices).run().map(drop)
}

/// Makes the empty directory `to`, on the file system of `from`, a second tree of what is in that: directories of its own,
/// and the same files.
pub fn link(from: &Path, to: &Path) -> Result<()> {
    TreeCopy { names: FileNames::Shared, ..TreeCopy::new(from, to, Devices::Live) }.run().map(drop)
}

/// Puts a copy of the file at `path` in its place: what was there stays what it is under its other names.
pub fn replace_by_copy(path: &Path) -> Result<()> {
    let metadata = fs::symlink_metadata(path).map_err(|source| Error::io("read", path, source))?;
    let beside = path.with_file_name(format!(".ocibake-{:016x}", metadata.ino()));
    copy_one(path, &beside, &metadata)?;
    fs::rename(&beside, path).map_err(|source| Error::io("create", path, source))
}

/// Gives the directory `to` the attributes of the directory `from`.
pub fn settle_as(from: &Path, to: &Path) -> Result<()> {
    let metadata = fs::symlink_metadata(from).map_err(|source| Error::io("read", from, source))?;
    settle(from, to, &metadata)
}

/// One directory that is being copied over another.
pub(super) struct TreeCopy<'a> {
    from: &'a Path,
    to: &'a Path,
    devices: Devices,
    /// The first name of each file that has several, by inode.
    first: Mutex<HashMap<u64, Vec<u8>>>,
    /// Further names, and the first one of each.
    links: Mutex<Vec<(Vec<u8>, Vec<u8>)>>,
    dead: Mutex<HashMap<u64, Device>>,
    /// The file system has no blocks that several files share.
    is_plain: AtomicBool,
    /// What becomes of files, and of their names.
    names: FileNames,
}

/// What becomes of files in a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FileNames {
    /// Names of one file stay names of one.
    Together,
    /// Each name is a file of its own.
    Apart,
    /// Files are not copied but get one more name.
    Shared,
}

/// What came of a copy.
pub(super) struct Copied {
    /// The paths of the directories that were copied, those above first.
    pub(super) directories: Vec<Vec<u8>>,
    /// The dead nodes that were made, by inode.
    pub(super) dead: HashMap<u64, Device>,
}

impl<'a> TreeCopy<'a> {
    pub(super) fn new(from: &'a Path, to: &'a Path, devices: Devices) -> Self {
        let (first, links, dead, is_plain) = Default::default();
        TreeCopy { from, to, devices, first, links, dead, is_plain, names: FileNames::Together }
    }

    /// Makes each name of a file one of its own.
    pub(super) fn apart(self) -> Self {
        TreeCopy { names: FileNames::Apart, ..self }
    }

    /// Copies all.
    pub(super) fn run(self) -> Result<Copied> {
        let mut levels: Vec<Vec<Vec<u8>>> = vec![vec![Vec::new()]];
        while let Some(level) = levels.last().filter(|level| !level.is_empty()) {
            let below = level.par_iter().map(|path| self.directory(path)).collect::<Result<Vec<_>>>()?;
            levels.push(below.concat());
        }
        let links = self.links.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        for (path, first) in links {
            let (first, path) = (within(self.to, &first), within(self.to, &path));
            anew(&path, || fs::hard_link(&first, &path)).map_err(|source| Error::io("create", &path, source))?;
        }
        // What is put into a directory changes its time, and its mode may let nobody in.
        for level in levels.iter().rev() {
            level.par_iter().try_for_each(|path| {
                let from = within(self.from, path);
                let metadata = fs::symlink_metadata(&from).map_err(|source| Error::io("read", &from, source))?;
                settle(&from, &within(self.to, path), &metadata)
            })?;
        }
        let dead = self.dead.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        Ok(Copied { directories: levels.concat(), dead })
    }

    /// Copies what is in the directory at `path`, and returns the directories among that.
    fn directory(&self, path: &[u8]) -> Result<Vec<Vec<u8>>> {
        let directory = within(self.from, path);
        let failed = |source| Error::io("list", &directory, source);
        let names = fs::read_dir(&directory).map_err(failed)?.map(|entry| Ok(entry?.file_name()));
        let names = names.collect::<io::Result<Vec<OsString>>>().map_err(failed)?;
        let copied = names.par_iter().with_min_len(16).map(|name| {
            let path = joined(path, name.as_bytes());
            Ok(self.one(&path)?.then_some(path))
        });
        Ok(copied.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    /// Copies what is at `path`, without what is in it; returns whether it is a directory.
    fn one(&self, path: &[u8]) -> Result<bool> {
        let (from, to) = (within(self.from, path), within(self.to, path));
        let metadata = fs::symlink_metadata(&from).map_err(|source| Error::io("read", &from, source))?;
        if is_whiteout(&from, &metadata)? {
            remove(&to).map_err(|source| Error::io("remove", &to, source))?;
            return Ok(false);
        }
        if metadata.is_dir() {
            self.enter(&from, &to)?;
            return Ok(true);
        }
        if metadata.is_file() && metadata.nlink() > 1 && self.names == FileNames::Together {
            match locked(&self.first).entry(metadata.ino()) {
                Slot::Vacant(slot) => drop(slot.insert(path.to_vec())),
                Slot::Occupied(slot) => {
                    locked(&self.links).push((path.to_vec(), slot.get().clone()));
                    return Ok(false);
                }
            }
        }
        self.object(&from, &to, &metadata)?;
        Ok(false)
    }

    /// Makes the directory `to` if it is not there.
    fn enter(&self, from: &Path, to: &Path) -> Result<()> {
        let failed = |source| Error::io("create", to, source);
        let is_there = fs::symlink_metadata(to).is_ok_and(|there| there.is_dir());
        if is_there && !is_opaque(from)? {
            return Ok(());
        }
        anew(to, || fs::DirBuilder::new().mode(0o700).create(to)).map_err(failed)
    }

    /// Copies what is not a directory.
    fn object(&self, from: &Path, to: &Path, metadata: &Metadata) -> Result<()> {
        let failed = |source| Error::io("create", to, source);
        let kind = metadata.file_type();
        if kind.is_file() && self.names == FileNames::Shared && fs::hard_link(from, to).is_ok() {
            return Ok(());
        }
        if kind.is_file() {
            return anew(to, || self.file(from, to, metadata)).map_err(failed);
        }
        let node = |kind, number| Ok(make_node(CWD, to, kind, Mode::RUSR | Mode::WUSR, number)?);
        if kind.is_symlink() {
            let target = fs::read_link(from).map_err(|source| Error::io("read", from, source))?;
            anew(to, || symlink(&target, to)).map_err(failed)?;
        } else if kind.is_fifo() {
            anew(to, || node(FileType::Fifo, 0)).map_err(failed)?;
        } else if kind.is_block_device() || kind.is_char_device() {
            if !self.device(to, Device { is_block: kind.is_block_device(), number: metadata.rdev() })? {
                return Ok(());
            }
        } else {
            // A socket without who listens.
            return Ok(());
        }
        settle(from, to, metadata)
    }

    /// Makes the node of a device, or one in its place; returns whether there is one now.
    fn device(&self, to: &Path, device: Device) -> Result<bool> {
        let failed = |source| Error::io("create", to, source);
        match self.devices {
            Devices::Live => match anew(to, || device.make(to)) {
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(false),
                made => made.map(|()| true).map_err(failed),
            },
            Devices::Dead => {
                anew(to, || Device::NONE.make(to)).map_err(failed)?;
                let made = fs::symlink_metadata(to).map_err(failed)?;
                locked(&self.dead).insert(made.ino(), device);
                Ok(true)
            }
        }
    }

    fn file(&self, from: &Path, to: &Path, metadata: &Metadata) -> io::Result<()> {
        let source = open(from)?;
        let target = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
        if metadata.size() > 0 && !self.share(&source, &target) {
            fill(&source, &target, metadata)?;
        }
        fchown(&target, Some(metadata.uid()), Some(metadata.gid()))?;
        for name in source.list_xattr().into_iter().flatten().filter(|name| !is_overlays(name.as_bytes())) {
            if let Some(value) = source.get_xattr(&name)? {
                allowed(target.set_xattr(&name, &value))?;
            }
        }
        rustix::fs::fchmod(&target, mode(metadata.mode()))?;
        Ok(rustix::fs::futimens(&target, &times(metadata))?)
    }

    /// Makes `target` a file that has the blocks of `source`; returns whether that is done.
    fn share(&self, source: &File, target: &File) -> bool {
        if self.is_plain.load(Ordering::Relaxed) {
            return false;
        }
        let is_shared = share_blocks(source, target).is_ok();
        if !is_shared {
            self.is_plain.store(true, Ordering::Relaxed);
        }
        is_shared
    }
}

/// Copies the file or link `from` to where nothing is, with all that it is.
pub(super) fn copy_one(from: &Path, to: &Path, metadata: &Metadata) -> Result<()> {
    TreeCopy::new(from, to, Devices::Live).object(from, to, metadata)
}

/// Calls `make`, and once more where something was in the way, which is removed.
fn anew<T>(path: &Path, make: impl Fn() -> io::Result<T>) -> io::Result<T> {
    match make() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            remove(path)?;
            make()
        }
        made => made,
    }
}

/// Removes what is at `path`, if something is, and all that is in it.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(there) if there.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

/// Copies the content of `source`. Holes stay holes, for files that look large may have nothing in them.
fn fill(source: &File, target: &File, metadata: &Metadata) -> io::Result<()> {
    let size = metadata.size();
    if metadata.blocks() * 512 >= size {
        return fill_part(source, target, 0..size);
    }
    rustix::fs::ftruncate(target, size)?;
    let mut at = 0;
    while at < size {
        let start = match seek(source, SeekFrom::Data(at)) {
            // Nothing else comes.
            Err(Errno::NXIO) => break,
            found => found?,
        };
        let end = seek(source, SeekFrom::Hole(start))?;
        fill_part(source, target, start..end)?;
        at = end;
    }
    Ok(())
}

fn fill_part(source: &File, target: &File, part: std::ops::Range<u64>) -> io::Result<()> {
    let (mut from, mut to) = (part.start, part.start);
    while from < part.end {
        let length = usize::try_from(part.end - from).unwrap_or(usize::MAX).min(1 << 30);
        match copy_range((source, &mut from), (target, &mut to), length) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) | Err(Errno::INTR) => {}
            // The kernel cannot do it between those two.
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM) => {
                return fill_by_hand(source, target, from..part.end);
            }
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

fn fill_by_hand(source: &File, target: &File, part: std::ops::Range<u64>) -> io::Result<()> {
    use std::os::unix::fs::FileExt;
    let mut buffer = vec![0; usize::try_from(part.end - part.start).unwrap_or(usize::MAX).min(1 << 20)];
    let mut at = part.start;
    while at < part.end {
        let room = usize::try_from(part.end - at).unwrap_or(usize::MAX).min(buffer.len());
        source.read_exact_at(&mut buffer[..room], at)?;
        target.write_all_at(&buffer[..room], at)?;
        at += room as u64;
    }
    Ok(())
}

/// Gives `to`, which is not a file with content, the attributes of `from`.
pub(super) fn settle(from: &Path, to: &Path, metadata: &Metadata) -> Result<()> {
    settled(from, to, metadata).map_err(|source| Error::io("set the attributes of", to, source))
}

fn settled(from: &Path, to: &Path, metadata: &Metadata) -> io::Result<()> {
    let is_link = metadata.is_symlink();
    let (user, group) = (Some(metadata.uid()), Some(metadata.gid()));
    if is_link {
        lchown(to, user, group)?
    } else {
        chown(to, user, group)?
    }
    let names = |path: &Path| -> Vec<OsString> {
        xattr::list(path).into_iter().flatten().filter(|name| !is_overlays(name.as_bytes())).collect()
    };
    let own = names(from);
    for name in &own {
        if let Some(value) = xattr::get(from, name)? {
            allowed(xattr::set(to, name, &value))?;
        }
    }
    // A directory that was there before may have others.
    for name in names(to).iter().filter(|name| !own.contains(name)) {
        allowed(xattr::remove(to, name))?;
    }
    if !is_link {
        chmodat(CWD, to, mode(metadata.mode()), AtFlags::empty())?;
    }
    Ok(utimensat(CWD, to, &times(metadata), AtFlags::SYMLINK_NOFOLLOW)?)
}

fn times(metadata: &Metadata) -> Timestamps {
    let time = |tv_sec, tv_nsec| Timespec { tv_sec, tv_nsec };
    Timestamps {
        last_access: time(metadata.atime(), metadata.atime_nsec()),
        last_modification: time(metadata.mtime(), metadata.mtime_nsec()),
    }
}

/// What only the machine may set stays behind.
fn allowed(set: io::Result<()>) -> io::Result<()> {
    match set {
        Err(error) if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported) => Ok(()),
        set => set,
    }
}

fn is_overlays(name: &[u8]) -> bool {
    OVERLAYS.iter().any(|prefix| name.starts_with(prefix))
}
