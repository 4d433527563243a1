//! How servers are spoken to.

use std::path::PathBuf;
use std::time::Duration;

use super::certificates::Certificates;
use super::pace::LeastSpeed;
use super::proxy::Proxies;
use super::retry::Backoff;

/// How to speak to servers. It is plain data; where it comes from (the environment, the user's home, `/etc`) is for the
/// caller to say.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// The places of authorities' and of the user's own certificates.
    pub certificates: Certificates,
    /// The proxies, which are not asked for loopback hosts.
    pub proxies: Proxies,
    /// The rule by which failed requests are made again.
    pub backoff: Backoff,
    /// How long neither side may be silent in the middle of a request. It covers what a server does between the end
    /// of an upload and its answer, which for much content takes a while.
    pub patience: Duration,
    /// A far side that is slower has failed, and is tried again as it is after other failures.
    pub least_speed: LeastSpeed,
    /// The Unix socket of the only server, whatever host a URL names.
    pub socket: Option<PathBuf>,
}

impl Default for HttpOptions {
    fn default() -> Self {
        HttpOptions {
            certificates: Certificates::default(),
            proxies: Proxies::default(),
            backoff: Backoff::default(),
            patience: Duration::from_secs(120),
            least_speed: LeastSpeed::default(),
            socket: None,
        }
    }
}
