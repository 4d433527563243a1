//! The directories in the root that stand in for `/proc` and `/sys`. What a process opens as a directory there is one of them,
//! and what the kernel itself is to find on its way: names and links, and no content. They are in the root, and lead nowhere
//! else; a command that changes them changes nothing but what it sees itself.

use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, StatxFlags, mkdirat, mknodat, openat, readlinkat, statat, statx,
    symlinkat, unlinkat,
};
use rustix::io::Errno;

use super::machine::{Component, TREES, Tree, read};
use crate::run::linux::operation::NODES;
use crate::run::linux::system::open_within;

/// What stands at a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stands {
    Directory,
    File,
    Link(Component),
}

pub(super) struct Skeleton {
    /// Those of `TREES`.
    tops: [OwnedFd; 2],
    /// What was made, by the numbers of its device and its inode: a path that leads there is not for the kernel.
    known: HashSet<(u64, u64)>,
    /// Files that stand for devices.
    devices: Vec<((u64, u64), &'static CStr)>,
}

/// As much as is known at a time.
const MOST_KNOWN: usize = 1 << 18;
/// As deep as directories of processes are when they go.
const DEEPEST: usize = 8;

const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const READ_ALL: Mode = Mode::from_bits_retain(0o444);
const SEARCH_ALL: Mode = Mode::from_bits_retain(0o555);

impl Skeleton {
    /// Opens the empty directories in `root`.
    pub(super) fn new(root: BorrowedFd<'_>) -> Result<Skeleton, Errno> {
        // The image may have links there; its commands have not begun.
        let within = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let open = |tree: Tree| {
            let name = CString::new(tree.name()).unwrap_or_default();
            open_within(root, &name, DIRECTORY.difference(OFlags::NOFOLLOW), within)
        };
        let tops = [open(TREES[0])?, open(TREES[1])?];
        let devices = NODES.iter().filter_map(|(name, ..)| Some((device_file(root, name)?, *name))).collect();
        let mut skeleton = Skeleton { tops, known: HashSet::new(), devices };
        skeleton.forget();
        Ok(skeleton)
    }

    /// Leaves known what was there from the start.
    fn forget(&mut self) {
        let tops = self.tops.iter().filter_map(|top| mark(top).ok());
        self.known = tops.chain(self.devices.iter().map(|(mark, _)| *mark)).collect();
    }

    /// Returns which device `object` stands for.
    pub(super) fn device(&self, object: &OwnedFd) -> Option<&'static CStr> {
        let mark = mark(object).ok().filter(|_| !self.devices.is_empty())?;
        self.devices.iter().find(|(device, _)| *device == mark).map(|(_, name)| *name)
    }

    /// Returns whether `object` is a part of it.
    pub(super) fn has(&self, object: &OwnedFd) -> bool {
        mark(object).is_ok_and(|mark| self.known.contains(&mark))
    }

    /// Returns which directory `object` is.
    pub(super) fn top(&self, object: &OwnedFd) -> Option<Tree> {
        let mark = mark(object).ok()?;
        TREES.into_iter().find(|tree| self::mark(&self.tops[*tree as usize]) == Ok(mark))
    }

    /// Sees to it that this stands at `names`, whose directory does.
    pub(super) fn put(&mut self, tree: Tree, names: &[Component], stands: &Stands) -> Result<(), Errno> {
        let Some((name, above)) = names.split_last() else { return Ok(()) };
        let directory = self.open(tree, above, DIRECTORY)?;
        self.put_in(directory.as_fd(), name, stands)
    }

    fn put_in(&mut self, directory: BorrowedFd<'_>, name: &[u8], stands: &Stands) -> Result<(), Errno> {
        let name = CString::new(name).map_err(|_| Errno::INVAL)?;
        let name = name.as_c_str();
        if let Ok(there) = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            let is_it = match (stands, FileType::from_raw_mode(there.st_mode)) {
                (Stands::Directory, FileType::Directory) | (Stands::File, FileType::RegularFile) => true,
                (Stands::Link(text), FileType::Symlink) => {
                    readlinkat(directory, name, Vec::new()).is_ok_and(|there| there.to_bytes() == text)
                }
                _ => false,
            };
            if is_it {
                self.known.insert((there.st_dev, there.st_ino));
                return Ok(());
            }
            remove(directory, name.to_bytes(), DEEPEST);
        }
        match stands {
            Stands::Directory => mkdirat(directory, name, SEARCH_ALL)?,
            Stands::File => mknodat(directory, name, FileType::RegularFile, READ_ALL, 0)?,
            Stands::Link(text) => symlinkat(text.as_slice(), directory, name)?,
        }
        let made = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if self.known.len() == MOST_KNOWN {
            // The kernel then finds what was made before, which is empty.
            self.forget();
        }
        self.known.insert((made.st_dev, made.st_ino));
        Ok(())
    }

    /// Sees to it that the directory at `names` holds this and nothing else.
    pub(super) fn fill(
        &mut self,
        tree: Tree,
        names: &[Component],
        entries: &[(Component, Stands)],
    ) -> Result<(), Errno> {
        let directory = self.open(tree, names, DIRECTORY)?;
        let wanted: HashSet<&[u8]> = entries.iter().map(|(name, _)| &name[..]).collect();
        for name in read(directory.as_fd())? {
            if !wanted.contains(&name[..]) {
                remove(directory.as_fd(), &name, DEEPEST);
            }
        }
        entries.iter().try_for_each(|(name, stands)| self.put_in(directory.as_fd(), name, stands))
    }

    /// Opens what stands at `names`, a link not followed.
    pub(super) fn open(&self, tree: Tree, names: &[Component], flags: OFlags) -> Result<OwnedFd, Errno> {
        let path = if names.is_empty() { b".".to_vec() } else { names.join(&b'/') };
        let path = CString::new(path).map_err(|_| Errno::INVAL)?;
        // A command may have put links there.
        let within = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        open_within(&self.tops[tree as usize], &path, flags | OFlags::CLOEXEC, within)
    }
}

/// The file in place of a device, if there is one.
fn device_file(root: BorrowedFd<'_>, name: &CStr) -> Option<(u64, u64)> {
    let within = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let directory = open_within(root, c"dev", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, within).ok()?;
    let status = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    let is_file = FileType::from_raw_mode(status.st_mode) == FileType::RegularFile;
    is_file.then_some((status.st_dev, status.st_ino))
}

fn mark(object: &OwnedFd) -> Result<(u64, u64), Errno> {
    let status = statx(object, c"", AtFlags::EMPTY_PATH, StatxFlags::INO)?;
    Ok((rustix::fs::makedev(status.stx_dev_major, status.stx_dev_minor), status.stx_ino))
}

/// Removes what is called so, as far as that can be done: single names in open directories are all that is used, and no link is
/// followed.
fn remove(directory: BorrowedFd<'_>, name: &[u8], depth: usize) {
    let Ok(text) = CString::new(name) else { return };
    match unlinkat(directory, text.as_c_str(), AtFlags::empty()) {
        Err(Errno::ISDIR | Errno::PERM) => {}
        _ => return,
    }
    if unlinkat(directory, text.as_c_str(), AtFlags::REMOVEDIR) == Err(Errno::NOTEMPTY) && depth > 0 {
        let Ok(within) = openat(directory, text.as_c_str(), DIRECTORY, Mode::empty()) else { return };
        for name in read(within.as_fd()).unwrap_or_default() {
            remove(within.as_fd(), &name, depth - 1);
        }
        let _ = unlinkat(directory, text.as_c_str(), AtFlags::REMOVEDIR);
    }
}
