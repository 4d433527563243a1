//! Git: what a checkout knows of itself, read from its files, and what is in a repository elsewhere, fetched by the `git`
//! program.

mod address;
mod checkout;
mod config;
mod fetch;
mod program;
mod regular;
mod submodules;

pub use checkout::{believe, checkout};
pub use fetch::{Fetched, fetch};
