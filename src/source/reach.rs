//! Whether an add takes in a path of this machine.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::plan::{Add, Source};
use crate::tree::{Ignore, Pattern};

/// Returns whether `add`, of a plan whose contexts lie at `contexts`, takes what is at `path` now into the image, alone or in a directory, by the names on the way
/// to it. What is not there, and what the build will refuse, is not taken.
pub fn reaches(add: &Add, contexts: &[PathBuf], path: &Path) -> bool {
    let (root, pattern) = match &add.source {
        // The context itself is the empty path below it.
        Source::Context { context, pattern } => match contexts.get(*context) {
            Some(root) => (root, if pattern == "." { "" } else { pattern }),
            None => return false,
        },
        Source::Path(path) => (path, ""),
    };
    let (Ok(path), Ok(root)) = (path.canonicalize(), root.canonicalize()) else { return false };
    let (Ok(below), Ok(pattern)) = (path.strip_prefix(root), pattern.parse::<Pattern>()) else {
        return false;
    };
    let Ok(ignore) = Ignore::new(add.exclude.iter().map(String::as_str)) else { return false };
    below.ancestors().filter(|source| pattern.matches(source.as_os_str().as_bytes())).any(|source| {
        let within = below.strip_prefix(source).ok().filter(|within| !within.as_os_str().is_empty());
        // A file that is itself named is excluded by its name.
        let name = within.map(Path::as_os_str).or(path.file_name()).unwrap_or_default();
        !ignore.matches(name.as_bytes())
    })
}
