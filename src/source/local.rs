//! Adds of local files and directories, resolved into the entries of a layer.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::tree::{self, Found};
pub use super::tree::{Added, Role};
use crate::error::{Error, Result};
use crate::layer::{Entry, Ignore, Kind, inspect, walk};
use crate::oci::Encode;
use crate::plan::{Add, Owner, Pattern, Source};

/// The time that the files of layers carry unless another is asked for: 1980-01-01T00:00:00Z in seconds since the epoch, the
/// first that a zip archive can hold. It depends on no commit and no clock, so an unchanged directory is the same layer in
/// every release.
pub const FILES_TIME: i64 = 315_532_800;

/// The time that entries carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Modified {
    /// All the same, in seconds since the epoch.
    At(i64),
    /// As on disk, in whole seconds. What has no time of its own, such as a directory made on the way, has [`FILES_TIME`].
    Preserve,
}

impl Default for Modified {
    fn default() -> Self {
        Modified::At(FILES_TIME)
    }
}

impl Modified {
    /// Returns the time of what is made and comes from nowhere, in seconds since the epoch.
    pub fn of_made(self) -> i64 {
        match self {
            Modified::At(time) => time,
            Modified::Preserve => FILES_TIME,
        }
    }
}

impl Encode for Modified {
    fn encode(&self, to: &mut Vec<u8>) {
        match self {
            Modified::At(time) => Some(*time).encode(to),
            Modified::Preserve => None::<i64>.encode(to),
        }
    }
}

/// Returns what `adds` make together, sorted by path, with the directories above them.
///
/// A directory's contents go to the destination; a file goes to it, or into it if it was written with a trailing
/// slash. A destination with a slash is there even if nothing goes into it. Two adds may name one path only if they put
/// the same thing there. Directories that no add describes are root's, `rwxr-xr-x`. Files that are one inode on disk,
/// and come out alike, are hard links of the first by path. The extended attributes of files are left to [`read_xattrs`].
///
/// [`read_xattrs`]: crate::layer::read_xattrs
pub fn added(adds: &[Add], modified: Modified) -> Result<Added> {
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
            // As docker has it: a destination with a slash is a directory of its own, one without becomes the source.
            if !add.to.into {
                found(top);
            }
            for entry in walk(&disk, &ignore)? {
                found(Entry { path: joined(&add.to.path, &entry.path), ..entry });
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

/// The paths below `root` that `pattern` names. `**` goes down into directories and not into links to them; at the end
/// it is the directory itself.
fn expand(root: &Path, pattern: &str) -> Result<Vec<PathBuf>> {
    let mut paths = vec![root.to_owned()];
    let mut parts = pattern.split('/').peekable();
    while let Some(part) = parts.next() {
        let is_last = parts.peek().is_none();
        let mut next = Vec::new();
        for path in paths {
            if part == "**" {
                match is_last {
                    true => next.extend(Some(path).filter(|path| path.is_dir())),
                    false => descend(path, &mut next)?,
                }
            } else if Pattern::is_in(part) {
                let part: Pattern = part.parse()?;
                let names = list(&path)?.into_iter().filter(|name| part.matches(name.as_bytes()));
                next.extend(names.map(|name| path.join(name)));
            } else if exists(&path.join(part))? {
                next.push(path.join(part));
            }
        }
        // What two `**` reach by several ways comes once.
        next.sort();
        next.dedup();
        paths = next;
    }
    if paths.is_empty() {
        let root = root.display();
        let message = match Pattern::is_in(pattern) {
            true => format!("nothing in {root} matches `{pattern}`"),
            false => format!("there is no `{pattern}` in {root}"),
        };
        return Err(
            Error::not_found(message).with_hint("`from` is relative to the context; is it built, and not misspelt?")
        );
    }
    Ok(paths)
}

/// `directory` and all directories below it.
fn descend(directory: PathBuf, into: &mut Vec<PathBuf>) -> Result<()> {
    let mut left = vec![directory];
    while let Some(directory) = left.pop() {
        for name in list(&directory)? {
            let path = directory.join(name);
            if fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_dir()) {
                left.push(path);
            }
        }
        into.push(directory);
    }
    Ok(())
}

/// The names in a directory; none in what is no directory, or a link that leads nowhere.
fn list(directory: &Path) -> Result<Vec<OsString>> {
    let failed = |source| Error::io("list", directory, source);
    match fs::read_dir(directory) {
        Ok(listing) => listing.map(|item| item.map(|item| item.file_name()).map_err(failed)).collect(),
        Err(error) if leads_nowhere(&error) => Ok(Vec::new()),
        Err(error) => Err(failed(error)),
    }
}

fn exists(path: &Path) -> Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if leads_nowhere(&error) => Ok(false),
        Err(source) => Err(Error::io("read", path, source)),
    }
}

fn leads_nowhere(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP))
}

fn joined(directory: &str, path: &[u8]) -> Vec<u8> {
    if directory.is_empty() { path.to_vec() } else { [directory.as_bytes(), b"/", path].concat() }
}
