//! A piece of a tar before compression, with room around it for the encoder to look.

use std::ops::{Deref, DerefMut};

use super::symbols::WINDOW;

/// A piece before compression, with zeros around it, so that the encoder can look back a whole window, and a little
/// ahead, from any of its bytes.
pub struct Plain {
    bytes: Box<Surrounded>,
    length: usize,
}

/// A [`Plain`] and what is around it: it begins at [`WINDOW`].
pub type Surrounded = [u8; WINDOW + Plain::LONGEST + Plain::AHEAD];

impl Plain {
    /// In bytes.
    pub const LONGEST: usize = 1 << 20;

    /// The zeros behind it.
    const AHEAD: usize = 128;

    /// Returns none yet. Memory that no piece has needed is reserved only.
    pub fn new() -> Self {
        let bytes = vec![0; size_of::<Surrounded>()].into_boxed_slice();
        Plain { bytes: bytes.try_into().expect("it has this length"), length: 0 }
    }

    /// Makes room for `length` bytes, at most [`LONGEST`](Self::LONGEST); what they are is not said.
    pub fn resize(&mut self, length: usize) {
        self.length = length;
        self.bytes[WINDOW + length..][..Self::AHEAD].fill(0);
    }

    pub fn surrounded(&self) -> &Surrounded {
        &self.bytes
    }
}

impl From<&[u8]> for Plain {
    /// `bytes` are [`LONGEST`](Plain::LONGEST) at most.
    fn from(bytes: &[u8]) -> Self {
        let mut plain = Plain::new();
        plain.resize(bytes.len());
        plain.copy_from_slice(bytes);
        plain
    }
}

impl Deref for Plain {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[WINDOW..][..self.length]
    }
}

impl DerefMut for Plain {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[WINDOW..][..self.length]
    }
}
