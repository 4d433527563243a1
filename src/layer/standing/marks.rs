//! What there is in a directory, by marks that programs cannot choose.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rayon::prelude::*;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, StatxFlags, openat, statx};
use rustix::io::Errno;
use rustix::path::Arg;

use crate::error::{Error, Result};
use crate::layer::stack::within;
use crate::tree::{joined, parent};

/// The marks of all that is in a directory, itself included. Nodes with the numbers of a whiteout are taken for nothing: nobody
/// but a command makes them, and an overlay would have refused it.
#[derive(Debug)]
pub(super) struct ObjectMarks {
    root: ObjectMark,
    /// What is in each directory, by the path of that.
    directories: HashMap<Vec<u8>, Listed>,
    /// No mark has a later time of change.
    newest: (i64, u32),
}

/// What is in a directory, sorted by name.
type Listed = Vec<(Box<[u8]>, ObjectMark)>;

/// What tells an object from another, and from what it was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ObjectMark {
    pub(super) kind: FileType,
    pub(super) inode: u64,
    links: u32,
    pub(super) size: u64,
    /// What it stands for if it is a device.
    pub(super) device: u64,
    /// When it was made, as far as the file system knows. Here and below: seconds and nanoseconds.
    born: (i64, u32),
    changed: (i64, u32),
    pub(super) modified: (i64, u32),
}

/// What differs between two looks at a directory.
#[derive(Debug, Default)]
pub(super) struct Differences {
    /// What is new, or is not what it was.
    pub(super) changed: BTreeMap<Vec<u8>, ObjectMark>,
    /// What is not there any more, without what was in it.
    pub(super) gone: BTreeSet<Vec<u8>>,
}

/// No clock of a file system goes in larger steps.
const LONGEST_STEP: Duration = Duration::from_secs(3);

/// In bytes: as much of a directory is read at a time.
const NAMES_AT_ONCE: usize = 16 << 10;

impl ObjectMarks {
    /// Looks at all that is in `root`; no link is followed.
    pub(super) fn of(root: &Path) -> Result<ObjectMarks> {
        let mark = ObjectMark::of(root)?;
        let mut marks = ObjectMarks { root: mark, directories: HashMap::new(), newest: mark.changed };
        let found = Look { marks: &marks, root: open(root)?, shown: root }.at(vec![Vec::new()], &|_| true)?;
        marks.note(found);
        Ok(marks)
    }

    /// Looks at all of `root` again, notes it, and returns what differs.
    pub(super) fn look_again(&mut self, root: &Path) -> Result<Differences> {
        let look = Look { marks: self, root: open(root)?, shown: root };
        let found = look.at(vec![Vec::new()], &|_| true)?;
        let mut differences = Differences::default();
        found.iter().for_each(|directory| differences.add(directory, self.listed(&directory.path)));
        self.root = ObjectMark::of(root)?;
        self.note(found);
        Ok(differences)
    }

    /// Looks again at what is in `directories` of `root`, and notes it. New ones are among them.
    pub(super) fn renew(&mut self, root: &Path, directories: Vec<Vec<u8>>) -> Result<()> {
        let look = Look { marks: self, root: open(root)?, shown: root };
        let found = look.at(directories, &|_| false)?;
        self.root = ObjectMark::of(root)?;
        self.newest = self.newest.max(self.root.changed);
        self.note(found);
        Ok(())
    }

    pub(super) fn get(&self, path: &[u8]) -> Option<&ObjectMark> {
        let Some(above) = parent(path) else { return Some(&self.root) };
        let listed = self.listed(above);
        let name = path.rsplit(|byte| *byte == b'/').next()?;
        Some(&listed[position(listed, name).ok()?].1)
    }

    /// Returns the paths of all that is there but the root.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Vec<u8>, &ObjectMark)> {
        let below = |(path, listed): (&Vec<u8>, _)| {
            let path = path.clone();
            let listed: &Listed = listed;
            listed.iter().map(move |(name, mark)| (joined(&path, name), mark))
        };
        self.directories.iter().flat_map(below)
    }

    /// Returns when whatever is changed in `root` has another time of change than all that is there.
    pub(super) fn outlast(&self, root: &Path) -> Result<()> {
        let beside = root.parent().unwrap_or(root);
        let failed = |source: io::Error| Error::io("create a file in", beside, source);
        let probe: File = tempfile::tempfile_in(beside).map_err(failed)?;
        let begin = Instant::now();
        loop {
            probe.set_permissions(fs::Permissions::from_mode(0o600)).map_err(failed)?;
            let now =
                statx(&probe, c"", AtFlags::EMPTY_PATH, StatxFlags::CTIME).map_err(|errno| failed(errno.into()))?;
            // A clock that was set back never comes there, and gives other times all the same.
            if (now.stx_ctime.tv_sec, now.stx_ctime.tv_nsec) > self.newest || begin.elapsed() > LONGEST_STEP {
                return Ok(());
            }
            sleep(Duration::from_millis(1));
        }
    }

    fn listed(&self, directory: &[u8]) -> &[(Box<[u8]>, ObjectMark)] {
        self.directories.get(directory).map(Vec::as_slice).unwrap_or_default()
    }

    fn note(&mut self, found: Vec<FoundDirectory>) {
        for FoundDirectory { path, listed } in found {
            let newest = listed.iter().map(|(_, mark)| mark.changed).max();
            self.newest = newest.map_or(self.newest, |newest| self.newest.max(newest));
            let is_directory =
                |name: &[u8]| position(&listed, name).is_ok_and(|number| listed[number].1.kind == FileType::Directory);
            let was = self.listed(&path).iter().filter(|(_, mark)| mark.kind == FileType::Directory);
            let lost: Vec<_> =
                was.filter(|(name, _)| !is_directory(name)).map(|(name, _)| joined(&path, name)).collect();
            lost.into_iter().for_each(|path| self.forget(path));
            self.directories.insert(path, listed);
        }
    }

    /// Forgets what is in the directory at `path`, and in those below it.
    fn forget(&mut self, path: Vec<u8>) {
        let mut left = vec![path];
        while let Some(path) = left.pop() {
            let listed = self.directories.remove(&path).unwrap_or_default();
            let below = listed.iter().filter(|(_, mark)| mark.kind == FileType::Directory);
            left.extend(below.map(|(name, _)| joined(&path, name)));
        }
    }
}

impl Differences {
    /// Adds what differs in `directory` from what `was` in it.
    fn add(&mut self, directory: &FoundDirectory, mut was: &[(Box<[u8]>, ObjectMark)]) {
        let mut is = &directory.listed[..];
        let path = |name: &[u8]| joined(&directory.path, name);
        loop {
            let order = match (is.first(), was.first()) {
                (None, None) => return,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((name, _)), Some((known, _))) => name.cmp(known),
            };
            let same = order.is_eq() && is[0].1 == was[0].1;
            if order.is_le() && !same {
                self.changed.insert(path(&is[0].0), is[0].1);
            }
            if order.is_gt() {
                self.gone.insert(path(&was[0].0));
            }
            is = &is[usize::from(order.is_le())..];
            was = &was[usize::from(order.is_ge())..];
        }
    }
}

impl ObjectMark {
    /// Looks at `path`, which is not followed if it is a link.
    fn of(path: &Path) -> Result<ObjectMark> {
        Self::at(CWD, path, AtFlags::SYMLINK_NOFOLLOW).map_err(|errno| Error::io("look at", path, errno.into()))
    }

    fn is_whiteout(&self) -> bool {
        self.kind == FileType::CharacterDevice && self.device == 0
    }

    fn at(directory: impl AsFd, name: impl Arg, flags: AtFlags) -> Result<ObjectMark, Errno> {
        let status = statx(directory, name, flags, StatxFlags::BASIC_STATS | StatxFlags::BTIME)?;
        let time = |time: rustix::fs::StatxTimestamp| (time.tv_sec, time.tv_nsec);
        Ok(ObjectMark {
            kind: FileType::from_raw_mode(status.stx_mode.into()),
            inode: status.stx_ino,
            links: status.stx_nlink,
            size: status.stx_size,
            device: rustix::fs::makedev(status.stx_rdev_major, status.stx_rdev_minor),
            born: time(status.stx_btime),
            changed: time(status.stx_ctime),
            modified: time(status.stx_mtime),
        })
    }
}

/// A look at what is in a root.
struct Look<'a> {
    /// What was noted of it.
    marks: &'a ObjectMarks,
    root: OwnedFd,
    /// Its path in errors.
    shown: &'a Path,
}

/// A directory in which something differs from what was noted.
struct FoundDirectory {
    path: Vec<u8>,
    listed: Listed,
}

impl Look<'_> {
    /// Looks at what is in `directories`, and in those below them that `follows`, and returns where something differs.
    fn at(&self, directories: Vec<Vec<u8>>, follows: &(dyn Fn(&[u8]) -> bool + Sync)) -> Result<Vec<FoundDirectory>> {
        let (mut found, mut level) = (Vec::new(), directories);
        // One level after the other: who nests directories does not fill the stack.
        while !level.is_empty() {
            let looks = level.into_par_iter().map(|path| self.directory(path, follows)).collect::<Result<Vec<_>>>()?;
            let (differing, below): (Vec<_>, Vec<_>) = looks.into_iter().unzip();
            found.extend(differing.into_iter().flatten());
            level = below.into_iter().flatten().collect();
        }
        Ok(found)
    }

    /// Looks at what is in the directory at `path`; returns it if something differs, and the directories in it that
    /// `follows`.
    fn directory(
        &self,
        path: Vec<u8>,
        follows: &(dyn Fn(&[u8]) -> bool + Sync),
    ) -> Result<(Option<FoundDirectory>, Vec<Vec<u8>>)> {
        let failed = |errno: Errno| Error::io("list", within(self.shown, &path), errno.into());
        let name: &[u8] = if path.is_empty() { b"." } else { &path };
        let opened = openat(&self.root, name, DIRECTORY, Mode::empty()).map_err(failed)?;
        let was = self.marks.listed(&path);
        let (mut is_same, mut others, mut below) = (vec![false; was.len()], Vec::new(), Vec::new());
        let mut buffer = [MaybeUninit::uninit(); NAMES_AT_ONCE];
        let mut entries = RawDir::new(&opened, &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let mark = ObjectMark::at(&opened, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW);
            let mark =
                mark.map_err(|errno| Error::io("look at", within(self.shown, &joined(&path, name)), errno.into()))?;
            if mark.is_whiteout() {
                continue;
            }
            if mark.kind == FileType::Directory {
                let path = joined(&path, name);
                below.extend(follows(&path).then_some(path));
            }
            match position(was, name) {
                Ok(number) if was[number].1 == mark => is_same[number] = true,
                _ => others.push((name.into(), mark)),
            }
        }
        let is_known = self.marks.directories.contains_key(&path);
        if is_known && others.is_empty() && is_same.iter().all(|is_same| *is_same) {
            return Ok((None, below));
        }
        let same = was.iter().zip(is_same).filter(|(_, is_same)| *is_same).map(|(object, _)| object.clone());
        let mut listed: Listed = same.chain(others).collect();
        listed.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        Ok((Some(FoundDirectory { path, listed }), below))
    }
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

fn open(root: &Path) -> Result<OwnedFd> {
    openat(CWD, root, DIRECTORY, Mode::empty()).map_err(|errno| Error::io("list", root, errno.into()))
}

fn position(listed: &[(Box<[u8]>, ObjectMark)], name: &[u8]) -> Result<usize, usize> {
    listed.binary_search_by(|(known, _)| (**known).cmp(name))
}
