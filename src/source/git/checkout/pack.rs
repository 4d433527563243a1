//! One object out of a pack (gitformat-pack(5)), which is read where that object is and nowhere else.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;

use super::inflate::{FileFrom, OBJECT_LIMIT, inflated, malformed};
use super::object_id::{ObjectFormat, ObjectId};

/// A pack of objects, and its index.
pub(super) struct Pack {
    /// Says where in the file objects are; of version 1 or 2.
    pub index: File,
    pub file: File,
    pub format: ObjectFormat,
}

/// Git makes chains of 50 changes, and of 4095 at the most.
const DELTA_DEPTH: usize = 4096;

const INDEX_MAGIC: [u8; 8] = *b"\xfftOc\0\0\0\x02";

/// The object that another one is a change of.
enum DeltaBase {
    None,
    At(u64),
}

impl Pack {
    /// Returns the kind and the content of an object; none if it is not in the pack. Fails for a pack that is
    /// malformed.
    pub fn object(&self, id: &ObjectId) -> io::Result<Option<(String, Vec<u8>)>> {
        self.find(id)?.map(|offset| self.object_at(offset)).transpose()
    }

    fn find(&self, id: &ObjectId) -> io::Result<Option<u64>> {
        let (index, length) = (&self.index, self.format.length() as u64);
        let is_first_version = bytes::<8>(index, 0)? != INDEX_MAGIC;
        // Of each first byte, how many names begin with it or a smaller one.
        let fan_out = if is_first_version { 0 } else { 8 };
        let number = |at: u64| bytes(index, at).map(|bytes| u64::from(u32::from_be_bytes(bytes)));
        let first = u64::from(id.as_bytes()[0]);
        let mut low = if first == 0 { 0 } else { number(fan_out + 4 * (first - 1))? };
        let mut high = number(fan_out + 4 * first)?;
        let count = number(fan_out + 4 * 255)?;
        let names = fan_out + 1024;
        let (stride, before) = if is_first_version { (length + 4, 4) } else { (length, 0) };
        let mut name = vec![0; self.format.length()];
        while low < high {
            let middle = low + (high - low) / 2;
            index.read_exact_at(&mut name, names + middle * stride + before)?;
            match id.as_bytes().cmp(&name) {
                std::cmp::Ordering::Less => high = middle,
                std::cmp::Ordering::Greater => low = middle + 1,
                std::cmp::Ordering::Equal if is_first_version => return number(names + middle * stride).map(Some),
                std::cmp::Ordering::Equal => {
                    // Behind the names stand their checksums, of 4 bytes each.
                    let offsets = names + count * (length + 4);
                    let offset = number(offsets + 4 * middle)?;
                    let large = offset.checked_sub(1 << 31);
                    let Some(large) = large else { return Ok(Some(offset)) };
                    return bytes(index, offsets + 4 * count + 8 * large).map(u64::from_be_bytes).map(Some);
                }
            }
        }
        Ok(None)
    }

    fn object_at(&self, offset: u64) -> io::Result<(String, Vec<u8>)> {
        let mut changes: Vec<Vec<u8>> = Vec::new();
        let (mut at, mut left) = (offset, OBJECT_LIMIT);
        loop {
            let (kind, base, content) = self.entry(at, left)?;
            left -= content.len();
            match base {
                DeltaBase::None => {
                    let content = changes.iter().rev().try_fold(content, |base, change| changed(&base, change))?;
                    return Ok((kind.to_owned(), content));
                }
                DeltaBase::At(_) if changes.len() == DELTA_DEPTH => return Err(malformed("an object has no end")),
                DeltaBase::At(base) => {
                    changes.push(content);
                    at = base;
                }
            }
        }
    }

    /// Returns what is at `offset`, as it is stored: an object, or a change of another one.
    fn entry(&self, offset: u64, limit: usize) -> io::Result<(&'static str, DeltaBase, Vec<u8>)> {
        let mut input = BufReader::new(FileFrom { file: &self.file, offset });
        let first = byte(&mut input)?;
        let mut has_more = first & 0x80 != 0;
        while has_more {
            has_more = byte(&mut input)? & 0x80 != 0; // the size, which the content shows
        }
        let (kind, base) = match first >> 4 & 7 {
            1 => ("commit", DeltaBase::None),
            2 => ("tree", DeltaBase::None),
            3 => ("blob", DeltaBase::None),
            4 => ("tag", DeltaBase::None),
            6 => {
                let distance = distance(&mut input)?;
                let base = offset.checked_sub(distance).filter(|_| distance > 0);
                ("", DeltaBase::At(base.ok_or_else(|| malformed("an object is a change of nothing"))?))
            }
            7 => {
                let mut name = vec![0; self.format.length()];
                input.read_exact(&mut name)?;
                let base = self.format.read(&name).map(|base| self.find(&base)).transpose()?.flatten();
                ("", DeltaBase::At(base.ok_or_else(|| malformed("an object is a change of one that is missing"))?))
            }
            _ => return Err(malformed("an object is of a kind that a pack of a repository does not have")),
        };
        Ok((kind, base, inflated(input, limit)?))
    }
}

/// Reads how far before its change an object is: 7 bits a byte, each further byte counted from 1.
fn distance(input: &mut impl Read) -> io::Result<u64> {
    let mut next = byte(input)?;
    let mut distance = u64::from(next & 0x7f);
    while next & 0x80 != 0 {
        if distance >= 1 << 50 {
            return Err(malformed("an object is a change of nothing"));
        }
        next = byte(input)?;
        distance = (distance + 1) << 7 | u64::from(next & 0x7f);
    }
    Ok(distance)
}

/// Returns what a change makes of `base`.
fn changed(base: &[u8], change: &[u8]) -> io::Result<Vec<u8>> {
    let wrong = || malformed("a change of an object is malformed");
    let mut input = change;
    let (before, after) = (size(&mut input)?, size(&mut input)?);
    if before != base.len() || after > OBJECT_LIMIT {
        return Err(wrong());
    }
    let mut content = Vec::new();
    while !input.is_empty() {
        let instruction = byte(&mut input)?;
        let taken = if instruction & 0x80 != 0 {
            let mut number = |bits: std::ops::Range<u32>| {
                let mut number = 0;
                for (place, _) in bits.enumerate().filter(|(_, bit)| instruction & 1 << bit != 0) {
                    number |= usize::from(byte(&mut input)?) << (8 * place);
                }
                io::Result::Ok(number)
            };
            let (start, count) = (number(0..4)?, number(4..7)?);
            base.get(start..start + if count == 0 { 0x10000 } else { count }).ok_or_else(wrong)?
        } else {
            // 0 is not given a meaning yet.
            let count = Some(usize::from(instruction)).filter(|count| *count > 0).ok_or_else(wrong)?;
            let (taken, rest) = input.split_at_checked(count).ok_or_else(wrong)?;
            input = rest;
            taken
        };
        if content.len() + taken.len() > after {
            return Err(wrong());
        }
        content.extend_from_slice(taken);
    }
    if content.len() == after { Ok(content) } else { Err(wrong()) }
}

/// 7 bits a byte, the lowest first.
fn size(input: &mut impl Read) -> io::Result<usize> {
    let mut size = 0;
    for shift in (0..35).step_by(7) {
        let next = byte(input)?;
        size |= usize::from(next & 0x7f) << shift;
        if next & 0x80 == 0 {
            return Ok(size);
        }
    }
    Err(malformed("a change of an object is malformed"))
}

fn byte(input: &mut impl Read) -> io::Result<u8> {
    let mut byte = [0];
    input.read_exact(&mut byte)?;
    Ok(byte[0])
}

fn bytes<const N: usize>(file: &File, at: u64) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact_at(&mut bytes, at)?;
    Ok(bytes)
}
