//! HTTP for all who need it.

pub(crate) mod body;
pub(crate) mod certificates;
pub(crate) mod date;
pub(crate) mod download;
pub(crate) mod failure;
pub(crate) mod gate;
pub(crate) mod http;
pub(crate) mod pace;
pub(crate) mod proxy;
pub(crate) mod retry;
pub(crate) mod secrets;
pub(crate) mod tls;
