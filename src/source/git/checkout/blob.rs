//! Whether a file on disk is what a blob was checked out as.

use std::fs::File;
use std::io::{self, Read, Seek};

use aws_lc_rs::digest::{Context, SHA256};

use super::object_id::{ObjectFormat, ObjectId, finish};

/// A blob's name, and what is known of its size.
pub(super) struct GitBlob {
    pub format: ObjectFormat,
    pub id: ObjectId,
    /// The file has the size that git noted when it last knew it to be the blob.
    pub is_size_noted: bool,
}

/// Larger files have no line ends that git would change, as far as is known here.
const TEXT_LIMIT: u64 = 8 << 20;

impl GitBlob {
    /// Returns whether the file is the blob, as it is or as git's own ways of checking out make it: with CRLF for line
    /// ends, with `$Id$` filled in, or as what a pointer of Git LFS stands for. Attributes that would name the way are
    /// not needed: each of these has another size than what it is made of, and the noted size is that of what was
    /// checked out. Filters of others are not run, so a file that one has made counts as changed once it is not as it
    /// was left.
    pub fn is_content_of(&self, file: &mut File) -> io::Result<bool> {
        let size = file.metadata()?.len();
        let mut context = self.format.begin("blob", size);
        each_part(file, |part| context.update(part))?;
        if finish(context) == self.id {
            return Ok(true);
        }
        if !self.is_size_noted {
            return Ok(false);
        }
        file.rewind()?;
        let mut content = Context::new(&SHA256);
        each_part(file, |part| content.update(part))?;
        let digest: String = content.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {size}\n");
        if self.format.name("blob", pointer.as_bytes()) == self.id {
            return Ok(true);
        }
        if size > TEXT_LIMIT {
            return Ok(false);
        }
        file.rewind()?;
        let mut text = Vec::new();
        file.take(TEXT_LIMIT).read_to_end(&mut text)?;
        let is_blob = |text: &[u8]| self.format.name("blob", text) == self.id;
        let (lines, plain) = (with_line_feeds(&text), without_ids(&text));
        Ok(is_blob(&lines) || is_blob(&plain) || is_blob(&without_ids(&lines)))
    }
}

fn each_part(file: &mut File, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 17];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => take(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Returns text as git adds it to the index (gitattributes(5), "text").
fn with_line_feeds(text: &[u8]) -> Vec<u8> {
    let mut lines = Vec::with_capacity(text.len());
    for (at, byte) in text.iter().enumerate() {
        if *byte != b'\r' || text.get(at + 1) != Some(&b'\n') {
            lines.push(*byte);
        }
    }
    lines
}

/// Returns text with `$Id: …$` in it as git adds it (gitattributes(5), "ident"): on one line, or it is left as it is.
fn without_ids(text: &[u8]) -> Vec<u8> {
    const START: &[u8] = b"$Id:";
    let (mut plain, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some(at) = rest.windows(START.len()).position(|window| window == START) {
        let (before, from) = rest.split_at(at);
        plain.extend_from_slice(before);
        let after = &from[START.len()..];
        match after.iter().position(|byte| matches!(byte, b'$' | b'\n')) {
            Some(end) if after[end] == b'$' => {
                plain.extend_from_slice(b"$Id$");
                rest = &after[end + 1..];
            }
            _ => {
                plain.extend_from_slice(START);
                rest = after;
            }
        }
    }
    plain.extend_from_slice(rest);
    plain
}
