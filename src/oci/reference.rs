//! The names of images in registries, read as docker reads them.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use super::Digest;
use crate::error::{Error, Result};

const DOCKER_HUB: &str = "docker.io";
/// In bytes, as docker has it.
const LONGEST_REPOSITORY: usize = 255;

/// The name of an image in a registry: `[registry/]repository[:tag][@digest]`, completed as docker completes it
/// (`nginx` is `docker.io/library/nginx`). Unlike docker's, it remembers whether a tag was given.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// Returns `host[:port]` as in the name, `docker.io` where the name gave none.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Returns the path without host, tag and digest: `library/debian` for the name `debian`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Returns the tag, if the name gave one.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Returns the digest, if the name gave one.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// Returns `registry/repository`, without tag and digest.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// Returns it as docker shows it: without `docker.io` and `library`, and always with a tag.
    pub fn familiar(&self) -> String {
        let name = self.name();
        let short = name.strip_prefix("docker.io/library/").or_else(|| name.strip_prefix("docker.io/"));
        format!("{}:{}", short.unwrap_or(&name), self.tag.as_deref().unwrap_or("latest"))
    }

    /// Returns the same repository under another tag.
    pub fn with_tag(&self, tag: &str) -> Self {
        Reference { tag: Some(tag.to_owned()), digest: None, ..self.clone() }
    }

    /// Returns the same repository by digest, without a tag.
    pub fn with_digest(&self, digest: Digest) -> Self {
        Reference { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// Returns what to ask a registry for: the digest if there is one, else the tag, else `latest`.
    pub fn tag_or_digest(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => "latest".to_owned(),
        }
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (before, digest) = match text.split_once('@') {
            Some((before, digest)) => (before, Some(digest)),
            None => (text, None),
        };
        let last = before.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match before[last..].find(':') {
            Some(colon) => (&before[..last + colon], Some(&before[last + colon + 1..])),
            None => (before, None),
        };
        let (registry, repository) = match name.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (first, rest),
            _ => (DOCKER_HUB, name),
        };
        let registry = if registry == "index.docker.io" { DOCKER_HUB } else { registry };
        let is_official = registry == DOCKER_HUB && !repository.contains('/');
        let repository = if is_official { format!("library/{repository}") } else { repository.to_owned() };
        let is_well_formed = is_host(registry)
            && repository.len() <= LONGEST_REPOSITORY
            && repository.split('/').all(is_path_component)
            && tag.is_none_or(is_valid_tag);
        if !is_well_formed {
            return Err(malformed(text));
        }
        let digest = digest.map(str::parse).transpose()?;
        Ok(Reference { registry: registry.to_owned(), repository, tag: tag.map(str::to_owned), digest })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// Returns whether it is `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}` (distribution-spec, "Pulling manifests").
pub fn is_valid_tag(tag: &str) -> bool {
    let word = |c: u8| c.is_ascii_alphanumeric() || c == b'_';
    tag.len() <= 128 && tag.bytes().next().is_some_and(word) && tag.bytes().all(|c| word(c) || matches!(c, b'.' | b'-'))
}

/// A name or address, and a port (the grammar of docker's references, `domain`).
fn is_host(host: &str) -> bool {
    let (name, port) = match host.rfind(':').filter(|colon| !host[*colon..].contains(']')) {
        Some(colon) => (&host[..colon], Some(&host[colon + 1..])),
        None => (host, None),
    };
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
    };
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    let is_name = match address {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => name.split('.').all(is_label),
    };
    is_name && port.is_none_or(|port| !port.is_empty() && port.bytes().all(|c| c.is_ascii_digit()))
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*` (distribution-spec, "Pulling manifests").
fn is_path_component(component: &str) -> bool {
    let is_alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let ends_well = component.starts_with(is_alphanumeric) && component.ends_with(is_alphanumeric);
    let mut separators = component.split(is_alphanumeric);
    ends_well
        && separators
            .all(|separator| matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|c| c == b'-'))
}

fn malformed(text: &str) -> Error {
    let error = Error::input(format!("`{text}` is not an image name"));
    let (name, last) = text.rsplit_once('/').map_or(("", text), |(path, last)| (path, last));
    let tag = last.split('@').next().and_then(|last| last.split_once(':')).map(|(_, tag)| tag);
    if text.is_empty() {
        return Error::input("an image name is empty");
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        return error.with_hint(format!("leave out `{scheme}://`: `{rest}`"));
    }
    if let Some(tag) = tag
        && !is_valid_tag(tag)
    {
        return Error::input(format!("`{tag}` in `{text}` is not a tag")).with_hint(
            "a tag has letters, digits, `_`, `.` and `-`, starts with one of the first three and is at most 128 long",
        );
    }
    if name.chars().chain(last.split([':', '@']).next().unwrap_or("").chars()).any(char::is_uppercase) {
        return error.with_hint(format!("repository names are lower case: `{}`", text.to_lowercase()));
    }
    error
        .with_hint("a name is [registry/]path[:tag][@sha256:…], of lower-case letters, digits and single `.`, `_`, `-`")
}
