//! Whether the files of a checkout are those of its commit, as `git status --untracked-files=no` would tell, but without
//! its running a filter or anything else that a configuration names.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, openat, readlinkat, statat};
use rustix::io::Errno;

use super::blob::GitBlob;
use super::index::{Index, IndexEntry, IndexTime, Status, is_tree, low};
use super::object::Objects;
use super::object_id::ObjectId;
use super::repository::GitRepository;
use super::tree::GitTree;
use crate::error::{Error, Result};
use crate::kernel;
use crate::source::git::config::Config;
use crate::source::git::regular;
use crate::tree::IdMap;

/// The depth up to which repositories may be checked out in one another.
const SUBMODULE_DEPTH: usize = 32;

const GITMODULES_LIMIT: u64 = 1 << 20;

/// Returns whether something differs from the commit whose tree is `committed`: in the index, on disk, or in a
/// submodule. What git does not track is not a difference. Fails if any of these cannot be read.
pub(super) fn is_dirty(repository: &GitRepository, committed: ObjectId) -> Result<bool> {
    is_dirty_at(repository, committed, 0)
}

fn is_dirty_at(repository: &GitRepository, committed: ObjectId, depth: usize) -> Result<bool> {
    let GitRepository { work_tree, directory, format, .. } = repository;
    let mut tree = GitTree::new(*format);
    let Some(index) = Index::read(directory, *format)? else { return Ok(tree.finish() != committed) };
    let mut files = TrackedFiles {
        repository,
        ids: IdMap::of_this_process().ok(),
        written: index.modified,
        open: vec![open_root(work_tree)?],
        names: Vec::new(),
    };
    let (mut is_dirty, mut submodules) = (false, Vec::new());
    index.visit(|entry| {
        is_dirty = entry.is_unmerged || entry.is_intended || files.is_changed(entry)?;
        if is_submodule(entry.mode) && !entry.is_skipped {
            submodules.push(entry.clone());
        }
        tree.add(entry);
        Ok(!is_dirty)
    })?;
    if is_dirty || tree.finish() != committed {
        return Ok(true);
    }
    if submodules.is_empty() {
        return Ok(false);
    }
    let ignored = Ignored::of(repository)?;
    for submodule in submodules {
        if is_changed_below(repository, &submodule, &ignored, depth)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns whether the submodule has another commit checked out, or is itself dirty. One that is not checked out is
/// not.
fn is_changed_below(
    repository: &GitRepository,
    submodule: &IndexEntry,
    ignored: &Ignored<'_>,
    depth: usize,
) -> Result<bool> {
    let place = repository.work_tree.join(std::ffi::OsStr::from_bytes(&submodule.path));
    let how_much = ignored.how_much(&submodule.path);
    if how_much == "all" {
        return Ok(false);
    }
    let Some(inner) = GitRepository::of(&place)? else { return Ok(false) };
    if depth == SUBMODULE_DEPTH {
        return Err(Error::input(format!("{}: submodules are nested too deeply", place.display())));
    }
    let Some((head, _)) = inner.head()? else { return Ok(true) };
    if head != submodule.id {
        return Ok(true);
    }
    Ok(how_much != "dirty" && is_dirty_at(&inner, Objects::of(&inner)?.commit(head)?.tree, depth + 1)?)
}

/// The settings that say which changes in submodules do not belong to their checkout (gitmodules(5),
/// "submodule.<name>.ignore").
struct Ignored<'r> {
    own: &'r Config,
    shared: Config,
}

impl<'r> Ignored<'r> {
    fn of(repository: &'r GitRepository) -> Result<Self> {
        let shared = regular::read(&repository.work_tree.join(".gitmodules"), GITMODULES_LIMIT)?.unwrap_or_default();
        Ok(Ignored { own: &repository.config, shared: Config::parse(&shared) })
    }

    fn how_much(&self, path: &[u8]) -> &str {
        let mut paths = self.shared.of_each("submodule", "path");
        let name = paths.find(|(_, of)| of.as_bytes() == path).map(|(name, _)| format!("submodule.{name}.ignore"));
        let set = name.and_then(|name| self.own.get(&name).or(self.shared.get(&name)));
        set.or(self.own.get("diff.ignoresubmodules")).unwrap_or_default()
    }
}

/// The files on disk, of which the directories on the way to the last one are open.
struct TrackedFiles<'r> {
    repository: &'r GitRepository,
    /// Git has noted owners as they are outside of a user namespace.
    ids: Option<IdMap>,
    /// The time at which the index was written.
    written: IndexTime,
    open: Vec<OwnedFd>,
    names: Vec<Vec<u8>>,
}

impl TrackedFiles<'_> {
    fn is_changed(&mut self, entry: &IndexEntry) -> Result<bool> {
        if entry.is_assumed || entry.is_skipped || is_tree(entry.mode) {
            return Ok(false);
        }
        let path = self.repository.work_tree.join(std::ffi::OsStr::from_bytes(&entry.path));
        let failed = |errno: Errno| Error::io("read", &path, errno.into());
        let mut parts: Vec<&[u8]> = entry.path.split(|byte| *byte == b'/').collect();
        let name = parts.pop().unwrap_or_default();
        if !self.go_to(&parts).map_err(failed)? {
            return Ok(true);
        }
        let directory = self.open[parts.len()].as_fd();
        match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(status) => self.differs(directory, name, &status, entry).map_err(|e| Error::io("read", &path, e)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(true),
            Err(errno) => Err(failed(errno)),
        }
    }

    /// Opens the directories on the way to one; false if it is not there. Links are none.
    fn go_to(&mut self, parts: &[&[u8]]) -> std::result::Result<bool, Errno> {
        let shared = self.names.iter().zip(parts).take_while(|(name, part)| name == *part).count();
        self.names.truncate(shared);
        self.open.truncate(1 + shared);
        for part in &parts[shared..] {
            match openat(&self.open[self.names.len()], *part, DIRECTORY, Mode::empty()) {
                Ok(directory) => self.open.push(directory),
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(false),
                Err(errno) => return Err(errno),
            }
            self.names.push(part.to_vec());
        }
        Ok(true)
    }

    fn differs(&self, directory: BorrowedFd<'_>, name: &[u8], status: &Stat, entry: &IndexEntry) -> io::Result<bool> {
        let config = &self.repository.config;
        let kind = FileType::from_raw_mode(status.st_mode);
        if is_submodule(entry.mode) {
            return Ok(kind != FileType::Directory);
        }
        let is_link = entry.mode & 0o170_000 == 0o120_000;
        // Where there are no links, files stand for them.
        let is_file = kind == FileType::RegularFile && (!is_link || config.is("core.symlinks") == Some(false));
        let is_same_kind = is_file || (is_link && kind == FileType::Symlink);
        if !is_same_kind {
            return Ok(true);
        }
        let counts_mode = !is_link && config.is("core.filemode") != Some(false);
        if counts_mode && (status.st_mode & 0o100 != 0) != (entry.mode & 0o100 != 0) {
            return Ok(true);
        }
        if self.is_as_noted(status, &entry.status) {
            return Ok(false);
        }
        // Git notes no size of what it found changed in the instant in which the index was written.
        if entry.status.size != 0 && entry.status.size != low(status.st_size) {
            return Ok(true);
        }
        let format = self.repository.format;
        if !is_file {
            let target = readlinkat(directory, name, Vec::new())?;
            return Ok(format.name("blob", target.to_bytes()) != entry.id);
        }
        let mut file = File::from(openat(directory, name, FILE, Mode::empty())?);
        let blob = GitBlob { format, id: entry.id, is_size_noted: entry.status.size != 0 };
        Ok(!blob.is_content_of(&mut file)?)
    }

    /// Returns whether a file is as it was when its content was that of the index. One that was changed when the index
    /// was written, or later, may be another and look the same. Programs that know no fractions of a second write none.
    fn is_as_noted(&self, status: &Stat, noted: &Status) -> bool {
        let time = |(seconds, nanoseconds): (i64, i64), noted: IndexTime| {
            let nanoseconds = if noted.nanoseconds == 0 { 0 } else { low(nanoseconds) };
            IndexTime { seconds: low(seconds), nanoseconds }
        };
        let (user, group) = match &self.ids {
            Some(ids) => ids.outside(status.st_uid, status.st_gid),
            None => (Some(status.st_uid), Some(status.st_gid)),
        };
        let found = Status {
            changed: time(kernel::changed(status), noted.changed),
            modified: time(kernel::modified(status), noted.modified),
            inode: low(status.st_ino.cast_signed()),
            // One that cannot be told says nothing: the other numbers do.
            user: user.unwrap_or(noted.user),
            group: group.unwrap_or(noted.group),
            size: low(status.st_size),
        };
        let is_precise = noted.modified.nanoseconds != 0;
        let is_before = match is_precise {
            true => noted.modified < self.written,
            false => noted.modified.seconds < self.written.seconds,
        };
        found == *noted && is_before
    }
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const FILE: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

fn open_root(work_tree: &Path) -> Result<OwnedFd> {
    openat(CWD, work_tree, DIRECTORY, Mode::empty()).map_err(|errno| Error::io("read", work_tree, errno.into()))
}

/// A commit of another repository.
fn is_submodule(mode: u32) -> bool {
    mode & 0o170_000 == 0o160_000
}
