//! A host that wants to be left alone for a while is, by all that would ask it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use reqwest::Url;

use crate::sync::locked;

/// A wait that was told of is not told of again when it gets longer by less than this.
const SAME_WAIT: Duration = Duration::from_secs(1);

/// Until when hosts (with their scheme and port) are left alone.
#[derive(Default)]
pub(crate) struct Gates(Mutex<HashMap<String, Instant>>);

impl Gates {
    /// Returns once the host of `url` may be asked.
    pub async fn pass(&self, url: &Url) {
        // While one waits the host may have told another to wait longer.
        while let Some(wait) = self.closed_for(url) {
            tokio::time::sleep(wait).await;
        }
    }

    /// Lets nothing pass to the host of `url` for as long as `wait`; false if that was known already.
    pub fn close(&self, url: &Url, wait: Duration) -> bool {
        let until = Instant::now() + wait;
        let mut gates = locked(&self.0);
        match gates.entry(host(url)) {
            Entry::Vacant(gate) => {
                gate.insert(until);
                true
            }
            Entry::Occupied(mut gate) => {
                let known = *gate.get();
                gate.insert(known.max(until));
                known <= Instant::now() || until > known + SAME_WAIT
            }
        }
    }

    fn closed_for(&self, url: &Url) -> Option<Duration> {
        let gates = locked(&self.0);
        let wait = gates.get(&host(url))?.saturating_duration_since(Instant::now());
        (!wait.is_zero()).then_some(wait)
    }
}

fn host(url: &Url) -> String {
    url.origin().ascii_serialization()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_news_once_and_for_its_host_alone() {
        let gates = Gates::default();
        let url = |text| Url::parse(text).unwrap();
        let (one, other) = (url("https://one.test/v2/a"), url("https://one.test:444/"));
        assert!(gates.close(&one, Duration::from_secs(10)));
        assert!(!gates.close(&url("https://one.test/v2/b?c"), Duration::from_secs(10)));
        assert!(!gates.close(&one, Duration::from_secs(1)));
        assert!(gates.closed_for(&one).unwrap() > Duration::from_secs(8), "a shorter wait does not shorten it");
        assert_eq!(gates.closed_for(&other), None);
        assert!(gates.close(&one, Duration::from_secs(30)), "a longer one is news");
        assert!(gates.close(&other, Duration::ZERO));
        assert!(gates.close(&other, Duration::ZERO), "what is over is not a wait that is known");
        assert_eq!(gates.closed_for(&other), None);
    }
}
