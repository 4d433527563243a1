//! A tar that lies elsewhere, brought into a file when a part of it is read.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, OnceLock};

use crate::error::{Error, ErrorKind, Result};
use crate::oci::Digest;

/// A tar that lies elsewhere, compressed, packed or far away, and the file that it is brought into once, when a part of it
/// is first read. Layers that are known already need no part of it.
pub struct Spool {
    tar: Digest,
    make: Option<Box<Make>>,
    file: OnceLock<File>,
    /// Held by the one who makes the file.
    making: Mutex<()>,
}

type Make = dyn Fn() -> Result<File> + Send + Sync;

impl Spool {
    /// Returns one that is empty. `tar` is the digest of the uncompressed bytes. Someone [fills](Spool::fill) it before any of it
    /// is read.
    pub fn new(tar: Digest) -> Self {
        Spool { tar, make: None, file: OnceLock::new(), making: Mutex::new(()) }
    }

    /// Returns one whose file `make` gives, which has verified all that it can: called once when a part is first read, and again
    /// only if it failed.
    pub fn made_by(tar: Digest, make: impl Fn() -> Result<File> + Send + Sync + 'static) -> Self {
        Spool { make: Some(Box::new(make)), ..Spool::new(tar) }
    }

    /// Returns the digest of the unpacked tar.
    pub fn tar(&self) -> Digest {
        self.tar
    }

    /// Returns whether the file is there, so that no part needs to be made.
    pub fn is_filled(&self) -> bool {
        self.file.get().is_some()
    }

    /// Returns whether parts can be read without being [filled](Spool::fill) first.
    pub fn can_be_read(&self) -> bool {
        self.is_filled() || self.make.is_some()
    }

    /// Takes `file`, in which every part that will be asked for stands at its place in the tar. The first one stays.
    pub fn fill(&self, file: File) {
        let _ = self.file.set(file); // two of one tar are alike
    }

    pub(super) fn read(&self, at: u64, out: &mut [u8]) -> Result<()> {
        let failed = |source: io::Error| {
            Error::new(ErrorKind::Io, format!("cannot read the unpacked tar {}", self.tar)).with_source(source)
        };
        self.file()?.read_exact_at(out, at).map_err(failed)
    }

    fn file(&self) -> Result<&File> {
        if self.file.get().is_none() {
            let _making = self.making.lock(); // whoever failed before has left nothing half done
            if let (None, Some(make)) = (self.file.get(), &self.make) {
                self.fill(make()?);
            }
        }
        self.file.get().ok_or_else(|| Error::not_found(format!("the tar {} was not unpacked", self.tar)))
    }
}

impl PartialEq for Spool {
    fn eq(&self, other: &Self) -> bool {
        self.tar == other.tar
    }
}

impl Eq for Spool {}

impl fmt::Debug for Spool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spool").field("tar", &self.tar).field("is_filled", &self.is_filled()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::tree::Content;

    #[test]
    fn the_file_is_made_once_when_a_part_is_first_read() {
        let made = Arc::new(AtomicUsize::new(0));
        let count = made.clone();
        let spool = Arc::new(Spool::made_by(Digest::of(b"0123456789"), move || {
            count.fetch_add(1, Ordering::Relaxed);
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(b"0123456789").unwrap();
            Ok(file)
        }));
        let part = |offset, size| Content::Part { spool: spool.clone(), offset, size };
        let parts = [part(0, 3), part(4, 2), part(9, 1)];
        assert_eq!((parts[0].size(), made.load(Ordering::Relaxed)), (3, 0));
        std::thread::scope(|scope| {
            for (part, expected) in parts.iter().zip([&b"012"[..], b"45", b"9"]) {
                scope.spawn(move || assert_eq!(part.bytes().unwrap(), expected));
            }
        });
        assert_eq!(made.load(Ordering::Relaxed), 1);
        let mut two = [0; 2];
        parts[0].read(1, &mut two).unwrap();
        assert_eq!(&two, b"12");
        assert!(part(9, 2).bytes().is_err(), "behind the end");
    }

    #[test]
    fn one_that_nobody_fills_is_an_error_and_a_failure_is_tried_again() {
        let tar = Digest::of(b"any");
        let error = Spool::new(tar).read(0, &mut [0]).unwrap_err();
        assert!(error.message.contains(&tar.to_string()), "{error:?}");
        let tries = AtomicUsize::new(0);
        let spool = Spool::made_by(tar, move || match tries.fetch_add(1, Ordering::Relaxed) {
            0 => Err(Error::input("not yet")),
            _ => Ok(tempfile::tempfile().unwrap()),
        });
        assert_eq!(spool.read(0, &mut []).unwrap_err().message, "not yet");
        spool.read(0, &mut []).unwrap();
    }
}
