//! How the bytes of a blob are read: a piece of it after the other, on a thread that waits for who takes them. The last piece is
//! held back until all of the blob, read to its end, is known to have its digest: nobody gets a whole blob that is damaged. Whoever
//! asks for a part of it makes its pieces known, and the next part is read alone.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use hyper::body::Bytes;
use tokio::sync::mpsc::Sender;

use super::offer::OfferedImage;
use super::pieces::PIECE;
use super::refusal::{RefusalCode, RequestRefusal};
use super::stock::{Snapshot, Stock};
use crate::error::{Error, Result};
use crate::oci::{Descriptor, Digest};
use crate::store::{BlobFile, Store};
use crate::sync::locked;

/// The part of a blob that is to be read.
pub(super) struct BlobRead {
    pub stock: Arc<Stock>,
    pub snapshot: Arc<Snapshot>,
    pub image: OfferedImage,
    pub descriptor: Descriptor,
    pub part: Range<u64>,
}

/// A piece of a blob, or why there is none. The first one says whether there will be any.
pub(super) type BlobPiece = Result<Bytes, RequestRefusal>;

impl BlobRead {
    /// Sends all pieces to `taker`, at the end of which a failure may stand; goes as soon as they are not wanted any more.
    pub fn run(self, taker: &Sender<BlobPiece>) {
        let sent = self.stock.with_store(&self.snapshot, &self.image, |store| self.send(store, taker));
        if let Err(error) = sent {
            let _ = taker.blocking_send(Err(RequestRefusal::unread(&error, RefusalCode::BlobUnknown)));
        }
    }

    fn send(&self, store: &dyn Store, taker: &Sender<BlobPiece>) -> Result<()> {
        let BlobRead { stock, descriptor, .. } = self;
        let failed = |source| Error::from_read("read", descriptor.digest.to_string(), source);
        let known = if self.is_whole() { None } else { locked(&stock.pieces).get(&descriptor.digest) };
        if let Some(pieces) = known
            && let Some(blob) = store.open_file(descriptor)
        {
            return self.send_known(&blob, &pieces, taker).map_err(failed);
        }
        let blob = store.open(descriptor)?;
        let notes = !self.is_whole() && locked(&stock.pieces).begin(descriptor);
        let sent = self.send_from(blob, notes, taker);
        if notes {
            locked(&stock.pieces).end(&descriptor.digest);
        }
        sent.map_err(failed)
    }

    /// Sends the part of `blob`, which is read to its end, and `notes` its pieces.
    fn send_from(&self, mut blob: impl Read, notes: bool, taker: &Sender<BlobPiece>) -> io::Result<()> {
        let BlobRead { stock, descriptor, part, .. } = self;
        let mut pieces = Vec::new();
        let mut at = 0;
        let mut held = Bytes::new();
        let mut buffer = vec![0; PIECE];
        loop {
            let count = fill(&mut blob, &mut buffer)?;
            if count == 0 {
                // It is whole. Whoever gets the last piece may ask for the next part at once.
                if notes {
                    locked(&stock.pieces).put(descriptor.digest, pieces);
                }
                // If nobody takes it, that is all right.
                let _ = taker.blocking_send(Ok(held));
                return Ok(());
            }
            if notes {
                pieces.push(Digest::of(&buffer[..count]));
            }
            let wanted = within(&(at..at + count as u64), part);
            at += count as u64;
            if !wanted.is_empty() {
                let next = Bytes::copy_from_slice(&buffer[wanted]);
                let piece = std::mem::replace(&mut held, next);
                if !piece.is_empty() && taker.blocking_send(Ok(piece)).is_err() {
                    return Ok(());
                }
            }
            if taker.is_closed() {
                return Ok(());
            }
        }
    }

    /// Returns whether all of the blob is wanted.
    fn is_whole(&self) -> bool {
        self.part == (0..self.descriptor.size)
    }

    /// Sends the part of `blob`, each of whose `pieces` is known, and reads no others.
    fn send_known(&self, blob: &BlobFile, pieces: &[Digest], taker: &Sender<BlobPiece>) -> io::Result<()> {
        let BlobRead { stock, descriptor, part, .. } = self;
        let mut buffer = vec![0; PIECE];
        let mut at = part.start - part.start % PIECE as u64;
        for known in pieces.iter().skip((at / PIECE as u64) as usize) {
            if at >= part.end {
                break;
            }
            let piece = &mut buffer[..(descriptor.size - at).min(PIECE as u64) as usize];
            let read = blob.read_exact_at(piece, at);
            if read.is_err() || Digest::of(piece) != *known {
                locked(&stock.pieces).forget(&descriptor.digest);
                read?;
                let error =
                    Error::integrity(format!("blob {} is not what it was when it was read before", descriptor.digest));
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
            let wanted = within(&(at..at + piece.len() as u64), part);
            if taker.blocking_send(Ok(Bytes::copy_from_slice(&piece[wanted]))).is_err() {
                return Ok(());
            }
            at += piece.len() as u64;
        }
        Ok(())
    }
}

/// Returns where in the bytes `have` of a blob those of `want` lie, by their places in `have`.
fn within(have: &Range<u64>, want: &Range<u64>) -> Range<usize> {
    let (start, end) = (want.start.clamp(have.start, have.end), want.end.clamp(have.start, have.end));
    (start - have.start) as usize..(end - have.start) as usize
}

/// Reads until the buffer is full or the end has come; at the end it is asked once more, which is when a digest is looked at.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    while count < buffer.len() {
        match reader.read(&mut buffer[count..]) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_found_in_each_piece() {
        for (have, want, found) in [
            (0..10, 0..10, 0..10),
            (0..10, 3..5, 3..5),
            (10..20, 3..15, 0..5),
            (10..20, 15..99, 5..10),
            (10..20, 0..10, 0..0),
            (10..20, 20..30, 10..10),
        ] {
            assert_eq!(within(&have, &want), found, "{want:?} of {have:?}");
        }
    }
}
