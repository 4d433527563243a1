//! Layers that come to disk while they are read, each once: which of their files stay, and where, is known only when all of them
//! were read. A file is written to the path that its layer has for it, which is nearly always right; one whose path is taken, or
//! lies in many directories that nobody told of, aside. Then what is not where it belongs is moved, and what belongs nowhere is removed.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::Write;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::ThreadPool;
use rayon::prelude::*;
use rustix::fs::{AtFlags, Mode, OFlags, mkdirat, openat, renameat, statat, unlinkat};
use rustix::io::Errno;

use super::survey::{Place, Survey, Wanted, elsewhere};
use super::target::{Cursor, EarlyDirectories, Omission, Owners, UnpackRoot};
use super::writers::{Batches, FirstFailure, side_by_side};
use super::{SMALL, Unpacked, rest};
use crate::error::Result;
use crate::layer::read::{FileContent, put_together, read_one, threads_for_each};
use crate::layer::{Extent, Layer, Member, Open, WHITEOUT};
use crate::sync::{Once, locked};
use crate::tree::path::{DEEPEST, names, split};
use crate::tree::{Attributes, Budget, Files, Kind, Limits, Whole};

/// Reads `layers` side by side on the threads of `pool` and as many more, each once, and writes the files that they make into the
/// empty directory `root`, which errors call `shown`. Nobody else may be able to look into it, and if this fails, what is in it
/// is nothing: that the digests hold is known at the end. `owners` says whose the files are to be. See [`unpack`](super::unpack()) for what comes to disk, and how.
pub fn unpack_all(
    owners: Owners,
    layers: &[Layer],
    open: &Open<'_>,
    limits: Limits,
    root: (BorrowedFd<'_>, &Path),
    pool: &ThreadPool,
) -> Result<Unpacked> {
    let (members, staged) = stage(owners, layers, open, limits, root, pool)?;
    staged.arrange(&put_together(members, layers)?, layers)
}

/// Reads `layers`, which is the first half of [`unpack_all`], and returns the members of each and what came to disk of them. All
/// digests hold by then.
pub fn stage(
    owners: Owners,
    layers: &[Layer],
    open: &Open<'_>,
    limits: Limits,
    (root, shown): (BorrowedFd<'_>, &Path),
    pool: &ThreadPool,
) -> Result<(Vec<Vec<Member>>, Staged)> {
    let budget = Budget::new(limits, Whole::Image);
    let threads = threads_for_each(layers.len(), pool);
    let staging = Staging {
        target: UnpackRoot::new(root, shown, owners)?,
        early: EarlyDirectories::new(),
        odd: Mutex::default(),
        aside: Once::default(),
        next: AtomicU64::new(0),
    };
    let failure = FirstFailure::default();
    let mut read = Vec::new();
    let write = |cursor: &mut Cursor<'_>, small: SmallFile| staging.write(cursor, small);
    side_by_side(pool.current_num_threads(), &staging.target, &failure, write, |send| {
        let read_one = |send: &mut Batches<SmallFile>, (number, layer): (usize, &Layer)| {
            let mut reading =
                Reading { staging: &staging, number, send: send.clone(), failure: &failure, files: Vec::new() };
            let mut cursor = Cursor::new(&staging.target);
            let members = read_one(layer, open, &budget, threads, &mut |member, content| {
                reading.take(&mut cursor, member, content)
            });
            match members {
                Ok(members) => Ok((members, reading.files)),
                Err(error) => {
                    failure.note(Err(error));
                    Err(FirstFailure::another())
                }
            }
        };
        let all = pool.install(|| {
            let layers = layers.par_iter().enumerate().with_max_len(1);
            layers.map_with(send, read_one).collect::<Result<Vec<_>>>()
        });
        read = all?;
        Ok(())
    })?;
    let (members, files) = read.into_iter().unzip();
    let Staging { target, early, odd, aside, .. } = staging;
    let (made, odd) = (early.into_made(), odd.into_inner().unwrap_or_default());
    Ok((members, Staged { target, files, made, odd, aside }))
}

/// Files that came to disk before it was known where they belong.
pub struct Staged {
    target: UnpackRoot,
    /// Those of each layer, in the order of its tar.
    files: Vec<Vec<StagedFile>>,
    /// The directories that were made for them.
    made: HashSet<Vec<u8>>,
    odd: HashMap<(usize, u64), Odd>,
    aside: Once<Aside>,
}

/// A file of a layer, the path that it has there, and where in its tar the content begins.
struct StagedFile {
    path: Box<[u8]>,
    offset: u64,
}

/// What there is to tell of few files.
#[derive(Default)]
struct Odd {
    /// It lies aside, under this number.
    aside: Option<u64>,
    /// So many extended attributes were left out.
    xattrs: u64,
}

/// The directory for files whose paths are taken. It has a name that nobody can foretell.
struct Aside {
    name: String,
    directory: OwnedFd,
}

/// Files on their way to disk.
struct Staging {
    target: UnpackRoot,
    early: EarlyDirectories,
    /// By the number of the layer and the place of the content in its tar.
    odd: Mutex<HashMap<(usize, u64), Odd>>,
    aside: Once<Aside>,
    next: AtomicU64,
}

/// A file and its content.
struct SmallFile {
    layer: usize,
    offset: u64,
    path: Vec<u8>,
    attributes: Attributes,
    bytes: Vec<u8>,
}

/// One layer on its way to disk.
struct Reading<'a> {
    staging: &'a Staging,
    number: usize,
    send: Batches<SmallFile>,
    failure: &'a FirstFailure,
    files: Vec<StagedFile>,
}

impl Reading<'_> {
    fn take(&mut self, cursor: &mut Cursor<'_>, member: &Member, content: &mut FileContent<'_>) -> Result<()> {
        self.failure.check()?;
        self.staging.early.allow();
        let Kind::File(Extent { offset, size }) = member.kind else { return Ok(()) };
        // It removes something, or lies where nothing can be.
        if names(&member.path).any(|part| part.starts_with(WHITEOUT)) {
            return Ok(());
        }
        self.files.push(StagedFile { path: member.path.clone().into(), offset });
        let (path, attributes) = (&member.path, &member.attributes);
        if size > SMALL {
            let (file, aside) = self.staging.create(cursor, path)?;
            let failed = |source| self.staging.target.failed("write", path, source);
            file.set_len(size).map_err(failed)?;
            content.each_part(&mut |part, at| file.write_all_at(part, at).map_err(failed))?;
            return self.staging.settle(&file, (self.number, offset), aside, path, attributes);
        }
        let mut bytes = vec![0; size as usize];
        content.read(&mut bytes)?;
        let small = SmallFile { layer: self.number, offset, path: path.clone(), attributes: attributes.clone(), bytes };
        self.send.send(small, size as usize);
        Ok(())
    }
}

impl Staging {
    fn write(&self, cursor: &mut Cursor<'_>, small: SmallFile) -> Result<()> {
        let SmallFile { layer, offset, path, attributes, bytes } = small;
        let (mut file, aside) = self.create(cursor, &path)?;
        file.write_all(&bytes).map_err(|source| self.target.failed("write", &path, source))?;
        self.settle(&file, (layer, offset), aside, &path, &attributes)
    }

    /// Creates the file at `path`; else aside, under the number that is returned.
    fn create(&self, cursor: &mut Cursor<'_>, path: &[u8]) -> Result<(File, Option<u64>)> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        if !path.is_empty() && names(path).count() <= DEEPEST {
            let (parent, name) = split(path);
            let created =
                cursor.enter(parent, Some(&self.early)).and_then(|directory| openat(directory, name, flags, mode));
            match created {
                Ok(file) => return Ok((file.into(), None)),
                // Another has its path, or a part of it; or it lies in directories that are not allowed.
                Err(Errno::EXIST | Errno::NOTDIR | Errno::NOENT) => {}
                Err(errno) => return Err(self.target.failed("create", path, errno.into())),
            }
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let aside = self.aside.get_or_find(|| Aside::new(&self.target))?;
        let file = openat(&aside.directory, number.to_string(), flags, mode);
        file.map(|file| (file.into(), Some(number))).map_err(|errno| self.target.failed("create", path, errno.into()))
    }

    fn settle(
        &self,
        file: &File,
        place: (usize, u64),
        aside: Option<u64>,
        path: &[u8],
        attributes: &Attributes,
    ) -> Result<()> {
        let xattrs = self.target.set(file, path, attributes, self.target.mode(attributes))?;
        if aside.is_some() || xattrs > 0 {
            locked(&self.odd).insert(place, Odd { aside, xattrs });
        }
        Ok(())
    }
}

impl Aside {
    fn new(target: &UnpackRoot) -> Result<Self> {
        let name = format!(".ocibake-{:016x}", RandomState::new().build_hasher().finish());
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = mkdirat(target.root(), &name, Mode::RWXU);
        let directory = made.and_then(|()| openat(target.root(), &name, flags, Mode::empty()));
        let directory = directory.map_err(|errno| target.failed("create", name.as_bytes(), errno.into()))?;
        Ok(Aside { name, directory })
    }
}

impl Staged {
    /// Makes, as the second half of [`unpack_all`], what is on disk `files`, which the members of `layers` make; nothing of them
    /// may be changed by then, but some may be left out.
    pub fn arrange(mut self, files: &Files, layers: &[Layer]) -> Result<Unpacked> {
        let survey = Survey::of(files, layers)?;
        if let Some((place, _)) = survey.loose.first() {
            return Err(elsewhere(&place.path));
        }
        let mut moves = Vec::new();
        for (number, wanted) in survey.files.iter().enumerate() {
            self.sort_out(number, wanted, &mut moves)?;
        }
        self.directories(&survey.directories)?;
        let mut cursor = Cursor::new(&self.target);
        for (number, path) in moves {
            self.put(&mut cursor, number, path)?;
        }
        for (wanted, also) in
            survey.files.iter().flatten().flat_map(|file| file.also.iter().map(move |also| (file, also)))
        {
            self.copy(&wanted.place.path, also)?;
        }
        if let Some(Aside { name, .. }) = self.aside.get() {
            unlinkat(self.target.root(), name, AtFlags::REMOVEDIR)
                .map_err(|errno| self.target.failed("remove", name.as_bytes(), errno.into()))?;
        }
        rest(self.target, survey)
    }

    /// Leaves of the files of layer `number` those that are where they are `wanted`. Others that are wanted lie aside then, and
    /// are added to `moves` with where they belong.
    fn sort_out<'w>(
        &mut self,
        number: usize,
        wanted: &'w [Wanted<'_>],
        moves: &mut Vec<(u64, &'w [u8])>,
    ) -> Result<()> {
        let Staged { target, files, odd, aside, .. } = self;
        let mut cursor = Cursor::new(target);
        let mut wanted = wanted.iter().peekable();
        let mut next = odd.values().filter_map(|odd| odd.aside).max().map_or(0, |last| last + 1) + moves.len() as u64;
        for StagedFile { path, offset } in &files[number] {
            let Odd { aside: lies, xattrs } = odd.remove(&(number, *offset)).unwrap_or_default();
            let place = wanted.next_if(|file| file.offset == *offset).map(|file| &file.place);
            if let Some(place) = place {
                target.leave_out(Omission::Xattr, &place.path, xattrs);
                target.leave_out_ids(&place.path, place.node.attributes());
            }
            match (place, lies) {
                (Some(place), None) if place.path[..] == path[..] => {}
                (Some(place), Some(number)) => moves.push((number, &place.path)),
                (Some(place), None) => {
                    let aside = aside.get_or_find(|| Aside::new(target))?;
                    cursor.make(path, |parent, name| renameat(parent, name, &aside.directory, next.to_string()))?;
                    moves.push((next, &place.path));
                    next += 1;
                }
                (None, None) => cursor.make(path, |parent, name| unlinkat(parent, name, AtFlags::empty()))?,
                (None, Some(number)) => {
                    let aside = aside.get_or_find(|| Aside::new(target))?;
                    unlinkat(&aside.directory, number.to_string(), AtFlags::empty())
                        .map_err(|errno| target.failed("remove", path, errno.into()))?;
                }
            }
        }
        match wanted.next() {
            Some(file) => Err(elsewhere(&file.place.path)),
            None => Ok(()),
        }
    }

    /// Leaves the directories that are wanted, and makes those that are missing.
    fn directories(&mut self, wanted: &[Place<'_>]) -> Result<()> {
        let mut cursor = Cursor::new(&self.target);
        let mut missing = Vec::new();
        for place in wanted.iter().filter(|place| !place.path.is_empty()) {
            if !self.made.remove(&place.path) {
                missing.push(&place.path);
            }
        }
        let mut unwanted: Vec<Vec<u8>> = self.made.drain().collect();
        unwanted.sort_unstable();
        // What lies in one comes behind it.
        for path in unwanted.iter().rev() {
            cursor.make(path, |parent, name| unlinkat(parent, name, AtFlags::REMOVEDIR))?;
        }
        for path in missing {
            cursor.make(path, |parent, name| mkdirat(parent, name, Mode::RWXU))?;
        }
        Ok(())
    }

    /// Moves the file that lies aside under `number` to `path`.
    fn put(&self, cursor: &mut Cursor<'_>, number: u64, path: &[u8]) -> Result<()> {
        let Some(aside) = self.aside.get() else { return Err(elsewhere(path)) };
        cursor.make(path, |parent, name| match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            // On a file system for which two names are one.
            Ok(_) => Err(Errno::EXIST),
            Err(Errno::NOENT) => renameat(&aside.directory, number.to_string(), parent, name),
            Err(errno) => Err(errno),
        })
    }

    /// Writes another file with the content of that at `path`.
    fn copy(&self, path: &[u8], also: &Place<'_>) -> Result<()> {
        let (mut from, mut to) = (Cursor::new(&self.target), Cursor::new(&self.target));
        let mut content = File::from(from.open(path, OFlags::RDONLY)?);
        let mut made = File::from(to.open(&also.path, OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY)?);
        std::io::copy(&mut content, &mut made).map_err(|source| self.target.failed("write", &also.path, source))?;
        self.target.settle_file(&made, also)
    }
}
