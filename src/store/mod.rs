//! A [`Store`] is where content is kept and read from: by digest, and by name where the place has names.

pub mod archive;
mod beside;
mod blob_file;
mod cache_mount;
mod contents;
mod follow;
mod gathered;
mod graph;
mod keyed_file;
mod layered;
pub mod layout;
mod listed;
mod local;
mod named;
pub(crate) mod lock;
mod notes;
pub mod pending;
mod private;
pub mod prune;
pub(crate) mod regular;
mod repositories;
mod unpacked;
mod usage;

pub use archive::Archive;
pub use beside::Beside;
pub use blob_file::BlobFile;
pub use cache_mount::CacheMount;
pub use contents::{BlobKind, Contents, Item};
pub use follow::{Follow, Follower};
pub use gathered::Gathered;
pub use graph::{DocumentBudget, Graph, children, read_document};
pub use layered::{Layered, fetch};
pub use layout::Layout;
pub use listed::{CONTAINERD_NAME, Listed, REF_NAME, images};
pub use local::{LocalStore, PendingBlob};
pub use named::{FoundImage, ImageArrival, NamedImage};
pub use unpacked::PendingUnpacked;

use std::io::Read;

use crate::error::{ErrorKind, Result};
use crate::layer::Layer;
use crate::oci::{Descriptor, Digest, Reference};

/// A place that holds blobs: the local store, a layout, an archive, a registry's repository.
pub trait Store: Send + Sync {
    /// Opens the content of a descriptor. The reader checks digest and size and fails, at the latest in place of the
    /// end of file, if they do not hold. Content that is not there is [`ErrorKind::NotFound`].
    ///
    /// [`ErrorKind::NotFound`]: crate::error::ErrorKind::NotFound
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>>;

    /// Opens the content of a descriptor so that any part of it can be read; none where it is not there, or does not lie in a file. Nothing
    /// of it is verified: whoever reads it has to know what it should be.
    fn open_file(&self, _: &Descriptor) -> Option<BlobFile> {
        None
    }

    /// Returns the root (index or manifest) that `name` stands for; `None` asks for the only one there is.
    fn resolve(&self, name: Option<&str>) -> Result<Descriptor>;

    /// Returns whether the content of a descriptor is there, as far as that is known without reading it.
    fn has(&self, descriptor: &Descriptor) -> Result<bool> {
        match self.open(descriptor) {
            Err(error) if error.kind == ErrorKind::NotFound => Ok(false),
            opened => opened.map(|_| true),
        }
    }

    /// Returns what is listed as referring to the manifest or index `subject`. Nothing of it is verified.
    fn referrers(&self, _subject: &Descriptor) -> Result<Vec<Descriptor>> {
        Ok(Vec::new())
    }

    /// Returns the diff_id of a layer, where it is known to have been computed from its bytes.
    fn diff_id(&self, _: &Descriptor) -> Option<Digest> {
        None
    }

    /// Takes it that the content of `layer`, all of which was read and is what its descriptor says, unpacks to its diff_id.
    /// Where there is no place for it, it will have to be found out again.
    fn note_diff_id(&self, _layer: &Layer) -> Result<()> {
        Ok(())
    }

    /// Returns the repository that has the content of a descriptor, for its registry to take it from there; none if it
    /// is in no registry.
    fn origin(&self, _: &Descriptor) -> Option<&Reference> {
        None
    }

    /// Returns the repositories of `registry` that should have the content of a descriptor, for the registry to take it from
    /// there; the likeliest comes first. It does no harm if one does not have it.
    fn repositories(&self, descriptor: &Descriptor, registry: &str) -> Vec<Reference> {
        self.origin(descriptor).filter(|origin| origin.registry() == registry).into_iter().cloned().collect()
    }

    /// Takes note that the repository of `name` has the content of a descriptor. Where there is no place for it, nobody will
    /// know.
    fn note_repository(&self, _: &Descriptor, _name: &Reference) {}
}
