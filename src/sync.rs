//! What threads share: locks, counts, and values that one of them makes for all.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::error::Result;

/// Values by keys, each made once, by whoever asks for it first; others wait for it.
pub struct Memo<K, V>(Mutex<HashMap<K, Arc<Once<V>>>>);

impl<K: Eq + Hash, V: Clone> Memo<K, V> {
    /// Returns the value of `key`, which `make` makes if nobody has. What failed is made anew by the next who asks.
    pub fn get(&self, key: K, make: impl FnOnce() -> Result<V>) -> Result<V> {
        let value = locked(&self.0).entry(key).or_default().clone();
        value.get_or_find(make).cloned()
    }
}

impl<K, V> Default for Memo<K, V> {
    fn default() -> Self {
        Memo(Mutex::default())
    }
}

/// A value that is found out when it is first asked for; who asks meanwhile waits. What has failed is tried anew at the next
/// question.
pub struct Once<T> {
    value: OnceLock<T>,
    finding: Mutex<()>,
}

impl<T> Default for Once<T> {
    fn default() -> Self {
        Once { value: OnceLock::new(), finding: Mutex::new(()) }
    }
}

impl<T> Once<T> {
    /// Returns the value if it is known.
    pub fn get(&self) -> Option<&T> {
        self.value.get()
    }

    /// Returns the value, which `find` finds out if it is not known.
    pub fn get_or_find<E>(&self, find: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        if let Some(known) = self.value.get() {
            return Ok(known);
        }
        let _alone = locked(&self.finding);
        match self.value.get() {
            Some(known) => Ok(known),
            None => find().map(|found| self.value.get_or_init(|| found)),
        }
    }
}

impl<T> From<T> for Once<T> {
    fn from(known: T) -> Self {
        Once { value: OnceLock::from(known), finding: Mutex::new(()) }
    }
}

/// Takes `count` off what is `left`, and returns whether there was as much; else nothing is taken.
pub fn take(left: &AtomicU64, count: u64) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(count)).is_ok()
}

/// Locks `mutex`. A poisoned lock means that another thread panicked; that panic is what will be seen, not a second one here.
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::error::Error;

    #[test]
    fn a_value_is_made_once_and_a_failure_is_tried_again() {
        let (memo, made, barrier) = (Memo::default(), AtomicUsize::new(0), Barrier::new(4));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    barrier.wait();
                    let value = memo.get("a", || {
                        made.fetch_add(1, Ordering::Relaxed);
                        Ok(7)
                    });
                    assert_eq!(value.unwrap(), 7);
                });
            }
        });
        assert_eq!(made.load(Ordering::Relaxed), 1);
        assert!(memo.get("b", || Err(Error::input("not yet"))).is_err());
        assert_eq!(memo.get("b", || Ok(8)).unwrap(), 8);
        assert_eq!(memo.get("a", || Ok(9)).unwrap(), 7);
    }
}
