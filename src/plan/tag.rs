//! Which tags one build gets.

use semver::Version;

use super::template;
use crate::error::{Error, Result};
use crate::oci::{Reference, is_valid_tag};

const PLACEHOLDERS: &[&str] = &["tag", "version", "major", "minor", "patch", "branch", "sha7"];

/// The branch that is checked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    pub name: String,
    /// Hexadecimal, in full.
    pub commit: String,
    pub is_default: bool,
}

/// Valid tags, each once, the exact ones first: the order in which they are pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagPlan {
    pub tags: Vec<PlannedTag>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedTag {
    pub name: String,
    pub kind: TagKind,
    /// In a word or two, for people: `as given`, `minor`, `default branch`.
    pub reason: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagKind {
    /// The tag that was asked for, in its spellings, and what names this one build.
    Exact,
    /// Moves to the newest build.
    Floating,
}

/// All tags that `tag` stands for:
///
/// - a release (`v0.2.0`) is `v0.2.0 0.2.0`, and moves `0.2 0 latest`;
/// - a pre-release is its own spellings and moves nothing;
/// - the branch, by its name or the tag made of it, is `main main-<sha7>`, and moves `latest` if it is the default;
/// - everything else stands alone.
///
/// The `+` of build metadata becomes `-`. Metadata has no precedence in semver, so `v1.2.3+b5` moves what `v1.2.3`
/// moves, but it never takes the tag `1.2.3` itself.
pub fn fan_out(tag: &str, branch: Option<&Branch>) -> Result<TagPlan> {
    let mut plan = TagPlan { tags: Vec::new() };
    if let Some(branch) = branch.filter(|branch| tag == branch.name || tag == branch.tag()) {
        plan.push(branch.tag(), TagKind::Exact, "as given")?;
        plan.push(branch.commit_tag(), TagKind::Exact, "commit")?;
        if branch.is_default {
            plan.push("latest".to_owned(), TagKind::Floating, "default branch")?;
        }
        return Ok(plan);
    }
    plan.push(sanitised_version(tag), TagKind::Exact, "as given")?;
    let Some(version) = version(tag) else { return Ok(plan) };
    plan.push(sanitised_version(&version.to_string()), TagKind::Exact, "version")?;
    if version.pre.is_empty() {
        plan.push(format!("{}.{}", version.major, version.minor), TagKind::Floating, "minor")?;
        plan.push(version.major.to_string(), TagKind::Floating, "major")?;
        plan.push("latest".to_owned(), TagKind::Floating, "latest release")?;
    }
    Ok(plan)
}

/// Just the named tag, with `-` for the `+` of build metadata.
pub fn alone(tag: &str) -> Result<TagPlan> {
    let mut plan = TagPlan { tags: Vec::new() };
    plan.push(sanitised_version(tag), TagKind::Exact, "as given")?;
    Ok(plan)
}

/// Tags from a template as in `{version},{major}.{minor},latest`, in place of the fan-out. It may use
/// `{tag} {version} {major} {minor} {patch} {branch} {sha7}`; what uses none of `{tag} {version} {patch} {sha7}` floats.
pub fn from_template(template: &str, tag: &str, branch: Option<&Branch>) -> Result<TagPlan> {
    let version = version(tag);
    let mut plan = TagPlan { tags: Vec::new() };
    for part in template.split(',').map(str::trim) {
        let mut kind = TagKind::Floating;
        let name = template::expand(part, |name| {
            if matches!(name, "tag" | "version" | "patch" | "sha7") {
                kind = TagKind::Exact;
            }
            placeholder(name, tag, version.as_ref(), branch)
        })?;
        plan.push(name, kind, "template")?;
    }
    plan.tags.sort_by_key(|tag| tag.kind == TagKind::Floating);
    Ok(plan)
}

/// The semantic version that a tag is: three numbers with an optional leading `v`.
pub fn version(tag: &str) -> Option<Version> {
    Version::parse(tag.strip_prefix('v').unwrap_or(tag)).ok()
}

/// A name to push to, apart: the reference without a tag, and the tag as it was typed. Unlike a reference's, the tag
/// may hold the `+` of build metadata.
pub fn split_name(text: &str) -> Result<(Reference, Option<String>)> {
    if text.contains('@') {
        return Err(Error::input(format!("`{text}` has a digest"))
            .with_hint("what is built has the digest that it has: give a name and a tag"));
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
    /// Adds a tag unless the plan has it.
    fn push(&mut self, name: String, kind: TagKind, reason: &'static str) -> Result<()> {
        check(&name)?;
        if self.tags.iter().all(|tag| tag.name != name) {
            self.tags.push(PlannedTag { name, kind, reason });
        }
        Ok(())
    }
}

impl Branch {
    /// The branch's name with `-` for each character that no tag may hold.
    pub fn tag(&self) -> String {
        branch_tag(&self.name)
    }

    fn commit_tag(&self) -> String {
        format!("{}-{}", self.tag(), self.short_commit())
    }

    fn short_commit(&self) -> String {
        self.commit.chars().take(7).collect()
    }
}

fn branch_tag(branch: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    branch.chars().map(|c| if allowed(c) { c } else { '-' }).collect()
}

/// The name and the tag in `text` where the tag has a slash, as the name of a branch may have. The first colon may be
/// that of a port.
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

/// `+` is the one character of a version that no tag may hold.
fn sanitised_version(tag: &str) -> String {
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
