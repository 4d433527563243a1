//! What an `ocibake.toml` says of each of several images.

use super::Spec;
use super::groups::ImageGroup;
use crate::error::Excerpt;
use crate::oci::{Map, Platform};
use crate::plan::About;

/// The images of an `ocibake.toml` that has several, in their order.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageTables {
    /// The images.
    pub images: Vec<ImageTable>,
    /// Names for several of them.
    pub groups: Vec<ImageGroup>,
}

/// One image of several: what its table says, over what stands at the top of the file for all.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageTable {
    /// The name of the table.
    pub name: String,
    /// Where that stands.
    pub place: Excerpt,
    /// `tags`, as they were written: names of the image, with or without a tag.
    pub tags: Vec<String>,
    /// `context`; the file's own directory if there is none.
    pub context: Option<String>,
    /// The other images that it takes from, and where that is said.
    pub links: Map<Excerpt>,
    /// What it is made of.
    pub recipe: TableRecipe,
}

/// What an image is made of.
#[derive(Debug, Clone, PartialEq)]
pub enum TableRecipe {
    /// Of layers, as in a file with one image.
    Layers(Box<Spec>),
    /// Of a Dockerfile.
    Dockerfile(Box<DockerfileTable>),
}

/// What a build of a Dockerfile is asked for. Texts are checked, and kept as flags of a build have them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DockerfileTable {
    /// `dockerfile`, relative to the context.
    pub dockerfile: Option<String>,
    /// `dockerfile-inline`: what it says.
    pub dockerfile_inline: Option<String>,
    /// `target`: the stage.
    pub target: Option<String>,
    /// `args`.
    pub args: Map<String>,
    /// `contexts` by their names: places as `--build-context` has them, and `target:NAME` for another image.
    pub contexts: Map<String>,
    /// `platforms`.
    pub platforms: Vec<Platform>,
    /// `index`.
    pub index: Option<bool>,
    /// The facts that become standard labels and annotations.
    pub about: About,
    /// `labels`.
    pub labels: Map<String>,
    /// `annotations`.
    pub annotations: Map<String>,
    /// `secret`.
    pub secrets: Vec<String>,
    /// `ssh`.
    pub ssh: Vec<String>,
    /// `cache-from`.
    pub cache_from: Vec<String>,
    /// `network`.
    pub network: Option<String>,
    /// `no-cache`.
    pub no_cache: Option<bool>,
    /// `no-cache-filter`.
    pub no_cache_filter: Vec<String>,
    /// `pull`.
    pub pull: Option<bool>,
    /// `shm-size`.
    pub shm_size: Option<String>,
    /// `ulimits`.
    pub ulimits: Vec<String>,
    /// `extra-hosts`: addresses by names.
    pub extra_hosts: Map<String>,
    /// `entitlements`.
    pub entitlements: Vec<String>,
}
