//! What layers make of each other, as a model that is slow and simple enough to be right.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;

/// One thing that a layer says. The content of a file, and the mode of a directory, is the number of the change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    File(String),
    Directory(String),
    Symlink(String, String),
    HardLink(String, String),
    Whiteout(String),
    Opaque(String),
}

/// The root file system as a list of canonical paths. Everything is found by looking at all of them.
#[derive(Default)]
pub(super) struct Model {
    pub names: BTreeMap<String, Named>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    layer: usize,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Whose content or mode is which; several names of one number are one file.
    File(u64),
    /// None: nobody tells of it.
    Directory(Option<u64>),
    /// The number tells links apart that are not the same one.
    Symlink(String, u64),
}

impl Model {
    /// False: it cannot be.
    pub fn apply(&mut self, layer: usize, id: u64, change: &Change) -> bool {
        match change {
            Change::File(path) => self.put(layer, path, What::File(id)),
            Change::Symlink(path, target) => self.put(layer, path, What::Symlink(target.clone(), id)),
            Change::Directory(path) => self.put(layer, path, What::Directory(Some(id))),
            Change::HardLink(path, target) => {
                let Some(target) = self.place(target) else { return false };
                match self.names.get(&target).map(|named| named.what.clone()) {
                    None | Some(What::Directory(_)) => false,
                    Some(what) => self.put(layer, path, what),
                }
            }
            // Where there is no way, there is nothing to hide.
            Change::Whiteout(path) => match self.place_not_by(path, Some(layer)) {
                Some(path) => self.hide(layer, &path, true),
                None => true,
            },
            Change::Opaque(path) => match self.place_not_by(&format!("{path}/x"), Some(layer)) {
                Some(inside) => self.hide(layer, inside.trim_end_matches("/x").trim_end_matches('x'), false),
                None => true,
            },
        }
    }

    fn put(&mut self, layer: usize, path: &str, what: What) -> bool {
        let Some(path) = self.place(path) else { return false };
        let ancestors: Vec<_> = path.match_indices('/').map(|(at, _)| path[..at].to_owned()).collect();
        for ancestor in ancestors {
            self.names.entry(ancestor).or_insert(Named { layer, what: What::Directory(None) });
        }
        let is_directory = |what: &What| matches!(what, What::Directory(_));
        let keeps = is_directory(&what) && self.names.get(&path).is_some_and(|named| is_directory(&named.what));
        if !keeps {
            self.names.retain(|name, _| !is_below(name, &path));
        }
        self.names.insert(path, Named { layer, what });
        true
    }

    fn hide(&mut self, layer: usize, path: &str, itself: bool) -> bool {
        let is_meant = |name: &str| is_below(name, path) || (itself && name == path);
        let own: Vec<String> =
            self.names.iter().filter(|(_, named)| named.layer == layer).map(|(name, _)| name.clone()).collect();
        let needed = |name: &str| own.iter().any(|own| is_below(own, name));
        self.names.retain(|name, named| !is_meant(name) || named.layer == layer || needed(name));
        for (name, named) in &mut self.names {
            if is_meant(name) && named.layer < layer {
                *named = Named { layer, what: What::Directory(None) };
            }
        }
        true
    }

    /// The canonical path of what `path` means, its last name not followed; none if the way is barred.
    pub fn place(&self, path: &str) -> Option<String> {
        self.place_not_by(path, None)
    }

    /// The same, where links of one layer bar the way, too.
    fn place_not_by(&self, path: &str, layer: Option<usize>) -> Option<String> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut left: Vec<String> = parent.split('/').map(str::to_owned).collect();
        let mut at: Vec<String> = Vec::new();
        let mut links = 0;
        while !left.is_empty() {
            let part = left.remove(0);
            match part.as_str() {
                "" | "." => continue,
                ".." => {
                    at.pop();
                    continue;
                }
                _ => {}
            }
            let here = [at.clone(), vec![part.clone()]].concat().join("/");
            match self.names.get(&here).map(|named| &named.what) {
                Some(What::File(_)) => return None,
                Some(What::Symlink(..)) if self.names.get(&here).map(|named| named.layer) == layer => return None,
                Some(What::Symlink(target, _)) => {
                    links += 1;
                    if links > 40 {
                        return None;
                    }
                    if target.starts_with('/') {
                        at.clear();
                    }
                    left.splice(0..0, target.split('/').map(str::to_owned));
                }
                Some(What::Directory(_)) | None => at.push(part),
            }
        }
        at.push(name.to_owned());
        Some(at.join("/"))
    }

    /// Each path with what is there; a number that means nothing to others is left out.
    pub fn shown(&self) -> BTreeMap<String, String> {
        self.names
            .iter()
            .map(|(name, named)| {
                let what = match &named.what {
                    What::File(id) => format!("file {id}{}", self.names_of(name)),
                    What::Directory(id) => format!("directory {}", id.map_or(0o755, |id| id % 0o1000)),
                    What::Symlink(target, _) => format!("link {target}{}", self.names_of(name)),
                };
                (name.clone(), what)
            })
            .collect()
    }

    /// The other names of the same thing.
    fn names_of(&self, name: &str) -> String {
        let what = &self.names[name].what;
        let same: BTreeSet<&String> =
            self.names.iter().filter(|(_, named)| named.what == *what).map(|(name, _)| name).collect();
        format!(" {same:?}")
    }
}

pub(super) fn is_below(name: &str, directory: &str) -> bool {
    directory.is_empty() || name.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

pub(super) fn any_layers() -> impl Strategy<Value = Vec<Vec<Change>>> {
    let name = prop::sample::select(vec!["a", "b", "c", "d"]);
    let path = vec(name, 1..4).prop_map(|names| names.join("/"));
    let target = (prop::sample::select(vec!["", "/", "../", "../../../", "./"]), path.clone())
        .prop_map(|(start, path)| format!("{start}{path}"));
    let change = prop_oneof![
        4 => path.clone().prop_map(Change::File),
        3 => path.clone().prop_map(Change::Directory),
        2 => (path.clone(), target).prop_map(|(path, target)| Change::Symlink(path, target)),
        2 => (path.clone(), path.clone()).prop_map(|(path, target)| Change::HardLink(path, target)),
        3 => path.clone().prop_map(Change::Whiteout),
        1 => prop_oneof![path, Just(String::new())].prop_map(Change::Opaque),
    ];
    vec(vec(change, 0..8), 1..5)
}
