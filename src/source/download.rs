//! Files downloaded over HTTP, kept in the local store.

use crate::error::Result;
use crate::layer::Content;
use crate::oci::Digest;
use crate::progress::Progress;
use crate::registry::OnDemand;
use crate::store::LocalStore;

/// A file as it was downloaded, now or before.
#[derive(Debug, Clone)]
pub struct Downloaded {
    /// What it is called in a directory: the name in `Content-Disposition`, or the last of the URL's path.
    pub name: String,
    pub digest: Digest,
    pub content: Content,
    /// `Last-Modified`, in seconds since 1970; 0 where the server did not say.
    pub modified: i64,
}

/// Downloads `url` into `store`. What the store has of that `checksum` is not asked for; what it has of this URL is taken if
/// the server says that it is unchanged. Another content than `checksum` says is an integrity error.
pub fn download(
    url: &str,
    checksum: Option<Digest>,
    store: &LocalStore,
    client: &OnDemand,
    progress: Progress<'_>,
) -> Result<Downloaded> {
    let _ = (url, checksum, store, client, progress);
    todo!()
}
