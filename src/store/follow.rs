//! A [`Follower`] reads a blob while it is written.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::layer::Compression;
use crate::oci::Digest;
use crate::sync::locked;

/// A callback that is told of a layer which is about to be written, and how it is compressed.
pub type Follow<'a> = &'a (dyn Fn(Follower, Compression) + Sync);

/// Reads a pending blob while it is written: waits where there is no more yet, comes to its end once the blob is
/// committed, and fails if it never will be.
#[derive(Debug, Clone)]
pub struct Follower {
    file: Arc<File>,
    at: u64,
    growth: Arc<Growth>,
}

/// The writer's side. A blob that is dropped with it has come to nothing.
#[derive(Debug, Default)]
pub(super) struct Growing(Arc<Growth>);

#[derive(Debug, Default)]
struct Growth {
    state: Mutex<FollowState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct FollowState {
    /// The bytes that are written.
    written: u64,
    end: Option<End>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Committed(Digest),
    Dropped,
}

impl Follower {
    /// Waits until `size` bytes are written. Returns false if the blob ends before.
    pub fn reaches(&self, size: u64) -> bool {
        self.growth.wait(size).written >= size
    }

    /// Returns the digest and size of the blob, if it is committed.
    pub fn outcome(&self) -> Option<(Digest, u64)> {
        let state = self.growth.state();
        match state.end {
            Some(End::Committed(digest)) => Some((digest, state.written)),
            _ => None,
        }
    }
}

impl Read for Follower {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (written, end) = {
            let state = self.growth.wait(self.at + 1);
            (state.written, state.end)
        };
        if end == Some(End::Dropped) {
            return Err(io::Error::other("the blob came to nothing"));
        }
        let left = usize::try_from(written - self.at).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read_at(&mut buffer[..left], self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Growing {
    pub fn follow(&self, file: File) -> Follower {
        Follower { file: Arc::new(file), at: 0, growth: self.0.clone() }
    }

    pub fn advance(&self, bytes: usize) {
        self.0.state().written += bytes as u64;
        self.0.changed.notify_all();
    }

    pub fn commit(self, digest: Digest) {
        self.0.end(End::Committed(digest));
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        self.0.end(End::Dropped);
    }
}

impl Growth {
    /// Waits until `size` bytes are written or it ends, and returns its state.
    fn wait(&self, size: u64) -> MutexGuard<'_, FollowState> {
        let is_short = |state: &mut FollowState| state.written < size && state.end.is_none();
        self.changed.wait_while(self.state(), is_short).unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends it. The first end counts.
    fn end(&self, end: End) {
        self.state().end.get_or_insert(end);
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, FollowState> {
        locked(&self.state)
    }
}
