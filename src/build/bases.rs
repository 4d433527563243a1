//! What images that exist already hold: the headers of their layers, read once and noted in the local store, and of their
//! contents what a build needs.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::sync::Arc;

use rayon::ThreadPool;
use rayon::prelude::*;

use super::{Options, members, windows};
use crate::error::{Error, Result};
use crate::layer::{self, Layer, Member, Overlay};
use crate::oci::{Descriptor, Digest, KeyBuilder};
use crate::plan::BaseImage;
use crate::store::Store;
use crate::tree::{Content, Files, Kind, Limits, Object, Spool};

/// The images that a build looks into.
pub struct Bases<'a> {
    options: &'a Options<'a>,
    pool: &'a ThreadPool,
    /// By the digest of the manifest.
    images: HashMap<Digest, Files>,
    /// By diff_id.
    spooled: HashMap<Digest, Spooled>,
}

/// A layer, and as much of its tar as was needed so far.
struct Spooled {
    layer: Layer,
    spool: Arc<Spool>,
    file: Option<File>,
    /// What is in the file: where each part begins, and where it ends.
    parts: BTreeMap<u64, u64>,
}

impl<'a> Bases<'a> {
    pub fn new(options: &'a Options<'a>, pool: &'a ThreadPool) -> Self {
        Bases { options, pool, images: HashMap::new(), spooled: HashMap::new() }
    }

    /// The file system of `image`. Its contents are there once they were [brought](Bases::bring).
    pub fn files(&mut self, image: &BaseImage) -> Result<Files> {
        if let Some(files) = self.images.get(&image.manifest) {
            return Ok(files.clone());
        }
        let diff_ids = image.config.rootfs.diff_ids.clone();
        let layers = Layer::all(image.manifest, image.layers.clone(), diff_ids)?;
        let mut overlay = Overlay::new();
        for (number, (members, layer)) in self.members(&layers)?.into_iter().zip(layers).enumerate() {
            let spool = self.spool(layer);
            overlay.apply(number, members, &spool).map_err(|error| about(error, image))?;
        }
        let files = overlay.into_files();
        let files = if image.config.platform.is_windows() { windows::files(&files) } else { files };
        self.images.insert(image.manifest, files.clone());
        Ok(files)
    }

    /// Sees to it that those of `contents` that are in layers of images can be read, all layers side by side.
    pub fn bring<'c>(&mut self, contents: impl Iterator<Item = &'c Content>) -> Result<()> {
        let mut wanted: HashMap<Digest, BTreeMap<u64, u64>> = HashMap::new();
        for content in contents {
            if let Content::Part { spool, offset, size } = content
                && let Some(spooled) = self.spooled.get(&spool.tar())
                && (!spooled.parts.contains_key(offset) || spooled.file.is_none())
            {
                wanted.entry(spool.tar()).or_default().insert(*offset, offset + size);
            }
        }
        let mut all = Vec::new();
        for (tar, parts) in wanted {
            let Some(spooled) = self.spooled.get_mut(&tar) else { continue };
            let failed = |source| Error::io("write", self.options.store.root(), source);
            let file = match &spooled.file {
                Some(file) => file.try_clone().map_err(failed)?,
                None => {
                    let file = self.options.store.scratch()?;
                    spooled.spool.fill(file.try_clone().map_err(failed)?);
                    spooled.file = Some(file.try_clone().map_err(failed)?);
                    file
                }
            };
            let ranges: Vec<Range<u64>> = parts.iter().map(|(start, end)| *start..*end).collect();
            spooled.parts.extend(parts);
            all.push((spooled.layer.clone(), ranges, file));
        }
        let bases = self.options.bases;
        let open = move |descriptor: &Descriptor| bases.open(descriptor);
        self.pool
            .install(|| all.par_iter().try_for_each(|(layer, parts, file)| layer::extract(layer, parts, &open, file)))
    }

    /// What is in the file at `path`, links followed; none if there is no such file.
    pub fn read(&mut self, files: &Files, path: &[u8]) -> Result<Option<Vec<u8>>> {
        let real = files.real(path)?;
        let Some(Object::Other(Kind::File(content))) = files.get(&real).map(|node| node.object()) else {
            return Ok(None);
        };
        self.bring(std::iter::once(content))?;
        content.bytes().map(Some)
    }

    /// The members of each layer: as they were noted, else read. Each is one whose blob unpacks to its diff_id.
    fn members(&self, layers: &[Layer]) -> Result<Vec<Vec<Member>>> {
        let known = self.pool.install(|| layers.par_iter().map(|layer| self.noted(layer)).collect::<Vec<_>>());
        let missing: Vec<Layer> =
            layers.iter().zip(&known).filter(|(_, known)| known.is_none()).map(|(layer, _)| layer.clone()).collect();
        let bases = self.options.bases;
        let open = move |descriptor: &Descriptor| -> Result<Box<dyn Read + Send>> { bases.open(descriptor) };
        let read = layer::read_members(&missing, &open, Limits::of(layers, None), self.pool)?;
        for (layer, members) in missing.iter().zip(&read) {
            let marker = super::cache::marker(self.options.store)?;
            self.options.store.put_record(&record(layer), &marker, &members::encoded(members))?;
            self.options.store.note_diff_id(layer)?;
        }
        let mut read = read.into_iter();
        Ok(known.into_iter().filter_map(|known| known.or_else(|| read.next())).collect())
    }

    fn noted(&self, layer: &Layer) -> Option<Vec<Member>> {
        let (_, noted) = self.options.store.record(&record(layer))?;
        members::decoded(&noted)
    }

    fn spool(&mut self, layer: Layer) -> Arc<Spool> {
        let spooled = self.spooled.entry(layer.diff_id).or_insert_with(|| {
            let spool = Arc::new(Spool::new(layer.diff_id));
            Spooled { layer, spool, file: None, parts: BTreeMap::new() }
        });
        spooled.spool.clone()
    }
}

/// Where the members of a layer are noted, once its blob was found to unpack to its diff_id: what an image says of another
/// blob leads elsewhere.
fn record(layer: &Layer) -> Digest {
    KeyBuilder::new("members 3").part("blob", &layer.descriptor.digest).part("diff_id", &layer.diff_id).finish()
}

fn about(error: Error, image: &BaseImage) -> Error {
    Error { message: format!("{}: {}", image.name, error.message), ..error }
}
