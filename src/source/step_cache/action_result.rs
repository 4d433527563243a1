//! `ActionResult` of the Remote Execution API (build.bazel.remote.execution.v2), as far as an entry needs it, in the wire format
//! of protocol buffers. Servers that know it keep no result longer than the blobs that it names.

use crate::error::{Error, Result};

// The numbers of the fields in the API's definition: of `ActionResult`,
const OUTPUT_FILES: u64 = 2;
const STDOUT_RAW: u64 = 5;
// of `OutputFile`,
const PATH: u64 = 1;
const DIGEST: u64 = 2;
// and of `Digest`.
const HASH: u64 = 1;
const SIZE_BYTES: u64 = 2;

/// How values are written, by the lowest three bits of what stands before them.
const NUMBER: u64 = 0;
const EIGHT_BYTES: u64 = 1;
const BYTES: u64 = 2;
const FOUR_BYTES: u64 = 5;

/// The path of the only file of an entry.
const LAYER: &[u8] = b"layer";

/// A result with more files is not one of an entry.
const MOST_FILES: usize = 16;

/// What an action has come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ActionResult {
    /// The blobs of its files.
    pub files: Vec<ActionFile>,
    /// What it has written.
    pub stdout: Vec<u8>,
}

/// A file that an action has made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ActionFile {
    /// The SHA-256 of its content, in hex.
    pub hash: String,
    /// The size of its content in bytes.
    pub size: u64,
}

impl ActionResult {
    /// Returns it as it is sent.
    pub fn write(&self) -> Vec<u8> {
        let mut all = Vec::new();
        for ActionFile { hash, size } in &self.files {
            let (mut digest, mut file) = (Vec::new(), Vec::new());
            put_bytes(&mut digest, HASH, hash.as_bytes());
            put_number(&mut digest, SIZE_BYTES << 3 | NUMBER);
            put_number(&mut digest, *size);
            put_bytes(&mut file, PATH, LAYER);
            put_bytes(&mut file, DIGEST, &digest);
            put_bytes(&mut all, OUTPUT_FILES, &file);
        }
        put_bytes(&mut all, STDOUT_RAW, &self.stdout);
        all
    }

    /// Reads what was sent; what it says beside the files and the output is left out.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let mut result = ActionResult::default();
        let mut fields = WireFields(bytes);
        while let Some((number, value)) = fields.next()? {
            match (number, value) {
                (OUTPUT_FILES, _) if result.files.len() == MOST_FILES => return Err(wrong()),
                (OUTPUT_FILES, WireValue::Bytes(file)) => result.files.push(ActionFile::read(file)?),
                (STDOUT_RAW, WireValue::Bytes(stdout)) => result.stdout = stdout.to_vec(),
                _ => {}
            }
        }
        Ok(result)
    }
}

impl ActionFile {
    fn read(bytes: &[u8]) -> Result<Self> {
        let mut file = ActionFile::default();
        let mut fields = WireFields(bytes);
        while let Some((number, value)) = fields.next()? {
            let (DIGEST, WireValue::Bytes(digest)) = (number, value) else { continue };
            let mut parts = WireFields(digest);
            while let Some((number, value)) = parts.next()? {
                match (number, value) {
                    (HASH, WireValue::Bytes(hash)) => {
                        file.hash = String::from_utf8(hash.to_vec()).map_err(|_| wrong())?;
                    }
                    (SIZE_BYTES, WireValue::Number(size)) => file.size = size,
                    _ => {}
                }
            }
        }
        Ok(file)
    }
}

/// The fields of a message that are still to come.
struct WireFields<'b>(&'b [u8]);

enum WireValue<'b> {
    Number(u64),
    Bytes(&'b [u8]),
    Other,
}

impl<'b> WireFields<'b> {
    /// The number and the value of the next one; none at the end.
    fn next(&mut self) -> Result<Option<(u64, WireValue<'b>)>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.number()?;
        let value = match tag & 7 {
            NUMBER => WireValue::Number(self.number()?),
            BYTES => {
                let length = usize::try_from(self.number()?).map_err(|_| wrong())?;
                WireValue::Bytes(self.take(length)?)
            }
            EIGHT_BYTES => self.take(8).map(|_| WireValue::Other)?,
            FOUR_BYTES => self.take(4).map(|_| WireValue::Other)?,
            _ => return Err(wrong()),
        };
        match tag >> 3 {
            0 => Err(wrong()),
            number => Ok(Some((number, value))),
        }
    }

    /// Seven bits in each byte, the lowest first; the highest bit says that more follow.
    fn number(&mut self) -> Result<u64> {
        let mut number = 0;
        for place in 0..10 {
            let byte = u64::from(self.take(1)?[0]);
            if place == 9 && byte > 1 {
                break;
            }
            number |= (byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(wrong())
    }

    fn take(&mut self, length: usize) -> Result<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or_else(wrong)?;
        self.0 = rest;
        Ok(taken)
    }
}

fn put_bytes(to: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_number(to, field << 3 | BYTES);
    put_number(to, bytes.len() as u64);
    to.extend_from_slice(bytes);
}

fn put_number(to: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

fn wrong() -> Error {
    Error::integrity("what is there is not the result of an action")
}
