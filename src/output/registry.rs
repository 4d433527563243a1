use std::collections::HashMap;
use std::io::Read;

use super::bundle::Item;
use super::flip::flip;
use crate::error::Result;
use crate::oci::{Descriptor, Digest, Reference};
use crate::progress::Progress;
use crate::registry::Client;
use crate::store::{Graph, Store};

/// Uploads each image, and what refers to it, to the repositories of its names, and then sets all tags: as long as one
/// repository lacks something, no tag of any has changed. Each image has a name; one with a digest in the place of a tag sets
/// none.
pub fn write(items: &[Item<'_>], client: &Client, progress: Progress<'_>) -> Result<()> {
    let mut sent = Sent::default();
    for item in items {
        let image = item.entry.image;
        for graph in std::iter::once(&item.graph).chain(&item.referrers) {
            sent.upload(image.store, graph, image.names, client, progress)?;
        }
    }
    let is_tag = |name: &&Reference| name.tag().is_some() || name.digest().is_none();
    let tags = items.iter().flat_map(|item| {
        let names = item.entry.image.names.iter().filter(is_tag);
        names.map(|name| (name, &item.graph))
    });
    flip(&tags.collect::<Vec<_>>(), None, client, progress)
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
    Sent::default().upload(store, graph, names, client, progress)
}

/// By registry and blob a repository that it went to.
#[derive(Default)]
struct Sent<'a>(HashMap<(&'a str, Digest), &'a Reference>);

impl<'a> Sent<'a> {
    fn upload(
        &mut self,
        store: &dyn Store,
        graph: &Graph,
        names: &'a [Reference],
        client: &Client,
        progress: Progress<'_>,
    ) -> Result<()> {
        let mut done: Vec<&Reference> = Vec::new();
        for name in names {
            if done.iter().any(|other| other.name() == name.name()) {
                continue;
            }
            let pushed = Pushed { store, registry: name.registry(), sent: self };
            client.repository(name, progress).upload(graph, &pushed)?;
            for blob in &graph.blobs {
                self.0.entry((name.registry(), blob.digest)).or_insert(name);
            }
            done.push(name);
        }
        Ok(())
    }
}

/// A store some of whose content is in `registry` by now.
struct Pushed<'a> {
    store: &'a dyn Store,
    registry: &'a str,
    sent: &'a Sent<'a>,
}

impl Store for Pushed<'_> {
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        self.store.open(descriptor)
    }

    fn resolve(&self, name: Option<&str>) -> Result<Descriptor> {
        self.store.resolve(name)
    }

    fn origin(&self, descriptor: &Descriptor) -> Option<&Reference> {
        let sent = self.sent.0.get(&(self.registry, descriptor.digest)).copied();
        sent.or_else(|| self.store.origin(descriptor))
    }
}
