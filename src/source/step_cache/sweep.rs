//! Which entries of a repository builds still use, and the removal of all others.
//!
//! A build that may write notes the keys that it has used in a document of its own, under the tag `uses-DATE-HEX`: so
//! nobody waits for anybody, and nothing is lost where many write.

use std::collections::HashSet;
use std::io::Read;

use serde::{Deserialize, Serialize};

use super::entry::StepEntry;
use crate::error::{Error, Result};
use crate::net::date;
use crate::oci::{Descriptor, Digest, ImageManifest, Keyed, Map, Reference, from_json, media_type, to_json};
use crate::plan::label::rfc3339;
use crate::progress::silent;
use crate::registry::{Client, OnDemand, Repository};
use crate::source::artifact::{ARTIFACT_LIMIT, ListedArtifact, listed, tag_of};
use crate::store::{Gathered, Store};

/// The type of a document that says which keys a build has used, and that of the list itself.
const USES: &str = "application/vnd.dev.ocibake.step-uses.v1";
const USES_LIST: &str = "application/vnd.dev.ocibake.step-uses.v1+json";

/// A larger list of keys is not one of a build.
const USES_LIMIT: u64 = 16 << 20;

const DAY: i64 = 24 * 60 * 60;

/// The steps that a registry keeps.
pub struct RegistrySteps<'a> {
    reference: Reference,
    client: &'a Client,
    repository: Repository<'a>,
}

/// What nothing has used for a while.
#[derive(Debug, Default)]
pub struct Unused {
    /// The entries, in the order of their tags.
    pub entries: Vec<ListedArtifact<StepEntry>>,
    /// The documents of uses, by their digests.
    pub uses: Vec<Digest>,
    /// The number of entries that stay.
    pub kept: usize,
}

/// The keys that a build has used, without `sha256:`.
#[derive(Serialize, Deserialize)]
struct UsedKeys(Vec<String>);

impl Keyed for UsedKeys {}

impl<'a> RegistrySteps<'a> {
    /// Returns the steps that are kept under `reference`. Nothing is asked yet.
    pub fn new(reference: Reference, client: &'a OnDemand) -> Result<Self> {
        let client = client.client()?;
        let repository = client.repository(&reference, &silent);
        Ok(RegistrySteps { reference, client, repository })
    }

    /// Returns all entries, in the order of their tags. What is under such a tag and is not an entry is left out.
    pub fn entries(&self) -> Result<Vec<ListedArtifact<StepEntry>>> {
        self.entries_among(&self.repository.tags()?)
    }

    fn entries_among(&self, tags: &[String]) -> Result<Vec<ListedArtifact<StepEntry>>> {
        let prefix = self.tag("step-");
        let key = |tag: &str| format!("sha256:{}", tag.strip_prefix(&prefix)?).parse::<Digest>().ok();
        let tags = tags.iter().filter(|tag| key(tag).is_some());
        listed(self.client, &self.repository, tags, |tag, manifest| StepEntry::read(manifest, &key(tag)?).ok())
    }

    /// Opens the layer of an entry. The reader fails if it is not what its descriptor says.
    pub fn open_layer(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        self.repository.open(descriptor)
    }

    /// Returns what no build has used, or written, since `since`, in seconds since 1970.
    pub fn unused(&self, since: i64) -> Result<Unused> {
        let (tags, prefix) = (self.repository.tags()?, self.tag("uses-"));
        let read = |tag: &String| -> Result<Option<(Digest, bool, Vec<String>)>> {
            let Some(bytes) = self.repository.manifest_of(tag, ARTIFACT_LIMIT)? else { return Ok(None) };
            let day = tag[prefix.len()..].get(..8).and_then(day);
            // The day counts up to its end.
            let is_recent = day.is_some_and(|day| day + DAY > since);
            let keys = if is_recent { self.used(&bytes)? } else { Vec::new() };
            Ok(Some((Digest::of(&bytes), is_recent, keys)))
        };
        let (mut unused, mut used) = (Unused::default(), HashSet::new());
        let documents = self.client.gather(tags.iter().filter(|tag| tag.starts_with(&prefix)), read)?;
        for (digest, is_recent, keys) in documents.into_iter().flatten() {
            used.extend(keys);
            if !is_recent {
                unused.uses.push(digest);
            }
        }
        for listed in self.entries_among(&tags)? {
            let is_new = listed.entry.written.is_some_and(|written| written >= since);
            match is_new || used.contains(&listed.entry.key.hex()) {
                true => unused.kept += 1,
                false => unused.entries.push(listed),
            }
        }
        Ok(unused)
    }

    /// Removes what is `unused`. The first failure ends it.
    pub fn remove(&self, unused: &Unused) -> Result<()> {
        let entries = unused.entries.iter().map(|listed| listed.manifest);
        let all = entries.chain(unused.uses.iter().copied());
        self.client.each(all, |digest| self.repository.delete_manifest(digest))
    }

    /// Notes that a build has used `keys` on the day of `now`, in seconds since 1970.
    pub fn note_uses(&self, keys: &[Digest], now: i64) -> Result<()> {
        let mut keys: Vec<String> = keys.iter().map(Digest::hex).collect();
        keys.sort();
        keys.dedup();
        let list = to_json(&UsedKeys(keys));
        let empty = (Descriptor::of(media_type::EMPTY, b"{}"), b"{}".to_vec());
        let list = (Descriptor::of(USES_LIST, &list), list);
        let manifest = to_json(&ImageManifest {
            schema_version: 2,
            media_type: Some(media_type::IMAGE_MANIFEST.to_owned()),
            config: empty.0.clone(),
            layers: vec![list.0.clone()],
            annotations: Map::new(),
            other: Map::from([("artifactType".to_owned(), USES.into())]),
        });
        let date: String = rfc3339(now)?.chars().take(10).filter(char::is_ascii_digit).collect();
        let tag = self.tag(&format!("uses-{date}-{}", &list.0.digest.hex()[..16]));
        if self.repository.find(&tag)?.is_some() {
            return Ok(());
        }
        let document = (Descriptor::of(media_type::IMAGE_MANIFEST, &manifest), manifest);
        let blobs = [empty.0.clone(), list.0.clone()];
        let mut made = Gathered::default();
        [empty, list].into_iter().for_each(|(descriptor, bytes)| made.put(descriptor.digest, bytes));
        self.repository.put_artifact(&tag, &document, &blobs, &made)
    }

    /// The keys that a document of uses lists.
    fn used(&self, manifest: &[u8]) -> Result<Vec<String>> {
        let manifest: ImageManifest = from_json("a list of the steps that a build has used", manifest)?;
        let [list] = &manifest.layers[..] else { return Ok(Vec::new()) };
        if list.media_type != USES_LIST || list.size > USES_LIMIT {
            return Ok(Vec::new());
        }
        let mut bytes = Vec::new();
        self.repository
            .open(list)?
            .read_to_end(&mut bytes)
            .map_err(|source| Error::from_read("read", list.digest.to_string(), source))?;
        Ok(from_json::<UsedKeys>("a list of the steps that a build has used", &bytes)?.0)
    }

    fn tag(&self, rest: &str) -> String {
        tag_of(&self.reference, rest)
    }
}

/// The beginning of a day, `YYYYMMDD`, in seconds since 1970.
fn day(text: &str) -> Option<i64> {
    let (year, rest) = text.split_at_checked(4)?;
    let (month, day) = rest.split_at_checked(2)?;
    date::seconds(&format!("{year}-{month}-{day}T00:00:00Z"))
}
