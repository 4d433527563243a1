//! This file writes the files of an image without the image: as a directory, or as one tar.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rayon::{ThreadPool, ThreadPoolBuilder};

use super::bundle::OutputImage;
use super::sink::{STANDARD_OUTPUT, standard_output};
use crate::error::{Error, Result};
use crate::image::{Reader, no_image};
use crate::layer::{self, Directories, Layer, Open, Owners, TRAILER, USUAL_THREADS};
use crate::oci::{Descriptor, Platform};
use crate::progress::{BlobOutcome, Event, Progress};
use crate::run::namespace;
use crate::store::pending::{Arrival, PendingDirectory, PendingFile};
use crate::store::{Graph, Store};
use crate::tree::{Files, Limits, path::relative};

/// The means by which layers are unpacked.
pub struct Unpacking<'a> {
    /// The bytes that the layers of an image may unpack to, if it is not the usual number.
    pub limit: Option<u64>,
    /// Threads; 0 is one for each core, and more than 16 are not started.
    pub jobs: usize,
    /// Is told of each layer, and of files that are left out.
    pub progress: Progress<'a>,
}

/// Writes the root file system of an image into `directory`; those of several, each into a directory named for its
/// platform, as buildx does it: `linux_amd64`, `linux_arm_v7`.
///
/// A new directory appears in one step. One that is there keeps what it has beside what is written, as well as its own
/// attributes; everything is ready beforehand and then moved to its place. What is on its way there is removed if
/// anything fails.
pub fn write_directory(
    directory: &Path,
    image: OutputImage<'_>,
    graph: &Graph,
    unpacking: &Unpacking<'_>,
) -> Result<()> {
    let pool = pool(unpacking.jobs)?;
    let images = Rootfs::all(image, graph)?;
    let pending = PendingDirectory::begin(directory)?;
    let mut finishing: Vec<(String, Directories)> = Vec::new();
    // Who is root only because commands had to be run is somebody else to whoever looks at the files afterwards.
    let owners = if namespace::has_entered() { Owners::Own } else { Owners::OfLayers };
    for rootfs in &images {
        let root = pending.create(&rootfs.name)?;
        let shown = directory.join(&rootfs.name);
        let limits = Limits::of(&rootfs.layers, unpacking.limit);
        let open = |layer: &Descriptor| watched(image.store, layer, unpacking.progress);
        let unpacked = layer::unpack_all(owners, &rootfs.layers, &open, limits, (root.as_fd(), &shown), &pool)?;
        for (kind, message) in &unpacked.left_out {
            let message = format!("{}: {message}", shown.display());
            (unpacking.progress)(Event::Warning { kind: *kind, message: &message });
        }
        finishing.push((rootfs.name.clone(), unpacked.directories));
    }
    // A directory that may not be written to could not be moved into another.
    if pending.is_inside() {
        return pending.keep_and(directory, &mut |path, arrived, how| {
            let Some((directories, below)) =
                finishing.iter().find_map(|(name, all)| Some((all, relative(path, name.as_bytes())?)))
            else {
                return Ok(());
            };
            let shown = directory.join(OsStr::from_bytes(path));
            match how {
                Arrival::Whole => directories.finish(below, arrived, &shown),
                Arrival::Merged => directories.finish_one(below, arrived, &shown),
            }
        });
    }
    for (name, directories) in &finishing {
        directories.finish(b"", pending.create(name)?.as_fd(), &directory.join(name))?;
    }
    if images.iter().all(|rootfs| !rootfs.name.is_empty()) {
        pending.open_up()?;
    }
    pending.keep(directory)
}

/// Writes the root file system of an image as a tar, in one step, with owners, devices and all, whoever writes it; those
/// of several platforms in directories as [`write_directory`] names them. The bytes depend on the image alone.
pub fn write_tar(file: &Path, image: OutputImage<'_>, graph: &Graph, unpacking: &Unpacking<'_>) -> Result<()> {
    let pool = pool(unpacking.jobs)?;
    let images = Rootfs::all(image, graph)?;
    if file == Path::new(STANDARD_OUTPUT) {
        // Files are put where they belong in the tar, in no order.
        let failed = |source| Error::io("write to", "standard output", source);
        let spooled = tempfile::tempfile().map_err(failed)?;
        put_tar(&spooled, file, image, &images, &pool, unpacking)?;
        let mut stream = standard_output()?;
        return (&spooled).rewind().and_then(|()| io::copy(&mut &spooled, &mut stream)).map(drop).map_err(failed);
    }
    let pending = PendingFile::beside(file)?;
    put_tar(pending.as_file(), file, image, &images, &pool, unpacking)?;
    pending.keep(file)
}

/// Writes the tar to `to`, which is empty and which errors call `file`.
fn put_tar(
    to: &File,
    file: &Path,
    image: OutputImage<'_>,
    images: &[Rootfs],
    pool: &ThreadPool,
    unpacking: &Unpacking<'_>,
) -> Result<()> {
    let mut end = 0;
    for rootfs in images {
        let files = rootfs.read(image.store, pool, unpacking)?;
        let open = |layer: &Descriptor| watched(image.store, layer, unpacking.progress);
        end = layer::flatten(&files, &rootfs.layers, &open, &rootfs.name, (to, end), file, pool)?;
    }
    // The trailer is zeros.
    to.set_len(end + TRAILER).map_err(|source| Error::io("write", file, source))
}

/// An image for one platform, to be unpacked.
struct Rootfs {
    /// The name of the directory for its platform; empty for the only one.
    name: String,
    layers: Vec<Layer>,
}

impl Rootfs {
    fn all(image: OutputImage<'_>, graph: &Graph) -> Result<Vec<Rootfs>> {
        let mut reader = Reader::new(image.store);
        let mut all = Vec::new();
        for (descriptor, bytes) in graph.images() {
            let image = reader.image_in(descriptor, bytes)?.ok_or_else(|| no_image(descriptor))?;
            let platform = &image.config.platform;
            if platform.is_windows() {
                return Err(Error::input(format!("cannot write only the files of an image for {platform}")).with_hint(
                    "its layers are made for Windows: write the image itself, with -o type=oci or type=docker",
                ));
            }
            all.push(Rootfs {
                name: directory_name(descriptor.platform.as_ref().unwrap_or(&image.config.platform))?,
                layers: image.layers()?,
            });
        }
        if let [only] = &mut all[..] {
            only.name.clear();
        }
        let mut names = BTreeSet::new();
        match all.iter().find(|rootfs| !names.insert(&rootfs.name)) {
            Some(twice) => Err(Error::input(format!("there are several images for {}", twice.name.replace('_', "/")))
                .with_hint("choose one by its digest")),
            None => Ok(all),
        }
    }

    fn read(&self, store: &dyn Store, pool: &ThreadPool, unpacking: &Unpacking<'_>) -> Result<Files> {
        let limits = Limits::of(&self.layers, unpacking.limit);
        let open: &Open<'_> = &|layer: &Descriptor| store.open(layer);
        layer::read(&self.layers, open, limits, pool)
    }
}

/// Returns the name of the directory for `platform`: `linux_arm_v7`. What an image says of its platform must not lead
/// anywhere.
fn directory_name(platform: &Platform) -> Result<String> {
    // As users write it: `linux/arm64`, not `linux/arm64/v8`.
    let platform = platform.to_string().parse().unwrap_or_else(|_| platform.clone());
    let parts = [Some(&platform.os), Some(&platform.architecture), platform.variant.as_ref()];
    let parts: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
    if !parts.iter().all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric())) {
        let platform = platform.to_string();
        return Err(Error::input(format!("`{}` is not a platform", platform.escape_debug())));
    }
    Ok(parts.join("_"))
}

/// More threads than usual would only wait for each other, or for the disk.
fn pool(jobs: usize) -> Result<ThreadPool> {
    let pool = ThreadPoolBuilder::new().num_threads(layer::threads(jobs).min(USUAL_THREADS)).build();
    pool.map_err(|source| Error::input("cannot start the threads that unpack").with_source(source))
}

/// Opens the blob of a layer; `progress` is told of its reading.
fn watched<'a>(
    store: &'a dyn Store,
    descriptor: &Descriptor,
    progress: Progress<'a>,
) -> Result<Box<dyn Read + Send + 'a>> {
    let blob = store.open(descriptor)?;
    progress(Event::BlobStarted { descriptor });
    Ok(Box::new(Watched { blob, descriptor: descriptor.clone(), is_done: false, progress }))
}

struct Watched<'a> {
    blob: Box<dyn Read + Send + 'a>,
    descriptor: Descriptor,
    is_done: bool,
    progress: Progress<'a>,
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.blob.read(buffer)?;
        let digest = self.descriptor.digest;
        if count > 0 {
            (self.progress)(Event::BlobAdvanced { digest, bytes: count as u64 });
        } else if !self.is_done && !buffer.is_empty() {
            self.is_done = true;
            (self.progress)(Event::BlobFinished { digest, outcome: BlobOutcome::Written });
        }
        Ok(count)
    }
}
