//! Gzip whose stream can be taken up in the middle is read by several threads: whatever looks like such a place, the content
//! is the same.

use std::io::{Cursor, Read, Write};

use flate2::write::GzEncoder;
use flate2::{Compress, Crc, FlushCompress};
use ocibake::error::Result;
use ocibake::layer::{Compression, Layer, read_members};
use ocibake::oci::{Descriptor, Digest, VerifyingReader};
use ocibake::tree::{Entry, Limits};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::entry::{file, write};
use crate::support::handmade::GZIP;
use crate::support::noise::noise;

/// Reads `blob` on one thread and on several: the digest of what it holds is what is asked for.
fn holds(blob: &[u8], content: &[u8]) -> Result<()> {
    let layer = Layer { descriptor: Descriptor::of(GZIP, blob), diff_id: Digest::of(content) };
    let open = |it: &Descriptor| {
        Ok(Box::new(VerifyingReader::new(Cursor::new(blob), it.digest, it.size)) as Box<dyn Read + Send + '_>)
    };
    for threads in [1, 2, 5] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        read_members(std::slice::from_ref(&layer), &open, Limits::of_build(), &pool)?;
    }
    Ok(())
}

/// A tar of one file.
fn tar_of(content: &[u8]) -> Vec<u8> {
    let written = write(&[file("it", content)], Compression::None, 1);
    written.sink
}

/// What looks like the end of a piece, everywhere.
fn markers(length: usize) -> Vec<u8> {
    let mut bytes = noise(3, length);
    for at in (0..length.saturating_sub(4)).step_by(1009) {
        bytes[at..at + 4].copy_from_slice(&[0, 0, 0xff, 0xff]);
    }
    bytes
}

/// Text that repeats itself across more than any window.
fn text(length: usize) -> Vec<u8> {
    (0..).flat_map(|line: u32| format!("line {} of {}\n", line % 1013, line / 7).into_bytes()).take(length).collect()
}

/// A member whose stream is flushed so every so many bytes.
fn flushed(content: &[u8], every: usize, how: FlushCompress) -> Vec<u8> {
    let mut compress = Compress::new(flate2::Compression::new(6), false);
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    for part in content.chunks(every) {
        out.reserve(part.len() + (1 << 16));
        let before = compress.total_in();
        compress.compress_vec(part, &mut out, how).unwrap();
        assert_eq!(compress.total_in() - before, part.len() as u64);
    }
    out.reserve(1 << 16);
    compress.compress_vec(&[], &mut out, FlushCompress::Finish).unwrap();
    let mut crc = Crc::new();
    crc.update(content);
    out.extend_from_slice(&crc.sum().to_le_bytes());
    out.extend_from_slice(&crc.amount().to_le_bytes());
    out
}

fn plain_member(content: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::new(level));
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn layers_that_were_made_here_are_read() {
    let contents = [Vec::new(), text(5_000_000), markers(3_000_000), noise(1, 2_500_000), vec![0; 4_000_000]];
    for content in contents {
        for compression in ["gzip:1", "gzip:5", "gzip:9", "estargz:5"] {
            let entries: Vec<Entry> = vec![file("it", &content), file("small", "small")];
            let compression: Compression = compression.parse().unwrap();
            let written = write(&entries, compression, 2);
            let tar = write(&entries, Compression::None, 1).sink;
            // What estargz adds to the tar stands in its blob alone.
            let tar = if let Compression::Estargz(_) = compression { decompressed(&written.sink) } else { tar };
            holds(&written.sink, &tar).unwrap_or_else(|error| panic!("{compression}, {}: {error:?}", content.len()));
        }
    }
}

fn decompressed(blob: &[u8]) -> Vec<u8> {
    let mut tar = Vec::new();
    flate2::read::MultiGzDecoder::new(blob).read_to_end(&mut tar).unwrap();
    tar
}

#[test]
fn streams_of_others_are_read_wherever_they_are_flushed() {
    for content in [text(2_500_000), markers(1_500_000), noise(2, 1_500_000)] {
        let tar = tar_of(&content);
        for every in [70_000, 128 << 10, 1 << 20] {
            for how in [FlushCompress::Sync, FlushCompress::Full, FlushCompress::None] {
                holds(&flushed(&tar, every, how), &tar).unwrap_or_else(|error| panic!("{every} {how:?}: {error:?}"));
            }
        }
        for level in [0, 1, 6, 9] {
            holds(&plain_member(&tar, level), &tar).unwrap();
        }
    }
}

#[test]
fn members_may_follow_each_other_in_any_form() {
    let tar = tar_of(&text(3_000_000));
    let (first, second) = tar.split_at(1_700_000);
    let forms = |part: &[u8]| {
        [
            plain_member(part, 6),
            flushed(part, 100_000, FlushCompress::Full),
            flushed(part, 100_000, FlushCompress::Sync),
        ]
    };
    for first in forms(first) {
        for second in forms(second) {
            holds(&[&first[..], &second, &plain_member(&[], 6)].concat(), &tar).unwrap();
        }
    }
}

#[test]
fn what_is_damaged_is_refused() {
    for content in [text(3_000_000), markers(2_500_000)] {
        let written = write(&[file("it", &content)], Compression::Gzip(5), 2);
        let tar = write(&[file("it", &content)], Compression::None, 1).sink;
        let blob = written.sink;
        holds(&blob, &tar).unwrap();
        let refused = |bytes: &[u8]| {
            let error = holds(bytes, &tar).unwrap_err();
            assert!(error.message.contains("sha256:"), "{error:?}");
            error
        };
        for length in [0, 5, 10, 11, blob.len() / 3, blob.len() - 9, blob.len() - 8, blob.len() - 1] {
            refused(&blob[..length]);
        }
        // The byte before the trailer has bits that nobody reads.
        for at in [1, 2, blob.len() / 2, blob.len() - 8, blob.len() - 1] {
            let mut bytes = blob.clone();
            bytes[at] ^= 0x40;
            refused(&bytes);
        }
        let error = refused(&[&blob[..], b"and something behind it"].concat());
        assert!(error.message.contains("cannot be decompressed"), "{error:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, failure_persistence: None, ..ProptestConfig::default() })]

    /// Parts of every kind, each flushed in its own way.
    #[test]
    fn any_mixture_is_read(parts in vec((0..4usize, 1..200_000usize, any::<bool>()), 1..8)) {
        let mut content = Vec::new();
        for (kind, length, _) in &parts {
            content.extend(match kind {
                0 => text(*length),
                1 => noise(*length as u64, *length),
                2 => markers(*length),
                _ => vec![0; *length],
            });
        }
        let tar = tar_of(&content);
        let every = parts[0].1;
        let how = if parts[0].2 { FlushCompress::Sync } else { FlushCompress::Full };
        holds(&flushed(&tar, every, how), &tar).unwrap();
        let written = write(&[file("it", &content)], Compression::Gzip(5), 2);
        holds(&written.sink, &tar).unwrap();
    }
}
