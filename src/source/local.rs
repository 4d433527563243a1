//! Adds of local files and directories, resolved into the entries of a layer.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use rustix::fs::{Dir, FileType, OFlags};
use rustix::io::Errno;

pub use super::adds::Added;
use super::adds::{self, FoundEntry};
use super::modified::Modified;
use crate::error::{Error, ErrorKind, Result};
use crate::plan::{Add, Owner, Source};
use crate::tree::{Entry, Ignore, Kind, Pattern, Time, find_real, inspect, joined, open_real, real_within, walk};

/// Returns what `adds`, which take from `contexts`, make together, sorted by path, with the directories above them.
///
/// A directory's contents go to the destination; a file goes to it, or into it if it was written with a trailing
/// slash. A destination with a slash is there even if nothing goes into it. Two adds may name one path only if they put
/// the same thing there. Directories that no add describes are root's, `rwxr-xr-x`. Files that are one inode on disk,
/// and come out alike, are hard links of the first by path. The extended attributes of files are left to [`read_xattrs`].
///
/// [`read_xattrs`]: crate::tree::read_xattrs
pub fn added(adds: &[Add], contexts: &[PathBuf], modified: Modified) -> Result<Added> {
    let mut found = Vec::new();
    for (number, add) in adds.iter().enumerate() {
        let brought = resolve(add, contexts).map_err(|error| error.or_excerpt(add.place.as_ref()))?;
        let keep = |entry| FoundEntry { entry: dressed(entry, add, modified), add: number };
        found.par_extend(brought.into_par_iter().map(keep));
    }
    adds::together(found, adds, modified)
}

/// Returns what one add brings, under its paths in the image and otherwise as on disk.
fn resolve(add: &Add, contexts: &[PathBuf]) -> Result<Vec<Entry>> {
    let ignore = Ignore::new(add.exclude.iter().map(String::as_str))?;
    let sources = sources(&add.source, contexts)?;
    if sources.len() > 1 && !add.to.into {
        return Err(Error::input(format!("{} sources cannot all become /{}", sources.len(), add.to.path))
            .with_hint(format!("to put them into a directory, write `to = \"/{}/\"`", add.to.path)));
    }
    let (mut found, mut walked) = (Vec::new(), HashSet::new());
    for (written, disk) in sources {
        let top = inspect(&disk, add.to.path.clone().into_bytes())?;
        if top.kind.is_directory() {
            // As docker has it: a destination with a slash is a directory of its own, one without becomes the source.
            if !add.to.into {
                found.push(top);
            }
            // By whatever name it is reached, it brings the same.
            if !walked.insert(disk.clone()) {
                continue;
            }
            let mut below = walk(&disk, &ignore)?;
            below.par_iter_mut().for_each(|entry| entry.path = joined(add.to.path.as_bytes(), &entry.path));
            // There may be very many of them: they are not copied.
            below.append(&mut found);
            found = below;
            continue;
        }
        let name = written.file_name().map(|name| name.as_bytes().to_vec()).unwrap_or_default();
        if !ignore.matches(&name) {
            let path = if add.to.into { joined(add.to.path.as_bytes(), &name) } else { top.path.clone() };
            found.push(Entry { path, ..top });
        }
    }
    Ok(found)
}

/// An entry with the mode, owner and time that it is to have.
fn dressed(mut entry: Entry, add: &Add, modified: Modified) -> Entry {
    if let Modified::At(time) = modified {
        entry.attributes.modified = Time::of_seconds(time);
    }
    if let Owner::Numbers { user, group } = add.owner {
        (entry.attributes.user, entry.attributes.group) = (user, group);
    }
    if let Some(mode) = &add.mode
        && !matches!(entry.kind, Kind::Symlink { .. })
    {
        entry.attributes.mode = mode.apply(entry.attributes.mode, entry.kind.is_directory());
    }
    entry
}

/// The files and directories that a source names, sorted: as written, and by real paths. A link that is itself named is
/// followed within the context, as docker follows it; those met further down are not.
fn sources(source: &Source, contexts: &[PathBuf]) -> Result<Vec<(PathBuf, PathBuf)>> {
    let real = |path: &Path| fs::canonicalize(path).map_err(|source| Error::io("read", path, source));
    let (root, pattern) = match source {
        Source::Path(path) => return Ok(vec![(path.clone(), real(path)?)]),
        Source::Context { context, pattern } => (context_root(contexts, *context)?, pattern),
    };
    let context = real(root)?;
    let mut all = Vec::new();
    for (written, real) in expand(&context, root, pattern)? {
        let shown = root.join(&written);
        let target = match real {
            Some(real) => real,
            None => real_within(&context, &written, &shown.display())?,
        };
        all.push((shown, target));
    }
    all.sort();
    Ok(all)
}

/// Returns where context number `context` of a plan lies. Fails if it lies nowhere.
pub fn context_root(contexts: &[PathBuf], context: usize) -> Result<&PathBuf> {
    contexts.get(context).ok_or_else(|| Error::input(format!("the plan has no context {context}")))
}

/// The paths in `context` that `pattern` names; `root` is what the user calls it. Each comes with its real path, unless that
/// is still to be found out: it is a link.
///
/// Links are followed up to the first name with a wildcard in it, and never from there on: neither what `*` matches nor what
/// `**` passes through is ever a link to a directory. At the end `**` is the directory itself.
fn expand(context: &Path, root: &Path, pattern: &str) -> Result<Vec<(PathBuf, Option<PathBuf>)>> {
    let mut parts: Vec<&str> = pattern.split('/').collect();
    // Twice any number of directories is any number of them.
    parts.dedup_by(|second, first| *second == "**" && *first == "**");
    // The last name is looked for in its directory, for it may be a link.
    let lead = parts.iter().take(parts.len() - 1).take_while(|part| !Pattern::is_in(part)).count();
    let (lead, rest) = parts.split_at(lead);
    let lead: PathBuf = lead.iter().collect();
    let mut found = match real_within(context, &lead, &root.join(&lead).display()) {
        Ok(real) => vec![(lead, real)],
        Err(error) if error.kind == ErrorKind::NotFound || leads_nowhere(&error) => Vec::new(),
        Err(error) => return Err(error),
    };
    for (number, part) in rest.iter().enumerate() {
        let is_last = number + 1 == rest.len();
        let mut next = Vec::new();
        for (written, real) in found {
            if *part == "**" {
                match is_last {
                    true => next.extend(Some((written, real)).filter(|(_, real)| is_directory(real))),
                    false => descend(written, real, &mut next)?,
                }
            } else if Pattern::is_in(part) {
                let part: Pattern = part.parse()?;
                let names = list(&real)?.into_iter().map(|(name, _)| name).filter(|it| part.matches(it.as_bytes()));
                next.extend(names.map(|name| (written.join(&name), real.join(&name))));
            } else if file_type(&real.join(part))?.is_some() {
                next.push((written.join(part), real.join(part)));
            }
        }
        // What two `**` reach by several ways comes once.
        next.sort();
        next.dedup();
        found = next;
    }
    if found.is_empty() {
        let root = root.display();
        let message = match Pattern::is_in(pattern) {
            true => format!("nothing in {root} matches `{pattern}`"),
            false => format!("there is no `{pattern}` in {root}"),
        };
        return Err(Error::not_found(message)
            .with_hint("`from` is relative to the context; is it built, and spelled correctly?"));
    }
    let settled = |(written, real): (PathBuf, PathBuf)| {
        let is_link = file_type(&real)? == Some(FileType::Symlink);
        Ok((written, Some(real).filter(|_| !is_link)))
    };
    found.into_iter().map(settled).collect()
}

/// A directory and all directories below it, as written and by their real paths.
fn descend(written: PathBuf, real: PathBuf, into: &mut Vec<(PathBuf, PathBuf)>) -> Result<()> {
    let mut left = vec![(written, real)];
    while let Some((written, real)) = left.pop() {
        for (name, kind) in list(&real)? {
            let below = real.join(&name);
            if kind == FileType::Directory || kind == FileType::Unknown && is_directory(&below) {
                left.push((written.join(&name), below));
            }
        }
        into.push((written, real));
    }
    Ok(())
}

/// The names in the directory at a real path, and what they stand for, where the file system says so there; none in what is no
/// directory.
fn list(real: &Path) -> Result<Vec<(OsString, FileType)>> {
    let failed = |errno: Errno| Error::io("list", real, errno.into());
    let directory = match open_real(real, OFlags::RDONLY | OFlags::DIRECTORY) {
        Err(errno) if is_nowhere(errno) => return Ok(Vec::new()),
        opened => opened.map_err(failed)?,
    };
    let mut names = Vec::new();
    for item in Dir::new(directory).map_err(failed)? {
        let item = item.map_err(failed)?;
        let name = item.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            names.push((OsString::from_vec(name.to_vec()), item.file_type()));
        }
    }
    Ok(names)
}

fn is_directory(real: &Path) -> bool {
    matches!(file_type(real), Ok(Some(FileType::Directory)))
}

/// Returns what is at a path that is real but for its last name; none if nothing is.
fn file_type(path: &Path) -> Result<Option<FileType>> {
    let status = find_real(path).and_then(|found| found.status());
    match status {
        Ok(status) => Ok(Some(FileType::from_raw_mode(status.st_mode))),
        Err(errno) if is_nowhere(errno) => Ok(None),
        Err(errno) => Err(Error::io("read", path, errno.into())),
    }
}

fn leads_nowhere(error: &Error) -> bool {
    let cause = error.source.as_ref().and_then(|source| source.downcast_ref());
    cause.and_then(Errno::from_io_error).is_some_and(is_nowhere)
}

fn is_nowhere(errno: Errno) -> bool {
    matches!(errno, Errno::NOENT | Errno::NOTDIR | Errno::LOOP)
}
