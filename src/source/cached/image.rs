//! One image that layers are taken from.

use std::collections::HashMap;
use std::io::Read;
use std::sync::OnceLock;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::image::{self, InlineStep, Reader};
use crate::layer::{Compression, Layer};
use crate::net::Stop;
use crate::oci::{Descriptor, Digest, Reference};
use crate::progress::{Event, Progress, WarningKind, silent};
use crate::registry::OnDemand;
use crate::source::image::Location;
use crate::store::{Graph, Store};

/// To do without a cache mostly takes less than to wait longer for it.
pub const CACHE_DEADLINE: Duration = Duration::from_secs(10);

/// The name of an image that layers are taken from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheName {
    /// The name as the user wrote it.
    pub title: String,
    /// That it cannot be had is nothing to warn of.
    pub may_be_missing: bool,
}

/// An image whose layers a build may take over, with all its platforms. It is read once, when it is first asked; that it
/// cannot be read is a warning, and it then has nothing.
pub struct CachedImage<'a> {
    named: CacheName,
    location: Location,
    compression: Compression,
    client: &'a OnDemand,
    progress: Progress<'a>,
    store: Box<dyn Store + 'a>,
    name: Option<String>,
    content: OnceLock<CachedContent>,
}

/// A step that an image says it came about by.
#[derive(Debug, Clone)]
pub struct TakenStep {
    /// What it says.
    pub said: InlineStep,
    /// The layer that this means; none if the step changed nothing.
    pub layer: Option<Layer>,
}

/// What an image has to take.
#[derive(Default)]
struct CachedContent {
    layers: Vec<Layer>,
    /// By their keys; none in place of one that means no layer of the image.
    steps: HashMap<Digest, Option<TakenStep>>,
}

impl<'a> CachedImage<'a> {
    /// Returns the image of this name, of which only layers count that are, descriptor and all, what `compression` makes.
    /// No registry is asked yet.
    pub fn new(
        named: &CacheName,
        compression: Compression,
        client: &'a OnDemand,
        progress: Progress<'a>,
    ) -> Result<Self> {
        let location: Location = named.title.parse()?;
        let (store, name) = location.store(client, progress)?;
        let (named, content) = (named.clone(), OnceLock::new());
        Ok(CachedImage { named, location, compression, client, progress, store, name, content })
    }

    /// Returns its name as the user wrote it.
    pub fn title(&self) -> &str {
        &self.named.title
    }

    /// Returns whether that it cannot be had is nothing to warn of.
    pub fn may_be_missing(&self) -> bool {
        self.named.may_be_missing
    }

    /// Returns its layers, of all platforms.
    pub fn layers(&self) -> &[Layer] {
        &self.content().layers
    }

    /// Returns what it says of the step of this `key`; none if it says nothing. Fails if it says what is not so.
    pub fn step(&self, key: &Digest) -> Result<Option<&TakenStep>> {
        match self.content().steps.get(key) {
            None => Ok(None),
            Some(Some(step)) => Ok(Some(step)),
            Some(None) => Err(Error::integrity(format!("it has no layer that the step {key} produced"))),
        }
    }

    /// Opens the blob of one of its layers, to be verified by who reads it.
    pub fn open(&self, layer: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        self.store.open(layer)
    }

    /// Returns the repository that has the layer, if it is in one.
    pub fn origin(&self, layer: &Descriptor) -> Option<&Reference> {
        self.store.origin(layer)
    }

    fn content(&self) -> &CachedContent {
        self.content.get_or_init(|| match self.read() {
            Ok(content) => content,
            Err(_) if self.named.may_be_missing => CachedContent::default(),
            Err(error) => {
                self.warn(&format!("no layers are taken from {}: {}", self.named.title, error.message));
                CachedContent::default()
            }
        })
    }

    /// Reads it. A registry is not waited for longer than a deadline.
    fn read(&self) -> Result<CachedContent> {
        match &self.location {
            Location::Registry(name) => Stop::within(CACHE_DEADLINE, |stop| {
                self.read_in(&self.client.client()?.mirrored(name, &silent)?.until(stop))
            }),
            _ => self.read_in(self.store.as_ref()),
        }
    }

    fn read_in(&self, store: &dyn Store) -> Result<CachedContent> {
        let graph = Graph::of(store, &store.resolve(self.name.as_deref())?)?;
        let is_alike = |layer: &Descriptor| self.compression.stores_alike(layer);
        let mut reader = Reader::new(store);
        let mut content = CachedContent::default();
        for (descriptor, bytes) in graph.images() {
            let Some(manifest) = image::manifest(descriptor, bytes)?.filter(|it| it.layers.iter().any(is_alike)) else {
                continue;
            };
            let image = reader.image_of(descriptor, manifest)?;
            let (alike, others): (Vec<Layer>, Vec<Layer>) =
                image.layers()?.into_iter().partition(|layer| is_alike(&layer.descriptor));
            let steps = image::inline_steps(&image.config).unwrap_or_else(|error| {
                self.warn(&format!("no steps are taken from {}: {}", self.named.title, error.message));
                Vec::new()
            });
            for said in steps {
                let is_it = |layer: &&Layer| Some(layer.diff_id) == said.diff_id;
                // That it was stored in another way is nothing wrong.
                if others.iter().any(|layer| is_it(&layer)) {
                    continue;
                }
                let layer = alike.iter().find(is_it).cloned();
                let is_there = layer.is_some() == said.diff_id.is_some();
                let key = said.key;
                content.steps.entry(key).or_insert(is_there.then_some(TakenStep { said, layer }));
            }
            content.layers.extend(alike);
        }
        Ok(content)
    }

    fn warn(&self, message: &str) {
        (self.progress)(Event::Warning { kind: WarningKind::CacheNotUsed, message });
    }
}
