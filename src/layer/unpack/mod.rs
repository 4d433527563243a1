//! From a file system in memory to a directory.

mod extract;
mod flatten;
mod survey;
mod target;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use rayon::ThreadPool;
use rayon::prelude::*;
use rustix::fs::{AtFlags, Mode, OFlags, linkat, mkdirat};
use rustix::io::Errno;

use super::kept::is_kept;
use super::read::start;
use super::{Layer, Open};
use crate::error::{Error, Result};
use crate::progress::WarningKind;
use crate::sync::locked;
use crate::tree::{Attributes, Content, Files};

use survey::{Link, Place, Survey, TakePart, Wanted, contents};
use target::{Cursor, Omission, UnpackRoot};

pub use extract::extract;
pub use flatten::flatten;

/// The work that is left to do once all is in place, and what could not be done.
#[derive(Debug)]
pub struct Unpacked {
    /// The directories whose attributes are still to be set, by [`Directories::finish`].
    pub directories: Directories,
    /// The things that were left out, each with the words for it; no content is among it.
    pub left_out: Vec<(WarningKind, String)>,
}

/// The attributes of directories by their paths. They are set last: a directory may be one that nothing can be put into,
/// what is put into it changes its time, and until then nobody but who writes may look into it.
#[derive(Debug)]
pub struct Directories(BTreeMap<Vec<u8>, Attributes>);

/// Files up to this size wait for their turn in memory. Larger ones are written as they come, long stretches of zeros
/// being left as holes.
const SMALL: u64 = 256 << 10;

/// Writes `files`, whose contents are in `layers` or at hand, into the empty directory `root`, which errors call `shown`, on the threads of
/// `pool` and as many more. Nobody else may be able to look into it. Memory beside the files: some 2 MiB for each thread.
///
/// Layers are read side by side, each once and only if something is wanted of it, and files written side by side. A file on
/// disk that is not the one that was walked is an error. Root gets owners, modes, times, attributes and devices
/// as the layers have them. Others get files of their own, without set-user-ID and set-group-ID bits, which would lend
/// out other rights than were meant; devices and attributes that only root may have are left out. What is written is
/// all there when this returns, but for the attributes of directories: see [`Directories::finish`].
pub fn unpack(
    files: &Files,
    layers: &[Layer],
    open: &Open<'_>,
    (root, shown): (BorrowedFd<'_>, &Path),
    pool: &ThreadPool,
) -> Result<Unpacked> {
    let survey = Survey::of(files, layers)?;
    let target = UnpackRoot::new(root, shown)?;
    let mut cursor = Cursor::new(&target);
    for place in survey.directories.iter().filter(|place| !place.path.is_empty()) {
        cursor.make(&place.path, |parent, name| mkdirat(parent, name, Mode::RWXU))?;
    }
    Writing { layers, open, files: &survey.files, loose: &survey.loose, target: &target }.run(pool)?;
    for place in &survey.others {
        cursor.other(place)?;
    }
    let mut from = Cursor::new(&target);
    for Link { path, target: to } in &survey.links {
        let (old, old_name) = from.parent(to)?;
        cursor.make(path, |parent, name| match linkat(old, old_name, parent, name, AtFlags::empty()) {
            // Nothing else is missing but devices that were left out.
            Err(Errno::NOENT) => {
                target.leave_out(Omission::Device, path);
                Ok(())
            }
            linked => linked,
        })?;
    }
    let attributes = |place: Place<'_>| (place.path, place.node.attributes().clone());
    let directories = survey.directories.into_iter().map(attributes).collect();
    Ok(Unpacked { directories: Directories(directories), left_out: target.left_out() })
}

impl Directories {
    /// Gives the directory at `path` and all below it their attributes, those that lie deeper first: as long as one has not
    /// got its own, nobody can get to those in it. `directory` is where the one at `path` is by now, and errors call it
    /// `shown`.
    pub fn finish(&self, path: &[u8], directory: BorrowedFd<'_>, shown: &Path) -> Result<()> {
        let target = UnpackRoot::new(directory, shown)?;
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

    /// As [`finish`](Self::finish), but for `directory` alone.
    pub fn finish_one(&self, path: &[u8], directory: BorrowedFd<'_>, shown: &Path) -> Result<()> {
        match self.0.get(path) {
            Some(attributes) => UnpackRoot::new(directory, shown)?.settle(directory, b"", attributes, attributes.mode),
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
}

/// A small file and its content.
type Small<'a> = (&'a Place<'a>, Vec<u8>);

/// Contents that one thread gets, one after the other.
enum Contents<'a> {
    OfLayer(&'a Layer, &'a [Wanted<'a>]),
    Loose(&'a [(Place<'a>, &'a Content)]),
}

impl<'a> Writing<'a, '_> {
    /// The threads of `pool` read layers, others write: neither wait for the disk while they could decompress.
    fn run(&self, pool: &ThreadPool) -> Result<()> {
        let writers = pool.current_num_threads();
        let (send, receive) = sync_channel(2 * writers);
        let receive = Arc::new(Mutex::new(receive));
        let failure = &FirstFailure::default();
        std::thread::scope(|scope| {
            for _ in 0..writers {
                let receive = receive.clone();
                failure.note(start(scope, move || self.write_small(&receive, failure)));
            }
            // Theirs alone: should all of them end, nobody waits for them to take what is sent.
            drop(receive);
            let layers = self.layers.iter().zip(self.files).filter(|(_, files)| !files.is_empty());
            let layers = layers.map(|(layer, files)| Contents::OfLayer(layer, files));
            let all: Vec<Contents<'a>> = layers.chain(self.loose.chunks(LOOSE).map(Contents::Loose)).collect();
            let read = |send: &mut SyncSender<_>, contents: Contents<'a>| match contents {
                Contents::OfLayer(layer, files) => self.read_layer(layer, files, send, failure),
                Contents::Loose(files) => self.read_loose(files, send, failure),
            };
            // Those that write are done when the last sender is gone, which is given away here.
            failure.note(pool.install(|| all.into_par_iter().with_max_len(1).try_for_each_with(send, read)));
        });
        failure.outcome()
    }

    fn read_layer(
        &self,
        layer: &Layer,
        files: &'a [Wanted<'a>],
        send: &SyncSender<Small<'a>>,
        failure: &FirstFailure,
    ) -> Result<()> {
        let mut cursor = Cursor::new(self.target);
        contents(layer, files, self.open, |file, content| {
            if failure.is_noted() {
                return Err(Error::input("another part has failed"));
            }
            if file.size > SMALL {
                return self.write_large(&mut cursor, &file.place, file.size, |take| content.each_part(take));
            }
            let mut bytes = vec![0; file.size as usize];
            content.read(&mut bytes)?;
            let _ = send.send((&file.place, bytes)); // if nobody receives any more, that has an error of its own
            Ok(())
        })
    }

    fn read_loose(
        &self,
        files: &'a [(Place<'a>, &'a Content)],
        send: &SyncSender<Small<'a>>,
        failure: &FirstFailure,
    ) -> Result<()> {
        let mut cursor = Cursor::new(self.target);
        for (place, content) in files {
            if failure.is_noted() {
                return Err(Error::input("another part has failed"));
            }
            if content.size() > SMALL {
                self.write_large(&mut cursor, place, content.size(), |take| each_part(content, take))?;
            } else {
                // Even of an empty file on disk it is seen that it is the one that was walked.
                let _ = send.send((place, content.bytes()?)); // as above
            }
        }
        Ok(())
    }

    fn write_small(&self, receive: &Mutex<Receiver<Small<'a>>>, failure: &FirstFailure) {
        let mut cursor = Cursor::new(self.target);
        loop {
            let Ok((place, bytes)) = locked(receive).recv() else { return };
            if failure.is_noted() {
                continue;
            }
            let written = self.create(&mut cursor, place).and_then(|mut created| {
                created.write_all(&bytes).map_err(|source| self.target.failed("write", &place.path, source))?;
                self.settle(&created, place)
            });
            failure.note(written);
        }
    }

    /// Writes the file at `place`; `each_part` gives what is in it to the function that it gets.
    fn write_large(
        &self,
        cursor: &mut Cursor<'_>,
        place: &Place<'_>,
        size: u64,
        each_part: impl FnOnce(&mut TakePart<'_>) -> Result<()>,
    ) -> Result<()> {
        let created = self.create(cursor, place)?;
        let failed = |source| self.target.failed("write", &place.path, source);
        created.set_len(size).map_err(failed)?;
        each_part(&mut |part, at| created.write_all_at(part, at).map_err(failed))?;
        self.settle(&created, place)
    }

    fn create(&self, cursor: &mut Cursor<'_>, place: &Place<'_>) -> Result<File> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
        cursor.open(&place.path, flags).map(File::from)
    }

    fn settle(&self, created: &File, place: &Place<'_>) -> Result<()> {
        let attributes = place.node.attributes();
        let is_owned = self.target.is_root || is_kept(attributes);
        let mode = if is_owned { attributes.mode } else { attributes.mode & !SET_ID };
        if mode != attributes.mode {
            self.target.leave_out(Omission::SetId, &place.path);
        }
        self.target.settle(created, &place.path, attributes, mode)
    }
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

/// Set-user-ID and set-group-ID.
const SET_ID: u32 = 0o6000;

/// The first failure of several threads.
#[derive(Default)]
struct FirstFailure {
    first: Mutex<Option<Error>>,
    is_noted: AtomicBool,
}

impl FirstFailure {
    fn note(&self, outcome: Result<()>) {
        if let Err(error) = outcome {
            locked(&self.first).get_or_insert(error);
            self.is_noted.store(true, Ordering::Relaxed);
        }
    }

    fn is_noted(&self) -> bool {
        self.is_noted.load(Ordering::Relaxed)
    }

    fn outcome(&self) -> Result<()> {
        locked(&self.first).take().map_or(Ok(()), Err)
    }
}
