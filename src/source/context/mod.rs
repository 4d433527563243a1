//! Build contexts, as `docker build` takes them: wherever they are, they become a directory.

mod dockerfile;

use std::io::Read;
use std::path::PathBuf;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::plan::{Checkout, ContextPlace, GitUrl};
use crate::progress::Progress;
use crate::registry::OnDemand;
use crate::store::LocalStore;
use crate::store::pending::PendingDirectory;

pub use dockerfile::{Dockerfile, Named};

/// Where the context of a build is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// `-`: a tar, or the text of a Dockerfile.
    StandardInput,
    Directory(PathBuf),
    /// A tar on this machine.
    Archive(PathBuf),
    /// A tar, or the text of a Dockerfile.
    Http(String),
    Git(GitUrl),
}

/// What opening a context may need.
pub struct Access<'a> {
    pub store: &'a LocalStore,
    pub client: &'a OnDemand,
    pub progress: Progress<'a>,
    /// Leave `.git` in a git context (`BUILDKIT_CONTEXT_KEEP_GIT_DIR`).
    pub keep_git_dir: bool,
}

/// A context as a directory. If it was brought here for the build, it goes with this value.
#[derive(Debug)]
pub struct OpenContext {
    pub root: PathBuf,
    /// It came as no more than a Dockerfile's text.
    pub dockerfile: Option<Text>,
    /// The commit that it is, for one from a git repository.
    pub checkout: Option<Checkout>,
    /// It is a directory of the user's, to which `.dockerignore` applies; BuildKit leaves whatever else it unpacks whole.
    pub is_local: bool,
    _directory: Option<PendingDirectory>,
}

/// What somebody wrote, and what errors call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    pub name: String,
    pub text: String,
}

impl FromStr for Location {
    type Err = Error;

    /// A directory that is there goes before a URL.
    fn from_str(text: &str) -> Result<Self> {
        let _ = text;
        todo!()
    }
}

impl Location {
    /// `input` is read for [`StandardInput`](Location::StandardInput) alone.
    pub fn open(&self, access: &Access<'_>, input: &mut dyn Read) -> Result<OpenContext> {
        let _ = (access, input);
        todo!()
    }
}

impl OpenContext {
    /// The context behind a name of `--build-context`; none if that is an image ([`ContextPlace::Image`],
    /// [`ContextPlace::Layout`]). To one that is local its own `.dockerignore` applies: see [`Dockerfile::ignore`].
    pub fn named(place: &ContextPlace, access: &Access<'_>) -> Result<Option<OpenContext>> {
        let _ = (place, access);
        todo!()
    }
}
