//! From a tree to a directory. Whatever is made is made in a directory that was opened name by name from the root of it
//! all, no name being a link: even a mistake in the tree could not lead outside.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags, chmodat, chownat, fchmod, fchown,
    fsetxattr, futimens, linkat, lsetxattr, makedev, mkdirat, mknodat, openat, symlinkat, utimensat,
};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::chain::locked;
use super::member::{Attributes, Object};
use super::read::Open;
use super::survey::{Content, Link, Place, Survey, Wanted, contents};
use super::{Layer, Tree};
use crate::error::{Error, Result};

/// What is left to do once all is in place, and what could not be done.
#[derive(Debug)]
pub struct Unpacked {
    pub directories: Directories,
    /// What was left out, in words; no content is among it.
    pub left_out: Vec<String>,
}

/// The attributes of directories. They are set last: a directory may be one that nothing can be put into, and what is
/// put into it changes its time.
#[derive(Debug)]
pub struct Directories(Vec<(Vec<u8>, Attributes)>);

/// Files up to this size wait for their turn in memory, larger ones are written as they come.
const SMALL: u64 = 256 << 10;

/// More threads than this only wait for each other, or for the disk.
const MOST_THREADS: usize = 16;

/// Writes `tree`, which was made of `layers`, into the empty directory at `root`, on `threads` threads.
///
/// Layers are read side by side, and files written side by side. Root gets owners, modes, times, attributes and devices
/// as the layers have them. Others get files of their own, without set-user-ID and set-group-ID bits, which would lend
/// out other rights than were meant; devices and attributes that only root may have are left out. What is written is
/// all there when this returns, but for the attributes of directories: see [`Directories::finish`].
pub fn unpack(tree: &Tree, layers: &[Layer], open: &Open<'_>, root: &Path, threads: usize) -> Result<Unpacked> {
    let survey = Survey::of(tree, layers.len());
    let target = Target::open(root)?;
    let mut cursor = Cursor::new(&target);
    for place in survey.directories.iter().filter(|place| !place.path.is_empty()) {
        cursor.make(&place.path, |parent, name| mkdirat(parent, name, Mode::RWXU))?;
    }
    Writing { tree, layers, open, files: &survey.files, target: &target }.run(threads.clamp(1, MOST_THREADS))?;
    for place in &survey.others {
        cursor.other(tree, place)?;
    }
    let mut from = Cursor::new(&target);
    for Link { path, target: to, .. } in &survey.links {
        let (old, old_name) = from.parent(to)?;
        cursor.make(path, |parent, name| match linkat(old, old_name, parent, name, AtFlags::empty()) {
            // Nothing else is missing but devices that were left out.
            Err(Errno::NOENT) => {
                target.leave_out(LeftOut::Device, path);
                Ok(())
            }
            linked => linked,
        })?;
    }
    let attributes = |place: Place| (place.path, tree.node(place.node).attributes.clone());
    let mut directories: Vec<_> = survey.directories.into_iter().map(attributes).collect();
    // Only one of all that is left out is named, so it should always be the same.
    let left_out = target.left_out();
    directories.reverse();
    Ok(Unpacked { directories: Directories(directories), left_out })
}

impl Directories {
    /// Gives all directories below `root`, where they stand by now, their attributes.
    pub fn finish(self, root: &Path) -> Result<()> {
        let target = Target::open(root)?;
        let mut cursor = Cursor::new(&target);
        self.0.iter().try_for_each(|(path, attributes)| {
            let directory = cursor.open(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
            target.settle(&directory, path, attributes, attributes.mode)
        })
    }

    /// Leaves the root as it is, for one that was there before.
    pub fn without_root(mut self) -> Self {
        self.0.retain(|(path, _)| !path.is_empty());
        self
    }
}

/// The contents of all files on their way.
struct Writing<'a, 'o> {
    tree: &'a Tree,
    layers: &'a [Layer],
    open: &'a Open<'o>,
    files: &'a [Vec<Wanted>],
    target: &'a Target,
}

/// A small file and its content.
type Small<'a> = (&'a Wanted, Vec<u8>);

impl<'a> Writing<'a, '_> {
    /// Half of the threads' work is to decompress: each layer under way has two more that do, and wait for those that
    /// write.
    fn run(&self, threads: usize) -> Result<()> {
        let (send, receive) = sync_channel(2 * threads);
        let receive = Mutex::new(receive);
        let next = AtomicUsize::new(0);
        let failure = Failure::default();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| failure.note(self.write_small(&receive, &failure)));
            }
            for _ in 0..threads.min(self.layers.len()) {
                let send = send.clone();
                let (next, failure) = (&next, &failure);
                scope.spawn(move || failure.note(self.read_layers(next, &send, failure)));
            }
            drop(send);
        });
        failure.outcome()
    }

    /// Reads one layer after the other until none is left.
    fn read_layers(&self, next: &AtomicUsize, send: &SyncSender<Small<'a>>, failure: &Failure) -> Result<()> {
        let mut cursor = Cursor::new(self.target);
        while let Some(number) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|next| *next < self.layers.len()) {
            let files: &'a [Wanted] = &self.files[number];
            if files.is_empty() || failure.is_noted() {
                continue;
            }
            contents(&self.layers[number], files, self.open, |file, content| {
                if failure.is_noted() {
                    return Err(Error::input("another part has failed"));
                }
                if file.size > SMALL {
                    return self.write_large(&mut cursor, file, content);
                }
                let mut bytes = vec![0; file.size as usize];
                content.read(&mut bytes)?;
                let _ = send.send((file, bytes)); // those that receive leave only after a failure, which is noted
                Ok(())
            })?;
        }
        Ok(())
    }

    fn write_small(&self, receive: &Mutex<Receiver<Small<'a>>>, failure: &Failure) -> Result<()> {
        let mut cursor = Cursor::new(self.target);
        loop {
            let Ok((file, bytes)) = locked(receive).recv() else { return Ok(()) };
            if failure.is_noted() {
                continue;
            }
            let written = self.create(&mut cursor, file).and_then(|mut created| {
                created.write_all(&bytes).map_err(|source| self.target.failed("write", &file.place.path, source))?;
                self.settle(&created, file)
            });
            failure.note(written);
        }
    }

    fn write_large(&self, cursor: &mut Cursor<'_>, file: &Wanted, content: &mut Content<'_>) -> Result<()> {
        let mut created = self.create(cursor, file)?;
        let mut buffer = vec![0; SMALL as usize];
        let mut left = file.size;
        while left > 0 {
            let part = &mut buffer[..left.min(SMALL) as usize];
            content.read(part)?;
            created.write_all(part).map_err(|source| self.target.failed("write", &file.place.path, source))?;
            left -= part.len() as u64;
        }
        self.settle(&created, file)
    }

    fn create(&self, cursor: &mut Cursor<'_>, file: &Wanted) -> Result<File> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
        cursor.open(&file.place.path, flags).map(File::from)
    }

    fn settle(&self, created: &File, file: &Wanted) -> Result<()> {
        let attributes = &self.tree.node(file.place.node).attributes;
        let mode = if self.target.is_root { attributes.mode } else { attributes.mode & !SET_ID };
        if mode != attributes.mode {
            self.target.leave_out(LeftOut::SetId, &file.place.path);
        }
        self.target.settle(created, &file.place.path, attributes, mode)
    }
}

/// Set-user-ID and set-group-ID.
const SET_ID: u32 = 0o6000;

/// The first failure of several threads.
#[derive(Default)]
struct Failure {
    first: Mutex<Option<Error>>,
    is_noted: AtomicBool,
}

impl Failure {
    fn note(&self, outcome: Result<()>) {
        if let Err(error) = outcome {
            locked(&self.first).get_or_insert(error);
            self.is_noted.store(true, Ordering::Relaxed);
        }
    }

    fn is_noted(&self) -> bool {
        self.is_noted.load(Ordering::Relaxed)
    }

    fn outcome(self) -> Result<()> {
        self.first.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }
}

/// The directory that all goes into.
struct Target {
    root: OwnedFd,
    /// For errors.
    shown: PathBuf,
    is_root: bool,
    left_out: Mutex<BTreeMap<LeftOut, (u64, Vec<u8>)>>,
}

/// What may be left out, for nobody's content is lost with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum LeftOut {
    Device,
    SetId,
    Xattr,
}

impl Target {
    fn open(root: &Path) -> Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = openat(CWD, root, flags, Mode::empty()).map_err(|errno| Error::io("open", root, errno.into()))?;
        let (shown, is_root) = (root.to_owned(), geteuid().is_root());
        Ok(Target { root: opened, shown, is_root, left_out: Mutex::default() })
    }

    /// In the order that is right: a new owner clears set-user-ID bits and capabilities, and all of it changes times.
    fn settle(&self, object: impl AsFd, path: &[u8], attributes: &Attributes, mode: u32) -> Result<()> {
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
                Err(Errno::PERM | Errno::ACCESS | Errno::NOTSUP) => self.leave_out(LeftOut::Xattr, path),
                Err(errno) => {
                    let action = format!("set the extended attribute {} of", name.escape_ascii());
                    return Err(self.failed(&action, path, errno.into()));
                }
            }
        }
        Ok(())
    }

    fn leave_out(&self, what: LeftOut, path: &[u8]) {
        let mut all = locked(&self.left_out);
        let (count, first) = all.entry(what).or_insert_with(|| (0, path.to_owned()));
        *count += 1;
        // Threads come in any order; the words should not depend on it.
        if path < &first[..] {
            path.clone_into(first);
        }
    }

    fn left_out(&self) -> Vec<String> {
        let all = locked(&self.left_out);
        all.iter()
            .map(|(what, (count, first))| {
                let first = first.escape_ascii();
                match what {
                    LeftOut::Device => {
                        format!("{count} devices were left out, /{first} the first: only root can make them")
                    }
                    LeftOut::SetId => format!(
                        "{count} files lost their set-user-ID or set-group-ID bits, /{first} the first: \
                         they belong to another user now"
                    ),
                    LeftOut::Xattr => format!(
                        "{count} extended attributes were left out, one of /{first} the first: \
                         the file system has none, or only root may set them"
                    ),
                }
            })
            .collect()
    }

    fn failed(&self, action: &str, path: &[u8], source: io::Error) -> Error {
        Error::io(action, self.shown.join(std::ffi::OsStr::from_bytes(path)), source)
    }
}

/// Goes from parent to parent. What follows in a layer mostly lies in the same directory, which then stays open.
struct Cursor<'a> {
    target: &'a Target,
    path: Vec<u8>,
    /// None for the root.
    directory: Option<OwnedFd>,
}

impl<'a> Cursor<'a> {
    fn new(target: &'a Target) -> Self {
        Cursor { target, path: Vec::new(), directory: None }
    }

    /// The directory that `path` is in, and its name there; the root is `.` in itself.
    fn parent<'p>(&mut self, path: &'p [u8]) -> Result<(BorrowedFd<'_>, &'p [u8])> {
        let (parent, name) = match path.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => (&path[..slash], &path[slash + 1..]),
            None => (&path[..0], if path.is_empty() { b"." } else { path }),
        };
        if self.path != parent {
            let mut directory: Option<OwnedFd> = None;
            for part in parent.split(|byte| *byte == b'/').filter(|part| !part.is_empty()) {
                let from = directory.as_ref().unwrap_or(&self.target.root);
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let opened = openat(from, part, flags, Mode::empty());
                directory = Some(opened.map_err(|errno| self.target.failed("open", parent, errno.into()))?);
            }
            (self.directory, self.path) = (directory, parent.to_owned());
        }
        Ok((self.directory.as_ref().unwrap_or(&self.target.root).as_fd(), name))
    }

    fn open(&mut self, path: &[u8], flags: OFlags) -> Result<OwnedFd> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let action = if flags.contains(OFlags::CREATE) { "create" } else { "open" };
        let (target, (parent, name)) = (self.target, self.parent(path)?);
        openat(parent, name, flags, Mode::RUSR | Mode::WUSR).map_err(|errno| target.failed(action, path, errno.into()))
    }

    fn make(&mut self, path: &[u8], make: impl FnOnce(BorrowedFd<'_>, &[u8]) -> Result<(), Errno>) -> Result<()> {
        let (target, (parent, name)) = (self.target, self.parent(path)?);
        make(parent, name).map_err(|errno| target.failed("create", path, errno.into()))
    }

    /// Makes what is neither a file nor a directory.
    fn other(&mut self, tree: &Tree, place: &Place) -> Result<()> {
        let Place { path, node } = place;
        let node = tree.node(*node);
        let (kind, device) = match &node.object {
            Object::Symlink { target } => {
                self.make(path, |parent, name| symlinkat(target.as_slice(), parent, name))?;
                return self.settle_other(path, &node.attributes, true);
            }
            Object::Fifo => (FileType::Fifo, 0),
            Object::CharacterDevice { major, minor } => (FileType::CharacterDevice, makedev(*major, *minor)),
            Object::BlockDevice { major, minor } => (FileType::BlockDevice, makedev(*major, *minor)),
            // The survey has these elsewhere.
            Object::File { .. } | Object::Directory | Object::HardLink { .. } => return Ok(()),
        };
        let (target, (parent, name)) = (self.target, self.parent(path)?);
        match mknodat(parent, name, kind, Mode::empty(), device) {
            Err(Errno::PERM) if kind != FileType::Fifo => {
                target.leave_out(LeftOut::Device, path);
                Ok(())
            }
            Err(errno) => Err(target.failed("create", path, errno.into())),
            Ok(()) => self.settle_other(path, &node.attributes, false),
        }
    }

    /// As [`Target::settle`], for what cannot be opened: by its name, which was made just before.
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
