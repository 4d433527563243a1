//! The flags that several commands share, a file for each group, and how the value of a flag is read.

pub mod accepted;
pub mod base;
pub mod build;
pub mod cache;
mod host_ca;
pub mod output;
pub mod prune;
pub mod recipe;
pub mod run;
pub mod spec;
pub mod tags;
pub mod transfer;
pub mod value;
