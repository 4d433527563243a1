//! Images that exist already, by the names that users give them.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::named::NamedStore;
use crate::error::{Error, ErrorKind, Result};
use crate::image::archive;
use crate::oci::{Descriptor, ImageIndex, Reference};
use crate::progress::Progress;
use crate::registry::OnDemand;
use crate::store::archive::is_delta;
use crate::store::{self, Archive, FoundImage, ImageArrival, Layout, Listed, LocalStore, Store};
use crate::tree::{Ignore, Kind, open_file, real_within, walk};

/// The place of an image, as skopeo writes it: a registry's name, `oci:DIR[:NAME]`, `oci-archive:FILE[:NAME]`,
/// `docker-archive:FILE[:NAME]`; a path that begins with `./`, `../` or `/`, ends with `/`, or is `.` or `..`, is
/// looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A name in a registry.
    Registry(Reference),
    /// An OCI layout: its directory, and a tag or name in its index; none where nobody gave one.
    Layout(PathBuf, Option<String>),
    /// An OCI layout in a tar: its path, and a name in its index; none where nobody gave one.
    OciArchive(PathBuf, Option<String>),
    /// An image of a local store: the store's directory, and a name or an ID in it.
    Local(PathBuf, String),
    /// An archive of `docker save`: its path, and a name in it; none where nobody gave one.
    DockerArchive(PathBuf, Option<String>),
}

impl Location {
    /// Returns what `path` holds, if it is a layout or a file.
    pub fn of_path(path: &Path) -> Option<Location> {
        if Layout::is_at(path) {
            Some(Location::Layout(path.to_owned(), None))
        } else if path.is_file() {
            Some(Location::OciArchive(path.to_owned(), None))
        } else {
            None
        }
    }

    /// Returns what `text` refers to on a command line: what is written like a location; a file or a layout that is there; the
    /// image that the local store at `store` has under that name or ID, unless it was pushed as it was built; else a name in a registry.
    pub fn referred(text: &str, store: Option<&Path>) -> Result<Location> {
        let is_name = kind(text).is_none() && !is_path(text) && !text.ends_with('/');
        if is_name && let Some(location) = Location::of_path(Path::new(text)) {
            return Ok(location);
        }
        let name: Option<Reference> = text.parse().ok();
        // What went to a registry at once is had from there: layers then move between registries without this machine.
        let is_elsewhere = |found: &FoundImage| match &found.named {
            Some(image) => image.arrival == ImageArrival::Pushed && name.as_ref().is_some_and(|name| image.has(name)),
            None => name.as_ref().is_some_and(|name| name.digest().is_some()),
        };
        if let Some(store) = store.filter(|_| is_name)
            && let Some(found) = LocalStore::open(store)?.find(text)?
            && !is_elsewhere(&found)
        {
            return Ok(Location::Local(store.to_owned(), text.to_owned()));
        }
        text.parse()
    }

    /// Returns what `text` names, a relative path being below `directory`. Fails where reading a location does.
    pub fn below(directory: &Path, text: &str) -> Result<Location> {
        let joined = |path: &str| directory.join(path).to_string_lossy().into_owned();
        let text = match kind(text) {
            Some((kind, path)) if !path.is_empty() => format!("{kind}:{}", joined(path)),
            None if is_path(text) || text.ends_with('/') => joined(text),
            _ => text.to_owned(),
        };
        text.parse()
    }

    /// Returns what `text` names where it stands in the context at `root` that somebody else made: a name in a
    /// registry, or what lies in the context, without a link in it. Fails for anything else: nothing on this machine is
    /// looked at beside that.
    pub fn within(root: &Path, text: &str) -> Result<Location> {
        let Some((kind, rest)) = kind(text).or((is_path(text) || text.ends_with('/')).then_some(("", text))) else {
            return text.parse().map(Location::Registry);
        };
        let root = fs::canonicalize(root).map_err(|source| Error::io("read", root, source))?;
        // A name may have a slash and a port: the path is the longest part that is there.
        let colons = rest.rmatch_indices(':').map(|(at, _)| at).filter(|_| !kind.is_empty());
        let mut parts = std::iter::once(rest.len()).chain(colons).map(|at| (&rest[..at], rest.get(at + 1..)));
        let found = parts.find_map(|(path, name)| match real_within(&root, Path::new(path), &text) {
            Err(error) if error.kind == ErrorKind::NotFound => None,
            found => Some(found.map(|path| (path, name.map(str::to_owned)))),
        });
        let none = || Error::not_found(format!("there is no {rest} in the context"));
        let (path, name) = found.unwrap_or_else(|| Err(none()))?;
        if !path.is_dir() {
            open_file(&path, &text)?;
        } else if let Some(link) =
            walk(&path, &Ignore::default())?.iter().find(|entry| matches!(entry.kind, Kind::Symlink { .. }))
        {
            let link = String::from_utf8_lossy(&link.path);
            return Err(Error::input(format!("{text} is not an image: {link} in it is a link")));
        }
        match kind {
            "oci" => Ok(Location::Layout(path, name)),
            "oci-archive" => Ok(Location::OciArchive(path, name)),
            "docker-archive" => Ok(Location::DockerArchive(path, name)),
            _ => Location::of_path(&path).ok_or_else(|| {
                Error::input(format!("{text} is not an image")).with_hint("it is neither an OCI layout nor a file")
            }),
        }
    }

    /// Opens the place and finds the image in it. `client` is used for registries alone.
    pub fn open<'a>(&self, client: &'a OnDemand, progress: Progress<'a>) -> Result<(Box<dyn Store + 'a>, Descriptor)> {
        let (store, name) = self.store(client, progress)?;
        let root = store.resolve(name.as_deref())?;
        Ok((store, root))
    }

    /// Opens the place and lists the images in it that are meant: without a name, all of a layout or an archive. They keep
    /// the names that they have there.
    pub fn find<'a>(&self, client: &'a OnDemand, progress: Progress<'a>) -> Result<FoundImages<'a>> {
        match self {
            Location::Registry(reference) => {
                let (store, root) = self.open(client, progress)?;
                let name = match (reference.tag(), reference.digest()) {
                    (None, None) => reference.with_tag("latest"),
                    _ => reference.clone(),
                };
                let images = vec![Listed { root, names: vec![name], short_names: Vec::new() }];
                Ok(FoundImages { store, images, is_delta: false })
            }
            Location::Local(root, name) => {
                let store = NamedStore::open(root, name, client, progress)?;
                let FoundImage { root, named } = store.found().clone();
                let names = named.into_iter().map(|image| image.name).collect();
                let images = vec![Listed { root, names, short_names: Vec::new() }];
                Ok(FoundImages { store: Box::new(store), images, is_delta: false })
            }
            Location::Layout(..) | Location::OciArchive(..) | Location::DockerArchive(..) => self.find_in_file(),
        }
    }

    /// Does the same for a layout or an archive alone: anything else is not found there.
    pub fn find_in_file(&self) -> Result<FoundImages<'static>> {
        match self {
            Location::Layout(path, name) => {
                let layout = Layout::open(path)?;
                let index = layout.index().clone();
                FoundImages::in_index(Box::new(layout), &index, name.as_deref())
            }
            Location::OciArchive(path, name) => FoundImages::in_archive(archive::open(path)?, name.as_deref()),
            Location::DockerArchive(path, name) => {
                FoundImages::in_archive(archive::open_docker(path)?, name.as_deref())
            }
            Location::Registry(_) | Location::Local(..) => {
                Err(Error::not_found(format!("{self} is neither a layout nor an archive")))
            }
        }
    }

    /// Returns the layout or the archive that it is in; none if it is in neither.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Location::Registry(_) | Location::Local(..) => None,
            Location::Layout(path, _) | Location::OciArchive(path, _) | Location::DockerArchive(path, _) => Some(path),
        }
    }

    /// Opens the place, and says by what name it knows the image. Nothing is asked of a registry yet.
    pub fn store<'a>(
        &self,
        client: &'a OnDemand,
        progress: Progress<'a>,
    ) -> Result<(Box<dyn Store + 'a>, Option<String>)> {
        Ok(match self {
            Location::Registry(reference) => {
                (Box::new(client.client()?.mirrored(reference, progress)?), Some(reference.tag_or_digest()))
            }
            Location::Local(root, name) => {
                (Box::new(NamedStore::open(root, name, client, progress)?), Some(name.clone()))
            }
            Location::Layout(path, name) => (Box::new(Layout::open(path)?), name.clone()),
            Location::OciArchive(path, name) => (Box::new(archive::open(path)?), name.clone()),
            Location::DockerArchive(path, name) => (Box::new(archive::open_docker(path)?), name.clone()),
        })
    }
}

/// A place, opened, and the images in it that are meant.
pub struct FoundImages<'a> {
    /// The store that has the content of the images.
    pub store: Box<dyn Store + 'a>,
    /// The images, in the order in which the place has them.
    pub images: Vec<Listed>,
    /// Blobs are left out of it on purpose.
    pub is_delta: bool,
}

impl<'a> FoundImages<'a> {
    fn in_archive(archive: Archive, name: Option<&str>) -> Result<Self> {
        let index = archive.index().clone();
        Self::in_index(Box::new(archive), &index, name)
    }

    fn in_index(store: Box<dyn Store + 'a>, index: &ImageIndex, name: Option<&str>) -> Result<Self> {
        let mut images = store::images(index);
        if let Some(name) = name {
            let root = store.resolve(Some(name))?;
            images.retain(|image| image.root.digest == root.digest);
            let unnamed = Listed { root, names: Vec::new(), short_names: Vec::new() };
            images = vec![images.pop().map_or(unnamed, |image| image.named(name))];
        }
        Ok(FoundImages { store, images, is_delta: is_delta(index) })
    }
}

impl FromStr for Location {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Some((kind, rest)) = kind(text) {
            if rest.is_empty() {
                return Err(Error::usage(format!("`{text}` does not say where the image is"))
                    .with_hint(format!("add its path, as in {kind}:PATH")));
            }
            let (path, name) = split_name(rest);
            return Ok(match kind {
                "oci" => Location::Layout(path, name),
                "oci-archive" => Location::OciArchive(path, name),
                _ => Location::DockerArchive(path, name),
            });
        }
        if is_path(text) || text.ends_with('/') {
            let path = Path::new(text);
            return Location::of_path(path).ok_or_else(|| {
                if path.exists() {
                    Error::input(format!("{text} is not an image")).with_hint("it is neither an OCI layout nor a file")
                } else {
                    Error::not_found(format!("there is no {text}"))
                }
            });
        }
        if text.ends_with(".tar") && Path::new(text).is_file() {
            return Err(Error::usage(format!("is {text} the file or a name in a registry?"))
                .with_hint(format!("the file is ./{text}")));
        }
        Ok(Location::Registry(text.parse().map_err(Error::on_command_line)?))
    }
}

/// Writes it as skopeo does.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, path, name) = match self {
            Location::Registry(reference) => return write!(f, "{reference}"),
            Location::Local(_, name) => return f.write_str(name),
            Location::Layout(path, name) => ("oci", path, name),
            Location::OciArchive(path, name) => ("oci-archive", path, name),
            Location::DockerArchive(path, name) => ("docker-archive", path, name),
        };
        write!(f, "{kind}:{}", path.display())?;
        name.iter().try_for_each(|name| write!(f, ":{name}"))
    }
}

/// Returns what stands before a path and says what is there (`oci`, `oci-archive` or `docker-archive`), and what stands
/// behind it; none without that.
pub fn kind(text: &str) -> Option<(&str, &str)> {
    text.split_once(':').filter(|(kind, _)| matches!(*kind, "oci" | "oci-archive" | "docker-archive"))
}

/// Returns whether it cannot be a name, but only a path.
pub fn is_path(text: &str) -> bool {
    ["./", "../", "/"].iter().any(|start| text.starts_with(start)) || matches!(text, "." | "..")
}

/// `PATH[:NAME]`. A path that exists is taken whole, so that a colon in it does no harm.
fn split_name(text: &str) -> (PathBuf, Option<String>) {
    if Path::new(text).exists() {
        return (PathBuf::from(text), None);
    }
    // A name may have a slash and a port (`host:5000/org/api:v1`): the path is the longest part that exists.
    let colons = text.match_indices(':').map(|(at, _)| at);
    match colons.rev().find(|at| Path::new(&text[..*at]).exists()) {
        Some(at) => (PathBuf::from(&text[..at]), Some(text[at + 1..].to_owned())),
        None => (PathBuf::from(text), None),
    }
}
