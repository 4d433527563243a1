//! What the tests stand on. What judges the program's output here does not use the library under test.

pub mod container;
pub mod damage;
pub mod docker_daemon;
pub mod docker_registry;
pub mod entry;
pub mod fake_registry;
pub mod faulty_proxy;
pub mod handmade;
pub mod layout;
pub mod listing;
pub mod memory_store;
pub mod noise;
pub mod program;
pub mod python;
pub mod rebuild;
pub mod registry_client;
pub mod registry_profile;
pub mod small_disk;
pub mod stargz;
pub mod strace;
pub mod tool;
pub mod traces;
pub mod tree;
pub mod world;
