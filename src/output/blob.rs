//! This file copies blobs from a store to where an output is written.

use std::io::{self, Read, Write};
use std::path::Path;

use crate::error::{Error, Result};
use crate::layer::{Layer, LayerReader};
use crate::oci::Descriptor;
use crate::progress::{BlobOutcome, Event, Progress};
use crate::store::Store;

/// Copies a blob, verified by the reader, to a writer that leads to `destination`.
pub(super) fn copy_blob(
    store: &dyn Store,
    descriptor: &Descriptor,
    to: &mut dyn Write,
    destination: &Path,
    progress: Progress<'_>,
) -> Result<()> {
    copy_content(store.open(descriptor)?, descriptor, to, destination, progress)
}

/// Does the same for a layer, which has to unpack to its diff_id.
pub(super) fn copy_layer(
    store: &dyn Store,
    layer: &Layer,
    to: &mut dyn Write,
    destination: &Path,
    progress: Progress<'_>,
) -> Result<()> {
    let descriptor = &layer.descriptor;
    match store.diff_id(descriptor) {
        Some(known) => {
            layer.check_diff_id(known)?;
            copy_blob(store, descriptor, to, destination, progress)
        }
        None => {
            let from = LayerReader::new(store.open(descriptor)?, layer);
            copy_content(from, descriptor, to, destination, progress)?;
            store.note_diff_id(layer)
        }
    }
}

fn copy_content(
    mut from: impl Read,
    descriptor: &Descriptor,
    to: &mut dyn Write,
    destination: &Path,
    progress: Progress<'_>,
) -> Result<()> {
    progress(Event::BlobStarted { descriptor });
    let mut buffer = vec![0; 1 << 18];
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Error::from_read("read", descriptor.digest.to_string(), error)),
        };
        to.write_all(&buffer[..count]).map_err(|source| Error::io("write", destination, source))?;
        progress(Event::BlobAdvanced { digest: descriptor.digest, bytes: count as u64 });
    }
    progress(Event::BlobFinished { digest: descriptor.digest, outcome: BlobOutcome::Written });
    Ok(())
}
