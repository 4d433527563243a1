//! A [`TagPlan`] says which tags a name with a tag stands for.

use semver::Version;

use crate::error::{Error, Result};
use crate::oci::{Reference, is_valid_tag};
use crate::plan::{Branch, branch_tag, template, version};

const PLACEHOLDERS: &[&str] = &["tag", "version", "major", "minor", "patch", "branch", "sha7"];

/// Valid tags, each once, the exact ones first: the order in which they are pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagPlan {
    /// In the order in which they are pushed.
    pub tags: Vec<PlannedTag>,
}

/// A tag that a build gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedTag {
    /// The tag alone.
    pub name: String,
    /// Exact tags are pushed before floating ones.
    pub kind: TagKind,
    /// The releases that hold a floating tag; none if it moves whatever they are.
    pub line: Option<ReleaseLine>,
    /// Why it has the tag, in a word or two for people: `as given`, `minor`, `default branch`.
    pub reason: &'static str,
}

/// The two kinds of tags: those that stand for one image for good, and those that move on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagKind {
    /// The tag that was asked for, in its spellings, and what names this one build.
    Exact,
    /// A tag that moves to the newest build, as a branch's does.
    Floating,
}

/// Releases that have something in common: all of them, those of a major version, those of a minor one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReleaseLine {
    /// The major version of all of them; none if they have several.
    pub major: Option<u64>,
    /// The minor version of all of them; none if they have several.
    pub minor: Option<u64>,
}

/// Returns all tags that `tag` stands for:
///
/// - a release (`v0.2.0`) is `v0.2.0 0.2.0`, and moves `0.2 0 latest`;
/// - a pre-release is its own spellings and moves nothing;
/// - the branch, by its name or the tag made of it, is `main-<sha7>`, and moves `main`, and `latest` if it is the default;
/// - everything else stands alone.
///
/// The `+` of build metadata becomes `-`. Metadata has no precedence in semver, so `v1.2.3+b5` moves what `v1.2.3`
/// moves, but it never takes the tag `1.2.3` itself.
pub fn fan_out(tag: &str, branch: Option<&Branch>) -> Result<TagPlan> {
    let mut plan = TagPlan { tags: Vec::new() };
    if let Some(branch) = branch.filter(|branch| tag == branch.name || tag == branch.tag()) {
        plan.exact(branch.commit_tag(), "commit")?;
        plan.floating(branch.tag(), None, "as given")?;
        if branch.is_default {
            plan.floating("latest".to_owned(), Some(ReleaseLine::default()), "default branch")?;
        }
        return Ok(plan);
    }
    plan.exact(sanitised_version(tag), "as given")?;
    let Some(version) = version::of_tag(tag) else { return Ok(plan) };
    plan.exact(sanitised_version(&version.to_string()), "version")?;
    if version.pre.is_empty() {
        let (major, minor) = (Some(version.major), Some(version.minor));
        plan.floating(format!("{}.{}", version.major, version.minor), Some(ReleaseLine { major, minor }), "minor")?;
        plan.floating(version.major.to_string(), Some(ReleaseLine { major, minor: None }), "major")?;
        plan.floating("latest".to_owned(), Some(ReleaseLine::default()), "latest release")?;
    }
    Ok(plan)
}

/// Returns just the named tag, with `-` for the `+` of build metadata.
pub fn alone(tag: &str) -> Result<TagPlan> {
    let mut plan = TagPlan { tags: Vec::new() };
    plan.exact(sanitised_version(tag), "as given")?;
    Ok(plan)
}

/// Returns tags from a template as in `{version},{major}.{minor},latest`, in place of the fan-out. It may use
/// `{tag} {version} {major} {minor} {patch} {branch} {sha7}`; what uses none of `{tag} {version} {patch} {sha7}` floats:
/// with `{branch}` freely, else with the releases whose `{major}` and `{minor}` it names.
pub fn from_template(template: &str, tag: &str, branch: Option<&Branch>) -> Result<TagPlan> {
    let version = version::of_tag(tag);
    let mut plan = TagPlan { tags: Vec::new() };
    for part in template.split(',').map(str::trim) {
        let mut used = Vec::new();
        let name = template::expand(part, |name| {
            used.push(name.to_owned());
            placeholder(name, tag, version.as_ref(), branch)
        })?;
        let uses = |names: &[&str]| used.iter().any(|used| names.contains(&used.as_str()));
        if uses(&["tag", "version", "patch", "sha7"]) {
            plan.exact(name, "template")?;
            continue;
        }
        let number = |name: &str, of: fn(&Version) -> u64| version.as_ref().filter(|_| uses(&[name])).map(of);
        let line = ReleaseLine {
            major: number("major", |version| version.major),
            minor: number("minor", |version| version.minor),
        };
        plan.floating(name, Some(line).filter(|_| !uses(&["branch"])), "template")?;
    }
    plan.tags.sort_by_key(|tag| tag.kind == TagKind::Floating);
    Ok(plan)
}

impl ReleaseLine {
    /// Returns whether `version` is a release of this line.
    pub fn has(&self, version: &Version) -> bool {
        version.pre.is_empty()
            && self.major.is_none_or(|major| major == version.major)
            && self.minor.is_none_or(|minor| minor == version.minor)
    }
}

/// Takes apart a name to push to: returns the reference without a tag, and the tag as it was typed. Unlike a
/// reference's, the tag may hold the `+` of build metadata.
pub fn split_name(text: &str) -> Result<(Reference, Option<String>)> {
    if text.contains('@') {
        return Err(Error::input(format!("`{text}` has a digest"))
            .with_hint("the build decides the digest: give a name and a tag"));
    }
    let last = text.rfind('/').map_or(0, |slash| slash + 1);
    match text[last..].find(':') {
        None => match slashed_tag(text) {
            Some((name, tag)) => Err(Error::input(format!("`{tag}` in `{text}` is not a tag"))
                .with_hint(format!("the tag for a branch `{tag}` is `{0}`, as in {name}:{0}", branch_tag(tag)))),
            None => Ok((text.parse()?, None)),
        },
        Some(colon) => {
            let (name, tag) = (&text[..last + colon], &text[last + colon + 1..]);
            check(&sanitised_version(tag))?;
            Ok((name.parse()?, Some(tag.to_owned())))
        }
    }
}

impl TagPlan {
    fn exact(&mut self, name: String, reason: &'static str) -> Result<()> {
        self.push(PlannedTag { name, kind: TagKind::Exact, line: None, reason })
    }

    fn floating(&mut self, name: String, line: Option<ReleaseLine>, reason: &'static str) -> Result<()> {
        self.push(PlannedTag { name, kind: TagKind::Floating, line, reason })
    }

    /// Adds a tag unless the plan has it.
    fn push(&mut self, tag: PlannedTag) -> Result<()> {
        check(&tag.name)?;
        if self.tags.iter().all(|known| known.name != tag.name) {
            self.tags.push(tag);
        }
        Ok(())
    }
}

/// Returns the name and the tag in `text` where the tag has a slash, as the name of a branch may have. The first colon
/// may be that of a port.
fn slashed_tag(text: &str) -> Option<(&str, &str)> {
    let has_slash = |colon: &usize| text[*colon..].contains('/');
    let is_port = |colon: &usize| {
        let port = text[colon + 1..].split('/').next().unwrap_or_default();
        !text[..*colon].contains('/') && port.bytes().all(|c| c.is_ascii_digit())
    };
    let mut colons = text.match_indices(':').map(|(colon, _)| colon);
    let colon = colons.find(|colon| has_slash(colon) && !is_port(colon))?;
    Some((&text[..colon], &text[colon + 1..]))
}

fn placeholder(name: &str, tag: &str, version: Option<&Version>, branch: Option<&Branch>) -> Result<String> {
    let no_version = || {
        Error::input(format!("the template's `{{{name}}}` needs a version, which `{tag}` is not"))
            .with_hint("a version is three numbers, as in v1.2.0 or 1.2.0-rc.1")
    };
    let no_branch = || Error::input(format!("the template's `{{{name}}}` needs a git branch, and none is checked out"));
    match name {
        "tag" => Ok(sanitised_version(tag)),
        "version" => version.map(|version| sanitised_version(&version.to_string())).ok_or_else(no_version),
        "major" => version.map(|version| version.major.to_string()).ok_or_else(no_version),
        "minor" => version.map(|version| version.minor.to_string()).ok_or_else(no_version),
        "patch" => version.map(|version| version.patch.to_string()).ok_or_else(no_version),
        "branch" => branch.map(Branch::tag).ok_or_else(no_branch),
        "sha7" => branch.map(Branch::short_commit).ok_or_else(no_branch),
        _ => Err(template::unknown(name, PLACEHOLDERS)),
    }
}

/// Returns `tag` with `-` for each `+`, the one character of a version that no tag may hold.
pub(super) fn sanitised_version(tag: &str) -> String {
    tag.replace('+', "-")
}

fn check(tag: &str) -> Result<()> {
    if is_valid_tag(tag) {
        return Ok(());
    }
    let message = if tag.is_empty() { "a tag is empty".to_owned() } else { format!("`{tag}` is not a tag") };
    Err(Error::input(message).with_hint(
        "a tag has letters, digits, `_`, `.` and `-`, starts with a letter, digit or `_`, and is at most 128 long",
    ))
}
