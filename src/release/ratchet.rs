//! The ratchet decides which tags a push moves. Floating tags go forward only: what was released before does not get a
//! tag back from what is newer (semver's precedence, so build metadata does not count).

use std::cmp::Ordering;
use std::fmt;

use semver::Version;

use super::tag::{PlannedTag, TagKind, sanitised_version};
use crate::oci::Digest;
use crate::plan::version;

/// The image that is pushed under the tags of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The digest of its manifest or index.
    pub root: Digest,
    /// The version of the tag which was asked for; none for a branch, or a tag that is not a version.
    pub version: Option<Version>,
}

/// The image that a tag stands for in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The digest of its manifest or index.
    pub digest: Digest,
    /// The version that the image gives itself (`org.opencontainers.image.version`), if it does and was asked.
    pub version: Option<Version>,
}

/// The change that a push makes to a tag, or does not make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TagChange {
    /// There was no such tag, and it is set.
    New,
    /// It stands for the image already.
    Same,
    /// It is set to the image.
    Moves {
        /// The image that it stands for until then.
        from: Standing,
    },
    /// It is not touched.
    Stays {
        /// The image that it stands for, if there is such a tag.
        at: Option<Standing>,
        /// Why it is not touched.
        because: Obstacle,
    },
}

/// Why a floating tag stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// Its line has this release, which is newer.
    Newer(Version),
    /// The image that is pushed has no version, and the tag belongs to releases, of which this is the newest.
    Release(Version),
    /// The image that is pushed is this pre-release.
    PreRelease(Version),
}

/// Returns what becomes of `tag`, which stands for `now`. `listed` are the releases that the repository has tags for,
/// or none where it does not list its tags: then the version of the image that the tag stands for has to do.
///
/// - A floating tag stays if its line has a release that is newer than what is pushed. What has no version, such as the
///   build of a default branch, is older than any release: once there are releases, `latest` is theirs.
/// - A pre-release moves no floating tag.
/// - What stands for the same image already is the same, whatever the versions.
pub fn change(tag: &PlannedTag, pushed: &Pushed, now: Option<Standing>, listed: Option<&[Version]>) -> TagChange {
    if now.as_ref().is_some_and(|now| now.digest == pushed.root) {
        return TagChange::Same;
    }
    match (obstacle(tag, pushed.version.as_ref(), now.as_ref(), listed), now) {
        (Some(because), at) => TagChange::Stays { at, because },
        (None, Some(from)) => TagChange::Moves { from },
        (None, None) => TagChange::New,
    }
}

/// Returns the releases among `listed`, the tags of a repository. What stands around the version in the exact ones of
/// `planned` stands around it there, too: beside `0.2.0-alpine`, `0.1.0-alpine` is a release and `0.1.0` none.
pub fn releases(listed: &[String], planned: &[PlannedTag], version: Option<&Version>) -> Vec<Version> {
    let text = version.map(|version| sanitised_version(&version.to_string()));
    let exact = planned.iter().filter(|tag| tag.kind == TagKind::Exact);
    let mut frames: Vec<(&str, &str)> = exact
        .filter_map(|tag| tag.name.split_once(text.as_deref()?))
        .map(|(before, after)| (before.strip_suffix('v').unwrap_or(before), after))
        .collect();
    if frames.is_empty() {
        frames.push(("", ""));
    }
    let inner = |name: &str| {
        let framed = |(before, after): &(&str, &str)| name.strip_prefix(before)?.strip_suffix(after).map(str::to_owned);
        frames.iter().find_map(framed)
    };
    let versions = listed.iter().filter_map(|name| version::of_tag(&inner(name)?));
    versions.filter(|version| version.pre.is_empty()).collect()
}

impl TagChange {
    /// Returns whether the tag has to be set.
    pub fn sets(&self) -> bool {
        matches!(self, TagChange::New | TagChange::Moves { .. })
    }

    /// Returns it in a word, for programs.
    pub fn word(&self) -> &'static str {
        match self {
            TagChange::New => "new",
            TagChange::Same => "same",
            TagChange::Moves { .. } => "moves",
            TagChange::Stays { .. } => "stays",
        }
    }
}

impl fmt::Display for TagChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TagChange::New | TagChange::Same => f.write_str(self.word()),
            TagChange::Moves { from: Standing { digest, version: None } } => write!(f, "moves from {digest}"),
            TagChange::Moves { from: Standing { digest, version: Some(version) } } => {
                write!(f, "moves from {digest} ({version})")
            }
            TagChange::Stays { at: Some(_), because } => write!(f, "stays ({because})"),
            TagChange::Stays { at: None, because } => write!(f, "stays unset ({because})"),
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Obstacle::Newer(version) => write!(f, "{version} is newer"),
            Obstacle::Release(version) => write!(f, "it belongs to releases, such as {version}"),
            Obstacle::PreRelease(version) => write!(f, "{version} is a pre-release"),
        }
    }
}

fn obstacle(
    tag: &PlannedTag,
    version: Option<&Version>,
    now: Option<&Standing>,
    listed: Option<&[Version]>,
) -> Option<Obstacle> {
    let line = tag.line?;
    if let Some(version) = version.filter(|version| !version.pre.is_empty()) {
        return Some(Obstacle::PreRelease(version.clone()));
    }
    // No tag holds a `+`: a release with build metadata looks like a pre-release in a list.
    let standing = now.and_then(|now| now.version.as_ref());
    let standing = standing.filter(|version| listed.is_none() || !version.build.is_empty());
    let releases = listed.unwrap_or_default().iter().chain(standing).filter(|release| line.has(release));
    let newest = releases.max_by(|a, b| a.cmp_precedence(b))?;
    match version {
        None => Some(Obstacle::Release(newest.clone())),
        Some(version) if newest.cmp_precedence(version) == Ordering::Greater => Some(Obstacle::Newer(newest.clone())),
        Some(_) => None,
    }
}
