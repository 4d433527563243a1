//! The repositories of registries that have blobs, as far as the local store knows of them.

use serde::{Deserialize, Serialize};

use super::LocalStore;
use crate::oci::{Digest, KeyBuilder, Keyed, Reference, from_json, to_json};

/// As many as a push asks, and the one that it pushes to.
const KEPT: usize = 4;

/// The repositories of one registry that a blob went to or came from, the last one first. Nothing promises that it is
/// still there.
#[derive(Serialize, Deserialize)]
struct RepositoriesRecord {
    /// In full, without a tag.
    repositories: Vec<String>,
}

impl Keyed for RepositoriesRecord {}

impl LocalStore {
    /// Returns the repositories of `registry` that were noted for a blob, the last one first; none if what was noted is
    /// damaged.
    pub(super) fn noted_repositories(&self, blob: &Digest, registry: &str) -> Vec<Reference> {
        let Some((_, content)) = self.record(&key(blob, registry)).filter(|(of, _)| of == blob) else {
            return Vec::new();
        };
        let Ok(RepositoriesRecord { repositories }) = from_json("a record of repositories", &content) else {
            return Vec::new();
        };
        let repository = |text: &String| {
            let name: Reference = text.parse().ok()?;
            (name.registry() == registry && name.name() == *text).then_some(name)
        };
        repositories.iter().take(KEPT).filter_map(repository).collect()
    }

    /// Notes that the repository of `name` has a blob, which need not be in the store.
    pub(super) fn put_repository(&self, blob: &Digest, name: &Reference) {
        let known = self.noted_repositories(blob, name.registry());
        let last = name.name();
        let mut repositories: Vec<String> = known.iter().map(Reference::name).collect();
        if repositories.first() == Some(&last) {
            return;
        }
        repositories.retain(|known| *known != last);
        repositories.insert(0, last);
        repositories.truncate(KEPT);
        // What cannot be noted is sent once more, that is all.
        let _ = self.put_record(&key(blob, name.registry()), blob, &to_json(&RepositoriesRecord { repositories }));
    }
}

/// Returns the key under which the repositories of a registry that have a blob are noted.
fn key(blob: &Digest, registry: &str) -> Digest {
    KeyBuilder::new("repositories 1").part("blob", blob).part("registry", registry).finish()
}
