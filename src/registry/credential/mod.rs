//! Who the user is to registries: docker's `config.json` and podman's `auth.json`, and the credential helpers that they
//! name. They are read, and docker's is written, as those do it, so that one login serves all.

mod file;
mod helper;
mod json;
mod kind;
mod lookup;

pub use kind::{Credential, Keyring};
pub use lookup::{Credentials, Keeper};
