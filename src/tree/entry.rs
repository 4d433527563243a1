//! One object of a file system: what it is, whose, and where its content lies.

use std::collections::BTreeMap;

use super::content::Content;
use super::time::Time;

/// One file-system object at its path. `C` says where the content of a file lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<C = Content> {
    /// Names with a slash between them, of any bytes but NUL; no leading or trailing slash. Empty only for the root.
    pub path: Vec<u8>,
    /// The kind of object, with what that kind alone has.
    pub kind: Kind<C>,
    /// The owner, the permissions and the time.
    pub attributes: Attributes,
}

/// The kind of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind<C = Content> {
    /// A regular file with its content.
    File(C),
    /// A directory; what is in it are entries of their own.
    Directory,
    /// The target's bytes as the link holds them.
    Symlink {
        /// The bytes of the link; nothing checks where they lead.
        target: Vec<u8>,
    },
    /// Another name of what stands at `target`, a path like that of an entry.
    HardLink {
        /// The path of the other name, without a leading slash.
        target: Vec<u8>,
    },
    /// A named pipe.
    Fifo,
    /// A character device; only root can make one.
    CharacterDevice {
        /// The major number, which stands for a driver.
        major: u32,
        /// The minor number, which stands for one of its devices.
        minor: u32,
    },
    /// A block device; only root can make one.
    BlockDevice {
        /// The major number, which stands for a driver.
        major: u32,
        /// The minor number, which stands for one of its devices.
        minor: u32,
    },
}

/// Whose a file-system object is, who may do what with it, and when it last changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes {
    /// The low 12 bits: permissions, setuid, setgid, sticky.
    pub mode: u32,
    /// The user ID of the owner.
    pub user: u32,
    /// The group ID of the owner.
    pub group: u32,
    /// The time at which the content was last changed.
    pub modified: Time,
    /// By full name (`security.capability`); without those that belong to the machine that the object was made on.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// Returns the latest time of the files among `entries`, in seconds since 1970.
pub fn newest(entries: &[Entry]) -> Option<i64> {
    entries
        .iter()
        .filter(|entry| matches!(entry.kind, Kind::File(_)))
        .map(|entry| entry.attributes.modified.seconds)
        .max()
}

impl Entry {
    /// Returns the bytes that follow the header in a tar; 0 for all but files.
    pub fn content_size(&self) -> u64 {
        match &self.kind {
            Kind::File(content) => content.size(),
            _ => 0,
        }
    }

    /// Returns a directory of root, `rwxr-xr-x`; `modified` is in seconds since 1970.
    pub fn directory(path: Vec<u8>, modified: i64) -> Self {
        let attributes = Attributes { modified: Time::of_seconds(modified), ..Attributes::implied() };
        Entry { path, kind: Kind::Directory, attributes }
    }
}

impl<C> Kind<C> {
    /// Returns the same kind, with `place` telling where the content of a file lies.
    pub fn map<D>(self, place: impl FnOnce(C) -> D) -> Kind<D> {
        match self {
            Kind::File(content) => Kind::File(place(content)),
            Kind::Directory => Kind::Directory,
            Kind::Symlink { target } => Kind::Symlink { target },
            Kind::HardLink { target } => Kind::HardLink { target },
            Kind::Fifo => Kind::Fifo,
            Kind::CharacterDevice { major, minor } => Kind::CharacterDevice { major, minor },
            Kind::BlockDevice { major, minor } => Kind::BlockDevice { major, minor },
        }
    }

    /// Returns whether it is a directory; a link to one is none.
    pub fn is_directory(&self) -> bool {
        matches!(self, Kind::Directory)
    }
}

impl Attributes {
    /// Returns those of a directory that must be there and that no layer tells of.
    pub fn implied() -> Self {
        Attributes { mode: 0o755, user: 0, group: 0, modified: Time::default(), xattrs: BTreeMap::new() }
    }
}
