//! This file reads the images that an `index.json` lists (image-spec, image-layout.md), and what they are called there.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::{DocumentBudget, Store, read_document};
use crate::error::Result;
use crate::oci::{Descriptor, Digest, ImageIndex, Reference, Referrer, from_json, media_type};

/// The annotation that names an image in a layout; skopeo's `oci:DIR:NAME` looks here.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The annotation by which containerd, and docker with its image store, know the full name.
pub const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// An image that an `index.json` lists, with all names that it has there.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// Its manifest or index, without annotations.
    pub root: Descriptor,
    /// Names that say in which repository.
    pub names: Vec<Reference>,
    /// Names that do not: mostly no more than a tag.
    pub short_names: Vec<String>,
}

/// Returns all images of an `index.json`, each once, in the order in which they stand there; without what is only listed as
/// referring to others.
pub fn images(index: &ImageIndex) -> Vec<Listed> {
    let mut images: Vec<Listed> = Vec::new();
    for descriptor in &index.manifests {
        let name = Name::of(descriptor);
        if descriptor.is_artifact() && matches!(name, Name::None) {
            continue;
        }
        let known = images.iter().position(|image| image.root.digest == descriptor.digest);
        let at = known.unwrap_or_else(|| {
            let mut root = descriptor.clone();
            root.annotations.clear();
            images.push(Listed { root, names: Vec::new(), short_names: Vec::new() });
            images.len() - 1
        });
        match name {
            Name::Full(name) => images[at].names.push(name),
            Name::Short(name) => images[at].short_names.push(name),
            Name::None => {}
        }
    }
    images
}

impl Listed {
    /// Returns all its tags, each once; that in a short name, too, if it is one.
    pub fn tags(&self) -> Vec<String> {
        let mut tags: Vec<String> = Vec::new();
        let short = self.short_names.iter().filter(|name| crate::oci::is_valid_tag(name)).cloned();
        for tag in self.names.iter().filter_map(|name| name.tag().map(str::to_owned)).chain(short) {
            if !tags.contains(&tag) {
                tags.push(tag);
            }
        }
        tags
    }

    /// Returns it with those names alone that `name` may mean, if there are any.
    pub fn named(mut self, name: &str) -> Self {
        let is_meant = |each: &Reference| {
            each.tag() == Some(name) || [each.to_string(), each.familiar()].contains(&name.to_owned())
        };
        if self.names.iter().any(is_meant) || self.short_names.iter().any(|each| each == name) {
            self.names.retain(is_meant);
            self.short_names.retain(|each| each == name);
        }
        self
    }
}

enum Name {
    Full(Reference),
    Short(String),
    None,
}

impl Name {
    /// Returns the full name that containerd knows, or that stands, as podman has it, in place of the short one; else
    /// the short one.
    fn of(descriptor: &Descriptor) -> Name {
        let of = |key: &str| descriptor.annotations.get(key);
        let full = |text: &String| text.parse::<Reference>().ok().filter(|name| name.tag().is_some());
        let is_full = |text: &&String| text.contains('/') && text.contains(':');
        let name = of(CONTAINERD_NAME).and_then(full).or_else(|| of(REF_NAME).filter(is_full).and_then(full));
        match (name, of(REF_NAME)) {
            (Some(name), _) => Name::Full(name),
            (None, Some(short)) => Name::Short(short.clone()),
            (None, None) => Name::None,
        }
    }
}

/// All that an `index.json` lists, by the manifest that it refers to; read when it is first asked for.
#[derive(Debug, Default)]
pub(super) struct Subjects(OnceLock<HashMap<Digest, Vec<Descriptor>>>);

impl Subjects {
    /// Returns what refers to `subject` among what `index` lists. `store` has the documents.
    pub fn referrers(&self, store: &dyn Store, index: &ImageIndex, subject: &Descriptor) -> Result<Vec<Descriptor>> {
        if self.0.get().is_none() {
            let mut subjects: HashMap<Digest, Vec<Descriptor>> = HashMap::new();
            let mut budget = DocumentBudget::default();
            for listed in index.manifests.iter().filter(|listed| media_type::is_manifest_or_index(&listed.media_type)) {
                budget.take(listed)?;
                let bytes = read_document(store, listed)?;
                let referrer: Referrer = from_json(&format!("manifest {}", listed.digest), &bytes)?;
                if let Some(subject) = &referrer.subject {
                    let of_subject = subjects.entry(subject.digest).or_default();
                    let descriptor = referrer.clone().listed(listed);
                    if !of_subject.contains(&descriptor) {
                        of_subject.push(descriptor);
                    }
                }
            }
            // Of two that read at once the first counts; both read the same.
            let _ = self.0.set(subjects);
        }
        Ok(self.0.get().and_then(|subjects| subjects.get(&subject.digest)).cloned().unwrap_or_default())
    }
}
