//! What tags stand for, as others read it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::fake_registry::{FakeRegistry, Request, digest};
use super::tool;

/// All tags of `repository` (`host:port/path`) and the digests of what they stand for, as skopeo reads them.
pub fn read_by_skopeo(repository: &str) -> BTreeMap<String, String> {
    let listed = tool::run("skopeo", ["list-tags", "--tls-verify=false", &format!("docker://{repository}")]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let tags = listed["Tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap().to_owned());
    let raw = |tag: &str| {
        tool::run("skopeo", ["inspect", "--raw", "--tls-verify=false", &format!("docker://{repository}:{tag}")])
    };
    tags.map(|tag| (tag.clone(), digest(raw(&tag).as_bytes()))).collect()
}

/// The digest that `repository:tag` stands for in a registry of the tests' own.
pub fn digest_of(registry: &FakeRegistry, repository: &str, tag: &str) -> Option<String> {
    registry.manifest(&format!("{repository}/{tag}")).map(|(_, bytes)| digest(&bytes))
}

/// The tags that a request sets, under its path or in its query; none for a request of another kind.
pub fn tags_set(request: &Request) -> Vec<String> {
    if !request.is("PUT", "/manifests/") {
        return Vec::new();
    }
    let name = request.path.rsplit('/').next().unwrap();
    let by_path = (!name.contains(':')).then(|| name.to_owned());
    let by_query = request.query.split('&').filter_map(|pair| pair.strip_prefix("tag=")).map(str::to_owned);
    by_path.into_iter().chain(by_query).collect()
}

/// Whether a request could change something.
pub fn writes(request: &Request) -> bool {
    !matches!(request.method.as_str(), "GET" | "HEAD")
}

/// `text` with names in the place of what is different in each run.
pub fn plain(text: &str, names: &[(&str, &str)]) -> String {
    names.iter().fold(text.to_owned(), |text, (value, name)| text.replace(value, name))
}
