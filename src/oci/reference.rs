use std::fmt;
use std::str::FromStr;

use oci_spec::distribution::Reference as Parsed;

use super::Digest;
use crate::error::{Error, Result};

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
    /// `host[:port]` as in the name, `docker.io` where the name gave none.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, if the name gave one.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// `registry/repository`, without tag and digest.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// As docker shows it: without `docker.io` and `library`, and always with a tag.
    pub fn familiar(&self) -> String {
        let name = self.name();
        let short = name.strip_prefix("docker.io/library/").or_else(|| name.strip_prefix("docker.io/"));
        format!("{}:{}", short.unwrap_or(&name), self.tag.as_deref().unwrap_or("latest"))
    }

    /// The same repository under another tag.
    pub fn with_tag(&self, tag: &str) -> Self {
        Reference { tag: Some(tag.to_owned()), digest: None, ..self.clone() }
    }

    /// The same repository by digest, without a tag.
    pub fn with_digest(&self, digest: Digest) -> Self {
        Reference { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// What to ask a registry for: the digest if there is one, else the tag, else `latest`.
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
        let parsed: Parsed = text.parse().map_err(|_| malformed(text))?;
        // In `Org/api` the parser takes `Org` for a host, which may have capitals, before it finds that it is none.
        if parsed.repository().contains(char::is_uppercase) {
            return Err(malformed(text));
        }
        let digest = parsed.digest().map(str::parse).transpose()?;
        // The parser completes a missing tag with `latest`; only a name that says so has a tag.
        let before_digest = text.split('@').next().unwrap_or(text);
        let has_tag = before_digest.rsplit('/').next().is_some_and(|last| last.contains(':'));
        Ok(Reference {
            registry: parsed.registry().to_owned(),
            repository: parsed.repository().to_owned(),
            tag: parsed.tag().filter(|_| has_tag).map(str::to_owned),
            digest,
        })
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

/// `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}` (distribution-spec, "Pulling manifests").
pub fn is_valid_tag(tag: &str) -> bool {
    let word = |c: u8| c.is_ascii_alphanumeric() || c == b'_';
    tag.len() <= 128 && tag.bytes().next().is_some_and(word) && tag.bytes().all(|c| word(c) || matches!(c, b'.' | b'-'))
}

fn malformed(text: &str) -> Error {
    let error = Error::input(format!("`{text}` is not an image name"));
    let (name, last) = text.rsplit_once('/').map_or(("", text), |(path, last)| (path, last));
    let tag = last.split('@').next().and_then(|last| last.split_once(':')).map(|(_, tag)| tag);
    if text.is_empty() {
        return Error::input("an image name is empty");
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
