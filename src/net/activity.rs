//! Work that is watched, and given up once nothing happens any more.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::pace::{LeastSpeed, Pace};

use crate::sync::locked;

/// The notes about a body on its way, for those who wait for its end.
#[derive(Default)]
pub(crate) struct Activity {
    /// Signs of life.
    signs: AtomicU64,
    pace: Mutex<Pace>,
    is_slow: AtomicBool,
}

/// Why work is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stall {
    Silent,
    Slow,
}

impl Activity {
    /// Notes that something happens.
    pub fn note(&self) {
        self.signs.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that so many bytes were taken by the far side, which was `waited` for.
    pub fn note_taken(&self, least: LeastSpeed, waited: Duration, bytes: usize) {
        let mut pace = locked(&self.pace);
        if !pace.advance(least, waited, bytes as u64) {
            self.is_slow.store(true, Ordering::Relaxed);
        }
        self.note();
    }

    /// Returns the outcome of `work`, unless there was no sign of life for as long as `patience`, or what was noted is slower than
    /// `least`.
    pub(super) async fn watch<T>(
        &self,
        patience: Duration,
        least: LeastSpeed,
        work: impl Future<Output = T>,
    ) -> Result<T, Stall> {
        let mut work = std::pin::pin!(work);
        let (mut seen, mut silence) = (self.signs.load(Ordering::Relaxed), Duration::ZERO);
        loop {
            let wait = least.within.min(patience - silence);
            if let Ok(done) = tokio::time::timeout(wait, &mut work).await {
                return Ok(done);
            }
            if self.is_slow.swap(false, Ordering::Relaxed) {
                return Err(Stall::Slow);
            }
            let signs = self.signs.load(Ordering::Relaxed);
            silence = if signs == seen { silence + wait } else { Duration::ZERO };
            seen = signs;
            if silence >= patience {
                return Err(Stall::Silent);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_given_up_after_a_silence_and_not_after_a_time() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let busy = async |activity: &Activity, notes: bool| {
            for _ in 0..10 {
                tokio::time::sleep(Duration::from_millis(50)).await;
                notes.then(|| activity.note());
            }
        };
        let activity = Activity::default();
        let (patience, least) = (Duration::from_millis(200), LeastSpeed::default());
        assert_eq!(runtime.block_on(activity.watch(patience, least, busy(&activity, true))), Ok(()));
        assert_eq!(runtime.block_on(activity.watch(patience, least, busy(&activity, false))), Err(Stall::Silent));
        // A look at the speed now and then does not make it wait less.
        let least = LeastSpeed { bytes: 1, within: Duration::from_millis(30) };
        assert_eq!(runtime.block_on(activity.watch(patience, least, busy(&activity, true))), Ok(()));
        assert_eq!(runtime.block_on(activity.watch(patience, least, busy(&activity, false))), Err(Stall::Silent));
    }

    #[test]
    fn work_is_given_up_once_it_is_slow() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let activity = Activity::default();
        let least = LeastSpeed { bytes: 100, within: Duration::from_millis(50) };
        let slow = async {
            loop {
                tokio::time::sleep(Duration::from_millis(5)).await;
                activity.note_taken(least, Duration::from_millis(5), 1);
            }
        };
        let outcome: Result<(), Stall> = runtime.block_on(activity.watch(Duration::from_secs(60), least, slow));
        assert_eq!(outcome, Err(Stall::Slow));
    }
}
