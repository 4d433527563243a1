//! The operations, done one after the other by the first process of the sandbox. Nothing here allocates.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, PROC_SUPER_MAGIC, ResolveFlags, Uid, XattrFlags, chmodat, chownat,
    fchmod, fchown, fsetxattr, fstat, fstatfs, getxattr, makedev, mkdirat, mknodat, openat, readlinkat_raw, setxattr,
    symlinkat, unlinkat,
};
use rustix::io::{Errno, write};
use rustix::mount::{MountAttrFlags, MountFlags, fsconfig_set_flag, fsconfig_set_string, mount};

use super::emulator::register;
use super::mounting::{Link, attach, copy, make, open_new};
use super::operation::{CLOSED, Known, NODES, Operation};
use super::place::{Made, PlaceKind, Stubs, find_or_make};
use super::report::send_provided;
use super::system::{open_within, set_mount};
use crate::layer::{KEPT_LENGTH, Kept, OWNER, has_one_id};
use crate::tree::{Identity, NOBODY};

/// In bytes: the most that mount(2) takes.
const OPTIONS: usize = 4096;

/// What the operations have made so far.
pub(super) struct Making<'a> {
    root: Option<OwnedFd>,
    /// The upper directory itself, which the root is mounted over.
    upper: Option<OwnedFd>,
    /// A place for mounts that are to be out of sight.
    work: Option<OwnedFd>,
    /// `/proc`, `/dev` and `/sys`.
    known: [Option<OwnedFd>; 3],
    /// Has room for all lower directories.
    lowers: &'a mut Vec<OwnedFd>,
    stubs: &'a mut Stubs,
    report: BorrowedFd<'a>,
}

impl<'a> Making<'a> {
    /// Returns a root that is to be made. `lowers` is empty and has room for all lower directories.
    pub(super) fn new(lowers: &'a mut Vec<OwnedFd>, stubs: &'a mut Stubs, report: BorrowedFd<'a>) -> Self {
        Making { root: None, upper: None, work: None, known: [None, None, None], lowers, stubs, report }
    }

    /// Returns the root, once it is made.
    pub(super) fn root(&self) -> Result<BorrowedFd<'_>, Errno> {
        self.root.as_ref().map(AsFd::as_fd).ok_or(Errno::BADF)
    }

    fn known(&self, known: Known) -> Result<BorrowedFd<'_>, Errno> {
        self.known[known as usize].as_ref().map(AsFd::as_fd).ok_or(Errno::BADF)
    }

    /// Does one operation.
    pub(super) fn run(&mut self, operation: &Operation) -> Result<(), Errno> {
        match operation {
            Operation::Emulate { text, ready, .. } => register(text, ready.as_fd()),
            Operation::Root { lowers, upper, work, attributes } => {
                let upper = open_directory(upper)?;
                let work = open_directory(work)?;
                let root = match lowers.as_slice() {
                    [] => alone(upper.as_fd(), *attributes)?,
                    lowers => self.stack(lowers, upper.as_fd(), work.as_fd(), *attributes)?,
                };
                self.lowers.clear();
                self.stubs.begin(root.as_fd())?;
                (self.root, self.upper, self.work) = (Some(root), Some(upper), Some(work));
                Ok(())
            }
            Operation::Provide { directory, name, content } => self.provide(directory, name, content),
            Operation::Mount { filesystem, options, attributes, target, name } => {
                let mount = match new_mount(filesystem, options, *attributes) {
                    // Who does not own the network makes no new one, and takes that of the machine.
                    Err(Errno::PERM) if *filesystem == c"sysfs" => machine_tree(c"/sys", *attributes)?,
                    made => made?,
                };
                match name {
                    Some(known) => self.mount_known(mount, target, *known),
                    None => attach(mount.as_fd(), self.place(target, PlaceKind::Directory)?.as_fd()),
                }
            }
            Operation::Share { path, attributes, name } => {
                self.mount_known(machine_tree(path, *attributes)?, path, *name)
            }
            Operation::Devices { attributes } => self.devices(*attributes),
            Operation::Link { name, target } => symlinkat(*target, self.known(Known::Devices)?, *name),
            Operation::Mask { within, path } => self.mask(*within, path),
            Operation::ReadOnly { within, path } => {
                let within = self.known(*within)?;
                let Some(place) = real(within, path)? else { return Ok(()) };
                let mount = copy(&place, c"")?;
                set_mount(&mount, MountAttrFlags::MOUNT_ATTR_RDONLY, true)?;
                attach(mount.as_fd(), place.as_fd())
            }
            Operation::Bind { tree, is_directory, attributes, target } => {
                set_mount(tree, *attributes, true)?;
                let kind = if *is_directory { PlaceKind::Directory } else { PlaceKind::File };
                attach(tree.as_fd(), self.place(target, kind)?.as_fd())
            }
            Operation::Discard { tree, attributes, target } => self.discard(tree, *attributes, target),
            Operation::File { content, mode, user, group, attributes, target } => {
                let file = self.new_file(content, Mode::from_bits_retain(*mode), (*user, *group), *attributes)?;
                set_mount(&file, *attributes, false)?;
                attach(file.as_fd(), self.place(target, PlaceKind::File)?.as_fd())
            }
            Operation::Directory { path, user, group } => {
                find_or_make(self.root()?, path, PlaceKind::Directory, Made::Kept(*user, *group)).map(|_| ())
            }
        }
    }

    fn mount_known(&mut self, mount: OwnedFd, target: &CStr, known: Known) -> Result<(), Errno> {
        // As with docker, an image has directories for what its commands had there.
        let kept = Made::Kept(Uid::ROOT, Gid::ROOT);
        let place = checked(find_or_make(self.root()?, target, PlaceKind::Directory, kept)?)?;
        attach(mount.as_fd(), place.as_fd())?;
        self.known[known as usize] = Some(mount);
        Ok(())
    }

    /// Returns a place in the root that something can be mounted at.
    fn place(&mut self, target: &CStr, kind: PlaceKind) -> Result<OwnedFd, Errno> {
        let root = self.root.as_ref().ok_or(Errno::BADF)?;
        checked(find_or_make(root.as_fd(), target, kind, Made::Stub(self.stubs))?)
    }

    /// Mounts an overlay over its upper directory.
    fn stack(
        &mut self,
        lowers: &[CString],
        upper: BorrowedFd<'_>,
        work: BorrowedFd<'_>,
        attributes: MountAttrFlags,
    ) -> Result<OwnedFd, Errno> {
        match self.overlay(lowers, upper, work, attributes) {
            Err(Errno::INVAL) => self.overlay_by_text(lowers, upper, work, attributes),
            made => {
                let made = made?;
                attach(made.as_fd(), upper)?;
                Ok(made)
            }
        }
    }

    fn overlay(
        &mut self,
        lowers: &[CString],
        upper: BorrowedFd<'_>,
        work: BorrowedFd<'_>,
        attributes: MountAttrFlags,
    ) -> Result<OwnedFd, Errno> {
        let new = open_new(c"overlay")?;
        for lower in lowers {
            let lower = open_directory(lower)?;
            fsconfig_set_string(&new, c"lowerdir+", Link::of(lower.as_fd()).path())?;
        }
        fsconfig_set_string(&new, c"upperdir", Link::of(upper).path())?;
        fsconfig_set_string(&new, c"workdir", Link::of(work).path())?;
        fsconfig_set_flag(&new, c"userxattr")?;
        // What is half written is thrown away with the whole of the upper directory.
        fsconfig_set_flag(&new, c"volatile")?;
        make(&new, attributes)
    }

    /// The same for kernels that take the options as one text.
    fn overlay_by_text(
        &mut self,
        lowers: &[std::ffi::CString],
        upper: BorrowedFd<'_>,
        work: BorrowedFd<'_>,
        attributes: MountAttrFlags,
    ) -> Result<OwnedFd, Errno> {
        let mut options = Text { bytes: [0; OPTIONS], length: 0 };
        options.add(b"userxattr,lowerdir=")?;
        for (index, lower) in lowers.iter().enumerate() {
            let lower = open_directory(lower)?;
            options.add(if index == 0 { b"" } else { b":" })?;
            options.add(Link::of(lower.as_fd()).path().to_bytes())?;
            if self.lowers.len() == self.lowers.capacity() {
                return Err(Errno::NOSPC);
            }
            self.lowers.push(lower);
        }
        options.add(b",upperdir=")?;
        options.add(Link::of(upper).path().to_bytes())?;
        options.add(b",workdir=")?;
        options.add(Link::of(work).path().to_bytes())?;
        let options = CStr::from_bytes_until_nul(&options.bytes).map_err(|_| Errno::NAMETOOLONG)?;
        let place = Link::of(upper);
        mount(c"overlay", place.path(), c"overlay", MountFlags::empty(), options)?;
        // The descriptor of the upper directory stands below the mount: what is at its path is the mount.
        let mut path = [0u8; libc::PATH_MAX as usize];
        let length = readlinkat_raw(CWD, place.path(), &mut path[..OPTIONS - 1])?;
        let path = path.get(..=length).and_then(|path| CStr::from_bytes_until_nul(path).ok());
        let root = open_directory(path.ok_or(Errno::NAMETOOLONG)?)?;
        set_mount(&root, attributes, false)?;
        Ok(root)
    }

    /// Writes a file in place of what is there, and tells its path and marks.
    fn provide(&mut self, directory: &CStr, name: &CStr, content: &[u8]) -> Result<(), Errno> {
        let parent = {
            let root = self.root.as_ref().ok_or(Errno::BADF)?;
            find_or_make(root.as_fd(), directory, PlaceKind::Directory, Made::Stub(self.stubs))?
        };
        match unlinkat(&parent, name, AtFlags::empty()) {
            Err(Errno::NOENT) => {}
            removed => removed?,
        }
        write_new(parent.as_fd(), name, content, Mode::from_bits_retain(0o644))?;
        let (mut above, mut below) = ([0u8; libc::PATH_MAX as usize], [0u8; libc::PATH_MAX as usize]);
        let above = readlinkat_raw(CWD, Link::of(self.root()?).path(), &mut above[..])?;
        let length = readlinkat_raw(CWD, Link::of(parent.as_fd()).path(), &mut below[..])?;
        // What is left of the directory's path behind that of the root, and the name.
        let mut path = Text { bytes: [0; OPTIONS], length: 0 };
        let rest = below.get(above..length).unwrap_or_default();
        path.add(rest.strip_prefix(b"/").unwrap_or(rest))?;
        path.add(if rest.is_empty() { b"" } else { b"/" })?;
        path.add(name.to_bytes())?;
        let path = CStr::from_bytes_until_nul(&path.bytes).map_err(|_| Errno::NAMETOOLONG)?;
        let upper = self.upper.as_ref().ok_or(Errno::BADF)?;
        let plain = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let file = open_within(upper, path, OFlags::PATH | OFlags::CLOEXEC, plain)?;
        send_provided(self.report, path.to_bytes(), &Identity::of(&fstat(&file)?))
    }

    fn devices(&mut self, attributes: MountAttrFlags) -> Result<(), Errno> {
        let devices = self.known(Known::Devices)?;
        let mut nodes: [Option<OwnedFd>; NODES.len()] = Default::default();
        let mut are_made = true;
        for ((name, major, minor), node) in NODES.iter().zip(&mut nodes) {
            let mode = Mode::from_bits_retain(0o666);
            *node = Some(match mknodat(devices, *name, FileType::CharacterDevice, mode, makedev(*major, *minor)) {
                Ok(()) => copy(devices, name)?,
                // Root of a user namespace makes none, and takes those of the machine.
                Err(Errno::PERM) => {
                    are_made = false;
                    mknodat(devices, *name, FileType::RegularFile, mode, 0)?;
                    let node = machine_node(name, makedev(*major, *minor))?;
                    // Whose owner is somebody there, a command could change its mode and its owner.
                    if fstat(&node)?.st_uid != NOBODY {
                        set_mount(&node, MountAttrFlags::MOUNT_ATTR_RDONLY, false)?;
                    }
                    node
                }
                Err(errno) => return Err(errno),
            });
        }
        if attributes.is_empty() && are_made {
            return Ok(());
        }
        // Root in the sandbox may make nodes of any device, but it can use those alone that are mounted here.
        set_mount(devices, attributes, false)?;
        for ((name, ..), node) in NODES.iter().zip(&nodes) {
            let Some(place) = real(devices, name)? else { return Err(Errno::NOENT) };
            attach(node.as_ref().ok_or(Errno::BADF)?.as_fd(), place.as_fd())?;
        }
        Ok(())
    }

    fn mask(&mut self, within: Known, path: &CStr) -> Result<(), Errno> {
        let Some(place) = real(self.known(within)?, path)? else { return Ok(()) };
        let mount = if FileType::from_raw_mode(fstat(&place)?.st_mode) == FileType::Directory {
            make(&open_new(c"tmpfs")?, CLOSED | MountAttrFlags::MOUNT_ATTR_RDONLY)?
        } else {
            copy(self.known(Known::Devices)?, c"null")?
        };
        attach(mount.as_fd(), place.as_fd())
    }

    /// Attaches a new file system in memory where nobody sees it: only of what is attached parts can be mounted.
    fn memory(&self, attributes: MountAttrFlags) -> Result<OwnedFd, Errno> {
        let new = open_new(c"tmpfs")?;
        // What is secret is not to be swapped out, where the kernel can see to it.
        let _ = fsconfig_set_flag(&new, c"noswap");
        let memory = make(&new, attributes)?;
        attach(memory.as_fd(), self.work.as_ref().ok_or(Errno::BADF)?.as_fd())?;
        Ok(memory)
    }

    /// Returns a mount, which is nowhere yet, of a file in memory that nothing else is in.
    fn new_file(
        &self,
        content: &[u8],
        mode: Mode,
        (user, group): (u32, u32),
        attributes: MountAttrFlags,
    ) -> Result<OwnedFd, Errno> {
        let memory = self.memory(attributes.difference(MountAttrFlags::MOUNT_ATTR_RDONLY))?;
        let file = write_new(memory.as_fd(), c"file", content, mode)?;
        if !has_one_id() {
            fchown(&file, Some(Uid::from_raw(user)), Some(Gid::from_raw(group)))?;
        } else if let Some((name, value)) = (Kept { user, group, device: None }).attribute(true) {
            fsetxattr(&file, name, &value, XattrFlags::empty())?;
        }
        fchmod(&file, mode)?;
        copy(&memory, c"file")
    }

    /// The directory itself is mounted first, for overlayfs takes only what is mounted in its namespace.
    fn discard(&mut self, tree: &OwnedFd, attributes: MountAttrFlags, target: &CStr) -> Result<(), Errno> {
        let place = self.place(target, PlaceKind::Directory)?;
        let memory = self.memory(CLOSED)?;
        let status = fstat(tree)?;
        for name in [c"upper", c"work"] {
            mkdirat(&memory, name, Mode::empty())?;
            chownat(
                &memory,
                name,
                Some(Uid::from_raw(status.st_uid)),
                Some(Gid::from_raw(status.st_gid)),
                AtFlags::empty(),
            )?;
            chmodat(&memory, name, Mode::from_raw_mode(status.st_mode), AtFlags::empty())?;
        }
        keep_owner(tree.as_fd(), memory.as_fd())?;
        attach(tree.as_fd(), place.as_fd())?;
        let new = open_new(c"overlay")?;
        fsconfig_set_string(&new, c"lowerdir", Link::of(tree.as_fd()).path())?;
        for (key, name) in [(c"upperdir", c"upper"), (c"workdir", c"work")] {
            let directory = openat(&memory, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
            fsconfig_set_string(&new, key, Link::of(directory.as_fd()).path())?;
        }
        fsconfig_set_flag(&new, c"userxattr")?;
        attach(make(&new, attributes)?.as_fd(), tree.as_fd())
    }
}

/// Keeps for the upper directory in `memory` the owner that is kept for `tree`, if one is.
fn keep_owner(tree: BorrowedFd<'_>, memory: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut value = [0; KEPT_LENGTH];
    if !has_one_id() || getxattr(Link::of(tree).path(), OWNER, &mut value[..]).is_err() {
        return Ok(());
    }
    let upper = openat(memory, c"upper", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    setxattr(Link::of(upper.as_fd()).path(), OWNER, &value, XattrFlags::empty())
}

/// A text that is put together without allocating; ends with a null byte.
struct Text {
    bytes: [u8; OPTIONS],
    length: usize,
}

impl Text {
    fn add(&mut self, part: &[u8]) -> Result<(), Errno> {
        let end = self.length + part.len();
        let place = self.bytes.get_mut(self.length..end).filter(|_| end < OPTIONS).ok_or(Errno::NAMETOOLONG)?;
        place.copy_from_slice(part);
        self.length = end;
        Ok(())
    }
}

/// Returns a place that is in no `/proc`: what is mounted over a part of it deceives programs about themselves, and this one
/// about what it writes to.
fn checked(place: OwnedFd) -> Result<OwnedFd, Errno> {
    if fstatfs(&place)?.f_type == PROC_SUPER_MAGIC { Err(Errno::PERM) } else { Ok(place) }
}

/// Opens what is at `path` in a file system that the kernel makes: a link is not looked at. Whoever has started this
/// program may have mounted something there.
fn real(within: BorrowedFd<'_>, path: &CStr) -> Result<Option<OwnedFd>, Errno> {
    let plain = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    match open_within(within, path, OFlags::PATH | OFlags::CLOEXEC, plain) {
        Ok(place) => Ok(Some(place)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Mounts a directory over itself.
fn alone(root: BorrowedFd<'_>, attributes: MountAttrFlags) -> Result<OwnedFd, Errno> {
    let mount = copy(root, c"")?;
    set_mount(&mount, attributes, true)?;
    attach(mount.as_fd(), root)?;
    Ok(mount)
}

fn open_directory(path: &CStr) -> Result<OwnedFd, Errno> {
    openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

fn write_new(directory: BorrowedFd<'_>, name: &CStr, content: &[u8], mode: Mode) -> Result<OwnedFd, Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(directory, name, flags, mode)?;
    let mut rest = content;
    while !rest.is_empty() {
        match write(&file, rest) {
            Err(Errno::INTR) => {}
            written => rest = rest.get(written?..).unwrap_or_default(),
        }
    }
    Ok(file)
}

fn new_mount(filesystem: &CStr, options: &[(&CStr, CString)], attributes: MountAttrFlags) -> Result<OwnedFd, Errno> {
    let new = open_new(filesystem)?;
    for (key, value) in options {
        fsconfig_set_string(&new, *key, value.as_c_str())?;
    }
    make(&new, attributes)
}

/// Returns a mount, which is nowhere yet, of a directory of the machine with all that is mounted there.
fn machine_tree(path: &CStr, attributes: MountAttrFlags) -> Result<OwnedFd, Errno> {
    let tree = copy(openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?, c"")?;
    set_mount(&tree, attributes, true)?;
    Ok(tree)
}

/// Returns a mount, which is nowhere yet, of the node `name` of the machine, which has to be the device that is meant.
fn machine_node(name: &CStr, device: u64) -> Result<OwnedFd, Errno> {
    let directory = openat(CWD, c"/dev", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let node = copy(&directory, name)?;
    let status = fstat(&node)?;
    let is_it = FileType::from_raw_mode(status.st_mode) == FileType::CharacterDevice && status.st_rdev == device;
    if is_it { Ok(node) } else { Err(Errno::NODEV) }
}
