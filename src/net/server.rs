//! The servers that requests are for.

use reqwest::Url;

/// A server that requests are for, itself or whatever host it leads to.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    /// The word that people have for it: `registry`, or just `server`.
    pub noun: &'static str,
    /// The name of the directory of its certificates: `host[:port]`, or the name that it goes by.
    pub name: String,
    /// `host[:port]`.
    pub host: String,
    /// Any certificate of its own host will do.
    pub insecure: bool,
}

impl Server {
    /// Returns whether `url` leads to this server's host, through whatever port.
    pub fn is_host_of(&self, url: &Url) -> bool {
        Url::parse(&format!("https://{}/", self.host)).is_ok_and(|own| own.host() == url.host())
    }
}
