//! The answers about what is in `/proc` and `/sys`.
//!
//! No directory of the machine's own is handed over, and no file but those of processes that the command has started, and the
//! devices that are everybody's where none can be made. What
//! lies in the root is opened there, as the user of the process, and what a process has open itself is opened once more.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    Access, AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, accessat, fstat, fstatfs, openat, readlinkat,
};
use rustix::io::Errno;

use super::caller::Caller;
use super::content::{Snapshots, is_called, is_live};
use super::machine::{Component, Original, ServedKind, ThisMachine, Tree};
use super::request::{PathRequest, Purpose, StatusForm};
use super::skeleton::{Skeleton, Stands};
use super::walk::{FoundPath, PathEnd};
use crate::run::linux::supervisor::listener::Answer;
use crate::run::linux::supervisor::stat64::packed;
use crate::run::linux::supervisor::target::own_link;
use crate::run::linux::supervisor::way::PROCESSES;
use crate::run::linux::system::{bytes_of, extended_status, file_system, open_within, status};

/// A call about something in `/proc` or `/sys`.
pub(super) struct Answering<'a> {
    pub(super) machine: &'a ThisMachine,
    pub(super) skeleton: &'a mut Skeleton,
    pub(super) contents: &'a mut Snapshots,
    pub(super) root: BorrowedFd<'a>,
    pub(super) caller: &'a Caller,
    /// Whether the call still waits.
    pub(super) is_waiting: &'a dyn Fn() -> bool,
}

type Answered = Result<Answer, Errno>;

/// What an open of something that is there may ask for.
const KEPT: OFlags = OFlags::RWMODE
    .union(OFlags::APPEND)
    .union(OFlags::TRUNC)
    .union(OFlags::DIRECTORY)
    .union(OFlags::NONBLOCK)
    .union(OFlags::PATH);

const OPEN: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

impl Answering<'_> {
    pub(super) fn answer(&mut self, request: &PathRequest, found: FoundPath) -> Answered {
        match request.wanted {
            Purpose::Open { flags, resolve } => self.open(flags, resolve, request.follows, found),
            Purpose::Enter => {
                // The kernel goes there itself, in the root.
                self.lay(&found)?;
                Ok(Answer::Continue)
            }
            Purpose::Status { form, buffer } => self.status(form, buffer, request.follows, &found.end),
            Purpose::Access { mode } => self.access(mode, &found.end),
            Purpose::Text { buffer } => self.text(buffer, &found.end),
            Purpose::FileSystem => {
                let object = self.object(&found.end, true)?;
                self.tell(1, bytes_of(&file_system(object.as_fd())?))
            }
        }
    }

    /// Puts all that lies on the way into the stand-ins.
    fn lay(&mut self, found: &FoundPath) -> Result<(), Errno> {
        found.passed.iter().try_for_each(|(tree, names, stands)| self.skeleton.put(*tree, names, stands))
    }

    fn tell(&self, buffer: usize, bytes: &[u8]) -> Answered {
        self.check()?;
        self.caller.write(self.caller.target.argument(buffer), bytes)?;
        Ok(Answer::Done(0))
    }

    /// Fails unless the call still waits, and all that was read was its process's own.
    fn check(&self) -> Result<(), Errno> {
        if (self.is_waiting)() { Ok(()) } else { Err(Errno::SRCH) }
    }

    fn open(&mut self, flags: OFlags, resolve: ResolveFlags, follows: bool, found: FoundPath) -> Answered {
        let is_by_open = match &found.end {
            PathEnd::Original(object) => object.kind == ServedKind::Open && follows,
            PathEnd::InRoot(_) => true,
            PathEnd::Device(_) => false,
        };
        if resolve.contains(ResolveFlags::NO_SYMLINKS) && found.has_links
            || resolve.contains(ResolveFlags::NO_MAGICLINKS) && is_by_open
        {
            return Err(Errno::LOOP);
        }
        let closes = flags.contains(OFlags::CLOEXEC);
        let opened = match &found.end {
            PathEnd::InRoot(names) => self.open_in_root(names, flags)?,
            PathEnd::Device(_) if flags.contains(OFlags::DIRECTORY) => return Err(Errno::NOTDIR),
            PathEnd::Device(name) => self.open_device(name, flags & KEPT)?,
            PathEnd::Original(object) => match object.kind {
                ServedKind::Open if follows => self.open_again(object, flags)?,
                ServedKind::Directory if flags.contains(OFlags::PATH) => {
                    self.lay(&found)?;
                    self.skeleton.open(object.tree, &object.names, OPEN | OFlags::DIRECTORY)?
                }
                ServedKind::Directory => {
                    if flags.intersects(OFlags::RWMODE | OFlags::CREATE) {
                        return Err(Errno::ISDIR);
                    }
                    self.lay(&found)?;
                    self.directory(object)?
                }
                _ if flags.contains(OFlags::DIRECTORY) => return Err(Errno::NOTDIR),
                ServedKind::File if !flags.contains(OFlags::PATH) => self.open_file(object, flags)?,
                _ if flags.contains(OFlags::PATH) => {
                    self.lay(&found)?;
                    self.skeleton.open(object.tree, &object.names, OPEN | OFlags::NOFOLLOW)?
                }
                _ => return Err(Errno::LOOP),
            },
        };
        self.check()?;
        Ok(Answer::Opened(opened, closes))
    }

    /// Opens a directory as one that holds the same names.
    fn directory(&mut self, directory: &Original) -> Result<OwnedFd, Errno> {
        let mut entries = Vec::new();
        for name in self.machine.entries(self.caller, directory)? {
            // What has gone meanwhile, or is hidden, is not there.
            let Ok(object) = self.machine.child(self.caller, directory, &name) else { continue };
            let stands = match object.kind {
                ServedKind::Directory => Stands::Directory,
                ServedKind::File => Stands::File,
                _ => Stands::Link(self.machine.text(self.caller, &object).unwrap_or_else(|_| b"?".to_vec())),
            };
            entries.push((name, stands));
        }
        self.skeleton.fill(directory.tree, &directory.names, &entries)?;
        self.skeleton.open(directory.tree, &directory.names, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    fn open_file(&mut self, file: &Original, flags: OFlags) -> Result<OwnedFd, Errno> {
        if flags.intersects(OFlags::RWMODE | OFlags::TRUNC) {
            self.may_write(file)?;
            return self.machine.reopen(self.caller, file.object.as_fd(), flags & KEPT);
        }
        if is_called(file, b"mem") {
            return Err(Errno::ACCESS);
        }
        match is_live(file) {
            true => self.machine.reopen(self.caller, file.object.as_fd(), flags & KEPT),
            false => self.contents.of(self.machine, self.caller, file),
        }
    }

    /// Fails but for what a process says of itself, where the kernel goes by who writes.
    fn may_write(&self, file: &Original) -> Result<(), Errno> {
        match file.in_process() {
            Some(_) if is_called(file, b"comm") || is_called(file, b"oom_score_adj") => Ok(()),
            Some(_) => Err(Errno::ACCESS),
            None => Err(Errno::ROFS),
        }
    }

    /// Opens what a process has open, as an open of its link in `/proc` does.
    fn open_again(&self, link: &Original, flags: OFlags) -> Result<OwnedFd, Errno> {
        let object = self.machine.follow(self.caller, link)?;
        let is_written = flags.intersects(OFlags::RWMODE | OFlags::TRUNC);
        let status = fstat(&object)?;
        let may = match FileType::from_raw_mode(status.st_mode) {
            // Nobody has a directory open that is elsewhere.
            FileType::Directory => self.machine.place(object.as_fd())?.is_some(),
            FileType::RegularFile if fstatfs(&object)?.f_type as u64 == PROCESSES => !is_written,
            // What was removed lies nowhere.
            FileType::RegularFile => status.st_nlink == 0 || self.machine.place(object.as_fd())?.is_some(),
            FileType::Fifo | FileType::CharacterDevice => true,
            FileType::Socket => return Err(Errno::NXIO),
            _ => false,
        };
        match may {
            true => self.machine.reopen(self.caller, object.as_fd(), flags & KEPT),
            false => Err(Errno::ACCESS),
        }
    }

    /// Opens what is in the root; nothing is made there.
    fn open_in_root(&self, names: &[Component], flags: OFlags) -> Result<OwnedFd, Errno> {
        let path = CString::new([b"/", &names.join(&b'/')[..]].concat()).map_err(|_| Errno::INVAL)?;
        let within = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
        let find = || open_within(self.root, &path, OPEN | OFlags::NOFOLLOW, within);
        let object = match self.caller.act(find) {
            Err(Errno::NOENT) if flags.contains(OFlags::CREATE) => return Err(Errno::ACCESS),
            found => found?,
        };
        self.machine.reopen(self.caller, object.as_fd(), flags & KEPT)
    }

    /// Opens a device of the machine's own.
    fn open_device(&self, name: &CStr, flags: OFlags) -> Result<OwnedFd, Errno> {
        let path = format!("/dev/{}", name.to_string_lossy());
        let flags = flags | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let device = self.caller.act(|| openat(CWD, path, flags, Mode::empty()))?;
        match FileType::from_raw_mode(fstat(&device)?.st_mode) {
            FileType::CharacterDevice => Ok(device),
            _ => Err(Errno::NODEV),
        }
    }

    /// Opens what was found, without the right to read it.
    fn object(&self, end: &PathEnd, follows: bool) -> Result<OwnedFd, Errno> {
        match end {
            PathEnd::InRoot(names) => self.open_in_root(names, OFlags::PATH),
            PathEnd::Device(name) => self.open_device(name, OFlags::PATH),
            PathEnd::Original(object) if object.kind == ServedKind::Open && follows => {
                self.machine.follow(self.caller, object)
            }
            PathEnd::Original(object) => object.object.try_clone().map_err(|_| Errno::MFILE),
        }
    }

    fn status(&mut self, form: StatusForm, buffer: usize, follows: bool, end: &PathEnd) -> Answered {
        let object = self.object(end, follows)?;
        // The numbers of what an open will hand over.
        let marks = match end {
            PathEnd::Original(object) if object.kind == ServedKind::Directory => {
                let names = &object.names;
                for length in 1..=names.len() {
                    self.skeleton.put(object.tree, &names[..length], &Stands::Directory)?;
                }
                let directory = self.skeleton.open(object.tree, names, OPEN | OFlags::DIRECTORY)?;
                let status = fstat(&directory)?;
                Some((status.st_dev, status.st_ino))
            }
            PathEnd::Original(object) if object.kind == ServedKind::File && !is_live(object) => {
                Some(self.contents.marks(object)?)
            }
            _ => None,
        };
        let told = match form {
            StatusForm::Plain if !self.caller.target.is_forerunner => {
                let mut told = status(object.as_fd())?;
                if let Some((device, inode)) = marks {
                    (told.st_dev, told.st_ino) = (device, inode);
                }
                bytes_of(&told).to_vec()
            }
            form => {
                let mask = if let StatusForm::Extended(mask) = form { mask } else { libc::STATX_BASIC_STATS };
                let mut told = extended_status(object.as_fd(), mask)?;
                if let Some((device, inode)) = marks {
                    (told.stx_dev_major, told.stx_dev_minor) = (rustix::fs::major(device), rustix::fs::minor(device));
                    told.stx_ino = inode;
                }
                if let StatusForm::Extended(_) = form { bytes_of(&told).to_vec() } else { packed(&told) }
            }
        };
        self.tell(buffer, &told)
    }

    fn access(&self, mode: u32, end: &PathEnd) -> Answered {
        let mut mode = Access::from_bits_retain(mode);
        if let PathEnd::Original(object) = end
            && mode.contains(Access::WRITE_OK)
            && matches!(object.kind, ServedKind::File | ServedKind::Directory)
        {
            if object.kind == ServedKind::Directory {
                return Err(if object.tree == Tree::Kernel { Errno::ROFS } else { Errno::ACCESS });
            }
            self.may_write(object)?;
        }
        if matches!(end, PathEnd::Original(Original { kind: ServedKind::Directory, .. })) {
            mode -= Access::WRITE_OK;
        }
        let object = self.object(end, true)?;
        let link = own_link(object.as_fd());
        let processes = self.machine.processes();
        self.caller.act(|| accessat(processes, link.as_c_str(), mode, AtFlags::EACCESS))?;
        Ok(Answer::Done(0))
    }

    fn text(&self, buffer: usize, end: &PathEnd) -> Answered {
        let text = match end {
            PathEnd::Original(object) => self.machine.text(self.caller, object)?,
            PathEnd::Device(_) => return Err(Errno::INVAL),
            PathEnd::InRoot(_) => {
                let object = self.object(end, false)?;
                readlinkat(&object, c"", Vec::new())?.into_bytes()
            }
        };
        let room = self.caller.target.argument(buffer + 1) as usize;
        if room == 0 {
            return Err(Errno::INVAL);
        }
        let told = &text[..text.len().min(room)];
        self.tell(buffer, told)?;
        Ok(Answer::Done(told.len() as i64))
    }
}
