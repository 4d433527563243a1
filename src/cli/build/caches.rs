//! What a build takes from other machines, and keeps for them.

use std::path::Path;
use std::sync::Arc;

use crate::cli::flags::cache::CacheFlags;
use crate::error::Result;
use crate::layer::Compression;
use crate::oci::Digest;
use crate::plan::{Plan, RunMountKind, Step, Work};
use crate::progress::{Event, Progress, WarningKind};
use crate::registry::OnDemand;
use crate::source::cached::CachedImages;
use crate::source::mount_cache::{self, MountCache, MountPlace};
use crate::source::signature::{CacheKeys, SigningKey, VerifyingKey};
use crate::source::step_cache::StepCache;
use crate::store::{Beside, Layered, LocalStore, Store};

/// The caches that the flags name.
pub struct Caches<'a> {
    pub images: CachedImages<'a>,
    pub steps: StepCache<'a>,
    pub mounts: Option<MountCache<'a>>,
    jobs: usize,
}

impl<'a> Caches<'a> {
    /// Returns the caches of all `flags`, each once. Nobody is asked yet.
    pub fn of<'f>(
        flags: impl Iterator<Item = &'f CacheFlags>,
        (compression, jobs): (Compression, usize),
        client: &'a OnDemand,
        progress: Progress<'a>,
    ) -> Result<Self> {
        let (mut images, mut sources, mut destinations) = (Vec::new(), Vec::new(), Vec::new());
        let (mut keys, mut place) = (CacheKeys::default(), None);
        for flags in flags {
            add_new(&mut images, flags.images());
            add_new(&mut sources, flags.sources());
            add_new(&mut destinations, flags.destinations());
            if let Some(path) = flags.signing_key().filter(|_| keys.signing.is_none()) {
                keys.signing = Some(SigningKey::read(path)?);
            }
            place = place.or(flags.mounts());
            for path in flags.verifying_keys() {
                add_new(&mut keys.verifying, vec![VerifyingKey::read(path)?]);
            }
        }
        let images = CachedImages::new(&images, compression, client, progress);
        let keys = Arc::new(keys);
        let takes_steps = !(sources.is_empty() && images.images().is_empty());
        let mounts = place.map(|place| MountCache::new(place.clone(), keys.clone(), takes_steps, client, progress));
        let steps = StepCache::new(sources, images.images(), destinations, keys, compression, client, progress)?;
        Ok(Caches { images, steps, mounts: mounts.transpose()?, jobs })
    }

    /// Has `build` build with what the images have, and `deliver` write what it returns, whose layers are in the store that it
    /// is given. Should a layer of a cache not be had when it comes to writing it, both are done once more without. What was
    /// done is kept for other machines, even if the build fails; the mounts of commands are only if it does not.
    pub fn produce<B>(
        &self,
        store: &LocalStore,
        build: impl Fn(Option<&CachedImages<'_>>) -> Result<B>,
        deliver: impl Fn(&B, &dyn Store) -> Result<()>,
        progress: Progress<'_>,
    ) -> Result<B> {
        let layers = Beside { first: &self.steps, second: &self.images };
        let layered = Layered::new(store, &layers);
        // What was done for nothing need not be done again.
        let built = build(Some(&self.images)).inspect_err(|_| drop(self.steps.write(&layered)))?;
        let delivered = match deliver(&built, &layered) {
            Err(error) if layered.has_failed() => {
                let message = format!("a layer is made here instead: {}", error.message);
                progress(Event::Warning { kind: WarningKind::CacheNotUsed, message: &message });
                self.steps.distrust();
                let built = build(None)?;
                deliver(&built, store).map(|()| built)
            }
            delivered => delivered.map(|()| built),
        };
        self.steps.write(&layered)?;
        if let Some(mounts) = self.mounts.as_ref().filter(|_| delivered.is_ok()) {
            mounts.push(store, self.jobs);
        }
        delivered
    }
}

/// Returns what stands for the lock files that `place` names, of the context `root`; none if no command of `plan` has a cache mount.
pub fn lock_key(place: &MountPlace, plan: &Plan, root: &Path, progress: Progress<'_>) -> Result<Option<Digest>> {
    let has_caches = |step: &Step| match &step.work {
        Work::Run(run) => run.mounts.iter().any(|mount| matches!(mount.kind, RunMountKind::Cache { .. })),
        _ => false,
    };
    if !plan.stages.iter().flat_map(|stage| &stage.steps).any(has_caches) {
        return Ok(None);
    }
    let (key, missing) = mount_cache::lock_key(root, &place.lock_files)?;
    for pattern in missing {
        let message = format!("no file of the context matches `{pattern}`: cache mounts are taken without it");
        progress(Event::Warning { kind: WarningKind::CacheNotUsed, message: &message });
    }
    Ok(Some(key))
}

/// Adds those of `further` that are not among `all`.
fn add_new<T: PartialEq>(all: &mut Vec<T>, further: Vec<T>) {
    for one in further {
        if !all.contains(&one) {
            all.push(one);
        }
    }
}
