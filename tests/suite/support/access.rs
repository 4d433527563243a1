//! What was asked of docker-registry, by its own access log.

use std::collections::BTreeMap;

/// A request that was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    pub method: String,
    pub path: String,
    /// Without the question mark; empty if there is none.
    pub query: String,
    pub status: u16,
}

impl Access {
    /// Reads a line of [`DockerRegistry::requests`](super::docker_registry::DockerRegistry::requests).
    pub fn parse(line: &str) -> Self {
        let [method, target, status] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Access {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            status: status.parse().unwrap(),
        }
    }

    /// Whether it could change something; one that was not let in could not.
    pub fn writes(&self) -> bool {
        !matches!(self.method.as_str(), "GET" | "HEAD") && self.status != 401
    }

    /// Whether it puts a manifest under tags, one in its path or several in its query.
    pub fn sets_tags(&self) -> bool {
        let name = self.path.split_once("/manifests/").map(|(_, name)| name);
        let is_tag = |name: &str| !name.contains(':') || self.query.starts_with("tag=");
        self.method == "PUT" && name.is_some_and(is_tag)
    }

    /// The repository that it completes the upload of a blob to, if it does. A blob that is mounted is not uploaded.
    fn uploads_to(&self) -> Option<&str> {
        let (repository, _) = self.path.strip_prefix("/v2/")?.split_once("/blobs/uploads/")?;
        let is_whole = self.query.split('&').any(|pair| pair.starts_with("digest="));
        (is_whole && self.status == 201).then_some(repository)
    }
}

/// How many blobs were uploaded to each repository.
pub fn uploads(accesses: &[Access]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for repository in accesses.iter().filter_map(Access::uploads_to) {
        *counts.entry(repository.to_owned()).or_default() += 1;
    }
    counts
}
