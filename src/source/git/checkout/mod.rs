//! What the git checkout around a context says of itself. Its files are read here, and git is not asked: a configuration
//! that came with them, as in an archive, would have git run programs.

mod blob;
mod index;
mod inflate;
mod object;
mod object_id;
mod pack;
mod repository;
mod tree;
mod work_tree;

use std::path::Path;

use self::object::Objects;
use self::repository::GitRepository;
use crate::error::{Error, Result};
use crate::plan::Branch;
use crate::plan::label::{self, Checkout};

/// Returns the facts of the checkout that `directory` is in: none if it is in none, or in one without a commit. Fails
/// if there is one and it cannot be read.
///
/// The checkout's configuration is believed about its remote, its format and its file system alone; no other
/// configuration, attribute or environment is read. Objects that replace others do not count.
pub fn checkout(directory: &Path) -> Result<Option<Checkout>> {
    let directory = directory.canonicalize().map_err(|source| Error::io("read", directory, source))?;
    let Some(repository) = GitRepository::around(&directory)? else { return Ok(None) };
    let Some((head, branch)) = repository.head()? else { return Ok(None) };
    let commit = Objects::of(&repository)?.commit(head)?;
    let revision = head.to_string();
    let default_branch = repository.default_branch()?;
    let branch = branch.map(|name| Branch::of(name, &revision, default_branch.as_deref()));
    Ok(Some(Checkout {
        source: repository.config.get("remote.origin.url").and_then(label::source),
        dirty: work_tree::is_dirty(&repository, commit.tree)?,
        commit_time: Some(commit.time),
        branch,
        default_branch,
        revision,
    }))
}

/// Finds out whether the repository that `directory` is in is to be believed, before this process goes to where it cannot
/// tell one user from another.
pub fn believe(directory: &Path) {
    if let Ok(directory) = directory.canonicalize() {
        repository::believe(&directory);
    }
}
