use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::{Errno, retry_on_intr};

use super::private::OTHERS;

/// A lock that the system gives back when the process ends, however it ends: shared by all who use the store, or held by
/// one alone who removes things from it.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Lock {
    /// Waits while somebody holds it alone. Where the file system has no locks, nobody ever can, and none is needed.
    pub fn shared(path: &Path) -> io::Result<Lock> {
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
        // Whoever may open it may hold it.
        if status.mode() & OTHERS != 0 {
            file.set_permissions(Permissions::from_mode(0o600))?;
        }
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
