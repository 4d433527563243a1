//! What the tests stand on. What judges the program's output here does not use the library under test.

pub mod container;
pub mod docker_daemon;
pub mod docker_registry;
pub mod fake_registry;
pub mod layout;
pub mod listing;
pub mod memory_store;
pub mod program;
pub mod registry_client;
pub mod tool;
pub mod tree;
