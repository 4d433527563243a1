//! A rollback undoes what a push did to tags.

use super::flip::flip;
use super::record::{Record, Return};
use crate::error::{Error, ErrorKind, Result};
use crate::oci::{Descriptor, Reference};
use crate::progress::Progress;
use crate::registry::Client;
use crate::store::{Graph, read_document};

/// A tag, and what undoing a push does with it.
#[derive(Debug, Clone, PartialEq)]
pub struct RollbackStep {
    /// The repository's name with the tag.
    pub name: Reference,
    /// The outcome for it.
    pub back: Return,
}

/// Asks the registries, and returns what undoing the push of `record` would do, in the order in which it would do it: the
/// reverse of the push's. Changes nothing.
pub fn plan(record: &Record, client: &Client, progress: Progress<'_>) -> Result<Vec<RollbackStep>> {
    let mut steps = Vec::new();
    for recorded in record.tags.iter().rev() {
        let repository: Reference = recorded.repository.parse()?;
        let now = client.repository(&repository, progress).find(&recorded.tag)?;
        let back = recorded.back(now.map(|now| now.digest));
        steps.push(RollbackStep { name: repository.with_tag(&recorded.tag), back });
    }
    Ok(steps)
}

/// Returns tags to what they stood for, as `steps` say. The manifests that they return to are fetched first, by digest and
/// verified: should one be gone, nothing changes.
pub fn run(steps: &[RollbackStep], client: &Client, progress: Progress<'_>) -> Result<()> {
    let mut returning = Vec::new();
    for step in steps {
        if let Return::Back(former) = &step.back {
            returning.push((&step.name, former_root(&step.name, former, client, progress)?));
        }
    }
    let names: Vec<_> = returning.iter().map(|(name, root)| (*name, root)).collect();
    flip(&names, None, client, progress)
}

/// Fetches what `name` returns to, and returns it as a graph of the root alone: what is below it is there.
fn former_root(name: &Reference, former: &Descriptor, client: &Client, progress: Progress<'_>) -> Result<Graph> {
    let repository = client.repository(name, progress);
    let bytes = read_document(&repository, former).map_err(|error| match error.kind {
        ErrorKind::NotFound => {
            Error::not_found(format!("{name} cannot return to {}: it is gone from the registry", former.digest))
                .with_hint("nothing has changed; push that image again, and then roll back")
                .with_source(error)
        }
        _ => error,
    })?;
    Ok(Graph { blobs: Vec::new(), manifests: vec![(former.clone(), bytes)] })
}
