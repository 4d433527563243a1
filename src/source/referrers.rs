//! The documents that refer to an image, as far as its store lists them: signatures, SBOMs and the like, and what refers to
//! those.

use std::collections::{HashSet, VecDeque};

use crate::error::{Error, Result};
use crate::oci::{Descriptor, Digest, Referrer, from_json};
use crate::progress::{Event, Progress, WarningKind};
use crate::store::{DocumentBudget, Graph, Store};

/// The bounds within which the referrers of an image, and theirs, and so on, are followed: how far, and how many.
const REFERRERS_DEPTH: usize = 8;
const REFERRERS_LIMIT: usize = 1000;

/// A document that refers to another.
pub struct FoundReferrer {
    /// The document that it refers to.
    pub subject: Digest,
    /// It, as lists of referrers have it.
    pub descriptor: Descriptor,
    /// What it reaches.
    pub graph: Graph,
}

/// Returns what `store` lists as referring to any manifest of `graph`, and to that; each once. What does not refer to what it
/// is listed for is warned of and left out. Fails if there is more than an image can need.
pub fn referrers(
    store: &dyn Store,
    graph: &Graph,
    budget: &mut DocumentBudget,
    progress: Progress<'_>,
) -> Result<Vec<FoundReferrer>> {
    let mut found: Vec<FoundReferrer> = Vec::new();
    let mut seen: HashSet<Digest> = graph.manifests.iter().map(|(descriptor, _)| descriptor.digest).collect();
    let mut subjects: VecDeque<(Descriptor, usize)> =
        graph.manifests.iter().rev().map(|(descriptor, _)| (descriptor.clone(), 0)).collect();
    while let Some((at, depth)) = subjects.pop_front() {
        for listed in store.referrers(&at)? {
            if seen.contains(&listed.digest) {
                continue;
            }
            if depth == REFERRERS_DEPTH || found.len() == REFERRERS_LIMIT {
                return Err(Error::input(format!(
                    "more refers to {} than is followed: {REFERRERS_LIMIT} artifacts, {REFERRERS_DEPTH} deep",
                    at.digest
                )));
            }
            let graph = Graph::read(store, &listed, budget)?;
            let Some(referrer) =
                subject(&graph)?.filter(|own| own.subject.as_ref().is_some_and(|to| to.digest == at.digest))
            else {
                let message = format!("{} is listed as referring to {}, and does not", listed.digest, at.digest);
                progress(Event::Warning { kind: WarningKind::WrongReferrer, message: &message });
                continue;
            };
            seen.insert(listed.digest);
            subjects.extend(graph.manifests.iter().map(|(descriptor, _)| (descriptor.clone(), depth + 1)));
            found.push(FoundReferrer { subject: at.digest, descriptor: referrer.listed(&listed), graph });
        }
    }
    Ok(found)
}

/// Returns what the root of `graph` says of what it refers to; none if it refers to nothing.
pub fn subject(graph: &Graph) -> Result<Option<Referrer>> {
    let Some((root, bytes)) = graph.manifests.last() else { return Ok(None) };
    let referrer: Referrer = from_json(&format!("manifest {}", root.digest), bytes)?;
    Ok(Some(referrer).filter(|referrer| referrer.subject.is_some()))
}
