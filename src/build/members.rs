//! The members of a layer as a record of the local store.

use std::collections::BTreeMap;
use std::io::Read;

use crate::layer::{Member, Object};
use crate::tree::{Attributes, Time};

/// The most that a record is taken to unpack to, in bytes: what layers may have in paths and attributes, and then some.
const LARGEST: u64 = 1 << 30;

/// `members` as bytes.
pub fn encoded(members: &[Member]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(members.len() * 96);
    for Member { path, object, attributes } in members {
        let Attributes { mode, user, group, modified, xattrs } = attributes;
        text(&mut plain, path);
        for number in [*mode, *user, *group, modified.nanoseconds] {
            plain.extend_from_slice(&number.to_le_bytes());
        }
        plain.extend_from_slice(&modified.seconds.to_le_bytes());
        plain.extend_from_slice(&(xattrs.len() as u32).to_le_bytes());
        for (name, value) in xattrs {
            text(&mut plain, name);
            text(&mut plain, value);
        }
        let (kind, numbers, target): (u8, [u64; 2], &[u8]) = match object {
            Object::File { offset, size } => (0, [*offset, *size], &[]),
            Object::Directory => (1, [0; 2], &[]),
            Object::Symlink { target } => (2, [0; 2], target),
            Object::HardLink { target } => (3, [0; 2], target),
            Object::Fifo => (4, [0; 2], &[]),
            Object::CharacterDevice { major, minor } => (5, [(*major).into(), (*minor).into()], &[]),
            Object::BlockDevice { major, minor } => (6, [(*major).into(), (*minor).into()], &[]),
        };
        plain.push(kind);
        numbers.iter().for_each(|number| plain.extend_from_slice(&number.to_le_bytes()));
        text(&mut plain, target);
    }
    // Small enough to be read in no time; what cannot be compressed is noted as an empty record, which is none.
    zstd::bulk::compress(&plain, 1).unwrap_or_default()
}

/// The members that became `bytes`; none if it is nothing of the kind.
pub fn decoded(bytes: &[u8]) -> Option<Vec<Member>> {
    let mut plain = Vec::new();
    let decoder = zstd::stream::read::Decoder::new(bytes).ok().filter(|_| !bytes.is_empty())?;
    decoder.take(LARGEST).read_to_end(&mut plain).ok()?;
    let mut rest = &plain[..];
    let mut members = Vec::new();
    while !rest.is_empty() {
        members.push(member(&mut rest)?);
    }
    Some(members)
}

fn member(rest: &mut &[u8]) -> Option<Member> {
    let path = bytes(rest)?;
    let [mode, user, group, nanoseconds] = [small(rest)?, small(rest)?, small(rest)?, small(rest)?];
    let modified = Time { seconds: i64::from_le_bytes(take(rest)?), nanoseconds };
    let mut xattrs = BTreeMap::new();
    for _ in 0..small(rest)? {
        xattrs.insert(bytes(rest)?, bytes(rest)?);
    }
    let [kind] = take(rest)?;
    let [first, second] = [u64::from_le_bytes(take(rest)?), u64::from_le_bytes(take(rest)?)];
    let target = bytes(rest)?;
    let device = || Some((u32::try_from(first).ok()?, u32::try_from(second).ok()?));
    let object = match kind {
        0 => Object::File { offset: first, size: second },
        1 => Object::Directory,
        2 => Object::Symlink { target },
        3 => Object::HardLink { target },
        4 => Object::Fifo,
        5 => device().map(|(major, minor)| Object::CharacterDevice { major, minor })?,
        6 => device().map(|(major, minor)| Object::BlockDevice { major, minor })?,
        _ => return None,
    };
    Some(Member { path, object, attributes: Attributes { mode, user, group, modified, xattrs } })
}

fn text(plain: &mut Vec<u8>, bytes: &[u8]) {
    plain.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    plain.extend_from_slice(bytes);
}

fn bytes(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let length = small(rest)? as usize;
    let (bytes, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(bytes.to_vec())
}

fn small(rest: &mut &[u8]) -> Option<u32> {
    take(rest).map(u32::from_le_bytes)
}

fn take<const COUNT: usize>(rest: &mut &[u8]) -> Option<[u8; COUNT]> {
    let (taken, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_read_as_they_were_noted() {
        let attributes = Attributes {
            mode: 0o6755,
            user: 1000,
            group: u32::MAX - 1,
            modified: Time { seconds: -5, nanoseconds: 999_999_999 },
            xattrs: BTreeMap::from([(b"user.a".to_vec(), vec![0, 255]), (b"user.b".to_vec(), Vec::new())]),
        };
        let objects = [
            Object::File { offset: 512, size: u64::MAX },
            Object::Directory,
            Object::Symlink { target: b"../x".to_vec() },
            Object::HardLink { target: b"caf\xe9".to_vec() },
            Object::Fifo,
            Object::CharacterDevice { major: 1, minor: 3 },
            Object::BlockDevice { major: 8, minor: 0 },
        ];
        let member =
            |object: &Object| Member { path: b"a/b".to_vec(), object: object.clone(), attributes: attributes.clone() };
        let members: Vec<Member> = objects.iter().map(member).collect();
        let noted = encoded(&members);
        assert_eq!(decoded(&noted).unwrap(), members);
        assert_eq!(decoded(&encoded(&[])).unwrap(), []);
        let plain = zstd::stream::decode_all(&noted[..]).unwrap();
        for length in 1..plain.len() {
            let cut = zstd::bulk::compress(&plain[..length], 1).unwrap();
            assert!(decoded(&cut).is_none_or(|cut| cut.len() < members.len()), "{length}");
        }
        assert!(decoded(b"").is_none());
        assert!(decoded(b"no record").is_none());
    }
}
