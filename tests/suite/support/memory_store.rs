//! Small images made by hand, and a store that keeps them in memory.

use std::collections::HashMap;
use std::io::Read;

use ocibake::error::{Error, Result};
use ocibake::oci::{
    Descriptor, Digest, ImageConfig, ImageIndex, ImageManifest, Map, Platform, RootFs, Settings, VerifyingReader,
    media_type, to_json,
};
use ocibake::store::{Graph, Store};

#[derive(Default)]
pub struct MemoryStore {
    content: HashMap<Digest, Vec<u8>>,
}

impl MemoryStore {
    /// An image for linux/amd64 with one layer for each of `layers`, whose bytes need not be a tar.
    pub fn image(&mut self, layers: &[&[u8]]) -> Descriptor {
        let layers: Vec<_> = layers.iter().map(|layer| self.add(media_type::LAYER, layer)).collect();
        let config = ImageConfig {
            created: None,
            author: None,
            platform: Platform::new("linux", "amd64", None),
            config: Settings::default(),
            rootfs: RootFs::new(layers.iter().map(|layer| layer.digest).collect()),
            history: Vec::new(),
            other: Map::new(),
        };
        let config = self.add(media_type::IMAGE_CONFIG, &to_json(&config));
        let manifest = to_json(&ImageManifest::new(config, layers, Map::new()));
        self.add(media_type::IMAGE_MANIFEST, &manifest).with_platform(Platform::new("linux", "amd64", None))
    }

    pub fn index(&mut self, images: Vec<Descriptor>) -> Descriptor {
        self.add(media_type::IMAGE_INDEX, &to_json(&ImageIndex::new(images, Map::new())))
    }

    pub fn add(&mut self, media_type: &str, bytes: &[u8]) -> Descriptor {
        let descriptor = Descriptor::of(media_type, bytes);
        self.content.insert(descriptor.digest, bytes.to_vec());
        descriptor
    }

    /// Puts other bytes in the place of content.
    pub fn damage(&mut self, digest: Digest, bytes: &[u8]) {
        self.content.insert(digest, bytes.to_vec()).expect("only what is there is damaged");
    }

    pub fn bytes(&self, digest: Digest) -> &[u8] {
        &self.content[&digest]
    }

    pub fn graph(&self, root: &Descriptor) -> Graph {
        Graph::of(self, root).unwrap()
    }
}

impl Store for MemoryStore {
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        let bytes =
            self.content.get(&descriptor.digest).ok_or_else(|| Error::not_found(descriptor.digest.to_string()))?;
        Ok(Box::new(VerifyingReader::new(bytes.as_slice(), descriptor.digest, descriptor.size)))
    }

    fn resolve(&self, _: Option<&str>) -> Result<Descriptor> {
        Err(Error::not_found("names are not kept here"))
    }
}
