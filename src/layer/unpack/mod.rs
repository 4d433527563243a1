//! From a file system in memory to a directory.

mod extract;
mod flatten;
mod staged;
mod survey;
mod target;
mod writers;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rayon::ThreadPool;
use rayon::prelude::*;
use rustix::fs::{AtFlags, Mode, OFlags, linkat, mkdirat};
use rustix::io::Errno;

use super::read::{TakePart, threads_for_each};
use super::{Layer, Open};
use crate::error::Result;
use crate::progress::WarningKind;
use crate::tree::{Attributes, Content, Files};

use survey::{Link, Place, Survey, Wanted, contents};
use target::{Cursor, Omission, UnpackRoot};
use writers::{Batches, FirstFailure, side_by_side};

pub use extract::extract;
pub use flatten::flatten;
pub use staged::{Staged, stage, unpack_all};
pub use target::Owners;

/// The work that is left to do once all is in place, and what could not be done.
#[derive(Debug)]
pub struct Unpacked {
    /// The directories whose attributes are still to be set, by [`Directories::finish`].
    pub directories: Directories,
    /// The things that were left out, each with the words for it; no content is among it.
    pub left_out: Vec<(WarningKind<'static>, String)>,
}

/// The attributes of directories by their paths. They are set last: a directory may be one that nothing can be put into,
/// what is put into it changes its time, and until then nobody but who writes may look into it.
#[derive(Debug)]
pub struct Directories(BTreeMap<Vec<u8>, Attributes>, Owners);

/// Files up to this size wait for their turn in memory. Larger ones are written as they come, long stretches of zeros
/// being left as holes.
const SMALL: u64 = 256 << 10;

/// Writes `files`, whose contents are in `layers` or at hand, into the empty directory `root`, which errors call `shown`, on the threads of
/// `pool` and as many more. Nobody else may be able to look into it. Memory beside the files: some 4 MiB for each thread.
///
/// Layers are read side by side, each once and only if something is wanted of it, and files written side by side. A file on
/// disk that is not the one that was walked is an error. Root gets owners, modes, times, attributes and devices
/// as the layers have them. Others get files of their own, without set-user-ID and set-group-ID bits, which would lend
/// out other rights than were meant; devices and attributes that only root may have are left out. What is written is
/// all there when this returns, but for the attributes of directories: see [`Directories::finish`]. `owners` says whose the files
/// are to be.
pub fn unpack(
    owners: Owners,
    files: &Files,
    layers: &[Layer],
    open: &Open<'_>,
    (root, shown): (BorrowedFd<'_>, &Path),
    pool: &ThreadPool,
) -> Result<Unpacked> {
    let survey = Survey::of(files, layers)?;
    let target = UnpackRoot::new(root, shown, owners)?;
    let mut cursor = Cursor::new(&target);
    for place in survey.directories.iter().filter(|place| !place.path.is_empty()) {
        cursor.make(&place.path, |parent, name| mkdirat(parent, name, Mode::RWXU))?;
    }
    let failure = FirstFailure::default();
    let writing =
        Writing { layers, open, files: &survey.files, loose: &survey.loose, target: &target, failure: &failure };
    writing.run(pool)?;
    rest(target, survey)
}

/// Makes what has no content, where all files are.
fn rest(target: UnpackRoot, survey: Survey<'_>) -> Result<Unpacked> {
    let mut cursor = Cursor::new(&target);
    for place in &survey.others {
        cursor.other(place)?;
    }
    let mut from = Cursor::new(&target);
    for Link { path, target: to } in &survey.links {
        let (old, old_name) = from.parent(to)?;
        cursor.make(path, |parent, name| match linkat(old, old_name, parent, name, AtFlags::empty()) {
            // Nothing else is missing but devices that were left out.
            Err(Errno::NOENT) => {
                target.leave_out(Omission::Device, path, 1);
                Ok(())
            }
            linked => linked,
        })?;
    }
    let attributes = |place: Place<'_>| (place.path, place.node.attributes().clone());
    let directories = survey.directories.into_iter().map(attributes).collect();
    Ok(Unpacked { directories: Directories(directories, target.owners), left_out: target.left_out() })
}

impl Directories {
    /// Gives the directory at `path` and all below it their attributes, those that lie deeper first: as long as one has not
    /// got its own, nobody can get to those in it. `directory` is where the one at `path` is by now, and errors call it
    /// `shown`.
    pub fn finish(&self, path: &[u8], directory: BorrowedFd<'_>, shown: &Path) -> Result<()> {
        let target = UnpackRoot::new(directory, shown, self.1)?;
        let mut cursor = Cursor::new(&target);
        let start = if path.is_empty() { Vec::new() } else { [path, b"/"].concat() };
        let below = self.0.range(start.clone()..).take_while(|(path, _)| path.starts_with(&start));
        let below: Vec<_> = below.map(|(path, attributes)| (&path[start.len()..], attributes)).collect();
        for (path, attributes) in below.into_iter().rev().filter(|(path, _)| !path.is_empty()) {
            let directory = cursor.open(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
            target.settle(&directory, path, attributes, attributes.mode)?;
        }
        self.finish_one(path, directory, shown)
    }

    /// Leaves the root as it is, for one that was there before.
    pub fn without_root(mut self) -> Self {
        self.0.remove(&b""[..]);
        self
    }

    /// Does what [`finish`](Self::finish) does, but for `directory` alone.
    pub fn finish_one(&self, path: &[u8], directory: BorrowedFd<'_>, shown: &Path) -> Result<()> {
        match self.0.get(path) {
            Some(attributes) => {
                UnpackRoot::new(directory, shown, self.1)?.settle(directory, b"", attributes, attributes.mode)
            }
            None => Ok(()),
        }
    }
}

/// The contents of all files on their way.
struct Writing<'a, 'o> {
    layers: &'a [Layer],
    open: &'a Open<'o>,
    files: &'a [Vec<Wanted<'a>>],
    loose: &'a [(Place<'a>, &'a Content)],
    target: &'a UnpackRoot,
    failure: &'a FirstFailure,
}

/// A small file and its content.
type Small<'a> = (&'a Place<'a>, Vec<u8>);

/// Contents that one thread gets, one after the other.
enum FileContents<'a> {
    OfLayer(&'a Layer, &'a [Wanted<'a>]),
    Loose(&'a [(Place<'a>, &'a Content)]),
}

impl<'a> Writing<'a, '_> {
    fn run(&self, pool: &ThreadPool) -> Result<()> {
        let layers = self.layers.iter().zip(self.files).filter(|(_, files)| !files.is_empty());
        let layers = layers.map(|(layer, files)| FileContents::OfLayer(layer, files));
        let all: Vec<FileContents<'a>> = layers.chain(self.loose.chunks(LOOSE).map(FileContents::Loose)).collect();
        let threads = threads_for_each(self.layers.len(), pool);
        let read = |send: &mut Batches<_>, contents: FileContents<'a>| match contents {
            FileContents::OfLayer(layer, files) => self.read_layer(layer, files, threads, send),
            FileContents::Loose(files) => self.read_loose(files, send),
        };
        let write = |cursor: &mut Cursor<'_>, small: Small<'_>| self.write_small(cursor, small);
        side_by_side(pool.current_num_threads(), self.target, self.failure, write, |send| {
            pool.install(|| all.into_par_iter().with_max_len(1).try_for_each_with(send, read))
        })
    }

    fn read_layer(
        &self,
        layer: &Layer,
        files: &'a [Wanted<'a>],
        threads: usize,
        send: &mut Batches<Small<'a>>,
    ) -> Result<()> {
        let mut cursor = Cursor::new(self.target);
        contents(layer, files, self.open, threads, |file, content| {
            self.failure.check()?;
            if file.size > SMALL {
                return self.write_large(&mut cursor, file.places(), file.size, |take| content.each_part(take));
            }
            let mut bytes = vec![0; file.size as usize];
            content.read(&mut bytes)?;
            file.also.iter().for_each(|place| send.send((place, bytes.clone()), bytes.len()));
            let size = bytes.len();
            send.send((&file.place, bytes), size);
            Ok(())
        })
    }

    fn read_loose(&self, files: &'a [(Place<'a>, &'a Content)], send: &mut Batches<Small<'a>>) -> Result<()> {
        let mut cursor = Cursor::new(self.target);
        for (place, content) in files {
            self.failure.check()?;
            if content.size() > SMALL {
                self.write_large(&mut cursor, [place], content.size(), |take| each_part(content, take))?;
            } else {
                // Even of an empty file on disk it is seen that it is the one that was walked.
                let bytes = content.bytes()?;
                let size = bytes.len();
                send.send((place, bytes), size);
            }
        }
        Ok(())
    }

    fn write_small(&self, cursor: &mut Cursor<'_>, (place, bytes): Small<'_>) -> Result<()> {
        let mut created = create(cursor, place)?;
        created.write_all(&bytes).map_err(|source| self.target.failed("write", &place.path, source))?;
        self.target.settle_file(&created, place)
    }

    /// Writes the files at `places`, which are alike; `each_part` gives what is in them to the function that it gets.
    fn write_large<'p, 't: 'p>(
        &self,
        cursor: &mut Cursor<'_>,
        places: impl IntoIterator<Item = &'p Place<'t>>,
        size: u64,
        each_part: impl FnOnce(&mut TakePart<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut all = Vec::new();
        for place in places {
            let created = create(cursor, place)?;
            created.set_len(size).map_err(|source| self.target.failed("write", &place.path, source))?;
            all.push((place, created));
        }
        each_part(&mut |part, at| {
            all.iter().try_for_each(|(place, created)| {
                created.write_all_at(part, at).map_err(|source| self.target.failed("write", &place.path, source))
            })
        })?;
        all.iter().try_for_each(|(place, created)| self.target.settle_file(created, place))
    }
}

fn create(cursor: &mut Cursor<'_>, place: &Place<'_>) -> Result<File> {
    cursor.open(&place.path, OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY).map(File::from)
}

/// Gives all of `content` to `take` part by part, each with its place in the file. Parts that are zeros are not given.
fn each_part(content: &Content, take: &mut TakePart<'_>) -> Result<()> {
    let size = content.size();
    let mut buffer = vec![0; size.min(LOOSE_PART) as usize];
    let mut at = 0;
    while at < size {
        let part = &mut buffer[..(size - at).min(LOOSE_PART) as usize];
        content.read(at, part)?;
        if part.iter().any(|byte| *byte != 0) {
            take(part, at)?;
        }
        at += part.len() as u64;
    }
    Ok(())
}

/// So many files whose contents are at hand are one task.
const LOOSE: usize = 64;

/// How much of a large one is copied at a time: a file on disk is looked at each time.
const LOOSE_PART: u64 = 1 << 20;
