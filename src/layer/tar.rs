//! Tar headers (POSIX.1-2017, pax, "ustar Interchange Format"): plain ustar, with a pax header before it where a path,
//! size, link, id, time or extended attribute does not fit.

use std::collections::BTreeMap;

use tar::{EntryType, Header};

use super::{Entry, Kind, Time};
use crate::error::{Error, Result};

/// Everything in a tar is padded to a multiple of this.
pub const RECORD: u64 = 512;

/// Two empty records end an archive. No padding to 10 KiB follows: docker's and Go's tars have none either.
pub const TRAILER: u64 = 2 * RECORD;

/// The largest number in a field of 8 and of 12 octal digits, the last being a terminator.
pub(super) const LARGEST_ID: u64 = 0o7777777;
const LARGEST_NUMBER: u64 = 0o77777777777;

/// What Python's tarfile calls its pax headers.
const PAX_NAME: &[u8] = b"././@PaxHeader";

/// What the header of an entry tells.
pub(super) struct Head<'a> {
    /// With a slash behind it for a directory.
    pub path: &'a [u8],
    pub entry_type: EntryType,
    /// Of a link of either kind.
    pub target: Option<&'a [u8]>,
    pub size: u64,
    pub mode: u32,
    pub user: u64,
    pub group: u64,
    pub modified: Time,
    /// Major and minor.
    pub device: (u32, u32),
    pub xattrs: &'a BTreeMap<Vec<u8>, Vec<u8>>,
}

/// The header records of `entry`: a whole number of 512-byte records, a function of the entry alone.
pub fn header(entry: &Entry) -> Result<Vec<u8>> {
    let mut path = entry.path.clone();
    let (entry_type, target) = match &entry.kind {
        Kind::File(_) => (EntryType::Regular, None),
        Kind::Directory => {
            path.push(b'/');
            (EntryType::Directory, None)
        }
        Kind::Symlink { target } => (EntryType::Symlink, Some(target.as_slice())),
        Kind::HardLink { target } => (EntryType::Link, Some(target.as_slice())),
    };
    records(&Head {
        path: &path,
        entry_type,
        target,
        size: entry.content_size(),
        mode: entry.mode,
        user: entry.user,
        group: entry.group,
        modified: Time { seconds: entry.modified, nanoseconds: 0 },
        device: (0, 0),
        xattrs: &entry.xattrs,
    })
}

/// The header records that tell `head`, a function of it alone.
pub(super) fn records(head: &Head<'_>) -> Result<Vec<u8>> {
    let mut header = plain_header(head.entry_type, head.mode);
    if let Some(ustar) = header.as_ustar_mut() {
        ustar.set_device_major(head.device.0);
        ustar.set_device_minor(head.device.1);
    }
    let mut records = Vec::new();
    if !set_path(&mut header, head.path) {
        records.push(record("path", head.path));
    }
    if let Some(target) = head.target {
        let field = &mut header.as_old_mut().linkname;
        let fits = target.len().min(field.len());
        field[..fits].copy_from_slice(&target[..fits]);
        if fits < target.len() {
            records.push(record("linkpath", target));
        }
    }
    // A number that its field cannot hold is 0 there, as Go's writer has it; the pax record stands for it.
    let mut number = |key: &str, value: i128, largest: u64| {
        if (0..=i128::from(largest)).contains(&value) {
            return value as u64;
        }
        records.push(record(key, value.to_string().as_bytes()));
        0
    };
    header.set_size(number("size", head.size.into(), LARGEST_NUMBER));
    header.set_uid(number("uid", head.user.into(), LARGEST_ID));
    header.set_gid(number("gid", head.group.into(), LARGEST_ID));
    if head.modified.nanoseconds == 0 {
        header.set_mtime(number("mtime", head.modified.seconds.into(), LARGEST_NUMBER));
    } else {
        records.push(record("mtime", head.modified.to_string().as_bytes()));
        header.set_mtime(u64::try_from(head.modified.seconds).ok().filter(|time| *time <= LARGEST_NUMBER).unwrap_or(0));
    }
    for (name, value) in head.xattrs {
        let name = std::str::from_utf8(name).ok().filter(|name| !name.contains('=')).ok_or_else(|| {
            let (name, path) = (String::from_utf8_lossy(name), String::from_utf8_lossy(head.path));
            let path = path.trim_end_matches('/');
            Error::input(format!("the extended attribute `{name}` of {path} has a name that no tar can hold"))
        })?;
        records.push(record(&format!("SCHILY.xattr.{name}"), value));
    }
    seal(&mut header);
    let mut bytes = if records.is_empty() { Vec::new() } else { pax_header(&records.concat()) };
    bytes.extend_from_slice(header.as_bytes());
    Ok(bytes)
}

/// `size` and the padding behind it.
pub fn padded(size: u64) -> u64 {
    size.next_multiple_of(RECORD)
}

/// A header without a name, whose numbers are 0: some readers take an empty field for a damaged one.
fn plain_header(entry_type: EntryType, mode: u32) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(entry_type);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(0);
    header.set_mtime(0);
    header
}

/// The header of type `x` that holds `records`, padded.
fn pax_header(records: &[u8]) -> Vec<u8> {
    let mut header = plain_header(EntryType::XHeader, 0o644);
    // Readers that know pax ignore the name, but to some a header without one is the end of the archive.
    header.as_old_mut().name[..PAX_NAME.len()].copy_from_slice(PAX_NAME);
    header.set_size(records.len() as u64);
    seal(&mut header);
    let mut bytes = [header.as_bytes(), records].concat();
    bytes.resize(padded(bytes.len() as u64) as usize, 0);
    bytes
}

/// Sets the checksum as tar has always written it and old readers want it: six digits, NUL, space.
fn seal(header: &mut Header) {
    header.as_old_mut().cksum = [b' '; 8];
    let sum: u32 = header.as_bytes().iter().map(|byte| u32::from(*byte)).sum();
    // 512 bytes of 255 have a sum of six digits.
    header.as_old_mut().cksum[..7].copy_from_slice(format!("{sum:06o}\0").as_bytes());
}

/// `length key=value` and a newline, where the length is that of the whole record with its own digits.
fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() > length {
        length += 1;
    }
    [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
}

/// Puts `path` into the name field, or splits it at a slash between prefix and name. False, with the field holding as
/// much as it can, if neither has room.
fn set_path(header: &mut Header, path: &[u8]) -> bool {
    let Some(ustar) = header.as_ustar_mut() else { return false };
    let (name, prefix) = (ustar.name.len(), ustar.prefix.len());
    if path.len() <= name {
        ustar.name[..path.len()].copy_from_slice(path);
        return true;
    }
    // The slash itself is stored nowhere, and a directory's own last slash must stay in the name.
    let split = (1..path.len() - 1).find(|at| path[*at] == b'/' && *at <= prefix && path.len() - at - 1 <= name);
    let Some(split) = split else {
        ustar.name.copy_from_slice(&path[..name]);
        return false;
    };
    ustar.prefix[..split].copy_from_slice(&path[..split]);
    ustar.name[..path.len() - split - 1].copy_from_slice(&path[split + 1..]);
    true
}
