//! HTTP for all who need it: registries, token servers, and plain URLs. Nothing here knows what is fetched or sent.
//!
//! ```text
//!  Request ──► gate ──► proxy ──► redirects ──► Response ──► chunk, chunk, …     any status
//!                                                       └──► refusal              the failure that it stands for
//!  step    ──► tried again while its failure may pass
//!  URL     ──► download                                                           into any writer, only if it has changed
//! ```
//!
//! Everything blocks; one tokio runtime inside [`HttpClient`] does the work, so none of it may be called from within another
//! async runtime. A call is ended from another thread by its `Stop`. What is always true:
//!
//! - An `Authorization` is shown to its owner's origin alone: it follows no redirect to another.
//! - The user's own TLS certificate is shown to the server's own host alone (and to a proxy in HTTPS that wants one),
//!   and no user or password of a proxy to anyone but the proxy.
//! - What was begun with HTTPS never goes on in plain HTTP.
//! - Memory does not grow with the size of a body, up or down.
//! - Nothing waits for ever: a far side that is silent for too long, or slower than [`LeastSpeed`], has failed.
//! - Errors name method, scheme, host and path, and never a query, a header or a credential.

mod activity;
mod body;
mod certificates;
mod client;
pub(crate) mod date;
mod download;
mod failure;
mod gate;
mod host;
mod http;
mod options;
mod pace;
mod percent;
mod program;
mod proxy;
mod request;
mod response;
mod retry;
mod secrets;
mod server;
mod stop;
mod tls;
mod wait;
mod words;

pub use certificates::Certificates;
pub use client::HttpClient;
pub use download::{Headers, Receipt};
pub use options::HttpOptions;
pub use pace::LeastSpeed;
pub use program::start_by;
pub use proxy::Proxies;
pub use retry::Backoff;

pub(crate) use activity::Activity;
pub(crate) use body::{PieceSender, Pieces, StreamedBody, read_piece};
pub(crate) use client::REFUSAL_LIMIT;
pub(crate) use date::{http_date, rfc3339};
pub(crate) use failure::{Failure, label};
pub(crate) use host::is_loopback;
pub(crate) use percent::{percent_decoded, percent_decoded_text};
pub(crate) use program::program;
pub(crate) use request::{Authorization, Body, Request, basic, secret_header, take_user};
pub(crate) use reqwest::{Method, StatusCode, Url, header};
pub(crate) use response::Response;
pub(crate) use retry::Tries;
pub(crate) use secrets::Secrets;
pub(crate) use server::Server;
pub use stop::Stop;
pub use tls::server_tls;
pub(crate) use words::{printable, repeatable, words};
