//! What is run and what came of it, as plain data.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use super::emulator::Emulator;
use crate::layer::Provided;

/// What is run, as plain data.
pub struct Process {
    /// The program and its arguments. A program without a slash is looked up in the PATH of `environment`, within the root.
    pub arguments: Vec<Vec<u8>>,
    /// The variables, each as NAME=value.
    pub environment: Vec<Vec<u8>>,
    /// The working directory: absolute in the root. It is made if it is missing.
    pub directory: Vec<u8>,
    /// The user that the process is.
    pub user: User,
    /// What the process reaches of the network.
    pub network: Network,
    /// What the process is kept from.
    pub security: Security,
    /// Names and addresses for `/etc/hosts`.
    pub hosts: Vec<(String, String)>,
    /// The size of `/dev/shm` in bytes; without it 64 MiB.
    pub shm_size: Option<u64>,
    /// The resource limits that are not to be those of this program.
    pub limits: Vec<Limit>,
    /// What is mounted in the root beside the file systems that every process has, in order.
    pub mounts: Vec<Mount>,
    /// What runs programs of another machine, beside what is registered with the kernel.
    pub emulator: Option<Emulator>,
}

impl Process {
    /// Returns a run of `arguments` by root in `/`: without variables, on the network of the machine, with no mounts of its own.
    pub fn new(arguments: Vec<Vec<u8>>) -> Process {
        Process {
            arguments,
            environment: Vec::new(),
            directory: b"/".to_vec(),
            user: User::default(),
            network: Network::Host,
            security: Security::Sandbox,
            hosts: Vec::new(),
            shm_size: None,
            limits: Vec::new(),
            mounts: Vec::new(),
            emulator: None,
        }
    }
}

/// A user by numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    /// The user ID.
    pub id: u32,
    /// The group ID.
    pub group: u32,
    /// The supplementary groups.
    pub groups: Vec<u32>,
}

/// What a process reaches of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// All that this machine reaches.
    Host,
    /// Itself alone.
    None,
}

/// What a process is kept from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// It has docker's default capabilities and system calls.
    Sandbox,
    /// It may do as root does.
    Insecure,
}

/// What a resource limit can be of (setrlimit(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// The size of a core dump.
    Core,
    /// Seconds of a processor.
    Cpu,
    /// The data segment.
    Data,
    /// The size of a file.
    Fsize,
    /// Locks of files.
    Locks,
    /// Memory that is locked.
    Memlock,
    /// Message queues.
    Msgqueue,
    /// The nice value.
    Nice,
    /// Open files.
    Nofile,
    /// Processes of a user.
    Nproc,
    /// Memory that is resident.
    Rss,
    /// The priority in real time.
    Rtprio,
    /// Microseconds in real time.
    Rttime,
    /// Signals that wait.
    Sigpending,
    /// The stack.
    Stack,
}

/// One resource limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// What is limited.
    pub resource: Resource,
    /// The limit that holds; none means unlimited.
    pub soft: Option<u64>,
    /// The limit that the process may go up to; none means unlimited.
    pub hard: Option<u64>,
}

/// Something that is mounted in the root.
pub struct Mount {
    /// Where: absolute in the root. Links on the way are followed within the root; what is missing is made, and taken away
    /// after the run.
    pub target: Vec<u8>,
    /// What.
    pub source: MountSource,
    /// Whether it cannot be written to.
    pub read_only: bool,
}

/// What can be mounted in the root.
pub enum MountSource {
    /// A directory, file or socket that was opened: it stays the one that it was opened as.
    Bind(OwnedFd),
    /// A directory that was opened. What is written to it is thrown away.
    Discarding(OwnedFd),
    /// An empty directory in memory.
    Tmpfs {
        /// In bytes; without it half of the machine's memory.
        size: Option<u64>,
    },
    /// A file in memory, which is never on disk.
    File {
        /// What it holds.
        content: Vec<u8>,
        /// The permissions.
        mode: u32,
        /// The user that it belongs to.
        user: u32,
        /// The group that it belongs to.
        group: u32,
    },
}

/// The directories that a root file system is made of.
pub struct Root {
    /// What is below, the topmost first. Nothing is written to them. Without any, `upper` is all of the file system: see
    /// [`Sandbox::is_stacking`](super::Sandbox::is_stacking).
    pub lowers: Vec<PathBuf>,
    /// Where changes go. It is on one file system with `work`.
    pub upper: PathBuf,
    /// An empty directory that nobody sees.
    pub work: PathBuf,
}

/// Which of its outputs the process has written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// With this exit status.
    Status(i32),
    /// By this signal.
    Signal(i32),
}

/// What came of a run.
#[derive(Debug)]
pub struct Ran {
    /// How the command ended.
    pub exit: Exit,
    /// The files that were put into the upper directory for the command.
    pub provided: Vec<Provided>,
}
