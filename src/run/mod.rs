//! A command in a sandbox, on a root file system that is made of directories.
//!
//! What is run and what came of it are plain data. The sandbox itself wants Linux; elsewhere there is none, which whoever looks
//! for one is told.
//!
//! This is the only module with `unsafe` code.

#[cfg(not(target_os = "linux"))]
mod elsewhere;
mod emulator;
#[cfg(target_os = "linux")]
mod linux;
mod passage;
mod process;
mod rung;

#[cfg(not(target_os = "linux"))]
use elsewhere as here;
#[cfg(target_os = "linux")]
use linux as here;

pub use emulator::{Emulator, Machine, emulated_architectures};
pub use here::Sandbox;
pub use process::{Exit, Limit, Mount, MountSource, Network, Process, Ran, Resource, Root, Security, Stream, User};
pub use rung::Rung;

/// A user namespace for the whole program, in which it is root, where a system has such a thing.
pub mod namespace {
    pub use crate::run::here::{become_user, enter, may_help};
    pub use crate::run::passage::{Passage, RungRefusal, Side, has_entered, passage};
}
