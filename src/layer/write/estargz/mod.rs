//! eStargz (stargz-snapshotter, docs/estargz.md): a gzip layer out of which single files can be read.
//!
//! The content of each file, or each chunk of it, begins a gzip member of its own, which goes on with the headers that
//! follow. The last entry of the tar is a table of contents (TOC) that says where the members are and what is in them,
//! in a member of its own, and a member of fixed size with nothing in it, the footer, says where that is.

mod members;
mod placed;
mod reserved;
mod toc;

pub use members::{Chunk, Members};
pub use placed::Placed;

use self::reserved::{LANDMARK_CONTENT, TOC_NAME, landmark_entry};
use super::compress::{BlockEncoder, Compression};
use super::deflate::Plain;
use crate::error::Result;
use crate::layer::tar::{TimePrecision, header, padded};
use crate::oci::{Digest, Map};
use crate::tree::Entry;

/// Annotations of the layer's descriptor: the digest of the TOC, and the size of the whole tar in bytes.
const TOC_DIGEST: &str = "containerd.io/snapshot/stargz/toc.digest";
const UNCOMPRESSED_SIZE: &str = "io.containers.estargz.uncompressed-size";

/// Returns what a layer begins with: the landmark's tar, and its two members.
pub fn landmark(level: i32, placed: &mut Placed) -> Result<(Vec<u8>, Vec<u8>)> {
    let mut tar = header(&landmark_entry(), TimePrecision::Seconds)?;
    let head = tar.len();
    tar.extend_from_slice(LANDMARK_CONTENT);
    tar.resize(padded(tar.len() as u64) as usize, 0);
    let mut encoder = BlockEncoder::new(Compression::Estargz(level));
    let mut blob = vec![0; 2 * encoder.bound(tar.len())];
    let first = encoder.encode(&Plain::from(&tar[..head]), &mut blob);
    placed.landmark = first as u64;
    let second = encoder.encode(&Plain::from(&tar[head..]), &mut blob[first..]);
    blob.truncate(first + second);
    Ok((tar, blob))
}

/// Returns the last entry of the tar, and the digest of its content, the TOC. That is in memory whole: a few hundred bytes for
/// each entry and each chunk.
///
/// `chunks` are those of `entries`, and all of them are placed.
pub fn table(entries: &[Entry], chunks: &[Chunk], placed: &Placed) -> (Entry, Digest) {
    let toc = toc::json(entries, chunks, placed);
    let digest = Digest::of(&toc);
    (reserved::file(TOC_NAME, toc), digest)
}

/// Returns what the descriptor of a layer with this TOC and a tar of `size` bytes has to say.
pub fn annotations(toc: Digest, size: u64) -> Map<String> {
    let annotations = [(TOC_DIGEST, toc.to_string()), (UNCOMPRESSED_SIZE, size.to_string())];
    annotations.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// Returns the blob's last 51 bytes ("Footer"): a gzip member (RFC 1952, 2.3) that holds one empty stored block and says in its
/// extra field at which `offset` the TOC's member begins.
pub fn footer(offset: u64) -> Vec<u8> {
    let mut footer = vec![0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255];
    footer.extend_from_slice(&[26, 0, b'S', b'G', 22, 0]);
    footer.extend_from_slice(format!("{offset:016x}STARGZ").as_bytes());
    footer.extend_from_slice(&[1, 0, 0, 0xff, 0xff]);
    footer.extend_from_slice(&[0; 8]); // the CRC-32 and the length of nothing
    footer
}
