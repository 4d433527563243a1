//! Loads into the engines that take one platform and go by the digest of the config: docker, and podman.

use std::collections::HashSet;

use super::super::bundle::ReadEntry;
use super::super::{docker_archive, oci_archive};
use super::api::{EngineApi, ImageKeeping, id};
use super::image::{OnePlatform, title};
use super::kind::{EngineAddress, EngineKind, EngineProgram};
use crate::error::{Error, Result};
use crate::oci::{Digest, Reference};
use crate::output::sink::Sink;
use crate::progress::{BlobOutcome, Event, Progress};

/// So many images are asked for the layers that they share with the one that is loaded.
const ASKED: usize = 100;

/// An engine that is spoken to in one of two ways.
enum Spoken<'a> {
    Api(&'a EngineApi),
    /// podman without a service.
    Program(&'a EngineProgram),
}

/// Loads `item` through the API at `address`.
pub(super) fn by_api(
    kind: EngineKind,
    address: &EngineAddress,
    item: &ReadEntry<'_>,
    progress: Progress<'_>,
) -> Result<()> {
    let api = EngineApi::new(kind, address)?;
    match api.keeping()? {
        ImageKeeping::Docker => load(kind, &Spoken::Api(&api), true, item, progress),
        // Behind the socket of docker may be podman.
        ImageKeeping::Podman => load(EngineKind::Podman, &Spoken::Api(&api), false, item, progress),
        ImageKeeping::Containerd => whole(kind, &api, item, progress),
    }
}

/// Loads `item` by podman itself.
pub(super) fn by_podman(program: &EngineProgram, item: &ReadEntry<'_>, progress: Progress<'_>) -> Result<()> {
    load(EngineKind::Podman, &Spoken::Program(program), false, item, progress)
}

/// Loads one platform. What the engine has is not sent again: if it `takes_parts`, no layer is.
fn load(
    kind: EngineKind,
    engine: &Spoken<'_>,
    takes_parts: bool,
    item: &ReadEntry<'_>,
    progress: Progress<'_>,
) -> Result<()> {
    let image = OnePlatform::of(kind, item)?;
    let names = image.names();
    let has = |name: &Reference| engine.id(&name.to_string()).map(|found| found == Some(image.id));
    let known = names.iter().map(|name| has(name)).collect::<Result<Vec<bool>>>()?;
    let was_there = engine.id(&image.id.to_string())?.is_some();
    if was_there {
        let new = names.iter().zip(&known).filter(|(_, known)| !**known);
        new.map(|(name, _)| name).try_for_each(|name| engine.tag(kind, image.id, name))?;
    } else {
        let held = if takes_parts { engine.held(&image)? } else { HashSet::new() };
        let send = |held: &HashSet<Digest>| {
            let items = std::slice::from_ref(&image.entry);
            engine.load(kind, |sink| docker_archive::write_into(sink, title(kind), items, held, progress))
        };
        match send(&held) {
            // What was there when it was asked for may have gone since.
            Err(_) if !held.is_empty() => send(&HashSet::new())?,
            sent => {
                sent?;
                let present = |digest| progress(Event::BlobFinished { digest, outcome: BlobOutcome::Present });
                held.into_iter().for_each(present);
            }
        }
        let under = names.first().map_or_else(|| image.id.to_string(), ToString::to_string);
        if engine.id(&under)? != Some(image.id) {
            let message = format!("{kind} has taken the image, but under {under} it does not have {}", image.id);
            return Err(Error::integrity(message).with_hint("does something else load an image of that name?"));
        }
    }
    tell(kind, &names, &known, (image.id, was_there), &image, progress);
    if kind == EngineKind::Podman {
        names.iter().try_for_each(|name| take_over(engine, &image, name, progress))?;
    }
    Ok(())
}

/// Gives an image also podman's own name for a short one, if another has it: podman looks there first.
fn take_over(engine: &Spoken<'_>, image: &OnePlatform<'_>, name: &Reference, progress: Progress<'_>) -> Result<()> {
    let full = name.to_string();
    let Some(short) = full.strip_prefix("docker.io/library/") else { return Ok(()) };
    let own = format!("localhost/{short}").parse()?;
    if engine.id(&format!("localhost/{short}"))?.is_none_or(|other| other == image.id) {
        return Ok(());
    }
    engine.tag(EngineKind::Podman, image.id, &own)?;
    let (engine, platform) = (EngineKind::Podman.name(), image.platform.as_ref());
    progress(Event::ImageLoaded { engine, image: &own.to_string(), platform, was_there: false });
    Ok(())
}

fn tell(
    kind: EngineKind,
    names: &[&Reference],
    known: &[bool],
    (id, was_there): (Digest, bool),
    image: &OnePlatform<'_>,
    progress: Progress<'_>,
) {
    let (engine, platform) = (kind.name(), image.platform.as_ref());
    for (name, was_there) in names.iter().zip(known) {
        progress(Event::ImageLoaded { engine, image: &name.to_string(), platform, was_there: *was_there });
    }
    if names.is_empty() {
        progress(Event::ImageLoaded { engine, image: &id.to_string(), platform, was_there });
    }
}

/// Loads all platforms into docker with containerd's store, whose IDs are the digests of manifests and indexes.
fn whole(kind: EngineKind, api: &EngineApi, item: &ReadEntry<'_>, progress: Progress<'_>) -> Result<()> {
    let (root, names) = (item.entry.image.root.digest, item.entry.image.names);
    let named: Vec<&Reference> = names.iter().filter(|name| name.tag().is_some()).collect();
    let known = named.iter().map(|name| Ok(api.id(&name.to_string())? == Some(root))).collect::<Result<Vec<bool>>>()?;
    if named.is_empty() || known.contains(&false) {
        let items = std::slice::from_ref(item);
        api.load(|sink| oci_archive::write_into(sink, title(kind), items, &HashSet::new(), progress))?;
    }
    for (name, was_there) in named.iter().zip(known) {
        progress(Event::ImageLoaded { engine: kind.name(), image: &name.to_string(), platform: None, was_there });
    }
    if named.is_empty() {
        let image = &root.to_string();
        progress(Event::ImageLoaded { engine: kind.name(), image, platform: None, was_there: false });
    }
    Ok(())
}

impl Spoken<'_> {
    /// Returns the ID of the image of this name or ID.
    fn id(&self, name: &str) -> Result<Option<Digest>> {
        match self {
            Spoken::Api(api) => api.id(name),
            Spoken::Program(program) => {
                let found = program.ask(&["image", "inspect", "--format", "{{.Id}}", name])?;
                Ok(found.and_then(|text| id(&text)))
            }
        }
    }

    fn tag(&self, kind: EngineKind, image: Digest, name: &Reference) -> Result<()> {
        match self {
            Spoken::Api(api) => api.tag(image, name),
            Spoken::Program(program) => program.tell(kind, &["tag", &image.hex(), &name.to_string()]),
        }
    }

    fn load(&self, kind: EngineKind, write: impl FnOnce(Sink) -> Result<()> + Send) -> Result<()> {
        match self {
            Spoken::Api(api) => api.load(write),
            Spoken::Program(program) => program.feed(kind, &["load", "--quiet"], write),
        }
    }

    /// Returns the blobs of the layers that docker has: it keeps a layer by all that lies below it, and then does not look
    /// for it in an archive.
    fn held(&self, image: &OnePlatform<'_>) -> Result<HashSet<Digest>> {
        let Spoken::Api(api) = self else { return Ok(HashSet::new()) };
        let shared = |other: &Vec<Digest>| {
            image.layers.iter().zip(other).take_while(|(layer, other)| layer.diff_id == **other).count()
        };
        let count = api.layers(ASKED)?.iter().map(shared).max().unwrap_or(0);
        let (held, lacking) = image.layers.split_at(count);
        let needed: HashSet<Digest> = lacking.iter().map(|layer| layer.descriptor.digest).collect();
        Ok(held.iter().map(|layer| layer.descriptor.digest).filter(|digest| !needed.contains(digest)).collect())
    }
}
