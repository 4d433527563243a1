//! `--build-context NAME=VALUE`: what stands in for a name in a Dockerfile.

use std::path::PathBuf;
use std::str::FromStr;

use super::{GitUrl, is_http};
use crate::error::{Error, Result};
use crate::oci::Reference;

/// A name, and what is taken wherever `FROM`, `COPY --from` and `RUN --mount=from` use it: in place of a stage and of an
/// image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedContext {
    /// The name as [`context_name`] has it.
    pub name: String,
    /// The place that the name stands for.
    pub place: ContextPlace,
}

/// The place that the files of a named context come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContextPlace {
    /// A directory of this machine.
    Directory(PathBuf),
    /// A repository, or a directory of it.
    Git(GitUrl),
    /// An archive, unpacked; any other file is alone in its directory, and called `context`.
    Http(String),
    /// An image by its name in a registry. `scratch` is nothing at all.
    Image(String),
    /// An image in an OCI layout of this machine.
    Layout {
        /// The layout's directory, as typed.
        path: PathBuf,
        /// A tag, or a digest.
        name: Option<String>,
    },
    /// The image of another target, which is built with this one. No flag says so.
    Target(String),
}

impl FromStr for NamedContext {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let Some((name, value)) = text.split_once('=').filter(|(name, value)| !name.is_empty() && !value.is_empty())
        else {
            return Err(Error::usage(format!("`{text}` is not a context"))
                .with_hint("write NAME=VALUE, as in lib=../lib or base=docker-image://alpine:3.22"));
        };
        let name = context_name(name)
            .ok_or_else(|| Error::usage(format!("`{name}` cannot be the name of a context")).with_hint(NAMES))?;
        Ok(NamedContext { name, place: value.parse().map_err(Error::on_command_line)? })
    }
}

const NAMES: &str = "a name has lower-case letters, digits, and `.`, `_`, `-` between them";

impl FromStr for ContextPlace {
    type Err = Error;

    /// Reads what is no URL as a directory.
    fn from_str(text: &str) -> Result<Self> {
        if let Some(name) = text.strip_prefix("docker-image://") {
            if name != "scratch" {
                name.parse::<Reference>()?;
            }
            return Ok(ContextPlace::Image(name.to_owned()));
        }
        if let Some(layout) = text.strip_prefix("oci-layout://") {
            return Ok(layout_of(layout));
        }
        if text.starts_with("target:") {
            return Err(Error::input(format!("`{text}` is another target, which only bake knows"))
                .with_hint("name a stage with COPY --from, or an image with docker-image://"));
        }
        if let Some(url) = GitUrl::of_context(text)? {
            return Ok(ContextPlace::Git(url));
        }
        if is_http(text) {
            return Ok(ContextPlace::Http(text.to_owned()));
        }
        match text.split_once("://") {
            Some((scheme, _)) if scheme.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'+')) => {
                Err(Error::input(format!("`{scheme}://` is not a place for a context")).with_hint(
                    "a context can be a directory, https://, a git repository, docker-image://NAME or oci-layout://DIRECTORY",
                ))
            }
            _ => Ok(ContextPlace::Directory(PathBuf::from(text))),
        }
    }
}

/// `DIRECTORY[:TAG][@DIGEST]`; of both the digest counts.
fn layout_of(text: &str) -> ContextPlace {
    let (rest, digest) = text.split_once('@').map_or((text, None), |(rest, digest)| (rest, Some(digest)));
    let last = rest.rfind('/').map_or(0, |slash| slash + 1);
    let (path, tag) = match rest[last..].find(':') {
        Some(colon) => (&rest[..last + colon], Some(&rest[last + colon + 1..])),
        None => (rest, None),
    };
    ContextPlace::Layout { path: PathBuf::from(path), name: digest.or(tag).map(str::to_owned) }
}

/// Returns the form of a name by which contexts are found, whether it is that of a stage or of an image in short or in
/// full: `alpine`, `alpine:latest` and `docker.io/library/alpine:latest` are `alpine`. None if it can be neither.
pub fn context_name(name: &str) -> Option<String> {
    let reference: Reference = name.parse().ok()?;
    let full = reference.name();
    let short = full.strip_prefix("docker.io/library/").or_else(|| full.strip_prefix("docker.io/")).unwrap_or(&full);
    let tag = reference.tag().map(|tag| format!(":{tag}")).unwrap_or_default();
    let digest = reference.digest().map(|digest| format!("@{digest}")).unwrap_or_default();
    let all = format!("{short}{tag}{digest}");
    Some(all.strip_suffix(":latest").map_or(all.clone(), str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The form is BuildKit's: `reference.FamiliarString` without `:latest` at its end.
    #[test]
    fn names_are_found_in_whatever_form_they_are_written() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (written, form) in [
            ("alpine", Some("alpine")),
            ("alpine:latest", Some("alpine")),
            ("docker.io/library/alpine:latest", Some("alpine")),
            ("index.docker.io/library/alpine", Some("alpine")),
            ("docker.io/alpine:3.22", Some("alpine:3.22")),
            ("docker.io/org/app", Some("org/app")),
            ("registry.example:5000/org/app:latest", Some("registry.example:5000/org/app")),
            (&format!("alpine@{digest}"), Some(&*format!("alpine@{digest}"))),
            ("my_stage", Some("my_stage")),
            ("Build", None),
            ("", None),
        ] {
            assert_eq!(context_name(written).as_deref(), form, "{written}");
        }
    }

    #[test]
    fn values_are_told_apart() {
        let place = |value: &str| format!("x={value}").parse::<NamedContext>().unwrap().place;
        assert_eq!(place("../lib"), ContextPlace::Directory("../lib".into()));
        assert_eq!(place("docker-image://alpine:3"), ContextPlace::Image("alpine:3".to_owned()));
        assert_eq!(place("docker-image://scratch"), ContextPlace::Image("scratch".to_owned()));
        assert_eq!(
            place("https://example.com/a.tar.gz"),
            ContextPlace::Http("https://example.com/a.tar.gz".to_owned())
        );
        assert!(matches!(place("https://example.com/a.git#v1"), ContextPlace::Git(_)));
        assert!(matches!(place("git@example.com:a"), ContextPlace::Git(_)));
        let layout =
            |path: &str, name: Option<&str>| ContextPlace::Layout { path: path.into(), name: name.map(str::to_owned) };
        assert_eq!(place("oci-layout:///srv/a:b/c"), layout("/srv/a:b/c", None));
        assert_eq!(place("oci-layout:///srv/c:v1"), layout("/srv/c", Some("v1")));
        assert_eq!(place("oci-layout://c:v1@sha256:ab"), layout("c", Some("sha256:ab")));
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in ["", "a", "a=", "=b", "A=b", "a=docker-image://B", "a=target:b", "a=ftp://b", "a=ext::sh -c id://x"]
        {
            let parsed = text.parse::<NamedContext>();
            assert_eq!(parsed.is_err(), text != "a=ext::sh -c id://x", "{text}");
        }
    }
}
