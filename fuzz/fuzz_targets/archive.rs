//! No archive, however it is compressed, gives more than its limits allow, nor a panic.

#![no_main]

use std::io::{self, Read};
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use ocibake::layer;
use ocibake::oci::Digest;
use ocibake::tree::{Limits, Spool};

/// Of what is unpacked, in bytes.
const SIZE: u64 = 1 << 20;
const ENTRIES: u64 = 200;
const TEXT: u64 = 64 << 10;

fuzz_target!(|input: &[u8]| {
    let limits = Limits { size: SIZE, entries: ENTRIES, text: TEXT };
    let Ok(tar) = layer::decompressed(input) else { return };
    let mut counted = Counted { tar, taken: 0 };
    let spool = |_| Ok(Arc::new(Spool::new(Digest::of(b""))));
    let Ok(overlay) = layer::read_archive(&mut counted, std::io::sink(), spool, "it", limits) else { return };
    // The reader stops at the first piece that is too much.
    assert!(counted.taken <= SIZE);
    let told = overlay.files().paths().filter(|(path, _)| !path.is_empty() && !overlay.is_implied(path));
    assert!(told.count() as u64 <= ENTRIES);
});

struct Counted<R> {
    tar: R,
    taken: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.tar.read(buffer)?;
        self.taken += count as u64;
        Ok(count)
    }
}
