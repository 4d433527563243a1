//! The lists of `docker manifest` that are not pushed yet. They lie where docker has them and in its form: docker and this program
//! go on with each other's lists, and what scripts do to that directory is done to ours.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use crate::cli::environment::Environment;
use crate::error::{Error, Result};
use crate::oci::{Descriptor, ImageManifest, Keyed, Reference, from_json, media_type, to_json};
use crate::store::pending::PendingFile;
use crate::store::regular;

/// The most entries that a list has.
pub const MOST_ENTRIES: usize = 1000;

/// The most bytes of the file of an entry: it has a manifest twice, once in base64.
const FILE_LIMIT: u64 = 16 << 20;

/// Docker's directory of lists: one in it for each list, and in that a file for each entry.
pub struct KeptLists {
    directory: PathBuf,
}

/// An image for one platform in a list.
#[derive(Debug, Clone)]
pub struct ListEntry {
    /// The name under which it was put there.
    pub reference: Reference,
    /// Its manifest, and the platform that the list gives it.
    pub descriptor: Descriptor,
    /// The bytes of the manifest, verified; old versions of docker do not keep them.
    pub manifest: Option<Vec<u8>>,
}

impl KeptLists {
    /// Returns the lists of the user. Nothing is read yet.
    pub fn of(environment: &Environment) -> Result<Self> {
        let config = environment.docker_config.as_deref().ok_or_else(|| {
            Error::usage("there is no place for manifest lists: neither HOME nor DOCKER_CONFIG is set")
                .with_hint("set DOCKER_CONFIG to a directory of yours")
        })?;
        Ok(KeptLists { directory: config.join("manifests") })
    }

    /// Returns the entries of a list, in the order of their names; none if there is no such list.
    pub fn entries(&self, list: &Reference) -> Result<Option<Vec<ListEntry>>> {
        let directory = self.path(list);
        let failed = |source| Error::io("list", &directory, source);
        let listing = match fs::read_dir(&directory) {
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
            listing => listing.map_err(failed)?,
        };
        let mut names = Vec::new();
        for entry in listing {
            names.push(entry.map_err(failed)?.file_name());
            if names.len() > MOST_ENTRIES {
                let message = format!("{} has more than {MOST_ENTRIES} entries", directory.display());
                return Err(Error::input(message).with_hint(remove(list)));
            }
        }
        names.sort();
        // An unfinished file of this program.
        let is_entry = |name: &&OsString| !name.to_string_lossy().starts_with('.');
        let read = |name: &OsString| read(&directory.join(name), list);
        let entries: Vec<ListEntry> =
            names.iter().filter(is_entry).filter_map(|name| read(name).transpose()).collect::<Result<_>>()?;
        Ok(Some(entries).filter(|entries| !entries.is_empty()))
    }

    /// Returns the entry of an image in a list; none if there is no such list, or it has no such entry.
    pub fn entry(&self, list: &Reference, image: &Reference) -> Result<Option<ListEntry>> {
        let found = read(&self.path(list).join(file_name(image)), list)?;
        // Docker writes several names alike.
        Ok(found.filter(|entry| entry.reference == *image))
    }

    /// Puts an entry into a list, in the place of one that it has for the image.
    pub fn put(&self, list: &Reference, entry: &ListEntry) -> Result<()> {
        let directory = self.path(list);
        fs::create_dir_all(&directory).map_err(|source| Error::io("create", &directory, source))?;
        PendingFile::replace(&directory.join(file_name(&entry.reference)), &to_json(&entry.document()))
    }

    /// Removes a list. Returns false if there is none.
    pub fn remove(&self, list: &Reference) -> Result<bool> {
        let directory = self.path(list);
        match fs::remove_dir_all(&directory) {
            Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(false),
            removed => removed.map(|()| true).map_err(|source| Error::io("remove", &directory, source)),
        }
    }

    fn path(&self, list: &Reference) -> PathBuf {
        self.directory.join(file_name(list))
    }
}

/// Returns the error for a list that is not there, in docker's words.
pub fn no_such(name: &Reference) -> Error {
    Error::not_found(format!("No such manifest: {name}")).with_hint("`docker manifest create` makes a list")
}

impl ListEntry {
    /// Returns the entry as docker writes it, and shows it.
    pub fn document(&self) -> EntryDocument {
        let manifest = self.manifest.as_ref().and_then(|bytes| from_json("a manifest", bytes).ok());
        let is_dockers = self.descriptor.media_type == media_type::DOCKER_MANIFEST;
        let (dockers, oci) = if is_dockers { (manifest, None) } else { (None, manifest) };
        EntryDocument {
            reference: self.reference.to_string(),
            descriptor: self.descriptor.clone(),
            raw: self.manifest.as_ref().map(|bytes| BASE64_STANDARD.encode(bytes)),
            dockers,
            oci,
        }
    }
}

/// The file of an entry (`types.ImageManifest` of docker's command line).
#[derive(Debug, Serialize, Deserialize)]
pub struct EntryDocument {
    #[serde(rename = "Ref")]
    reference: String,
    #[serde(rename = "Descriptor")]
    descriptor: Descriptor,
    #[serde(rename = "Raw", default, skip_serializing_if = "Option::is_none")]
    raw: Option<String>,
    // Docker shows these two, and takes blobs from them; here `Raw` counts.
    #[serde(rename = "SchemaV2Manifest", skip_deserializing, skip_serializing_if = "Option::is_none")]
    dockers: Option<ImageManifest>,
    #[serde(rename = "OCIManifest", skip_deserializing, skip_serializing_if = "Option::is_none")]
    oci: Option<ImageManifest>,
}

impl Keyed for EntryDocument {}

/// Reads an entry of `list`; none if it is not there. One that names another image than its file does, or whose manifest is not
/// what it says, is refused.
fn read(path: &Path, list: &Reference) -> Result<Option<ListEntry>> {
    let refused = |why: &str| {
        let message = format!("{} is not an entry of a manifest list: {why}", path.display());
        Error::integrity(message).with_hint(remove(list))
    };
    let file = match regular::open(path) {
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(|source| Error::io("read", path, source))?,
    };
    let mut bytes = Vec::new();
    file.take(FILE_LIMIT + 1).read_to_end(&mut bytes).map_err(|source| Error::io("read", path, source))?;
    if bytes.len() as u64 > FILE_LIMIT {
        return Err(refused("it is too large"));
    }
    let document: EntryDocument =
        from_json(&path.display().to_string(), &bytes).map_err(|error| error.with_hint(remove(list)))?;
    let reference: Reference = document.reference.parse().map_err(|_| refused("its `Ref` is not a name"))?;
    if path.file_name().is_none_or(|name| name != file_name(&reference).as_str()) {
        return Err(refused("its `Ref` is another image's"));
    }
    let descriptor = document.descriptor;
    if !media_type::is_manifest(&descriptor.media_type) {
        return Err(refused("its type is not that of a manifest"));
    }
    let manifest = match document.raw.filter(|raw| !raw.is_empty()) {
        Some(raw) => Some(BASE64_STANDARD.decode(raw).map_err(|_| refused("its `Raw` is not base64"))?),
        None => None,
    };
    if let Some(manifest) = &manifest {
        let own = Descriptor::of(&descriptor.media_type, manifest);
        if (own.digest, own.size) != (descriptor.digest, descriptor.size) {
            return Err(refused("its `Raw` is not the manifest that its `Descriptor` points to"));
        }
    }
    Ok(Some(ListEntry { reference, descriptor, manifest }))
}

/// Returns the name of the file or directory that docker has for a name.
fn file_name(name: &Reference) -> String {
    name.to_string().replace(':', "-").replace('/', "_")
}

fn remove(list: &Reference) -> String {
    format!("`docker manifest rm {list}` removes the list")
}
