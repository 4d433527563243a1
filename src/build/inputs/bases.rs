//! What images that exist already hold: the headers of their layers, read once and noted in the local store, and of their
//! contents what a build needs.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::{Arc, Mutex};

use rayon::ThreadPool;
use rayon::prelude::*;

use super::members;
use crate::build::cache::marker;
use crate::build::options::Options;
use crate::build::windows;
use crate::error::{Error, Result};
use crate::layer::{self, Layer, Member, Overlay, Owners, Unpacked};
use crate::net::Stop;
use crate::oci::{Descriptor, Digest, KeyBuilder};
use crate::plan::BaseImage;
use crate::progress::Event;
use crate::store::{PendingUnpacked, Store};
use crate::sync::{Memo, locked};
use crate::tree::{BOMB, Content, Files, Kind, Limits, Node, Object, Spool};

/// The images that a build looks into.
pub struct Bases<'a> {
    options: &'a Options<'a>,
    pool: &'a ThreadPool,
    stop: Stop,
    /// By the digest of the manifest.
    images: Memo<Digest, Files>,
    /// By diff_id.
    spooled: Mutex<HashMap<Digest, Arc<Spooled>>>,
}

/// A layer, and as much of its tar as was needed so far.
struct Spooled {
    layer: Layer,
    spool: Arc<Spool>,
    /// The parts that are yet to be brought: whoever comes next brings it for all who wait.
    wanted: Mutex<TarRanges>,
    brought: Mutex<Brought>,
}

/// Where each part of a tar begins, and where it ends.
type TarRanges = BTreeMap<u64, u64>;

#[derive(Default)]
struct Brought {
    file: Option<File>,
    /// The parts that are in the file.
    parts: TarRanges,
}

/// In bytes, of a file that is read into memory whole: the users of a large company take a few MiB.
const LARGEST_READ: u64 = 16 << 20;

impl<'a> Bases<'a> {
    /// Returns bases of which nothing is read yet. What is read when `stop` is ended fails.
    pub fn new(options: &'a Options<'a>, pool: &'a ThreadPool, stop: Stop) -> Self {
        Bases { options, pool, stop, images: Memo::default(), spooled: Mutex::default() }
    }

    /// Returns the threads that it works on.
    pub fn pool(&self) -> &ThreadPool {
        self.pool
    }

    /// Returns the file system of `image`. Its contents are there once they were [brought](Bases::bring).
    pub fn files(&self, image: &BaseImage) -> Result<Files> {
        self.images.get(image.manifest, || {
            let layers = layers_of(image)?;
            self.put_together(image, &layers, self.members(&layers)?)
        })
    }

    /// Returns the file system of `image`, as the lowest of an overlay in a directory of the store, too, if it comes to light
    /// now: what has to be read to know it is written out at the same time. Layers that were read by earlier builds are not read
    /// for that.
    pub fn unpacked(&self, image: &BaseImage) -> Result<(Files, Option<PendingUnpacked>)> {
        // On disk, files have another form there.
        if layer::has_one_id() {
            return Ok((self.files(image)?, None));
        }
        let mut unpacked = None;
        let files = self.images.get(image.manifest, || {
            let layers = layers_of(image)?;
            let known = self.all_noted(&layers);
            if known.iter().all(Option::is_some) {
                return self.put_together(image, &layers, known.into_iter().flatten().collect());
            }
            let pending = self.options.store.begin_unpacked()?;
            self.plan_pull(&layers);
            let open = |descriptor: &Descriptor| self.open(descriptor);
            let limits = Limits::of(&layers, None);
            let (members, staged) = layer::stage(Owners::OfLayers, &layers, &open, limits, pending.files(), self.pool)?;
            layers.iter().zip(&members).try_for_each(|(layer, members)| self.note(layer, members))?;
            let files = self.put_together(image, &layers, members)?;
            self.finish(staged.arrange(&layer::lowest(&files), &layers)?, pending.files())?;
            unpacked = Some(pending);
            Ok(files)
        })?;
        Ok((files, unpacked))
    }

    fn put_together(&self, image: &BaseImage, layers: &[Layer], members: Vec<Vec<Member>>) -> Result<Files> {
        let mut overlay = Overlay::new();
        for (number, (members, layer)) in members.into_iter().zip(layers).enumerate() {
            let spool = self.spool(layer.clone());
            overlay.apply(number, members, &spool).map_err(|error| about(error, image))?;
        }
        let files = overlay.into_files();
        Ok(if image.config.platform.is_windows() { windows::files(&files) } else { files })
    }

    /// Returns the file system that `layer`, which is in the local store, makes of what is `below` it.
    pub fn applied(&self, below: &Files, layer: &Layer) -> Result<Files> {
        let mut overlay = Overlay::over(below.clone());
        let members = self.members(std::slice::from_ref(layer))?;
        let spool = self.spool(layer.clone());
        members.into_iter().try_for_each(|members| overlay.apply(1, members, &spool))?;
        Ok(overlay.into_files())
    }

    /// Writes `files` into the empty directory `root`, which errors call `shown`, for commands: where all files have one owner,
    /// theirs are kept beside them.
    pub fn unpack(&self, files: &Files, (root, shown): (BorrowedFd<'_>, &Path)) -> Result<()> {
        let with_kept = layer::has_one_id().then(|| layer::with_kept(files));
        let files = with_kept.as_ref().unwrap_or(files);
        let tars: BTreeSet<Digest> = files.paths().filter_map(|(_, node)| tar_of(node)).collect();
        let layers: Vec<Layer> = {
            let spooled = locked(&self.spooled);
            tars.iter().filter_map(|tar| Some(spooled.get(tar)?.layer.clone())).collect()
        };
        let open = |descriptor: &Descriptor| self.open(descriptor);
        self.finish(layer::unpack(Owners::OfLayers, files, &layers, &open, (root, shown), self.pool)?, (root, shown))
    }

    fn finish(&self, unpacked: Unpacked, (root, shown): (BorrowedFd<'_>, &Path)) -> Result<()> {
        let Unpacked { directories, left_out } = unpacked;
        for (kind, message) in &left_out {
            (self.options.progress)(Event::Warning { kind: *kind, message });
        }
        directories.finish(b"", root, shown)
    }

    /// Sees to it that those of `contents` that are in layers of images can be read, all layers side by side. Each layer is
    /// read once for all that ask for parts of it while it is read for another.
    pub fn bring<'c>(&self, contents: impl Iterator<Item = &'c Content>) -> Result<()> {
        let mut wanted: BTreeMap<Digest, TarRanges> = BTreeMap::new();
        for content in contents {
            if let Content::Part { spool, offset, size } = content {
                wanted.entry(spool.tar()).or_default().insert(*offset, offset + size);
            }
        }
        let known = locked(&self.spooled);
        let wanted: Vec<(Arc<Spooled>, TarRanges)> =
            wanted.into_iter().filter_map(|(tar, parts)| Some((known.get(&tar)?.clone(), parts))).collect();
        drop(known);
        for (spooled, parts) in &wanted {
            locked(&spooled.wanted).extend(parts);
        }
        // All that bring take the layers in one order, so that none waits for another who waits for it.
        let mut all = Vec::new();
        for (spooled, mut parts) in wanted.iter().map(|(spooled, parts)| (spooled, parts.clone())) {
            let mut brought = locked(&spooled.brought);
            parts.append(&mut locked(&spooled.wanted));
            parts.retain(|start, _| !brought.parts.contains_key(start));
            if parts.is_empty() {
                continue;
            }
            let file = spooled.file(&mut brought, self.options)?;
            all.push((&spooled.layer, brought, parts, file));
        }
        let open = |descriptor: &Descriptor| self.open(descriptor);
        let layers: Vec<(&Layer, Vec<Range<u64>>, &File)> = all
            .iter()
            .map(|(layer, _, parts, file)| (*layer, parts.iter().map(|(start, end)| *start..*end).collect(), file))
            .collect();
        let threads = layer::threads_for_each(layers.len(), self.pool);
        self.pool.install(|| {
            layers.par_iter().try_for_each(|(layer, parts, file)| layer::extract(layer, parts, &open, threads, file))
        })?;
        for (_, mut brought, parts, _) in all {
            brought.parts.extend(parts);
        }
        Ok(())
    }

    /// Returns what is in the file at `path`, links followed; none if there is no such file. One of more than [`LARGEST_READ`] bytes is an
    /// error.
    pub fn read(&self, files: &Files, path: &[u8]) -> Result<Option<Vec<u8>>> {
        let real = files.real(path)?;
        let Some(Object::Other(Kind::File(content))) = files.get(&real).map(|node| node.object()) else {
            return Ok(None);
        };
        if content.size() > LARGEST_READ {
            let (path, size) = (path.escape_ascii(), content.size());
            return Err(Error::input(format!(
                "/{path} of the image has {size} bytes, more than the limit of {LARGEST_READ}"
            ))
            .with_hint(BOMB));
        }
        self.bring(std::iter::once(content))?;
        content.bytes().map(Some)
    }

    /// The members of each layer: as they were noted, else read. Each is one whose blob unpacks to its diff_id.
    fn members(&self, layers: &[Layer]) -> Result<Vec<Vec<Member>>> {
        let known = self.all_noted(layers);
        let missing: Vec<Layer> =
            layers.iter().zip(&known).filter(|(_, known)| known.is_none()).map(|(layer, _)| layer.clone()).collect();
        let open = |descriptor: &Descriptor| self.open(descriptor);
        self.plan_pull(&missing);
        let read = layer::read_members(&missing, &open, Limits::of(layers, None), self.pool)?;
        missing.iter().zip(&read).try_for_each(|(layer, members)| self.note(layer, members))?;
        let mut read = read.into_iter();
        Ok(known.into_iter().filter_map(|known| known.or_else(|| read.next())).collect())
    }

    /// Tells which of `layers`, all of which are read now, are not here.
    fn plan_pull(&self, layers: &[Layer]) {
        let blobs = layers.iter().map(|layer| &layer.descriptor);
        let missing: Vec<&Descriptor> = blobs.filter(|blob| !self.options.store.claim(blob)).collect();
        if !missing.is_empty() {
            (self.options.progress)(Event::PullPlanned { blobs: &missing });
        }
    }

    /// Notes the members of a layer, all of which was read and whose digests hold.
    fn note(&self, layer: &Layer, members: &[Member]) -> Result<()> {
        let marker = marker(self.options.store)?;
        self.options.store.put_record(&record(layer), &marker, &members::encoded(members))?;
        self.options.store.note_diff_id(layer)
    }

    /// The members of each layer that were noted.
    fn all_noted(&self, layers: &[Layer]) -> Vec<Option<Vec<Member>>> {
        self.pool.install(|| layers.par_iter().map(|layer| self.noted(layer)).collect())
    }

    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        let Options { store, bases, .. } = *self.options;
        // A layer that was made here is in no other place.
        let blob = if store.claim(descriptor) { store.open(descriptor)? } else { bases.open(descriptor)? };
        Ok(Box::new(Ending { blob, stop: &self.stop }))
    }

    fn noted(&self, layer: &Layer) -> Option<Vec<Member>> {
        let (_, noted) = self.options.store.record(&record(layer))?;
        members::decoded(&noted)
    }

    fn spool(&self, layer: Layer) -> Arc<Spool> {
        let mut all = locked(&self.spooled);
        let spooled = all.entry(layer.diff_id).or_insert_with(|| {
            let spool = Arc::new(Spool::new(layer.diff_id));
            Arc::new(Spooled { layer, spool, wanted: Mutex::default(), brought: Mutex::default() })
        });
        spooled.spool.clone()
    }
}

fn layers_of(image: &BaseImage) -> Result<Vec<Layer>> {
    Layer::all(image.manifest, image.layers.clone(), image.config.rootfs.diff_ids.clone())
}

/// The tar that the content of a file is in.
fn tar_of(node: &Node) -> Option<Digest> {
    match node.object() {
        Object::Other(Kind::File(Content::Part { spool, .. })) => Some(spool.tar()),
        _ => None,
    }
}

/// The blob of a layer, which can be read until the build ends.
struct Ending<'s, R> {
    blob: R,
    stop: &'s Stop,
}

impl<R: Read> Read for Ending<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.stop.is_ended() {
            true => Err(io::Error::other("the build has ended")),
            false => self.blob.read(buffer),
        }
    }
}

impl Spooled {
    /// The file that the parts are `brought` into.
    fn file(&self, brought: &mut Brought, options: &Options<'_>) -> Result<File> {
        let failed = |source| Error::io("write", options.store.root(), source);
        let file = match &brought.file {
            Some(file) => file,
            None => {
                let file = options.store.scratch()?;
                self.spool.fill(file.try_clone().map_err(failed)?);
                brought.file.insert(file)
            }
        };
        file.try_clone().map_err(failed)
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
