//! What the tests stand on.

pub mod docker_registry;
pub mod fake_registry;
pub mod memory_store;
pub mod registry_client;
pub mod tool;
