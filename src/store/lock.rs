//! A lock keeps those who use a store from those who remove things from it.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::{Errno, retry_on_intr};

/// A lock that the system gives back when the process ends, however it ends: shared by all who use the store, or held by
/// one alone who removes things from it.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Lock {
    /// Waits while somebody holds it alone. Where the file system has no locks, nobody ever can, and none is needed.
    pub fn shared(path: &Path) -> io::Result<Lock> {
        let file = open(path)?;
        match retry_on_intr(|| flock(&file, FlockOperation::LockShared)) {
            Ok(()) | Err(Errno::NOTSUP | Errno::NOSYS | Errno::NOLCK) => Ok(Lock(file)),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Holds it alone or shared from the beginning; returns none if others have it in a way that does not allow that. Where
    /// the file system has no locks, nobody else ever has it.
    pub fn at_once(path: &Path, is_alone: bool) -> io::Result<Option<Lock>> {
        let file = open(path)?;
        let operation = match is_alone {
            true => FlockOperation::NonBlockingLockExclusive,
            false => FlockOperation::NonBlockingLockShared,
        };
        match retry_on_intr(|| flock(&file, operation)) {
            Ok(()) | Err(Errno::NOTSUP | Errno::NOSYS | Errno::NOLCK) => Ok(Some(Lock(file))),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Waits until nobody else holds it, and holds it alone from the beginning. Whoever holds it may remove it: those who
    /// wait then make another one. Where the file system has no locks, nobody is waited for.
    pub fn alone(path: &Path) -> io::Result<Lock> {
        loop {
            let file = open(path)?;
            match retry_on_intr(|| flock(&file, FlockOperation::LockExclusive)) {
                Ok(()) => {}
                Err(Errno::NOTSUP | Errno::NOSYS | Errno::NOLCK) => return Ok(Lock(file)),
                Err(errno) => return Err(errno.into()),
            }
            let held = file.metadata()?;
            match fs::symlink_metadata(path) {
                Ok(there) if (there.dev(), there.ino()) == (held.dev(), held.ino()) => return Ok(Lock(file)),
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }

    /// Holds it alone from now on. If others have it, this waits for them, or else fails with `WouldBlock` and holds it no
    /// more.
    pub fn exclusive(&self, wait: bool) -> io::Result<()> {
        // Two that both want it, and both still share it, would wait for each other.
        flock(&self.0, FlockOperation::Unlock)?;
        let operation = if wait { FlockOperation::LockExclusive } else { FlockOperation::NonBlockingLockExclusive };
        Ok(retry_on_intr(|| flock(&self.0, operation))?)
    }
}

/// Opens the file of a lock, or makes it. It is a regular file, and its owner's alone, for whoever may open it may hold
/// it for ever. No link is followed, and a FIFO is not waited for.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(flags.bits() as i32)
        .open(path)?;
    let status = file.metadata()?;
    if !status.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    // A umask may have taken something of it.
    if status.mode() & 0o777 != 0o600 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(file)
}
