//! What keeps threads that finish in any order in step: chains that handle items in order, a gate that bounds how many
//! are under way.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Condvar, Mutex, PoisonError};

use super::deflate::Plain;
use crate::error::{Error, Result};
use crate::tree::locked;

/// Handles items strictly by number, on whichever thread brings the one that was missing.
pub struct Chain<T, S> {
    waiting: Mutex<BTreeMap<usize, T>>,
    handling: Mutex<Handling<S>>,
    handle: fn(&mut S, T) -> Result<()>,
}

struct Handling<S> {
    next: usize,
    state: S,
}

impl<T, S> Chain<T, S> {
    pub fn new(state: S, handle: fn(&mut S, T) -> Result<()>) -> Self {
        Chain { waiting: Mutex::default(), handling: Mutex::new(Handling { next: 0, state }), handle }
    }

    /// Leaves item `number` to be handled and handles all that are due, unless another thread is at it.
    pub fn push(&self, number: usize, item: T) -> Result<()> {
        locked(&self.waiting).insert(number, item);
        while let Ok(mut handling) = self.handling.try_lock() {
            while let Some(item) = self.due(handling.next) {
                handling.next += 1;
                (self.handle)(&mut handling.state, item)?;
            }
            let next = handling.next;
            drop(handling);
            // Whoever brought the next item before the unlocking has gone away without handling it.
            if !locked(&self.waiting).contains_key(&next) {
                break;
            }
        }
        Ok(())
    }

    pub fn into_state(self) -> S {
        self.handling.into_inner().unwrap_or_else(PoisonError::into_inner).state
    }

    fn due(&self, next: usize) -> Option<T> {
        locked(&self.waiting).remove(&next)
    }
}

/// Lets a fixed number in at a time; after a failure, nobody.
pub struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

struct GateState {
    permits: Vec<Buffers>,
    failure: Option<Error>,
    failed: bool,
}

/// What a block is worked on in; serves one block after the other. Memory that no block has needed yet is reserved
/// only: the system gives it when it is first written to.
pub struct Buffers {
    /// The block itself.
    pub tar: Plain,
    /// Has the block's compressed form at its beginning.
    pub blob: Vec<u8>,
}

impl Buffers {
    /// For blocks that compress to `compressed` bytes at most.
    pub fn new(compressed: usize) -> Self {
        Buffers { tar: Plain::new(), blob: vec![0; compressed] }
    }
}

/// Leave to have one block under way, and the buffers for it; given back when dropped.
pub struct Permit<'a> {
    gate: &'a Gate,
    /// There until it is dropped.
    buffers: Option<Buffers>,
}

impl Gate {
    /// Lets as many in as there are buffers.
    pub fn new(permits: Vec<Buffers>) -> Self {
        Gate { state: Mutex::new(GateState { permits, failure: None, failed: false }), changed: Condvar::new() }
    }

    /// Waits for a permit; none comes once something has failed.
    pub fn enter(&self) -> Option<Permit<'_>> {
        let waiting = |state: &mut GateState| state.permits.is_empty() && !state.failed;
        let mut state = self.changed.wait_while(locked(&self.state), waiting).unwrap_or_else(PoisonError::into_inner);
        if state.failed {
            return None;
        }
        // The one that was given back last, so that no more buffers grow than are needed.
        state.permits.pop().map(|buffers| Permit { gate: self, buffers: Some(buffers) })
    }

    /// Ends it for all should the thread that holds this panic: what it had in hand never comes back.
    pub fn presence(&self) -> Presence<'_> {
        Presence(self)
    }

    /// Ends it for all; the first failure is the one that counts.
    pub fn fail(&self, error: Error) {
        let mut state = locked(&self.state);
        if !state.failed {
            state.failed = true;
            state.failure = Some(error);
        }
        self.changed.notify_all();
    }

    /// What it failed with, if it did.
    pub fn outcome(&self) -> Result<()> {
        locked(&self.state).failure.take().map_or(Ok(()), Err)
    }
}

/// A thread that takes part.
pub struct Presence<'a>(&'a Gate);

impl Drop for Presence<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            locked(&self.0.state).failed = true;
            self.0.changed.notify_all();
        }
    }
}

impl Deref for Permit<'_> {
    type Target = Buffers;

    fn deref(&self) -> &Buffers {
        self.buffers.as_ref().expect("only its drop takes them")
    }
}

impl DerefMut for Permit<'_> {
    fn deref_mut(&mut self) -> &mut Buffers {
        self.buffers.as_mut().expect("only its drop takes them")
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        locked(&self.gate.state).permits.extend(self.buffers.take());
        self.gate.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_handled_in_order_whatever_order_they_come_in() {
        let chain = Chain::new(Vec::new(), |seen: &mut Vec<usize>, item| {
            seen.push(item);
            Ok(())
        });
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let chain = &chain;
                scope.spawn(move || {
                    for number in (0..1000).rev().filter(|number| number % 4 == thread) {
                        chain.push(number, number).unwrap();
                    }
                });
            }
        });
        assert_eq!(chain.into_state(), (0..1000).collect::<Vec<_>>());
    }
}
