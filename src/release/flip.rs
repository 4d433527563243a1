//! This file sets tags, one after the other, across repositories.

use std::sync::{Mutex, PoisonError};

use crate::error::{Error, Result};
use crate::oci::Reference;
use crate::progress::{Event, Progress};
use crate::registry::Client;
use crate::store::Graph;
use crate::sync::locked;

/// Lets each name, in their order, stand for the root of the graph beside it, which its repository has; those of one
/// repository that follow on one another go into one request where its registry takes them so. The first failure ends
/// it, and the error says which have been set by then, and names the command that will `undo` it, if there is one.
pub fn flip(names: &[(&Reference, &Graph)], undo: Option<&str>, client: &Client, progress: Progress<'_>) -> Result<()> {
    let mut done = 0;
    for run in names.chunk_by(|a, b| a.0.name() == b.0.name() && std::ptr::eq(a.1, b.1)) {
        let Some((first, graph)) = run.first() else { continue };
        let tags: Vec<String> = run.iter().map(|(name, _)| tag_of(name).to_owned()).collect();
        let confirmed = Mutex::new(Vec::new());
        let watch = |event: Event<'_>| {
            if let Event::ManifestPushed { name, .. } = event {
                locked(&confirmed).push(name.to_owned());
            }
            progress(event);
        };
        if let Err(error) = client.repository(first, &watch).tag(graph, &tags) {
            let confirmed = confirmed.into_inner().unwrap_or_else(PoisonError::into_inner);
            let is_set = |(at, name): &(usize, &Reference)| {
                *at < done || *at < done + run.len() && confirmed.iter().any(|tag| tag == tag_of(name))
            };
            let all = names.iter().map(|(name, _)| *name).enumerate();
            let (set, unset): (Vec<_>, Vec<_>) = all.partition(is_set);
            return Err(half_set(error, &set, &unset, undo));
        }
        done += run.len();
    }
    Ok(())
}

fn tag_of(name: &Reference) -> &str {
    name.tag().unwrap_or("latest")
}

/// Returns the error for a failure between tags.
fn half_set(error: Error, set: &[(usize, &Reference)], unset: &[(usize, &Reference)], undo: Option<&str>) -> Error {
    let cause = |then: &str| error.hint.as_deref().map(|hint| format!("{hint}; {then}")).unwrap_or_default();
    if set.is_empty() {
        let hint = format!("{}no tag has been set", cause(""));
        return error.with_hint(hint);
    }
    let list = |title: &str, names: &[(usize, &Reference)]| -> Vec<String> {
        std::iter::once(title.to_owned()).chain(names.iter().map(|(_, name)| format!("  {name}"))).collect()
    };
    let details = [list("set:", set), list("not set:", unset)].concat();
    let undo = undo.map(|command| format!(", or undo it with `{command}`")).unwrap_or_default();
    let hint = format!("{}run the same command again to set the rest{undo}", cause("then "));
    Error::new(error.kind, "only some tags are set").with_details(details).with_hint(hint).with_source(error)
}
