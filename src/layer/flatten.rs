//! From a tree to one tar.

use std::io::Write;
use std::path::Path;

use tar::EntryType;

use super::member::{Attributes, Object};
use super::read::Open;
use super::survey::{Content, Link, Place, Survey, Wanted, contents};
use super::tar::{Head, padded, records};
use super::{Layer, Tree};
use crate::error::{Error, Result};

/// How much of a file is copied at a time.
const CHUNK: u64 = 256 << 10;

/// Writes `tree`, which was made of `layers`, to `sink` as entries of a tar whose paths begin with `prefix`; errors call
/// the sink `destination`. The end of the archive is left to write: [`TRAILER`](super::TRAILER) zeros.
///
/// The order depends on the layers alone, and suits whoever extracts it: directories, then files as the layers bring
/// them, then symlinks, FIFOs and devices, then hard links. The root is among the directories if it has a name, that is,
/// a prefix.
pub fn flatten(
    tree: &Tree,
    layers: &[Layer],
    open: &Open<'_>,
    prefix: &str,
    sink: impl Write,
    destination: &Path,
) -> Result<()> {
    let survey = Survey::of(tree, layers.len());
    let mut out = Out { tree, prefix, sink, destination };
    for Place { path, node } in survey.directories.iter().filter(|place| !(prefix.is_empty() && place.path.is_empty()))
    {
        out.head(&[&out.path(path)[..], b"/"].concat(), *node, EntryType::Directory, None)?;
    }
    for (layer, files) in layers.iter().zip(&survey.files).filter(|(_, files)| !files.is_empty()) {
        contents(layer, files, open, |file, content| out.file(file, content))?;
    }
    for Place { path, node } in &survey.others {
        let (entry_type, target) = match &tree.node(*node).object {
            Object::Symlink { target } => (EntryType::Symlink, Some(target.as_slice())),
            Object::Fifo => (EntryType::Fifo, None),
            Object::CharacterDevice { .. } => (EntryType::Char, None),
            Object::BlockDevice { .. } => (EntryType::Block, None),
            // The survey has these elsewhere.
            Object::File { .. } | Object::Directory | Object::HardLink { .. } => continue,
        };
        out.head(&out.path(path), *node, entry_type, target)?;
    }
    for Link { path, node, target } in &survey.links {
        out.head(&out.path(path), *node, EntryType::Link, Some(&out.path(target)))?;
    }
    Ok(())
}

struct Out<'a, W> {
    tree: &'a Tree,
    prefix: &'a str,
    sink: W,
    destination: &'a Path,
}

impl<W: Write> Out<'_, W> {
    fn path(&self, path: &[u8]) -> Vec<u8> {
        match (self.prefix, path) {
            ("", path) => path.to_owned(),
            (prefix, b"") => prefix.as_bytes().to_owned(),
            (prefix, path) => [prefix.as_bytes(), b"/", path].concat(),
        }
    }

    fn head(&mut self, path: &[u8], node: usize, entry_type: EntryType, target: Option<&[u8]>) -> Result<()> {
        let node = self.tree.node(node);
        let Attributes { mode, user, group, modified, xattrs } = &node.attributes;
        let (size, device) = match node.object {
            Object::File { size, .. } if entry_type == EntryType::Regular => (size, (0, 0)),
            Object::CharacterDevice { major, minor } | Object::BlockDevice { major, minor }
                if entry_type != EntryType::Link =>
            {
                (0, (major, minor))
            }
            _ => (0, (0, 0)),
        };
        let head = Head {
            path,
            entry_type,
            target,
            size,
            mode: *mode,
            user: (*user).into(),
            group: (*group).into(),
            modified: *modified,
            device,
            xattrs,
        };
        self.bytes(&records(&head)?)
    }

    fn file(&mut self, file: &Wanted, content: &mut Content<'_>) -> Result<()> {
        self.head(&self.path(&file.place.path), file.place.node, EntryType::Regular, None)?;
        let mut buffer = vec![0; file.size.min(CHUNK) as usize];
        let mut left = file.size;
        while left > 0 {
            let part = &mut buffer[..left.min(CHUNK) as usize];
            content.read(part)?;
            self.bytes(part)?;
            left -= part.len() as u64;
        }
        let padding = padded(file.size) - file.size;
        self.bytes(&vec![0; padding as usize])
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.sink.write_all(bytes).map_err(|source| Error::io("write", self.destination, source))
    }
}
