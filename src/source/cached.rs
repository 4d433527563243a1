//! Layers of images that exist already: the same tar, stored in the same way, need not be compressed and sent again.

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::sync::OnceLock;
use std::time::Duration;

use super::image::Location;
use crate::error::{Error, Result};
use crate::image::{self, Reader};
use crate::layer::{Compression, Layer, LayerReader};
use crate::net::Stop;
use crate::oci::{Descriptor, Digest, Reference};
use crate::progress::{Event, Progress, WarningKind, silent};
use crate::registry::OnDemand;
use crate::store::{Graph, Store};

/// To do without a cache mostly takes less than to wait longer for it.
pub const CACHE_DEADLINE: Duration = Duration::from_secs(10);

/// Images whose layers a build may take over, and the [`Store`] of these layers. They are trusted to say of each layer
/// which tar is in it and which encoder made it as long as its blob stays where it is; whoever reads the blob is told at
/// its end if it is another tar. One that cannot be read is a warning and has no layers.
pub struct CachedImages<'a> {
    images: Vec<CachedImage<'a>>,
    compression: Compression,
    progress: Progress<'a>,
    /// The layers by diff_id; of each, and of each blob, the first image that has it counts.
    layers: OnceLock<HashMap<Digest, Taken>>,
}

/// The name of an image that layers are taken from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheName {
    /// The name as the user wrote it.
    pub title: String,
    /// That it cannot be had is nothing to warn of.
    pub may_be_missing: bool,
}

struct CachedImage<'a> {
    named: CacheName,
    location: Location,
    client: &'a OnDemand,
    store: Box<dyn Store + 'a>,
    name: Option<String>,
}

struct Taken {
    layer: Layer,
    /// The place of its image in the list.
    image: usize,
}

impl<'a> CachedImages<'a> {
    /// Returns the layers of the images `names` that are, descriptor and all, what `compression` makes; none of
    /// eStargz, which is a warning. No registry is asked before the first layer is.
    pub fn new(names: &[CacheName], compression: Compression, client: &'a OnDemand, progress: Progress<'a>) -> Self {
        let mut images = Vec::new();
        // Their tars hold where things are in the blob, so what such a tar would be is not known without the blob.
        let is_in_vain = matches!(compression, Compression::Estargz(_));
        if is_in_vain && !names.is_empty() {
            let message = "no layers are taken from images with --compression estargz: they are all made here";
            progress(Event::Warning { kind: WarningKind::CacheNotUsed, message });
        }
        for named in names.iter().filter(|_| !is_in_vain) {
            let opened = named.title.parse().and_then(|location: Location| {
                let (store, name) = location.store(client, progress)?;
                Ok(CachedImage { named: named.clone(), location, client, store, name })
            });
            match opened {
                Ok(image) => images.push(image),
                Err(error) => warn(progress, &named.title, &error),
            }
        }
        CachedImages { images, compression, progress, layers: OnceLock::new() }
    }

    /// Returns the layer with this diff_id, and the image that it is of; none if no image has it.
    pub fn find(&self, diff_id: &Digest) -> Option<(&Layer, &str)> {
        let taken = self.layers().get(diff_id)?;
        Some((&taken.layer, &self.images.get(taken.image)?.named.title))
    }

    /// Returns whether no image has a layer to take.
    pub fn is_empty(&self) -> bool {
        self.layers().is_empty()
    }

    fn layers(&self) -> &HashMap<Digest, Taken> {
        self.layers.get_or_init(|| {
            let (mut layers, mut blobs) = (HashMap::new(), HashSet::new());
            for (number, image) in self.images.iter().enumerate() {
                match image.layers(self.compression) {
                    Ok(found) => {
                        found.into_iter().filter(|layer| blobs.insert(layer.descriptor.digest)).for_each(|layer| {
                            layers.entry(layer.diff_id).or_insert(Taken { layer, image: number });
                        })
                    }
                    Err(_) if image.named.may_be_missing => {}
                    Err(error) => warn(self.progress, &image.named.title, &error),
                }
            }
            layers
        })
    }

    /// The layer of this blob and its image, if its layers are known.
    fn taken(&self, descriptor: &Descriptor) -> Option<(&Layer, &CachedImage<'a>)> {
        let mut known = self.layers.get()?.values();
        let taken = known.find(|taken| taken.layer.descriptor.digest == descriptor.digest)?;
        Some((&taken.layer, self.images.get(taken.image)?))
    }
}

impl Store for CachedImages<'_> {
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        match self.taken(descriptor) {
            Some((layer, image)) => Ok(Box::new(LayerReader::new(image.store.open(descriptor)?, layer))),
            None => Err(Error::not_found(format!("there is no blob {}", descriptor.digest))),
        }
    }

    /// Fails: what has layers only has no names.
    fn resolve(&self, _: Option<&str>) -> Result<Descriptor> {
        Err(Error::not_found("layers have no names"))
    }

    fn origin(&self, descriptor: &Descriptor) -> Option<&Reference> {
        let (_, image) = self.taken(descriptor)?;
        image.store.origin(descriptor)
    }
}

impl CachedImage<'_> {
    /// The layers that `compression` has made, of all platforms. One that may be missing is not waited for longer than a deadline.
    fn layers(&self, compression: Compression) -> Result<Vec<Layer>> {
        match &self.location {
            Location::Registry(name) if self.named.may_be_missing => Stop::within(CACHE_DEADLINE, |stop| {
                self.layers_in(&self.client.client()?.mirrored(name, &silent)?.until(stop), compression)
            }),
            _ => self.layers_in(self.store.as_ref(), compression),
        }
    }

    fn layers_in(&self, store: &dyn Store, compression: Compression) -> Result<Vec<Layer>> {
        let graph = Graph::of(store, &store.resolve(self.name.as_deref())?)?;
        let is_alike = |layer: &Descriptor| *layer == compression.descriptor(layer.digest, layer.size);
        let mut reader = Reader::new(store);
        let mut layers = Vec::new();
        for (descriptor, bytes) in graph.images() {
            let Some(manifest) = image::manifest(descriptor, bytes)?.filter(|it| it.layers.iter().any(is_alike)) else {
                continue;
            };
            let all = reader.image_of(descriptor, manifest)?.layers()?;
            layers.extend(all.into_iter().filter(|layer| is_alike(&layer.descriptor)));
        }
        Ok(layers)
    }
}

fn warn(progress: Progress<'_>, title: &str, error: &Error) {
    progress(Event::Warning {
        kind: WarningKind::CacheNotUsed,
        message: &format!("no layers are taken from {title}: {}", error.message),
    });
}
