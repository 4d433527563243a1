//! Paths in a file tree: names with a slash between them, and none before the first. What they are made of, how long they may
//! be, and how deep and through how many links they may lead.

use crate::error::{Error, Result};

/// Longer paths no program could open (Linux' `PATH_MAX`, less the terminator), in bytes.
pub const LONGEST_PATH: usize = 4095;

/// Longer names no file system of Linux has (`NAME_MAX`), in bytes.
pub const LONGEST_NAME: usize = 255;

/// A path that a Dockerfile or a spec writes down, or that a layer has, leads to directories no deeper in one another
/// than this: no real tree comes near it, and some programs, Rust's own library among them, have a file open for every
/// level when they remove one.
pub const DEEPEST: usize = 256;

/// Links that lead to links are followed this far, as far as Linux does it.
pub const LINKS_LIMIT: usize = 40;

/// How much of a path an error shows, in characters.
const SHOWN: usize = 40;

/// Returns the names in `path`, without those that are empty.
pub fn names(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/').filter(|name| !name.is_empty())
}

/// Returns the path of `name`, or of a path, in `directory`.
pub fn joined(directory: &[u8], name: &[u8]) -> Vec<u8> {
    match (directory, name) {
        (b"", name) => name.to_vec(),
        (directory, b"") => directory.to_vec(),
        (directory, name) => [directory, b"/", name].concat(),
    }
}

/// Returns the directory that `path` is in, which is empty for what is in the root, and its last name, which is empty for the
/// root.
pub fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

/// Returns the directory that `path` is in; none for the root.
pub fn parent(path: &[u8]) -> Option<&[u8]> {
    (!path.is_empty()).then(|| split(path).0)
}

/// Returns `path` as seen from the directory `from`, empty for that itself; none if it does not lie there.
pub fn relative<'p>(path: &'p [u8], from: &[u8]) -> Option<&'p [u8]> {
    match path.strip_prefix(from)? {
        rest if rest.is_empty() || from.is_empty() => Some(rest),
        rest => rest.strip_prefix(b"/"),
    }
}

/// Refuses a path, without a leading slash, that is longer than [`LONGEST_PATH`] or has a name longer than [`LONGEST_NAME`].
pub fn check(path: &[u8]) -> Result<()> {
    let shown = || shortened(&String::from_utf8_lossy(path));
    if path.len() > LONGEST_PATH {
        let message = format!("the path /{} has {} bytes, more than the limit of {LONGEST_PATH}", shown(), path.len());
        return Err(Error::input(message).with_hint("no system opens a longer path (PATH_MAX)"));
    }
    for name in names(path) {
        if name.len() > LONGEST_NAME {
            let (name, length) = (shortened(&String::from_utf8_lossy(name)), name.len());
            let message =
                format!("the name {name} in a path has {length} bytes, more than the limit of {LONGEST_NAME}");
            return Err(Error::input(message).with_hint("no file system of Linux has longer names (NAME_MAX)"));
        }
    }
    Ok(())
}

/// Refuses what [`check`] refuses, and a path that leads deeper than [`DEEPEST`]: for what is written down, where short lines
/// add up.
pub fn check_written(path: &[u8]) -> Result<()> {
    check(path)?;
    let depth = path.split(|byte| *byte == b'/').count();
    if depth > DEEPEST {
        let shown = shortened(&String::from_utf8_lossy(path));
        let message = format!("the path /{shown} is {depth} names deep, more than the limit of {DEEPEST}");
        return Err(Error::input(message));
    }
    Ok(())
}

/// Returns the start of `text`, so that an error can be read.
pub fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}\u{2026}", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_apart_and_put_together() {
        for (path, directory, name) in [("", "", ""), ("a", "", "a"), ("a/b", "a", "b"), ("a/b/c", "a/b", "c")] {
            let (path, directory, name) = (path.as_bytes(), directory.as_bytes(), name.as_bytes());
            assert_eq!(split(path), (directory, name));
            assert_eq!(joined(directory, name), path);
            assert_eq!(parent(path), (!path.is_empty()).then_some(directory));
            assert_eq!(relative(path, directory), Some(name));
            assert_eq!(relative(path, path), Some(&b""[..]));
        }
        assert_eq!(names(b"/a//b/").collect::<Vec<_>>(), [b"a", b"b"]);
        assert_eq!(relative(b"ab/c", b"a"), None);
        assert_eq!(relative(b"a", b"a/b"), None);
    }

    #[test]
    fn paths_are_refused_beyond_what_systems_open() {
        let message = |path: &str| check_written(path.as_bytes()).map_err(|error| error.message);
        let name = "n".repeat(LONGEST_NAME);
        let deep = |count: usize| vec!["d"; count].join("/");
        assert!(check(deep(DEEPEST + 1).as_bytes()).is_ok(), "directories of a disk may lie deeper");
        assert_eq!(message(""), Ok(()));
        assert_eq!(message(&name), Ok(()));
        assert_eq!(message(&deep(DEEPEST)), Ok(()));
        assert_eq!(message(&[&name[..]; 15].join("/")), Ok(()));
        assert_eq!(message(&[[&name[..]; 15].join("/"), name.clone()].join("/")), Ok(()), "4095 bytes");
        let long = [[&name[..]; 15].join("/"), "n".repeat(254), "n".to_owned()].join("/");
        assert_eq!(
            message(&long).unwrap_err(),
            format!("the path /{}\u{2026} has 4096 bytes, more than the limit of 4095", "n".repeat(40))
        );
        assert_eq!(
            message(&format!("a/{name}n")).unwrap_err(),
            format!("the name {}\u{2026} in a path has 256 bytes, more than the limit of 255", "n".repeat(40))
        );
        assert_eq!(
            message(&deep(257)).unwrap_err(),
            format!("the path /{}\u{2026} is 257 names deep, more than the limit of 256", "d/".repeat(20))
        );
    }
}
