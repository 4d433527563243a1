//! The room that directories take.

use std::collections::HashSet;
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, openat, statat};
use rustix::io::Errno;

use crate::kernel::device_of;

/// Returns how many bytes of the disk `directory` and all that is in it take. A file of several names counts once, and what
/// cannot be looked into, or vanishes meanwhile, not at all. No link is followed, and few directories are open at a time.
pub(super) fn usage(directory: impl AsFd) -> Result<u64, Errno> {
    let mut usage = Usage { bytes: room(&fstat(&directory)?), seen: HashSet::new() };
    let mut at = open(&directory, c".")?;
    // Of `directory` and of each that was entered from it: the directories that are left to be entered.
    let mut left = vec![usage.count(&at)?];
    while let Some(names) = left.last_mut() {
        let Some(name) = names.pop() else {
            left.pop();
            if !left.is_empty() {
                at = open(&at, c"..")?;
            }
            continue;
        };
        if let Ok(entered) = open(&at, &*name)
            && let Ok(names) = usage.count(&entered)
        {
            (at, _) = (entered, left.push(names));
        }
    }
    Ok(usage.bytes)
}

struct Usage {
    bytes: u64,
    /// Devices and numbers of inodes that have several names.
    seen: HashSet<(u64, u64)>,
}

impl Usage {
    /// Counts what is in `directory`, and returns the directories among it.
    fn count(&mut self, directory: &OwnedFd) -> Result<Vec<CString>, Errno> {
        let mut directories = Vec::new();
        for item in Dir::read_from(directory)? {
            let name = item?.file_name().to_owned();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let Ok(status) = statat(directory, &*name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            let is_directory = FileType::from_raw_mode(status.st_mode) == FileType::Directory;
            if is_directory || status.st_nlink == 1 || self.seen.insert((device_of(&status), status.st_ino)) {
                self.bytes += room(&status);
            }
            if is_directory {
                directories.push(name);
            }
        }
        Ok(directories)
    }
}

/// Blocks have 512 bytes here, whatever the file system has.
fn room(status: &Stat) -> u64 {
    u64::try_from(status.st_blocks).unwrap_or_default() * 512
}

fn open(at: impl AsFd, name: impl rustix::path::Arg) -> Result<OwnedFd, Errno> {
    openat(at, name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn what_is_deep_and_has_several_names_counts_once() {
        let place = tempfile::tempdir().unwrap();
        let deep = place.path().join(["d"; 60].join("/"));
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("one"), vec![1; 100_000]).unwrap();
        fs::hard_link(deep.join("one"), place.path().join("other")).unwrap();
        fs::write(place.path().join("d/d/beside"), vec![1; 5000]).unwrap();
        File::create(place.path().join("hole")).unwrap().set_len(1 << 30).unwrap();
        std::os::unix::fs::symlink("/", place.path().join("link")).unwrap();
        let room = |path: &std::path::Path| fs::symlink_metadata(path).unwrap().blocks() * 512;
        let mut expected: u64 = deep.ancestors().take(61).map(room).sum();
        expected += room(&deep.join("one")) + room(&place.path().join("d/d/beside")) + room(&place.path().join("link"));
        assert!(expected > 105_000);
        assert_eq!(usage(File::open(place.path()).unwrap()).unwrap(), expected);
    }
}
