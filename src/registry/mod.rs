//! Registries over the OCI distribution API (distribution-spec; docker's token and oauth2 documents for logging in).
//!
//! ```text
//!  Client ──► Repository ──► Store   (pull)        every request: scheme ─► token ─► gate ─► redirects ─► judged answer
//!                       ├──► push    (Graph)       every step:    tried again while its failure may pass
//!                       └──► ahead   (Follower)    layers, while they are made; never needed
//!         ──► Mirrored ────► Store   (pull)        the mirrors' repositories, then the registry's
//!         ──► download               (GET)         any web server's files, into the local store
//! ```
//!
//! `settings` says how a registry is reached (certificates, proxies, mirrors), `credential` who the user is to it, and
//! `http` makes a client of that.
//!
//! Everything public blocks; one tokio runtime inside [`Client`] does the work, so none of it may be called from
//! within another async runtime. What is always true:
//!
//! - A credential goes to the registry it belongs to and to the token server which that registry names, a token to the
//!   registry alone: neither follows a redirect or an upload's `Location` to another host.
//! - The user's own TLS certificate is shown to the registry's own host alone (and to a proxy in HTTPS that wants one),
//!   and no user or password of a proxy to anyone but the proxy.
//! - What was begun with HTTPS never goes on in plain HTTP.
//! - Memory does not grow with the size of a blob, up or down.
//! - Nothing waits for ever: a far side that is silent for too long, or slower than [`LeastSpeed`], has failed.
//! - Errors name method, scheme, host and path, and never a query, a header or a credential.

mod ahead;
pub(crate) mod access;
pub(crate) mod challenge;
pub(crate) mod client;
pub(crate) mod connection;
mod credential;
pub(crate) mod download;
mod foreign;
pub(crate) mod hint;
mod known;
mod mirrored;
mod on_demand;
mod probe;
mod pull;
mod push;
mod referrers;
mod registries;
mod tags;
mod token;

pub use client::{Client, Options, Repository};
pub use credential::{Credential, Credentials, Keeper, Keyring};
pub use mirrored::Mirrored;
pub use on_demand::OnDemand;
pub use crate::net::pace::LeastSpeed;
pub use probe::{Exchange, Finding, Verdict};
pub use crate::net::retry::Backoff;
pub use registries::RegistriesConf;
pub use crate::net::certificates::Certificates;
pub use crate::net::proxy::Proxies;
pub use crate::net::download::{Headers, Outcome};
