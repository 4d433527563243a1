use std::fs::{File, Metadata};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::error::{Error, Result};

/// What is in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    Bytes(Arc<[u8]>),
    /// Read when the layer is written; it must still be the file of that identity then.
    Disk {
        path: PathBuf,
        identity: Identity,
    },
}

/// What tells a file from any other and from itself at another time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    pub device: u64,
    pub inode: u64,
    pub links: u64,
    pub size: u64,
    /// Seconds and nanoseconds.
    pub modified: (i64, i64),
    pub changed: (i64, i64),
}

impl Identity {
    pub fn of(metadata: &Metadata) -> Self {
        Identity {
            device: metadata.dev(),
            inode: metadata.ino(),
            links: metadata.nlink(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl Content {
    /// In bytes.
    pub fn size(&self) -> u64 {
        match self {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::Disk { identity, .. } => identity.size,
        }
    }

    /// Appends `range`, which lies within, to `out`. A file that is not, from its first byte to its last, the one that
    /// was walked is an error.
    pub(super) fn read(&self, range: Range<u64>, out: &mut Vec<u8>) -> Result<()> {
        match self {
            Content::Bytes(bytes) => out.extend_from_slice(&bytes[range.start as usize..range.end as usize]),
            Content::Disk { path, identity } => {
                let file = open(path)?;
                unchanged(&file, path, identity)?;
                let from = out.len();
                out.resize(from + (range.end - range.start) as usize, 0);
                match file.read_exact_at(&mut out[from..], range.start) {
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(changed(path)),
                    other => other.map_err(|source| Error::io("read", path, source))?,
                }
                unchanged(&file, path, identity)?;
            }
        }
        Ok(())
    }
}

/// Opens what was a regular file when it was walked: never a link, and without waiting should it be a FIFO by now.
fn open(path: &Path) -> Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = File::options().read(true).custom_flags(flags.bits() as i32).open(path);
    opened.map_err(|source| match Errno::from_io_error(&source) {
        // It is gone, or a link or a socket by now.
        Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO) => changed(path).with_source(source),
        _ => Error::io("read", path, source),
    })
}

fn unchanged(file: &File, path: &Path, identity: &Identity) -> Result<()> {
    let metadata = file.metadata().map_err(|source| Error::io("read", path, source))?;
    if Identity::of(&metadata) == *identity { Ok(()) } else { Err(changed(path)) }
}

fn changed(path: &Path) -> Error {
    Error::input(format!("{} changed while it was read", path.display()))
        .with_hint("let whatever writes it finish first, or exclude it")
}
