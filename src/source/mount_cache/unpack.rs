//! From the layers of a cache mount to a directory.

use std::io::{self, Read};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;

use rayon::ThreadPool;

use crate::error::{Error, Result};
use crate::layer::{self, Layer, Overlay, Owners, Unpacked};
use crate::oci::Descriptor;
use crate::registry::Repository;
use crate::store::{LocalStore, Store};
use crate::tree::{Files, Kind, Limits, Object, Spool};

/// Writes what `layers` make into the empty directory `root`, which errors call `shown`, for commands: with the owners that they name.
/// Every byte is verified, and what is in it if this fails is nothing.
pub fn unpack(
    layers: &[Layer],
    limits: Limits,
    (repository, store): (&Repository<'_>, &LocalStore),
    (root, shown): (BorrowedFd<'_>, &Path),
    pool: &ThreadPool,
) -> Result<()> {
    let Unpacked { directories, .. } = if layer::has_one_id() {
        // On disk files have another form there, which is known when all headers are: the layers are read twice.
        let open = |descriptor: &Descriptor| brought(descriptor, repository, store);
        let files = layer::read(layers, &open, limits, pool)?;
        check(&files)?;
        layer::unpack(Owners::OfLayers, &layer::with_kept(&files), layers, &open, (root, shown), pool)?
    } else {
        let open = |descriptor: &Descriptor| repository.open(descriptor);
        let (members, staged) = layer::stage(Owners::OfLayers, layers, &open, limits, (root, shown), pool)?;
        let mut overlay = Overlay::new();
        for (number, (members, layer)) in members.into_iter().zip(layers).enumerate() {
            overlay.apply(number, members, &Arc::new(Spool::new(layer.diff_id)))?;
        }
        check(overlay.files())?;
        staged.arrange(overlay.files(), layers)?
    };
    directories.finish(b"", root, shown)
}

/// Opens a blob in the local store, once it is there.
fn brought<'s>(
    descriptor: &Descriptor,
    repository: &Repository<'_>,
    store: &'s LocalStore,
) -> Result<Box<dyn Read + Send + 's>> {
    if !store.claim(descriptor) {
        let mut blob = store.begin()?;
        io::copy(&mut repository.open(descriptor)?, &mut blob)
            .map_err(|source| Error::from_read("pull", descriptor.digest.to_string(), source))?;
        store.commit(blob, descriptor.digest)?;
    }
    store.open(descriptor)
}

/// Nothing that is pushed here has devices, which a command could not make.
fn check(files: &Files) -> Result<()> {
    let is_device =
        |object: &Object| matches!(object, Object::Other(Kind::CharacterDevice { .. } | Kind::BlockDevice { .. }));
    match files.paths().find(|(_, node)| is_device(node.object())) {
        Some((path, _)) => Err(Error::integrity(format!("/{} is a device", path.escape_ascii()))),
        None => Ok(()),
    }
}
