//! Several things at once, each in a thread of its own.

use std::sync::{Mutex, PoisonError};
use std::thread::{self, Builder, Scope};

use crate::error::{Error, ErrorKind, Result};
use crate::net::Stop;
use crate::sync::locked;

/// Does `work` with each of `items`, beginning in their order, with no more than `most` at once. The first failure is the one
/// returned; it ends `stop`, and no further item is begun then.
pub(crate) fn each<T: Send>(
    items: impl IntoIterator<Item = T>,
    most: usize,
    stop: &Stop,
    work: impl Fn(T) -> Result<()> + Sync,
) -> Result<()> {
    let items: Vec<T> = items.into_iter().collect();
    let threads = most.min(items.len());
    let (items, failure) = (Mutex::new(items.into_iter()), Mutex::new(None));
    let next = || locked(&items).next();
    let fail = |error: Error| {
        locked(&failure).get_or_insert(error);
        stop.end();
    };
    let run = || {
        while !stop.is_ended()
            && let Some(item) = next()
        {
            work(item).unwrap_or_else(fail);
        }
    };
    match threads {
        0 | 1 => run(),
        _ => thread::scope(|scope| {
            let started = (0..threads).try_for_each(|_| spawn(scope, run));
            started.unwrap_or_else(fail);
        }),
    }
    failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

/// Does `work` in a thread of its own, which the scope waits for at its end.
pub(super) fn spawn<'scope>(scope: &'scope Scope<'scope, '_>, work: impl FnOnce() + Send + 'scope) -> Result<()> {
    let spawned = Builder::new().name("registry".to_owned()).spawn_scoped(scope, work);
    spawned.map(drop).map_err(|source| Error::new(ErrorKind::Io, "cannot start a thread").with_source(source))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn no_more_is_done_at_once_than_is_said() {
        let (now, most, done) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        let work = |_| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(1));
            now.fetch_sub(1, Ordering::SeqCst);
            done.fetch_add(1, Ordering::SeqCst);
            Ok(())
        };
        each(0..50, 3, &Stop::default(), work).unwrap();
        assert_eq!(done.into_inner(), 50);
        assert!(most.into_inner() <= 3);
    }

    #[test]
    fn the_first_failure_ends_the_rest_and_is_the_one_returned() {
        let (stop, begun) = (Stop::default(), AtomicUsize::new(0));
        let error = each(0..1_000, 4, &stop, |number| {
            begun.fetch_add(1, Ordering::SeqCst);
            // The others are in the middle of something, and fail because they are ended.
            match number {
                2 => Err(Error::input("the first")),
                _ if stop.sleep(Duration::from_secs(600)) => Ok(()),
                _ => Err(Error::input("ended")),
            }
        });
        assert_eq!(error.unwrap_err().message, "the first");
        assert!(stop.is_ended());
        assert!(begun.into_inner() <= 4);
    }
}
