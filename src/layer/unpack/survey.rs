//! What of the layers is in the tree that they make, in the order in which it can be had: contents as they come by in
//! the layers' tars, and before and after them what needs none.

use std::collections::HashMap;
use std::io::{self, Read, Take};

use crate::error::{Error, Result};
use crate::layer::read::{Filled, TarStream, opened};
use crate::layer::{Extent, Layer, Open, Tree};
use crate::tree::Kind;

/// All paths of a tree, each once.
pub(super) struct Survey {
    /// Parents before children; the root is the first.
    pub directories: Vec<Place>,
    /// Those of each layer, in the order of the layer's tar.
    pub files: Vec<Vec<Wanted>>,
    /// Further names, of files and of [`others`](Self::others).
    pub links: Vec<Link>,
    /// Symlinks, FIFOs and devices.
    pub others: Vec<Place>,
}

/// A path, and the number of the node that stands there.
pub(super) struct Place {
    pub path: Vec<u8>,
    pub node: usize,
}

/// A file's content in its layer's tar.
pub(super) struct Wanted {
    pub place: Place,
    pub offset: u64,
    pub size: u64,
}

/// The path of a further name of what stands at `target`.
pub(super) struct Link {
    pub path: Vec<u8>,
    pub target: Vec<u8>,
}

impl Survey {
    /// `tree` was made of `layers` layers.
    pub fn of(tree: &Tree, layers: usize) -> Self {
        let mut survey = Survey {
            directories: Vec::new(),
            files: std::iter::repeat_with(Vec::new).take(layers).collect(),
            links: Vec::new(),
            others: Vec::new(),
        };
        let names = tree.names();
        // The first paths of nodes that have several.
        let mut first: HashMap<usize, Vec<u8>> = HashMap::new();
        for (path, node) in tree.paths() {
            let place = Place { path, node };
            let kind = &tree.node(node).kind;
            if kind.is_directory() {
                survey.directories.push(place);
                continue;
            }
            if let Some(target) = first.get(&node) {
                survey.links.push(Link { path: place.path, target: target.clone() });
                continue;
            }
            if names[node] > 1 {
                first.insert(node, place.path.clone());
            }
            match *kind {
                Kind::File(Extent { offset, size }) => {
                    survey.files[tree.node(node).layer].push(Wanted { place, offset, size });
                }
                _ => survey.others.push(place),
            }
        }
        survey.files.iter_mut().for_each(|files| files.sort_by_key(|file| file.offset));
        survey
    }
}

/// Reads `layer` once more and gives each of `files`, in their order, to `take` with its content. The blob is read to
/// its end, so that its reader can check it again.
pub(super) fn contents<'f>(
    layer: &Layer,
    files: &'f [Wanted],
    open: &Open<'_>,
    mut take: impl FnMut(&'f Wanted, &mut Content<'_>) -> Result<()>,
) -> Result<()> {
    std::thread::scope(|scope| {
        let blob = opened(&layer.descriptor, open)?;
        let mut tar = Filled::new(TarStream::start(scope, layer.descriptor.digest, blob)?, None);
        let failed = |source| Error::from_read("read", format!("layer {}", layer.descriptor.digest), source);
        let mut at = 0;
        for file in files {
            io::copy(&mut tar.by_ref().take(file.offset - at), &mut io::sink()).map_err(failed)?;
            let mut content = Content { layer, content: tar.by_ref().take(file.size) };
            take(file, &mut content)?;
            at = file.offset + file.size;
        }
        io::copy(&mut tar, &mut io::sink()).map_err(failed).map(drop)
    })
}

/// The content of a file as it comes by, which must be read to its end.
pub(super) struct Content<'a> {
    layer: &'a Layer,
    content: Take<&'a mut Filled<'static, TarStream>>,
}

/// How much of a large file is copied at a time.
const PART: u64 = 256 << 10;

impl Content<'_> {
    /// Gives all of it to `take`, part by part, each with its place in the file. Parts that are zeros are not given.
    pub fn each_part(&mut self, mut take: impl FnMut(&[u8], u64) -> Result<()>) -> Result<()> {
        let size = self.content.limit();
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
        self.content.read_exact(buffer).map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => Error::integrity(format!(
                "layer {} is shorter than when it was read before",
                self.layer.descriptor.digest
            )),
            _ => Error::from_read("read", format!("layer {}", self.layer.descriptor.digest), source),
        })
    }
}
