//! An [`Output`] is a place that an image can be written to; this file reads how users write it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::engine::Engine;
use super::sink::STANDARD_OUTPUT;
use crate::error::{Error, Result, suggestion};
use crate::plan::quantity::{self, Size};

/// A place to write an image to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// An OCI layout directory; one that exists keeps what it has.
    Layout(PathBuf),
    /// The tar of a layout, with the list of images by which docker loads it.
    OciArchive(PathBuf),
    /// A tar that `docker load` reads.
    DockerArchive(PathBuf),
    /// Under each of the image's names.
    Registry,
    /// The files of the image; those of several platforms in a directory each.
    Directory {
        /// The directory; one that exists keeps what it has beside them.
        path: PathBuf,
        /// The bytes that the layers of an image may unpack to, if not as many as
        /// [`Limits::of`](crate::tree::Limits::of) them says.
        limit: Option<u64>,
    },
    /// The same as one tar.
    Tar {
        /// The tar, which is replaced in one step.
        path: PathBuf,
        /// As for a directory.
        limit: Option<u64>,
    },
    /// An engine that is there, under each of the image's names.
    Engine(Engine),
}

impl Output {
    /// Returns whether it is written to the standard output.
    pub fn is_standard_output(&self) -> bool {
        match self {
            Output::OciArchive(path) | Output::DockerArchive(path) | Output::Tar { path, .. } => {
                path == Path::new(STANDARD_OUTPUT)
            }
            Output::Layout(_) | Output::Registry | Output::Directory { .. } | Output::Engine(_) => false,
        }
    }

    /// Returns where it is on disk; none for a registry, an engine and the standard output.
    pub fn path(&self) -> Option<&Path> {
        match self {
            _ if self.is_standard_output() => None,
            Output::Layout(path) | Output::OciArchive(path) | Output::DockerArchive(path) => Some(path),
            Output::Directory { path, .. } | Output::Tar { path, .. } => Some(path),
            Output::Registry | Output::Engine(_) => None,
        }
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Output::OciArchive(_) if self.is_standard_output() => f.write_str("OCI archive to standard output"),
            Output::DockerArchive(_) if self.is_standard_output() => f.write_str("docker archive to standard output"),
            Output::Tar { .. } if self.is_standard_output() => f.write_str("files in a tar to standard output"),
            Output::Layout(path) => write!(f, "OCI layout {}", path.display()),
            Output::OciArchive(path) => write!(f, "OCI archive {}", path.display()),
            Output::DockerArchive(path) => write!(f, "docker archive {}", path.display()),
            Output::Registry => write!(f, "registry"),
            Output::Directory { path, .. } => write!(f, "files in {}", path.display()),
            Output::Tar { path, .. } => write!(f, "files in the tar {}", path.display()),
            Output::Engine(engine) => write!(f, "{engine}"),
        }
    }
}

impl FromStr for Output {
    type Err = Error;

    /// Reads buildx's `type=oci,dest=FILE[,tar=false]`, `type=docker,dest=FILE`, `type=registry`, `type=local,dest=DIR`,
    /// `type=tar,dest=FILE`, the last two with `limit=SIZE` if need be; a path with a trailing slash (or of a directory
    /// that exists) is a layout, `-` a docker archive on standard output, any other an OCI archive. A tar may go to
    /// `dest=-`, too.
    fn from_str(text: &str) -> Result<Self> {
        if text.split(',').next().is_some_and(|first| first.contains('=')) {
            return Fields::of(text)?.output();
        }
        let path = PathBuf::from(text);
        match text {
            "" => Err(Error::usage("an output is empty")),
            STANDARD_OUTPUT => Ok(Output::DockerArchive(path)),
            _ if text.ends_with('/') || path.is_dir() => Ok(Output::Layout(path)),
            _ => Ok(Output::OciArchive(path)),
        }
    }
}

/// The `key=value` pairs of an output.
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
                Some(("dest", "")) => return Err(fields.needs_destination()),
                Some(("dest", value)) => fields.destination = Some(value),
                Some(("limit", value)) => fields.limit = Some(value.parse::<Size>()?.0),
                Some(("tar", value)) => {
                    fields.tar = quantity::boolean(value).ok_or_else(|| unknown(field, text))?;
                }
                _ => return Err(unknown(field, text)),
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
            ("oci" | "local", Some(path)) if path == Path::new(STANDARD_OUTPUT) => {
                Err(Error::usage("a directory cannot be written to standard output").with_hint("name a directory"))
            }
            ("oci", Some(path)) => Ok(Output::Layout(path)),
            ("docker", Some(path)) if tar => Ok(Output::DockerArchive(path)),
            ("local", Some(path)) => Ok(Output::Directory { path, limit }),
            ("tar", Some(path)) => Ok(Output::Tar { path, limit }),
            ("registry", None) => Ok(Output::Registry),
            ("oci" | "docker" | "local" | "tar", None) => Err(self.needs_destination()),
            ("docker", Some(_)) => Err(Error::usage("a docker archive is always a tar: leave out tar=false")),
            ("registry", Some(_)) => Err(Error::usage("type=registry takes no dest: the image's names say where")
                .with_hint("name it with -t REGISTRY/NAME:TAG")),
            ("", _) => Err(Error::usage(format!("the output `{}` does not say its type", self.text))
                .with_hint("add type=oci, docker, registry, local or tar")),
            (kind, _) => {
                let hint = match suggestion(kind, ["oci", "docker", "registry", "local", "tar"]) {
                    Some(near) => format!("did you mean type={near}?"),
                    None => "known types are oci, docker, registry, local and tar".to_owned(),
                };
                Err(Error::usage(format!("there is no output of type `{kind}`")).with_hint(hint))
            }
        }
    }

    fn needs_destination(&self) -> Error {
        Error::usage(format!("the output `{}` does not say where to", self.text)).with_hint("add dest=PATH")
    }
}

fn unknown(field: &str, text: &str) -> Error {
    Error::usage(format!("`{field}` in the output `{text}` is not known")).with_hint(
        "known fields are type=…, dest=…, for type=oci tar=true|false, for type=local and type=tar limit=SIZE",
    )
}
