//! What is to be built, as plain data. A front end (today `ocibake.toml` and the command line) produces a [`Plan`] and
//! nothing else; nothing here touches a file system, a network or the environment.

mod add;
pub mod label;
mod mode;
mod pattern;
pub mod ratchet;
pub mod record;
pub mod setting;
mod spec;
pub mod tag;
mod template;

pub use label::{About, Automatic, Checkout};
pub use mode::Mode;
pub use pattern::Pattern;
pub use spec::{AddSpec, LayerSpec, Libc, Origin, Spec};

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::error::{Error, Excerpt, Result};
use crate::oci::{Map, Platform, Settings};

/// One build: a stage for each wanted platform, in the order in which the platforms were asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub stages: Vec<Stage>,
    /// Write an index even for a single platform.
    pub index: bool,
    /// For the config of every image; already complete (see [`label`]).
    pub labels: Map<String>,
    /// For every manifest and the index; already complete.
    pub annotations: Map<String>,
}

/// The making of one image.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    pub platform: Platform,
    pub base: Base,
    /// Each becomes one layer, the lowest first. Equal steps of different stages are done once.
    pub steps: Vec<Step>,
    pub settings: Settings,
}

/// What the first layer stands on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Base {
    #[default]
    Scratch,
}

/// Adds that make up one layer. Their order does not matter: two that put different things at one path are an error.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Step {
    /// For progress and the image's history.
    pub title: String,
    pub adds: Vec<Add>,
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
        user: u64,
        group: u64,
    },
    /// As on disk.
    Preserve,
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = if self.into && !self.path.is_empty() { "/" } else { "" };
        write!(f, "/{}{slash}", self.path)
    }
}

impl FromStr for Base {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "scratch" => Ok(Base::Scratch),
            other => Err(Error::input(format!("the base `{other}` is not scratch"))
                .with_hint("bases other than scratch cannot be built on yet")),
        }
    }
}

impl Owner {
    pub const ROOT: Owner = Owner::Numbers { user: 0, group: 0 };
}
