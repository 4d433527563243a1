use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::{Errno, retry_on_intr};

/// A lock that the system gives back when the process ends, however it ends: shared by all who use the store, or held by
/// one alone who removes things from it.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Lock {
    /// Waits while somebody holds it alone. Where the file system has no locks, nobody ever can, and none is needed.
    pub fn shared(path: &Path) -> io::Result<Lock> {
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        match retry_on_intr(|| flock(&file, FlockOperation::LockShared)) {
            Ok(()) | Err(Errno::NOTSUP | Errno::NOSYS | Errno::NOLCK) => Ok(Lock(file)),
            Err(errno) => Err(errno.into()),
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
