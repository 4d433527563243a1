use super::bundle::Item;
use super::flip::flip;
use crate::error::Result;
use crate::oci::Reference;
use crate::progress::Progress;
use crate::registry::Client;
use crate::store::{Graph, Store};

/// Uploads each image, and what refers to it, to the repositories of its names, and then sets all tags: as long as one
/// repository lacks something, no tag of any has changed. Each image has a name; one with a digest in the place of a tag sets
/// none.
pub fn write(items: &[Item<'_>], client: &Client, progress: Progress<'_>) -> Result<()> {
    for item in items {
        let image = item.entry.image;
        for graph in std::iter::once(&item.graph).chain(&item.referrers) {
            upload(image.store, graph, image.names, client, progress)?;
        }
    }
    let is_tag = |name: &&Reference| name.tag().is_some() || name.digest().is_none();
    let tags = items.iter().flat_map(|item| {
        let names = item.entry.image.names.iter().filter(is_tag);
        names.map(|name| (name, &item.graph))
    });
    flip(&tags.collect::<Vec<_>>(), None, client, progress)
}

/// Uploads to the repository of each of `names`, and touches no tag. What has gone to one repository of a registry is
/// taken from there for the others.
pub fn upload(
    store: &dyn Store,
    graph: &Graph,
    names: &[Reference],
    client: &Client,
    progress: Progress<'_>,
) -> Result<()> {
    let mut done: Vec<String> = Vec::new();
    for name in names {
        if !done.contains(&name.name()) {
            client.repository(name, progress).upload(graph, store)?;
            done.push(name.name());
        }
    }
    Ok(())
}
