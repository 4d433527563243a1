//! Where a finished image goes. Every output is a walk over the graph below one root; none of them leaves half a result.

mod docker_archive;
mod layout;
mod oci_archive;
mod registry;

use std::fmt;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::error::{Error, Result, suggestion};
use crate::oci::{Descriptor, Reference};
use crate::progress::{BlobOutcome, Event, Progress};
use crate::registry::OnDemand;
use crate::store::{Follow, Graph, Store};

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
            Output::Registry => None,
        }
    }

    /// Refuses what cannot be written: several images, or none, in a docker archive, or an image without a name to a
    /// registry.
    pub fn check(&self, images: usize, names: &[Reference]) -> Result<()> {
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

    fn write(&self, image: Image<'_>, graph: &Graph, client: &OnDemand, progress: Progress<'_>) -> Result<()> {
        match self {
            Output::Layout(directory) => layout::write(directory, image, graph, progress)?,
            Output::OciArchive(file) => oci_archive::write(file, image, graph, progress)?,
            Output::DockerArchive(file) => docker_archive::write(file, image, graph, progress)?,
            Output::Registry => return registry::write(image, graph, client.client()?, progress),
        }
        progress(Event::OutputWritten { output: &self.to_string() });
        Ok(())
    }
}

/// Writes `image` to each of `outputs`, in their order, once all of them have passed [`Output::check`]; `client` is used
/// by [`Output::Registry`] alone.
pub fn write(outputs: &[Output], image: Image<'_>, client: &OnDemand, progress: Progress<'_>) -> Result<()> {
    let graph = Graph::of(image.store, image.root)?;
    let images = graph.images().count();
    outputs.iter().try_for_each(|output| output.check(images, image.names))?;
    warn_of_zstd(outputs, &graph, progress);
    outputs.iter().try_for_each(|output| output.write(image, &graph, client, progress))
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

    /// buildx's `type=oci,dest=FILE[,tar=false]`, `type=docker,dest=FILE`, `type=registry`; a path with a trailing slash
    /// (or of a directory that exists) is a layout, any other an OCI archive.
    fn from_str(text: &str) -> Result<Self> {
        if !text.split(',').next().is_some_and(|first| first.contains('=')) {
            let path = PathBuf::from(text);
            return match text {
                "" => Err(Error::usage("an output is empty")),
                "-" => Err(Error::usage("an image is not written to standard output, which has the digest")
                    .with_hint("name a file")),
                _ if text.ends_with('/') || path.is_dir() => Ok(Output::Layout(path)),
                _ => Ok(Output::OciArchive(path)),
            };
        }
        let needed = || Error::usage(format!("the output `{text}` says not where to")).with_hint("add dest=PATH");
        let (mut kind, mut destination, mut tar) = ("", None, true);
        for field in text.split(',') {
            match field.split_once('=') {
                Some(("type", value)) => kind = value,
                Some(("dest", value)) if !value.is_empty() => destination = Some(PathBuf::from(value)),
                Some(("tar", "true")) => tar = true,
                Some(("tar", "false")) => tar = false,
                Some(("dest", _)) => return Err(needed()),
                _ => {
                    return Err(Error::usage(format!("`{field}` in the output `{text}` is not known"))
                        .with_hint("known are type=…, dest=… and, for type=oci, tar=true|false"));
                }
            }
        }
        match (kind, destination) {
            ("oci", Some(path)) if tar => Ok(Output::OciArchive(path)),
            ("oci", Some(path)) => Ok(Output::Layout(path)),
            ("docker", Some(path)) if tar => Ok(Output::DockerArchive(path)),
            ("registry", None) => Ok(Output::Registry),
            ("oci" | "docker", None) => Err(needed()),
            ("docker", Some(_)) => Err(Error::usage("a docker archive is always a tar: leave out tar=false")),
            ("registry", Some(_)) => Err(Error::usage("type=registry takes no dest: the image's names say where")
                .with_hint("name it with -t REGISTRY/NAME:TAG")),
            (kind, _) => {
                let near = suggestion(kind, ["oci", "docker", "registry"]);
                let hint = near.map_or("known are oci, docker and registry".to_owned(), |near| {
                    format!("did you mean type={near}?")
                });
                Err(Error::usage(format!("there is no output of type `{kind}`")).with_hint(hint))
            }
        }
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Output::Layout(path) => write!(f, "OCI layout {}", path.display()),
            Output::OciArchive(path) => write!(f, "OCI archive {}", path.display()),
            Output::DockerArchive(path) => write!(f, "docker archive {}", path.display()),
            Output::Registry => write!(f, "registry"),
        }
    }
}

/// Tells of docker archives that only newer versions of docker can load.
fn warn_of_zstd(outputs: &[Output], graph: &Graph, progress: Progress<'_>) {
    if graph.blobs.iter().any(|blob| blob.media_type.ends_with("zstd")) {
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
    progress(Event::BlobStarted { descriptor });
    let mut from = store.open(descriptor)?;
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
