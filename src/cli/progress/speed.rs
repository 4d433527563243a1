//! How fast something moves at the moment.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The time that a speed is the mean of.
const WINDOW: Duration = Duration::from_secs(4);

/// What passes within this time is counted together.
const GRAIN: Duration = Duration::from_millis(200);

/// Before so much time is over, nothing is said of a speed: what is sent first only fills the buffers on the way.
const FIRST: Duration = Duration::from_secs(1);

/// The bytes that have passed of late.
#[derive(Debug)]
pub struct Speed {
    began: Instant,
    /// With the time at which each began, the oldest first.
    grains: VecDeque<(Instant, u64)>,
}

impl Speed {
    /// Returns one of which nothing has passed before `now`.
    pub fn new(now: Instant) -> Self {
        Speed { began: now, grains: VecDeque::new() }
    }

    /// Notes that so many bytes have passed.
    pub fn advance(&mut self, now: Instant, bytes: u64) {
        match self.grains.back_mut().filter(|(began, _)| now.duration_since(*began) < GRAIN) {
            Some((_, passed)) => *passed += bytes,
            None => self.grains.push_back((now, bytes)),
        }
        while self.grains.front().is_some_and(|(began, _)| now.duration_since(*began) > WINDOW) {
            self.grains.pop_front();
        }
    }

    /// Returns the bytes in a second; none as long as nobody can tell.
    pub fn per_second(&self, now: Instant) -> Option<u64> {
        let time = now.duration_since(self.began).min(WINDOW);
        let late = self.grains.iter().filter(|(began, _)| now.duration_since(*began) <= WINDOW);
        let bytes: u64 = late.map(|(_, bytes)| bytes).sum();
        (time >= FIRST).then(|| (bytes as f64 / time.as_secs_f64()) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speed_is_the_mean_of_the_last_seconds() {
        let start = Instant::now();
        let at = |tenths: u64| start + Duration::from_millis(100 * tenths);
        let mut speed = Speed::new(start);
        (0..100).for_each(|tenths| speed.advance(at(tenths), 100));
        let before = speed.per_second(at(100)).unwrap();
        assert!((950..=1050).contains(&before), "{before}");
        (100..200).for_each(|tenths| speed.advance(at(tenths), 10));
        let slower = speed.per_second(at(200)).unwrap();
        assert!((95..=105).contains(&slower), "{slower}");
        assert_eq!(speed.per_second(at(300)), Some(0), "nothing has passed for ten seconds");
    }

    #[test]
    fn nothing_is_said_before_anybody_can_tell() {
        let start = Instant::now();
        let mut speed = Speed::new(start);
        speed.advance(start, 1 << 20);
        assert_eq!(speed.per_second(start + Duration::from_millis(900)), None);
        assert_eq!(speed.per_second(start + Duration::from_secs(2)), Some(1 << 19));
    }
}
