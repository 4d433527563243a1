//! From a file system to one tar. Every header is known before a content is read, and so is the place of every content: they
//! are written where they belong as the layers bring them, all layers side by side.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rayon::ThreadPool;
use rayon::prelude::*;
use tar::EntryType;

use super::survey::{Place, Survey, Wanted, contents, elsewhere};
use crate::error::{Error, Result};
use crate::layer::read::{FileContent, threads_for_each};
use crate::layer::tar::{Head, padded, records};
use crate::layer::{Layer, Open};
use crate::tree::{Attributes, Files, Kind, Node, Object, joined};

/// Writes `files`, which `layers` make, into `file` from the offset `start` on, as entries of a tar whose paths begin
/// with `prefix`, and returns where they end; `file` is longer by nothing but that. Errors call it `destination`.
///
/// The bytes depend on the files and the contents alone. Entries come directory by directory, sorted by name; of the names
/// of one file all but the first are hard links. The root has an entry if it has a name, that is, a prefix.
pub fn flatten(
    files: &Files,
    layers: &[Layer],
    open: &Open<'_>,
    prefix: &str,
    (file, start): (&File, u64),
    destination: &Path,
    pool: &ThreadPool,
) -> Result<u64> {
    let mut tar = Tar { files, prefix, file, destination, contents: HashMap::new() };
    let end = tar.headers(start)?;
    // What nobody writes to, padding and holes, is zeros.
    file.set_len(end).map_err(|source| Error::io("write", destination, source))?;
    let Survey { files, loose, .. } = Survey::of(files, layers)?;
    if let Some((place, _)) = loose.first() {
        return Err(elsewhere(&place.path));
    }
    let threads = threads_for_each(layers.len(), pool);
    pool.install(|| {
        let layers = layers.par_iter().zip(&files).filter(|(_, files)| !files.is_empty());
        layers.try_for_each(|(layer, files)| {
            contents(layer, files, open, threads, |file, content| tar.content(file, content))
        })
    })?;
    Ok(end)
}

struct Tar<'a> {
    files: &'a Files,
    prefix: &'a str,
    file: &'a File,
    destination: &'a Path,
    /// Where the content of each file begins.
    contents: HashMap<usize, u64>,
}

impl Tar<'_> {
    /// Writes the headers of all entries, and returns where they and the contents end.
    fn headers(&mut self, start: u64) -> Result<u64> {
        // The first paths of what may have several.
        let mut first: HashMap<usize, Vec<u8>> = HashMap::new();
        let mut at = start;
        for (path, node) in self.files.paths().filter(|(path, _)| !(path.is_empty() && self.prefix.is_empty())) {
            let path = self.prefixed(&path);
            let identity = node.identity().filter(|_| !node.is_directory());
            let target = identity.and_then(|identity| first.get(&identity));
            let header = header(&path, node, target)?;
            self.write(&header, at)?;
            at += header.len() as u64;
            if target.is_none() {
                let size = node.content_size();
                if size > 0 {
                    self.contents.insert(node.address(), at);
                }
                at += padded(size);
                first.extend(identity.map(|identity| (identity, path)));
            }
        }
        Ok(at)
    }

    fn content(&self, file: &Wanted<'_>, content: &mut FileContent<'_>) -> Result<()> {
        let start = |place: &Place<'_>| self.contents.get(&place.node.address()).copied();
        let starts: Vec<u64> = file.places().filter_map(start).collect();
        content.each_part(&mut |part, at| starts.iter().try_for_each(|start| self.write(part, start + at)))
    }

    fn write(&self, bytes: &[u8], at: u64) -> Result<()> {
        self.file.write_all_at(bytes, at).map_err(|source| Error::io("write", self.destination, source))
    }

    fn prefixed(&self, path: &[u8]) -> Vec<u8> {
        joined(self.prefix.as_bytes(), path)
    }
}

/// The header of `node` at `path`; `first` is the path that a hard link leads to.
fn header(path: &[u8], node: &Node, first: Option<&Vec<u8>>) -> Result<Vec<u8>> {
    let Attributes { mode, user, group, modified, xattrs } = node.attributes();
    let head = Head {
        path,
        entry_type: EntryType::Link,
        target: first.map(Vec::as_slice),
        size: 0,
        mode: *mode,
        user: (*user).into(),
        group: (*group).into(),
        modified: *modified,
        device: (0, 0),
        xattrs,
    };
    if first.is_some() {
        return records(&head);
    }
    let directory = [path, b"/"].concat();
    records(&match node.object() {
        Object::Directory(_) => Head { entry_type: EntryType::Directory, path: &directory, ..head },
        Object::Other(kind) => match kind {
            Kind::File(content) => Head { entry_type: EntryType::Regular, size: content.size(), ..head },
            Kind::Directory => Head { entry_type: EntryType::Directory, path: &directory, ..head },
            Kind::Symlink { target } => Head { entry_type: EntryType::Symlink, target: Some(target), ..head },
            Kind::HardLink { target } => Head { target: Some(target), ..head },
            Kind::Fifo => Head { entry_type: EntryType::Fifo, ..head },
            Kind::CharacterDevice { major, minor } => {
                Head { entry_type: EntryType::Char, device: (*major, *minor), ..head }
            }
            Kind::BlockDevice { major, minor } => {
                Head { entry_type: EntryType::Block, device: (*major, *minor), ..head }
            }
        },
    })
}
