//! The ports that a word of `EXPOSE` stands for.

use std::net::IpAddr;

use crate::error::Result;
use crate::plan::quantity::{Ports, no_port, port_range};

/// Returns the `port/protocol` keys that a word of `EXPOSE` stands for: a port or a range of them, and a protocol. As
/// docker has it, an address and a host's port may stand before it, though they mean nothing. Fails for any other word.
pub fn ports(text: &str) -> Result<Vec<String>> {
    let (before, container) = text.rsplit_once(':').unwrap_or(("", text));
    let (address, host) = before.rsplit_once(':').unwrap_or(("", before));
    let ports: Ports = container.parse()?;
    let address = address.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(address);
    if !address.is_empty() && address.parse::<IpAddr>().is_err() {
        return Err(no_port(text, &format!("`{address}` is not an address")));
    }
    if !host.is_empty() {
        let host_ports = port_range(host)
            .ok_or_else(|| no_port(text, &format!("`{host}` is not a number up to 65535, or a range")))?;
        if ports.numbers.len() > 1 && ports.numbers.len() != host_ports.len() {
            return Err(no_port(text, "its two ranges are of different length"));
        }
    }
    Ok(ports.keys().collect())
}
