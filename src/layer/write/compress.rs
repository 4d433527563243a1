//! The forms in which layers are stored, and the compression of one block.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::deflate::{self, Deflater, Plain};
use crate::error::{Error, Result};
use crate::oci::{Descriptor, Digest, media_type};

/// How a layer is stored. The encoders' versions are pinned in `Cargo.lock`; a test holds the bytes they make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// The tar as it is.
    None,
    /// Level 1 to 12.
    Gzip(i32),
    /// gzip, but files can be read out of the compressed layer one by one; level 1 to 12.
    Estargz(i32),
    /// Level 1 to 19.
    Zstd(i32),
}

/// The annotation of a layer's descriptor that holds [`Compression::identity`].
const ENCODER: &str = "dev.ocibake.encoder";

/// How blocks are cut and joined. What changes that changes the number, and the pinned digests with it.
const FORM: &str = "form 1";

/// The encoder of this crate. What changes its bytes changes the number, and the pinned digests with it.
const DEFLATE: &str = "deflate 1";

const LIBDEFLATE: &str = "libdeflate-sys 1.26.1";
const LIBZSTD: &str = "zstd-sys 2.1.2+zstd.1.5.7";

const GZIP_LEVELS: RangeInclusive<i32> = 1..=12;
const ZSTD_LEVELS: RangeInclusive<i32> = 1..=19;

impl Default for Compression {
    fn default() -> Self {
        Compression::Gzip(5)
    }
}

impl Compression {
    /// Returns the type of layers that are stored so (image-spec, media-types.md).
    pub fn media_type(self) -> &'static str {
        match self {
            Compression::None => media_type::LAYER,
            Compression::Gzip(_) | Compression::Estargz(_) => media_type::LAYER_GZIP,
            Compression::Zstd(_) => media_type::LAYER_ZSTD,
        }
    }

    /// Names the encoder, its version and its level: all that a layer's bytes depend on beside its entries. A test holds
    /// the versions to those in `Cargo.lock`.
    pub fn identity(self) -> String {
        let encoder = match self {
            Compression::None => return self.to_string(),
            Compression::Gzip(level) | Compression::Estargz(level) if Deflater::is_libdeflate(level) => LIBDEFLATE,
            Compression::Gzip(_) | Compression::Estargz(_) => DEFLATE,
            Compression::Zstd(_) => LIBZSTD,
        };
        format!("{self}, {encoder}, {FORM}")
    }

    /// Returns the descriptor of a layer that is stored in this way. It says which encoder made the blob, so that a later build
    /// which finds the layer in an image knows whether its own would be the same.
    pub fn descriptor(self, digest: Digest, size: u64) -> Descriptor {
        let mut descriptor = Descriptor::new(self.media_type(), digest, size);
        descriptor.annotations.insert(ENCODER.to_owned(), self.identity());
        descriptor
    }

    /// Returns whether `layer` is, annotations and all, what would be stored here.
    pub fn stores_alike(self, layer: &Descriptor) -> bool {
        *layer == self.descriptor(layer.digest, layer.size)
    }

    /// Returns what stands before the first block.
    pub(super) fn head(self) -> &'static [u8] {
        match self {
            Compression::Gzip(_) => &deflate::MEMBER,
            Compression::None | Compression::Estargz(_) | Compression::Zstd(_) => &[],
        }
    }

    /// Returns what stands behind the last block of content with this CRC-32 and length.
    pub(super) fn tail(self, crc: u32, size: u64) -> Vec<u8> {
        match self {
            Compression::Gzip(_) => {
                let mut tail = deflate::END.to_vec();
                tail.extend_from_slice(&crc.to_le_bytes());
                // Modulo 2^32 (RFC 1952, 2.3.1).
                tail.extend_from_slice(&(size as u32).to_le_bytes());
                tail
            }
            Compression::None | Compression::Estargz(_) | Compression::Zstd(_) => Vec::new(),
        }
    }
}

impl FromStr for Compression {
    type Err = Error;

    /// `gzip[:LEVEL]`, `estargz[:LEVEL]`, `zstd[:LEVEL]` or `none`.
    fn from_str(text: &str) -> Result<Self> {
        let (name, level) = match text.split_once(':') {
            Some((name, level)) => (name, Some(level)),
            None => (text, None),
        };
        let wrong = || {
            Error::usage(format!("`{text}` is not a compression")).with_hint(
                "it must be gzip[:1 to 12], estargz[:1 to 12], zstd[:1 to 19], or none; a higher level is \
                    slower and smaller",
            )
        };
        match (name, level.map(str::parse::<i32>)) {
            ("none", None) => Ok(Compression::None),
            ("gzip", None) => Ok(Compression::default()),
            ("gzip", Some(Ok(level))) if GZIP_LEVELS.contains(&level) => Ok(Compression::Gzip(level)),
            ("estargz", None) => Ok(Compression::Estargz(5)),
            ("estargz", Some(Ok(level))) if GZIP_LEVELS.contains(&level) => Ok(Compression::Estargz(level)),
            ("zstd", None) => Ok(Compression::Zstd(3)),
            ("zstd", Some(Ok(level))) if ZSTD_LEVELS.contains(&level) => Ok(Compression::Zstd(level)),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Compression::None => write!(f, "none"),
            Compression::Gzip(level) => write!(f, "gzip:{level}"),
            Compression::Estargz(level) => write!(f, "estargz:{level}"),
            Compression::Zstd(level) => write!(f, "zstd:{level}"),
        }
    }
}

/// Compresses blocks that can be joined: what it makes of them, one behind the other, is one stream. Each depends on
/// its block, the compression and the encoder's version alone.
pub(super) enum BlockEncoder {
    None,
    /// `encode` makes a piece of a member, or a member.
    Gzip {
        usual: Deflater,
        fastest: Deflater,
        encode: fn(&mut Deflater, &Plain, &mut [u8]) -> usize,
    },
    Zstd(zstd::bulk::Compressor<'static>),
}

impl BlockEncoder {
    pub fn new(compression: Compression) -> Self {
        match compression {
            Compression::None => BlockEncoder::None,
            Compression::Gzip(level) => Self::gzip(level, Deflater::piece),
            Compression::Estargz(level) => Self::gzip(level, Deflater::member),
            Compression::Zstd(level) => {
                let level = level.clamp(*ZSTD_LEVELS.start(), *ZSTD_LEVELS.end());
                BlockEncoder::Zstd(zstd::bulk::Compressor::new(level).expect("every level in the range is known"))
            }
        }
    }

    /// Returns whether a block is stored in another form than its own.
    pub fn compresses(&self) -> bool {
        !matches!(self, BlockEncoder::None)
    }

    /// Returns the longest that a block of `length` bytes can become.
    pub fn bound(&mut self, length: usize) -> usize {
        match self {
            BlockEncoder::None => 0,
            BlockEncoder::Gzip { usual, .. } => usual.bound(length),
            BlockEncoder::Zstd(_) => zstd::zstd_safe::compress_bound(length),
        }
    }

    /// Writes the compressed form of `block` to the beginning of `out`, which has room for the longest, and returns its
    /// length.
    pub fn encode(&mut self, block: &Plain, out: &mut [u8]) -> usize {
        match self {
            BlockEncoder::None => 0,
            BlockEncoder::Gzip { usual, fastest, encode } => {
                if looks_compressed(block) {
                    let length = encode(fastest, block, out);
                    // A better encoder would win back a part of the two hundredths that this one has found, at most.
                    if length >= block.len() - block.len() / 50 {
                        return length;
                    }
                }
                encode(usual, block, out)
            }
            BlockEncoder::Zstd(compressor) => {
                compressor.compress_to_buffer(block, out).expect("the bound holds for any data")
            }
        }
    }

    fn gzip(level: i32, encode: fn(&mut Deflater, &Plain, &mut [u8]) -> usize) -> Self {
        BlockEncoder::Gzip { usual: Deflater::new(level), fastest: Deflater::new(*GZIP_LEVELS.start()), encode }
    }
}

/// Returns whether the bytes of samples from all over `block` are as evenly spread as those of compressed data. The sum
/// of the squares of their counts is least when they are even; integers, so that every machine finds the same.
fn looks_compressed(block: &[u8]) -> bool {
    const SAMPLE: usize = 4 << 10;
    const STRIDE: usize = 64 << 10;
    let mut counts = [0u64; 256];
    let mut total = 0u64;
    for sample in block.chunks(STRIDE).map(|chunk| &chunk[..chunk.len().min(SAMPLE)]) {
        sample.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
        total += sample.len() as u64;
    }
    let squares: u64 = counts.iter().map(|count| count * count).sum();
    // Random bytes have total²/256 + total; 3 % above that is where dense machine code and text are far away.
    squares * 256 <= total * total / 100 * 103 + total * 256
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io::Write;

    use flate2::write::GzEncoder;

    use super::*;

    /// Another version may make other bytes: then what is known from earlier builds must not be used, and the pinned
    /// digests are to be looked at.
    #[test]
    fn the_encoders_are_those_of_the_lock_file() {
        let lock = include_str!("../../../Cargo.lock");
        for encoder in [LIBDEFLATE, LIBZSTD] {
            let (name, version) = encoder.split_once(' ').unwrap();
            let entry = format!("name = \"{name}\"\nversion = \"{version}\"\n");
            assert!(lock.contains(&entry), "{encoder} is not what Cargo.lock has");
        }
    }

    #[test]
    fn the_quick_look_costs_a_hundredth_at_most() {
        for (what, block) in blocks() {
            for level in GZIP_LEVELS {
                let mut encoder = BlockEncoder::new(Compression::Gzip(level));
                let mut out = vec![0; encoder.bound(block.len())];
                let encoded = encoder.encode(&block, &mut out);
                let full = Deflater::new(level).piece(&block, &mut out);
                assert!(encoded * 100 <= full * 101, "{what} at {level}: {encoded} {full}");
            }
        }
    }

    #[test]
    fn what_is_compressed_grows_by_a_hundredth_at_most() {
        let compressions = GZIP_LEVELS.map(Compression::Gzip).chain(ZSTD_LEVELS.map(Compression::Zstd));
        let blocks = blocks();
        for compression in compressions {
            let mut encoder = BlockEncoder::new(compression);
            for (what, block) in &blocks {
                let mut out = vec![0; encoder.bound(block.len())];
                let encoded = encoder.encode(block, &mut out);
                assert!(encoded * 100 <= block.len() * 101, "{what} by {compression}: {encoded}");
            }
        }
    }

    #[test]
    fn the_quick_look_knows_what_is_compressed() {
        let looks: Vec<_> = blocks().iter().map(|(what, block)| (*what, looks_compressed(block))).collect();
        let expected = [
            ("noise", true),
            ("gzip", true),
            ("PNG", true),
            ("noise, then zeros", false),
            ("noise and zeros by turns", false),
            // All that it sees is noise, and one that is repeated has no other look.
            ("noise where samples are taken", true),
            ("noise, again and again", true),
            ("text", false),
        ];
        assert_eq!(looks, expected);
    }

    #[test]
    fn every_compression_has_an_identity_of_its_own() {
        let gzip = GZIP_LEVELS.map(Compression::Gzip).chain(GZIP_LEVELS.map(Compression::Estargz));
        let all = gzip.chain(ZSTD_LEVELS.map(Compression::Zstd)).chain([Compression::None]);
        let identities: BTreeSet<String> = all.map(Compression::identity).collect();
        assert_eq!(identities.len(), 12 + 12 + 19 + 1);
    }

    fn blocks() -> [(&'static str, Plain); 8] {
        const LENGTH: usize = 256 << 10;
        let noise = noise(LENGTH);
        let line = |(at, byte): (usize, &u8)| format!("line {at} says {} and {byte}\n", at * usize::from(*byte));
        let text: Vec<u8> = noise.iter().enumerate().flat_map(|item| line(item).into_bytes()).collect();
        let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::new(6));
        gzip.write_all(&text).unwrap();
        let gzip = gzip.finish().unwrap()[..LENGTH].to_vec();
        // PNG, 5.3: a length, a type, up to 8 KiB of a zlib stream as most writers have it, and a checksum.
        let chunk = |data: &[u8]| [&[0, 0, 0x20, 0], &b"IDAT"[..], data, &data[..4]].concat();
        let png = gzip.chunks(8 << 10).flat_map(chunk).collect();
        let zeroed = |is_noise: fn(usize) -> bool| {
            noise.iter().enumerate().map(|(at, byte)| if is_noise(at) { *byte } else { 0 }).collect()
        };
        [
            ("noise", noise.clone()),
            ("gzip", gzip),
            ("PNG", png),
            ("noise, then zeros", zeroed(|at| at < LENGTH / 2)),
            ("noise and zeros by turns", zeroed(|at| at % 2000 < 1000)),
            ("noise where samples are taken", zeroed(|at| at % (64 << 10) < 32 << 10)),
            ("noise, again and again", noise[..20 << 10].repeat(13)),
            ("text", text[..LENGTH].to_vec()),
        ]
        .map(|(what, block)| (what, Plain::from(&*block)))
    }

    /// xorshift (Marsaglia, 2003).
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 24) as u8
        };
        (0..length).map(|_| next()).collect()
    }
}
