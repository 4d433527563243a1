//! What lets threads in: one for each turn that there is to take, and no more of them than there are buffers.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::deflate::Plain;
use crate::sync::locked;

/// Gives leave to take turns.
pub struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

struct GateState {
    buffers: Vec<Buffers>,
    /// Turns that nobody has been given leave for.
    turns: usize,
    is_closed: bool,
}

/// The memory in which a block is worked on; it serves one block after the other. Memory that no block has needed yet
/// is reserved only: the system gives it when it is first written to.
pub struct Buffers {
    /// The block itself.
    pub tar: Plain,
    /// Has the block's compressed form at its beginning.
    pub blob: Vec<u8>,
}

impl Buffers {
    /// Returns a gate for blocks that compress to `compressed` bytes at most.
    pub fn new(compressed: usize) -> Self {
        Buffers { tar: Plain::new(), blob: vec![0; compressed] }
    }
}

/// Leave to take one turn and to have its block under way, and the buffers for it; given back when dropped.
pub struct Permit {
    gate: Arc<Gate>,
    /// There until it is dropped.
    buffers: Option<Buffers>,
}

impl Gate {
    /// Lets as many in as there are buffers.
    pub fn new(buffers: Vec<Buffers>) -> Self {
        Gate { state: Mutex::new(GateState { buffers, turns: 0, is_closed: false }), changed: Condvar::new() }
    }

    /// Tells of `turns` more that there are to take.
    pub fn add(&self, turns: usize) {
        locked(&self.state).turns += turns;
        self.changed.notify_all();
    }

    /// Waits for a turn and for buffers; returns none once the gate is closed.
    pub fn enter(self: &Arc<Self>) -> Option<Permit> {
        let waiting = |state: &mut GateState| !state.is_closed && (state.turns == 0 || state.buffers.is_empty());
        let mut state = self.changed.wait_while(locked(&self.state), waiting).unwrap_or_else(PoisonError::into_inner);
        if state.is_closed {
            return None;
        }
        state.turns -= 1;
        // Those that were given back last, so that no more of them grow than are needed.
        let buffers = state.buffers.pop();
        Some(Permit { gate: self.clone(), buffers })
    }

    /// Lets nobody in from now on.
    pub fn close(&self) {
        locked(&self.state).is_closed = true;
        self.changed.notify_all();
    }
}

impl Deref for Permit {
    type Target = Buffers;

    fn deref(&self) -> &Buffers {
        self.buffers.as_ref().expect("only its drop takes them")
    }
}

impl DerefMut for Permit {
    fn deref_mut(&mut self) -> &mut Buffers {
        self.buffers.as_mut().expect("only its drop takes them")
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        locked(&self.gate.state).buffers.extend(self.buffers.take());
        self.gate.changed.notify_one();
    }
}
