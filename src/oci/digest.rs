//! Content digests (image-spec, descriptor.md "Digests") and the readers and writers that compute and check them.

use std::fmt;
use std::io::{self, Read, Write};
use std::str::FromStr;

use aws_lc_rs::digest::{self, Context, SHA256};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A SHA-256 digest, written `sha256:<64 lower-case hex digits>`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// Returns the digest of all of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        finished(digest::digest(&SHA256, bytes))
    }

    /// Returns the 64 hex digits without the algorithm.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Returns the 32 bytes without the algorithm.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let malformed = || {
            Error::input(format!("`{text}` is not a digest"))
                .with_hint("a digest is `sha256:` and 64 lower-case hexadecimal digits")
        };
        let (algorithm, hex) = text.split_once(':').ok_or_else(malformed)?;
        if algorithm != "sha256" {
            let error = Error::input(format!("`{algorithm}` is not supported as the algorithm of the digest `{text}`"));
            return Err(error.with_hint("only sha256 digests can be checked"));
        }
        let mut bytes = [0; 32];
        if hex.len() != 64 || !hex.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(malformed());
        }
        for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| malformed())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| malformed())?;
        }
        Ok(Digest(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The bytes of a SHA-256, wherever they come from.
impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Self {
        Digest(bytes)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.to_string()
    }
}

impl TryFrom<String> for Digest {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

/// SHA-256 as bytes arrive.
#[derive(Clone)]
pub struct Hasher(Context);

impl Hasher {
    /// Returns a hasher that has seen nothing.
    pub fn new() -> Self {
        Hasher(Context::new(&SHA256))
    }

    /// Takes further bytes; how they are split does not matter.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Returns the digest of all bytes that were taken.
    pub fn finish(self) -> Digest {
        finished(self.0.finish())
    }
}

fn finished(digest: digest::Digest) -> Digest {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.as_ref());
    Digest(bytes)
}

impl Default for Hasher {
    fn default() -> Self {
        Self::new()
    }
}

/// Passes bytes on to `inner` and keeps their digest and count.
pub struct HashingWriter<W> {
    inner: W,
    hasher: Hasher,
    size: u64,
}

impl<W: Write> HashingWriter<W> {
    /// Returns a writer whose count begins at 0, whatever `inner` has taken before.
    pub fn new(inner: W) -> Self {
        HashingWriter { inner, hasher: Hasher::new(), size: 0 }
    }

    /// Returns the inner writer, and the digest and size of what `inner` has taken.
    pub fn finish(self) -> (W, Digest, u64) {
        (self.inner, self.hasher.finish(), self.size)
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..taken]);
        self.size += taken as u64;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Reads `inner` and fails, at the latest in place of the end of file, when it is not exactly `size` bytes with the
/// digest it should have. What was read before the end is not to be trusted until the end has been reached.
pub struct VerifyingReader<R> {
    inner: R,
    digest: Digest,
    left: u64,
    size: u64,
    hasher: Option<Hasher>,
}

impl<R: Read> VerifyingReader<R> {
    /// Returns a reader that verifies what `inner` gives; `size` is in bytes.
    pub fn new(inner: R, digest: Digest, size: u64) -> Self {
        VerifyingReader { inner, digest, left: size, size, hasher: Some(Hasher::new()) }
    }

    fn wrong(&self, what: String) -> io::Error {
        let error = Error::integrity(format!("blob {} {what}", self.digest))
            .with_hint("it was damaged on its way or where it is kept: fetch or build it again");
        io::Error::new(io::ErrorKind::InvalidData, error)
    }
}

impl<R: Read> Read for VerifyingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = self.inner.read(buffer)?;
        if count as u64 > self.left {
            return Err(self.wrong(format!("is longer than the {} bytes its descriptor gives", self.size)));
        }
        self.left -= count as u64;
        let Some(hasher) = &mut self.hasher else { return Ok(0) };
        hasher.update(&buffer[..count]);
        if count == 0 {
            if self.left > 0 {
                let seen = self.size - self.left;
                return Err(self.wrong(format!("ends after {seen} of {} bytes", self.size)));
            }
            let actual = self.hasher.take().map(Hasher::finish);
            if actual != Some(self.digest) {
                let actual = actual.map(|digest| digest.to_string()).unwrap_or_default();
                return Err(self.wrong(format!("has the digest {actual}")));
            }
        }
        Ok(count)
    }
}

impl Error {
    /// Returns the error of this crate that a `Read` carried in `source`, or else what [`Error::io`] makes of it.
    pub fn from_read(action: &str, path: impl AsRef<std::path::Path>, source: io::Error) -> Self {
        match source.downcast::<Error>() {
            Ok(own) => own,
            Err(source) => Error::io(action, path, source),
        }
    }
}
