//! How a layer ends: whoever wants it written waits until all of its blocks are done, or one has failed.

use std::any::Any;
use std::panic;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use crate::error::{Error, Result};
use crate::sync::locked;

/// The end of a layer, to come.
pub struct Completion {
    state: Mutex<CompletionState>,
    changed: Condvar,
}

struct CompletionState {
    blocks_left: usize,
    failure: Option<WriteFailure>,
    has_failed: bool,
}

enum WriteFailure {
    Error(Error),
    Panic(Box<dyn Any + Send>),
}

/// The share of one block in the end of its layer: done when it is dropped.
pub struct Share(Arc<Completion>);

impl Completion {
    /// Returns the completion of a layer of so many `blocks`.
    pub fn new(blocks: usize) -> Self {
        let state = CompletionState { blocks_left: blocks, failure: None, has_failed: false };
        Completion { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Returns the share of one of the blocks.
    pub fn share(self: &Arc<Self>) -> Share {
        Share(self.clone())
    }

    /// Returns one share more, which holds the end up: what fails has to be known before its block is done with.
    pub fn hold(self: &Arc<Self>) -> Share {
        locked(&self.state).blocks_left += 1;
        Share(self.clone())
    }

    /// Ends the layer; the first failure is the one that counts.
    pub fn fail(&self, error: Error) {
        self.end(WriteFailure::Error(error));
    }

    /// Ends the layer with a panic, which goes on in the thread that waits.
    pub fn panic(&self, panic: Box<dyn Any + Send>) {
        self.end(WriteFailure::Panic(panic));
    }

    pub fn has_failed(&self) -> bool {
        locked(&self.state).has_failed
    }

    /// Returns once all blocks are done; fails as soon as one has.
    pub fn wait(&self) -> Result<()> {
        let waiting = |state: &mut CompletionState| state.blocks_left > 0 && !state.has_failed;
        let mut state = self.changed.wait_while(locked(&self.state), waiting).unwrap_or_else(PoisonError::into_inner);
        match state.failure.take() {
            None => Ok(()),
            Some(WriteFailure::Error(error)) => Err(error),
            Some(WriteFailure::Panic(panic)) => {
                drop(state);
                panic::resume_unwind(panic)
            }
        }
    }

    fn end(&self, failure: WriteFailure) {
        let mut state = locked(&self.state);
        if !state.has_failed {
            state.has_failed = true;
            state.failure = Some(failure);
        }
        self.changed.notify_all();
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut state = locked(&self.0.state);
        state.blocks_left -= 1;
        if state.blocks_left == 0 {
            self.0.changed.notify_all();
        }
    }
}
