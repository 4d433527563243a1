//! Archives that are unpacked: tars, as they are or compressed with gzip, bzip2, xz or zstd. What the content looks like
//! decides, not its name.

use crate::error::Result;
use crate::layer::{Content, Entry};
use crate::store::LocalStore;

/// What `content` unpacks to: sorted by path, each path once, links within the archive followed where they lead to a
/// directory that something lies in; owner, mode, time and attributes as the archive has them. Directories that it does not
/// tell of are not among them, nor is its root, unless it tells of that. Hard links lead to a file that stands before them.
///
/// None if it is not a tar: so is one without a single entry. Errors call it `name`. One that has a device in it, a path
/// with `..`, or more than [`Limits`](crate::layer::Limits) allow, is an error.
pub fn entries(content: &Content, name: &str, store: &LocalStore) -> Result<Option<Vec<Entry>>> {
    let _ = (content, name, store);
    todo!()
}
