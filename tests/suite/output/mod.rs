//! Where finished images go, and how they are copied.

mod copy;
mod copy_bundle;
mod copy_referrers;
mod copy_registry;
mod docker_archive;
mod engine;
mod engine_others;
mod exchange;
mod index_command;
mod peers;
mod rebase;
mod rootfs;
mod serve;
mod system_archive;
mod written;
