//! The flags about the blobs that move between here and registries.

use clap::Args;

use crate::cli::environment::Environment;
use crate::registry::OnDemand;

/// The flags that say how blobs move between here and registries.
#[derive(Debug, Args)]
pub struct TransferFlags {
    /// Blobs that move at a time [default: 4]
    #[arg(short, long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub jobs: usize,
    /// Allow plain HTTP, and TLS certificates that cannot be verified
    #[arg(long)]
    insecure: bool,
}

impl TransferFlags {
    /// Returns the client that moves blobs as these flags say.
    pub fn client(&self, environment: &Environment) -> OnDemand {
        environment.client(self.insecure, self.jobs)
    }
}
