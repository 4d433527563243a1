//! Git, by the `git` program: what a checkout knows of itself, and what is in a repository elsewhere.

mod checkout;
mod fetch;
mod program;

pub use checkout::checkout;
pub use fetch::{Fetched, fetch};
