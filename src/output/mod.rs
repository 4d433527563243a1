//! Where finished images go. Every output is a walk over the graphs below their roots; none of them leaves half a result.

mod bundle;
mod destination;
mod docker_archive;
mod flip;
mod layout;
mod oci_archive;
mod registry;
pub mod release;
mod rootfs;

use std::collections::HashSet;
use std::fmt;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::error::{Error, Result, suggestion};
use crate::image;
use crate::layer::{Layer, LayerReader};
use crate::oci::{Descriptor, Digest, Reference};
use crate::progress::{BlobOutcome, Event, Progress};
use crate::registry::OnDemand;
use crate::store::pending::{PendingDirectory, PendingFile};
use crate::store::{Follow, Store};
use bundle::Item;
pub use bundle::{Bundle, Entry};
pub use destination::{Destination, Names, Prefix, hold};
use rootfs::Unpacking;

/// A place to write an image to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// An OCI layout directory; one that exists keeps what it has.
    Layout(PathBuf),
    OciArchive(PathBuf),
    /// What `docker load` reads.
    DockerArchive(PathBuf),
    /// Under each of the image's names.
    Registry,
    /// The files of the image; those of several platforms in a directory each. The layers of an image may unpack to
    /// `limit` bytes, or to [`Limits::of`](crate::tree::Limits::of) them.
    Directory {
        path: PathBuf,
        limit: Option<u64>,
    },
    /// The same as one tar.
    Tar {
        path: PathBuf,
        limit: Option<u64>,
    },
}

/// What is written: a root, its names, and the store that has its content.
#[derive(Clone, Copy)]
pub struct Image<'a> {
    pub store: &'a dyn Store,
    pub root: &'a Descriptor,
    pub names: &'a [Reference],
}

impl Output {
    /// Where it is on disk.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Output::Layout(path) | Output::OciArchive(path) | Output::DockerArchive(path) => Some(path),
            Output::Directory { path, .. } | Output::Tar { path, .. } => Some(path),
            Output::Registry => None,
        }
    }

    /// Refuses what makes no sense of an image that is `images`, one for each platform: several of them, or none, in a
    /// docker archive, an image without a name to a registry.
    fn check_image(&self, images: usize, names: &[Reference]) -> Result<()> {
        match self {
            Output::DockerArchive(file) if images == 0 => {
                Err(Error::input(format!("{} would hold no image", file.display()))
                    .with_hint("a docker archive holds one image: what is no image goes into an OCI archive or layout"))
            }
            Output::DockerArchive(file) if images > 1 => {
                Err(Error::input(format!("{} would hold several platforms", file.display()))
                    .with_hint("a docker archive holds one: choose it with --platform, or write an OCI archive"))
            }
            Output::Registry if names.is_empty() => {
                Err(Error::usage("the image has no name to push it under")
                    .with_hint("name it with -t REGISTRY/NAME:TAG"))
            }
            _ => Ok(()),
        }
    }

    fn check_place(&self) -> Result<()> {
        match self {
            Output::Layout(path) => layout::check(path),
            Output::OciArchive(path) | Output::DockerArchive(path) | Output::Tar { path, .. } => {
                PendingFile::check(path)
            }
            Output::Directory { path, .. } => PendingDirectory::check(path),
            Output::Registry => Ok(()),
        }
    }

    fn write(&self, items: &[Item<'_>], left_out: Option<&HashSet<Digest>>, means: &Means<'_>) -> Result<()> {
        let Means { client, jobs, progress } = *means;
        let unpacking = |limit: &Option<u64>| Unpacking { limit: *limit, jobs, progress };
        match (self, items) {
            (Output::Layout(directory), _) => layout::write(directory, items, progress)?,
            (Output::OciArchive(file), _) => oci_archive::write(file, items, left_out, progress)?,
            (Output::DockerArchive(file), _) => docker_archive::write(file, items, progress)?,
            (Output::Registry, _) => return registry::write(items, client.client()?, progress),
            (Output::Directory { path, limit }, [item]) => {
                rootfs::write_directory(path, item.entry.image, &item.graph, &unpacking(limit))?;
            }
            (Output::Tar { path, limit }, [item]) => {
                rootfs::write_tar(path, item.entry.image, &item.graph, &unpacking(limit))?;
            }
            (Output::Directory { .. } | Output::Tar { .. }, _) => {
                return Err(Error::usage(format!("{self}: the files of several images are not put together"))
                    .with_hint("name one image"));
            }
        }
        progress(Event::OutputWritten { output: &self.to_string() });
        Ok(())
    }
}

/// What outputs are written with.
#[derive(Clone, Copy)]
pub struct Means<'a> {
    /// For [`Output::Registry`] alone.
    pub client: &'a OnDemand,
    /// Threads that unpack; 0 is one for each core.
    pub jobs: usize,
    pub progress: Progress<'a>,
}

/// Refuses outputs of so many `images` that are sure to fail, before any work is done and any of them is written.
pub fn check(outputs: &[Output], images: usize, names: &[Reference]) -> Result<()> {
    for (number, output) in outputs.iter().enumerate() {
        output.check_image(images, names)?;
        // What an earlier output makes is not there yet.
        let leads_to = |earlier: &Output| {
            earlier.path().zip(output.path()).is_some_and(|(earlier, path)| path.starts_with(earlier))
        };
        if !outputs.iter().take(number).any(leads_to) {
            output.check_place()?;
        }
    }
    Ok(())
}

/// Writes `image` to each of `outputs`, in their order, once all of them have passed [`check`].
pub fn write(outputs: &[Output], image: Image<'_>, means: &Means<'_>) -> Result<()> {
    let entry = Entry { image, short_names: &[], referrers: &[] };
    write_all(outputs, &Bundle { entries: vec![entry], left_out: None }, means)
}

/// The same with several images: what they share is written once, and no name stands for any of them before all of
/// them are there.
pub fn write_all(outputs: &[Output], bundle: &Bundle<'_>, means: &Means<'_>) -> Result<()> {
    let items = bundle.items()?;
    for item in &items {
        check(outputs, item.graph.images().count(), item.entry.image.names)?;
    }
    bundle.check(outputs)?;
    items.iter().try_for_each(|item| check_layers(item))?;
    items.iter().try_for_each(|item| check_foreign(outputs, item, means.progress))?;
    warn_of_zstd(outputs, &items, means.progress);
    outputs.iter().try_for_each(|output| output.write(&items, bundle.left_out, means))
}

/// Does `build`. If its result goes to a registry, the layers that it tells of are sent to the repository of the first
/// name already while they are made.
pub fn while_building<T>(
    outputs: &[Output],
    names: &[Reference],
    client: &OnDemand,
    progress: Progress<'_>,
    build: impl FnOnce(Option<Follow<'_>>) -> Result<T>,
) -> Result<T> {
    match names.first().filter(|_| outputs.contains(&Output::Registry)) {
        Some(name) => client.client()?.repository(name, progress).send_ahead(|follow| build(Some(follow))),
        None => build(None),
    }
}

impl FromStr for Output {
    type Err = Error;

    /// buildx's `type=oci,dest=FILE[,tar=false]`, `type=docker,dest=FILE`, `type=registry`, `type=local,dest=DIR`,
    /// `type=tar,dest=FILE`, the last two with `limit=SIZE` if need be; a path with a trailing slash (or of a directory
    /// that exists) is a layout, any other an OCI archive.
    fn from_str(text: &str) -> Result<Self> {
        if text.split(',').next().is_some_and(|first| first.contains('=')) {
            return Fields::of(text)?.output();
        }
        let path = PathBuf::from(text);
        match text {
            "" => Err(Error::usage("an output is empty")),
            "-" => Err(Error::usage("an image is not written to standard output, which has the digest")
                .with_hint("name a file")),
            _ if text.ends_with('/') || path.is_dir() => Ok(Output::Layout(path)),
            _ => Ok(Output::OciArchive(path)),
        }
    }
}

/// What stands in an output, `key=value` by `key=value`.
struct Fields<'a> {
    text: &'a str,
    kind: &'a str,
    destination: Option<&'a str>,
    tar: bool,
    limit: Option<u64>,
}

impl<'a> Fields<'a> {
    fn of(text: &'a str) -> Result<Self> {
        let mut fields = Fields { text, kind: "", destination: None, tar: true, limit: None };
        for field in text.split(',') {
            match field.split_once('=') {
                Some(("type", value)) => fields.kind = value,
                Some(("dest", "-")) => {
                    return Err(Error::usage("nothing is written to standard output, which has the digest")
                        .with_hint("name a file"));
                }
                Some(("dest", "")) => return Err(fields.needs_destination()),
                Some(("dest", value)) => fields.destination = Some(value),
                Some(("tar", "true")) => fields.tar = true,
                Some(("tar", "false")) => fields.tar = false,
                Some(("limit", value)) => fields.limit = Some(size(value)?),
                _ => {
                    return Err(Error::usage(format!("`{field}` in the output `{text}` is not known")).with_hint(
                        "known are type=…, dest=…, for type=oci tar=true|false, for type=local and type=tar limit=SIZE",
                    ));
                }
            }
        }
        Ok(fields)
    }

    fn output(self) -> Result<Output> {
        let (limit, tar) = (self.limit, self.tar);
        if limit.is_some() && !matches!(self.kind, "local" | "tar") {
            return Err(Error::usage(format!("type={} takes no limit: nothing is unpacked for it", self.kind)));
        }
        match (self.kind, self.destination.map(PathBuf::from)) {
            ("oci", Some(path)) if tar => Ok(Output::OciArchive(path)),
            ("oci", Some(path)) => Ok(Output::Layout(path)),
            ("docker", Some(path)) if tar => Ok(Output::DockerArchive(path)),
            ("local", Some(path)) => Ok(Output::Directory { path, limit }),
            ("tar", Some(path)) => Ok(Output::Tar { path, limit }),
            ("registry", None) => Ok(Output::Registry),
            ("oci" | "docker" | "local" | "tar", None) => Err(self.needs_destination()),
            ("docker", Some(_)) => Err(Error::usage("a docker archive is always a tar: leave out tar=false")),
            ("registry", Some(_)) => Err(Error::usage("type=registry takes no dest: the image's names say where")
                .with_hint("name it with -t REGISTRY/NAME:TAG")),
            ("", _) => Err(Error::usage(format!("the output `{}` says not of what type it is", self.text))
                .with_hint("add type=oci, docker, registry, local or tar")),
            (kind, _) => {
                let hint = match suggestion(kind, ["oci", "docker", "registry", "local", "tar"]) {
                    Some(near) => format!("did you mean type={near}?"),
                    None => "known are oci, docker, registry, local and tar".to_owned(),
                };
                Err(Error::usage(format!("there is no output of type `{kind}`")).with_hint(hint))
            }
        }
    }

    fn needs_destination(&self) -> Error {
        Error::usage(format!("the output `{}` says not where to", self.text)).with_hint("add dest=PATH")
    }
}

/// A number of bytes, or of KiB, MiB, GiB or TiB with `k`, `m`, `g` or `t` behind it.
fn size(text: &str) -> Result<u64> {
    let lower = text.to_ascii_lowercase();
    let (digits, shift) = match lower.char_indices().last() {
        Some((at, 'k')) => (&lower[..at], 10),
        Some((at, 'm')) => (&lower[..at], 20),
        Some((at, 'g')) => (&lower[..at], 30),
        Some((at, 't')) => (&lower[..at], 40),
        _ => (&lower[..], 0),
    };
    let number: Option<u64> = digits.parse().ok();
    number.and_then(|number| number.checked_mul(1 << shift)).ok_or_else(|| {
        Error::usage(format!("`{text}` is not a size")).with_hint("it is a number of bytes, or such as 500m or 20g")
    })
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Output::Layout(path) => write!(f, "OCI layout {}", path.display()),
            Output::OciArchive(path) => write!(f, "OCI archive {}", path.display()),
            Output::DockerArchive(path) => write!(f, "docker archive {}", path.display()),
            Output::Registry => write!(f, "registry"),
            Output::Directory { path, .. } => write!(f, "files in {}", path.display()),
            Output::Tar { path, .. } => write!(f, "files in the tar {}", path.display()),
        }
    }
}

/// Refuses an image whose config tells of more or fewer layers than its manifest. What is no image, or says nothing of its
/// layers, is not looked at; nor is what a registry has, to which it goes as it is.
fn check_layers(item: &Item<'_>) -> Result<()> {
    let store = item.entry.image.store;
    for (descriptor, bytes) in item.graph.images() {
        let Ok(Some(manifest)) = image::manifest(descriptor, bytes) else { continue };
        if store.origin(&manifest.config).is_some() {
            continue;
        }
        if let Ok(image) = image::Reader::new(store).image_of(descriptor, manifest)
            && !image.config.rootfs.diff_ids.is_empty()
        {
            image.layers()?;
        }
    }
    Ok(())
}

/// Refuses outputs that need the bytes of a layer which is to be had from elsewhere, if its store does not have them; where
/// the other outputs go without such a layer, a warning says so.
fn check_foreign(outputs: &[Output], item: &Item<'_>, progress: Progress<'_>) -> Result<()> {
    for layer in item.graph.foreign()? {
        let from = layer.urls().next().unwrap_or_default();
        let needs = |output: &&Output| {
            matches!(output, Output::DockerArchive(_) | Output::Directory { .. } | Output::Tar { .. })
        };
        if let Some(output) = outputs.iter().find(needs)
            && !item.entry.image.store.has(&layer)?
        {
            let message =
                format!("{output} needs the layer {}, which is not there but to be had from {from}", layer.digest);
            return Err(Error::not_found(message).with_hint(
                "fetch it to where the image is, as blobs/sha256/… of a layout, or write an OCI archive or layout, which go without it",
            ));
        }
        for output in outputs.iter().filter(|output| matches!(output, Output::OciArchive(_) | Output::Layout(_))) {
            let message = format!("{output} goes without the layer {}, which is to be had from {from}", layer.digest);
            progress(Event::Warning { message: &message });
        }
    }
    Ok(())
}

/// Tells of docker archives that only newer versions of docker can load.
fn warn_of_zstd(outputs: &[Output], items: &[Item<'_>], progress: Progress<'_>) {
    let mut blobs = items.iter().flat_map(|item| &item.graph.blobs);
    if blobs.any(|blob| blob.media_type.ends_with("zstd")) {
        for output in outputs.iter().filter(|output| matches!(output, Output::DockerArchive(_))) {
            let message = format!("{output} has zstd layers, which docker before version 23 cannot load; gzip it can");
            progress(Event::Warning { message: &message });
        }
    }
}

/// Copies a blob, verified by the reader, to a writer that leads to `destination`.
fn copy_blob(
    store: &dyn Store,
    descriptor: &Descriptor,
    to: &mut dyn Write,
    destination: &Path,
    progress: Progress<'_>,
) -> Result<()> {
    copy_content(store.open(descriptor)?, descriptor, to, destination, progress)
}

/// The same for a layer, which has to unpack to its diff_id.
fn copy_layer(
    store: &dyn Store,
    layer: &Layer,
    to: &mut dyn Write,
    destination: &Path,
    progress: Progress<'_>,
) -> Result<()> {
    let descriptor = &layer.descriptor;
    match store.diff_id(descriptor) {
        Some(known) => {
            layer.check_diff_id(known)?;
            copy_blob(store, descriptor, to, destination, progress)
        }
        None => {
            let from = LayerReader::new(store.open(descriptor)?, layer);
            copy_content(from, descriptor, to, destination, progress)?;
            store.note_diff_id(layer)
        }
    }
}

fn copy_content(
    mut from: impl Read,
    descriptor: &Descriptor,
    to: &mut dyn Write,
    destination: &Path,
    progress: Progress<'_>,
) -> Result<()> {
    progress(Event::BlobStarted { descriptor });
    let mut buffer = vec![0; 1 << 18];
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Error::from_read("read", descriptor.digest.to_string(), error)),
        };
        to.write_all(&buffer[..count]).map_err(|source| Error::io("write", destination, source))?;
        progress(Event::BlobAdvanced { digest: descriptor.digest, bytes: count as u64 });
    }
    progress(Event::BlobFinished { digest: descriptor.digest, outcome: BlobOutcome::Written });
    Ok(())
}
