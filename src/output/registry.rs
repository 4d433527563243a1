use super::Image;
use crate::error::Result;
use crate::oci::Reference;
use crate::progress::Progress;
use crate::registry::Client;
use crate::store::Graph;

/// Pushes to the repository of each name, under the tags it is named with, in their order; there is a name.
pub fn write(image: Image<'_>, graph: &Graph, client: &Client, progress: Progress<'_>) -> Result<()> {
    let mut repositories: Vec<(&Reference, Vec<String>)> = Vec::new();
    for name in image.names {
        let tag = name.tag().unwrap_or("latest").to_owned();
        match repositories.iter_mut().find(|(other, _)| other.name() == name.name()) {
            Some((_, tags)) => tags.push(tag),
            None => repositories.push((name, vec![tag])),
        }
    }
    for (repository, tags) in repositories {
        client.repository(repository, progress).push(graph, image.store, &tags)?;
    }
    Ok(())
}
