//! Tar headers (POSIX.1-2017, pax, "ustar Interchange Format"): plain ustar, with a pax header before it where a path,
//! size, link, id, time or extended attribute does not fit.

use std::borrow::Cow;
use std::collections::BTreeMap;

use tar::{EntryType, Header};

use crate::error::{Error, Result};
use crate::tree::{Attributes, Entry, Kind, Time};

/// Everything in a tar is padded to a multiple of this.
pub const RECORD: u64 = 512;

/// Two empty records end an archive. No padding to 10 KiB follows: docker's and Go's tars have none either.
pub const TRAILER: u64 = 2 * RECORD;

/// The largest number in a field of 8 and of 12 octal digits, the last being a terminator.
pub(super) const LARGEST_ID: u64 = 0o7777777;
const LARGEST_NUMBER: u64 = 0o77777777777;

/// Bytes in the fields for a path and its prefix, and for the target of a link.
const NAME: usize = 100;
const PREFIX: usize = 155;
const LINK: usize = 100;

/// The pax records in which a layer for Windows tells of a file's attributes, of its security descriptor and of the time at
/// which it was made. Among the extended attributes of an entry they stand for themselves: no file on disk, and none in a
/// layer that is read, has extended attributes of such names.
pub const WINDOWS_ATTRIBUTES: &str = "MSWINDOWS.fileattr";
/// The security descriptor, in base64.
pub const WINDOWS_SECURITY: &str = "MSWINDOWS.rawsd";
/// The time at which the file was made, as seconds since 1970 with a fraction.
pub const WINDOWS_CREATED: &str = "LIBARCHIVE.creationtime";

/// The name that Python's tarfile gives its pax headers.
const PAX_NAME: &[u8] = b"././@PaxHeader";

/// How exactly a tar tells times.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum TimePrecision {
    /// In whole seconds, as layers of images that are made here have them.
    #[default]
    Seconds,
    /// To the nanosecond.
    Exact,
}

/// All that the header of an entry tells.
pub(super) struct Head<'a> {
    /// With a slash behind it for a directory.
    pub path: &'a [u8],
    pub entry_type: EntryType,
    /// The target of a link of either kind.
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

/// Returns the header records of `entry`: a whole number of 512-byte records, a function of the entry and of `times` alone.
pub(super) fn header(entry: &Entry, times: TimePrecision) -> Result<Vec<u8>> {
    records(&head(entry, &path(entry), times))
}

/// Returns the length of [`header`], in bytes.
pub(super) fn header_size(entry: &Entry, times: TimePrecision) -> Result<u64> {
    Ok(match extension(&head(entry, &path(entry), times))?.len() as u64 {
        0 => RECORD,
        length => RECORD + padded(length) + RECORD,
    })
}

/// Returns the header records that tell `head`, a function of it alone.
pub(super) fn records(head: &Head<'_>) -> Result<Vec<u8>> {
    let extension = extension(head)?;
    let mut header = plain_header(head.entry_type, head.mode);
    if let Some(ustar) = header.as_ustar_mut() {
        octal(&mut ustar.dev_major, head.device.0.into());
        octal(&mut ustar.dev_minor, head.device.1.into());
        let (prefix, name) = split(head.path).unwrap_or((b"", &head.path[..head.path.len().min(NAME)]));
        ustar.prefix[..prefix.len()].copy_from_slice(prefix);
        ustar.name[..name.len()].copy_from_slice(name);
    }
    let old = header.as_old_mut();
    if let Some(target) = head.target {
        let fits = target.len().min(LINK);
        old.linkname[..fits].copy_from_slice(&target[..fits]);
    }
    // A number that its field cannot hold is 0 there, as Go's writer has it; the pax record stands for it.
    octal(&mut old.size, within(head.size, LARGEST_NUMBER).unwrap_or(0));
    octal(&mut old.uid, within(head.user, LARGEST_ID).unwrap_or(0));
    octal(&mut old.gid, within(head.group, LARGEST_ID).unwrap_or(0));
    octal(&mut old.mtime, within(head.modified.seconds, LARGEST_NUMBER).unwrap_or(0));
    seal(&mut header);
    let mut bytes = if extension.is_empty() { Vec::new() } else { pax_header(&extension) };
    bytes.extend_from_slice(header.as_bytes());
    Ok(bytes)
}

/// Returns `size` and the padding behind it.
pub fn padded(size: u64) -> u64 {
    size.next_multiple_of(RECORD)
}

/// With a slash behind it for a directory; the root is `./`, as other programs write it.
fn path(entry: &Entry) -> Cow<'_, [u8]> {
    match entry.kind {
        Kind::Directory if entry.path.is_empty() => b"./".into(),
        Kind::Directory => [&entry.path, &b"/"[..]].concat().into(),
        _ => entry.path.as_slice().into(),
    }
}

fn head<'a>(entry: &'a Entry, path: &'a [u8], times: TimePrecision) -> Head<'a> {
    let (entry_type, target) = match &entry.kind {
        Kind::File(_) => (EntryType::Regular, None),
        Kind::Directory => (EntryType::Directory, None),
        Kind::Symlink { target } => (EntryType::Symlink, Some(target.as_slice())),
        Kind::HardLink { target } => (EntryType::Link, Some(target.as_slice())),
        Kind::Fifo => (EntryType::Fifo, None),
        Kind::CharacterDevice { .. } => (EntryType::Char, None),
        Kind::BlockDevice { .. } => (EntryType::Block, None),
    };
    let device = match entry.kind {
        Kind::CharacterDevice { major, minor } | Kind::BlockDevice { major, minor } => (major, minor),
        _ => (0, 0),
    };
    let Attributes { mode, user, group, modified, xattrs } = &entry.attributes;
    Head {
        path,
        entry_type,
        target,
        size: entry.content_size(),
        mode: *mode,
        user: (*user).into(),
        group: (*group).into(),
        modified: match times {
            TimePrecision::Seconds => Time::of_seconds(modified.seconds),
            TimePrecision::Exact => *modified,
        },
        device,
        xattrs,
    }
}

/// The pax records of what a plain header cannot tell; mostly none.
fn extension(head: &Head<'_>) -> Result<Vec<u8>> {
    let mut records = Vec::new();
    let mut add = |key: &str, value: &[u8]| records.extend_from_slice(&record(key.as_bytes(), value));
    if split(head.path).is_none() {
        add("path", head.path);
    }
    if let Some(target) = head.target.filter(|target| target.len() > LINK) {
        add("linkpath", target);
    }
    let numbers =
        [("size", head.size, LARGEST_NUMBER), ("uid", head.user, LARGEST_ID), ("gid", head.group, LARGEST_ID)];
    for (key, number, _) in numbers.into_iter().filter(|(_, number, largest)| number > largest) {
        add(key, number.to_string().as_bytes());
    }
    if head.modified.nanoseconds != 0 || within(head.modified.seconds, LARGEST_NUMBER).is_none() {
        add("mtime", head.modified.to_string().as_bytes());
    }
    for (name, value) in head.xattrs {
        let name = std::str::from_utf8(name).ok().filter(|name| !name.contains('=')).ok_or_else(|| {
            let (name, path) = (String::from_utf8_lossy(name), String::from_utf8_lossy(head.path));
            let path = path.trim_end_matches('/');
            Error::input(format!("the extended attribute `{name}` of {path} has a name that no tar can hold"))
        })?;
        match name {
            WINDOWS_ATTRIBUTES | WINDOWS_SECURITY | WINDOWS_CREATED => add(name, value),
            _ => add(&format!("SCHILY.xattr.{name}"), value),
        }
    }
    Ok(records)
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

/// Returns the header of type `x` that holds `records`, padded.
pub(super) fn pax_header(records: &[u8]) -> Vec<u8> {
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
pub(super) fn seal(header: &mut Header) {
    header.as_old_mut().cksum = [b' '; 8];
    let sum: u32 = header.as_bytes().iter().map(|byte| u32::from(*byte)).sum();
    // 512 bytes of 255 have a sum of six digits.
    octal(&mut header.as_old_mut().cksum[..7], sum.into());
}

/// Fills a field with the digits of `number`, as many as there is room for, and a NUL.
fn octal(field: &mut [u8], number: u64) {
    if let Some((end, digits)) = field.split_last_mut() {
        *end = 0;
        let mut left = number;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (left % 8) as u8;
            left /= 8;
        }
    }
}

fn within(number: impl TryInto<u64>, largest: u64) -> Option<u64> {
    number.try_into().ok().filter(|number| *number <= largest)
}

/// Returns `length key=value` and a newline, where the length is that of the whole record with its own digits.
pub(super) fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() > length {
        length += 1;
    }
    [format!("{length} ").as_bytes(), key, b"=", value, b"\n"].concat()
}

/// Returns what the fields for prefix and name hold of `path`: all of it in the name, or split between them at a slash
/// that neither has. None if there is no room.
fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.len() <= NAME {
        return Some((b"", path));
    }
    // A directory's own last slash must stay in the name.
    let fits = |at: &usize| path[*at] == b'/' && *at <= PREFIX && path.len() - at - 1 <= NAME;
    (1..path.len() - 1).find(fits).map(|at| (&path[..at], &path[at + 1..]))
}
