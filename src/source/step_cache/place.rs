//! The places that entries are kept in.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::directory::StepDirectory;
use super::entry::{Lookup, StepEntry};
use super::repository::StepRepository;
use super::server::{ServerUrl, StepServer};
use crate::error::Result;
use crate::net::Stop;
use crate::oci::{Descriptor, Digest, Reference};
use crate::progress::Progress;
use crate::registry::OnDemand;
use crate::source::artifact::title_of;
use crate::store::Store;

/// Where entries are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepPlace {
    /// A repository of a registry. A tag keeps its entries apart from those of other tags.
    Registry(Reference),
    /// A directory.
    Directory(PathBuf),
    /// A server that speaks the HTTP protocol of Bazel's remote caches.
    Server(ServerUrl),
}

/// A place that can be asked and written to.
pub(super) enum OpenPlace<'a> {
    Registry(Box<StepRepository<'a>>),
    Directory(StepDirectory),
    Server(Box<StepServer<'a>>),
}

impl StepPlace {
    /// Returns the directory, if it is one.
    pub fn directory(&self) -> Option<&Path> {
        match self {
            StepPlace::Directory(path) => Some(path),
            StepPlace::Registry(_) | StepPlace::Server(_) => None,
        }
    }

    pub(super) fn open<'a>(&self, client: &'a OnDemand, progress: Progress<'a>) -> Result<OpenPlace<'a>> {
        Ok(match self {
            StepPlace::Registry(reference) => {
                OpenPlace::Registry(Box::new(StepRepository::open(reference.clone(), client, progress)?))
            }
            StepPlace::Directory(path) => OpenPlace::Directory(StepDirectory::new(path.clone())),
            StepPlace::Server(url) => OpenPlace::Server(Box::new(StepServer::open(url, client, progress)?)),
        })
    }
}

impl fmt::Display for StepPlace {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StepPlace::Registry(reference) => to.write_str(&title_of(reference)),
            StepPlace::Directory(path) => write!(to, "{}", path.display()),
            StepPlace::Server(url) => write!(to, "{url}"),
        }
    }
}

impl OpenPlace<'_> {
    /// Returns what there is of `key`; what is not one that `is_trusted` is useless.
    pub fn find(&self, key: &Digest, is_trusted: &dyn Fn(&StepEntry) -> bool, stop: &Stop) -> Result<Lookup> {
        match self {
            OpenPlace::Registry(repository) => repository.find(key, is_trusted, stop),
            OpenPlace::Directory(directory) => directory.find(key, is_trusted),
            OpenPlace::Server(server) => server.find(key, is_trusted, stop),
        }
    }

    pub fn has(&self, key: &Digest) -> Result<bool> {
        match self {
            OpenPlace::Registry(repository) => repository.has(key),
            OpenPlace::Directory(directory) => directory.has(key),
            OpenPlace::Server(server) => server.has(key),
        }
    }

    /// Opens a layer, to be verified by who reads it.
    pub fn layer(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        match self {
            OpenPlace::Registry(repository) => repository.layer(descriptor),
            OpenPlace::Directory(directory) => directory.layer(descriptor),
            OpenPlace::Server(server) => server.layer(descriptor),
        }
    }

    /// Writes an entry, behind its layer, which is in `store`.
    pub fn put(&self, entry: &StepEntry, store: &dyn Store) -> Result<()> {
        match self {
            OpenPlace::Registry(repository) => repository.put(entry, store),
            OpenPlace::Directory(directory) => directory.put(entry, store),
            OpenPlace::Server(server) => server.put(entry, store),
        }
    }

    /// Notes that a build has used the steps of these keys at `now`, in seconds since 1970, where that is asked for later.
    pub fn note_uses(&self, keys: &[Digest], now: i64) -> Result<()> {
        match self {
            OpenPlace::Registry(repository) => repository.note_uses(keys, now),
            OpenPlace::Directory(_) | OpenPlace::Server(_) => Ok(()),
        }
    }

    /// Returns the repository that has its layers, if it is one.
    pub fn origin(&self) -> Option<&Reference> {
        match self {
            OpenPlace::Registry(repository) => Some(repository.reference()),
            OpenPlace::Directory(_) | OpenPlace::Server(_) => None,
        }
    }
}
