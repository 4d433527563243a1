//! What keeps threads that finish in any order in step: chains, which handle items in order.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::error::Result;
use crate::sync::locked;

/// Handles items strictly by number, on whichever thread brings the one that was missing.
pub struct Chain<T, S> {
    /// None once it was given up.
    waiting: Mutex<Option<BTreeMap<usize, T>>>,
    handling: Mutex<Handling<S>>,
    handle: fn(&mut S, T) -> Result<()>,
}

struct Handling<S> {
    next: usize,
    /// None once it was taken.
    state: Option<S>,
}

impl<T, S> Chain<T, S> {
    pub fn new(state: S, handle: fn(&mut S, T) -> Result<()>) -> Self {
        let handling = Handling { next: 0, state: Some(state) };
        Chain { waiting: Mutex::new(Some(BTreeMap::new())), handling: Mutex::new(handling), handle }
    }

    /// Leaves item `number` to be handled and handles all that are due, unless another thread is at it.
    pub fn push(&self, number: usize, item: T) -> Result<()> {
        if let Some(waiting) = &mut *locked(&self.waiting) {
            waiting.insert(number, item);
        }
        while let Ok(mut handling) = self.handling.try_lock() {
            let Handling { next, state } = &mut *handling;
            while let Some((state, item)) = state.as_mut().and_then(|state| Some((state, self.due(*next)?))) {
                *next += 1;
                (self.handle)(state, item)?;
            }
            let (next, is_taken) = (*next, state.is_none());
            drop(handling);
            // Whoever brought the next item before the unlocking has gone away without handling it.
            if is_taken || !locked(&self.waiting).as_ref().is_some_and(|waiting| waiting.contains_key(&next)) {
                break;
            }
        }
        Ok(())
    }

    /// Drops the items that wait and all that come later.
    pub fn give_up(&self) {
        let waiting = locked(&self.waiting).take();
        drop(waiting);
    }

    /// Takes the state that all items have led to; once whoever is at it is done.
    pub fn take(&self) -> Option<S> {
        locked(&self.handling).state.take()
    }

    fn due(&self, next: usize) -> Option<T> {
        locked(&self.waiting).as_mut()?.remove(&next)
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
        assert_eq!(chain.take(), Some((0..1000).collect::<Vec<_>>()));
        assert_eq!(chain.take(), None);
    }
}
