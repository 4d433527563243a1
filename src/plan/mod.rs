//! What is to be built, as plain data. A front end (`ocibake.toml`, a Dockerfile, the command line) produces a [`Plan`] and
//! nothing else; nothing here touches a file system, a network or the environment.

mod add;
pub mod annotation;
mod branch;
pub mod bake;
pub mod compose;
mod index_annotations;
mod inherit;
pub mod dockerfile;
pub mod dockerignore;
mod git_arguments;
mod git_url;
pub mod hcl;
mod http_url;
pub mod join;
pub mod label;
pub mod mention;
mod limit;
mod link;
mod lock;
mod named_context;
pub mod quantity;
mod run;
mod run_settings;
pub mod secret;
pub mod setting;
pub mod shared;
mod spec;
mod table;
pub(crate) mod template;
pub mod version;

pub use branch::{Branch, branch_tag};
pub use git_url::GitUrl;
pub(crate) use git_url::user_information;
pub use http_url::{is_http, shown_url, url_without_user};
pub use inherit::{BASE_DIGEST, BASE_NAME};
pub use label::{About, Automatic, Checkout};
pub use limit::ResourceLimit;
pub use link::{LinkedImage, LinkedTarget};
pub use lock::BaseLock;
pub use named_context::{ContextPlace, NamedContext, context_name};
pub use run::{CacheSharing, Run, RunFile, RunMount, RunMountKind, RunNetwork, RunSecurity, SecretVariable};
pub use run_settings::{Entitlement, HostEntry, Isolation, RunSettings, proxy_variables};
pub use secret::{DEFAULT_AGENT, NamedAgent, NamedSecret, SecretSource};
pub use setting::put_variable;
pub use spec::{
    AddOrigin, AddSpec, DockerfileTable, ImageGroup, ImageTable, ImageTables, LayerSpec, Libc, Spec, SpecBase,
    TableRecipe, base,
};

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::{Excerpt, Result};
use crate::oci::{Descriptor, Digest, Encode, ImageConfig, Map, Platform, Settings};
use crate::tree::Mode;

/// One build: plain data, which holds no path of a disk that anybody has looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The stages, each behind those that it takes from. Equal steps of different stages are done once, whatever target they
    /// are for.
    pub stages: Vec<Stage>,
    /// The contexts, which stages take files from by their place here. Whoever builds says where each lies.
    pub contexts: Vec<Context>,
    /// The images to make of the stages, one for each name; the digests come back in this order.
    pub targets: Vec<Target>,
}

/// What one image name stands for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Target {
    /// The name of the target, where several are built; none where it is the only one.
    pub name: Option<Arc<str>>,
    /// The time of its images and of their history, in seconds since 1970.
    pub created: i64,
    /// The stages that become its images, by their place among the plan's: one for each wanted platform, in the order in which
    /// the platforms were asked for.
    pub images: Vec<usize>,
    /// Write an index even for a single platform.
    pub index: bool,
    /// The annotations of every manifest and of the index; already complete.
    pub annotations: Map<String>,
    /// The annotations of some of them.
    pub placed_annotations: annotation::PlacedAnnotations,
    /// Its images say which steps they came about by, for builds elsewhere to take.
    pub tells_steps: bool,
}

/// The making of one file system, and of the settings that go with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// The name of the stage in progress.
    pub title: String,
    /// The name of the target that it is for, where several are built.
    pub target: Option<Arc<str>>,
    /// What its commands are given, beside what they say themselves.
    pub run: Arc<RunSettings>,
    /// The platform that its steps run for and its configuration names.
    pub platform: Platform,
    /// The image or the stage below its first step.
    pub base: Base,
    /// The steps, each of which becomes one layer or none, the lowest first. Equal steps of different stages are done
    /// once.
    pub steps: Vec<Step>,
    /// The settings of the image in full: those of the base are among them, and all labels.
    pub settings: Settings,
    /// The author of the image, as `MAINTAINER` names it.
    pub author: Option<String>,
    /// The annotations of its manifest, beside those of its target.
    pub annotations: Map<String>,
}

/// The image or the stage that the first layer stands on.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Base {
    /// Nothing: an empty root.
    #[default]
    Scratch,
    /// An image that was found and pinned.
    Image(Arc<BaseImage>),
    /// A stage by its place among the plan's.
    Stage(usize),
    /// The image of another target, which has a plan of its own: [`join`](mod@join) puts its stage here. The stage that stands on
    /// it has its settings, and no steps.
    Target(LinkedImage),
}

/// An image for one platform that exists already: found, and pinned by its digest.
#[derive(Debug, Clone, PartialEq)]
pub struct BaseImage {
    /// A registry's in full, as in `docker.io/library/debian:13`; that of another place as it was written.
    pub name: String,
    /// The digest that the name stands for: of an index, or of the manifest itself.
    pub root: Digest,
    /// The digest of the manifest for the platform; equal to `root` if that is not an index.
    pub manifest: Digest,
    /// The lowest first, as many as the config has diff_ids.
    pub layers: Vec<Descriptor>,
    /// The configuration of that manifest, as read.
    pub config: ImageConfig,
}

/// A directory that files are taken from, wherever it lies. Links never lead out of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Context {
    /// The name of the context in errors, behind "the context".
    pub title: String,
    /// The patterns of `.dockerignore`, in their order: what they match is not there for any step.
    pub ignore: Vec<String>,
}

/// One change to a stage's file system, or none.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The name of the step in progress and, unless another is given, in the image's history.
    pub title: String,
    /// The line of the image's history.
    pub created_by: Option<String>,
    /// The change to the file system.
    pub work: Work,
    /// The line that asked for it, for errors that show up later.
    pub place: Option<Excerpt>,
}

/// The work of a step.
#[derive(Debug, Clone, PartialEq)]
pub enum Work {
    /// Puts files together regardless of what is below them. The order of the adds does not matter: two that put different
    /// things at one path are an error.
    Adds(Vec<Add>),
    /// `COPY` and `ADD`.
    Copy(Copy),
    /// `WORKDIR`.
    Directory(Directory),
    /// `RUN`.
    Run(Run),
    /// No work: the step is there for the image's history.
    Nothing,
}

/// Sees to it that a directory is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// Without a leading slash.
    pub path: String,
    /// `user[:group]` as in [`Copy::owner`]; those that are made are root's without it.
    pub owner: Option<String>,
}

/// Files brought into what a stage has so far, as BuildKit does it.
#[derive(Debug, Clone, PartialEq)]
pub struct Copy {
    /// The owner of the files.
    pub from: Provider,
    /// The items in the order in which they were written: where two bring one path, the later wins.
    pub items: Vec<CopyItem>,
    /// Links on the way to it are followed, unless it is a `link`.
    pub to: ImagePath,
    /// `user[:group]`, by name or number; names are those of the stage's `/etc/passwd` and `/etc/group`. Without it, what
    /// comes from a context is root's, and what comes from an image or a stage keeps its owner.
    pub owner: Option<String>,
    /// The change of permissions for all that is copied; without it, everything keeps its own.
    pub mode: Option<Mode>,
    /// Patterns of moby's `.dockerignore` language, relative to what is copied from.
    pub exclude: Vec<String>,
    /// Keep the directories that lead to each source (`--parents`), from the first `/./` in its pattern on.
    pub parents: bool,
    /// Do not look at what is below: directories on the way take the place of links (`--link`).
    pub link: bool,
    /// Whether archives are unpacked; if it is not said, `ADD` does so with files but not with what it downloads.
    pub unpack: Option<bool>,
    /// `ADD`, not `COPY`.
    pub is_add: bool,
}

/// The owner of the files that a [`Copy`](struct@Copy) takes.
#[derive(Debug, Clone, PartialEq)]
pub enum Provider {
    /// A context by its place among the plan's.
    Context(usize),
    /// A stage by its place among the plan's.
    Stage(usize),
    /// An image that was found and pinned, which need not be the base of any stage.
    Image(Arc<BaseImage>),
}

/// One source of a [`Copy`](struct@Copy).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopyItem {
    /// Paths that the provider has, as Go's `filepath.Match` reads it, name by name.
    Pattern(String),
    /// The text of a heredoc.
    Text {
        /// The name that it has in a directory.
        name: String,
        /// The text, with variables expanded.
        content: Arc<str>,
    },
    /// Downloaded over HTTP.
    Url {
        /// The URL as it was written; it may hold a user and a password.
        url: String,
        /// The digest that the file must have; the download verifies it.
        checksum: Option<Digest>,
    },
    /// A repository, or a directory of it, at some commit.
    Git {
        /// The repository, the reference and the directory.
        url: GitUrl,
        /// The directory `.git` is copied, too.
        keep_git_dir: bool,
        /// The commit or its beginning, in hexadecimal; the fetch verifies it.
        checksum: Option<String>,
    },
}

/// Files that go into a layer, and how they look there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Add {
    /// The place of the files, and which of them are meant.
    pub source: Source,
    /// The place in the image of the source itself or, with [`ImagePath::into`], of the directory that it goes into.
    pub to: ImagePath,
    /// The change of permissions for all files and directories; without it, everything keeps its own.
    pub mode: Option<Mode>,
    /// The owner of all that is added.
    pub owner: Owner,
    /// Patterns of moby's `.dockerignore` language, relative to each matched directory.
    pub exclude: Vec<String>,
    /// The line that asked for it, for errors that show up later.
    pub place: Option<Excerpt>,
}

/// The place that content comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// Files of a context.
    Context {
        /// The place of the context among the plan's.
        context: usize,
        /// A relative glob or plain path; the files that it matches are meant.
        pattern: String,
    },
    /// A path that the user typed: a file or directory anywhere on this machine.
    Path(PathBuf),
}

/// A path in the image: no leading slash, no `.` or `..`, `/` between its parts; empty for the root.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ImagePath {
    /// The names with a slash between them.
    pub path: String,
    /// It was written with a trailing slash (or is the root): sources go into it under their own names.
    pub into: bool,
}

/// The owner of what is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Owner {
    /// A user and a group, for everything.
    Numbers {
        /// The user ID.
        user: u32,
        /// The group ID.
        group: u32,
    },
    /// The owner that a file has on disk.
    Preserve,
}

/// URLs are encoded without user and password: what they open is known by its digest.
impl Encode for CopyItem {
    fn encode(&self, to: &mut Vec<u8>) {
        match self {
            CopyItem::Pattern(pattern) => (0u8, pattern).encode(to),
            CopyItem::Text { name, content } => (1u8, name, content).encode(to),
            CopyItem::Url { url, checksum } => (2u8, &url_without_user(url), checksum).encode(to),
            CopyItem::Git { url, keep_git_dir, checksum } => (3u8, url, keep_git_dir, checksum).encode(to),
        }
    }
}

impl Encode for ImagePath {
    fn encode(&self, to: &mut Vec<u8>) {
        let ImagePath { path, into } = self;
        (path, into).encode(to);
    }
}

impl fmt::Display for ImagePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = if self.into && !self.path.is_empty() { "/" } else { "" };
        write!(f, "/{}{slash}", self.path)
    }
}

/// Finds the image that a name stands for, for one platform.
pub type FindBase<'a> = dyn FnMut(&str, &Platform) -> Result<Arc<BaseImage>> + 'a;

impl Plan {
    /// Returns whether it has a command to be run.
    pub fn has_commands(&self) -> bool {
        self.stages.iter().flat_map(|stage| &stage.steps).any(|step| matches!(step.work, Work::Run(_)))
    }

    /// Gives all its commands `run`, and its images the time `created`.
    pub fn settle(&mut self, run: &Arc<RunSettings>, created: i64) {
        self.stages.iter_mut().for_each(|stage| stage.run = run.clone());
        self.targets.iter_mut().for_each(|target| target.created = created);
    }

    /// Returns the adds of all its steps.
    pub fn adds(&self) -> impl Iterator<Item = &Add> {
        let adds = |step| match step {
            &Step { work: Work::Adds(ref adds), .. } => &adds[..],
            _ => &[],
        };
        self.stages.iter().flat_map(|stage| &stage.steps).flat_map(adds)
    }
}

impl Copy {
    /// Returns a copy without any flag.
    pub fn new(from: Provider, items: Vec<CopyItem>, to: ImagePath) -> Self {
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
    /// User and group 0.
    pub const ROOT: Owner = Owner::Numbers { user: 0, group: 0 };
}
