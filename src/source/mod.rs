//! Where content comes from: local files and directories, build contexts wherever they are, archives, downloads, git
//! repositories, images that exist, and what a git checkout knows of itself.

mod adds;
pub mod archive;
pub mod artifact;
pub mod base;
pub mod cached;
pub mod collection;
pub mod context;
pub mod download;
pub mod git;
pub mod image;
pub mod local;
mod member;
pub mod modified;
pub mod mount_cache;
mod named;
pub mod pulled;
mod narrow;
pub mod reach;
pub mod referrers;
pub mod signature;
pub mod step_cache;
