//! All that a run needs, made before there is a process for it.

use std::ffi::{CStr, CString};
use std::fs;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{FileType, fstat};
use rustix::mount::MountAttrFlags;
use rustix::process::{Gid, Rlimit, Uid, geteuid};
use rustix::thread::{CapabilitySet, capabilities};

use super::capability;
use super::command::{Command, Confined, Restrictions, Strings, resource};
use super::emulator::{UserNamespace, registering};
use super::landlock::Landlock;
use super::mounting::copy;
use super::operation::{self, CLOSED, Operation};
use super::place::Stubs;
use super::provided::hosts;
use super::seccomp;
use super::supervisor::Supervised;
use super::supervisor::stand_in::Served;
use super::system::{Instruction, STACK};
use crate::error::{Error, ErrorKind, Result};
use crate::run::process::{Mount, MountSource, Network, Process, Root, Security};
use crate::run::rung::Rung;

/// Directories that links in the root can add to what has to be made for mounts.
const MORE_STUBS: usize = 64;

/// All that a run needs.
pub(super) struct Prepared {
    pub(super) operations: Vec<Operation>,
    /// Room for the lower directories.
    pub(super) lowers: Vec<OwnedFd>,
    pub(super) stubs: Stubs,
    pub(super) is_offline: bool,
    /// The user namespace, if it is one of its own.
    pub(super) users: Option<UserNamespace>,
    /// Where it has no processes of its own.
    pub(super) among: Option<Landlock>,
    /// For the start of the command.
    pub(super) stack: Vec<u8>,
    /// The program as the user knows it.
    pub(super) program: String,
    /// None is a probe's.
    pub(super) command: Option<Command>,
    /// Files that are removed when the command has ended: the directory of each, and its name there.
    pub(super) passing: Vec<(OwnedFd, CString)>,
    /// The filter that a probe tries whether calls can be given to a supervisor.
    pub(super) probed_supervision: Option<Vec<Instruction>>,
    /// Whom the supervisor is to take the command for; none where there is none.
    pub(super) supervised: Option<Supervised>,
    /// Whom `/proc` and `/sys` are served to; none where there is no such command.
    pub(super) served: Option<Served>,
}

impl Prepared {
    /// Prepares a run of `process` on `root`.
    pub(super) fn new(process: &Process, root: &Root, rung: Rung) -> Result<Prepared> {
        let is_insecure = process.security == Security::Insecure;
        let emulation = process.emulator.as_ref().map(registering).transpose()?;
        let (emulate, users) = emulation.unzip();
        let mut operations: Vec<Operation> = emulate.into_iter().collect();
        operations.push(root_operation(root, is_insecure)?);
        let mut provide = |name: &CStr, content| {
            operations.push(Operation::Provide { directory: c"/etc".to_owned(), name: name.to_owned(), content });
        };
        if let Some(resolver) = read_resolver()? {
            provide(c"resolv.conf", resolver);
        }
        provide(c"hosts", hosts(&process.hosts));
        operation::add_system(&mut operations, process.shm_size, is_insecure);
        keep_to_ids(&mut operations, rung);
        for mount in &process.mounts {
            operations.push(mount_operation(mount, is_insecure)?);
        }
        let directory = string(&process.directory)?;
        let (user, group) = (Uid::from_raw(process.user.id), Gid::from_raw(process.user.group));
        operations.push(Operation::Directory { path: directory.clone(), user, group });
        let program = process.arguments.first().map(|program| String::from_utf8_lossy(program).into_owned());
        let mut prepared = Self::of(operations, root.lowers.len(), Some(command(process, directory, rung)?));
        prepared.users = users;
        prepared.is_offline = process.network == Network::None;
        prepared.program = program.unwrap_or_default();
        if rung == Rung::SingleId {
            prepared.supervised = Some(Supervised {
                user: process.user.clone(),
                rights: if is_insecure { CapabilitySet::all().bits() } else { capability::DEFAULT.bits() },
                is_insecure,
            });
        }
        Ok(prepared)
    }

    /// Has the command run among the processes of this program, which it finds in `/proc`. It can neither look into them nor,
    /// as far as the kernel can see to it, send them signals.
    pub(super) fn among_others(self) -> Result<Prepared> {
        self.among_others_with(Landlock::here())
    }

    pub(super) fn among_others_with(mut self, landlock: Landlock) -> Result<Prepared> {
        if !landlock.is_there() {
            return Err(Error::new(
                ErrorKind::Io,
                "the kernel has no Landlock, which keeps a command from other processes",
            )
            .with_hint("the kernel must be Linux 5.19 or newer, with CONFIG_SECURITY_LANDLOCK"));
        }
        operation::share_processes(&mut self.operations);
        self.among = Some(landlock);
        let Some(command) = &mut self.command else { return Ok(self) };
        let Some(restrictions) = &mut command.restrictions else {
            return Err(Error::input("a command without restrictions cannot be run among other processes")
                .with_hint("`--security=insecure` needs a place with a /proc of which nothing is hidden"));
        };
        restrictions.filter = seccomp::filter_among_others(landlock);
        restrictions.among = Some(landlock);
        if command.supervision.is_some() {
            command.supervision = Some(seccomp::supervised_among_others(landlock));
        }
        Ok(self)
    }

    /// Prepares all of a run but its command.
    pub(super) fn probe(root: &Root, rung: Rung) -> Result<Prepared> {
        let mut operations = vec![root_operation(root, false)?];
        operation::add_system(&mut operations, None, false);
        keep_to_ids(&mut operations, rung);
        let mut prepared = Self::of(operations, root.lowers.len(), None);
        prepared.probed_supervision = (rung == Rung::SingleId).then(|| seccomp::supervised(true));
        Ok(prepared)
    }

    /// Prepares a run of `process` in `root`, in which all that it is to find is in its place, but for what is in `/proc` and
    /// `/sys`, which is served to it or not.
    pub(super) fn in_chroot(process: &Process, root: BorrowedFd<'_>, is_served: bool) -> Result<Prepared> {
        Self::in_chroot_with(process, root, is_served, Landlock::here())
    }

    pub(super) fn in_chroot_with(
        process: &Process,
        root: BorrowedFd<'_>,
        is_served: bool,
        landlock: Landlock,
    ) -> Result<Prepared> {
        let mut command = command(process, string(&process.directory)?, Rung::Chroot)?;
        command.restrictions = Some(Restrictions {
            capabilities: capability::IN_CHROOT.intersection(permitted()?),
            filter: seccomp::filter_in_chroot(landlock, process.network == Network::None, is_served),
            among: None,
        });
        let root = || root.try_clone_to_owned().map_err(|error| Error::io("open", "the root of the command", error));
        command.confined = Some(Confined { root: root()?, landlock });
        let program = process.arguments.first().map(|program| String::from_utf8_lossy(program).into_owned());
        let mut prepared = Self::of(Vec::new(), 0, Some(command));
        prepared.program = program.unwrap_or_default();
        if is_served {
            prepared.served = Some(Served { root: root()?, user: process.user.clone() });
        }
        Ok(prepared)
    }

    /// Fails unless this process may run commands in a chroot, as far as its rights say.
    pub(super) fn check_for_chroot(is_serving: bool) -> Result<()> {
        let own = permitted()?;
        // Devices are served, too.
        let is_needed = |one| !is_serving || one != CapabilitySet::MKNOD;
        let missing = capability::NEEDED_FOR_CHROOT.iter().find(|(one, _)| is_needed(*one) && !own.contains(*one));
        if !geteuid().is_root() || missing.is_some() {
            let what = missing.filter(|_| geteuid().is_root()).map_or("root", |(_, name)| name);
            return Err(Error::new(ErrorKind::Io, format!("a command in a chroot needs {what}"))
                .with_hint("run it as root, with the capabilities that docker gives by default"));
        }
        Ok(())
    }

    /// Prepares all of a run in a chroot but its command.
    pub(super) fn chroot_probe(root: BorrowedFd<'_>, is_served: bool) -> Result<Prepared> {
        let process = Process::new(vec![b"/".to_vec()]);
        let mut prepared = Self::in_chroot(&process, root, is_served)?;
        if let Some(command) = &mut prepared.command {
            command.is_probe = true;
        }
        Ok(prepared)
    }

    fn of(operations: Vec<Operation>, lowers: usize, command: Option<Command>) -> Prepared {
        let depth: usize = operations.iter().map(Operation::depth).sum();
        let lowers = Vec::with_capacity(lowers);
        let stubs = Stubs::with_room(depth + MORE_STUBS);
        Prepared {
            operations,
            lowers,
            stubs,
            is_offline: false,
            users: None,
            among: None,
            stack: vec![0; STACK],
            program: String::new(),
            command,
            passing: Vec::new(),
            probed_supervision: None,
            supervised: None,
            served: None,
        }
    }
}

/// Takes away what names groups that there are none of.
fn keep_to_ids(operations: &mut [Operation], rung: Rung) {
    for operation in operations.iter_mut().filter(|_| rung == Rung::SingleId) {
        if let Operation::Mount { options, .. } = operation {
            options.retain(|(name, _)| *name != c"gid");
        }
    }
}

fn root_operation(root: &Root, is_insecure: bool) -> Result<Operation> {
    let path = |path: &Path| string(path.as_os_str().as_bytes());
    // Root in the sandbox may make nodes of any device in its layer, but it cannot use them.
    let attributes = if is_insecure { MountAttrFlags::empty() } else { MountAttrFlags::MOUNT_ATTR_NODEV };
    Ok(Operation::Root {
        lowers: root.lowers.iter().map(|lower| path(lower)).collect::<Result<_>>()?,
        upper: path(&root.upper)?,
        work: path(&root.work)?,
        attributes,
    })
}

fn mount_operation(mount: &Mount, is_insecure: bool) -> Result<Operation> {
    let target = string(&mount.target)?;
    let mut attributes = if is_insecure { MountAttrFlags::empty() } else { MountAttrFlags::MOUNT_ATTR_NODEV };
    if mount.read_only {
        attributes |= MountAttrFlags::MOUNT_ATTR_RDONLY;
    }
    let failed = |errno: rustix::io::Errno| {
        let target = String::from_utf8_lossy(&mount.target).into_owned();
        Error::io("mount what a command is to find at", target, io::Error::from(errno))
    };
    // The namespace of the command takes no mounts of this one but copies that are nowhere.
    Ok(match &mount.source {
        MountSource::Bind(source) => {
            let status = fstat(source).map_err(failed)?;
            let is_directory = FileType::from_raw_mode(status.st_mode) == FileType::Directory;
            let tree = copy(source, c"").map_err(failed)?;
            Operation::Bind { tree, is_directory, attributes, target }
        }
        MountSource::Discarding(source) => {
            Operation::Discard { tree: copy(source, c"").map_err(failed)?, attributes, target }
        }
        MountSource::Tmpfs { size } => {
            let size = size.map(|size| (c"size", operation::number(size)));
            let options = size.into_iter().chain([(c"mode", c"1777".to_owned())]).collect();
            let attributes = attributes | MountAttrFlags::MOUNT_ATTR_NOSUID;
            Operation::Mount { filesystem: c"tmpfs", options, attributes, target, name: None }
        }
        MountSource::File { content, mode, user, group } => Operation::File {
            content: content.clone(),
            mode: *mode,
            user: *user,
            group: *group,
            // A script is there to be executed.
            attributes: attributes
                | if mode & 0o111 == 0 { CLOSED } else { CLOSED.difference(MountAttrFlags::MOUNT_ATTR_NOEXEC) },
            target,
        },
    })
}

fn command(process: &Process, directory: CString, rung: Rung) -> Result<Command> {
    let strings = |strings: &[Vec<u8>]| strings.iter().map(|text| string(text)).collect::<Result<Vec<_>>>();
    let restrictions = match process.security {
        Security::Sandbox => {
            Some(Restrictions { capabilities: capability::DEFAULT, filter: seccomp::filter(), among: None })
        }
        Security::Insecure => None,
    };
    let limit = |limit: Option<u64>| limit.filter(|limit| *limit != u64::MAX);
    Ok(Command {
        programs: programs(process)?,
        arguments: Strings::new(strings(&process.arguments)?),
        environment: Strings::new(strings(&process.environment)?),
        directory,
        user: Uid::from_raw(process.user.id),
        group: Gid::from_raw(process.user.group),
        groups: process.user.groups.iter().map(|group| Gid::from_raw(*group)).collect(),
        limits: process
            .limits
            .iter()
            .map(|one| (resource(one.resource), Rlimit { current: limit(one.soft), maximum: limit(one.hard) }))
            .collect(),
        supervision: (rung == Rung::SingleId).then(|| seccomp::supervised(restrictions.is_some())),
        restrictions,
        confined: None,
        is_probe: false,
    })
}

/// Returns the capabilities that this program has.
fn permitted() -> Result<CapabilitySet> {
    let own =
        capabilities(None).map_err(|errno| Error::io("read", "the capabilities of this program", errno.into()))?;
    Ok(own.permitted)
}

/// Returns what the program may be: one path if it has a slash, and else one in each directory of PATH.
fn programs(process: &Process) -> Result<Vec<CString>> {
    let Some(program) = process.arguments.first().filter(|program| !program.is_empty()) else {
        return Err(Error::input("there is no program to run"));
    };
    if program.contains(&b'/') {
        return Ok(vec![string(program)?]);
    }
    // Of several values the first holds, as with getenv.
    let path = process.environment.iter().find_map(|variable| variable.strip_prefix(b"PATH="));
    let directories = path.unwrap_or_default().split(|byte| *byte == b':').filter(|directory| !directory.is_empty());
    directories.map(|directory| string(&[directory, b"/", program].concat())).collect()
}

/// Returns what this machine resolves names with, if it says so.
pub(super) fn read_resolver() -> Result<Option<Vec<u8>>> {
    let path = "/etc/resolv.conf";
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", path, error)),
    }
}

/// Returns `text` as the kernel takes it.
pub(super) fn string(text: &[u8]) -> Result<CString> {
    CString::new(text).map_err(|_| {
        let shown = String::from_utf8_lossy(text).replace('\0', "\\0");
        Error::input(format!("`{shown}` holds a null byte, which cannot be passed to a command"))
    })
}
