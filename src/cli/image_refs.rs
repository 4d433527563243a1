//! `--image-refs`: a file with a line `NAME@DIGEST` for each image, as signers and `ocibake resolve` take it.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use super::text_file::read_text;
use crate::error::{Error, Excerpt, Result};
use crate::oci::{Digest, Reference};
use crate::store::pending::PendingFile;

/// In bytes; far more than the images of any system need.
const LIMIT: u64 = 16 << 20;

/// Writes the references of images in one step: a line for each repository and digest, sorted.
pub fn write<'a>(path: &Path, images: impl IntoIterator<Item = (&'a Reference, Digest)>) -> Result<()> {
    let lines = images.into_iter().map(|(name, digest)| format!("{}@{digest}\n", name.name()));
    let text: String = lines.collect::<BTreeSet<_>>().into_iter().collect();
    PendingFile::replace(path, text.as_bytes())
}

/// Returns the images that a file lists, whoever wrote it: with a tag in a name, it is of that tag alone.
pub fn read(path: &Path) -> Result<Vec<(Reference, Digest)>> {
    let file = File::open(path).map_err(|source| Error::io("open", path, source))?;
    let shown = path.display().to_string();
    let text = read_text(file, &shown, LIMIT, "list of images")?;
    let mut images = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let name = line.trim();
        let span = at..at + name.len();
        at += line.len();
        if name.is_empty() {
            continue;
        }
        let excerpt = || Excerpt::new(&shown, &text, span.clone());
        let name: Reference = name.parse().map_err(|error: Error| error.with_excerpt(excerpt()))?;
        let digest = name.digest().ok_or_else(|| {
            let error = Error::input(format!("{name} has no digest"));
            error.with_hint("each line is NAME@DIGEST, as `--image-refs` writes it").with_excerpt(excerpt())
        })?;
        images.push((name, digest));
    }
    Ok(images)
}
