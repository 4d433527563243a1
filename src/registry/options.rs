//! How registries are spoken to.

use super::credential::Credentials;
use super::registries::RegistriesConf;
use crate::net::HttpOptions;

/// How to speak to registries.
///
/// Loopback hosts (`localhost`, 127.0.0.0/8, `[::1]`) are spoken to over plain HTTP, all others over HTTPS. With
/// `insecure` any host is tried over HTTPS with whatever certificate it has, then over plain HTTP. That is decided once
/// for a registry.
pub struct RegistryOptions {
    /// All registries are insecure, and not only those that `registries.conf` calls so.
    pub insecure: bool,
    /// The places of the credentials that registries ask for.
    pub credentials: Credentials,
    /// The settings of single registries.
    pub registries: RegistriesConf,
    /// Blobs that are on their way at once; 0 counts as 1, and more than 64 as 64.
    pub parallel: usize,
    /// The options of the connections.
    pub http: HttpOptions,
}

impl Default for RegistryOptions {
    fn default() -> Self {
        RegistryOptions {
            insecure: false,
            credentials: Credentials::none(),
            registries: RegistriesConf::default(),
            parallel: 4,
            http: HttpOptions::default(),
        }
    }
}
