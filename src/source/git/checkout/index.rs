//! The index: what the next commit would hold, and what its files looked like on disk (gitformat-index(5)).

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::object_id::{ObjectFormat, ObjectId};
use crate::error::{Error, Result};
use crate::source::git::regular;

/// An index of version 2, 3 or 4.
pub(super) struct Index {
    path: PathBuf,
    bytes: Vec<u8>,
    format: ObjectFormat,
    version: u32,
    count: u32,
    /// The time at which it was written.
    pub modified: IndexTime,
}

/// A path that is tracked.
#[derive(Clone)]
pub(super) struct IndexEntry {
    /// Relative to the work tree, with neither `..` nor `.git` in it. A directory of which only the tree is known, in a
    /// sparse index, ends with a slash.
    pub path: Vec<u8>,
    pub mode: u32,
    pub id: ObjectId,
    pub status: Status,
    /// The user says that it is as committed (`git update-index --assume-unchanged`).
    pub is_assumed: bool,
    /// The file is not wanted on disk.
    pub is_skipped: bool,
    /// The file will be added, and has no content yet.
    pub is_intended: bool,
    /// The entry is one side of a merge that is not resolved.
    pub is_unmerged: bool,
}

/// The state of the file when it had the content that the index names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Status {
    pub changed: IndexTime,
    pub modified: IndexTime,
    pub inode: u32,
    pub user: u32,
    pub group: u32,
    pub size: u32,
}

/// A time of a file as the index notes it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct IndexTime {
    pub seconds: u32,
    pub nanoseconds: u32,
}

const LIMIT: u64 = 256 << 20;

/// The longest path in bytes: no file system takes a longer one.
const PATH_LIMIT: usize = 4096;

impl Index {
    /// Returns the index of the checkout whose git directory is `directory`; none if it has none, where nothing is
    /// tracked. Fails if it cannot be read or is malformed.
    pub fn read(directory: &Path, format: ObjectFormat) -> Result<Option<Index>> {
        let path = directory.join("index");
        let Some(file) = regular::open(&path)? else { return Ok(None) };
        let modified = modified(&file).map_err(|source| Error::io("read", &path, source))?;
        let bytes = regular::content(&path, &file, LIMIT)?;
        let mut index = Index { path, bytes, format, version: 0, count: 0, modified };
        let number = |at| index.number(at);
        match (index.bytes.get(..4), number(4), number(8)) {
            (Some(b"DIRC"), Some(version @ 2..=4), Some(count)) => {
                (index.version, index.count) = (version, count);
                Ok(Some(index))
            }
            _ => Err(index.malformed()),
        }
    }

    /// Hands out the entries in their order, by path, until `visit` returns false.
    pub fn visit(&self, mut visit: impl FnMut(&IndexEntry) -> Result<bool>) -> Result<()> {
        self.check_extensions()?;
        let (mut at, mut path) = (12, Vec::new());
        for _ in 0..self.count {
            let entry;
            (entry, at) = self.entry(at, path)?;
            if !visit(&entry)? {
                return Ok(());
            }
            path = entry.path;
        }
        Ok(())
    }

    /// The entry at `at` and where the next one is. `previous` is the path of the one before.
    fn entry(&self, at: usize, previous: Vec<u8>) -> Result<(IndexEntry, usize)> {
        self.entry_if_whole(at, previous).filter(|(entry, _)| is_safe(entry)).ok_or_else(|| self.malformed())
    }

    fn entry_if_whole(&self, at: usize, previous: Vec<u8>) -> Option<(IndexEntry, usize)> {
        let number = |place: usize| self.number(at + 4 * place);
        let time = |place| Some(IndexTime { seconds: number(place)?, nanoseconds: number(place + 1)? });
        let status = Status {
            changed: time(0)?,
            modified: time(2)?,
            inode: number(5)?,
            user: number(7)?,
            group: number(8)?,
            size: number(9)?,
        };
        let id = self.format.read(self.bytes.get(at + 40..)?)?;
        let mut end = at + 40 + self.format.length();
        let mut flags = || {
            end += 2;
            Some(u16::from_be_bytes(self.bytes.get(end - 2..end)?.try_into().ok()?))
        };
        let first = flags()?;
        let second = if self.version > 2 && first & 0x4000 != 0 { flags()? } else { 0 };
        let mut path = previous;
        if self.version < 4 {
            path.clear();
        } else {
            path.truncate(path.len().checked_sub(self.distance(&mut end)?)?);
        }
        let rest = self.bytes.get(end..)?;
        let length = rest.iter().take(PATH_LIMIT + 1).position(|byte| *byte == 0)?;
        path.extend_from_slice(&rest[..length]);
        end += length + 1;
        if self.version < 4 {
            // With 1 to 8 zeros, to a multiple of 8.
            end = at + (end - at).next_multiple_of(8);
        }
        let entry = IndexEntry {
            path,
            mode: number(6)?,
            id,
            status,
            is_assumed: first & 0x8000 != 0,
            is_skipped: second & 0x4000 != 0,
            is_intended: second & 0x2000 != 0,
            is_unmerged: first & 0x3000 != 0,
        };
        (entry.path.len() <= PATH_LIMIT).then_some((entry, end))
    }

    /// Seven bits a byte, each further byte counted from 1.
    fn distance(&self, at: &mut usize) -> Option<usize> {
        let mut distance = 0;
        loop {
            let byte = usize::from(*self.bytes.get(*at)?);
            *at += 1;
            distance = distance << 7 | byte & 0x7f;
            if byte & 0x80 == 0 {
                return Some(distance);
            }
            distance = Some(distance + 1).filter(|distance| *distance <= PATH_LIMIT)?;
        }
    }

    /// Refuses an index without whose extensions it cannot be understood: these have a name in lower case.
    fn check_extensions(&self) -> Result<()> {
        let (mut at, mut path) = (12, Vec::new());
        for _ in 0..self.count {
            let entry;
            (entry, at) = self.entry(at, path)?;
            path = entry.path;
        }
        // A digest of it all is at its end.
        let end = self.bytes.len().saturating_sub(self.format.length());
        while let (Some(name), Some(size)) = (self.bytes.get(at..at + 4), self.number(at + 4))
            && at + 8 <= end
        {
            if name[0].is_ascii_lowercase() && name != b"sdir" {
                let refused =
                    |what| Error::input(format!("{} {what}, which is not supported here", self.path.display()));
                return Err(match name {
                    b"link" => refused("is split").with_hint("`git update-index --no-split-index` makes it one again"),
                    _ => refused("has a part that git may not pass over"),
                });
            }
            at = at.saturating_add(8).saturating_add(size as usize);
        }
        Ok(())
    }

    fn number(&self, at: usize) -> Option<u32> {
        Some(u32::from_be_bytes(self.bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
    }

    fn malformed(&self) -> Error {
        Error::input(format!("{} is not an index of git", self.path.display()))
            .with_hint("`git reset` rewrites it from the commit")
    }
}

fn modified(file: &File) -> std::io::Result<IndexTime> {
    let status = file.metadata()?;
    Ok(IndexTime { seconds: low(status.mtime()), nanoseconds: low(status.mtime_nsec()) })
}

/// Returns a number as it is in an index: the lower 32 bits.
pub(super) fn low(number: i64) -> u32 {
    (number & 0xffff_ffff) as u32
}

/// Git tracks no path that leads out of the work tree or into a repository.
fn is_safe(entry: &IndexEntry) -> bool {
    let path = if is_tree(entry.mode) { entry.path.strip_suffix(b"/") } else { Some(&entry.path[..]) };
    path.is_some_and(|path| {
        path.split(|byte| *byte == b'/')
            .all(|part| !part.is_empty() && part != b"." && part != b".." && !part.eq_ignore_ascii_case(b".git"))
    })
}

/// Returns whether the entry is a directory of which only the tree is known.
pub(super) fn is_tree(mode: u32) -> bool {
    mode & 0o170_000 == 0o040_000
}
