//! The machine's own `/proc` and `/sys`, and what of them is to be seen: what docker hides is not there, and of processes those
//! alone that the command has started.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, fstat, fstatfs, openat, readlinkat};
use rustix::io::Errno;

use super::caller::Caller;
use crate::run::linux::operation::{Known, MASKED};
use crate::run::linux::supervisor::target::{own_link, read_status};
use crate::run::linux::supervisor::way::PROCESSES;

/// One name of a path.
pub(super) type Component = Vec<u8>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tree {
    /// `/proc`
    Processes,
    /// `/sys`
    Kernel,
}

pub(super) const TREES: [Tree; 2] = [Tree::Processes, Tree::Kernel];

/// Something in one of them, by its names.
#[derive(Debug, Clone)]
pub(super) struct Original {
    pub(super) tree: Tree,
    pub(super) names: Vec<Component>,
    pub(super) kind: ServedKind,
    /// Itself, a link not followed, without the right to read it.
    pub(super) object: Rc<OwnedFd>,
    /// The directory that it is in.
    parent: Rc<OwnedFd>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ServedKind {
    Directory,
    File,
    /// A link that leads where its text says.
    Link,
    /// One that says so to who asks.
    Own(Component),
    /// One that leads to what a process has open, whatever its text says.
    Open,
}

pub(super) struct ThisMachine {
    /// Those of `TREES`.
    trees: [Rc<OwnedFd>; 2],
    /// The process that all of the command's processes descend from, and that is not one of them.
    first: u32,
    /// The path of the root, as this program has it.
    root: Vec<u8>,
}

/// As many generations as are gone through.
const MOST_GENERATIONS: usize = 1024;
/// As many names as a directory is shown with.
const MOST_NAMES: usize = 1 << 16;

const OPEN: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl Tree {
    pub(super) fn name(self) -> &'static str {
        match self {
            Tree::Processes => "proc",
            Tree::Kernel => "sys",
        }
    }

    /// Whether objects of the file system are those that are looked for there. Others are mounted there: what is hidden has an
    /// empty tmpfs in its place, and lxcfs has files that say what a container is given.
    fn has(self, system: u64, kind: FileType) -> bool {
        match (self, system) {
            (Tree::Processes, PROCESSES | FUSE) | (Tree::Kernel, SYSFS | CGROUP | CGROUP2) => true,
            (_, TMPFS) => kind == FileType::Directory,
            _ => false,
        }
    }
}

/// Types of file systems (statfs(2)).
const SYSFS: u64 = 0x6265_6572;
const CGROUP: u64 = 0x0027_e0eb;
const CGROUP2: u64 = 0x6367_7270;
const TMPFS: u64 = 0x0102_1994;
const FUSE: u64 = 0x6573_5546;

impl ThisMachine {
    /// Opens them. `first` is the process that the command's processes descend from, and `root` the path of their root.
    pub(super) fn new(first: u32, root: Vec<u8>) -> Result<ThisMachine, Errno> {
        let open = |tree: Tree| {
            let path = format!("/{}", tree.name());
            openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map(Rc::new)
        };
        Ok(ThisMachine { trees: [open(Tree::Processes)?, open(Tree::Kernel)?], first, root })
    }

    pub(super) fn processes(&self) -> BorrowedFd<'_> {
        self.trees[0].as_fd()
    }

    pub(super) fn root(&self) -> &[u8] {
        &self.root
    }

    /// Returns the directory itself.
    pub(super) fn top(&self, tree: Tree) -> Original {
        let top = &self.trees[tree as usize];
        Original { tree, names: Vec::new(), kind: ServedKind::Directory, object: top.clone(), parent: top.clone() }
    }

    /// Returns what is called `name` in a directory.
    pub(super) fn child(&self, caller: &Caller, directory: &Original, name: &[u8]) -> Result<Original, Errno> {
        let names = [&directory.names[..], &[name.to_vec()]].concat();
        if directory.kind != ServedKind::Directory {
            return Err(Errno::NOTDIR);
        }
        if is_masked(directory.tree, &names) {
            return Err(Errno::NOENT);
        }
        let text = CString::new(name).map_err(|_| Errno::INVAL)?;
        let open = || openat(&directory.object, text.as_c_str(), OPEN, Mode::empty());
        let object = caller.act(open)?;
        let kind = FileType::from_raw_mode(fstat(&object)?.st_mode);
        if !directory.tree.has(fstatfs(&object)?.f_type as u64, kind) {
            return Err(Errno::NOENT);
        }
        if directory.tree == Tree::Processes
            && names.len() == 1
            && let Some(number) = number(name)
        {
            self.check_process(caller, number, &object)?;
        }
        let kind = match kind {
            FileType::Directory => ServedKind::Directory,
            FileType::RegularFile => ServedKind::File,
            FileType::Symlink if is_open(directory.tree, &names) => ServedKind::Open,
            FileType::Symlink => {
                self.own(caller, &names).map_or(Ok(ServedKind::Link), |text| text.map(ServedKind::Own))?
            }
            _ => return Err(Errno::NOENT),
        };
        Ok(Original { tree: directory.tree, names, kind, object: Rc::new(object), parent: directory.object.clone() })
    }

    /// Where a link leads that says so to who asks.
    fn own(&self, caller: &Caller, names: &[Component]) -> Option<Result<Component, Errno>> {
        let [name] = names else { return None };
        let process = || self.process_of(caller);
        match name.as_slice() {
            b"self" => Some(process().map(|process| process.to_string().into_bytes())),
            b"thread-self" => {
                Some(process().map(|process| format!("{process}/task/{}", caller.target.thread).into_bytes()))
            }
            _ => None,
        }
    }

    /// Returns the number of the process whose thread has made the call.
    fn process_of(&self, caller: &Caller) -> Result<u32, Errno> {
        let path = format!("{}/status", caller.target.thread);
        let open = || openat(self.processes(), &path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        let text = read_status(open().or_else(|_| caller.act(open))?).map_err(|_| Errno::SRCH)?;
        let number = text.lines().find_map(|line| line.strip_prefix("Tgid:"));
        number.and_then(|number| number.trim().parse().ok()).ok_or(Errno::SRCH)
    }

    /// Fails unless the process is one that the command has started. `directory` is that of its number, and stands for itself
    /// alone: another process that got the number later has another one.
    fn check_process(&self, caller: &Caller, number: u32, directory: &OwnedFd) -> Result<(), Errno> {
        if number == caller.target.thread {
            return Ok(());
        }
        let open = |number: u32| {
            let open = || openat(self.processes(), number.to_string(), OPEN, Mode::empty());
            // To root a process of another user may not be there at all (proc(5), `hidepid`).
            open().or_else(|_| caller.act(open))
        };
        let parent = |directory: &OwnedFd| parent_of(directory).or_else(|_| caller.act(|| parent_of(directory)));
        let mut above;
        let mut directory = directory;
        for _ in 0..MOST_GENERATIONS {
            let number = parent(directory)?;
            if number == self.first {
                return Ok(());
            }
            if number <= 1 {
                break;
            }
            let opened = open(number);
            // Whose parent ends gets another one before that number can be anybody else's.
            if parent(directory)? == number {
                above = opened?;
                directory = &above;
            }
        }
        Err(Errno::NOENT)
    }

    /// Returns the numbers of all processes that the command has started and that are to be seen.
    fn own_processes(&self, caller: &Caller) -> Result<Vec<u32>, Errno> {
        let mut parents = Vec::new();
        for name in read(self.processes())? {
            let Some(process) = number(&name) else { continue };
            let open =
                || openat(self.processes(), process.to_string(), OPEN, Mode::empty()).and_then(|open| parent_of(&open));
            if let Ok(parent) = open().or_else(|_| caller.act(open)) {
                parents.push((process, parent));
            }
        }
        let mut own = vec![self.first];
        let mut next = 0;
        while let Some(parent) = own.get(next).copied() {
            own.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(process, _)| *process));
            next += 1;
        }
        Ok(own.split_off(1))
    }

    /// Returns what is in a directory.
    pub(super) fn entries(&self, caller: &Caller, directory: &Original) -> Result<Vec<Component>, Errno> {
        let is_top = directory.tree == Tree::Processes && directory.names.is_empty();
        let mut names = caller.act(|| read(directory.object.as_fd()))?;
        if is_top {
            names.retain(|name| number(name).is_none());
            names.extend(self.own_processes(caller)?.iter().map(|process| process.to_string().into_bytes()));
        }
        Ok(names)
    }

    /// Returns where a link leads, as the process sees it.
    pub(super) fn text(&self, caller: &Caller, link: &Original) -> Result<Component, Errno> {
        let read = || readlinkat(&link.parent, link.name()?, Vec::new()).map(CString::into_bytes);
        match &link.kind {
            ServedKind::Own(text) => Ok(text.clone()),
            ServedKind::Link => read(),
            ServedKind::Open => caller.act(read).map(|text| self.within(&text).map_or(text.clone(), <[u8]>::to_vec)),
            ServedKind::Directory | ServedKind::File => Err(Errno::INVAL),
        }
    }

    /// Returns the path in the root of what is at `path`; none if that is elsewhere.
    pub(super) fn within<'a>(&self, path: &'a [u8]) -> Option<&'a [u8]> {
        match path.strip_prefix(&self.root[..])? {
            [] => Some(b"/"),
            path => path.starts_with(b"/").then_some(path),
        }
    }

    /// Opens a file of `/proc` for this program itself.
    pub(super) fn open_own(&self, path: &CStr) -> Result<OwnedFd, Errno> {
        openat(self.processes(), path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
    }

    /// Returns the path in the root of what is open; none if it lies elsewhere, or nowhere.
    pub(super) fn place(&self, object: BorrowedFd<'_>) -> Result<Option<Component>, Errno> {
        let path = readlinkat(self.processes(), own_link(object).as_c_str(), Vec::new())?.into_bytes();
        Ok(self.within(&path).map(<[u8]>::to_vec))
    }

    /// Opens what an open link leads to, without the right to read it.
    pub(super) fn follow(&self, caller: &Caller, link: &Original) -> Result<OwnedFd, Errno> {
        let follow = || openat(&link.parent, link.name()?, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        caller.act(follow)
    }

    /// Opens once more, with other rights, what is open.
    pub(super) fn reopen(&self, caller: &Caller, object: BorrowedFd<'_>, flags: OFlags) -> Result<OwnedFd, Errno> {
        // Nothing is waited for.
        let all = flags | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let link = own_link(object);
        let file = caller.act(|| openat(self.processes(), link.as_c_str(), all, Mode::empty()))?;
        if !flags.contains(OFlags::NONBLOCK) && !flags.contains(OFlags::PATH) {
            let now = rustix::fs::fcntl_getfl(&file)?;
            rustix::fs::fcntl_setfl(&file, now - OFlags::NONBLOCK)?;
        }
        Ok(file)
    }
}

impl Original {
    fn name(&self) -> Result<CString, Errno> {
        CString::new(self.names.last().map(Vec::as_slice).unwrap_or_default()).map_err(|_| Errno::INVAL)
    }

    /// Returns what it is to its process, by its names in the directory of that or of a thread; none if it is of no process.
    pub(super) fn in_process(&self) -> Option<&[Component]> {
        in_process(self.tree, &self.names)
    }
}

fn in_process(tree: Tree, names: &[Component]) -> Option<&[Component]> {
    let [process, names @ ..] = names else { return None };
    number(process).filter(|_| tree == Tree::Processes)?;
    match names {
        [task, _, names @ ..] if task == b"task" => Some(names),
        names => Some(names),
    }
}

fn is_open(tree: Tree, names: &[Component]) -> bool {
    match in_process(tree, names) {
        Some([name]) => [&b"cwd"[..], b"root", b"exe"].contains(&&name[..]),
        Some([directory, _]) => [&b"fd"[..], b"ns", b"map_files"].contains(&&directory[..]),
        _ => false,
    }
}

fn is_masked(tree: Tree, names: &[Component]) -> bool {
    let known = match tree {
        Tree::Processes => Known::Processes,
        Tree::Kernel => Known::Kernel,
    };
    let path = names.join(&b'/');
    // What is there of other mounts than the command's.
    let is_of_mounts = in_process(tree, names).is_some_and(|names| names == [b"mountstats".to_vec()]);
    is_of_mounts || MASKED.iter().any(|(within, masked)| *within == known && masked.to_bytes() == path)
}

/// Returns the number of a process.
pub(super) fn number(name: &[u8]) -> Option<u32> {
    let is_number = !name.is_empty() && name[0] != b'0' && name.iter().all(u8::is_ascii_digit);
    str::from_utf8(name).ok().filter(|_| is_number)?.parse().ok()
}

/// Returns what is in a directory that is open without the right to read it.
pub(super) fn read(directory: BorrowedFd<'_>) -> Result<Vec<Component>, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut names = Vec::new();
    for entry in Dir::new(openat(directory, c".", flags, Mode::empty())?)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(name.to_vec());
        }
        if names.len() == MOST_NAMES {
            break;
        }
    }
    Ok(names)
}

/// Returns the number of the parent of the process that has this directory.
fn parent_of(process: &OwnedFd) -> Result<u32, Errno> {
    let mut text = [0u8; 512];
    let file = openat(process, c"stat", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let length = rustix::io::read(&file, &mut text[..])?;
    let text = text.get(..length).unwrap_or_default();
    // The name stands in parentheses, and may hold some itself.
    let end = text.iter().rposition(|byte| *byte == b')').ok_or(Errno::SRCH)?;
    let rest = text.get(end + 1..).and_then(|rest| str::from_utf8(rest).ok()).ok_or(Errno::SRCH)?;
    rest.split_ascii_whitespace().nth(1).and_then(|parent| parent.parse().ok()).ok_or(Errno::SRCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(path: &str) -> Vec<Component> {
        path.split('/').map(|name| name.as_bytes().to_vec()).collect()
    }

    #[test]
    fn links_to_what_is_open_are_those_of_processes_and_threads() {
        for path in ["1/exe", "1/cwd", "1/fd/3", "1/task/2/root", "1/task/2/fd/0", "1/ns/mnt"] {
            assert!(is_open(Tree::Processes, &names(path)), "{path}");
            assert!(!is_open(Tree::Kernel, &names(path)), "{path}");
        }
        for path in ["self", "mounts", "1/status", "1/task/2/status", "1/fdinfo/3", "sys/fd/3", "x/exe"] {
            assert!(!is_open(Tree::Processes, &names(path)), "{path}");
        }
    }

    #[test]
    fn what_docker_hides_is_hidden() {
        for path in ["kcore", "keys", "timer_list", "sched_debug", "acpi", "scsi", "interrupts"] {
            assert!(is_masked(Tree::Processes, &names(path)), "{path}");
        }
        for path in ["firmware", "devices/virtual/powercap"] {
            assert!(is_masked(Tree::Kernel, &names(path)), "{path}");
        }
        assert!(!is_masked(Tree::Processes, &names("cpuinfo")) && !is_masked(Tree::Kernel, &names("kcore")));
        assert!(is_masked(Tree::Processes, &names("1/mountstats")));
    }

    #[test]
    fn numbers_of_processes_are_as_the_kernel_writes_them() {
        assert_eq!(number(b"17"), Some(17));
        for name in ["", "0", "01", "-1", "self", "1x"] {
            assert_eq!(number(name.as_bytes()), None, "{name}");
        }
    }

    #[test]
    fn the_parent_of_a_process_is_read_whatever_its_name() {
        let own = openat(CWD, "/proc/self", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
        assert_eq!(parent_of(&own), Ok(std::os::unix::process::parent_id()));
    }
}
