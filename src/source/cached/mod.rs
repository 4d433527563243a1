//! Layers of images that exist already: the same tar, stored in the same way, need not be compressed and sent again.

mod image;

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::sync::{Arc, OnceLock};

pub use self::image::{CACHE_DEADLINE, CacheName, CachedImage, TakenStep};
use crate::error::{Error, Result};
use crate::layer::{Compression, Layer, LayerReader};
use crate::oci::{Descriptor, Digest, Reference};
use crate::progress::{Event, Progress, WarningKind};
use crate::registry::OnDemand;
use crate::store::Store;

/// Images whose layers a build may take over, and the [`Store`] of these layers. They are trusted to say of each layer
/// which tar is in it and which encoder made it as long as its blob stays where it is; whoever reads the blob is told at
/// its end if it is another tar. One that cannot be read is a warning and has no layers.
pub struct CachedImages<'a> {
    images: Vec<Arc<CachedImage<'a>>>,
    /// The layers by diff_id; of each, and of each blob, the first image that has it counts.
    layers: OnceLock<HashMap<Digest, Taken>>,
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
            match CachedImage::new(named, compression, client, progress) {
                Ok(image) => images.push(Arc::new(image)),
                Err(error) => {
                    let message = format!("no layers are taken from {}: {}", named.title, error.message);
                    progress(Event::Warning { kind: WarningKind::CacheNotUsed, message: &message });
                }
            }
        }
        CachedImages { images, layers: OnceLock::new() }
    }

    /// Returns the images, in the order of their names.
    pub fn images(&self) -> &[Arc<CachedImage<'a>>] {
        &self.images
    }

    /// Returns the layer with this diff_id, and the image that it is of; none if no image has it.
    pub fn find(&self, diff_id: &Digest) -> Option<(&Layer, &str)> {
        let taken = self.layers().get(diff_id)?;
        Some((&taken.layer, self.images.get(taken.image)?.title()))
    }

    /// Returns whether no image has a layer to take.
    pub fn is_empty(&self) -> bool {
        self.layers().is_empty()
    }

    fn layers(&self) -> &HashMap<Digest, Taken> {
        self.layers.get_or_init(|| {
            let (mut layers, mut blobs) = (HashMap::new(), HashSet::new());
            for (number, image) in self.images.iter().enumerate() {
                for layer in image.layers().iter().filter(|layer| blobs.insert(layer.descriptor.digest)) {
                    layers.entry(layer.diff_id).or_insert_with(|| Taken { layer: layer.clone(), image: number });
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
            Some((layer, image)) => Ok(Box::new(LayerReader::new(image.open(descriptor)?, layer))),
            None => Err(Error::not_found(format!("there is no blob {}", descriptor.digest))),
        }
    }

    /// Fails: what has layers only has no names.
    fn resolve(&self, _: Option<&str>) -> Result<Descriptor> {
        Err(Error::not_found("layers have no names"))
    }

    fn origin(&self, descriptor: &Descriptor) -> Option<&Reference> {
        let (_, image) = self.taken(descriptor)?;
        image.origin(descriptor)
    }
}
