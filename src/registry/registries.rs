//! Mirrors, other places of registries, and which are insecure or blocked: `registries.conf`, version 2
//! (containers-registries.conf(5)).

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;
use toml::Spanned;

use crate::error::{Error, ErrorKind, Excerpt, Result};
use crate::oci::Reference;

/// Where the configuration of registries is. Aliases and search lists in it are not used: a name without a registry is
/// docker.io's.
#[derive(Debug, Clone, Default)]
pub struct RegistriesConf {
    /// It has to be there.
    pub file: Option<PathBuf>,
    /// Directories with further files, `*.conf`, which may be missing. What comes later, in the order of the list and of
    /// the names in a directory, takes the place of what is for the same prefix.
    pub directories: Vec<PathBuf>,
}

/// The entries of all of the files, by prefix.
#[derive(Debug, Default)]
pub(super) struct Registries(BTreeMap<String, RegistryEntry>);

#[derive(Debug)]
struct RegistryEntry {
    /// In the place of the prefix; the same, if none.
    location: Option<String>,
    insecure: bool,
    /// Where that is said.
    blocked: Option<String>,
    mirrors: Vec<Mirror>,
}

#[derive(Debug)]
struct Mirror {
    location: String,
    insecure: bool,
    usage: Usage,
}

/// The names that a mirror is for.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Usage {
    #[default]
    #[serde(alias = "")]
    All,
    DigestOnly,
    TagOnly,
}

/// Where an image is available.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ImagePlace {
    pub reference: Reference,
    pub insecure: bool,
}

impl Registries {
    pub fn read(conf: &RegistriesConf) -> Result<Registries> {
        let mut registries = Registries::default();
        for path in conf.file.iter().cloned().map(Ok).chain(drop_ins(&conf.directories)) {
            let path = path?;
            let text = fs::read_to_string(&path).map_err(|error| Error::io("read", &path, error))?;
            registries.0.extend(parse(&path, &text)?);
        }
        Ok(registries)
    }

    /// Returns whether that registry may be spoken to without safety; an error if it is blocked. Nothing else changes
    /// where an image is pushed to.
    pub fn is_insecure(&self, reference: &str) -> Result<bool> {
        let Some((_, entry)) = self.find(reference) else { return Ok(false) };
        match &entry.blocked {
            None => Ok(entry.insecure),
            Some(place) => {
                Err(Error::new(ErrorKind::Denied, format!("{reference} is blocked"))
                    .with_hint(format!("{place} says so")))
            }
        }
    }

    /// Returns where to pull an image from: its mirrors, in their order, and at the end the registry itself.
    pub fn places(&self, reference: &Reference) -> Result<Vec<ImagePlace>> {
        let name = reference.to_string();
        let insecure = self.is_insecure(&name)?;
        let Some((matched, entry)) = self.find(&name) else {
            return Ok(vec![ImagePlace { reference: reference.clone(), insecure }]);
        };
        let rest = &name[matched..];
        let moved = |location: &str| -> Result<Reference> { format!("{location}{rest}").parse() };
        let is_meant = |mirror: &&Mirror| match mirror.usage {
            Usage::All => true,
            Usage::DigestOnly => reference.digest().is_some(),
            Usage::TagOnly => reference.digest().is_none(),
        };
        let mirrors = entry.mirrors.iter().filter(is_meant);
        let mirrors =
            mirrors.map(|mirror| Ok(ImagePlace { reference: moved(&mirror.location)?, insecure: mirror.insecure }));
        let own = entry.location.as_deref().map_or_else(|| Ok(reference.clone()), moved);
        mirrors.chain([own.map(|reference| ImagePlace { reference, insecure })]).collect()
    }

    /// The entry with the longest prefix that fits, and how much of `reference` that is.
    fn find(&self, reference: &str) -> Option<(usize, &RegistryEntry)> {
        let fitting = self.0.iter().filter_map(|(prefix, entry)| Some((prefix, matched(reference, prefix)?, entry)));
        fitting.max_by_key(|(prefix, _, _)| prefix.len()).map(|(_, matched, entry)| (matched, entry))
    }
}

/// How much of `reference` fits `prefix`, if it does up to the end of one of its parts. A host fits only with its port.
fn matched(reference: &str, prefix: &str) -> Option<usize> {
    let end = match prefix.strip_prefix('*') {
        Some(domain) => {
            let host = reference.split('/').next().unwrap_or_default();
            let name = host.split(':').next().unwrap_or_default();
            return name.strip_suffix(domain).filter(|below| !below.is_empty()).map(|_| host.len());
        }
        None => reference.strip_prefix(prefix)?,
    };
    let is_end = match end.chars().next() {
        None | Some('/') => true,
        Some(':' | '@') => prefix.contains('/'),
        Some(_) => false,
    };
    is_end.then_some(prefix.len())
}

fn drop_ins(directories: &[PathBuf]) -> impl Iterator<Item = Result<PathBuf>> {
    directories.iter().flat_map(|directory| {
        let paths = fs::read_dir(directory).and_then(|entries| {
            let paths: io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
            paths
        });
        match paths {
            Ok(mut paths) => {
                paths.retain(|path| path.extension().is_some_and(|extension| extension == "conf") && path.is_file());
                paths.sort();
                paths.into_iter().map(Ok).collect()
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => vec![Err(Error::io("read", directory, error))],
        }
    })
}

/// The file as it is written; other keys are other programs'.
#[derive(Deserialize)]
struct RegistriesFile {
    #[serde(default)]
    registry: Vec<Spanned<RegistryTable>>,
    /// Version 1.
    registries: Option<Spanned<IgnoredAny>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RegistryTable {
    prefix: Option<Spanned<String>>,
    location: Option<Spanned<String>>,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    blocked: bool,
    #[serde(default)]
    mirror: Vec<Spanned<MirrorTable>>,
    #[serde(default)]
    mirror_by_digest_only: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct MirrorTable {
    location: Option<Spanned<String>>,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    pull_from_mirror: Usage,
}

fn parse(path: &Path, text: &str) -> Result<BTreeMap<String, RegistryEntry>> {
    let file = path.display().to_string();
    let blame = |span, message: &str| {
        Error::input(format!("{file}: {message}")).with_excerpt(Excerpt::new(file.clone(), text, span))
    };
    let document: RegistriesFile = toml::from_str(text).map_err(|error| {
        blame(error.span().unwrap_or_default(), &format!("not a registries.conf: {}", error.message()))
    })?;
    if let Some(old) = document.registries {
        return Err(blame(old.span(), "this is the format of version 1, which is not supported")
            .with_hint("write a [[registry]] for each registry, as containers-registries.conf(5) has it"));
    }
    let mut entries = BTreeMap::new();
    for table in document.registry {
        let span = table.span();
        let (prefix, entry) = entry(table, &blame, &|| {
            let place = Excerpt::new(file.clone(), text, span.clone());
            format!("{file}:{}", place.line)
        })?;
        entries.entry(prefix).or_insert(entry);
    }
    Ok(entries)
}

type Blame<'a> = &'a dyn Fn(std::ops::Range<usize>, &str) -> Error;

fn entry(
    table: Spanned<RegistryTable>,
    blame: Blame<'_>,
    place: &dyn Fn() -> String,
) -> Result<(String, RegistryEntry)> {
    let span = table.span();
    let table = table.into_inner();
    let location = table.location.as_ref().map(|location| address(location, blame)).transpose()?;
    let prefix = match (&table.prefix, &location) {
        (Some(prefix), _) if prefix.get_ref().starts_with("*.") => {
            let prefix_text = prefix.get_ref();
            if prefix_text[1..].contains(['*', '/', ':']) {
                return Err(blame(prefix.span(), "`*.` can only come before a host, without a port or a path"));
            }
            prefix_text.clone()
        }
        (Some(prefix), Some(_)) => address(prefix, blame)?,
        (None, Some(location)) => location.clone(),
        (Some(_), None) => return Err(blame(span, "this registry has a prefix, but no location")),
        (None, None) => return Err(blame(span, "this registry has neither a prefix nor a location")),
    };
    let mut mirrors = Vec::new();
    for mirror in table.mirror {
        let span = mirror.span();
        let mirror = mirror.into_inner();
        let location = mirror.location.ok_or_else(|| blame(span.clone(), "this mirror has no location"))?;
        let usage = match (table.mirror_by_digest_only, mirror.pull_from_mirror) {
            (true, Usage::All) => Usage::DigestOnly,
            (true, _) => return Err(blame(span, "pull-from-mirror and mirror-by-digest-only exclude each other")),
            (false, usage) => usage,
        };
        mirrors.push(Mirror { location: address(&location, blame)?, insecure: mirror.insecure, usage });
    }
    let blocked = table.blocked.then(place);
    Ok((prefix, RegistryEntry { location, insecure: table.insecure, blocked, mirrors }))
}

/// `host[:port][/path…]`, without a slash at its end.
fn address(text: &Spanned<String>, blame: Blame<'_>) -> Result<String> {
    let address = text.get_ref().trim_end_matches('/');
    if address.contains("://") {
        return Err(
            blame(text.span(), "a location and a prefix must not have a scheme").with_hint("leave https:// out")
        );
    }
    let (host, path) = address.split_once('/').unwrap_or((address, ""));
    // A prefix may go on to a tag or a digest, and then is an image itself.
    let example = if path.contains([':', '@']) { address.to_owned() } else { format!("{address}/image") };
    match example.parse::<Reference>() {
        Ok(reference) if reference.registry() == host => Ok(address.to_owned()),
        _ => Err(blame(text.span(), &format!("`{address}` is not a host, with or without a path"))
            .with_hint("as in registry.example, mirror.example:5000 or registry.example/org")),
    }
}
