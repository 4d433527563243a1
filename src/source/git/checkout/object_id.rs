//! The names of git's objects.

use std::fmt;

use aws_lc_rs::digest::{self, Context};

/// The hash that objects are named by (gitformat-pack(5), gitrepository-layout(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ObjectFormat {
    Sha1,
    Sha256,
}

/// The name of an object.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct ObjectId {
    bytes: [u8; 32],
    length: usize,
}

impl ObjectFormat {
    /// Returns the length of a name in bytes.
    pub fn length(self) -> usize {
        match self {
            ObjectFormat::Sha1 => 20,
            ObjectFormat::Sha256 => 32,
        }
    }

    /// Returns a context that takes the content of an object of this kind and size, and is then asked with [`finish`]
    /// for its name.
    pub fn begin(self, kind: &str, size: u64) -> Context {
        let mut context = Context::new(match self {
            ObjectFormat::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            ObjectFormat::Sha256 => &digest::SHA256,
        });
        context.update(format!("{kind} {size}\0").as_bytes());
        context
    }

    /// Returns the name of the object of this kind and content.
    pub fn name(self, kind: &str, content: &[u8]) -> ObjectId {
        let mut context = self.begin(kind, content.len() as u64);
        context.update(content);
        finish(context)
    }

    /// Reads a name of hexadecimal digits; none if it is none.
    pub fn parse(self, text: &str) -> Option<ObjectId> {
        let is_name = text.len() == 2 * self.length() && text.bytes().all(|c| c.is_ascii_hexdigit());
        let mut bytes = [0; 32];
        for (at, byte) in bytes.iter_mut().take(self.length()).enumerate().filter(|_| is_name) {
            *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
        }
        is_name.then_some(ObjectId { bytes, length: self.length() })
    }

    /// Returns the name with which `bytes` begins; none if they are too few.
    pub fn read(self, bytes: &[u8]) -> Option<ObjectId> {
        let mut id = ObjectId { bytes: [0; 32], length: self.length() };
        id.bytes[..id.length].copy_from_slice(bytes.get(..id.length)?);
        Some(id)
    }
}

/// Returns the name of the object whose content `context` has taken.
pub(super) fn finish(context: Context) -> ObjectId {
    let digest = context.finish();
    let mut id = ObjectId { bytes: [0; 32], length: digest.as_ref().len() };
    // Neither is longer than SHA-256.
    id.bytes[..id.length].copy_from_slice(digest.as_ref());
    id
}

impl ObjectId {
    /// Returns the bytes of the name.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
