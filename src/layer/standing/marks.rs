//! What there is in a directory, by marks that programs cannot choose.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::CStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rayon::prelude::*;
use rustix::fs::{CWD, FileType, Mode, OFlags, openat};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::kernel::{ObjectMark, PLACE, for_each_name};
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
type Listed = Vec<MarkedName>;

type MarkedName = (Box<CStr>, ObjectMark);

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

impl ObjectMarks {
    /// Looks at all that is in `root`; no link is followed.
    pub(super) fn of(root: &Path) -> Result<ObjectMarks> {
        let mark = mark_of(root)?;
        let mut marks = ObjectMarks { root: mark, directories: HashMap::new(), newest: mark.changed };
        let found = Look { marks: &marks, root: open(root)?, shown: root }.at_all(false)?;
        marks.note(found);
        Ok(marks)
    }

    /// Looks at all of `root` again, notes it, and returns what differs. A directory that is what it was has the names that it
    /// had: nothing is put into it or taken out of it without another time of change.
    pub(super) fn look_again(&mut self, root: &Path) -> Result<Differences> {
        let mark = mark_of(root)?;
        let found = Look { marks: self, root: open(root)?, shown: root }.at_all(mark == self.root)?;
        let mut differences = Differences::default();
        found.iter().for_each(|directory| differences.add(directory, self.listed(&directory.path)));
        self.root = mark;
        self.note(found);
        Ok(differences)
    }

    /// Looks again at what is in `directories` of `root`, and notes it. New ones are among them.
    pub(super) fn renew(&mut self, root: &Path, directories: Vec<Vec<u8>>) -> Result<()> {
        let look = Look { marks: self, root: open(root)?, shown: root };
        let looks = directories.into_iter().map(|path| look.directory(NextDirectory { path, is_same: false }));
        let found: Vec<_> = looks.map(|look| Ok(look?.0)).collect::<Result<_>>()?;
        self.root = mark_of(root)?;
        self.note(found.into_iter().flatten().collect());
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
            listed.iter().map(move |(name, mark)| (joined(&path, name.to_bytes()), mark))
        };
        self.directories.iter().flat_map(below)
    }

    /// Returns when whatever is changed in `root` has another time of change than all that is there.
    pub(super) fn outlast(&self, root: &Path) -> Result<()> {
        outlast(root.parent().unwrap_or(root), self.newest)
    }

    fn listed(&self, directory: &[u8]) -> &[MarkedName] {
        self.directories.get(directory).map(Vec::as_slice).unwrap_or_default()
    }

    fn note(&mut self, found: Vec<FoundDirectory>) {
        self.newest = self.newest.max(self.root.changed);
        for FoundDirectory { path, listed } in found {
            let newest = listed.iter().map(|(_, mark)| mark.changed).max();
            self.newest = newest.map_or(self.newest, |newest| self.newest.max(newest));
            let is_directory = |name: &CStr| {
                position(&listed, name.to_bytes()).is_ok_and(|number| listed[number].1.kind == FileType::Directory)
            };
            let was = self.listed(&path).iter().filter(|(_, mark)| mark.kind == FileType::Directory);
            let lost: Vec<_> =
                was.filter(|(name, _)| !is_directory(name)).map(|(name, _)| joined(&path, name.to_bytes())).collect();
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
            left.extend(below.map(|(name, _)| joined(&path, name.to_bytes())));
        }
    }
}

/// Returns when whatever is changed on the file system of the directory `beside` has a later time of change than `newest`, in
/// seconds and nanoseconds.
pub fn outlast(beside: &Path, newest: (i64, u32)) -> Result<()> {
    let failed = |source: io::Error| Error::io("create a file in", beside, source);
    let probe: File = tempfile::tempfile_in(beside).map_err(failed)?;
    let begin = Instant::now();
    loop {
        probe.set_permissions(fs::Permissions::from_mode(0o600)).map_err(failed)?;
        let now = ObjectMark::of_open(&probe).map_err(|errno| failed(errno.into()))?;
        // A clock that was set back never comes there, and gives other times all the same.
        if now.changed > newest || begin.elapsed() > LONGEST_STEP {
            return Ok(());
        }
        sleep(Duration::from_millis(1));
    }
}

impl Differences {
    /// Adds what differs in `directory` from what `was` in it.
    fn add(&mut self, directory: &FoundDirectory, mut was: &[MarkedName]) {
        let mut is = &directory.listed[..];
        let path = |name: &CStr| joined(&directory.path, name.to_bytes());
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

/// Looks at `path`, which is not followed if it is a link.
fn mark_of(path: &Path) -> Result<ObjectMark> {
    ObjectMark::at(CWD, path).map_err(|errno| Error::io("look at", path, errno.into()))
}

fn is_whiteout(mark: &ObjectMark) -> bool {
    mark.kind == FileType::CharacterDevice && mark.device == 0
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

/// A directory that is to be looked at.
struct NextDirectory {
    path: Vec<u8>,
    /// Itself it is as it was noted, so that it has the names that it had.
    is_same: bool,
}

impl Look<'_> {
    /// Looks at what is in the root, and in all directories there, and returns where something differs. `is_same` says whether
    /// the root itself is as it was noted.
    fn at_all(&self, is_same: bool) -> Result<Vec<FoundDirectory>> {
        let (mut found, mut level) = (Vec::new(), vec![NextDirectory { path: Vec::new(), is_same }]);
        // One level after the other: who nests directories does not fill the stack.
        while !level.is_empty() {
            let looks = level.into_par_iter().map(|directory| self.directory(directory)).collect::<Result<Vec<_>>>()?;
            let (differing, below): (Vec<_>, Vec<_>) = looks.into_iter().unzip();
            found.extend(differing.into_iter().flatten());
            level = below.into_iter().flatten().collect();
        }
        Ok(found)
    }

    /// Looks at what is in one directory; returns it if something differs, and the directories in it.
    fn directory(&self, directory: NextDirectory) -> Result<(Option<FoundDirectory>, Vec<NextDirectory>)> {
        let NextDirectory { path, is_same } = directory;
        let was = self.marks.listed(&path);
        let mut seen =
            SeenObjects { path: &path, was, is_same: vec![false; was.len()], others: Vec::new(), below: Vec::new() };
        // What need not be listed is opened for less.
        let flags = if is_same { DIRECTORY | PLACE } else { DIRECTORY };
        let opened = openat(&self.root, if path.is_empty() { b"." } else { &path[..] }, flags, Mode::empty());
        let opened = opened.map_err(|errno| self.failed("list", &path, errno))?;
        let look = |name: &CStr| {
            let mark = ObjectMark::at(&opened, name);
            mark.map_err(|errno| self.failed("look at", &joined(&path, name.to_bytes()), errno))
        };
        if is_same {
            for (number, (name, _)) in was.iter().enumerate() {
                seen.add(name, look(name)?, Ok(number));
            }
        } else {
            let failed = |errno| self.failed("list", &path, errno);
            for_each_name(&opened, failed, |name| {
                seen.add(name, look(name)?, position(was, name.to_bytes()));
                Ok(())
            })?;
        }
        let is_known = self.marks.directories.contains_key(&path);
        let (listed, below) = seen.finish(is_known);
        Ok((listed.map(|listed| FoundDirectory { path, listed }), below))
    }

    fn failed(&self, action: &str, path: &[u8], errno: Errno) -> Error {
        Error::io(action, within(self.shown, path), errno.into())
    }
}

/// What was seen of a directory so far.
struct SeenObjects<'a> {
    path: &'a [u8],
    was: &'a [MarkedName],
    /// Which of those are as they were.
    is_same: Vec<bool>,
    others: Listed,
    /// The directories in it.
    below: Vec<NextDirectory>,
}

impl SeenObjects<'_> {
    /// Adds an object, whose place among those that were noted is `position`.
    fn add(&mut self, name: &CStr, mark: ObjectMark, position: Result<usize, usize>) {
        if is_whiteout(&mark) {
            return;
        }
        let same = position.ok().filter(|number| self.was[*number].1 == mark);
        if mark.kind == FileType::Directory {
            self.below.push(NextDirectory { path: joined(self.path, name.to_bytes()), is_same: same.is_some() });
        }
        match same {
            Some(number) => self.is_same[number] = true,
            None => self.others.push((name.into(), mark)),
        }
    }

    /// Returns what is there if that is not what was noted, and the directories.
    fn finish(self, is_known: bool) -> (Option<Listed>, Vec<NextDirectory>) {
        let SeenObjects { was, is_same, others, below, .. } = self;
        if is_known && others.is_empty() && is_same.iter().all(|is_same| *is_same) {
            return (None, below);
        }
        let same = was.iter().zip(is_same).filter(|(_, is_same)| *is_same).map(|(object, _)| object.clone());
        let mut listed: Listed = same.chain(others).collect();
        listed.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        (Some(listed), below)
    }
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

fn open(root: &Path) -> Result<OwnedFd> {
    openat(CWD, root, DIRECTORY, Mode::empty()).map_err(|errno| Error::io("list", root, errno.into()))
}

fn position(listed: &[MarkedName], name: &[u8]) -> Result<usize, usize> {
    listed.binary_search_by(|(known, _)| known.to_bytes().cmp(name))
}
