use std::path::PathBuf;

use crate::error::Result;
use crate::plan::{Checkout, GitUrl};
use crate::store::LocalStore;
use crate::store::pending::PendingDirectory;

/// The files of one commit.
#[derive(Debug)]
pub struct Fetched {
    /// The repository's root, or the directory in it that was asked for. It goes with this value.
    pub root: PathBuf,
    pub checkout: Checkout,
    _directory: PendingDirectory,
}

/// Brings the files of the commit that `url` names into a directory of the store. `.git` is left out unless the URL or
/// `keep_git_dir` asks for it, which only the whole repository can have. `checksum`, or that of the URL, is what the commit
/// (or an annotated tag) must begin with. Submodules are fetched unless the URL says no.
pub fn fetch(url: &GitUrl, keep_git_dir: bool, checksum: Option<&str>, store: &LocalStore) -> Result<Fetched> {
    let _ = (url, keep_git_dir, checksum, store);
    todo!()
}
