//! A [`Rebase`] puts the upper layers of an image on another base, without building.

use std::sync::Arc;

use super::inline::with_steps;
use super::{Document, Existing, Reader};
use crate::error::{Error, Result};
use crate::oci::{
    Descriptor, Digest, History, ImageConfig, ImageIndex, ImageManifest, Map, Platform, Reference, RootFs, Settings,
    from_json, media_type, to_json,
};
use crate::plan::{BASE_DIGEST, BASE_NAME, BaseImage, FindBase, put_variable};
use crate::progress::{Event, Progress, WarningKind};
use crate::store::{Graph, LocalStore, Store};

/// An image, the base that it has, and the base that it is to have.
pub struct Rebase<'a> {
    /// The name by which errors call the image.
    pub title: &'a str,
    /// The base that it has; none to go by its annotations.
    pub from: Option<&'a str>,
    /// The base that it is to have.
    pub onto: &'a str,
    /// Is told of warnings.
    pub progress: Progress<'a>,
}

impl Rebase<'_> {
    /// Makes the documents of the image `root`, which `image` has, anew and puts them into `store`. All platforms are
    /// rebased, or none: `bases` has to have both bases for each of them. What is listed beside the images and says
    /// something about them, such as attestations, is left out.
    pub fn apply(
        &self,
        image: &dyn Store,
        root: &Descriptor,
        bases: &mut FindBase<'_>,
        store: &LocalStore,
    ) -> Result<Descriptor> {
        let graph = Graph::of(image, root)?;
        let mut reader = Reader::new(image);
        let mut manifests = Vec::new();
        let mut others = 0;
        for (descriptor, bytes) in graph.manifests.iter().filter(|(at, _)| media_type::is_manifest(&at.media_type)) {
            let found = if descriptor.is_attestation() { None } else { reader.image_in(descriptor, bytes)? };
            let Some(found) = found else {
                others += 1;
                continue;
            };
            found.layers()?;
            let Existing { manifest, config, .. } = found;
            let platform = descriptor.platform.clone().unwrap_or_else(|| config.platform.clone());
            let rebased = self.image(manifest, config, bases, store)?;
            manifests.push(rebased.with_platform(platform));
        }
        self.tell_of(others);
        match (&manifests[..], media_type::is_index(&root.media_type)) {
            ([], _) => Err(Error::input(format!("{} holds no image", self.title))),
            ([only], false) => Ok(Descriptor::new(&only.media_type, only.digest, only.size)),
            _ => self.index(&graph, manifests, bases, store),
        }
    }

    fn image(
        &self,
        manifest: ImageManifest,
        config: ImageConfig,
        bases: &mut FindBase<'_>,
        store: &LocalStore,
    ) -> Result<Descriptor> {
        let platform = config.platform.normalised();
        let old = self.old_base(&manifest.annotations, &platform, bases)?;
        let new = bases(self.onto, &platform)?;
        if !config.rootfs.diff_ids.starts_with(&old.config.rootfs.diff_ids) {
            return Err(Error::input(format!("{} for {platform} is not based on {}", self.title, old.name))
                .with_hint("its lowest layers are different: name the base that it was built on with --from"));
        }
        let upper = manifest.layers.into_iter().skip(old.layers.len()).map(|layer| {
            let media_type = media_type::oci_layer(&layer.media_type);
            Descriptor { media_type, ..layer }
        });
        let layers = new.layers.iter().cloned().chain(upper).collect();
        let config = Document::new(media_type::IMAGE_CONFIG, to_json(&merged(config, &old.config, &new.config)));
        let annotations = renewed(manifest.annotations, &new);
        let manifest = ImageManifest {
            other: manifest.other,
            ..ImageManifest::new(config.descriptor.clone(), layers, annotations)
        };
        put(store, &config)?;
        put(store, &Document::new(media_type::IMAGE_MANIFEST, to_json(&manifest)))
    }

    fn index(
        &self,
        graph: &Graph,
        manifests: Vec<Descriptor>,
        bases: &mut FindBase<'_>,
        store: &LocalStore,
    ) -> Result<Descriptor> {
        let mut annotations = match graph.manifests.last() {
            Some((root, bytes)) => from_json::<ImageIndex>(&format!("index {}", root.digest), bytes)?.annotations,
            None => Map::new(),
        };
        if annotations.contains_key(BASE_DIGEST)
            && let Some(platform) = manifests.first().and_then(|first| first.platform.clone())
        {
            annotations = renewed(annotations, &*bases(self.onto, &platform.normalised())?);
        }
        put(store, &Document::new(media_type::IMAGE_INDEX, to_json(&ImageIndex::new(manifests, annotations))))
    }

    fn old_base(
        &self,
        annotations: &Map<String>,
        platform: &Platform,
        bases: &mut FindBase<'_>,
    ) -> Result<Arc<BaseImage>> {
        let hint = "name the base that it was built on with --from";
        if let Some(from) = self.from {
            return bases(from, platform);
        }
        let (Some(name), Some(digest)) = (annotations.get(BASE_NAME), annotations.get(BASE_DIGEST)) else {
            let message = format!("{} for {platform} does not say what it was built on", self.title);
            return Err(Error::input(message).with_hint(hint));
        };
        let name = name.split('@').next().unwrap_or_default();
        let digest: Digest = digest.parse()?;
        // An image names no path of this machine.
        let found = format!("{name}@{digest}").parse::<Reference>().and_then(|name| bases(&name.to_string(), platform));
        found.map_err(|error| {
            let message = format!("the base that {} was built on is not available: {}", self.title, error.message);
            Error { message, hint: error.hint.or(Some(hint.to_owned())), ..error }
        })
    }

    fn tell_of(&self, others: usize) {
        if others > 0 {
            let what = if others == 1 { "1 attestation is" } else { &format!("{others} attestations are") };
            let message = format!("{what} left out: what they say about {} is not true of the new image", self.title);
            (self.progress)(Event::Warning { kind: WarningKind::AttestationLeftOut, message: &message });
        }
    }
}

/// Returns `image`'s config with its changes against `old` made to `new`. Its time stays: nothing of it is made anew.
fn merged(image: ImageConfig, old: &ImageConfig, new: &ImageConfig) -> ImageConfig {
    let upper = image.rootfs.diff_ids.iter().skip(old.rootfs.diff_ids.len());
    let diff_ids = new.rootfs.diff_ids.iter().chain(upper).copied().collect();
    let history = new.history.iter().cloned().chain(own_history(&image, old)).collect();
    let Platform { os_version, os_features, .. } = new.platform.clone();
    ImageConfig {
        created: image.created,
        author: kept(image.author, &old.author, &new.author),
        platform: Platform { os_version, os_features, ..image.platform },
        config: settings(image.config, &old.config, &new.config),
        rootfs: RootFs { kind: image.rootfs.kind, diff_ids },
        history,
        // Its steps were done on the old base.
        other: with_steps(entries(image.other, &old.other, &new.other), &[]),
    }
}

/// Returns the history of what came to pass above the layers of `old`.
fn own_history(image: &ImageConfig, old: &ImageConfig) -> Vec<History> {
    if let Some(own) = image.history.strip_prefix(&old.history[..]) {
        return own.to_vec();
    }
    // Someone has rewritten it. What makes no layer stands behind the layer that it follows.
    let mut left = old.rootfs.diff_ids.len();
    let is_old = |step: &&History| {
        let is_old = left > 0;
        left = left.saturating_sub(usize::from(!step.empty_layer));
        is_old
    };
    image.history.iter().skip_while(is_old).cloned().collect()
}

fn settings(image: Settings, old: &Settings, new: &Settings) -> Settings {
    // A command is meant for the entrypoint beside it.
    let cmd = match image.entrypoint == old.entrypoint {
        true => kept(image.cmd, &old.cmd, &new.cmd),
        false => image.cmd,
    };
    Settings {
        user: kept(image.user, &old.user, &new.user),
        exposed_ports: optional(image.exposed_ports, &old.exposed_ports, &new.exposed_ports),
        env: environment(image.env, &old.env, &new.env),
        entrypoint: kept(image.entrypoint, &old.entrypoint, &new.entrypoint),
        cmd,
        volumes: optional(image.volumes, &old.volumes, &new.volumes),
        working_dir: kept(image.working_dir, &old.working_dir, &new.working_dir),
        labels: optional(image.labels, &old.labels, &new.labels),
        stop_signal: kept(image.stop_signal, &old.stop_signal, &new.stop_signal),
        healthcheck: kept(image.healthcheck, &old.healthcheck, &new.healthcheck),
        shell: kept(image.shell, &old.shell, &new.shell),
        on_build: kept(image.on_build, &old.on_build, &new.on_build),
        other: entries(image.other, &old.other, &new.other),
    }
}

/// Returns the image's own value where it is another than that of its base, else the new base's.
fn kept<T: PartialEq + Clone>(image: T, old: &T, new: &T) -> T {
    if image == *old { new.clone() } else { image }
}

/// The same for each entry: what the image has removed stays removed.
fn entries<T: PartialEq + Clone>(image: Map<T>, old: &Map<T>, new: &Map<T>) -> Map<T> {
    let mut all = new.clone();
    all.retain(|key, _| image.contains_key(key) || !old.contains_key(key));
    all.extend(image.into_iter().filter(|(key, value)| old.get(key) != Some(value)));
    all
}

fn optional<T: PartialEq + Clone>(image: Option<Map<T>>, old: &Option<Map<T>>, new: &Option<Map<T>>) -> Option<Map<T>> {
    let of = |map: &Option<Map<T>>| map.clone().unwrap_or_default();
    Some(entries(of(&image), &of(old), &of(new))).filter(|all| !all.is_empty())
}

/// The same for variables; the new base's stand first.
fn environment(
    image: Option<Vec<String>>,
    old: &Option<Vec<String>>,
    new: &Option<Vec<String>>,
) -> Option<Vec<String>> {
    let name = |variable: &String| variable.split('=').next().unwrap_or_default().to_owned();
    let image = image.unwrap_or_default();
    let old = old.as_deref().unwrap_or_default();
    let mut all = new.clone().unwrap_or_default();
    let has = |variables: &[String], wanted: &String| variables.iter().any(|each| name(each) == name(wanted));
    all.retain(|variable| has(&image, variable) || !has(old, variable));
    image.iter().filter(|variable| !old.contains(variable)).for_each(|own| put_variable(&mut all, own));
    Some(all).filter(|all| !all.is_empty())
}

/// Returns `annotations`, and what they say of the base is said of `base`.
fn renewed(mut annotations: Map<String>, base: &BaseImage) -> Map<String> {
    [BASE_NAME, BASE_DIGEST].iter().for_each(|key| drop(annotations.remove(*key)));
    annotations.extend(base.annotations());
    annotations
}

fn put(store: &LocalStore, document: &Document) -> Result<Descriptor> {
    store.put(&document.descriptor.media_type, &document.bytes)
}
