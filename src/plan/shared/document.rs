//! The document of a plan that many machines share.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::oci::{Digest, Keyed, Map, Platform, Reference, from_json, is_valid_tag, to_json};
use crate::plan::version;

/// The largest document, in bytes; far more than any system needs.
pub const SHARED_PLAN_LIMIT: u64 = 16 << 20;

/// The version of the format.
const VERSION: u32 = 1;

/// The most nodes that a plan may have.
const MOST_NODES: usize = 100_000;

/// All that has to be the same on machines that build one definition together. It holds no time and no name of the machine that made
/// it: the same checkout, bases and command line make the same plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SharedPlan {
    /// The version of the format, which is 1.
    pub version: u32,
    /// The version of the program that made it. Another one may make other bytes.
    pub program: String,
    /// The commit that is built; none where there is no checkout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkout: Option<SharedCheckout>,
    /// The files that the definition was read from, by their paths.
    pub files: Map<Digest>,
    /// The number of shards, where it was decided on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shards: Option<usize>,
    /// No exact tag that stands for another image is changed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub immutable: bool,
    /// The targets as a bake file, resolved.
    pub definition: Value,
    /// The images that targets stand on or take from, by their names in full.
    pub bases: Map<SharedBase>,
    /// What each target comes to, those that were not asked for and that others take from among them.
    pub targets: Map<SharedTarget>,
    /// What is built, in the order in which it is packed into shards.
    pub nodes: Vec<PlanNode>,
}

/// The commit that a plan is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SharedCheckout {
    /// The commit, hexadecimal, in full.
    pub revision: String,
    /// The web address of the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Something differs from the commit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dirty: bool,
}

/// What the name of a base stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SharedBase {
    /// The digest that the name stands for, mostly of an index.
    pub digest: Digest,
    /// The digest of the manifest for each platform that asks for it.
    pub manifests: Map<Digest>,
}

/// What a target comes to, before it is built.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SharedTarget {
    /// It was not asked for: others take from it, and it goes nowhere.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub linked: bool,
    /// It is an image of an `ocibake.toml`, which says more of it than the definition.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub table: bool,
    /// The time of its images, in seconds since 1970.
    pub created: i64,
    /// The digest of its Dockerfile; none where it is told otherwise what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dockerfile: Option<Digest>,
    /// The platform of each of its images, in their order.
    pub platforms: Vec<String>,
    /// It is an index even if there is one image.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub index: bool,
    /// The annotations of the index.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub annotations: Map<String>,
    /// The tag that was asked for; a version in it is the image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// The names that are set; those of a release are its `repositories`'.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// The repositories that get the image under its digest alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_digest: Vec<String>,
    /// The repositories of a release, with the tags that it sets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub release: Vec<SharedRepository>,
}

/// A repository, and the tags that a release sets there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SharedRepository {
    /// Its name, without a tag.
    pub repository: String,
    /// The tag that was asked for, as it is set there.
    pub asked: String,
    /// The tags, the exact ones first.
    pub tags: Vec<SharedTag>,
}

/// A tag of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SharedTag {
    /// The tag alone.
    pub name: String,
    /// It moves on; else it stands for one image for good.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub floating: bool,
    /// The major and the minor version of the releases that hold it, as far as they have one in common; none where it moves whatever
    /// they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<(Option<u64>, Option<u64>)>,
}

/// An image of a target that was asked for, for one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PlanNode {
    /// The name of the target.
    pub target: String,
    /// The place of the image among those of the target.
    pub image: usize,
    /// Its platform.
    pub platform: String,
    /// 0 for what stands on no other node; else one more than the last of those that it stands on.
    pub wave: usize,
    /// The annotations of the descriptor that points to its manifest.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub annotations: Map<String>,
}

impl PlanNode {
    /// Returns how it is called: `TARGET/PLATFORM`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.target, self.platform)
    }
}

impl Keyed for SharedPlan {
    fn check(&self) -> Result<(), String> {
        if self.version != VERSION {
            return Err(format!("has version {}, but only version {VERSION} is known", self.version));
        }
        for (name, target) in &self.targets {
            target.check().map_err(|why| format!("is wrong about the target {}: {why}", name.escape_debug()))?;
        }
        self.check_nodes()
    }
}

impl SharedPlan {
    /// The version of the format that is written.
    pub const VERSION: u32 = VERSION;

    /// Reads a plan, strictly; `name` is the file's in errors.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self> {
        from_json(name, bytes).map_err(|error| error.with_hint("`ocibake bake --plan FILE` writes a plan"))
    }

    /// Returns the name of the plan: the digest of its one form, however it is laid out.
    pub fn digest(&self) -> Digest {
        Digest::of(&to_json(self))
    }

    /// Returns the text of its file.
    pub fn text(&self) -> Result<Vec<u8>> {
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(|source| Error::input("the plan cannot be written down").with_source(source))?;
        text.push(b'\n');
        Ok(text)
    }

    /// Returns the target of that name.
    pub fn target(&self, name: &str) -> Result<&SharedTarget> {
        self.targets.get(name).ok_or_else(|| Error::input(format!("the plan has no target {name}")))
    }

    fn check_nodes(&self) -> Result<(), String> {
        if self.nodes.is_empty() || self.nodes.len() > MOST_NODES {
            return Err(format!("has {} nodes, and 1 to {MOST_NODES} can be built", self.nodes.len()));
        }
        let mut seen = BTreeSet::new();
        for node in &self.nodes {
            let target = self.targets.get(&node.target).filter(|target| !target.linked);
            let platform = target.and_then(|target| target.platforms.get(node.image));
            let is_new = seen.insert((node.target.as_str(), node.image));
            if platform != Some(&node.platform) || !is_new || node.wave >= MOST_NODES {
                return Err(format!("has a node {} that is not an image of its targets", node.name().escape_debug()));
            }
        }
        let all = self.targets.values().filter(|target| !target.linked).map(|target| target.platforms.len());
        match all.sum::<usize>() == seen.len() {
            true => Ok(()),
            false => Err("does not have every image of its targets among its nodes".to_owned()),
        }
    }
}

impl SharedTarget {
    /// Returns the repositories that its images go to, each once; the first has the results, too.
    pub fn repositories(&self) -> Result<Vec<Reference>> {
        let names =
            self.names.iter().chain(&self.by_digest).chain(self.release.iter().map(|release| &release.repository));
        let mut all: Vec<Reference> = Vec::new();
        for name in names {
            let name: Reference = name.parse()?;
            if all.iter().all(|known| known.name() != name.name()) {
                all.push(name);
            }
        }
        Ok(all)
    }

    /// Returns the tag that the image gets as a version, if it gets one of its own.
    pub fn version(&self) -> Option<semver::Version> {
        self.tag.as_deref().and_then(version::of_tag)
    }

    fn check(&self) -> Result<(), String> {
        let wrong = |what: &str, text: &str| Err(format!("`{}` is not a {what}", text.escape_debug()));
        if self.platforms.is_empty() {
            return Err("it has no platform".to_owned());
        }
        if let Some(platform) = self.platforms.iter().find(|text| text.parse::<Platform>().is_err()) {
            return wrong("platform", platform);
        }
        let is_tagged = |name: &&Reference| name.tag().is_some() && name.digest().is_none();
        for name in &self.names {
            if name.parse().ok().as_ref().filter(is_tagged).is_none() {
                return wrong("name with a tag", name);
            }
        }
        let is_bare = |name: &&Reference| name.tag().is_none() && name.digest().is_none();
        for name in self.by_digest.iter().chain(self.release.iter().map(|release| &release.repository)) {
            if name.parse().ok().as_ref().filter(is_bare).is_none() {
                return wrong("name of a repository", name);
            }
        }
        let tags =
            self.release.iter().flat_map(|release| release.tags.iter().map(|tag| &tag.name).chain([&release.asked]));
        if let Some(tag) = tags.into_iter().find(|tag| !is_valid_tag(tag)) {
            return wrong("tag", tag);
        }
        let goes_out = !(self.names.is_empty() && self.by_digest.is_empty() && self.release.is_empty());
        match goes_out == self.linked {
            false => Ok(()),
            true if self.linked => Err("it has names, but no destination".to_owned()),
            true => Err("it has no name to push it under".to_owned()),
        }
    }
}
