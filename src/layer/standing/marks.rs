//! What there is in a directory, by marks that programs cannot choose.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rayon::prelude::*;
use rustix::fs::{AtFlags, CWD, FileType, StatxFlags, statx};

use crate::error::{Error, Result};
use crate::layer::stack::within;
use crate::tree::joined;

/// The marks of all that is in a directory, itself included, by path.
#[derive(Debug)]
pub(super) struct ObjectMarks(HashMap<Vec<u8>, ObjectMark>);

/// What tells an object from another, and from what it was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ObjectMark {
    pub(super) kind: FileType,
    pub(super) inode: u64,
    links: u32,
    pub(super) size: u64,
    /// What it stands for if it is a device.
    pub(super) device: u64,
    /// When it was made, as far as the file system knows. Here and below: seconds and nanoseconds.
    born: (i64, u32),
    changed: (i64, u32),
    pub(super) modified: (i64, u32),
}

/// No clock of a file system goes in larger steps.
const LONGEST_STEP: Duration = Duration::from_secs(3);

impl ObjectMarks {
    /// Looks at all that is in `root`; no link is followed.
    pub(super) fn of(root: &Path) -> Result<ObjectMarks> {
        let mut marks = HashMap::new();
        marks.insert(Vec::new(), ObjectMark::of(root)?);
        let mut level = vec![Vec::new()];
        // One level after the other: who nests directories does not fill the stack.
        while !level.is_empty() {
            let found = level.par_iter().map(|path| children(root, path)).collect::<Result<Vec<_>>>()?;
            level.clear();
            for (path, mark) in found.into_iter().flatten() {
                if mark.kind == FileType::Directory {
                    level.push(path.clone());
                }
                marks.insert(path, mark);
            }
        }
        Ok(ObjectMarks(marks))
    }

    pub(super) fn get(&self, path: &[u8]) -> Option<&ObjectMark> {
        self.0.get(path)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &ObjectMark)> {
        self.0.iter().map(|(path, mark)| (path.as_slice(), mark))
    }

    /// Returns when whatever is changed in `root` has another time of change than all that is there.
    pub(super) fn outlast(&self, root: &Path) -> Result<()> {
        let Some(newest) = self.0.values().map(|mark| mark.changed).max() else { return Ok(()) };
        let beside = root.parent().unwrap_or(root);
        let failed = |source: io::Error| Error::io("create a file in", beside, source);
        let probe: File = tempfile::tempfile_in(beside).map_err(failed)?;
        let begin = Instant::now();
        loop {
            probe.set_permissions(fs::Permissions::from_mode(0o600)).map_err(failed)?;
            let now =
                statx(&probe, c"", AtFlags::EMPTY_PATH, StatxFlags::CTIME).map_err(|errno| failed(errno.into()))?;
            // A clock that was set back never comes there, and gives other times all the same.
            if (now.stx_ctime.tv_sec, now.stx_ctime.tv_nsec) > newest || begin.elapsed() > LONGEST_STEP {
                return Ok(());
            }
            sleep(Duration::from_millis(1));
        }
    }
}

impl ObjectMark {
    /// Looks at `path`, which is not followed if it is a link.
    pub(super) fn of(path: &Path) -> Result<ObjectMark> {
        let flags = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
        let status = statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, flags)
            .map_err(|errno| Error::io("look at", path, errno.into()))?;
        let time = |time: rustix::fs::StatxTimestamp| (time.tv_sec, time.tv_nsec);
        Ok(ObjectMark {
            kind: FileType::from_raw_mode(status.stx_mode.into()),
            inode: status.stx_ino,
            links: status.stx_nlink,
            size: status.stx_size,
            device: rustix::fs::makedev(status.stx_rdev_major, status.stx_rdev_minor),
            born: time(status.stx_btime),
            changed: time(status.stx_ctime),
            modified: time(status.stx_mtime),
        })
    }
}

/// Returns what is in the directory at `path` in `root`.
fn children(root: &Path, path: &[u8]) -> Result<Vec<(Vec<u8>, ObjectMark)>> {
    let directory = within(root, path);
    let failed = |source| Error::io("list", &directory, source);
    let entries = fs::read_dir(&directory).map_err(failed)?.collect::<io::Result<Vec<_>>>().map_err(failed)?;
    let marked = |entry: fs::DirEntry| {
        let name = entry.file_name();
        Ok((joined(path, name.as_bytes()), ObjectMark::of(&directory.join(name))?))
    };
    entries.into_par_iter().with_min_len(64).map(marked).collect()
}
