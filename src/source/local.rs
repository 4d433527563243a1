//! Adds of local files and directories, resolved into the entries of a layer.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::tree::{self, Found};
use crate::error::{Error, Result};
use crate::layer::{Entry, Ignore, Kind, inspect, walk};
use crate::plan::{Add, Owner, Source};

/// The time that entries carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Modified {
    /// All the same, in seconds since the epoch.
    At(i64),
    /// As on disk, in whole seconds.
    Preserve,
}

/// The entries that `adds` make together, sorted by path, with the directories above them.
///
/// A directory's contents go to the destination; a file goes to it, or into it if it was written with a trailing
/// slash. A destination with a slash is there even if nothing goes into it. Two adds may name one path only if they put
/// the same thing there. Directories that no add describes are root's, `rwxr-xr-x`. Files that are one inode on disk,
/// and come out alike, are hard links of the first by path.
pub fn entries(adds: &[Add], modified: Modified) -> Result<Vec<Entry>> {
    let mut found = Vec::new();
    for (number, add) in adds.iter().enumerate() {
        let found = &mut found;
        let keep = |entry| found.push(Found { entry: dressed(entry, add, modified), add: number });
        resolve(add, keep).map_err(|error| tree::at(error, add))?;
    }
    tree::together(found, adds, modified)
}

/// Hands out what one add brings, under its paths in the image and otherwise as on disk.
fn resolve(add: &Add, mut found: impl FnMut(Entry)) -> Result<()> {
    let ignore = Ignore::new(add.exclude.iter().map(String::as_str))?;
    let sources = sources(&add.source)?;
    if sources.len() > 1 && !add.to.into {
        return Err(Error::input(format!("{} sources cannot all become /{}", sources.len(), add.to.path))
            .with_hint(format!("to put them into a directory, write `to = \"/{}/\"`", add.to.path)));
    }
    for (written, disk) in sources {
        let top = inspect(&disk, add.to.path.clone().into_bytes())?;
        if matches!(top.kind, Kind::Directory) {
            for entry in walk(&disk, &ignore)? {
                found(Entry { path: joined(&add.to.path, &entry.path), ..entry });
            }
            // As docker has it: a destination with a slash is a directory of its own, one without becomes the source.
            if !add.to.into {
                found(top);
            }
            continue;
        }
        let name = written.file_name().map(|name| name.as_bytes().to_vec()).unwrap_or_default();
        if !ignore.matches(&name) {
            let path = if add.to.into { joined(&add.to.path, &name) } else { top.path.clone() };
            found(Entry { path, ..top });
        }
    }
    Ok(())
}

/// An entry with the mode, owner and time that it is to have.
fn dressed(mut entry: Entry, add: &Add, modified: Modified) -> Entry {
    if let Modified::At(time) = modified {
        entry.modified = time;
    }
    if let Owner::Numbers { user, group } = add.owner {
        (entry.user, entry.group) = (user, group);
    }
    if let Some(mode) = &add.mode
        && !matches!(entry.kind, Kind::Symlink { .. })
    {
        entry.mode = mode.apply(entry.mode, matches!(entry.kind, Kind::Directory));
    }
    entry
}

/// The files and directories that a source names, sorted: as written and with links resolved. A link that is itself
/// named is followed, as docker follows it; those met further down are not.
fn sources(source: &Source) -> Result<Vec<(PathBuf, PathBuf)>> {
    let real = |path: &Path| fs::canonicalize(path).map_err(|source| Error::io("read", path, source));
    let (root, pattern) = match source {
        Source::Path(path) => return Ok(vec![(path.clone(), real(path)?)]),
        Source::Context { root, pattern } => (root, pattern),
    };
    let context = real(root)?;
    let mut all = Vec::new();
    for path in expand(root, pattern)? {
        let target = real(&path)?;
        if !target.starts_with(&context) {
            return Err(Error::input(format!("{} leads out of the context to {}", path.display(), target.display()))
                .with_hint("copy what is needed into the context, or name its place with --add"));
        }
        all.push((path, target));
    }
    all.sort();
    Ok(all)
}

fn expand(root: &Path, pattern: &str) -> Result<Vec<PathBuf>> {
    let missing = |message: String| {
        Error::not_found(message).with_hint("`from` is relative to the context; is it built, and not misspelt?")
    };
    if !pattern.contains(['*', '?', '[']) {
        let path = root.join(pattern);
        return match fs::symlink_metadata(&path) {
            Ok(_) => Ok(vec![path]),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(missing(format!("there is no `{pattern}` in {}", root.display())))
            }
            Err(source) => Err(Error::io("read", path, source)),
        };
    }
    let text = root.to_str().ok_or_else(|| {
        Error::input(format!("the context's path {} is not UTF-8, so no pattern works in it", root.display()))
    })?;
    let options = glob::MatchOptions { require_literal_separator: true, ..Default::default() };
    let matches = glob::glob_with(&format!("{}/{pattern}", glob::Pattern::escape(text)), options)
        .map_err(|error| Error::input(format!("`{pattern}` is not a pattern: {}", error.msg)))?;
    let paths: Vec<PathBuf> = matches
        .map(|path| {
            path.map_err(|error| {
                let directory = error.path().to_owned();
                Error::io("list", directory, error.into())
            })
        })
        .collect::<Result<_>>()?;
    if paths.is_empty() {
        return Err(missing(format!("nothing in {} matches `{pattern}`", root.display())));
    }
    Ok(paths)
}

fn joined(directory: &str, path: &[u8]) -> Vec<u8> {
    if directory.is_empty() { path.to_vec() } else { [directory.as_bytes(), b"/", path].concat() }
}
