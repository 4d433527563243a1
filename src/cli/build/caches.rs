//! What a build takes from other machines, and keeps for them.

use crate::cli::flags::cache::CacheFlags;
use crate::error::Result;
use crate::layer::Compression;
use crate::progress::Progress;
use crate::registry::OnDemand;
use crate::source::cached::CachedImages;
use crate::source::step_cache::{SigningKey, StepCache, StepKeys, VerifyingKey};
use crate::store::Beside;

/// The caches that the flags name.
pub struct Caches<'a> {
    pub images: CachedImages<'a>,
    pub steps: StepCache<'a>,
}

impl<'a> Caches<'a> {
    /// Returns the caches of all `flags`, each once. Nobody is asked yet.
    pub fn of<'f>(
        flags: impl Iterator<Item = &'f CacheFlags>,
        compression: Compression,
        client: &'a OnDemand,
        progress: Progress<'a>,
    ) -> Result<Self> {
        let (mut images, mut sources, mut destinations) = (Vec::new(), Vec::new(), Vec::new());
        let mut keys = StepKeys::default();
        for flags in flags {
            add_new(&mut images, flags.images());
            add_new(&mut sources, flags.sources());
            add_new(&mut destinations, flags.destinations());
            if let Some(path) = flags.signing_key().filter(|_| keys.signing.is_none()) {
                keys.signing = Some(SigningKey::read(path)?);
            }
            for path in flags.verifying_keys() {
                add_new(&mut keys.verifying, vec![VerifyingKey::read(path)?]);
            }
        }
        let images = CachedImages::new(&images, compression, client, progress);
        let steps = StepCache::new(sources, destinations, keys, compression, client, progress)?;
        Ok(Caches { images, steps })
    }

    /// Returns the store of the layers in them.
    pub fn layers(&self) -> Beside<'_> {
        Beside { first: &self.steps, second: &self.images }
    }
}

/// Adds those of `further` that are not among `all`.
fn add_new<T: PartialEq>(all: &mut Vec<T>, further: Vec<T>) {
    for one in further {
        if !all.contains(&one) {
            all.push(one);
        }
    }
}
