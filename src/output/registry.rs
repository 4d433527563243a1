use std::io::Read;

use super::Image;
use crate::error::Result;
use crate::oci::{Descriptor, Reference};
use crate::progress::Progress;
use crate::registry::Client;
use crate::store::{Graph, Store};

/// Uploads to the repository of each name, and then sets the tags of all of them, in their order: as long as one
/// repository lacks something, no tag of any has changed. There is a name. A registry is asked to take the blobs of
/// further repositories from the first one in it.
pub fn write(image: Image<'_>, graph: &Graph, client: &Client, progress: Progress<'_>) -> Result<()> {
    let mut repositories: Vec<(&Reference, Vec<String>)> = Vec::new();
    for name in image.names {
        let tag = name.tag().unwrap_or("latest").to_owned();
        match repositories.iter_mut().find(|(other, _)| other.name() == name.name()) {
            Some((_, tags)) => tags.push(tag),
            None => repositories.push((name, vec![tag])),
        }
    }
    for (number, (repository, _)) in repositories.iter().enumerate() {
        let mut pushed = repositories.iter().take(number).map(|(pushed, _)| *pushed);
        let first = pushed.find(|pushed| pushed.registry() == repository.registry());
        let store = Pushed { store: image.store, first };
        client.repository(repository, progress).upload(graph, &store)?;
    }
    repositories.iter().try_for_each(|(repository, tags)| client.repository(repository, progress).tag(graph, tags))
}

/// A store whose content is in the repository `first` by now, if there is one.
struct Pushed<'a> {
    store: &'a dyn Store,
    first: Option<&'a Reference>,
}

impl Store for Pushed<'_> {
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        self.store.open(descriptor)
    }

    fn resolve(&self, name: Option<&str>) -> Result<Descriptor> {
        self.store.resolve(name)
    }

    fn origin(&self, descriptor: &Descriptor) -> Option<&Reference> {
        self.first.or_else(|| self.store.origin(descriptor))
    }
}
