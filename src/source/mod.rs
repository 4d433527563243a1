//! Where content comes from: local files and directories, images that exist, and what a git checkout knows of itself.

pub mod base;
pub mod cached;
pub mod collection;
pub mod git;
pub mod image;
pub mod local;
pub mod member;
mod narrow;
pub mod reach;
mod tree;
