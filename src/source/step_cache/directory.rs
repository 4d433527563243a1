//! Entries in a directory: `steps/HEX` for each key, and `blobs/sha256/HEX` for each layer.

use std::fs;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::entry::{Lookup, StepEntry};
use crate::error::{Error, Result};
use crate::oci::{Descriptor, Digest, VerifyingReader};
use crate::source::artifact::{ARTIFACT_LIMIT, ArtifactForm, as_wrong};
use crate::store::Store;
use crate::store::pending::PendingFile;
use crate::store::regular;

pub struct StepDirectory {
    root: PathBuf,
}

impl StepDirectory {
    pub fn new(root: PathBuf) -> Self {
        StepDirectory { root }
    }

    pub fn find(&self, key: &Digest, is_trusted: &dyn Fn(&StepEntry) -> bool) -> Result<Lookup> {
        let path = self.step(key);
        let failed = |source| Error::io("read", &path, source);
        let file = match regular::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Lookup::Missing),
            Err(error) => return Err(failed(error)),
        };
        let mut manifest = Vec::new();
        file.take(ARTIFACT_LIMIT + 1).read_to_end(&mut manifest).map_err(failed)?;
        if manifest.len() as u64 > ARTIFACT_LIMIT {
            return Err(Error::integrity(format!("{} has more than {ARTIFACT_LIMIT} bytes", path.display())));
        }
        let entry = StepEntry::read(&manifest, key).map_err(as_wrong)?;
        if !is_trusted(&entry) {
            return Ok(Lookup::Useless);
        }
        if let Some(layer) = &entry.layer {
            let Descriptor { digest, size, .. } = &layer.descriptor;
            match fs::metadata(self.blob(digest)) {
                Ok(blob) if blob.len() == *size => {}
                Ok(_) => return Err(Error::integrity(format!("the layer {digest} is not as large as its entry says"))),
                // Somebody has tidied up.
                Err(_) => return Ok(Lookup::Useless),
            }
        }
        Ok(Lookup::Entry(Box::new(entry)))
    }

    pub fn has(&self, key: &Digest) -> Result<bool> {
        Ok(matches!(self.find(key, &|_| true), Ok(Lookup::Entry(_))))
    }

    pub fn layer(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        let path = self.blob(&descriptor.digest);
        let file = regular::open(&path).map_err(|source| Error::io("read", &path, source))?;
        Ok(Box::new(VerifyingReader::new(file, descriptor.digest, descriptor.size)))
    }

    pub fn put(&self, entry: &StepEntry, store: &dyn Store) -> Result<()> {
        if let Some(layer) = &entry.layer {
            let (path, size) = (self.blob(&layer.descriptor.digest), layer.descriptor.size);
            if !fs::metadata(&path).is_ok_and(|blob| blob.len() == size) {
                make_parent(&path)?;
                let mut file = PendingFile::beside(&path)?;
                let mut blob = store.open(&layer.descriptor)?;
                io::copy(&mut blob, &mut file).map_err(|source| Error::from_read("write", &path, source))?;
                file.keep(&path)?;
            }
        }
        let path = self.step(&entry.key);
        make_parent(&path)?;
        PendingFile::replace(&path, &entry.artifact().manifest(ArtifactForm::Artifact).0)
    }

    fn step(&self, key: &Digest) -> PathBuf {
        self.root.join("steps").join(key.hex())
    }

    fn blob(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs/sha256").join(digest.hex())
    }
}

fn make_parent(path: &Path) -> Result<()> {
    let parent = path.parent().unwrap_or(path);
    fs::create_dir_all(parent).map_err(|source| Error::io("create", parent, source))
}
