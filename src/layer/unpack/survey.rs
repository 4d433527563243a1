//! What of the layers is in the file system that they make, in the order in which it can be had: contents as they come by in
//! the layers' tars, and before and after them what needs none.

use std::collections::HashMap;
use std::io::{self, Read};

use crate::error::{Error, Result};
use crate::layer::read::{FileContent, Filled, TarStream, opened};
use crate::layer::{Layer, Open};
use crate::oci::Digest;
use crate::tree::{self, Files, Kind, Node, Object};

/// All paths of a file system, each once.
pub(super) struct Survey<'t> {
    /// Parents before children; the root is the first.
    pub directories: Vec<Place<'t>>,
    /// The files of each layer, in the order of the layer's tar.
    pub files: Vec<Vec<Wanted<'t>>>,
    /// The files whose contents lie in no layer, and can be had at any time.
    pub loose: Vec<(Place<'t>, &'t tree::Content)>,
    /// Further names, of files and of [`others`](Self::others).
    pub links: Vec<Link>,
    /// Symlinks, FIFOs and devices.
    pub others: Vec<Place<'t>>,
}

/// A path, and what stands there.
pub(super) struct Place<'t> {
    pub path: Vec<u8>,
    pub node: &'t Node,
}

/// A file and its content in its layer's tar.
pub(super) struct Wanted<'t> {
    pub place: Place<'t>,
    /// Other files with the same content: a copy of what a layer has, or what a layer has put to two places.
    pub also: Vec<Place<'t>>,
    pub offset: u64,
    pub size: u64,
}

/// The path of a further name of what stands at `target`.
pub(super) struct Link {
    pub path: Vec<u8>,
    pub target: Vec<u8>,
}

impl<'t> Wanted<'t> {
    /// Returns all files that have this content.
    pub fn places(&self) -> impl Iterator<Item = &Place<'t>> {
        std::iter::once(&self.place).chain(&self.also)
    }
}

impl<'t> Survey<'t> {
    /// Returns every path of `files`. Contents that lie in one of `layers` are had from there, even if they have been unpacked
    /// before: nobody says that all of the layer was. Fails for a file whose content is neither there nor elsewhere.
    pub fn of(files: &'t Files, layers: &[Layer]) -> Result<Self> {
        let mut survey = Survey {
            directories: Vec::new(),
            files: std::iter::repeat_with(Vec::new).take(layers.len()).collect(),
            loose: Vec::new(),
            links: Vec::new(),
            others: Vec::new(),
        };
        let numbers: HashMap<Digest, usize> =
            layers.iter().enumerate().map(|(number, layer)| (layer.diff_id, number)).collect();
        // The first paths of what may have several.
        let mut first: HashMap<usize, Vec<u8>> = HashMap::new();
        for (path, node) in files.paths() {
            let place = Place { path, node };
            let Object::Other(kind) = node.object() else {
                survey.directories.push(place);
                continue;
            };
            if let Some(identity) = node.identity() {
                if let Some(target) = first.get(&identity) {
                    survey.links.push(Link { path: place.path, target: target.clone() });
                    continue;
                }
                first.insert(identity, place.path.clone());
            }
            match kind {
                Kind::File(content @ tree::Content::Part { spool, offset, size }) => match numbers.get(&spool.tar()) {
                    Some(number) => {
                        survey.files[*number].push(Wanted { place, also: Vec::new(), offset: *offset, size: *size });
                    }
                    None if spool.can_be_read() => survey.loose.push((place, content)),
                    None => return Err(elsewhere(&place.path)),
                },
                Kind::File(content) => survey.loose.push((place, content)),
                _ => survey.others.push(place),
            }
        }
        for files in &mut survey.files {
            files.sort_by_key(|file| file.offset);
            files.dedup_by(|file, first| {
                let is_same = (file.offset, file.size) == (first.offset, first.size);
                if is_same {
                    let Place { path, node } = &mut file.place;
                    first.also.push(Place { path: std::mem::take(path), node });
                }
                is_same
            });
        }
        Ok(survey)
    }
}

pub(super) fn elsewhere(path: &[u8]) -> Error {
    Error::not_found(format!("the content of /{} is in none of the layers", path.escape_ascii()))
}

/// Reads `layer` once more and gives each of `files`, in their order, to `take` with its content. The blob is read to
/// its end, so that its reader can check it again. As many as `threads` decompress it.
pub(super) fn contents<'f>(
    layer: &Layer,
    files: &'f [Wanted<'f>],
    open: &Open<'_>,
    threads: usize,
    mut take: impl FnMut(&'f Wanted<'f>, &mut FileContent<'_>) -> Result<()>,
) -> Result<()> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::UnexpectedEof => {
            Error::integrity(format!("layer {} is shorter than when it was read before", layer.descriptor.digest))
        }
        _ => Error::from_read("read", format!("layer {}", layer.descriptor.digest), source),
    };
    std::thread::scope(|scope| {
        let blob = opened(&layer.descriptor, open)?;
        let mut tar = Filled::new(TarStream::start(scope, layer.descriptor.digest, blob, threads)?, None);
        let mut at = 0;
        for file in files {
            io::copy(&mut tar.by_ref().take(file.offset - at), &mut io::sink()).map_err(failed)?;
            let mut content = FileContent::new(&mut tar, file.size, &failed);
            take(file, &mut content)?;
            at = file.offset + file.size - content.left();
        }
        io::copy(&mut tar, &mut io::sink()).map_err(failed).map(drop)
    })
}
