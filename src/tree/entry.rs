//! One object of a file system: what it is, whose, and where its content lies.

use std::collections::BTreeMap;

use super::content::Content;
use super::time::Time;

/// One file-system object as it will stand in a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// No leading or trailing slash; any bytes but NUL. Empty only for the root of a walk.
    pub path: Vec<u8>,
    pub kind: Kind,
    /// The low 12 bits: permissions, setuid, setgid, sticky.
    pub mode: u32,
    pub user: u64,
    pub group: u64,
    /// Seconds since the epoch; may be negative.
    pub modified: i64,
    /// By full name (`security.capability`).
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    File(Content),
    Directory,
    /// The target's bytes as the link holds them.
    Symlink {
        target: Vec<u8>,
    },
    /// Another name of the file that stands at `target` in the same layer.
    HardLink {
        target: Vec<u8>,
    },
    Fifo,
    CharacterDevice {
        major: u32,
        minor: u32,
    },
    BlockDevice {
        major: u32,
        minor: u32,
    },
}

/// Whose a file-system object is, who may do what with it, and when it last changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes {
    /// The low 12 bits: permissions, setuid, setgid, sticky.
    pub mode: u32,
    pub user: u32,
    pub group: u32,
    pub modified: Time,
    /// By full name; without those that belong to the machine that the tar was made on.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// The latest time of the files among `entries`, in seconds since 1970.
pub fn newest(entries: &[Entry]) -> Option<i64> {
    entries.iter().filter(|entry| matches!(entry.kind, Kind::File(_))).map(|entry| entry.modified).max()
}

impl Entry {
    /// The bytes that follow the header in a tar; 0 for all but files.
    pub fn content_size(&self) -> u64 {
        match &self.kind {
            Kind::File(content) => content.size(),
            _ => 0,
        }
    }

    /// A directory owned by root, `rwxr-xr-x`.
    pub fn directory(path: Vec<u8>, modified: i64) -> Self {
        Entry { path, kind: Kind::Directory, mode: 0o755, user: 0, group: 0, modified, xattrs: BTreeMap::new() }
    }
}

impl Attributes {
    /// Those of a directory that must be there and that no layer tells of.
    pub fn implied() -> Self {
        Attributes { mode: 0o755, user: 0, group: 0, modified: Time::default(), xattrs: BTreeMap::new() }
    }
}
