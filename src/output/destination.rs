//! A [`Destination`] says where copies of images go, and what they are called there.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::kind::Output;
use crate::error::{Error, Result};
use crate::oci::{Descriptor, Digest, Reference};
use crate::progress::Progress;
use crate::registry::OnDemand;
use crate::source::image;
use crate::store::{Layout, Listed, Store};

/// A place that copies of images go to, in the words in which [`Location`](crate::source::image::Location) tells where they
/// are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// One image to this repository, under this tag, or under those that it has.
    Name(Reference),
    /// Each image to the repository of its own path below this one, under its own tag.
    Prefix(Prefix),
    /// A layout or an archive, and a name for the one image in the place of those that it has.
    Output(Output, Option<String>),
}

/// The beginning of names in a registry: `registry/` or `registry/path/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix(String);

/// The names of an image where it goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Names that say in which repository.
    pub full: Vec<Reference>,
    /// Names that do not, for layouts and archives alone.
    pub short: Vec<String>,
}

impl Destination {
    /// Returns the output that the copies are written to.
    pub fn output(&self) -> Output {
        match self {
            Destination::Name(_) | Destination::Prefix(_) => Output::Registry,
            Destination::Output(output, _) => output.clone(),
        }
    }

    /// Returns whether it has one name, for one image.
    pub fn is_for_one(&self) -> bool {
        matches!(self, Destination::Name(_) | Destination::Output(_, Some(_)))
    }

    /// Returns what `image`, which errors call `title`, is called there.
    pub fn names(&self, title: &str, image: &Listed) -> Result<Names> {
        match self {
            Destination::Name(name) => Ok(Names { full: names_at(name, image)?, short: Vec::new() }),
            Destination::Prefix(prefix) if image.names.is_empty() => {
                let hint = format!("copy it by itself, to a name such as {}NAME:TAG", prefix.0);
                let message = format!("{title} does not say which repository it belongs to");
                Err(Error::input(message).with_hint(hint))
            }
            Destination::Prefix(prefix) => {
                let full =
                    image.names.iter().map(|name| prefix.below(name, image.root.digest)).collect::<Result<_>>()?;
                Ok(Names { full, short: Vec::new() })
            }
            Destination::Output(output, Some(name)) => {
                let is_docker = matches!(output, Output::DockerArchive(_));
                if is_docker || name.contains(['/', ':']) {
                    let name: Reference = name.parse().map_err(Error::on_command_line)?;
                    return Ok(Names { full: vec![name], short: Vec::new() });
                }
                Ok(Names { full: Vec::new(), short: vec![name.clone()] })
            }
            Destination::Output(_, None) => Ok(Names::kept(image)),
        }
    }
}

impl Names {
    /// Returns those that `image` has.
    pub fn kept(image: &Listed) -> Names {
        let full = image.names.iter().filter(|name| name.tag().is_some()).cloned().collect();
        Names { full, short: image.short_names.clone() }
    }
}

/// Returns whether all of `outputs` have `blob` already, where an image goes that has these names there.
pub fn hold(
    outputs: &[Output],
    names: &[Reference],
    blob: &Descriptor,
    client: &OnDemand,
    progress: Progress<'_>,
) -> Result<bool> {
    for output in outputs {
        let holds = match output {
            Output::Layout(path) => Layout::is_at(path) && Layout::open(path)?.has(blob)?,
            Output::Registry => {
                let client = client.client()?;
                let mut missing = false;
                for name in names {
                    missing = missing || !client.repository(name, progress).has(blob)?;
                }
                !missing
            }
            _ => false,
        };
        if !holds {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns the names in the repository that `name` says, under its tag or else under those that the image has.
fn names_at(name: &Reference, image: &Listed) -> Result<Vec<Reference>> {
    let digest = image.root.digest;
    if let Some(wanted) = name.digest().filter(|wanted| *wanted != digest) {
        return Err(Error::usage(format!("the image is {digest} and cannot be copied to {wanted}"))
            .with_hint("a copy keeps its digest: give a name and a tag"));
    }
    if name.tag().is_some() || name.digest().is_some() {
        return Ok(vec![name.clone()]);
    }
    let tags = image.tags();
    if !tags.is_empty() {
        return Ok(tags.iter().map(|tag| name.with_tag(tag)).collect());
    }
    // What was asked for by digest is known by it at the far side, too; anything else is `latest`, as for docker.
    let is_by_digest = image.names.iter().any(|name| name.digest().is_some());
    Ok(vec![if is_by_digest { name.with_digest(digest) } else { name.with_tag("latest") }])
}

impl Prefix {
    fn below(&self, name: &Reference, digest: Digest) -> Result<Reference> {
        let at: Reference = format!("{}{}", self.0, name.repository()).parse()?;
        Ok(match name.tag() {
            Some(tag) => at.with_tag(tag),
            None if name.digest().is_some() => at.with_digest(digest),
            None => at.with_tag("latest"),
        })
    }
}

impl FromStr for Destination {
    type Err = Error;

    /// Reads a name in a registry, or a prefix of such names if it ends with a slash and begins with a host (which has
    /// a dot or a colon, or is `localhost`); `oci:DIR[:NAME]`, `oci-archive:FILE[:NAME]`, `docker-archive:FILE[:NAME]`;
    /// any other text that ends with a slash, and a path that begins with `./`, `../` or `/`, as `-o` has it.
    fn from_str(text: &str) -> Result<Self> {
        if let Some((kind, rest)) = image::kind(text) {
            if rest.is_empty() {
                return Err(Error::usage(format!("`{text}` does not say where to"))
                    .with_hint(format!("add a path, as in {kind}:PATH")));
            }
            let (path, name) = split_name(rest);
            if name.as_deref() == Some("") {
                return Err(Error::usage(format!("`{text}` ends before the name"))
                    .with_hint("add one, or leave out the last colon to keep the names that there are"));
            }
            let output = match kind {
                "oci" => Output::Layout(path),
                "oci-archive" => Output::OciArchive(path),
                _ => Output::DockerArchive(path),
            };
            return Ok(Destination::Output(output, name));
        }
        let host = text.split('/').next().unwrap_or_default();
        let is_host = text.contains('/') && (host.contains(['.', ':']) || host == "localhost");
        if image::is_path(text) || (text.ends_with('/') && !is_host) {
            return Ok(Destination::Output(text.parse()?, None));
        }
        if text.ends_with('/') {
            // Anything may follow; if this may, the prefix is one.
            format!("{text}x").parse::<Reference>().map_err(Error::on_command_line)?;
            return Ok(Destination::Prefix(Prefix(text.to_owned())));
        }
        if text.ends_with(".tar") && !is_host {
            return Err(Error::usage(format!("is {text} a file or a name in a registry?"))
                .with_hint(format!("a file is ./{text} or -o {text}")));
        }
        Ok(Destination::Name(text.parse().map_err(Error::on_command_line)?))
    }
}

/// Returns the parts of `PATH[:NAME]`. A path that exists is taken whole; else the first colon ends it, for a name may
/// have several.
fn split_name(text: &str) -> (PathBuf, Option<String>) {
    match text.split_once(':') {
        Some((path, name)) if !Path::new(text).exists() => (PathBuf::from(path), Some(name.to_owned())),
        _ => (PathBuf::from(text), None),
    }
}
