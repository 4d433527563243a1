//! The standard labels and annotations (image-spec, annotations.md "Pre-Defined Annotation Keys").

use super::{Branch, version};
use crate::error::{Error, Result};
use crate::net::date;
use crate::oci::Map;

const PREFIX: &str = "org.opencontainers.image.";

/// The standard keys behind the prefix.
const STANDARD: &[&str] = &[
    "title",
    "description",
    "vendor",
    "source",
    "url",
    "licenses",
    "version",
    "revision",
    "created",
    "documentation",
    "authors",
    "base.name",
    "base.digest",
];

/// The facts of the image that the user states.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// The title for people, in a few words.
    pub title: Option<String>,
    /// The description for people.
    pub description: Option<String>,
    /// The distributing entity, a person or an organisation.
    pub vendor: Option<String>,
    /// The address of the page about the image.
    pub url: Option<String>,
    /// The address of the source code; without it, that of the checkout is taken.
    pub source: Option<String>,
    /// An SPDX expression.
    pub licenses: Option<String>,
    /// The version of what is in the image; without it, that of the tag is taken.
    pub version: Option<String>,
    /// The address of the documentation.
    pub documentation: Option<String>,
    /// The people to ask, in free form.
    pub authors: Option<String>,
}

/// The facts of the image that nobody has to state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Automatic {
    /// The time of the image in seconds since 1970; an image of which nobody knows when it was made has no label of it.
    pub created: Option<i64>,
    /// The tag as it was typed; it gives the version if it is one.
    pub tag: Option<String>,
    /// The checkout that the context is in, which tells source and revision; none if it is in none.
    pub checkout: Option<Checkout>,
}

/// The git checkout that the context is part of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkout {
    /// The commit, hexadecimal, in full.
    pub revision: String,
    /// The web address that [`source`] makes of the remote's URL. The URL itself may hold a password and is not kept.
    pub source: Option<String>,
    /// Something differs from the commit.
    pub dirty: bool,
    /// The time of the commit in seconds since 1970; none where only the variables of a CI tell of the commit.
    pub commit_time: Option<i64>,
    /// The branch that is checked out; none for a commit alone.
    pub branch: Option<Branch>,
    /// The branch that the remote calls its default one; none where that is not known.
    pub default_branch: Option<String>,
}

impl About {
    /// Returns each fact that is stated, by its key in the specification.
    pub fn facts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let facts = [
            ("title", &self.title),
            ("description", &self.description),
            ("vendor", &self.vendor),
            ("url", &self.url),
            ("source", &self.source),
            ("licenses", &self.licenses),
            ("version", &self.version),
            ("documentation", &self.documentation),
            ("authors", &self.authors),
        ];
        facts.into_iter().filter_map(|(key, value)| Some((key, value.as_deref()?)))
    }

    /// Returns the standard labels that say so.
    pub fn labels(&self) -> Map<String> {
        self.facts().map(|(key, value)| (format!("{PREFIX}{key}"), value.to_owned())).collect()
    }
}

/// Returns an image's labels and its manifests' annotations, in this order. Fails for a time that [`rfc3339`] cannot
/// say.
///
/// What the user sets wins over what the user says in `about`, and that over what is automatic. A standard key that is
/// set as a label is the annotation too, unless an annotation says otherwise; one that is set to nothing is none.
pub fn complete(
    about: &About,
    automatic: &Automatic,
    labels: &Map<String>,
    annotations: &Map<String>,
) -> Result<(Map<String>, Map<String>)> {
    let standard = standard(about, automatic)?;
    let mut all_labels = standard.clone();
    all_labels.extend(labels.clone());
    let mut all_annotations = standard;
    all_annotations.extend(labels.clone().into_iter().filter(|(key, _)| is_standard(key)));
    all_annotations.extend(annotations.clone());
    all_annotations.retain(|key, value| !value.is_empty() || !is_standard(key));
    Ok((all_labels, all_annotations))
}

/// Returns what the label of the revision says of a checkout: the commit, and whether something differs from it.
pub(super) fn revision(checkout: &Checkout) -> String {
    format!("{}{}", checkout.revision, if checkout.dirty { "-dirty" } else { "" })
}

/// Returns what is wrong with standard labels that somebody has set, a sentence for each: those that are empty, and a time
/// that is not in the form that the specification asks for. They are written all the same, as docker writes them.
pub fn faults(labels: &Map<String>) -> Vec<String> {
    let fault = |(key, value): (&String, &String)| {
        if !is_standard(key) {
            None
        } else if value.is_empty() {
            Some(format!("the label {key} is empty: leave it out, or give the variable in it a value"))
        } else if key.strip_prefix(PREFIX) == Some("created") && date::rfc3339(value).is_none() {
            Some(format!("the label {key} is `{value}`, but must be a time such as 2001-09-09T01:46:40Z (RFC 3339)"))
        } else {
            None
        }
    };
    labels.iter().filter_map(fault).collect()
}

/// Returns the web address of a repository, from the URL of a git remote: `git@host:org/x.git`,
/// `ssh://git@host/org/x.git` and `https://user:token@host/org/x` are all `https://host/org/x`. It never holds user,
/// password, query or fragment. None is returned for what is not an address on a network (paths, `file:`), and where it is
/// unclear what is host and what is password.
pub fn source(remote: &str) -> Option<String> {
    let (scheme, authority, path) = match remote.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_once('/')?;
            (scheme, authority, path)
        }
        None => {
            let (authority, path) = remote.split_once(':')?;
            ("ssh", authority, path)
        }
    };
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let (scheme, host) = match scheme {
        "https" | "http" => (scheme, host),
        // The port is the SSH or git server's.
        "ssh" | "git" | "git+ssh" | "ssh+git" => ("https", host.split_once(':').map_or(host, |(name, _)| name)),
        _ => return None,
    };
    // An `@` here is the end of a password that holds an unescaped slash or colon.
    if path.contains('@') {
        return None;
    }
    let path = path.split(['?', '#']).next().unwrap_or_default().trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    let is_path = !path.is_empty() && !path.contains(|c: char| c.is_whitespace() || c.is_control());
    (is_host(host) && is_path).then(|| format!("{scheme}://{host}/{path}"))
}

/// Returns seconds since 1970 as RFC 3339 in UTC, `1970-01-01T00:00:00Z`. Fails for a time outside of the years 1970 to
/// 9999.
pub fn rfc3339(seconds: i64) -> Result<String> {
    let outside = || Error::input(format!("the time {seconds} is not between the years 1970 and 9999"));
    let seconds = u64::try_from(seconds).map_err(|_| outside())?;
    // 10000-01-01T00:00:00Z
    if seconds >= 253_402_300_800 {
        return Err(outside());
    }
    let (mut day, second) = (seconds / 86_400, seconds % 86_400);
    let mut year = 1970;
    while day >= days_in_year(year) {
        day -= days_in_year(year);
        year += 1;
    }
    let february = days_in_year(year) - 337;
    let mut month = 1;
    for days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if day < days {
            break;
        }
        day -= days;
        month += 1;
    }
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    Ok(format!("{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z", day + 1))
}

fn standard(about: &About, automatic: &Automatic) -> Result<Map<String>> {
    let checkout = automatic.checkout.as_ref();
    let version = automatic.tag.as_deref().and_then(version::of_tag).map(|version| version.to_string());
    let values = [
        ("source", checkout.and_then(|checkout| checkout.source.clone())),
        ("version", version),
        ("revision", checkout.map(revision)),
        ("created", automatic.created.map(rfc3339).transpose()?),
    ];
    let mut standard: Map<String> =
        values.into_iter().filter_map(|(key, value)| Some((format!("{PREFIX}{key}"), value?))).collect();
    standard.extend(about.labels());
    Ok(standard)
}

fn is_standard(key: &str) -> bool {
    key.strip_prefix(PREFIX).is_some_and(|key| STANDARD.contains(&key))
}

/// A name, an IPv4 address or a bracketed IPv6 address, with or without a port. One letter is a drive, as in `C:/x`.
fn is_host(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':').filter(|_| !host.ends_with(']')) {
        Some((name, port)) => (name, Some(port)),
        None => (host, None),
    };
    let is_port = port.is_none_or(|port| !port.is_empty() && port.bytes().all(|c| c.is_ascii_digit()));
    let is_name = match name.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
        Some(address) => address.bytes().all(|c| c.is_ascii_hexdigit() || matches!(c, b':' | b'.')),
        None => name.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_')),
    };
    name.len() > 1 && is_port && is_name
}

fn days_in_year(year: u64) -> u64 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    if leap { 366 } else { 365 }
}
