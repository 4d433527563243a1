//! The [`LocalStore`] is where builds keep their blobs, and what they remember of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, CWD, RawMode, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, utimensat};

use super::Store;
use super::blob_file::{BlobFile, unopened, verified};
use super::follow::{Follower, Growing};
use super::keyed_file;
use super::layout::BLOBS;
use super::lock::Lock;
use super::pending::{self, PREFIX, PendingDirectory, PendingFile};
use super::private::{self, OTHERS, OTHERS_WRITE};
use super::regular;
use crate::error::{Error, Result};
use crate::layer::Layer;
use crate::oci::{Descriptor, Digest, Reference, VerifyingReader};
use crate::sync::locked;
use crate::tree::{Content, Spool};

/// The store of builds: `blobs/sha256/<hex>` has their blobs, as in an OCI layout, `names/<hex>` the
/// [names of images](super::NamedImage), `records/<hex>` what builds and pushes want to remember of a blob, [`unpacked/<hex>`](Self::unpacked) what layers unpack to, `caches/` the directories that commands
/// keep, and `tmp/` what is in the making. A record is the SHA-256 of what follows, the key that it lies
/// under, the digest of the blob that it is of, and the content: what was moved to the place of another is not a record.
///
/// Nobody but its owner may look into it, as with docker's and podman's. Blobs and records are regular files; whatever else
/// stands in the place of one is not there, and goes.
///
/// A blob appears under its name only when it is whole, in one step, so any number of builds may share a store and any
/// of them may be killed at any time. Nothing is [pruned](super::prune) while the store is open anywhere.
///
/// The time of a blob or a record, as the file system has it, is that of its last use: when it was written, when a build
/// took it over, or when it was read for an output.
#[derive(Debug)]
pub struct LocalStore {
    root: PathBuf,
    pub(super) lock: Lock,
    /// `tmp/`, in which many files may be in the making at once.
    making: Arc<OwnedFd>,
    /// The digests of blobs, the keys of records and the names of what was unpacked that were used since it was opened.
    used: Mutex<BTreeSet<Digest>>,
    /// The blobs that were written through this value: what is in them is known.
    written: Mutex<BTreeSet<Digest>>,
    /// The diff_ids of layers, by their blobs, that were found out since it was opened.
    unpacked: Mutex<BTreeMap<Digest, Digest>>,
    grown: AtomicBool,
}

/// A blob that is being written; it vanishes unless it is committed.
#[derive(Debug)]
pub struct PendingBlob {
    file: PendingFile,
    growing: Growing,
}

const CACHES: &str = "caches";
const NAMES: &str = "names";
const NOTES: &str = "notes";
const RECORDS: &str = "records";
const UNPACKED: &str = "unpacked";
const PENDING: &str = "tmp";
const LOCK: &str = "lock";

/// The directories of a store, and all names that stand in it.
const DIRECTORIES: [&str; 8] = ["blobs", BLOBS, CACHES, NAMES, NOTES, RECORDS, UNPACKED, PENDING];
const ALL_THERE_IS: [&str; 8] = ["blobs", CACHES, NAMES, NOTES, RECORDS, UNPACKED, PENDING, LOCK];

/// The size of the largest record, in bytes; what is larger is not ours.
const LARGEST_RECORD: u64 = 1 << 30;

/// The leftovers of a killed build in `tmp/` are removed once nothing has written to them for this long.
const STALE: Duration = Duration::from_secs(24 * 60 * 60);

impl LocalStore {
    /// The directories in it in which things may belong to others than its owner: to the users of images.
    pub const SHARED_OUT: [&str; 3] = [CACHES, UNPACKED, PENDING];

    /// Opens the store at `root`, creating it if need be. If others were let in until now they are not any more, and the
    /// records that they could have written are gone; a store of another user is an error.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        let allowed = private::prepare(&root, &DIRECTORIES, &ALL_THERE_IS)?;
        let lock = root.join(LOCK);
        let lock = Lock::shared(&lock).map_err(|source| {
            Error::io("lock the local store", &lock, source).with_hint("if it is not a file, remove it")
        })?;
        let making = private::open_directory(&root.join(PENDING))?;
        let store = LocalStore {
            root,
            lock,
            making: Arc::new(making),
            used: Mutex::default(),
            written: Mutex::default(),
            unpacked: Mutex::default(),
            grown: AtomicBool::new(false),
        };
        store.mend(allowed)?;
        store.sweep()?;
        Ok(store)
    }

    /// Returns whether there is a store at `root` that has names, which is found out without opening it.
    pub fn is_at(root: &Path) -> bool {
        Self::names_at(root).is_dir()
    }

    /// Returns the directory of the names in the store at `root`, which changes with every name that comes, moves or goes.
    pub fn names_at(root: &Path) -> PathBuf {
        root.join(NAMES)
    }

    /// Returns where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Begins a blob, which is in the store once it is [committed](Self::commit).
    pub fn begin(&self) -> Result<PendingBlob> {
        Ok(PendingBlob { file: self.begin_private()?, growing: Growing::default() })
    }

    /// Puts a written blob under `digest`, which the caller has computed over exactly the bytes it wrote.
    pub fn commit(&self, blob: PendingBlob, digest: Digest) -> Result<()> {
        let path = self.path(&digest);
        if !is_file(&path) {
            self.note_growth();
        }
        keep(blob.file, &path)?;
        blob.growing.commit(digest);
        locked(&self.used).insert(digest);
        locked(&self.written).insert(digest);
        Ok(())
    }

    /// Stores content at hand, and returns its descriptor.
    pub fn put(&self, media_type: &str, content: &[u8]) -> Result<Descriptor> {
        let descriptor = Descriptor::of(media_type, content);
        let mut blob = self.begin()?;
        blob.write_all(content).map_err(|source| Error::io("write to", &self.root, source))?;
        self.commit(blob, descriptor.digest)?;
        Ok(descriptor)
    }

    /// Makes an empty directory that nobody else may look into, for what is needed during a build. It goes with the
    /// value, and if this process is killed, with one to come.
    pub fn directory(&self) -> Result<PendingDirectory> {
        PendingDirectory::begin(&self.pending())
    }

    /// Makes an empty file without a name, for what is needed only as long as it is open.
    pub fn scratch(&self) -> Result<File> {
        let pending = self.pending();
        tempfile::tempfile_in(&pending).map_err(|source| Error::io("create a file in", &pending, source))
    }

    /// Claims a blob: returns whether one of this digest and size is there, which from now on counts as used by this
    /// process. The content is checked when it is read.
    pub fn claim(&self, descriptor: &Descriptor) -> bool {
        let path = self.path(&descriptor.digest);
        let is_there = fs::symlink_metadata(&path).is_ok_and(|blob| blob.is_file() && blob.len() == descriptor.size);
        if is_there {
            self.touch(descriptor.digest, &path);
        }
        is_there
    }

    /// Returns the file of a blob, for whoever checks what it reads; none if it is not there. To read parts of it is no
    /// use of it as a whole.
    pub fn blob(&self, digest: &Digest) -> Option<File> {
        own(&self.path(digest)).ok()
    }

    /// Returns a blob as the content of a file; none if it is not there. It is checked when it is first read, and
    /// removed if it is damaged.
    pub fn content(&self, digest: &Digest) -> Option<Content> {
        let path = self.path(digest);
        let size = fs::symlink_metadata(&path).ok().filter(fs::Metadata::is_file)?.len();
        self.touch(*digest, &path);
        let descriptor = Descriptor::new("application/octet-stream", *digest, size);
        let spool = Spool::made_by(*digest, move || {
            let failed = |source| Error::from_read("read", &path, source);
            let file = own(&path).map_err(failed)?;
            let blob = VerifyingReader::new(&file, descriptor.digest, descriptor.size);
            let mut blob = Mending { blob, path: path.clone() };
            io::copy(&mut blob, &mut io::sink()).map_err(failed)?;
            Ok(file)
        });
        Some(Content::Part { spool: Arc::new(spool), offset: 0, size })
    }

    /// Returns the blob that the record under `key` is of, and what was noted; none if nothing was, or it is damaged.
    pub fn record(&self, key: &Digest) -> Option<(Digest, Vec<u8>)> {
        let path = self.record_path(key);
        let told = keyed_file::read(own(&path).ok()?, key, LARGEST_RECORD)?;
        let (blob, content) = told.split_first_chunk()?;
        self.touch(*key, &path);
        Some((Digest::from(*blob), content.to_vec()))
    }

    /// Notes something of `blob` under `key`, in place of what was noted before.
    pub fn put_record(&self, key: &Digest, blob: &Digest, content: &[u8]) -> Result<()> {
        let path = self.record_path(key);
        let mut file = self.begin_private()?;
        keyed_file::write(&mut file, &path, key, &[blob.as_bytes(), content])?;
        keep(file, &path)?;
        locked(&self.used).insert(*key);
        Ok(())
    }

    /// Returns the blob that the record of this key says it is of; none if it cannot be told. The rest of it is not
    /// looked at.
    pub(super) fn blob_of(&self, key: &Digest) -> Option<Digest> {
        let mut head = [[0; 32]; 3];
        own(&self.record_path(key)).ok()?.read_exact(head.as_flattened_mut()).ok()?;
        let [_, own_key, blob] = head.map(Digest::from);
        (own_key == *key).then_some(blob)
    }

    /// Counts a record as used that need not be read; there may be none.
    pub fn touch_record(&self, key: &Digest) {
        self.touch(*key, &self.record_path(key));
    }

    /// Takes it, as long as the store is open, that the blob of `layer` unpacks to its diff_id: it was made here, or
    /// that is noted elsewhere.
    pub fn take_diff_id(&self, layer: &Layer) {
        let mut unpacked = locked(&self.unpacked);
        unpacked.insert(layer.descriptor.digest, layer.diff_id);
    }

    /// Returns whether something was added, since it was opened, that it did not have.
    pub(super) fn has_grown(&self) -> bool {
        self.grown.load(Ordering::Relaxed)
    }

    /// Notes that something was added.
    pub(super) fn note_growth(&self) {
        self.grown.store(true, Ordering::Relaxed);
    }

    /// Returns whether a blob, the record of a key or what was unpacked was used since it was opened.
    pub(super) fn has_used(&self, digest: &Digest) -> bool {
        locked(&self.used).contains(digest)
    }

    /// Begins a file that is the owner's alone.
    pub(super) fn begin_private(&self) -> Result<PendingFile> {
        PendingFile::private_within(&self.making, &self.pending())
    }

    pub(super) fn blobs(&self) -> PathBuf {
        self.root.join(BLOBS)
    }

    pub(super) fn caches(&self) -> PathBuf {
        self.root.join(CACHES)
    }

    pub(super) fn all_names(&self) -> PathBuf {
        self.root.join(NAMES)
    }

    pub(super) fn name_path(&self, key: &Digest) -> PathBuf {
        self.all_names().join(key.hex())
    }

    pub(super) fn notes(&self) -> PathBuf {
        self.root.join(NOTES)
    }

    pub(super) fn note_path(&self, key: &Digest) -> PathBuf {
        self.notes().join(key.hex())
    }

    pub(super) fn records(&self) -> PathBuf {
        self.root.join(RECORDS)
    }

    pub(super) fn all_unpacked(&self) -> PathBuf {
        self.root.join(UNPACKED)
    }

    pub(super) fn pending(&self) -> PathBuf {
        self.root.join(PENDING)
    }

    pub(super) fn path(&self, digest: &Digest) -> PathBuf {
        self.blobs().join(digest.hex())
    }

    pub(super) fn record_path(&self, key: &Digest) -> PathBuf {
        self.records().join(key.hex())
    }

    /// Notes a use. One that cannot be noted only makes the blob or the record go earlier.
    pub(super) fn touch(&self, digest: Digest, path: &Path) {
        if locked(&self.used).insert(digest) {
            mark_as_used(path);
        }
    }

    /// Makes up for what others were `allowed` before, as the bits of a mode.
    fn mend(&self, allowed: RawMode) -> Result<()> {
        if allowed & OTHERS_WRITE != 0 {
            empty(&self.records(), &pending::remove)?;
            empty(&self.all_names(), &pending::remove)?;
            empty(&self.notes(), &pending::remove)?;
            empty(&self.all_unpacked(), &|path| self.discard(path))?;
            empty(&self.caches(), &|path| self.discard(path))?;
        }
        if allowed & OTHERS != 0 {
            private::narrow_files(&self.blobs())?;
            private::narrow_files(&self.records())?;
            private::narrow_files(&self.notes())?;
        }
        Ok(())
    }

    fn sweep(&self) -> Result<()> {
        let directory = self.pending();
        let failed = |source| Error::io("list", &directory, source);
        for item in fs::read_dir(&directory).map_err(failed)? {
            let item = item.map_err(failed)?;
            let modified = item.metadata().and_then(|metadata| metadata.modified());
            let age = modified.ok().and_then(|modified| SystemTime::now().duration_since(modified).ok());
            if item.file_name().to_string_lossy().starts_with(PREFIX) && age.is_some_and(|age| age > STALE) {
                // Another process may be sweeping too; a leftover that will not go harms nobody.
                let _ = pending::remove(&item.path());
            }
        }
        Ok(())
    }
}

impl Store for LocalStore {
    /// Opens a blob. One that turns out to be damaged is removed, so that the next build makes it anew. One that was
    /// written through this value, and is as long as it should be, is not hashed a second time.
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        let path = self.path(&descriptor.digest);
        let file = own(&path).map_err(|source| unopened(&path, descriptor, source))?;
        let is_written = locked(&self.written).contains(&descriptor.digest);
        let is_whole = || file.metadata().is_ok_and(|blob| blob.len() == descriptor.size);
        let blob: Box<dyn Read + Send> =
            if is_written && is_whole() { Box::new(file) } else { Box::new(verified(file, descriptor)) };
        self.touch(descriptor.digest, &path);
        Ok(Box::new(Mending { blob, path }))
    }

    fn open_file(&self, descriptor: &Descriptor) -> Option<BlobFile> {
        self.blob(&descriptor.digest).map(|file| BlobFile::new(file, 0))
    }

    fn diff_id(&self, layer: &Descriptor) -> Option<Digest> {
        let known = locked(&self.unpacked).get(&layer.digest).copied();
        known.or_else(|| {
            let (blob, diff_id) = self.record(&diff_id_key(&layer.digest))?;
            let diff_id = Digest::from(<[u8; 32]>::try_from(diff_id).ok()?);
            (blob == layer.digest).then_some(diff_id)
        })
    }

    fn note_diff_id(&self, layer: &Layer) -> Result<()> {
        self.take_diff_id(layer);
        let Layer { descriptor, diff_id } = layer;
        self.put_record(&diff_id_key(&descriptor.digest), &descriptor.digest, diff_id.as_bytes())
    }

    fn repositories(&self, descriptor: &Descriptor, registry: &str) -> Vec<Reference> {
        self.noted_repositories(&descriptor.digest, registry)
    }

    fn note_repository(&self, descriptor: &Descriptor, name: &Reference) {
        self.put_repository(&descriptor.digest, name);
    }

    /// Returns what [`find`](LocalStore::find) does; without a name it fails.
    fn resolve(&self, name: Option<&str>) -> Result<Descriptor> {
        let name = name.ok_or_else(|| Error::usage("the local store has its images by name"))?;
        let found = self.find(name)?;
        found.map(|found| found.root).ok_or_else(|| Self::lacks(name))
    }
}

impl PendingBlob {
    /// Returns a reader for whoever wants to read it while it is written.
    pub fn follow(&self) -> io::Result<Follower> {
        Ok(self.growing.follow(self.file.as_file().try_clone()?))
    }
}

impl Write for PendingBlob {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.growing.advance(count);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Removes the blob at `path` if it turns out to be damaged as it is read.
struct Mending<R> {
    blob: R,
    path: PathBuf,
}

impl<R: Read> Read for Mending<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.blob.read(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => error,
            io::ErrorKind::InvalidData => {
                // If it will not go, the error that follows says what is wrong.
                let _ = fs::remove_file(&self.path);
                error
            }
            kind => io::Error::new(kind, format!("{}: {error}", self.path.display())),
        })
    }
}

/// Does away with all that is in `directory`, as `remove` does it.
fn empty(directory: &Path, remove: &dyn Fn(&Path) -> io::Result<()>) -> Result<()> {
    let failed = |source| Error::io("list", directory, source);
    for item in fs::read_dir(directory).map_err(failed)? {
        let path = item.map_err(failed)?.path();
        remove(&path).map_err(|source| Error::io("remove", &path, source))?;
    }
    Ok(())
}

/// Returns the key under which the diff_id of a layer is noted.
fn diff_id_key(blob: &Digest) -> Digest {
    Digest::of(format!("ocibake diff_id 1\n{blob}").as_bytes())
}

/// Gives a file its final name, in place of what stands there.
pub(super) fn keep(file: PendingFile, path: &Path) -> Result<()> {
    if fs::symlink_metadata(path).is_ok_and(|present| present.is_dir()) {
        pending::remove(path).map_err(|source| Error::io("remove", path, source))?;
    }
    file.keep(path)
}

/// Makes this the time at which what is at `path` was last used.
pub(super) fn mark_as_used(path: &Path) {
    let at = |tv_nsec| Timespec { tv_sec: 0, tv_nsec };
    let times = Timestamps { last_access: at(UTIME_OMIT), last_modification: at(UTIME_NOW) };
    // What cannot be marked goes sooner than it might.
    let _ = utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW);
}

fn is_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|present| present.is_file())
}

/// Opens a blob or a record. Whatever else is in its place is not there, and removed.
pub(super) fn own(path: &Path) -> io::Result<File> {
    regular::open_no_link(path).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidInput => match pending::remove(path) {
            Ok(()) => io::ErrorKind::NotFound.into(),
            Err(_) => error,
        },
        _ => error,
    })
}
