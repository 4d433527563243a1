//! A [`Layout`] is an OCI image layout (image-spec, image-layout.md): a directory, or, in an archive, the same in a tar.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::Store;
use super::blob_file::{BlobFile, unopened, verified};
use super::listed::{CONTAINERD_NAME, REF_NAME, Subjects};
use super::regular;
use crate::error::{Error, Result};
use crate::oci::{Descriptor, Digest, ImageIndex, MANIFEST_LIMIT, Reference, from_json};

/// The file that makes a directory a layout.
pub const MARKER: &str = "oci-layout";
/// The content of that file.
pub const MARKER_CONTENT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;

/// The file that lists the images.
pub const INDEX: &str = "index.json";

/// The directory of the blobs.
pub const BLOBS: &str = "blobs/sha256";

/// A layout directory, read.
#[derive(Debug)]
pub struct Layout {
    root: PathBuf,
    index: ImageIndex,
    subjects: Subjects,
}

impl Layout {
    /// Opens the layout at `root` and reads its list of images.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        if !Self::is_at(&root) {
            return Err(Error::not_found(format!("{} is not an OCI layout", root.display()))
                .with_hint(format!("a layout is a directory with `{MARKER}`, `{INDEX}` and `blobs`")));
        }
        let path = root.join(INDEX);
        let bytes = regular::open(&path)
            .and_then(|file| read_limited(file, MANIFEST_LIMIT))
            .map_err(|source| Error::io("read", &path, source))?;
        let index = from_json(&path.display().to_string(), &bytes)?;
        Ok(Layout { root, index, subjects: Subjects::default() })
    }

    /// Returns whether there is a layout at `path`.
    pub fn is_at(path: &Path) -> bool {
        path.join(MARKER).is_file()
    }

    /// Returns the list of its images, each by its names.
    pub fn index(&self) -> &ImageIndex {
        &self.index
    }
}

impl Store for Layout {
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        let path = self.root.join(blob_path(&descriptor.digest));
        let file = regular::open(&path).map_err(|source| unopened(&path, descriptor, source))?;
        Ok(Box::new(verified(file, descriptor)))
    }

    fn open_file(&self, descriptor: &Descriptor) -> Option<BlobFile> {
        let file = regular::open(&self.root.join(blob_path(&descriptor.digest))).ok()?;
        Some(BlobFile::new(file, 0))
    }

    fn resolve(&self, name: Option<&str>) -> Result<Descriptor> {
        choose(&self.index, name, "oci", &self.root)
    }

    fn has(&self, descriptor: &Descriptor) -> Result<bool> {
        let path = self.root.join(blob_path(&descriptor.digest));
        match fs::metadata(&path) {
            Ok(blob) => Ok(blob.is_file() && blob.len() == descriptor.size),
            Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(Error::io("look at", path, source)),
        }
    }

    fn referrers(&self, subject: &Descriptor) -> Result<Vec<Descriptor>> {
        self.subjects.referrers(self, &self.index, subject)
    }
}

/// Returns where a blob lies in a layout.
pub fn blob_path(digest: &Digest) -> String {
    format!("{BLOBS}/{}", digest.hex())
}

/// Returns the image of an `index.json` that `name` means: its reference name, full name (in docker's short form, too) or
/// digest. Without a name there must be only one image, though it may have several names; an artifact that is listed as
/// such counts only beside no image. `kind` is what skopeo writes before `place`.
pub(super) fn choose(index: &ImageIndex, name: Option<&str>, kind: &str, place: &Path) -> Result<Descriptor> {
    let names = |descriptor: &Descriptor| {
        let named = [REF_NAME, CONTAINERD_NAME].map(|key| descriptor.annotations.get(key).cloned());
        named.into_iter().flatten().collect::<Vec<_>>()
    };
    let wanted: Vec<&Descriptor> = match name {
        None => {
            let images: Vec<_> = index.manifests.iter().filter(|each| !each.is_artifact()).collect();
            if images.is_empty() { index.manifests.iter().collect() } else { images }
        }
        Some(name) => {
            let is_meant = |descriptor: &&Descriptor| {
                descriptor.digest.to_string() == name || names(descriptor).iter().any(|each| each == name)
            };
            let exact: Vec<_> = index.manifests.iter().filter(is_meant).collect();
            // Some write `docker.io/library/nginx:1` where others have `nginx:1`.
            let familiar = |name: &str| name.parse().ok().map(|name: Reference| name.familiar());
            let wanted = familiar(name).filter(|_| exact.is_empty());
            let is_like = |descriptor: &&Descriptor| names(descriptor).iter().any(|each| familiar(each) == wanted);
            if wanted.is_some() { index.manifests.iter().filter(is_like).collect() } else { exact }
        }
    };
    let place = place.display();
    let known = || {
        let all = index.manifests.iter();
        let each = all.map(|descriptor| names(descriptor).pop().unwrap_or_else(|| descriptor.digest.to_string()));
        let each: std::collections::BTreeSet<String> = each.collect();
        format!("it has {}", each.into_iter().collect::<Vec<_>>().join(", "))
    };
    match (wanted.first(), name) {
        (None, _) if index.manifests.is_empty() => Err(Error::not_found(format!("{place} holds no image"))),
        (None, name) => {
            let name = name.unwrap_or_default();
            Err(Error::not_found(format!("{place} has no image `{name}`")).with_hint(known()))
        }
        (Some(first), _) if wanted.iter().all(|each| each.digest == first.digest) => {
            let mut root = (*first).clone();
            root.annotations.clear();
            Ok(root)
        }
        (Some(_), None) => Err(Error::input(format!("{place} holds several images"))
            .with_hint(format!("say which, as in {kind}:{place}:NAME; {}", known()))),
        (Some(_), Some(name)) => Err(Error::input(format!("{place} holds several images `{name}`")).with_hint(known())),
    }
}

/// Reads all of a small file that came from outside; one over `limit` bytes is refused.
pub(super) fn read_limited(reader: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::other(format!("it is larger than {limit} bytes")));
    }
    Ok(bytes)
}
