//! What the tests stand on. Nothing here uses the library under test: its output is judged by other readers.

pub mod container;
pub mod docker_registry;
pub mod layout;
pub mod listing;
pub mod program;
pub mod tool;
pub mod tree;
