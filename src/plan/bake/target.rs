//! A target as bake has it: what one build is asked for, key by key, and how one definition is laid over another.

use serde::Serialize;

use super::credential::{AgentEntry, SecretEntry};
use super::entry::{AttestEntry, CacheEntry, OutputEntry};
use super::policy::{PolicyEntry, ResourceSettings};
use crate::error::Excerpt;
use crate::oci::{Healthcheck, Map};
use crate::plan::Spec;

/// A target. What was not said is none; a list that is there and empty was said to be empty.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct BakeTarget {
    /// Its name.
    #[serde(skip)]
    pub name: String,
    /// What it is for, in words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The targets that it takes from.
    #[serde(skip_serializing_if = "is_empty")]
    pub inherits: Option<Vec<String>>,
    /// `KEY=VALUE`, with a place before if need be.
    #[serde(skip_serializing_if = "is_empty")]
    pub annotations: Option<Vec<String>>,
    /// Attestations.
    #[serde(skip_serializing_if = "is_empty")]
    pub attest: Option<Vec<AttestEntry>>,
    /// The context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// Contexts by their names; an empty one takes away what was inherited.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub contexts: Map<String>,
    /// The Dockerfile, relative to the context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dockerfile: Option<String>,
    /// The text of the Dockerfile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dockerfile_inline: Option<String>,
    /// Arguments; none takes nothing away.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub args: Map<Option<String>>,
    /// Labels; none takes nothing away.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub labels: Map<Option<String>>,
    /// The names of the image.
    #[serde(skip_serializing_if = "is_empty")]
    pub tags: Option<Vec<String>>,
    /// Caches to take from.
    #[serde(skip_serializing_if = "is_empty")]
    pub cache_from: Option<Vec<CacheEntry>>,
    /// Caches to write.
    #[serde(skip_serializing_if = "is_empty")]
    pub cache_to: Option<Vec<CacheEntry>>,
    /// The stage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Secrets.
    #[serde(rename = "secret", skip_serializing_if = "is_empty")]
    pub secrets: Option<Vec<SecretEntry>>,
    /// SSH agents.
    #[serde(skip_serializing_if = "is_empty")]
    pub ssh: Option<Vec<AgentEntry>>,
    /// The platforms to build for.
    #[serde(skip_serializing_if = "is_empty")]
    pub platforms: Option<Vec<String>>,
    /// Where the image goes.
    #[serde(rename = "output", skip_serializing_if = "is_empty")]
    pub outputs: Option<Vec<OutputEntry>>,
    /// Ask registries what the tags of bases stand for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull: Option<bool>,
    /// Run every command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_cache: Option<bool>,
    /// The network of commands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// The stages whose commands are run in any case.
    #[serde(skip_serializing_if = "is_empty")]
    pub no_cache_filter: Option<Vec<String>>,
    /// The size of `/dev/shm`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shm_size: Option<String>,
    /// Limits of resources.
    #[serde(skip_serializing_if = "is_empty")]
    pub ulimits: Option<Vec<String>>,
    /// What is asked in the place of a build.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// What commands may do beyond the usual.
    #[serde(skip_serializing_if = "is_empty")]
    pub entitlements: Option<Vec<String>>,
    /// Lines of `/etc/hosts`: addresses by names.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub extra_hosts: Map<Option<String>>,
    /// Policies of sources.
    #[serde(skip_serializing_if = "is_empty")]
    pub policy: Option<Vec<PolicyEntry>>,
    /// The limits of commands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceSettings>,
    /// What it is made of, where that is layers and no Dockerfile.
    #[serde(flatten)]
    pub spec: Option<Box<Spec>>,
    /// Write an index even for a single platform; only an `ocibake.toml` says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<bool>,
    /// Where it stands in an `ocibake.toml`, if it does.
    #[serde(skip)]
    pub table: Option<Excerpt>,
    /// The health check of its service, where such are handed on.
    #[serde(skip)]
    pub healthcheck: Option<Healthcheck>,
    /// It was not asked for: others take from it.
    #[serde(skip)]
    pub is_linked: bool,
    /// Its context is a path of this machine, even where the definition comes from elsewhere.
    #[serde(skip)]
    pub has_context_here: bool,
}

/// Targets under one name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BakeGroup {
    /// Its name.
    #[serde(skip)]
    pub name: String,
    /// What it is for, in words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The names of targets and groups; none where null stands.
    pub targets: Option<Vec<String>>,
}

fn is_empty<T>(list: &Option<Vec<T>>) -> bool {
    list.as_ref().is_none_or(Vec::is_empty)
}

impl BakeTarget {
    /// Takes what `other` says: it goes before what is here.
    pub fn merge(&mut self, other: BakeTarget) {
        replace(&mut self.context, other.context);
        replace(&mut self.dockerfile, other.dockerfile);
        replace(&mut self.dockerfile_inline, other.dockerfile_inline);
        self.contexts.extend(other.contexts);
        for (own, others) in
            [(&mut self.args, other.args), (&mut self.labels, other.labels), (&mut self.extra_hosts, other.extra_hosts)]
        {
            own.extend(others.into_iter().filter(|(_, value)| value.is_some()));
        }
        replace(&mut self.tags, other.tags);
        replace(&mut self.target, other.target);
        replace(&mut self.call, other.call);
        append(&mut self.annotations, other.annotations);
        append_entries(&mut self.attest, other.attest, normalize_attest);
        append_entries(&mut self.secrets, other.secrets, normalize_secrets);
        append_entries(&mut self.ssh, other.ssh, normalize_agents);
        replace(&mut self.platforms, other.platforms);
        append_entries(&mut self.cache_from, other.cache_from, normalize_entries);
        replace(&mut self.cache_to, other.cache_to);
        replace(&mut self.outputs, other.outputs);
        replace(&mut self.pull, other.pull);
        replace(&mut self.no_cache, other.no_cache);
        replace(&mut self.network, other.network);
        append(&mut self.no_cache_filter, other.no_cache_filter);
        replace(&mut self.shm_size, other.shm_size);
        append(&mut self.ulimits, other.ulimits);
        append(&mut self.entitlements, other.entitlements);
        append(&mut self.policy, other.policy);
        replace(&mut self.healthcheck, other.healthcheck);
        replace(&mut self.spec, other.spec);
        replace(&mut self.index, other.index);
        replace(&mut self.table, other.table);
        append(&mut self.inherits, other.inherits);
        if let Some(resources) = other.resources {
            self.resources.get_or_insert_default().merge(&resources);
        }
        if !other.description.is_empty() {
            self.description = other.description;
        }
    }

    /// Leaves out what is there twice and what says nothing.
    pub fn normalize(&mut self) {
        let texts =
            [&mut self.annotations, &mut self.tags, &mut self.platforms, &mut self.no_cache_filter, &mut self.ulimits];
        texts.into_iter().flatten().for_each(normalize_texts);
        self.attest.iter_mut().for_each(normalize_attest);
        self.secrets.iter_mut().for_each(normalize_secrets);
        self.ssh.iter_mut().for_each(normalize_agents);
        self.cache_from.iter_mut().for_each(normalize_entries);
        self.cache_to.iter_mut().for_each(normalize_entries);
        self.outputs.iter_mut().for_each(normalize_entries);
        if self.network.as_deref() == Some("host") {
            self.entitlements.get_or_insert_default().push("network.host".to_owned());
        }
        self.entitlements.iter_mut().for_each(normalize_texts);
        self.contexts.retain(|_, context| !context.is_empty());
    }

    /// Returns the targets that it takes from.
    pub fn links(&self) -> Vec<String> {
        let contexts = self.contexts.values().filter_map(|context| context.strip_prefix("target:"));
        contexts.chain(self.spec.as_ref().and_then(|spec| spec.base.target())).map(str::to_owned).collect()
    }

    /// Returns of about how many values it is made.
    pub(super) fn weight(&self) -> usize {
        fn length<T>(list: &Option<Vec<T>>) -> usize {
            list.as_ref().map_or(0, Vec::len)
        }
        let maps = [&self.args, &self.labels, &self.extra_hosts].into_iter().map(Map::len).sum::<usize>();
        let texts = [&self.inherits, &self.annotations, &self.tags, &self.platforms, &self.no_cache_filter];
        let others = [&self.ulimits, &self.entitlements].into_iter().chain(texts).map(length).sum::<usize>();
        let caches = length(&self.cache_from) + length(&self.cache_to) + length(&self.outputs);
        let rest = length(&self.attest) + length(&self.secrets) + length(&self.ssh) + length(&self.policy);
        let files = self.spec.iter().flat_map(|spec| &spec.layers).map(|layer| 1 + layer.adds.len()).sum::<usize>();
        1 + files + maps + self.contexts.len() + others + caches + rest
    }

    /// Returns it as a definition that reads the same: text in which templates could begin is escaped.
    pub fn escaped(&self) -> BakeTarget {
        let mut escaped = self.clone();
        escaped.annotations.iter_mut().flatten().for_each(escape);
        escaped.dockerfile_inline.iter_mut().for_each(escape);
        for values in [&mut escaped.args, &mut escaped.labels, &mut escaped.extra_hosts] {
            values.values_mut().flatten().for_each(escape);
        }
        escaped
    }
}

fn escape(text: &mut String) {
    *text = text.replace("${", "$${").replace("%{", "%%{");
}

fn replace<T>(own: &mut Option<T>, other: Option<T>) {
    if other.is_some() {
        *own = other;
    }
}

fn append<T>(own: &mut Option<Vec<T>>, other: Option<Vec<T>>) {
    if let Some(other) = other {
        own.get_or_insert_default().extend(other);
    }
}

/// Normalizes each time: the order of what is there twice depends on it.
pub(super) fn append_entries<T>(own: &mut Option<Vec<T>>, other: Option<Vec<T>>, normalize: fn(&mut Vec<T>)) {
    if other.is_some() {
        append(own, other);
        own.iter_mut().for_each(normalize);
    }
}

/// Leaves out empty texts, and the later one of two that are equal.
pub(super) fn normalize_texts(texts: &mut Vec<String>) {
    let mut seen = std::collections::BTreeSet::new();
    texts.retain(|text| !text.is_empty() && seen.insert(text.clone()));
}

/// Leaves out one of two entries that are equal, in buildx's order: the last entry takes the place of what is left out.
pub(super) fn normalize_entries<T: PartialEq>(entries: &mut Vec<T>) {
    let mut at = entries.len().saturating_sub(1);
    while at > 0 {
        at -= 1;
        if let Some(twin) = (at + 1..entries.len()).find(|other| entries[*other] == entries[at]) {
            entries.swap_remove(twin);
        }
    }
}

/// Of two entries with one key the later stands where the earlier stood.
fn normalize_by_key<T>(entries: &mut Vec<T>, key: impl Fn(&T) -> &str) {
    let mut kept: Vec<T> = Vec::new();
    for entry in entries.drain(..) {
        match kept.iter().position(|other| key(other) == key(&entry)) {
            Some(at) => kept[at] = entry,
            None => kept.push(entry),
        }
    }
    *entries = kept;
}

pub(super) fn normalize_attest(entries: &mut Vec<AttestEntry>) {
    normalize_by_key(entries, |entry| &entry.kind);
}

pub(super) fn normalize_secrets(entries: &mut Vec<SecretEntry>) {
    normalize_by_key(entries, |entry| &entry.id);
}

pub(super) fn normalize_agents(entries: &mut Vec<AgentEntry>) {
    normalize_by_key(entries, |entry| &entry.id);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Option<Vec<String>> {
        Some(texts.iter().map(|text| (*text).to_owned()).collect())
    }

    #[test]
    fn one_definition_is_laid_over_another_key_by_key() {
        let map = |pairs: &[(&str, Option<&str>)]| -> Map<Option<String>> {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned))).collect()
        };
        let mut own = BakeTarget {
            tags: texts(&["a"]),
            args: map(&[("x", Some("1")), ("y", Some("2"))]),
            annotations: texts(&["a=b"]),
            no_cache_filter: texts(&["one"]),
            platforms: texts(&["linux/amd64"]),
            ..BakeTarget::default()
        };
        own.merge(BakeTarget {
            tags: texts(&["b", "b", ""]),
            args: map(&[("x", None), ("y", Some("3"))]),
            annotations: texts(&["a=b", "c=d"]),
            no_cache_filter: texts(&[]),
            platforms: texts(&[]),
            network: Some("host".to_owned()),
            ..BakeTarget::default()
        });
        own.normalize();
        let json = serde_json::to_string(&own).unwrap();
        let expected = r#"{"annotations":["a=b","c=d"],"args":{"x":"1","y":"3"},"tags":["b"],"network":"host","no-cache-filter":["one"],"entitlements":["network.host"]}"#;
        assert_eq!(json, expected);
    }

    #[test]
    fn of_entries_with_one_key_the_later_takes_the_place_of_the_earlier() {
        let mut secrets =
            ["id=a,src=1", "id=b,src=2", "id=a,src=3"].map(|text| SecretEntry::read(text).unwrap()).to_vec();
        normalize_secrets(&mut secrets);
        assert_eq!(secrets.iter().map(|secret| secret.path.as_str()).collect::<Vec<_>>(), ["3", "2"]);
    }

    #[test]
    fn equal_entries_are_one() {
        let mut numbers = vec![1, 2, 1, 3];
        normalize_entries(&mut numbers);
        assert_eq!(numbers, [1, 2, 3]);
        let mut numbers = vec![1, 1, 2, 3];
        normalize_entries(&mut numbers);
        assert_eq!(numbers, [1, 3, 2]);
    }

    #[test]
    fn what_is_printed_reads_the_same_again() {
        let target = BakeTarget { dockerfile_inline: Some("RUN ${a} %{b} $c".to_owned()), ..BakeTarget::default() };
        assert_eq!(target.escaped().dockerfile_inline.as_deref(), Some("RUN $${a} %%{b} $c"));
    }
}
