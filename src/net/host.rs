//! The hosts of URLs.

use std::net::IpAddr;

use reqwest::Url;

/// Returns whether a URL leads to this machine, by what it says.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match host(url) {
        (name, None) => name == "localhost",
        (_, Some(address)) => address.is_loopback(),
    }
}

/// Returns the host of `url` without the brackets of an address, and the address if it is one.
pub(super) fn host(url: &Url) -> (&str, Option<IpAddr>) {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    (host, host.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_hosts_are_told_from_others() {
        let loopback = |host: &str| is_loopback(&Url::parse(&format!("https://{host}/")).unwrap());
        for host in ["localhost", "localhost:5000", "127.0.0.1:5000", "127.8.9.1", "[::1]", "[::1]:5000"] {
            assert!(loopback(host), "{host}");
        }
        for host in ["localhost.example.com", "128.0.0.1", "127.0.0.1.example.com", "[::2]", "docker.io"] {
            assert!(!loopback(host), "{host}");
        }
    }
}
