//! `ocibake serve`: the images of a place, for others to pull.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::count::count;
use super::environment::Environment;
use super::interrupt;
use super::print::{answer, tell};
use crate::error::{Error, Result};
use crate::net::{Stop, server_tls};
use crate::serve::{AnsweredRequest, Listening, RequestListener, ServeLimits, Stock};
use crate::store::LocalStore;

/// Serve images to docker, podman, containerd and others, as a read-only registry
///
/// An image is pulled under its own repository and tag: registry.example/org/api:v1 as HOST:PORT/org/api:v1. Where images of two
/// registries have the same one, each has its full name, HOST:PORT/registry.example/org/api:v1. What has no repository goes by
/// the name of its file. The address is printed once it is listened on.
#[derive(Debug, Args)]
pub struct ServeArguments {
    /// A layout, an archive, or a local store; without it all images of the local store
    #[arg(value_name = "LAYOUT|ARCHIVE|STORE")]
    place: Option<String>,
    /// Listen here; port 0 is any that is free
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:5000")]
    addr: String,
    /// Speak TLS, and show the certificate in this file
    #[arg(long, value_name = "FILE", requires = "tlskey")]
    tlscert: Option<PathBuf>,
    /// The key of the certificate
    #[arg(long, value_name = "FILE", requires = "tlscert")]
    tlskey: Option<PathBuf>,
    /// Do not tell of each request
    #[arg(short, long)]
    quiet: bool,
}

/// So many images are named before it is only said how many more there are.
const NAMED: usize = 20;

/// In characters: of a longer target only the beginning is told.
const LONGEST_TARGET: usize = 300;

/// Serves until a signal ends it.
pub fn run(arguments: &ServeArguments, environment: &Environment) -> Result<()> {
    let tls = match (&arguments.tlscert, &arguments.tlskey) {
        (Some(certificate), Some(key)) => Some(server_tls(certificate, key)?),
        _ => None,
    };
    let addresses = addresses(&arguments.addr)?;
    let stock = stock(arguments.place.as_deref(), environment)?;
    let listening = Listening::on(&addresses, tls).map_err(|source| {
        let hint = match source.kind() {
            std::io::ErrorKind::AddrInUse => {
                "something listens there already: choose another with --addr, or any with port 0"
            }
            _ => "choose another address with --addr",
        };
        Error::io("listen on", &arguments.addr, source).with_hint(hint)
    })?;
    let stop = Stop::default();
    interrupt::end_instead(&stop);
    let address = reached_at(listening.address());
    let scheme = if listening.has_tls() { "https" } else { "http" };
    introduce(&stock, address, &listening)?;
    answer(&format!("{scheme}://{address}"))?;
    let is_quiet = arguments.quiet;
    let listener: RequestListener = Arc::new(move |exchange: &AnsweredRequest| {
        if !is_quiet || exchange.fault.is_some() {
            tell(&line(exchange));
        }
    });
    listening.serve(stock, ServeLimits::default(), &stop, listener)
}

fn stock(place: Option<&str>, environment: &Environment) -> Result<Stock> {
    let client = environment.client(false, 0);
    match place {
        None => Stock::open_local(environment.store()?, client),
        Some(place) if LocalStore::is_at(Path::new(place)) => Stock::open_local(Path::new(place), client),
        Some(place) => Stock::open(&environment.location(place)?, client),
    }
}

/// Returns what `--addr` means. As Go's programs have it, `:5000` is every address of this machine.
fn addresses(text: &str) -> Result<Vec<SocketAddr>> {
    let full = if text.starts_with(':') { format!("0.0.0.0{text}") } else { text.to_owned() };
    let wrong = |source| {
        Error::usage(format!("--addr {text} is not an address to listen on"))
            .with_source(source)
            .with_hint("it is a host and a port, as in 127.0.0.1:5000, or :5000 for every address of this machine")
    };
    Ok(full.to_socket_addrs().map_err(wrong)?.collect())
}

/// Returns by what an address is reached from this machine.
fn reached_at(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// Says what is served, and what of it will not do.
fn introduce(stock: &Stock, address: SocketAddr, listening: &Listening) -> Result<()> {
    let offer = &stock.snapshot()?.offer;
    for (name, full) in offer.ambiguous() {
        tell(&format!("warning: {name} is {}: only the full names are served", full.join(" and ")));
    }
    for fault in stock.faults()? {
        tell(&format!("warning: {fault}"));
    }
    let mut names = offer.names();
    // One that two registries have under the same name.
    names.dedup();
    let images = count(names.len(), "image");
    tell(&format!("serving {images} at {address}, read-only, until Ctrl-C"));
    if listening.address().ip().is_unspecified() {
        tell("  other machines use a name or address of this one in its place");
    }
    for name in names.iter().take(NAMED) {
        tell(&format!("  docker pull {address}/{name}"));
    }
    if names.len() > NAMED {
        tell(&format!("  … and {} more", names.len() - NAMED));
    }
    Ok(())
}

/// Returns what is told of a request.
fn line(exchange: &AnsweredRequest) -> String {
    let AnsweredRequest { method, status, bytes, elapsed, .. } = exchange;
    let mut target: String = exchange.target.chars().take(LONGEST_TARGET).collect();
    if target.len() < exchange.target.len() {
        target.push('…');
    }
    let end = match (&exchange.fault, exchange.is_whole) {
        (Some(fault), _) => format!(": {fault}"),
        (None, false) => ", cut short".to_owned(),
        (None, true) => String::new(),
    };
    format!("{method} {target} {status} {bytes} bytes {} ms{end}", elapsed.as_millis())
}
