//! How much the layers of an image may hold.

use crate::layer::Layer;
use crate::tree::Limits;

impl Limits {
    /// Returns the limits of an image of `layers`: `size` bytes, if it is given, else 4 GiB or 100 times what the blobs
    /// have.
    pub fn of(layers: &[Layer], size: Option<u64>) -> Self {
        let blobs = layers.iter().map(|layer| layer.descriptor.size).fold(0, u64::saturating_add);
        let usual = Self::of_archive(blobs);
        Limits { size: size.unwrap_or(usual.size), ..usual }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::{Descriptor, Digest};

    #[test]
    fn small_images_may_grow_to_4_gib_and_large_ones_a_hundredfold() {
        let layer =
            |size| Layer { descriptor: Descriptor::new("any", Digest::of(b"blob"), size), diff_id: Digest::of(b"tar") };
        assert_eq!(Limits::of(&[], None).size, 4 << 30);
        assert_eq!(Limits::of(&[layer(1000), layer(1000)], None).size, 4 << 30);
        assert_eq!(Limits::of(&[layer(1 << 30), layer(1 << 29)], None).size, 150 << 30);
        assert_eq!(Limits::of(&[layer(u64::MAX), layer(1 << 29)], None).size, u64::MAX);
        assert_eq!(Limits::of(&[layer(1 << 30)], Some(5)).size, 5);
    }
}
