//! Registries over the OCI distribution API (distribution-spec; docker's token and oauth2 documents for logging in).
//!
//! ```text
//!  Client ──► Repository ──► Store   (pull)        every request: scheme ─► token ─► gate ─► redirects ─► judged answer
//!                       ├──► push    (Graph)       every step:    tried again while its failure may pass
//!                       └──► ahead   (Follower)    layers, while they are made; never needed
//!         ──► Mirrored ────► Store   (pull)        the mirrors' repositories, then the registry's
//! ```
//!
//! `registries` says where an image really lies, `credential` who the user is to a registry; requests go through
//! [`net`](crate::net), whose promises hold here, too.
//!
//! Everything public blocks, and none of it may be called from within an async runtime. What is done at once is done by
//! threads. What is always true:
//!
//! - A credential goes to the registry it belongs to and to the token server which that registry names, a token to the
//!   registry alone: neither follows a redirect or an upload's `Location` to another host.
//! - Memory does not grow with the size of a blob, up or down.

mod access;
mod ahead;
mod answer;
mod artifact;
mod authorization;
mod challenge;
mod client;
mod connection;
mod credential;
mod download;
mod exchange;
mod foreign;
mod hint;
mod known;
mod mirrored;
mod on_demand;
mod options;
mod parallel;
mod probe;
mod pull;
mod push;
mod referrers;
mod registries;
mod repository;
mod tags;
mod token;
mod words;

pub use client::Client;
pub use credential::{Credential, Credentials, Keeper, Keyring};
pub use mirrored::Mirrored;
pub use on_demand::OnDemand;
pub use options::RegistryOptions;
pub(crate) use parallel::each;
pub use probe::{Exchange, Finding, Verdict};
pub(crate) use push::StreamedContent;
pub use registries::RegistriesConf;
pub use repository::Repository;
