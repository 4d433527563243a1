//! The flags that tell a build what to do, beside the context.

use std::path::PathBuf;

use clap::Args;

use super::value::{flag, on_or_off, value};
use crate::error::{Error, Result};
use crate::oci::Map;
use crate::plan::{ContextPlace, NamedContext};
use crate::source::image::Location;

/// The image of nothing.
pub const SCRATCH: &str = "scratch";

/// The flags that tell a build what to do, beside the context.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct RecipeFlags {
    /// Dockerfile, or spec (*.toml), to build from; - is standard input [default: CONTEXT/ocibake.toml, CONTEXT/Dockerfile]
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Stage of the Dockerfile to build [default: the last]
    #[arg(long, value_name = "STAGE")]
    pub target: Option<String>,
    /// Give an ARG of the Dockerfile a value; without one, that of the environment variable of this name
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub build_arg: Vec<String>,
    /// Fill each ARG without a value from the tag or from git, if its name asks for one
    ///
    /// VERSION is that of the tag; COMMIT, GIT_SHA, REVISION, VCS_REF and the like are the commit, BUILD_DATE, CREATED and the
    /// like its time, VCS_URL the repository, GIT_BRANCH the branch. `push` does so by itself where the tag is a version.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", value_parser = on_or_off)]
    pub git_args: Option<bool>,
    /// Place that NAME means in a Dockerfile: a directory, docker-image://REF, oci-layout://DIR[:TAG], a git or an http URL
    #[arg(long, value_name = "NAME=PLACE", value_parser = value::<NamedContext>)]
    pub build_context: Vec<NamedContext>,
    /// Where a context has both, its Dockerfile is taken, as docker does who knows no other.
    #[arg(skip)]
    pub prefers_dockerfile: bool,
}

impl RecipeFlags {
    /// Returns the images of `--build-context`, by the names that they take the place of.
    pub fn images(&self) -> Map<Location> {
        let image = |named: &NamedContext| {
            let location = match &named.place {
                ContextPlace::Image(name) if name != SCRATCH => Location::Registry(name.parse().ok()?),
                ContextPlace::Layout { path, name } => Location::Layout(path.clone(), name.clone()),
                _ => return None,
            };
            Some((named.name.clone(), location))
        };
        self.build_context.iter().filter_map(image).collect()
    }

    /// Returns whether `.git` stays in a context that is a repository. Fails where [`arguments`](Self::arguments) does.
    pub fn keeps_git_dir(&self) -> Result<bool> {
        Ok(self
            .arguments()?
            .get("BUILDKIT_CONTEXT_KEEP_GIT_DIR")
            .is_some_and(|value| matches!(value.as_str(), "1" | "true")))
    }

    /// Returns the values of `--build-arg`, those that are not given taken from the environment; a variable that is not
    /// set gives none. Fails for a value without a name.
    pub fn arguments(&self) -> Result<Map<String>> {
        let mut arguments = Map::new();
        for text in &self.build_arg {
            let (name, value) = match text.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (text.as_str(), std::env::var_os(text).map(|value| value.to_string_lossy().into_owned())),
            };
            if name.is_empty() {
                let error = Error::input(format!("`{text}` has no name")).with_hint("write it as in VERSION=1.2");
                return Err(flag("build-arg")(error));
            }
            if let Some(value) = value {
                arguments.insert(name.to_owned(), value);
            }
        }
        Ok(arguments)
    }
}
