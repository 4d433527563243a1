use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::Store;
use super::follow::{Follower, Growing};
use super::pending::{PREFIX, PendingFile};
use crate::error::{Error, Result};
use crate::oci::{Descriptor, Digest, VerifyingReader};

/// Where builds keep their blobs: `blobs/sha256/<hex>`, as in an OCI layout, `records/<hex>` for what they want to
/// remember, each behind its own SHA-256, and `tmp/` for what is in the making.
///
/// A blob appears under its name only when it is whole, in one step, so any number of builds may share a store and any
/// of them may be killed at any time.
#[derive(Debug)]
pub struct LocalStore {
    root: PathBuf,
}

/// A blob that is being written; it vanishes unless it is committed.
#[derive(Debug)]
pub struct PendingBlob {
    file: PendingFile,
    growing: Growing,
}

/// What a killed build has left in `tmp/` is removed once nothing has written to it for this long.
const STALE: Duration = Duration::from_secs(24 * 60 * 60);

impl LocalStore {
    /// Opens the store at `root`, creating it if need be.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let store = LocalStore { root: root.into() };
        for directory in [store.blobs(), store.records(), store.pending()] {
            fs::create_dir_all(&directory).map_err(|source| {
                Error::io("create the local store", &directory, source)
                    .with_hint("set OCIBAKE_STORE to a directory that can be written to")
            })?;
        }
        store.sweep()?;
        Ok(store)
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Begins a blob.
    pub fn begin(&self) -> Result<PendingBlob> {
        Ok(PendingBlob { file: PendingFile::in_directory(&self.pending())?, growing: Growing::default() })
    }

    /// Puts a written blob under `digest`, which the caller has computed over exactly the bytes it wrote.
    pub fn commit(&self, blob: PendingBlob, digest: Digest) -> Result<()> {
        blob.file.keep(&self.path(&digest))?;
        blob.growing.commit(digest);
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

    /// Whether a blob of this digest and size is there. Its content is checked when it is read.
    pub fn has(&self, descriptor: &Descriptor) -> bool {
        fs::metadata(self.path(&descriptor.digest)).is_ok_and(|blob| blob.is_file() && blob.len() == descriptor.size)
    }

    /// The file of a blob, for whoever checks what it reads; none if it is not there.
    pub fn blob(&self, digest: &Digest) -> Option<File> {
        File::open(self.path(digest)).ok()
    }

    /// What was noted under `key`, if anything was and it is undamaged.
    pub fn record(&self, key: &Digest) -> Option<Vec<u8>> {
        let noted = fs::read(self.records().join(key.hex())).ok()?;
        let (digest, content) = noted.split_at_checked(Digest::of(b"").as_bytes().len())?;
        (Digest::of(content).as_bytes() == digest).then(|| content.to_vec())
    }

    /// Notes something under `key`, in place of what was noted before.
    pub fn put_record(&self, key: &Digest, content: &[u8]) -> Result<()> {
        let path = self.records().join(key.hex());
        let mut file = PendingFile::in_directory(&self.pending())?;
        let noted = [Digest::of(content).as_bytes(), content].concat();
        file.write_all(&noted).map_err(|source| Error::io("write", &path, source))?;
        file.keep(&path)
    }

    fn records(&self) -> PathBuf {
        self.root.join("records")
    }

    fn blobs(&self) -> PathBuf {
        self.root.join("blobs/sha256")
    }

    fn pending(&self) -> PathBuf {
        self.root.join("tmp")
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.blobs().join(digest.hex())
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
                let _ = fs::remove_file(item.path());
            }
        }
        Ok(())
    }
}

impl Store for LocalStore {
    /// A blob that turns out to be damaged is removed, so that the next build makes it anew.
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        let path = self.path(&descriptor.digest);
        Ok(Box::new(Mending { blob: open_blob(&path, descriptor)?, path }))
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
