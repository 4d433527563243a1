//! The members of a layer as a record of the local store.

use std::collections::BTreeMap;
use std::io::Read;

use crate::layer::{Extent, Member};
use crate::tree::{Attributes, Kind, Time};

/// The most that a record is taken to unpack to, in bytes: what layers may have in paths and attributes, and then some.
const LARGEST: u64 = 1 << 30;

/// Returns `members` as bytes.
pub fn encoded(members: &[Member]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(members.len() * 96);
    for Member { path, kind, attributes } in members {
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
        let (number, numbers, target): (u8, [u64; 2], &[u8]) = match kind {
            Kind::File(Extent { offset, size }) => (0, [*offset, *size], &[]),
            Kind::Directory => (1, [0; 2], &[]),
            Kind::Symlink { target } => (2, [0; 2], target),
            Kind::HardLink { target } => (3, [0; 2], target),
            Kind::Fifo => (4, [0; 2], &[]),
            Kind::CharacterDevice { major, minor } => (5, [(*major).into(), (*minor).into()], &[]),
            Kind::BlockDevice { major, minor } => (6, [(*major).into(), (*minor).into()], &[]),
        };
        plain.push(number);
        numbers.iter().for_each(|number| plain.extend_from_slice(&number.to_le_bytes()));
        text(&mut plain, target);
    }
    // Small enough to be read in no time; what cannot be compressed is noted as an empty record, which is none.
    zstd::bulk::compress(&plain, 1).unwrap_or_default()
}

/// Returns the members that became `bytes`; none if it is nothing of the kind.
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
    let [number] = take(rest)?;
    let [first, second] = [u64::from_le_bytes(take(rest)?), u64::from_le_bytes(take(rest)?)];
    let target = bytes(rest)?;
    let device = || Some((u32::try_from(first).ok()?, u32::try_from(second).ok()?));
    let kind = match number {
        0 => Kind::File(Extent { offset: first, size: second }),
        1 => Kind::Directory,
        2 => Kind::Symlink { target },
        3 => Kind::HardLink { target },
        4 => Kind::Fifo,
        5 => device().map(|(major, minor)| Kind::CharacterDevice { major, minor })?,
        6 => device().map(|(major, minor)| Kind::BlockDevice { major, minor })?,
        _ => return None,
    };
    Some(Member { path, kind, attributes: Attributes { mode, user, group, modified, xattrs } })
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
        let kinds = [
            Kind::File(Extent { offset: 512, size: u64::MAX }),
            Kind::Directory,
            Kind::Symlink { target: b"../x".to_vec() },
            Kind::HardLink { target: b"caf\xe9".to_vec() },
            Kind::Fifo,
            Kind::CharacterDevice { major: 1, minor: 3 },
            Kind::BlockDevice { major: 8, minor: 0 },
        ];
        let member =
            |kind: &Kind<Extent>| Member { path: b"a/b".to_vec(), kind: kind.clone(), attributes: attributes.clone() };
        let members: Vec<Member> = kinds.iter().map(member).collect();
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
