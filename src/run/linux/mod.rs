//! The sandbox, which is made of what Linux has.
//!
//! What is to be done is data before anything is done: `operation` makes a list of mounts and files, and `prepared` the
//! command. The process that is then made (`init`) goes through the list and allocates nothing: it comes from a program
//! with many threads, of which it is the only one left. It is the first process of a PID namespace of its own, and stays as
//! such beside the command: with its end everything ends that the command has started.
//!
//! Where nothing can be mounted a command runs in a chroot: `arranged` puts what it is to find into the root itself, before there
//! is a process, and takes it away again. The first process is a `keeper` then, which takes all orphans in and ends them;
//! `landlock` and a stricter filter keep the command in its root.
//!
//! Where there is one id for all files, a thread of the program, the `supervisor`, answers the system calls of the command that
//! are about owners; and in a chroot those that are about `/proc` and `/sys`.

mod arranged;
mod capability;
mod child;
mod command;
mod emulator;
mod failure;
mod forward;
mod init;
mod keeper;
mod landlock;
mod make;
mod mounting;
mod namespace;
mod operation;
mod output;
mod place;
mod prepared;
mod provided;
mod report;
mod sandbox;
mod seccomp;
mod supervisor;
mod system;

pub use namespace::{become_user, enter, may_help};
pub use sandbox::Sandbox;
