//! Whether what is added or copied takes in a path of this machine.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::plan::{Add, Context, Copy, CopyItem, Provider, Source};
use crate::tree::pattern::from_root;
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
    takes(root, pattern, &add.exclude, path)
}

/// Returns the same of `copy`, of a plan with these `contexts`, which lie at `roots`.
pub fn copy_reaches(copy: &Copy, contexts: &[Context], roots: &[PathBuf], path: &Path) -> bool {
    let Provider::Context(number) = copy.from else { return false };
    let Some((context, root)) = contexts.get(number).zip(roots.get(number)) else { return false };
    let (Ok(real), Ok(real_root)) = (path.canonicalize(), root.canonicalize()) else { return false };
    let Ok(below) = real.strip_prefix(real_root) else { return false };
    let is_left_out = Ignore::new(context.ignore.iter().map(String::as_str))
        .is_ok_and(|ignore| ignore.matches(below.as_os_str().as_bytes()));
    !is_left_out
        && copy.items.iter().any(|item| match item {
            CopyItem::Pattern(pattern) => takes(root, &from_root(pattern), &copy.exclude, path),
            CopyItem::Text { .. } | CopyItem::Url { .. } | CopyItem::Git { .. } => false,
        })
}

/// Returns whether what `pattern` matches below `root` takes in `path`, but for what `exclude` leaves out.
fn takes(root: &Path, pattern: &str, exclude: &[String], path: &Path) -> bool {
    let (Ok(path), Ok(root)) = (path.canonicalize(), root.canonicalize()) else { return false };
    let (Ok(below), Ok(pattern)) = (path.strip_prefix(root), pattern.parse::<Pattern>()) else {
        return false;
    };
    let Ok(ignore) = Ignore::new(exclude.iter().map(String::as_str)) else { return false };
    below.ancestors().filter(|source| pattern.matches(source.as_os_str().as_bytes())).any(|source| {
        let within = below.strip_prefix(source).ok().filter(|within| !within.as_os_str().is_empty());
        // A file that is itself named is excluded by its name.
        let name = within.map(Path::as_os_str).or(path.file_name()).unwrap_or_default();
        !ignore.matches(name.as_bytes())
    })
}
