//! The flags that several commands share, a file for each group, and how the value of a flag is read.

pub mod base;
pub mod spec;
pub mod transfer;
pub mod value;
