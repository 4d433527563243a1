//! Images to build on, written by hand, and who finds them.

use std::io::Read;
use std::sync::{Arc, Mutex};

use ocibake::error::{Error, Result};
use ocibake::oci::{Descriptor, Map, Platform};
use ocibake::plan::BaseImage;
use ocibake::progress::Event;
use ocibake::registry::OnDemand;
use ocibake::source::base::{BaseOptions, BaseReach, BaseStore, Pins, Pull};
use ocibake::source::image::Location;
use ocibake::store::{LocalStore, Store};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::handmade::{Blob, Entry, tar};
use super::memory_store::MemoryStore;
use super::registry_client::on_demand;

pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

/// For specs on scratch.
pub fn no_base(name: &str, _: &Platform) -> Result<Arc<BaseImage>> {
    panic!("{name} is asked for")
}

/// `os/architecture[/variant]` as JSON has it.
pub fn platform(text: &str) -> Value {
    let mut parts = text.split('/');
    let mut platform = json!({"os": parts.next().unwrap(), "architecture": parts.next().unwrap()});
    if let Some(variant) = parts.next() {
        platform["variant"] = json!(variant);
    }
    platform
}

/// A layer of one file.
pub fn layer(entry: Entry, media_type: &'static str) -> Blob {
    Blob::of(&tar(&[entry]), media_type)
}

/// An image with this `config` object, under OCI's names or docker's; as an index lists it.
pub fn image(store: &mut MemoryStore, of: &str, layers: &[Blob], config: Value, is_docker: bool) -> Value {
    let (manifest_type, config_type) = if is_docker { (DOCKER_MANIFEST, DOCKER_CONFIG) } else { (MANIFEST, CONFIG) };
    let diff_ids: Vec<String> = layers.iter().map(|layer| format!("sha256:{}", layer.diff_id)).collect();
    let mut document = platform(of);
    document["config"] = config;
    document["rootfs"] = json!({"type": "layers", "diff_ids": diff_ids});
    let config = add(store, config_type, &document);
    let layers: Vec<Value> = layers.iter().map(|layer| listed(&store.add(layer.media_type, &layer.bytes))).collect();
    let manifest = json!({"schemaVersion": 2, "mediaType": manifest_type, "config": listed(&config), "layers": layers});
    let mut manifest = listed(&add(store, manifest_type, &manifest));
    manifest["platform"] = platform(of);
    manifest
}

pub fn index(store: &mut MemoryStore, media_type: &str, manifests: &[Value]) -> Descriptor {
    add(store, media_type, &json!({"schemaVersion": 2, "mediaType": media_type, "manifests": manifests}))
}

pub fn add(store: &mut MemoryStore, media_type: &str, document: &Value) -> Descriptor {
    store.add(media_type, document.to_string().as_bytes())
}

pub fn listed(descriptor: &Descriptor) -> Value {
    json!({"mediaType": descriptor.media_type, "digest": descriptor.digest.to_string(), "size": descriptor.size})
}

/// The descriptor that was written so.
pub fn root(value: &Value) -> Descriptor {
    Descriptor::new(
        value["mediaType"].as_str().unwrap(),
        value["digest"].as_str().unwrap().parse().unwrap(),
        value["size"].as_u64().unwrap(),
    )
}

/// A machine that builds: it has a local store, which lasts from build to build.
pub struct Machine {
    directory: TempDir,
    client: OnDemand,
    pub contexts: Map<Location>,
    warnings: Mutex<Vec<String>>,
}

impl Machine {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Machine { directory, client: on_demand(), contexts: Map::new(), warnings: Mutex::default() }
    }

    pub fn store(&self) -> LocalStore {
        LocalStore::open(self.directory.path()).unwrap()
    }

    /// The warnings since the last call.
    pub fn warnings(&self) -> Vec<String> {
        std::mem::take(&mut self.warnings.lock().unwrap())
    }

    /// Another build.
    pub fn build<T>(&self, pull: Pull, pins: Pins, act: impl FnOnce(&BaseStore<'_>) -> T) -> T {
        self.build_at(None, pull, pins, act)
    }

    /// Another build, whose relative paths are below `directory`.
    pub fn build_at<T>(
        &self,
        directory: Option<&std::path::Path>,
        pull: Pull,
        pins: Pins,
        act: impl FnOnce(&BaseStore<'_>) -> T,
    ) -> T {
        let store = self.store();
        let progress = |event: Event<'_>| {
            if let Event::Warning { message, .. } = event {
                self.warnings.lock().unwrap().push(message.to_owned());
            }
        };
        let (client, contexts) = (&self.client, &self.contexts);
        let reach = directory.map_or(BaseReach::None, BaseReach::Machine);
        let options = BaseOptions { store: &store, client, pull, contexts, reach, progress: &progress };
        act(&BaseStore::new(options, pins))
    }

    /// Finds one image, in a build of its own.
    pub fn find(&self, name: &str, platform: &str) -> Result<Arc<BaseImage>> {
        self.find_pulling(Pull::Usual, name, platform)
    }

    pub fn find_pulling(&self, pull: Pull, name: &str, platform: &str) -> Result<Arc<BaseImage>> {
        self.build(pull, Pins::default(), |bases| bases.find(name, &platform.parse().unwrap()))
    }
}

/// All of a layer.
pub fn read(bases: &BaseStore<'_>, layer: &Descriptor) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = bases.open(layer)?.read_to_end(&mut bytes);
    read.map_err(|source| Error::from_read("read", "a layer", source))?;
    Ok(bytes)
}
