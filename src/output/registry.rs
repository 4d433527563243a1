//! This file uploads images to the repositories of registries.

use super::bundle::ReadEntry;
use crate::error::Result;
use crate::oci::Reference;
use crate::progress::Progress;
use crate::registry::Client;
use crate::store::{Graph, Store};

/// Uploads each image, and what refers to it, to the repositories of its names. Touches no tag.
pub fn upload(items: &[ReadEntry<'_>], client: &Client, progress: Progress<'_>) -> Result<()> {
    for item in items {
        let image = item.entry.image;
        for graph in std::iter::once(&item.graph).chain(&item.referrers) {
            upload_graph(image.store, graph, image.names, client, progress)?;
        }
    }
    Ok(())
}

/// Uploads to the repository of each of `names`. What has gone to one repository of a registry is taken from there for
/// the others.
fn upload_graph(
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
