//! What of the layers is in the file system that they make, in the order in which it can be had: contents as they come by in
//! the layers' tars, and before and after them what needs none.

use std::collections::HashMap;
use std::io::{self, Read, Take};

use crate::error::{Error, Result};
use crate::layer::read::{Filled, TarStream, opened};
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
    pub offset: u64,
    pub size: u64,
}

/// The path of a further name of what stands at `target`.
pub(super) struct Link {
    pub path: Vec<u8>,
    pub target: Vec<u8>,
}

impl<'t> Survey<'t> {
    /// Contents that lie in one of `layers` are had from there, even if they have been unpacked before: nobody says that all
    /// of the layer was. Fails for a file whose content is neither there nor elsewhere.
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
                    Some(number) => survey.files[*number].push(Wanted { place, offset: *offset, size: *size }),
                    None if spool.can_be_read() => survey.loose.push((place, content)),
                    None => return Err(elsewhere(&place.path)),
                },
                Kind::File(content) => survey.loose.push((place, content)),
                _ => survey.others.push(place),
            }
        }
        survey.files.iter_mut().for_each(|files| files.sort_by_key(|file| file.offset));
        Ok(survey)
    }
}

pub(super) fn elsewhere(path: &[u8]) -> Error {
    Error::not_found(format!("the content of /{} is in none of the layers", path.escape_ascii()))
}

/// Reads `layer` once more and gives each of `files`, in their order, to `take` with its content. The blob is read to
/// its end, so that its reader can check it again.
pub(super) fn contents<'f>(
    layer: &Layer,
    files: &'f [Wanted<'f>],
    open: &Open<'_>,
    mut take: impl FnMut(&'f Wanted<'f>, &mut FileContent<'_>) -> Result<()>,
) -> Result<()> {
    std::thread::scope(|scope| {
        let blob = opened(&layer.descriptor, open)?;
        let mut tar = Filled::new(TarStream::start(scope, layer.descriptor.digest, blob)?, None);
        let failed = |source| Error::from_read("read", format!("layer {}", layer.descriptor.digest), source);
        let mut at = 0;
        for file in files {
            io::copy(&mut tar.by_ref().take(file.offset - at), &mut io::sink()).map_err(failed)?;
            let mut content = FileContent { layer, content: tar.by_ref().take(file.size) };
            take(file, &mut content)?;
            at = file.offset + file.size;
        }
        io::copy(&mut tar, &mut io::sink()).map_err(failed).map(drop)
    })
}

/// The content of a file as it comes by, which must be read to its end.
pub(super) struct FileContent<'a> {
    layer: &'a Layer,
    content: Take<&'a mut Filled<'static, TarStream>>,
}

/// A callback that is given a part of a file, and its place there.
pub(super) type TakePart<'a> = dyn FnMut(&[u8], u64) -> Result<()> + 'a;

/// How much of a large file is copied at a time.
const PART: u64 = 256 << 10;

impl FileContent<'_> {
    /// Gives all of it to `take`, part by part, each with its place in the file. Parts that are zeros are not given.
    pub fn each_part(&mut self, take: &mut TakePart<'_>) -> Result<()> {
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
