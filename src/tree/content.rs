//! What is in a file: bytes in memory, a file of a disk, or a part of a tar.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{OFlags, Stat, fstat};
use rustix::io::Errno;

use super::disk::real_path::open_real;
use super::file_name::FileName;
use super::spool::Spool;
use crate::error::{Error, Result};
use crate::kernel::{self, device_of};
use crate::oci::{Digest, HashingWriter};

/// The content of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// All of it, in memory.
    Bytes(Arc<[u8]>),
    /// Read when the layer is written; it must still be the file of that identity then.
    Disk(Arc<DiskFile>),
    /// `size` bytes of a tar from `offset` on; looked for when the layer is written.
    Part {
        /// The unpacked tar; nothing is read of it as long as nobody asks.
        spool: Arc<Spool>,
        /// The place of the first byte in the tar, in bytes.
        offset: u64,
        /// The length in bytes.
        size: u64,
    },
}

/// A file of this machine, as it was when it was walked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskFile {
    /// The path of the directory that it is in, which all in there share: a real one, none of whose names is a link, or the
    /// file has changed.
    pub directory: Arc<Path>,
    /// The name of the file in it.
    pub name: FileName,
    /// The marks by which it is known again.
    pub identity: Identity,
    /// The file system keeps the change time itself, so that a file of the same identity later is the same.
    pub tells_changes: bool,
}

impl DiskFile {
    /// Returns the path of the file.
    pub fn path(&self) -> PathBuf {
        self.directory.join(OsStr::from_bytes(&self.name))
    }
}

/// The marks that tell a file from any other and from itself at another time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The ID of the file system.
    pub device: u64,
    /// The number of the file in its file system.
    pub inode: u64,
    /// The number of its names.
    pub links: u64,
    /// The length in bytes.
    pub size: u64,
    /// Seconds and nanoseconds.
    pub modified: (i64, i64),
    /// The time at which the content, the owner or the mode last changed, which programs cannot choose; in seconds and
    /// nanoseconds.
    pub changed: (i64, i64),
}

impl Identity {
    /// Returns the marks as the operating system tells them.
    #[allow(clippy::unnecessary_cast, reason = "the number of links has 32 bits on some machines")]
    pub fn of(status: &Stat) -> Self {
        Identity {
            device: device_of(status),
            inode: status.st_ino,
            links: status.st_nlink as u64,
            size: status.st_size as u64,
            modified: kernel::modified(status),
            changed: kernel::changed(status),
        }
    }
}

/// What is read at once for a digest, in bytes.
const READ_AT_ONCE: usize = 1 << 18;

impl Content {
    /// Returns the size in bytes.
    pub fn size(&self) -> u64 {
        match self {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::Disk(file) => file.identity.size,
            Content::Part { size, .. } => *size,
        }
    }

    /// Returns all of it, for what is known to be small.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = vec![0; self.size() as usize];
        self.read(0, &mut bytes)?;
        Ok(bytes)
    }

    /// Returns its digest, for which it is read. A file that is not, from its first byte to its last, the one that was walked
    /// is an error.
    pub fn digest(&self) -> Result<Digest> {
        let mut hashing = HashingWriter::new(io::sink());
        io::copy(&mut BufReader::with_capacity(READ_AT_ONCE, self.reader()), &mut hashing).map_err(
            |source| match self {
                Content::Disk(file) => Error::from_read("read", file.path(), source),
                Content::Bytes(_) | Content::Part { .. } => Error::from_read("read", "a layer", source),
            },
        )?;
        Ok(hashing.finish().1)
    }

    /// Returns what reads it from its first byte on.
    pub fn reader(&self) -> ContentReader<'_> {
        ContentReader { content: self, at: 0 }
    }

    /// Fills `out` with what is from byte `at` on; it has no more room than there is content. A file that is not, from its
    /// first byte to its last, the one that was walked is an error.
    pub(crate) fn read(&self, at: u64, out: &mut [u8]) -> Result<()> {
        match self {
            Content::Bytes(bytes) => out.copy_from_slice(&bytes[at as usize..][..out.len()]),
            Content::Part { spool, offset, .. } => spool.read(offset + at, out)?,
            Content::Disk(file) => {
                let (path, identity) = (&file.path(), &file.identity);
                let file = open(path)?;
                let done = file.read_exact_at(out, at);
                // Nobody can set the time of change back, so one look afterwards tells of all that was done before; and of
                // another file in this one's place. What went wrong then says no more.
                unchanged(&file, path, identity)?;
                match done {
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(changed(path)),
                    other => other.map_err(|source| Error::io("read", path, source))?,
                }
            }
        }
        Ok(())
    }
}

/// Reads a [`Content`]: best by large parts, for a file is looked at each time.
#[derive(Debug)]
pub struct ContentReader<'a> {
    content: &'a Content,
    at: u64,
}

impl io::Read for ContentReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.content.size() - self.at;
        let count = left.min(buffer.len() as u64) as usize;
        self.content.read(self.at, &mut buffer[..count]).map_err(io::Error::other)?;
        self.at += count as u64;
        Ok(count)
    }
}

/// Opens what was a regular file when it was walked: never by a link, and without waiting should it be a FIFO by now.
pub(super) fn open(path: &Path) -> Result<File> {
    open_real(path, OFlags::RDONLY | OFlags::NONBLOCK).map(File::from).map_err(|errno| match errno {
        // It is gone, or it is a socket or behind a link by now.
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO => changed(path).with_source(io::Error::from(errno)),
        _ => Error::io("read", path, errno.into()),
    })
}

pub(super) fn unchanged(file: &File, path: &Path, identity: &Identity) -> Result<()> {
    let status = fstat(file).map_err(|errno| Error::io("read", path, errno.into()))?;
    if Identity::of(&status) == *identity { Ok(()) } else { Err(changed(path)) }
}

/// Returns the error for a file that is not the one that was walked.
pub(super) fn changed(path: &Path) -> Error {
    Error::input(format!("{} changed while it was read", path.display()))
        .with_hint("let whatever writes it finish first, or exclude it")
}
