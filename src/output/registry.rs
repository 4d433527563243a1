use std::io::Read;

use super::Image;
use crate::error::Result;
use crate::oci::{Descriptor, Reference};
use crate::progress::Progress;
use crate::registry::Client;
use crate::store::{Graph, Store};

/// Pushes to the repository of each name, under the tags it is named with, in their order; there is a name. A registry is
/// asked to take the blobs of further repositories from the first one in it.
pub fn write(image: Image<'_>, graph: &Graph, client: &Client, progress: Progress<'_>) -> Result<()> {
    let mut repositories: Vec<(&Reference, Vec<String>)> = Vec::new();
    for name in image.names {
        let tag = name.tag().unwrap_or("latest").to_owned();
        match repositories.iter_mut().find(|(other, _)| other.name() == name.name()) {
            Some((_, tags)) => tags.push(tag),
            None => repositories.push((name, vec![tag])),
        }
    }
    for (number, (repository, tags)) in repositories.iter().enumerate() {
        let mut pushed = repositories.iter().take(number).map(|(pushed, _)| *pushed);
        let first = pushed.find(|pushed| pushed.registry() == repository.registry());
        let store = Pushed { store: image.store, first };
        client.repository(repository, progress).push(graph, &store, tags)?;
    }
    Ok(())
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
