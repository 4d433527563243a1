//! The ports that a word of `EXPOSE` stands for.

use std::net::IpAddr;

use crate::error::{Error, Result};

/// Returns the `port/protocol` keys that a word of `EXPOSE` stands for: a port or a range of them, and a protocol. As
/// docker has it, an address and a host's port may stand before it, though they mean nothing. Fails for any other word.
pub fn ports(text: &str) -> Result<Vec<String>> {
    let wrong = |what: &str| {
        Error::input(format!("`{text}` is not a port: {what}"))
            .with_hint("a port is written as in 8080, 53/udp or 8000-8010/tcp")
    };
    let (before, container) = text.rsplit_once(':').unwrap_or(("", text));
    let (address, host) = before.rsplit_once(':').unwrap_or(("", before));
    let (range, protocol) = container.split_once('/').unwrap_or((container, ""));
    let protocol = match protocol.to_ascii_lowercase().as_str() {
        "" | "tcp" => "tcp",
        "udp" => "udp",
        "sctp" => "sctp",
        _ => return Err(wrong(&format!("its protocol is `{protocol}`, and not tcp, udp or sctp"))),
    };
    let address = address.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(address);
    if !address.is_empty() && address.parse::<IpAddr>().is_err() {
        return Err(wrong(&format!("`{address}` is no address")));
    }
    let between = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let number = |digits: &str| digits.parse::<u16>().ok().filter(|_| digits.bytes().all(|c| c.is_ascii_digit()));
        let (first, last) = (number(first)?, number(last)?);
        (first <= last).then_some(first..=last)
    };
    let container =
        between(range).ok_or_else(|| wrong(&format!("`{range}` is not a number up to 65535, or a range")))?;
    if !host.is_empty() {
        let host_ports =
            between(host).ok_or_else(|| wrong(&format!("`{host}` is not a number up to 65535, or a range")))?;
        if container.len() > 1 && container.len() != host_ports.len() {
            return Err(wrong("its two ranges are of different length"));
        }
    }
    Ok(container.map(|port| format!("{port}/{protocol}")).collect())
}
