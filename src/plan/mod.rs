//! What is to be built, as plain data. A front end (`ocibake.toml`, a Dockerfile, the command line) produces a [`Plan`] and
//! nothing else; nothing here touches a file system, a network or the environment.

mod add;
pub mod annotation;
mod inherit;
pub mod dockerfile;
pub mod dockerignore;
mod git_url;
mod http_url;
pub mod label;
mod lock;
mod named_context;
pub mod ratchet;
pub mod record;
pub mod setting;
mod spec;
mod table;
pub mod tag;
mod template;

pub use git_url::GitUrl;
pub(crate) use git_url::user_information;
pub use http_url::{is_http, shown_url, url_without_user};
pub use inherit::{BASE_DIGEST, BASE_NAME};
pub use label::{About, Automatic, Checkout};
pub use lock::Lock;
pub use named_context::{ContextPlace, NamedContext, context_name};
pub use setting::put_variable;
pub use spec::{AddSpec, LayerSpec, Libc, Origin, Spec, base};

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::{Excerpt, Result};
use crate::oci::{Descriptor, Digest, Encode, ImageConfig, Map, Platform, Settings, encode_members};
use crate::tree::Mode;

/// One build.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Each behind those that it takes from.
    pub stages: Vec<Stage>,
    /// The stages that become images, by their place in `stages`: one for each wanted platform, in the order in which the
    /// platforms were asked for.
    pub images: Vec<usize>,
    /// What stages take files from by its place here.
    pub contexts: Vec<Context>,
    /// Write an index even for a single platform.
    pub index: bool,
    /// For every manifest and the index; already complete.
    pub annotations: Map<String>,
    /// Those that are for some of them.
    pub placed_annotations: annotation::PlacedAnnotations,
}

/// The making of one file system, and of the settings that go with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// For progress.
    pub title: String,
    pub platform: Platform,
    pub base: Base,
    /// Each becomes one layer or none, the lowest first. Equal steps of different stages are done once.
    pub steps: Vec<Step>,
    /// Those of the image in full: what the base has is among them, and all labels.
    pub settings: Settings,
    /// Of the image, as `MAINTAINER` names it.
    pub author: Option<String>,
    /// For its manifest, beside those of the plan.
    pub annotations: Map<String>,
}

/// What the first layer stands on.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Base {
    #[default]
    Scratch,
    Image(Arc<BaseImage>),
    /// By its place among the plan's stages.
    Stage(usize),
}

/// An image for one platform that exists already: found, and pinned by its digest.
#[derive(Debug, Clone, PartialEq)]
pub struct BaseImage {
    /// A registry's in full, as in `docker.io/library/debian:13`; that of another place as it was written.
    pub name: String,
    /// Of what the name stands for: an index, or the manifest itself.
    pub root: Digest,
    pub manifest: Digest,
    /// The lowest first, as many as the config has diff_ids.
    pub layers: Vec<Descriptor>,
    pub config: ImageConfig,
}

/// A directory that files are taken from. Links never lead out of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Context {
    /// What errors call it, behind "the context".
    pub title: String,
    pub root: PathBuf,
    /// What is not in it for any step: patterns of `.dockerignore`, in their order.
    pub ignore: Vec<String>,
}

/// One change to a stage's file system, or none.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// For progress and the image's history.
    pub title: String,
    pub work: Work,
    /// The line that asked for it, for errors that show up later.
    pub place: Option<Excerpt>,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq)]
pub enum Work {
    /// Puts files together regardless of what is below them. The order of the adds does not matter: two that put different
    /// things at one path are an error.
    Adds(Vec<Add>),
    /// `COPY` and `ADD`.
    Copy(Copy),
    /// `WORKDIR`: sees to it that a directory is there.
    Directory {
        /// Without a leading slash.
        path: String,
        /// `user[:group]` as in [`Copy::owner`]; those that are made are root's without it.
        owner: Option<String>,
    },
    /// Nothing: it is there for the image's history.
    Nothing,
}

/// Files brought into what a stage has so far, as BuildKit does it.
#[derive(Debug, Clone, PartialEq)]
pub struct Copy {
    pub from: Provider,
    /// In the order in which they were written: where two bring one path, the later wins.
    pub items: Vec<Item>,
    /// Links on the way to it are followed, unless it is a `link`.
    pub to: Destination,
    /// `user[:group]`, by name or number; names are those of the stage's `/etc/passwd` and `/etc/group`. Without it, what
    /// comes from a context is root's, and what comes from an image or a stage keeps its owner.
    pub owner: Option<String>,
    pub mode: Option<Mode>,
    /// Patterns of moby's `.dockerignore` language, relative to what is copied from.
    pub exclude: Vec<String>,
    /// Keep the directories that lead to each source (`--parents`), from the last `/./` in its pattern on.
    pub parents: bool,
    /// Do not look at what is below: directories on the way take the place of links (`--link`).
    pub link: bool,
    /// Whether archives are unpacked: `ADD` does so with files but not with what it downloads, unless it is told.
    pub unpack: Option<bool>,
    /// `ADD`, not `COPY`.
    pub is_add: bool,
}

/// Whose files a [`Copy`](struct@Copy) takes.
#[derive(Debug, Clone, PartialEq)]
pub enum Provider {
    /// By its place among the plan's contexts.
    Context(usize),
    /// By its place among the plan's stages.
    Stage(usize),
    Image(Arc<BaseImage>),
}

/// One source of a [`Copy`](struct@Copy).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// Paths that the provider has, as Go's `filepath.Match` reads it, name by name.
    Pattern(String),
    /// The text of a heredoc, and the name that it has in a directory.
    Text { name: String, content: Arc<str> },
    /// Downloaded over HTTP.
    Url { url: String, checksum: Option<Digest> },
    /// A repository, or a directory of it, at some commit.
    Git { url: GitUrl, keep_git_dir: bool, checksum: Option<String> },
}

/// Files that go into a layer, and how they look there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Add {
    pub source: Source,
    pub to: Destination,
    pub mode: Option<Mode>,
    pub owner: Owner,
    /// Patterns of moby's `.dockerignore` language, relative to each matched directory.
    pub exclude: Vec<String>,
    /// The line that asked for it, for errors that show up later.
    pub place: Option<Excerpt>,
}

/// Where content comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// Files below `root` that `pattern`, a relative glob or plain path, matches. Links never lead out of `root`.
    Context { root: PathBuf, pattern: String },
    /// A path that the user typed: a file or directory anywhere on this machine.
    Path(PathBuf),
}

/// A path in the image: no leading slash, no `.` or `..`, `/` between its parts; empty for the root.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Destination {
    pub path: String,
    /// It was written with a trailing slash (or is the root): sources go into it under their own names.
    pub into: bool,
}

/// Who owns what is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Owner {
    Numbers {
        user: u32,
        group: u32,
    },
    /// As on disk.
    Preserve,
}

/// URLs are encoded without user and password: what they open is known by its digest.
impl Encode for Item {
    fn encode(&self, to: &mut Vec<u8>) {
        match self {
            Item::Pattern(pattern) => encode_members(to, &[&0u8, pattern]),
            Item::Text { name, content } => encode_members(to, &[&1u8, name, content]),
            Item::Url { url, checksum } => encode_members(to, &[&2u8, &url_without_user(url), checksum]),
            Item::Git { url, keep_git_dir, checksum } => encode_members(to, &[&3u8, url, keep_git_dir, checksum]),
        }
    }
}

impl Encode for Destination {
    fn encode(&self, to: &mut Vec<u8>) {
        let Destination { path, into } = self;
        encode_members(to, &[path, into]);
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = if self.into && !self.path.is_empty() { "/" } else { "" };
        write!(f, "/{}{slash}", self.path)
    }
}

/// Finds the image that a name stands for, for one platform.
pub type FindBase<'a> = dyn FnMut(&str, &Platform) -> Result<Arc<BaseImage>> + 'a;

impl Plan {
    /// The adds of all its steps.
    pub fn adds(&self) -> impl Iterator<Item = &Add> {
        let adds = |step| match step {
            &Step { work: Work::Adds(ref adds), .. } => &adds[..],
            _ => &[],
        };
        self.stages.iter().flat_map(|stage| &stage.steps).flat_map(adds)
    }
}

impl Copy {
    /// Without any flag.
    pub fn new(from: Provider, items: Vec<Item>, to: Destination) -> Self {
        Copy {
            from,
            items,
            to,
            owner: None,
            mode: None,
            exclude: Vec::new(),
            parents: false,
            link: false,
            unpack: None,
            is_add: false,
        }
    }
}

impl Owner {
    pub const ROOT: Owner = Owner::Numbers { user: 0, group: 0 };
}
