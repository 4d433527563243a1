//! The geometry of a layer's tar, known from the entries before a byte of content is read: where each entry begins and
//! where the stream is cut into the blocks that are compressed one by one.

use std::ops::Range;

use rayon::prelude::*;

use super::deflate::Plain;
use crate::error::Result;
use crate::layer::tar::{TRAILER, TimePrecision, header_size, padded};
use crate::oci::Digest;
use crate::tree::{Entry, Kind};

/// No block is longer.
pub const LONGEST_BLOCK: u64 = Plain::LONGEST as u64;

/// A file of this size or more begins a block of its own and is cut at every multiple of it.
const LARGE_FILE: u64 = 3 << 18;

/// On average a block ends after this many bytes of small entries, and never before the second number.
const USUAL_BLOCK: u64 = 1 << 19;
const SHORTEST_BLOCK: u64 = 3 << 15;

/// Where everything stands in the tar of a layer. Offsets are in bytes from its beginning.
pub struct Geometry {
    /// The offset of each entry's header, and behind the last the offset of the trailer.
    pub offsets: Vec<u64>,
    /// One behind the other, without a gap, from 0 to the end of the trailer.
    pub blocks: Vec<Range<u64>>,
}

impl Geometry {
    /// Cuts depend on entries near them and not on offsets, so that a layer in which one file changed keeps nearly all
    /// of its blocks: small entries end a block with a chance that grows with their length and is drawn from the
    /// digest of their path, large files are cut from their own beginning.
    pub fn of(entries: &[Entry], times: TimePrecision) -> Result<Geometry> {
        let lengths: Vec<u64> = entries
            .par_iter()
            .map(|entry| Ok(header_size(entry, times)? + padded(entry.content_size())))
            .collect::<Result<_>>()?;
        let mut offsets = Vec::with_capacity(entries.len() + 1);
        let mut cuts = Cuts::default();
        let mut at = 0;
        for (entry, length) in entries.iter().zip(lengths) {
            offsets.push(at);
            let end = at + length;
            if length >= LARGE_FILE && matches!(entry.kind, Kind::File(_)) {
                cuts.cut(at);
                (1..=length / LARGE_FILE).for_each(|nth| cuts.cut(at + nth * LARGE_FILE));
            } else {
                if end - cuts.start > LONGEST_BLOCK {
                    cuts.cut(at);
                }
                if end - cuts.start >= SHORTEST_BLOCK && draw(&entry.path) < length as f64 / USUAL_BLOCK as f64 {
                    cuts.cut(end);
                }
            }
            at = end;
        }
        offsets.push(at);
        let end = at + TRAILER;
        if end - cuts.start > LONGEST_BLOCK {
            cuts.cut(at);
        }
        cuts.cut(end);
        Ok(Geometry { offsets, blocks: cuts.blocks })
    }

    /// Returns the size of the whole tar, in bytes.
    pub fn size(&self) -> u64 {
        self.blocks.last().map_or(0, |last| last.end)
    }
}

/// The blocks so far, and where the next one begins.
#[derive(Default)]
pub struct Cuts {
    pub start: u64,
    pub blocks: Vec<Range<u64>>,
}

impl Cuts {
    /// Ends a block, unless one ends there already.
    pub fn cut(&mut self, at: u64) {
        if at > self.start {
            self.blocks.push(self.start..at);
            self.start = at;
        }
    }
}

/// A number from 0 to 1 that is the same for a path everywhere and always.
fn draw(path: &[u8]) -> f64 {
    let digest = Digest::of(path);
    let [a, b, c, d, ..] = *digest.as_bytes();
    f64::from(u32::from_be_bytes([a, b, c, d])) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::layer::tar::header;
    use crate::tree::DiskFile;
    use crate::tree::{Content, Identity};

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn blocks_tile_the_stream(sizes in vec(prop_oneof![0u64..5000, 0u64..3 << 20, Just((1 << 20) - 512)], 0..60)) {
            let entries: Vec<Entry> =
                sizes.iter().enumerate().map(|(number, size)| file_of_size(number, *size)).collect();
            let geometry = Geometry::of(&entries, TimePrecision::Seconds).unwrap();
            let content: u64 = sizes.iter().map(|size| 512 + size.div_ceil(512) * 512).sum();
            prop_assert_eq!(geometry.size(), content + 1024);
            prop_assert_eq!(*geometry.offsets.last().unwrap(), content);
            let mut at = 0;
            for block in &geometry.blocks {
                prop_assert_eq!(block.start, at);
                prop_assert!(block.end > block.start && block.end - block.start <= LONGEST_BLOCK);
                at = block.end;
            }
            prop_assert_eq!(at, geometry.size());
        }
    }

    #[test]
    fn most_blocks_survive_a_change() {
        let before = tree();
        let blocks_before = blocks(&before);
        assert!(blocks_before.len() > 40);
        let check = |what: &str, at: usize, after: &[Entry]| {
            let kept = blocks_before.intersection(&blocks(after)).count() as f64 / blocks_before.len() as f64;
            assert!((0.95..1.0).contains(&kept), "{what} at {at}: {kept} stay");
        };
        for at in [0, 699, 701, 1500, 2998] {
            let changed = |content| [&before[..at], &[file(at, content)], &before[at + 1..]].concat();
            let size = before[at].content_size() as usize;
            check("other content", at, &changed(vec![1; size]));
            check("a record more", at, &changed(vec![1; size + 512]));
            check("emptied", at, &changed(Vec::new()));
            check("large by now", at, &changed(vec![1; 2_500_000]));
            check("deleted", at, &[&before[..at], &before[at + 1..]].concat());
            let new = file_at(format!("{at:05}-").into_bytes(), vec![7; 10_000]);
            check("added", at, &[&before[..at], &[new], &before[at..]].concat());
        }
        let large = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut content = content(LARGE, 5 << 20);
            change(&mut content);
            [&before[..LARGE], &[file(LARGE, content)], &before[LARGE + 1..]].concat()
        };
        check("one byte of a large file", LARGE, &large(&|content| content[3_000_000] = 1));
        check("a large file's end", LARGE, &large(&|content| content.extend([9; 300_000])));
    }

    const LARGE: usize = 1501;

    /// 3000 small files, and three large ones among them.
    fn tree() -> Vec<Entry> {
        let size = |number| match number {
            700 => 3_000_000,
            LARGE => 5 << 20,
            2200 => 1 << 20,
            _ => 1 + number * 7919 % 20_000,
        };
        (0..3000).map(|number| file(number, content(number, size(number)))).collect()
    }

    /// Different in each 64 KiB.
    fn content(number: usize, size: usize) -> Vec<u8> {
        let part = 1 << 16;
        (0..size.div_ceil(part)).flat_map(|at| vec![(number + at) as u8; part.min(size - at * part)]).collect()
    }

    fn file(number: usize, content: Vec<u8>) -> Entry {
        file_at(format!("{number:05}").into_bytes(), content)
    }

    fn file_at(path: Vec<u8>, content: Vec<u8>) -> Entry {
        Entry { kind: Kind::File(Content::Bytes(content.into())), ..Entry::directory(path, 0) }
    }

    /// A file that is not there; the geometry does not look at its content.
    fn file_of_size(number: usize, size: u64) -> Entry {
        let identity = Identity { device: 0, inode: 0, links: 1, size, modified: (0, 0), changed: (0, 0) };
        let kind = Kind::File(Content::Disk(
            DiskFile {
                directory: std::path::Path::new("").into(),
                name: b"a"[..].into(),
                identity,
                tells_changes: true,
            }
            .into(),
        ));
        Entry { kind, ..Entry::directory(format!("{number:05}").into_bytes(), 0) }
    }

    /// The digests of what is in each block.
    fn blocks(entries: &[Entry]) -> BTreeSet<Digest> {
        let mut tar = Vec::new();
        for entry in entries {
            tar.extend(header(entry, TimePrecision::Seconds).unwrap());
            if let Kind::File(Content::Bytes(bytes)) = &entry.kind {
                tar.extend_from_slice(bytes);
            }
            tar.resize(padded(tar.len() as u64) as usize, 0);
        }
        tar.resize(tar.len() + TRAILER as usize, 0);
        let geometry = Geometry::of(entries, TimePrecision::Seconds).unwrap();
        assert_eq!(geometry.size(), tar.len() as u64);
        geometry.blocks.iter().map(|block| Digest::of(&tar[block.start as usize..block.end as usize])).collect()
    }
}
