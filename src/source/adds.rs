//! Puts together what several adds bring, as the entries of one layer.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;

use super::modified::Modified;
use crate::error::{Error, Result};
use crate::plan::{Add, Owner, Source};
use crate::tree::{Content, Entry, Kind, Role, link_names, parent, read_xattrs};

/// An entry and the number of the add that brings it.
pub struct FoundEntry {
    pub entry: Entry,
    pub add: usize,
}

/// The entries that several adds bring, for a file system that has nothing below it.
#[derive(Debug, Clone)]
pub struct Added {
    /// The entries, each path once, sorted, with the directories on the way.
    pub entries: Arc<Vec<Entry>>,
    /// The reason why each of `entries` is there.
    pub roles: Vec<Role>,
}

/// Puts `found` together. Two that disagree about one path are an error, and so is one that goes through what is not a directory.
pub fn together(mut found: Vec<FoundEntry>, adds: &[Add], modified: Modified) -> Result<Added> {
    found.par_sort_by(|a, b| a.entry.path.cmp(&b.entry.path));
    let twins = |number: &usize| found[*number].entry.path == found[*number + 1].entry.path;
    let twins: Vec<usize> = (0..found.len().saturating_sub(1)).into_par_iter().filter(twins).collect();
    for number in &twins {
        let (first, second) = (&found[*number], &found[*number + 1]);
        if !alike(&first.entry, &second.entry)? {
            return Err(disagreement(first, second, adds));
        }
    }
    if !twins.is_empty() {
        found.dedup_by(|second, first| first.entry.path == second.entry.path);
    }
    let mut implied = implied(&found, adds)?.into_iter().peekable();
    let mut entries = Vec::with_capacity(found.len() + implied.len());
    let mut roles = Vec::with_capacity(entries.capacity());
    let mut put = |entry, role| {
        entries.push(entry);
        roles.push(role);
    };
    let made = |path| Entry::directory(path, modified.of_made());
    for FoundEntry { entry, add } in found {
        while let Some(path) = implied.next_if(|path| *path < entry.path) {
            put(made(path), Role::OnTheWay);
        }
        let role = role(&entry, &adds[add]);
        put(entry, role);
    }
    implied.for_each(|path| put(made(path), Role::OnTheWay));
    link_names(&mut entries);
    Ok(Added { entries: Arc::new(entries), roles })
}

fn role(entry: &Entry, add: &Add) -> Role {
    let is_destination = matches!(entry.kind, Kind::Directory) && entry.path == add.to.path.as_bytes();
    match is_destination {
        true => Role::Destination { mode: add.mode.is_some(), owner: add.owner != Owner::ROOT },
        false => Role::Content,
    }
}

/// The directories that must be there and that nothing in `found`, sorted by path, brings.
fn implied(found: &[FoundEntry], adds: &[Add]) -> Result<BTreeSet<Vec<u8>>> {
    let mut implied = BTreeSet::new();
    // Neighbours mostly share their directory, which is looked at once.
    let mut last: &[u8] = b"";
    for each in found {
        if let Some(directory) =
            parent(&each.entry.path).filter(|directory| !directory.is_empty() && *directory != last)
        {
            last = directory;
            imply(found, directory, &mut implied)
                .map_err(|other| no_directory(other, &each.entry.path, &origin(each, adds), adds))?;
        }
    }
    for add in adds.iter().filter(|add| add.to.into && !add.to.path.is_empty()) {
        imply(found, add.to.path.as_bytes(), &mut implied).map_err(|other| {
            let path = format!("{}/", add.to.path);
            no_directory(other, path.as_bytes(), written(&add.source), adds).or_excerpt(add.place.as_ref())
        })?;
    }
    Ok(implied)
}

/// Notes `directory` and those above it, as far as `found` does not bring them; or fails with what stands in their way.
fn imply<'a>(found: &'a [FoundEntry], directory: &[u8], implied: &mut BTreeSet<Vec<u8>>) -> Result<(), &'a FoundEntry> {
    for above in std::iter::successors(Some(directory), |path| parent(path).filter(|above| !above.is_empty())) {
        match find(found, above) {
            // Those above it are seen to when its own turn comes.
            Some(FoundEntry { entry: Entry { kind: Kind::Directory, .. }, .. }) => break,
            Some(other) => return Err(other),
            None => {
                if !implied.insert(above.to_vec()) {
                    break;
                }
            }
        }
    }
    Ok(())
}

fn find<'a>(found: &'a [FoundEntry], path: &[u8]) -> Option<&'a FoundEntry> {
    found.binary_search_by(|each| each.entry.path.as_slice().cmp(path)).ok().map(|at| &found[at])
}

fn disagreement(first: &FoundEntry, second: &FoundEntry, adds: &[Add]) -> Error {
    let path = String::from_utf8_lossy(&first.entry.path);
    let (first, here) = (origin(first, adds), origin(second, adds));
    let error = Error::input(format!("two adds disagree about /{path}: {} and {}", first.display(), here.display()))
        .with_hint("leave one of them out with `exclude`, or put them in two layers: the later one wins");
    error.or_excerpt(adds[second.add].place.as_ref())
}

fn no_directory(other: &FoundEntry, path: &[u8], origin_of_path: &Path, adds: &[Add]) -> Error {
    let (parent, path) = (String::from_utf8_lossy(&other.entry.path), String::from_utf8_lossy(path));
    Error::input(format!(
        "two adds disagree about /{parent}: {} is not a directory, but {} goes to /{path}",
        origin(other, adds).display(),
        origin_of_path.display()
    ))
}

/// Returns where an entry comes from: a file's path on disk, for all else what its add says.
fn origin<'a>(found: &'a FoundEntry, adds: &'a [Add]) -> Cow<'a, Path> {
    match &found.entry.kind {
        Kind::File(Content::Disk(file)) => file.path().into(),
        _ => written(&adds[found.add].source).into(),
    }
}

fn written(source: &Source) -> &Path {
    match source {
        Source::Context { pattern, .. } => Path::new(pattern),
        Source::Path(path) => path,
    }
}

/// Returns whether two entries of one path are the same thing.
fn alike(a: &Entry, b: &Entry) -> Result<bool> {
    if a == b {
        return Ok(true);
    }
    let mut both = [a.clone(), b.clone()];
    read_xattrs(&mut both)?;
    let [a, b] = &both;
    if a.attributes != b.attributes {
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
    Ok(a.digest()? == b.digest()?)
}
