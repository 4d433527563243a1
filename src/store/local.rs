use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, utimensat};

use super::Store;
use super::follow::{Follower, Growing};
use super::layout::BLOBS;
use super::lock::Lock;
use super::pending::{self, PREFIX, PendingDirectory, PendingFile};
use crate::error::{Error, Result};
use crate::layer::{Content, Spool};
use crate::oci::{Descriptor, Digest, VerifyingReader};

/// Where builds keep their blobs: `blobs/sha256/<hex>`, as in an OCI layout, `records/<hex>` for what they want to
/// remember of a blob, and `tmp/` for what is in the making. A record is the SHA-256 of what follows, the digest of the
/// blob that it is of, and the content.
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
    /// The digests of blobs and the keys of records that were used since it was opened.
    used: Mutex<BTreeSet<Digest>>,
    /// The blobs that were written through this value: what is in them is known.
    written: Mutex<BTreeSet<Digest>>,
    grown: AtomicBool,
}

/// A blob that is being written; it vanishes unless it is committed.
#[derive(Debug)]
pub struct PendingBlob {
    file: PendingFile,
    growing: Growing,
}

const RECORDS: &str = "records";
const PENDING: &str = "tmp";

/// What a killed build has left in `tmp/` is removed once nothing has written to it for this long.
const STALE: Duration = Duration::from_secs(24 * 60 * 60);

impl LocalStore {
    /// Opens the store at `root`, creating it if need be.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        let failed = |path: &Path, source| {
            Error::io("create the local store", path, source)
                .with_hint("set OCIBAKE_STORE to a directory that can be written to")
        };
        for directory in [BLOBS, RECORDS, PENDING].map(|name| root.join(name)) {
            fs::create_dir_all(&directory).map_err(|source| failed(&directory, source))?;
        }
        let lock = root.join("lock");
        let lock = Lock::shared(&lock).map_err(|source| failed(&lock, source))?;
        let making = root.join(PENDING);
        let making = Arc::new(File::open(&making).map_err(|source| failed(&making, source))?.into());
        let store = LocalStore {
            root,
            lock,
            making,
            used: Mutex::default(),
            written: Mutex::default(),
            grown: AtomicBool::new(false),
        };
        store.sweep()?;
        Ok(store)
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Begins a blob.
    pub fn begin(&self) -> Result<PendingBlob> {
        Ok(PendingBlob { file: PendingFile::within(&self.making, &self.pending())?, growing: Growing::default() })
    }

    /// Puts a written blob under `digest`, which the caller has computed over exactly the bytes it wrote.
    pub fn commit(&self, blob: PendingBlob, digest: Digest) -> Result<()> {
        let path = self.path(&digest);
        if !path.exists() {
            self.grown.store(true, Ordering::Relaxed);
        }
        blob.file.keep(&path)?;
        blob.growing.commit(digest);
        locked(&self.used).insert(digest);
        locked(&self.written).insert(digest);
        Ok(())
    }

    /// Stores content at hand.
    pub fn put(&self, media_type: &str, content: &[u8]) -> Result<Descriptor> {
        let descriptor = Descriptor::of(media_type, content);
        let mut blob = self.begin()?;
        blob.write_all(content).map_err(|source| Error::io("write to", &self.root, source))?;
        self.commit(blob, descriptor.digest)?;
        Ok(descriptor)
    }

    /// An empty directory that nobody else may look into, for what is needed during a build. It goes with the value, and
    /// if this process is killed, with one to come.
    pub fn directory(&self) -> Result<PendingDirectory> {
        PendingDirectory::begin(&self.pending())
    }

    /// An empty file without a name, for what is needed only as long as it is open.
    pub fn scratch(&self) -> Result<File> {
        let pending = self.pending();
        tempfile::tempfile_in(&pending).map_err(|source| Error::io("create a file in", &pending, source))
    }

    /// Takes a blob over: whether one of this digest and size is there. Its content is checked when it is read.
    pub fn has(&self, descriptor: &Descriptor) -> bool {
        let path = self.path(&descriptor.digest);
        let is_there = fs::metadata(&path).is_ok_and(|blob| blob.is_file() && blob.len() == descriptor.size);
        if is_there {
            self.touch(descriptor.digest, &path);
        }
        is_there
    }

    /// The file of a blob, for whoever checks what it reads; none if it is not there. To read parts of it is no use of it
    /// as a whole.
    pub fn blob(&self, digest: &Digest) -> Option<File> {
        File::open(self.path(digest)).ok()
    }

    /// A blob as the content of a file; none if it is not there. It is checked when it is first read, and removed if it is
    /// damaged.
    pub fn content(&self, digest: &Digest) -> Option<Content> {
        let path = self.path(digest);
        let size = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?.len();
        self.touch(*digest, &path);
        let descriptor = Descriptor::new("application/octet-stream", *digest, size);
        let spool = Spool::made_by(*digest, move || {
            let failed = |source| Error::from_read("read", &path, source);
            let file = File::open(&path).map_err(failed)?;
            let mut blob = Mending { blob: open_blob(&path, &descriptor)?, path: path.clone() };
            io::copy(&mut blob, &mut io::sink()).map_err(failed)?;
            Ok(file)
        });
        Some(Content::Part { spool: Arc::new(spool), offset: 0, size })
    }

    /// What was noted under `key`, and the blob that it is of, if anything was and it is undamaged.
    pub fn record(&self, key: &Digest) -> Option<(Digest, Vec<u8>)> {
        let path = self.record_path(key);
        let noted = fs::read(&path).ok()?;
        let (digest, rest) = noted.split_first_chunk()?;
        let (blob, content) = rest.split_first_chunk()?;
        if Digest::of(rest) != Digest::from(*digest) {
            return None;
        }
        self.touch(*key, &path);
        Some((Digest::from(*blob), content.to_vec()))
    }

    /// Notes something of `blob` under `key`, in place of what was noted before.
    pub fn put_record(&self, key: &Digest, blob: &Digest, content: &[u8]) -> Result<()> {
        let path = self.record_path(key);
        let mut file = PendingFile::within(&self.making, &self.pending())?;
        let rest = [blob.as_bytes(), content].concat();
        let noted = [Digest::of(&rest).as_bytes(), &rest[..]].concat();
        file.write_all(&noted).map_err(|source| Error::io("write", &path, source))?;
        file.keep(&path)?;
        locked(&self.used).insert(*key);
        Ok(())
    }

    /// Takes it that a record is used which need not be read; there may be none.
    pub fn touch_record(&self, key: &Digest) {
        self.touch(*key, &self.record_path(key));
    }

    /// Whether blobs were added, since it was opened, that it did not have.
    pub(super) fn has_grown(&self) -> bool {
        self.grown.load(Ordering::Relaxed)
    }

    /// Whether a blob, or the record of a key, was used since it was opened.
    pub(super) fn has_used(&self, digest: &Digest) -> bool {
        locked(&self.used).contains(digest)
    }

    pub(super) fn blobs(&self) -> PathBuf {
        self.root.join(BLOBS)
    }

    pub(super) fn records(&self) -> PathBuf {
        self.root.join(RECORDS)
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

    /// A use that cannot be noted only makes the blob or the record go earlier.
    fn touch(&self, digest: Digest, path: &Path) {
        if locked(&self.used).insert(digest) {
            let at = |tv_nsec| Timespec { tv_sec: 0, tv_nsec };
            let times = Timestamps { last_access: at(UTIME_OMIT), last_modification: at(UTIME_NOW) };
            let _ = utimensat(CWD, path, &times, AtFlags::empty());
        }
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
    /// A blob that turns out to be damaged is removed, so that the next build makes it anew. One that was written through
    /// this value, and is as long as it should be, is not hashed a second time.
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        let path = self.path(&descriptor.digest);
        let is_written = locked(&self.written).contains(&descriptor.digest);
        let is_whole = || fs::metadata(&path).is_ok_and(|blob| blob.len() == descriptor.size);
        let blob = if is_written && is_whole() {
            Box::new(File::open(&path).map_err(|source| Error::io("read", &path, source))?)
        } else {
            open_blob(&path, descriptor)?
        };
        self.touch(descriptor.digest, &path);
        Ok(Box::new(Mending { blob, path }))
    }

    /// The local store has no names.
    fn resolve(&self, _: Option<&str>) -> Result<Descriptor> {
        Err(Error::not_found(format!("the local store {} holds blobs without names", self.root.display())))
    }
}

impl PendingBlob {
    /// Whoever wants to read it while it is written.
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

fn locked(digests: &Mutex<BTreeSet<Digest>>) -> MutexGuard<'_, BTreeSet<Digest>> {
    digests.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A blob that is a file of its own, as in the store and in layouts.
pub(super) fn open_blob(path: &Path, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + 'static>> {
    match File::open(path) {
        Ok(file) => Ok(Box::new(VerifyingReader::new(file, descriptor.digest, descriptor.size))),
        Err(source) if source.kind() == io::ErrorKind::NotFound => {
            Err(Error::not_found(format!("there is no blob {} at {}", descriptor.digest, path.display())))
        }
        Err(source) => Err(Error::io("read", path, source)),
    }
}
