use std::collections::HashMap;
use std::io::Read;

use super::bundle::Item;
use crate::error::Result;
use crate::oci::{Descriptor, Digest, Reference};
use crate::progress::Progress;
use crate::registry::Client;
use crate::store::Store;

/// Uploads each image to the repositories of its names, and then sets all tags, in their order: as long as one repository
/// lacks something, no tag of any has changed. Each has a name; one with a digest in the place of a tag sets none. A
/// registry is asked to take the blobs of further repositories from the first one that they went to.
pub fn write(items: &[Item<'_>], client: &Client, progress: Progress<'_>) -> Result<()> {
    let targets: Vec<Target<'_>> = items.iter().flat_map(targets).collect();
    let mut sent = Sent::new();
    for Target { item, repository, .. } in &targets {
        for graph in std::iter::once(&item.graph).chain(&item.referrers) {
            let store = Pushed { store: item.entry.image.store, registry: repository.registry(), sent: &sent };
            client.repository(repository, progress).upload(graph, &store)?;
            for blob in &graph.blobs {
                sent.entry((repository.registry(), blob.digest)).or_insert(repository);
            }
        }
    }
    targets
        .iter()
        .try_for_each(|target| client.repository(target.repository, progress).tag(&target.item.graph, &target.tags))
}

/// An image in one repository.
struct Target<'a> {
    item: &'a Item<'a>,
    repository: &'a Reference,
    tags: Vec<String>,
}

fn targets<'a>(item: &'a Item<'a>) -> Vec<Target<'a>> {
    let mut targets: Vec<Target<'a>> = Vec::new();
    for name in item.entry.image.names {
        let tag = match (name.tag(), name.digest()) {
            (None, Some(_)) => None,
            (tag, _) => Some(tag.unwrap_or("latest").to_owned()),
        };
        match targets.iter_mut().find(|target| target.repository.name() == name.name()) {
            Some(target) => target.tags.extend(tag),
            None => targets.push(Target { item, repository: name, tags: tag.into_iter().collect() }),
        }
    }
    targets
}

/// By registry and blob the repository that it went to first.
type Sent<'a> = HashMap<(&'a str, Digest), &'a Reference>;

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
        let sent = self.sent.get(&(self.registry, descriptor.digest)).copied();
        sent.or_else(|| self.store.origin(descriptor))
    }
}
