//! What differs between two layers.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::{Error, Result, escape};
use crate::layer::{self, Extent, Layer, Member, Open, WHITEOUT};
use crate::tree::{
    Attributes, Kind, Limits, Time,
    path::{joined, relative},
};

/// What is compared at once, in bytes.
const AT_ONCE: usize = 1 << 16;

/// A difference between two layers.
#[derive(Debug, PartialEq, Eq)]
pub struct LayerDifference {
    /// The path in the image, without a leading slash.
    pub path: Vec<u8>,
    /// What differs about it.
    pub field: DifferentField,
}

/// What differs about a file, with what it is in the first layer and in the second.
#[derive(Debug, PartialEq, Eq)]
pub enum DifferentField {
    /// One of the layers has nothing of the file; true if that is the first.
    Missing(bool),
    /// The kind, or the target of a link or the numbers of a device.
    Kind(String, String),
    /// The content, from this byte on, counted from 0.
    Content(u64),
    /// The permissions.
    Mode(u32, u32),
    /// The IDs of user and group.
    Owner((u32, u32), (u32, u32)),
    /// The time.
    Modified(Time, Time),
    /// The extended attribute of that name.
    Xattr(Vec<u8>),
}

/// Returns what differs between the layers `first` and `second`, which their stores open: of each path the first that does, for
/// the first `most` of them in their order. Empty where the files are the same.
pub fn differences(
    (first, open_first): (&Layer, &Open<'_>),
    (second, open_second): (&Layer, &Open<'_>),
    scratch: &dyn Fn() -> Result<File>,
    most: usize,
) -> Result<Vec<LayerDifference>> {
    let pool = ThreadPoolBuilder::new().num_threads(2).build();
    let pool = pool.map_err(|source| Error::input("cannot start the threads that unpack").with_source(source))?;
    let mut found = Vec::new();
    let first = UnpackedSide::new(first, open_first, scratch()?, &pool)?;
    let second = UnpackedSide::new(second, open_second, scratch()?, &pool)?;
    let mut paths: Vec<&Vec<u8>> = first.members.keys().chain(second.members.keys()).collect();
    paths.sort_unstable();
    paths.dedup();
    for (number, path) in paths.iter().enumerate() {
        let path = *path;
        let (members, others) = (&first.members, &second.members);
        if let (Some(only), None) | (None, Some(only)) = (members.get(path), others.get(path))
            && only.kind.is_directory()
            && paths[number + 1..].iter().any(|other| relative(other, path).is_some())
        {
            // It is there for what is in it, which tells more.
            continue;
        }
        let field = match (first.members.get(path), second.members.get(path)) {
            (Some(one), Some(other)) => field((&first, one), (&second, other))?,
            (one, _) => Some(DifferentField::Missing(one.is_none())),
        };
        found.extend(field.map(|field| LayerDifference { path: path.clone(), field }));
        if found.len() >= most {
            break;
        }
    }
    Ok(found)
}

/// A layer with its tar in a file.
struct UnpackedSide {
    members: BTreeMap<Vec<u8>, Member>,
    tar: File,
}

impl UnpackedSide {
    fn new(layer: &Layer, open: &Open<'_>, mut tar: File, pool: &ThreadPool) -> Result<Self> {
        let layers = std::slice::from_ref(layer);
        let members = layer::read_members(layers, open, Limits::of(layers, None), pool)?;
        let failed = |source| Error::io("unpack the layer", layer.descriptor.digest.to_string(), source);
        let blob = open(&layer.descriptor)?;
        io::copy(&mut layer::decompressed(blob).map_err(failed)?, &mut tar).map_err(failed)?;
        let members = members.into_iter().flatten().map(|member| (member.path.clone(), member)).collect();
        Ok(UnpackedSide { members, tar })
    }
}

fn field(
    (first, one): (&UnpackedSide, &Member),
    (second, other): (&UnpackedSide, &Member),
) -> Result<Option<DifferentField>> {
    if let (Kind::File(one), Kind::File(other)) = (&one.kind, &other.kind) {
        if let Some(at) = content((&first.tar, *one), (&second.tar, *other))? {
            return Ok(Some(DifferentField::Content(at)));
        }
    } else {
        let (one, other) = (described(&one.kind), described(&other.kind));
        if one != other {
            return Ok(Some(DifferentField::Kind(one, other)));
        }
    }
    let Attributes { mode, user, group, modified, xattrs } = &one.attributes;
    let with = &other.attributes;
    let xattr = xattrs.keys().chain(with.xattrs.keys()).find(|name| xattrs.get(*name) != with.xattrs.get(*name));
    Ok(if *mode != with.mode {
        Some(DifferentField::Mode(*mode, with.mode))
    } else if (*user, *group) != (with.user, with.group) {
        Some(DifferentField::Owner((*user, *group), (with.user, with.group)))
    } else if *modified != with.modified {
        Some(DifferentField::Modified(*modified, with.modified))
    } else {
        xattr.map(|name| DifferentField::Xattr(name.clone()))
    })
}

/// The first byte that differs, or that only one has.
fn content((first, one): (&File, Extent), (second, other): (&File, Extent)) -> Result<Option<u64>> {
    let failed = |source| Error::io("read", "a layer", source);
    let (mut left, mut right) = (vec![0; AT_ONCE], vec![0; AT_ONCE]);
    let common = one.size.min(other.size);
    let mut at = 0;
    while at < common {
        let length = (common - at).min(AT_ONCE as u64) as usize;
        first.read_exact_at(&mut left[..length], one.offset + at).map_err(failed)?;
        second.read_exact_at(&mut right[..length], other.offset + at).map_err(failed)?;
        if let Some(place) = left[..length].iter().zip(&right[..length]).position(|(left, right)| left != right) {
            return Ok(Some(at + place as u64));
        }
        at += length as u64;
    }
    Ok((one.size != other.size).then_some(common))
}

fn described(kind: &Kind<Extent>) -> String {
    let text = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
    match kind {
        Kind::File(_) => "a file".to_owned(),
        Kind::Directory => "a directory".to_owned(),
        Kind::Symlink { target } => format!("a link to {}", text(target)),
        Kind::HardLink { target } => format!("another name of /{}", text(target)),
        Kind::Fifo => "a pipe".to_owned(),
        Kind::CharacterDevice { major, minor } => format!("the character device {major}:{minor}"),
        Kind::BlockDevice { major, minor } => format!("the block device {major}:{minor}"),
    }
}

/// A sentence without its full stop. What the paths hold is escaped as in a line.
impl fmt::Display for LayerDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (removed, path) = removed(&self.path);
        let path = format!("/{}", escape::line(&String::from_utf8_lossy(&path)));
        let time = |time: &Time| format!("{}.{:09}", time.seconds, time.nanoseconds);
        match &self.field {
            DifferentField::Missing(in_first) if removed => {
                write!(f, "{path} was removed in the {} build only", if *in_first { "second" } else { "first" })
            }
            DifferentField::Missing(in_first) => {
                write!(f, "{path} is missing in the {} build", if *in_first { "first" } else { "second" })
            }
            DifferentField::Kind(first, second) => write!(f, "{path} was {first}, and then {second}"),
            DifferentField::Content(at) => write!(f, "the content of {path} differs at byte {at}"),
            DifferentField::Mode(first, second) => {
                write!(f, "the mode of {path} was {first:04o}, and then {second:04o}")
            }
            DifferentField::Owner(first, second) => {
                write!(f, "the owner of {path} was {}:{}, and then {}:{}", first.0, first.1, second.0, second.1)
            }
            DifferentField::Modified(first, second) => {
                write!(f, "the time of {path} was {}, and then {}", time(first), time(second))
            }
            DifferentField::Xattr(name) => {
                let name = escape::line(&String::from_utf8_lossy(name));
                write!(f, "the extended attribute {name} of {path} differs")
            }
        }
    }
}

/// Whether `path` is that of a whiteout, and the path that it is about.
fn removed(path: &[u8]) -> (bool, Vec<u8>) {
    let start = path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    let (directory, name) = path.split_at(start);
    match name.strip_prefix(WHITEOUT) {
        Some(name) => (true, joined(directory.strip_suffix(b"/").unwrap_or(directory), name)),
        None => (false, path.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_a_sentence() {
        let says = |path: &[u8], field| LayerDifference { path: path.to_vec(), field }.to_string();
        assert_eq!(says(b"a/b", DifferentField::Content(8)), "the content of /a/b differs at byte 8");
        assert_eq!(says(b"a", DifferentField::Missing(true)), "/a is missing in the first build");
        assert_eq!(says(b"a/.wh.b", DifferentField::Missing(false)), "/a/b was removed in the first build only");
        assert_eq!(says(b".wh.b", DifferentField::Missing(true)), "/b was removed in the second build only");
        assert_eq!(says(b"a\n", DifferentField::Mode(0o644, 0o4755)), "the mode of /a\\n was 0644, and then 4755");
        assert_eq!(says(b"", DifferentField::Owner((0, 1), (2, 3))), "the owner of / was 0:1, and then 2:3");
        let time = |seconds| Time { seconds, nanoseconds: 5 };
        let times = DifferentField::Modified(time(1), time(2));
        assert_eq!(says(b"a", times), "the time of /a was 1.000000005, and then 2.000000005");
    }
}
