//! What the adds of a spec bring, laid over the file system that is below them.

use std::collections::{HashMap, HashSet};

use super::edit::{Edit, Manner, Onto};
use super::entry::{Entry, Kind};
use super::files::{Files, Node, Object};
use super::path::{joined, parent, split};
use crate::error::Result;
use crate::oci::Encode;

const ADDED: Manner =
    Manner { done: "added there", hint: Some("add it under another name, or leave it out with `exclude`") };

/// The purpose of an entry, which says how much of it counts where there is a directory at its path already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A directory that no add describes: it only leads to others.
    OnTheWay,
    /// The directory that an add goes to: the add says of its mode and owner what is true here.
    Destination {
        /// The mode of the entry counts.
        mode: bool,
        /// The owner of the entry counts.
        owner: bool,
    },
    /// An object that an add brings.
    Content,
}

impl Encode for Role {
    fn encode(&self, to: &mut Vec<u8>) {
        match self {
            Role::OnTheWay => 0u8.encode(to),
            Role::Destination { mode, owner } => (1u8, mode, owner).encode(to),
            Role::Content => 2u8.encode(to),
        }
    }
}

/// Lays `entries`, each path once and sorted, over what `edit` starts from, and returns the file system that this makes and
/// the layer that leads there. Each entry counts as far as its one of `roles` says.
///
/// A directory on the way that is there already keeps its owner and mode, and a link that is there is followed, as `COPY` does
/// it: the layer says nothing that no add asks for. A destination that is there changes as far as its add gives a mode or an
/// owner. A file where a directory is, and a directory where a file is, are errors.
pub fn lay_over(entries: &[Entry], roles: &[Role], mut edit: Edit) -> Result<(Files, Vec<Entry>)> {
    let mut linked = Linked::new(entries);
    // Neighbours share their directory, whose links are followed once.
    let mut last: Option<(&[u8], Vec<u8>)> = None;
    for (entry, role) in entries.iter().zip(roles) {
        if matches!(entry.kind, Kind::Directory) {
            put_directory(entry, *role, &mut edit)?;
            continue;
        }
        let (directory, name) = split(&entry.path);
        if last.as_ref().is_none_or(|(known, _)| *known != directory) {
            last = Some((directory, edit.files().real(directory)?));
        }
        let path = joined(last.as_ref().map_or(directory, |(_, real)| real), name);
        edit.bring(path, linked.node(entry), Onto::NOTHING, &ADDED)?;
    }
    edit.finish()
}

/// The files of a layer that have several names there.
struct Linked<'a> {
    targets: HashSet<&'a [u8]>,
    nodes: HashMap<&'a [u8], Node>,
}

impl<'a> Linked<'a> {
    fn new(entries: &'a [Entry]) -> Self {
        let target = |entry: &'a Entry| match &entry.kind {
            Kind::HardLink { target } => Some(target.as_slice()),
            _ => None,
        };
        Linked { targets: entries.iter().filter_map(target).collect(), nodes: HashMap::new() }
    }

    /// Returns the node of `entry`, which is that of its target for a hard link. Entries come sorted, so a target comes before
    /// its links.
    fn node(&mut self, entry: &'a Entry) -> Node {
        let first = match &entry.kind {
            Kind::HardLink { target } => self.nodes.get(target.as_slice()).cloned(),
            _ => None,
        };
        let node = first.unwrap_or_else(|| Node::new(Object::Other(entry.kind.clone()), entry.attributes.clone()));
        if self.targets.contains(entry.path.as_slice()) {
            self.nodes.insert(&entry.path, node.clone());
        }
        node
    }
}

fn put_directory(entry: &Entry, role: Role, edit: &mut Edit) -> Result<()> {
    let path = edit.files().real(&entry.path)?;
    if edit.files().get(&path).is_none() {
        edit.make_directory(parent(&path).unwrap_or_default())?;
    }
    let onto = match role {
        Role::OnTheWay => Onto::NOTHING,
        Role::Destination { mode, owner } => Onto { mode, owner, rest: false },
        Role::Content => Onto::ALL,
    };
    edit.bring(path, Node::directory(entry.attributes.clone()), onto, &ADDED)
}
