//! The content of a file as it comes by in a tar.

use std::io::{self, Read, Take};

use crate::error::{Error, Result};

/// The content of a file as it comes by.
pub struct FileContent<'a> {
    content: Take<&'a mut dyn Read>,
    /// Makes of what went wrong with the tar what is said of it.
    failed: &'a dyn Fn(io::Error) -> Error,
}

/// A callback that is given a part of a file, and its place there.
pub type TakePart<'a> = dyn FnMut(&[u8], u64) -> Result<()> + 'a;

/// How much of a large file is copied at a time.
const PART: u64 = 256 << 10;

impl<'a> FileContent<'a> {
    /// Returns the next `size` bytes of `tar`.
    pub fn new(tar: &'a mut dyn Read, size: u64, failed: &'a dyn Fn(io::Error) -> Error) -> Self {
        FileContent { content: tar.take(size), failed }
    }

    /// Returns how much of it is still to come, in bytes.
    pub fn left(&self) -> u64 {
        self.content.limit()
    }

    /// Gives all of it to `take`, part by part, each with its place in the file. Parts that are zeros are not given.
    pub fn each_part(&mut self, take: &mut TakePart<'_>) -> Result<()> {
        let size = self.left();
        let mut buffer = vec![0; size.min(PART) as usize];
        let mut at = 0;
        while at < size {
            let part = &mut buffer[..(size - at).min(PART) as usize];
            self.read(part)?;
            if part.iter().any(|byte| *byte != 0) {
                take(part, at)?;
            }
            at += part.len() as u64;
        }
        Ok(())
    }

    /// Fills `buffer` with what comes next.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<()> {
        self.content.read_exact(buffer).map_err(|error| (self.failed)(error))
    }
}
