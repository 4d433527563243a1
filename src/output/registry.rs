use std::io::Read;

use super::Image;
use super::flip::flip;
use crate::error::Result;
use crate::oci::{Descriptor, Reference};
use crate::progress::Progress;
use crate::registry::Client;
use crate::store::{Graph, Store};

/// Uploads to the repository of each name, and then sets the tags of all of them: as long as one repository lacks
/// something, no tag of any has changed. There is a name.
pub fn write(image: Image<'_>, graph: &Graph, client: &Client, progress: Progress<'_>) -> Result<()> {
    upload(image.store, graph, image.names, client, progress)?;
    let names: Vec<_> = image.names.iter().map(|name| (name, graph)).collect();
    flip(&names, None, client, progress)
}

/// Uploads to the repository of each of `names`, and touches no tag. A registry is asked to take the blobs of further
/// repositories from the first one in it.
pub fn upload(
    store: &dyn Store,
    graph: &Graph,
    names: &[Reference],
    client: &Client,
    progress: Progress<'_>,
) -> Result<()> {
    let mut done: Vec<&Reference> = Vec::new();
    for name in names {
        if done.iter().any(|other| other.name() == name.name()) {
            continue;
        }
        let first = done.iter().copied().find(|other| other.registry() == name.registry());
        client.repository(name, progress).upload(graph, &Pushed { store, first })?;
        done.push(name);
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
