//! From what a name stands for to the image for one platform.

use std::collections::BTreeSet;

use super::read::{Existing, Reader};
use crate::error::{Error, Result};
use crate::oci::{Descriptor, Platform, media_type};
use crate::store::{Store, children};

/// The depth up to which indexes may stand in one another.
const DEPTH: usize = 8;

/// Returns the manifest and the image that fit `platform` best of what `root`, which `name` stands for, reaches; of a root that
/// is a manifest, the image whatever its platform. Fails if there is none, and for documents that are malformed. All documents
/// on the way are read from `store`, and no others. None for an artifact.
pub fn choose(
    store: &dyn Store,
    name: &str,
    root: &Descriptor,
    platform: &Platform,
) -> Result<Option<(Descriptor, Existing)>> {
    let mut search = Search { reader: Reader::new(store), name, platform };
    let found = if media_type::is_index(&root.media_type) { search.among(root)? } else { root.clone() };
    Ok(search.image(&found)?.map(|image| (found, image)))
}

struct Search<'s> {
    reader: Reader<'s>,
    name: &'s str,
    platform: &'s Platform,
}

/// The manifests and platforms that indexes list.
#[derive(Default)]
struct ListedImages {
    /// The best so far, and how well it fits.
    best: Option<(usize, Descriptor)>,
    platforms: BTreeSet<String>,
}

impl Search<'_> {
    /// The manifest that fits best in an index, or in those that it lists; the first of those that fit alike.
    fn among(&mut self, root: &Descriptor) -> Result<Descriptor> {
        let mut listed = ListedImages::default();
        self.visit(root, 0, &mut listed)?;
        let ListedImages { best, platforms } = listed;
        best.map(|(_, manifest)| manifest).ok_or_else(|| {
            let platforms: Vec<String> = platforms.into_iter().collect();
            let known = if platforms.is_empty() { "no images at all".to_owned() } else { platforms.join(", ") };
            Error::not_found(format!("{} has no image for {}", self.name, self.platform))
                .with_hint(format!("it has {known}"))
        })
    }

    fn visit(&mut self, index: &Descriptor, depth: usize, listed: &mut ListedImages) -> Result<()> {
        if depth > DEPTH {
            let message = format!("{}: indexes are nested more than {DEPTH} deep", self.name);
            return Err(Error::input(message));
        }
        let bytes = self.reader.document(index)?;
        for each in children(index, &bytes)? {
            if each.is_attestation() || each.is_artifact() || !media_type::is_manifest_or_index(&each.media_type) {
                continue;
            }
            let fit = |platform: &Platform| self.platform.fit(platform);
            if media_type::is_index(&each.media_type) {
                if each.platform.as_ref().is_none_or(|platform| fit(platform).is_some()) {
                    self.visit(&each, depth + 1, listed)?;
                }
                continue;
            }
            let platform = match each.platform.clone() {
                Some(platform) => platform,
                None => match self.image(&each)? {
                    Some(image) => image.config.platform,
                    None => continue,
                },
            };
            listed.platforms.insert(platform.normalised().to_string());
            let best = listed.best.as_ref().map_or(usize::MAX, |(fit, _)| *fit);
            if let Some(fit) = self.platform.fit(&platform).filter(|fit| *fit < best) {
                listed.best = Some((fit, each));
            }
        }
        Ok(())
    }

    /// Returns none for an artifact. What an image does not say of its platform, it is what is wanted.
    fn image(&mut self, descriptor: &Descriptor) -> Result<Option<Existing>> {
        let listed = descriptor.clone().with_platform(descriptor.platform.clone().unwrap_or(self.platform.clone()));
        self.reader.image(&listed).map_err(|error| about(error, self.name))
    }
}

/// `error`, which names a document by its digest alone.
fn about(error: Error, name: &str) -> Error {
    Error { message: format!("{name}: {}", error.message), ..error }
}
