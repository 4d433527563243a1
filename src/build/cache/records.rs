//! What earlier builds came to, as the local store remembers it.

use std::io;

use serde::{Deserialize, Serialize};

use super::key::Key;
use crate::error::Result;
use crate::layer::{Compression, Earlier, Layer, Piece};
use crate::oci::{Descriptor, Digest, KeyBuilder, Keyed, from_json, media_type, to_json};
use crate::store::{LocalStore, Store};

/// All that is remembered of a step.
#[derive(Debug, Serialize, Deserialize)]
struct StepRecord {
    /// None if it changed nothing.
    layer: Option<Layer>,
    /// The key of the layer itself, by what its files look like.
    made_of: Option<Digest>,
}

impl Keyed for Layer {}

impl Keyed for StepRecord {}

impl Keyed for Vec<Piece> {}

impl Key {
    /// Returns what the step of this key came to, which is a layer or none, if the store still has it. What is known of the
    /// layer's own key counts as used, too: a build that has to look at the files asks for that.
    pub fn outcome(&self, store: &LocalStore) -> Option<Option<Layer>> {
        let (blob, content) = store.record(&self.digest())?;
        let StepRecord { layer, made_of } = from_json::<StepRecord>("a step's record", &content).ok()?;
        if let Some(made_of) = made_of {
            store.touch_record(&made_of);
        }
        match layer {
            None => Some(None),
            Some(layer) => kept(layer, &blob, store).map(Some),
        }
    }

    /// Remembers what the step of this key came to; a layer [is certain](is_certain), and is beside its own key.
    pub fn remember_outcome(&self, store: &LocalStore, layer: Option<&Layer>, made_of: Option<Key>) -> Result<()> {
        let record = StepRecord { layer: layer.cloned(), made_of: made_of.map(|key| key.digest()) };
        let blob = layer.map_or_else(|| marker(store), |layer| Ok(layer.descriptor.digest))?;
        store.put_record(&self.digest(), &blob, &to_json(&record))
    }

    /// Returns the layer that this key led to, if the store still has it. A record that cannot be read is none.
    pub fn find(&self, store: &LocalStore) -> Option<Layer> {
        let (blob, content) = store.record(&self.digest())?;
        kept(from_json("a layer's record", &content).ok()?, &blob, store)
    }

    /// Remembers `layer`, which [is certain](is_certain).
    pub fn remember(&self, store: &LocalStore, layer: &Layer) -> Result<()> {
        store.put_record(&self.digest(), &layer.descriptor.digest, &to_json(layer))
    }
}

/// Returns `layer` if it is of `blob`, and the store still has that.
fn kept(layer: Layer, blob: &Digest, store: &LocalStore) -> Option<Layer> {
    if layer.descriptor.digest != *blob || !store.claim(&layer.descriptor) {
        return None;
    }
    match store.diff_id(&layer.descriptor) {
        Some(known) => (known == layer.diff_id).then_some(layer),
        None => {
            store.take_diff_id(&layer);
            Some(layer)
        }
    }
}

/// Returns whether the store has a layer, and it was found out there that it unpacks to its diff_id. Nothing is
/// remembered of any other: what an image says of its layers may be a lie.
pub fn is_certain(store: &LocalStore, layer: &Layer) -> bool {
    store.claim(&layer.descriptor) && store.diff_id(&layer.descriptor) == Some(layer.diff_id)
}

/// Returns the blob that records are of which are of no layer in the store. One that is damaged is made anew.
pub fn marker(store: &LocalStore) -> Result<Digest> {
    let empty = Descriptor::of(media_type::EMPTY, b"{}");
    let is_whole = store.open(&empty).is_ok_and(|mut blob| io::copy(&mut blob, &mut io::sink()).is_ok());
    if !is_whole {
        store.put(media_type::EMPTY, b"{}")?;
    }
    Ok(empty.digest)
}

/// Returns where the last layer of a step is noted, for the next one to take over what has not changed: the step's number and
/// title say which. Another context may have the same place, which does no harm: blocks are found by their digests.
pub fn place(number: usize, title: &str, compression: Compression) -> Digest {
    let encoder = compression.identity();
    KeyBuilder::new("pieces 4").part("compression", &encoder).part("number", &number).part("title", title).finish()
}

/// Returns the layer that was noted at `place`, if the store still has its blob.
pub fn earlier(store: &LocalStore, place: &Digest) -> Option<Earlier> {
    let (blob, content) = store.record(place)?;
    let pieces: Vec<Piece> = from_json("a layer's pieces", &content).ok()?;
    Some(Earlier::new(store.blob(&blob)?, pieces))
}

/// Notes a layer, which is in the store as `blob`, at `place`.
pub fn note(store: &LocalStore, place: &Digest, blob: &Digest, pieces: &[Piece]) -> Result<()> {
    store.put_record(place, blob, &to_json(&pieces))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_marker_that_is_damaged_is_made_anew() {
        let place = tempfile::tempdir().unwrap();
        let made = marker(&LocalStore::open(place.path()).unwrap()).unwrap();
        let path = place.path().join("blobs/sha256").join(made.hex());
        assert_eq!(fs::read(&path).unwrap(), b"{}");

        fs::write(&path, b"xx").unwrap();
        assert_eq!(marker(&LocalStore::open(place.path()).unwrap()).unwrap(), made);
        assert_eq!(fs::read(&path).unwrap(), b"{}");
    }
}
