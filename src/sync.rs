//! What threads share: locks, and values that one of them makes for all.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::Result;

/// Values by keys, each made once, by whoever asks for it first; others wait for it.
pub struct Memo<K, V>(Mutex<HashMap<K, Arc<Mutex<Option<V>>>>>);

impl<K: Eq + Hash, V: Clone> Memo<K, V> {
    /// Returns the value of `key`, which `make` makes if nobody has. What failed is made anew by the next who asks.
    pub fn get(&self, key: K, make: impl FnOnce() -> Result<V>) -> Result<V> {
        let cell = locked(&self.0).entry(key).or_default().clone();
        let mut value = locked(&cell);
        match &*value {
            Some(known) => Ok(known.clone()),
            None => Ok(value.insert(make()?).clone()),
        }
    }
}

impl<K, V> Default for Memo<K, V> {
    fn default() -> Self {
        Memo(Mutex::default())
    }
}

/// A poisoned lock means that another thread panicked; that panic is what will be seen, not a second one here.
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

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
