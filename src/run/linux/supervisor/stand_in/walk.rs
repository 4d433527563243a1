//! Where a path leads, if something on it stands in for `/proc` or `/sys`.
//!
//! The kernel is asked first, for nearly all paths lead elsewhere. What it does not find, or finds to be a stand-in, is gone
//! along name by name: in the root as the root has it, and in a stand-in as the machine has it.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat, readlinkat};
use rustix::io::Errno;

use super::caller::Caller;
use super::machine::{Component, Original, ServedKind, ThisMachine, Tree};
use super::skeleton::{Skeleton, Stands};
use crate::run::linux::supervisor::way::{MOST_LINKS, names};
use crate::run::linux::system::open_within;

/// As many names as a path can have, with those of the links on it.
const MOST_NAMES: usize = 1 << 14;

/// What is at the end of a path.
#[derive(Debug)]
pub(super) struct FoundPath {
    pub(super) end: PathEnd,
    /// What of the stand-ins lies on the way, so that the kernel can be led along it.
    pub(super) passed: Vec<(Tree, Vec<Component>, Stands)>,
    /// Whether a link was followed.
    pub(super) has_links: bool,
}

#[derive(Debug)]
pub(super) enum PathEnd {
    /// Something in `/proc` or `/sys`; a link is meant itself, unless it is an open one and links are followed.
    Original(Original),
    /// Something in the root, at a path without links, that a link of `/proc` has led to.
    InRoot(Vec<Component>),
    /// A device of `/dev`.
    Device(&'static CStr),
}

pub(super) struct PathWalk<'a> {
    pub(super) machine: &'a ThisMachine,
    pub(super) skeleton: &'a Skeleton,
    pub(super) root: BorrowedFd<'a>,
    pub(super) caller: &'a Caller,
}

enum Reached {
    InRoot(Vec<Component>, OwnedFd),
    Original(Original),
    Device(&'static CStr),
}

const OPEN: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const WITHIN: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);

impl PathWalk<'_> {
    /// Returns what is at `path`, which is absolute; none if that is for the kernel to say.
    pub(super) fn find(&self, path: &[u8], follows: bool) -> Result<Option<FoundPath>, Errno> {
        match self.is_elsewhere(path, follows) {
            true => Ok(None),
            false => self.walk(path, follows || path.ends_with(b"/")),
        }
    }

    /// Whether the kernel says at once that the path leads elsewhere.
    fn is_elsewhere(&self, path: &[u8], follows: bool) -> bool {
        let Ok(text) = CString::new(path) else { return true };
        let flags = OFlags::PATH | OFlags::CLOEXEC | if follows { OFlags::empty() } else { OFlags::NOFOLLOW };
        match open_within(self.root, &text, flags, WITHIN) {
            Ok(object) => return !self.skeleton.has(&object),
            Err(Errno::NOENT) => {}
            Err(Errno::NOTDIR | Errno::LOOP) => return false,
            Err(_) => return true,
        }
        // Most that is missing is missing in a directory that is there.
        let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
        let Some(slash) = path.get(..end).and_then(|path| path.iter().rposition(|byte| *byte == b'/')) else {
            return true;
        };
        let (above, name) = (CString::new(&path[..=slash]), CString::new(&path[slash + 1..end]));
        let (Ok(above), Ok(name)) = (above, name) else { return true };
        let Ok(directory) = open_within(self.root, &above, OFlags::PATH | OFlags::CLOEXEC, WITHIN) else {
            return false;
        };
        !self.skeleton.has(&directory) && readlinkat(&directory, name.as_c_str(), Vec::new()).is_err()
    }

    fn walk(&self, path: &[u8], follows: bool) -> Result<Option<FoundPath>, Errno> {
        let (mut rest, mut at) = (Vec::new(), self.start()?);
        let (mut links, mut passed) = (0, Vec::new());
        put_in_front(&mut rest, path)?;
        while let Some(name) = rest.pop() {
            let is_last = rest.is_empty();
            match name.as_slice() {
                b"." => continue,
                b".." => {
                    at = self.above(at)?;
                    continue;
                }
                _ => {}
            }
            let (next, link) = match &at {
                Reached::InRoot(names, directory) => match self.in_root(names, directory, &name) {
                    Ok(next) => next,
                    // It is for the kernel to say, unless it has been led here.
                    Err(_) if passed.is_empty() => return Ok(None),
                    Err(Errno::NOENT) if is_last => {
                        (Reached::InRoot(with(names, &name), directory.try_clone().map_err(|_| Errno::MFILE)?), None)
                    }
                    Err(errno) => return Err(errno),
                },
                Reached::Device(_) => return Err(Errno::NOTDIR),
                Reached::Original(directory) => {
                    let object = self.machine.child(self.caller, directory, &name)?;
                    let (stands, link) = match object.kind {
                        ServedKind::Directory => (Stands::Directory, None),
                        ServedKind::File => (Stands::File, None),
                        _ => {
                            let text = self.machine.text(self.caller, &object)?;
                            (Stands::Link(text.clone()), Some(text))
                        }
                    };
                    passed.push((object.tree, object.names.clone(), stands));
                    (Reached::Original(object), link)
                }
            };
            let Some(text) = link.filter(|_| !is_last || follows) else {
                at = next;
                continue;
            };
            links += 1;
            if links > MOST_LINKS {
                return Err(Errno::LOOP);
            }
            if let Reached::Original(Original { kind: ServedKind::Open, names, .. }) = &next {
                let is_directory = names.last().is_some_and(|name| name == b"cwd" || name == b"root");
                if is_last && !is_directory {
                    at = next;
                    break;
                }
                // What has no path in the root is not to be gone through.
                if !text.starts_with(b"/") || self.is_outward(&next)? {
                    return Err(Errno::ACCESS);
                }
            }
            if text.starts_with(b"/") {
                at = self.start()?;
            }
            put_in_front(&mut rest, &text)?;
        }
        let is_file = match &at {
            Reached::Original(object) => object.kind == ServedKind::File,
            Reached::Device(_) => true,
            Reached::InRoot(..) => false,
        };
        if is_file && path.ends_with(b"/") {
            return Err(Errno::NOTDIR);
        }
        let end = match at {
            Reached::Original(object) => PathEnd::Original(object),
            Reached::Device(name) => PathEnd::Device(name),
            Reached::InRoot(..) if passed.is_empty() => return Ok(None),
            Reached::InRoot(names, _) => PathEnd::InRoot(names),
        };
        Ok(Some(FoundPath { end, passed, has_links: links > 0 }))
    }

    /// Whether an open link leads out of the root.
    fn is_outward(&self, link: &Reached) -> Result<bool, Errno> {
        let Reached::Original(link) = link else { return Ok(false) };
        let object = self.machine.follow(self.caller, link)?;
        Ok(self.machine.place(object.as_fd())?.is_none())
    }

    fn start(&self) -> Result<Reached, Errno> {
        Ok(Reached::InRoot(Vec::new(), openat(self.root, c".", OPEN, Mode::empty())?))
    }

    /// Returns the directory above; above the root is itself.
    fn above(&self, at: Reached) -> Result<Reached, Errno> {
        match at {
            Reached::Original(Original { names, tree, .. }) if names.len() > 1 => {
                let mut object = self.machine.top(tree);
                for name in &names[..names.len() - 1] {
                    object = self.machine.child(self.caller, &object, name)?;
                }
                Ok(Reached::Original(object))
            }
            Reached::Original(Original { names, tree, .. }) if names.len() == 1 => {
                Ok(Reached::Original(self.machine.top(tree)))
            }
            Reached::Original(_) => self.start(),
            Reached::Device(_) => Err(Errno::NOTDIR),
            Reached::InRoot(mut names, _) => {
                names.pop();
                // Not by the directory itself, which a command may move meanwhile.
                let path = CString::new([b"/", &names.join(&b'/')[..]].concat()).map_err(|_| Errno::INVAL)?;
                let directory = open_within(self.root, &path, OPEN, WITHIN)?;
                Ok(Reached::InRoot(names, directory))
            }
        }
    }

    /// Returns what is called `name` in a directory of the root, and where that leads if it is a link.
    fn in_root(
        &self,
        names: &[Component],
        directory: &OwnedFd,
        name: &[u8],
    ) -> Result<(Reached, Option<Component>), Errno> {
        let text = CString::new(name).map_err(|_| Errno::INVAL)?;
        let object = openat(directory, text.as_c_str(), OPEN, Mode::empty())?;
        if FileType::from_raw_mode(fstat(&object)?.st_mode) == FileType::Symlink {
            let link = readlinkat(&object, c"", Vec::new())?.into_bytes();
            return Ok((Reached::InRoot(with(names, name), object), Some(link)));
        }
        if let Some(name) = self.skeleton.device(&object) {
            return Ok((Reached::Device(name), None));
        }
        if let Some(tree) = self.skeleton.top(&object) {
            return Ok((Reached::Original(self.machine.top(tree)), None));
        }
        Ok((Reached::InRoot(with(names, name), object), None))
    }
}

fn with(names: &[Component], name: &[u8]) -> Vec<Component> {
    [names, &[name.to_vec()]].concat()
}

/// Puts the names of `path` before what is left of one; `rest` has its next name at the end.
fn put_in_front(rest: &mut Vec<Component>, path: &[u8]) -> Result<(), Errno> {
    rest.extend(names(path));
    if rest.len() > MOST_NAMES { Err(Errno::NAMETOOLONG) } else { Ok(()) }
}
