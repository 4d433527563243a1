//! Owners and devices in a user namespace of one id, where every file belongs to that id and nobody makes a device: what they
//! are to be is kept beside them, on the disk itself, so that copies, renamings and further names take it along.
//!
//! Files and directories have [`OWNER`]. Links and FIFOs can have no attribute of users; theirs is a capability, which means
//! nothing there and which the kernel keeps for who is root of the namespace. A device is an empty file whose attribute says
//! what it is. What belongs to root and is not a device has neither.

use std::collections::{BTreeMap, HashMap};
use std::ffi::CStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::OnceLock;

use rustix::fs::{XattrFlags, lgetxattr, lsetxattr};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::tree::{Attributes, Content, Entry, Files, IdMap, Kind, Node, Object};

use super::lower::OVERLAY_WHITEOUT;

/// What all attributes begin with that are kept so, and that are nobody else's.
pub const KEPT_PREFIX: &[u8] = b"user.ocibake.";

/// The attribute of files and directories.
pub const OWNER: &CStr = c"user.ocibake.owner";

/// That of what is neither.
pub const CAPABILITY: &CStr = c"security.capability";

/// The length of both, in bytes.
pub const KEPT_LENGTH: usize = 20;

/// `struct vfs_cap_data` of the second revision (linux/capability.h), without flags.
const REVISION: u32 = 0x0200_0000;
/// Stands where a capability has further bits, and is none that a kernel knows.
const MARK: u32 = 0x6b65_7074;

/// What is kept of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kept {
    /// The user ID of the owner.
    pub user: u32,
    /// The group ID of the owner.
    pub group: u32,
    /// What an empty file stands for.
    pub device: Option<Device>,
}

/// A device by its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    /// Whether it is a block device, and not a character device.
    pub is_block: bool,
    /// The driver.
    pub major: u32,
    /// The device of that driver.
    pub minor: u32,
}

/// Returns whether this process is in a user namespace of one id.
pub fn has_one_id() -> bool {
    static HAS_ONE_ID: OnceLock<bool> = OnceLock::new();
    *HAS_ONE_ID.get_or_init(|| IdMap::of_this_process().is_ok_and(|map| map.is_single()))
}

impl Kept {
    /// Returns the attribute of an object, `is_plain` if that is a file or a directory; none if nothing need be kept.
    pub fn attribute(&self, is_plain: bool) -> Option<(&'static CStr, [u8; KEPT_LENGTH])> {
        let Kept { user, group, device } = *self;
        let (kind, major, minor) = match device {
            None if (user, group) == (0, 0) => return None,
            None => (0, 0, 0),
            Some(Device { is_block, major, minor }) => (1 + u32::from(is_block), major, minor),
        };
        let numbers = if is_plain { [user, group, kind, major, minor] } else { [REVISION, user, group, MARK, 0] };
        let mut value = [0; KEPT_LENGTH];
        for (place, number) in value.as_chunks_mut().0.iter_mut().zip(numbers) {
            *place = number.to_le_bytes();
        }
        Some((if is_plain { OWNER } else { CAPABILITY }, value))
    }

    /// Returns what [`OWNER`] says; root where it is not ours.
    pub fn of_plain(value: &[u8]) -> Kept {
        let Some([user, group, kind, major, minor]) = numbers(value) else { return Kept::default() };
        let device = matches!(kind, 1 | 2).then_some(Device { is_block: kind == 2, major, minor });
        Kept { user, group, device }
    }

    /// Returns what [`CAPABILITY`] says of what is neither a file nor a directory.
    pub fn of_other(value: &[u8]) -> Kept {
        match numbers(value) {
            Some([REVISION, user, group, MARK, _]) => Kept { user, group, device: None },
            _ => Kept::default(),
        }
    }
}

/// Fails unless the file system of `directory` can keep the owners of files and links; both are made in it.
pub fn keep_owners_in(directory: &Path) -> Result<()> {
    let (file, link) = (directory.join("file"), directory.join("link"));
    let kept = Kept { user: 1, group: 1, device: None };
    let keep = |path: &Path, is_plain| {
        let Some((name, value)) = kept.attribute(is_plain) else { return Ok(()) };
        lsetxattr(path, name, &value, XattrFlags::empty())?;
        // fuse-overlayfs takes those of links, and has none afterwards.
        let mut read = [0; KEPT_LENGTH];
        let length = lgetxattr(path, name, &mut read[..])?;
        if read.get(..length) == Some(&value[..]) { Ok(()) } else { Err(io::Error::from(Errno::OPNOTSUPP)) }
    };
    let kept = fs::write(&file, []).and_then(|()| symlink("file", &link));
    kept.and_then(|()| keep(&file, true).and_then(|()| keep(&link, false))).map_err(|error| {
        Error::io("keep the owners of files in", directory, error).with_hint(
            "the store must be on a file system with extended attributes, such as ext4, xfs or btrfs: put it \
             on a volume",
        )
    })
}

fn numbers(value: &[u8]) -> Option<[u32; 5]> {
    let (numbers, []) = value.as_chunks() else { return None };
    <[[u8; 4]; 5]>::try_from(numbers).ok().map(|numbers| numbers.map(u32::from_le_bytes))
}

/// Returns `files` as they lie on a disk of one id.
pub fn with_kept(files: &Files) -> Files {
    let mut with = files.clone();
    let mut names: HashMap<usize, Node> = HashMap::new();
    for (path, node) in files.paths() {
        let Some((object, attributes)) = form(node) else { continue };
        if node.is_directory() {
            *with.place(&path).attributes_mut() = attributes;
            continue;
        }
        // All names of a file stay names of one.
        let same = names.entry(node.address()).or_insert_with(|| Node::new(object, attributes)).clone();
        with.put(&path, same);
    }
    with
}

/// The form of `node` on the disk; none if it is its own.
fn form(node: &Node) -> Option<(Object, Attributes)> {
    let Attributes { user, group, xattrs, .. } = node.attributes();
    let (is_plain, device) = match node.object() {
        Object::Directory(_) | Object::Other(Kind::File(_)) => (true, None),
        Object::Other(kind) if *kind == OVERLAY_WHITEOUT => return None,
        Object::Other(Kind::CharacterDevice { major, minor }) => {
            (true, Some(Device { is_block: false, major: *major, minor: *minor }))
        }
        Object::Other(Kind::BlockDevice { major, minor }) => {
            (true, Some(Device { is_block: true, major: *major, minor: *minor }))
        }
        Object::Other(_) => (false, None),
    };
    let kept = Kept { user: *user, group: *group, device };
    let is_ours = |name: &[u8]| name.starts_with(KEPT_PREFIX) || !is_plain && name == CAPABILITY.to_bytes();
    let has_ours = xattrs.keys().any(|name| is_ours(name));
    let is_set_id = is_plain && !node.is_directory() && node.attributes().mode & 0o6000 != 0;
    if kept == Kept::default() && !has_ours && !is_set_id {
        return None;
    }
    let object = match (node.object(), device) {
        (_, Some(_)) => Object::Other(Kind::File(Content::Bytes([].into()))),
        // What is in it is gone through, too.
        (Object::Directory(_), None) => Object::Directory(BTreeMap::new()),
        (other, None) => other.clone(),
    };
    let mut attributes = Attributes { user: 0, group: 0, ..node.attributes().clone() };
    attributes.xattrs.retain(|name, _| !is_ours(name));
    if let Some((name, value)) = kept.attribute(is_plain) {
        attributes.xattrs.insert(name.to_bytes().to_vec(), value.to_vec());
    } else if is_set_id {
        // It says that the owner is known, and that the bits lend out no other's rights.
        attributes.xattrs.insert(OWNER.to_bytes().to_vec(), [0; KEPT_LENGTH].to_vec());
    }
    Some((object, attributes))
}

/// Returns whether an object with these attributes is in the form that it has on a disk of one id.
pub(super) fn is_kept(attributes: &Attributes) -> bool {
    attributes.xattrs.contains_key(OWNER.to_bytes())
}

/// Makes `entry`, which was walked in `root`, a directory that nobody changes, what it stands for.
pub(super) fn restore(root: &Path, entry: &mut Entry) -> Result<()> {
    let is_plain = match &entry.kind {
        Kind::File(_) | Kind::Directory => true,
        Kind::Symlink { .. } | Kind::Fifo => false,
        Kind::HardLink { .. } | Kind::CharacterDevice { .. } | Kind::BlockDevice { .. } => return Ok(()),
    };
    let path = root.join(std::ffi::OsStr::from_bytes(&entry.path));
    let name = if is_plain { OWNER } else { CAPABILITY };
    let mut value = [0; KEPT_LENGTH + 4];
    let length = match lgetxattr(&path, name, &mut value[..]) {
        Err(Errno::NODATA | Errno::NOTSUP | Errno::RANGE) => return Ok(()),
        read => read.map_err(|errno| Error::io("read the owner of", &path, errno.into()))?,
    };
    let value = value.get(..length).unwrap_or_default();
    let Kept { user, group, device } = if is_plain { Kept::of_plain(value) } else { Kept::of_other(value) };
    (entry.attributes.user, entry.attributes.group) = (user, group);
    entry.attributes.xattrs.remove(OWNER.to_bytes());
    if let Some(Device { is_block, major, minor }) = device.filter(|_| matches!(entry.kind, Kind::File(_))) {
        entry.kind = if is_block { Kind::BlockDevice { major, minor } } else { Kind::CharacterDevice { major, minor } };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_as_it_was_written() {
        let device = Device { is_block: true, major: 8, minor: 1 << 19 };
        for kept in [
            Kept { user: 1000, group: u32::MAX - 1, device: None },
            Kept { user: 0, group: 0, device: Some(device) },
            Kept { user: 0, group: 5, device: Some(Device { is_block: false, ..device }) },
        ] {
            let (name, value) = kept.attribute(true).unwrap();
            assert_eq!((name, Kept::of_plain(&value)), (OWNER, kept));
            let (name, value) = kept.attribute(false).unwrap_or((CAPABILITY, [0; KEPT_LENGTH]));
            assert_eq!((name, Kept::of_other(&value)), (CAPABILITY, Kept { device: None, ..kept }));
        }
        assert_eq!(Kept::default().attribute(true), None);
        assert_eq!(Kept::of_plain(b"short"), Kept::default());
        assert_eq!(Kept::of_other(&[1; KEPT_LENGTH]), Kept::default());
    }

    #[test]
    fn files_lie_on_the_disk_as_roots_and_what_an_image_says_is_not_believed() {
        let mut files = Files::new();
        let forged = |mode| Attributes {
            mode,
            user: 7,
            group: 8,
            xattrs: [
                (OWNER.to_bytes().to_vec(), vec![9; KEPT_LENGTH]),
                (b"user.ocibake.other".to_vec(), vec![]),
                (b"user.own".to_vec(), vec![1]),
                (CAPABILITY.to_bytes().to_vec(), vec![2; KEPT_LENGTH]),
            ]
            .into(),
            ..Attributes::implied()
        };
        let file = Kind::File(Content::Bytes([].into()));
        files.put(b"file", Node::of(file.clone(), forged(0o644)));
        files.put(b"link", Node::of(Kind::Symlink { target: b"x".to_vec() }, forged(0o777)));
        files.put(b"null", Node::of(Kind::CharacterDevice { major: 1, minor: 3 }, Attributes::implied()));
        files.put(b"gone", Node::of(OVERLAY_WHITEOUT, Attributes::implied()));
        files.put(b"plain", Node::of(file.clone(), Attributes::implied()));
        files.put(b"su", Node::of(file, Attributes { mode: 0o4755, ..Attributes::implied() }));
        let with = with_kept(&files);
        let attributes = |path: &str| with.get(path.as_bytes()).unwrap().attributes();
        for path in ["file", "link", "null", "gone", "plain", "su"] {
            assert_eq!((attributes(path).user, attributes(path).group), (0, 0), "{path}");
        }
        let owner = |path: &str| attributes(path).xattrs.get(OWNER.to_bytes()).map(|value| Kept::of_plain(value));
        assert_eq!(owner("file"), Some(Kept { user: 7, group: 8, device: None }));
        let names: Vec<_> = attributes("file").xattrs.keys().map(|name| String::from_utf8_lossy(name)).collect();
        assert_eq!(names, ["security.capability", "user.ocibake.owner", "user.own"]);
        assert_eq!(Kept::of_other(&attributes("link").xattrs[CAPABILITY.to_bytes()]).user, 7);
        assert_eq!(owner("link"), None);
        let null = Device { is_block: false, major: 1, minor: 3 };
        assert_eq!(owner("null"), Some(Kept { user: 0, group: 0, device: Some(null) }));
        assert!(matches!(with.get(b"null").unwrap().object(), Object::Other(Kind::File(_))));
        assert!(matches!(with.get(b"gone").unwrap().object(), Object::Other(kind) if *kind == OVERLAY_WHITEOUT));
        assert_eq!((owner("plain"), owner("su")), (None, Some(Kept::default())));
    }
}
