//! Bits, written one behind the other as deflate has them.

/// Writes a deflate stream: bits fill bytes from the lowest on (RFC 1951, 3.1.1).
pub struct BitWriter<'a> {
    out: &'a mut [u8],
    written: usize,
    bits: u64,
    count: u32,
}

impl<'a> BitWriter<'a> {
    /// Returns a writer into `out`, which has room for all that will be written and 8 bytes more.
    pub fn new(out: &'a mut [u8]) -> Self {
        BitWriter { out, written: 0, bits: 0, count: 0 }
    }

    /// Adds the `count` lowest bits of `bits`, whose others are zero. Between two [`flush`](Self::flush)es there is room
    /// for 56 bits.
    #[inline(always)]
    pub fn add(&mut self, bits: u32, count: u32) {
        self.bits |= u64::from(bits) << self.count;
        self.count += count;
    }

    #[inline(always)]
    pub fn flush(&mut self) {
        self.out[self.written..self.written + 8].copy_from_slice(&self.bits.to_le_bytes());
        self.written += (self.count / 8) as usize;
        self.bits >>= self.count & !7;
        self.count %= 8;
    }

    /// Adds zero bits up to the next byte, if it does not begin here.
    pub fn align(&mut self) {
        self.count = self.count.next_multiple_of(8);
        self.flush();
    }

    /// Adds whole bytes, on a byte boundary.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.out[self.written..self.written + bytes.len()].copy_from_slice(bytes);
        self.written += bytes.len();
    }

    /// Bytes so far.
    pub fn written(&self) -> usize {
        self.written
    }
}
