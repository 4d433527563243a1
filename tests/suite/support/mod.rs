//! What the tests stand on. What judges the program's output here does not use the library under test.
//!
//! Tests run side by side in one process, on machines of any speed. Whatever one of them starts has for a moment all that
//! the others have open: a program that is to be started is written by [`tool::install`], what was mounted is taken away
//! lazily, and what was removed may still take its place. A server gets its port from [`port`]. What is waited for is
//! waited for until it is there, for minutes if need be; what must not happen is given as long.

pub mod access;
pub mod authority;
pub mod base;
pub mod bazel_cache;
pub mod contained;
pub mod chromium;
pub mod container;
pub mod containerd;
pub mod damage;
pub mod debian;
pub mod described;
pub mod docker_daemon;
pub mod docker_registry;
pub mod dockerfile_case;
pub mod entry;
pub mod fake_registry;
pub mod faulty_proxy;
pub mod git_server;
pub mod handmade;
pub mod http;
pub mod hub;
pub mod layout;
pub mod listing;
pub mod loop_disk;
pub mod memory_store;
pub mod network_door;
pub mod nginx;
pub mod noise;
pub mod overlay;
pub mod pattern_matcher;
pub mod podman;
pub mod program;
pub mod project;
pub mod port;
pub mod proxy;
pub mod python;
pub mod reading;
pub mod rebuild;
pub mod registry_client;
pub mod registry_profile;
pub mod runner;
pub mod served;
pub mod server;
pub mod slow_proxy;
pub mod small_disk;
pub mod source;
pub mod stages;
pub mod standing;
pub mod stargz;
pub mod strace;
pub mod targets;
pub mod token_server;
pub mod tool;
pub mod traces;
pub mod tree;
pub mod watched_terminal;
pub mod world;
