//! Adds of local files and directories, resolved into the entries of a layer.

use std::collections::BTreeMap;
use std::collections::hash_map::{Entry as Slot, HashMap};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::layer::{Content, Entry, Identity, Ignore, Kind, inspect, walk};
use crate::oci::{Digest, HashingWriter};
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
    let mut tree = Tree { entries: BTreeMap::new(), modified };
    for add in adds {
        let here = |mut error: Error| {
            error.excerpt = error.excerpt.or_else(|| add.place.clone().map(Box::new));
            error
        };
        tree.add(add).map_err(here)?;
    }
    tree.imply_parents(adds)?;
    let mut entries: Vec<Entry> = tree.entries.into_values().map(|(entry, _)| *entry).collect();
    link(&mut entries);
    Ok(entries)
}

struct Tree {
    /// With the source that each came from or below; directories that are only implied came from nowhere. There may be
    /// very many: they share its path, and are boxed because the map leaves half of its room empty.
    entries: BTreeMap<Vec<u8>, (Box<Entry>, Arc<Path>)>,
    modified: Modified,
}

impl Tree {
    /// Puts in what one add brings.
    fn add(&mut self, add: &Add) -> Result<()> {
        let ignore = Ignore::new(add.exclude.iter().map(String::as_str))?;
        let sources = sources(&add.source)?;
        if sources.len() > 1 && !add.to.into {
            return Err(Error::input(format!("{} sources cannot all become /{}", sources.len(), add.to.path))
                .with_hint(format!("to put them into a directory, write `to = \"/{}/\"`", add.to.path)));
        }
        for (written, disk) in sources {
            let disk: Arc<Path> = disk.into();
            let top = inspect(&disk, add.to.path.clone().into_bytes())?;
            if matches!(top.kind, Kind::Directory) {
                for entry in walk(&disk, &ignore)? {
                    let path = joined(&add.to.path, &entry.path);
                    self.insert(dressed(Entry { path, ..entry }, add), &disk)?;
                }
                // As docker has it: a destination with a slash is a directory of its own, one without becomes the
                // source.
                if !add.to.into {
                    self.insert(dressed(top, add), &disk)?;
                }
                continue;
            }
            let name = written.file_name().map(|name| name.as_bytes().to_vec()).unwrap_or_default();
            if !ignore.matches(&name) {
                let path = if add.to.into { joined(&add.to.path, &name) } else { top.path.clone() };
                self.insert(dressed(Entry { path, ..top }, add), &disk)?;
            }
        }
        Ok(())
    }

    fn insert(&mut self, mut entry: Entry, source: &Arc<Path>) -> Result<()> {
        if let Modified::At(time) = self.modified {
            entry.modified = time;
        }
        if let Some((present, other)) = self.entries.get(&entry.path) {
            if !alike(present, &entry)? {
                return Err(Error::input(format!(
                    "two adds disagree about /{}: {} and {}",
                    String::from_utf8_lossy(&entry.path),
                    origin(present, other).display(),
                    origin(&entry, source).display()
                ))
                .with_hint("leave one of them out with `exclude`, or put them in two layers: the later one wins"));
            }
            return Ok(());
        }
        self.entries.insert(entry.path.clone(), (Box::new(entry), source.clone()));
        Ok(())
    }

    fn imply_parents(&mut self, adds: &[Add]) -> Result<()> {
        let time = match self.modified {
            Modified::At(time) => time,
            Modified::Preserve => 0,
        };
        let into = adds.iter().filter(|add| add.to.into && !add.to.path.is_empty());
        let destinations: Vec<(Vec<u8>, &Path)> =
            into.map(|add| (joined(&add.to.path, b""), written(&add.source))).collect();
        let contents = self.entries.iter().map(|(path, (entry, source))| (path, origin(entry, source)));
        let mut implied = BTreeMap::new();
        let nowhere: Arc<Path> = Path::new("").into();
        for (path, disk) in contents.chain(destinations.iter().map(|(path, source)| (path, *source))) {
            for slash in path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at) {
                let parent = &path[..slash];
                match self.entries.get(parent) {
                    Some((present, _)) if matches!(present.kind, Kind::Directory) => {}
                    Some((present, other)) => {
                        let (parent, path) = (String::from_utf8_lossy(parent), String::from_utf8_lossy(path));
                        return Err(Error::input(format!(
                            "two adds disagree about /{parent}: {} is no directory, but {} goes to /{path}",
                            origin(present, other).display(),
                            disk.display()
                        )));
                    }
                    None => {
                        implied.insert(parent.to_vec(), Entry::directory(parent.to_vec(), time));
                    }
                }
            }
        }
        self.entries.extend(implied.into_iter().map(|(path, entry)| (path, (Box::new(entry), nowhere.clone()))));
        Ok(())
    }
}

/// Gives an entry the mode and owner that its add asks for.
fn dressed(mut entry: Entry, add: &Add) -> Entry {
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

/// What to call an entry in an error: the file it is, or the source it is in.
fn origin<'a>(entry: &'a Entry, source: &'a Path) -> &'a Path {
    match &entry.kind {
        Kind::File(Content::Disk { path, .. }) => path,
        _ => source,
    }
}

fn written(source: &Source) -> &Path {
    match source {
        Source::Context { pattern, .. } => Path::new(pattern),
        Source::Path(path) => path,
    }
}

/// Whether two entries of one path are the same thing.
fn alike(a: &Entry, b: &Entry) -> Result<bool> {
    let attributes = |entry: &Entry| (entry.mode, entry.user, entry.group, entry.modified, entry.xattrs.clone());
    if attributes(a) != attributes(b) {
        return Ok(false);
    }
    match (&a.kind, &b.kind) {
        (Kind::File(a), Kind::File(b)) => same_content(a, b),
        (a, b) => Ok(a == b),
    }
}

fn same_content(a: &Content, b: &Content) -> Result<bool> {
    if a == b || a.size() != b.size() {
        return Ok(a == b);
    }
    Ok(digest(a)? == digest(b)?)
}

fn digest(content: &Content) -> Result<Digest> {
    match content {
        Content::Bytes(bytes) => Ok(Digest::of(bytes)),
        Content::Disk { path, .. } => {
            let failed = |source| Error::io("read", path, source);
            let mut hashing = HashingWriter::new(io::sink());
            io::copy(&mut fs::File::open(path).map_err(failed)?, &mut hashing).map_err(failed)?;
            Ok(hashing.finish().1)
        }
    }
}

/// Turns further names of one inode into hard links to the first that has the same mode, owner and time.
fn link(entries: &mut [Entry]) {
    let mut first = HashMap::new();
    for entry in entries {
        let Kind::File(Content::Disk { identity: Identity { device, inode, links, .. }, .. }) = entry.kind else {
            continue;
        };
        if links < 2 {
            continue;
        }
        let looks = (device, inode, entry.mode, entry.user, entry.group, entry.modified);
        match first.entry(looks) {
            Slot::Vacant(slot) => drop(slot.insert(entry.path.clone())),
            Slot::Occupied(slot) => entry.kind = Kind::HardLink { target: slot.get().clone() },
        }
    }
}
