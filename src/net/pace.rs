//! How slow the far side may be.

use std::time::Duration;

/// The least speed of a transfer, either way. Only the time counts that is spent waiting for the far side, and a single
/// silence counts for half of the time at most: for how long the far side may say nothing is another question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeastSpeed {
    /// So many have to pass…
    pub bytes: u64,
    /// …in this time.
    pub within: Duration,
}

impl Default for LeastSpeed {
    /// 1 KiB each second: a modem is faster, and a layer of 100 MiB would take more than a day.
    fn default() -> Self {
        LeastSpeed { bytes: 60 << 10, within: Duration::from_secs(60) }
    }
}

/// How fast a transfer has been of late.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pace {
    waited: Duration,
    bytes: u64,
}

impl Pace {
    /// Accounts for `bytes`, which were waited for; false if the far side is too slow.
    pub fn advance(&mut self, least: LeastSpeed, waited: Duration, bytes: u64) -> bool {
        self.waited += waited.min(least.within / 2);
        self.bytes = self.bytes.saturating_add(bytes);
        if self.waited < least.within {
            return true;
        }
        let passed = std::mem::take(self).bytes;
        passed >= least.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: LeastSpeed = LeastSpeed { bytes: 600, within: Duration::from_secs(60) };

    /// Returns whether each of the pieces, so many bytes after so many seconds, is fast enough.
    fn judged(pieces: &[(u64, u64)]) -> Vec<bool> {
        let mut pace = Pace::default();
        let advance = |(seconds, bytes): &(u64, u64)| pace.advance(LEAST, Duration::from_secs(*seconds), *bytes);
        pieces.iter().map(advance).collect()
    }

    #[test]
    fn a_byte_now_and_then_is_too_slow() {
        assert_eq!(judged(&[(20, 1), (20, 1), (20, 1)]), [true, true, false]);
        assert_eq!(judged(&[(119, 1), (119, 1)]), [true, false]);
    }

    #[test]
    fn what_came_before_does_not_count_for_ever() {
        assert_eq!(judged(&[(30, 1_000_000), (30, 0), (30, 1), (30, 1)]), [true, true, true, false]);
    }

    #[test]
    fn a_silence_alone_is_not_slow() {
        assert_eq!(judged(&[(119, 8), (10, 500), (20, 500)]), [true, true, true]);
    }

    #[test]
    fn who_need_not_be_waited_for_is_never_slow() {
        assert_eq!(judged(&[(0, 1); 100]), [true; 100]);
    }
}
