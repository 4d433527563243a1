//! The images for one platform that a collection is made of, as an index lists them.

use super::collection::{Collected, Collection};
use super::narrow::attestations;
use crate::error::{Error, Result};
use crate::image::{IndexMember, Reader};
use crate::oci::{Descriptor, media_type};

impl Collection<'_> {
    /// Returns the images for one platform that those of the collection are made of. Fails if one of the collection is an
    /// artifact, not an image.
    pub fn members(&self) -> Result<Vec<IndexMember>> {
        let mut members = Vec::new();
        for collected in &self.images {
            let count = members.len();
            let manifests = collected.manifests.iter();
            for manifest in manifests.filter(|it| media_type::is_manifest(&it.media_type) && !it.is_attestation()) {
                members.extend(self.member(collected, manifest)?);
            }
            if members.len() == count {
                return Err(Error::input(format!("{} is an artifact, not an image", collected.title)));
            }
        }
        Ok(members)
    }

    /// Returns none if it is not an image.
    fn member(&self, collected: &Collected, descriptor: &Descriptor) -> Result<Option<IndexMember>> {
        let image = Reader::new(&self.content).image(descriptor)?;
        Ok(image.map(|image| IndexMember {
            title: collected.title.clone(),
            manifest: Descriptor::new(&descriptor.media_type, descriptor.digest, descriptor.size),
            platform: image.config.platform,
            annotations: image.manifest.annotations,
            attestations: attestations(&collected.manifests, &[descriptor]).cloned().collect(),
        }))
    }
}
