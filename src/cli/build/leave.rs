//! What a build leaves in the local store.

use crate::error::Result;
use crate::oci::Descriptor;
use crate::output::OutputImage;
use crate::progress::{Event, Progress};
use crate::store::{self, Graph, ImageArrival, Layered, LocalStore, NamedImage, Store};

/// Leaves an image under its names in the local store: whole, unless it `is_pushed`, so that a registry has it. `fetch` has the
/// layers of bases brought there.
pub fn leave(
    OutputImage { store: whole, root, names }: OutputImage<'_>,
    is_pushed: bool,
    store: &LocalStore,
    fetch: &dyn Fn(&[Descriptor]) -> Result<()>,
    progress: Progress<'_>,
) -> Result<()> {
    let pushed = names.first().filter(|_| is_pushed);
    if pushed.is_none() && !names.is_empty() {
        let blobs = Graph::of(whole, root)?.blobs;
        fetch(&blobs)?;
        let missing: Vec<&Descriptor> = blobs.iter().filter(|blob| !store.claim(blob)).collect();
        store::fetch(&Layered::new(store, whole), &missing, 0)?;
        for blob in &blobs {
            // A push to the same registry then need not send it.
            whole.origin(blob).into_iter().for_each(|origin| store.note_repository(blob, origin));
        }
    }
    for name in names {
        let arrival = if pushed.is_some() { ImageArrival::Pushed } else { ImageArrival::Made };
        let elsewhere = pushed.map(|name| name.with_digest(root.digest));
        store.put_name(&NamedImage { elsewhere, ..NamedImage::now(name, root, arrival) })?;
        progress(Event::ImageNamed { name, digest: root.digest });
    }
    Ok(())
}
