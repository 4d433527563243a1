//! How registries are reached: whom to trust, through which proxy, and where an image really lies. What is here is plain
//! data; where it comes from (the environment, the user's home, `/etc`) is for the caller to say.

mod certificates;
mod proxy;
mod registries;
mod tls;

pub use certificates::Certificates;
pub use proxy::Proxies;
pub use registries::RegistriesConf;

pub(super) use proxy::{Route, is_loopback};
pub(super) use registries::{Place, Registries};
pub(super) use tls::{configuration, tls_hint};
