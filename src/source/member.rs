use super::collection::{Collected, Collection};
use super::narrow::attestations;
use crate::error::{Error, Result};
use crate::oci::{Descriptor, ImageConfig, ImageManifest, Map, Platform, from_json, media_type};
use crate::store::read_document;

/// An image for one platform that an index is to list.
#[derive(Debug, Clone)]
pub struct Member {
    /// What errors call it.
    pub title: String,
    pub manifest: Descriptor,
    /// As its config says.
    pub platform: Platform,
    pub annotations: Map<String>,
    /// Those that were listed beside it.
    pub attestations: Vec<Descriptor>,
}

impl Collection<'_> {
    /// The images for one platform that those of the collection are made of.
    pub fn members(&self) -> Result<Vec<Member>> {
        let mut members = Vec::new();
        for collected in &self.images {
            let count = members.len();
            let manifests = collected.manifests.iter();
            for manifest in manifests.filter(|it| media_type::is_manifest(&it.media_type) && !it.is_attestation()) {
                members.extend(self.member(collected, manifest)?);
            }
            if members.len() == count {
                return Err(Error::input(format!("{} is no image but an artifact", collected.title)));
            }
        }
        Ok(members)
    }

    /// None if it is no image.
    fn member(&self, collected: &Collected, descriptor: &Descriptor) -> Result<Option<Member>> {
        let what = |kind: &str, of: &Descriptor| format!("{kind} {}", of.digest);
        let manifest: ImageManifest =
            from_json(&what("manifest", descriptor), &read_document(&self.content, descriptor)?)?;
        if !media_type::is_image_config(&manifest.config.media_type) {
            return Ok(None);
        }
        let config: ImageConfig =
            from_json(&what("config", &manifest.config), &read_document(&self.content, &manifest.config)?)?;
        Ok(Some(Member {
            title: collected.title.clone(),
            manifest: Descriptor::new(&descriptor.media_type, descriptor.digest, descriptor.size),
            platform: config.platform,
            annotations: manifest.annotations,
            attestations: attestations(&collected.manifests, &[descriptor]).cloned().collect(),
        }))
    }
}
