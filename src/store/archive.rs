//! Image archives: a tar of an OCI layout, or what `docker save` writes.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use serde::{Deserialize, Serialize};

use super::Store;
use super::layout::{CONTAINERD_NAME, INDEX, MARKER, blob_path, choose, read_limited};
use crate::error::{Error, Result};
use crate::oci::{
    Descriptor, Digest, HashingWriter, ImageConfig, ImageIndex, ImageManifest, MANIFEST_LIMIT, Map, VerifyingReader,
    from_json, media_type, to_json,
};

/// The list of images at the top of a docker archive.
pub const DOCKER_MANIFEST: &str = "manifest.json";

/// An image in [`DOCKER_MANIFEST`]: paths of its parts in the archive.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DockerImage {
    pub config: String,
    /// `null` where there is none.
    pub repo_tags: Option<Vec<String>>,
    pub layers: Vec<String>,
}

/// An archive, read. Its blobs stay where they are and are read at their offsets; one compressed with gzip as a whole
/// is first unpacked to a temporary file without a name.
pub struct Archive {
    path: PathBuf,
    /// As skopeo calls it.
    kind: &'static str,
    file: File,
    members: HashMap<String, Member>,
    index: ImageIndex,
    blobs: HashMap<Digest, Blob>,
}

#[derive(Debug, Clone, Copy)]
struct Member {
    offset: u64,
    size: u64,
}

/// Blobs that do not lie at their digest's path.
enum Blob {
    Member(Member),
    Made(Vec<u8>),
}

impl Archive {
    /// Opens an archive of either kind. What holds both, as newer `docker save` writes, is read as an OCI layout.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let mut archive = Self::scan(path.into())?;
        if archive.members.contains_key(MARKER) && archive.members.contains_key(INDEX) {
            archive.read_oci()?;
        } else if archive.members.contains_key(DOCKER_MANIFEST) {
            archive.read_docker()?;
        } else {
            return Err(archive.not_an_archive());
        }
        Ok(archive)
    }

    /// Opens a docker archive, even if it is an OCI archive too.
    pub fn open_docker(path: impl Into<PathBuf>) -> Result<Self> {
        let mut archive = Self::scan(path.into())?;
        if !archive.members.contains_key(DOCKER_MANIFEST) {
            return Err(archive.not_an_archive());
        }
        archive.read_docker()?;
        Ok(archive)
    }

    pub fn index(&self) -> &ImageIndex {
        &self.index
    }

    fn scan(path: PathBuf) -> Result<Self> {
        let failed = |source| Error::io("read", &path, source);
        let file = unpacked(File::open(&path).map_err(failed)?).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let broken = |source: io::Error| {
            Error::input(format!("{} is not a whole tar archive", path.display()))
                .with_source(source)
                .with_hint("it may be cut short or not an archive at all: fetch or make it again")
        };
        let mut members = HashMap::new();
        let mut tar = tar::Archive::new(BufReader::new(&file));
        for entry in tar.entries_with_seek().map_err(broken)? {
            let entry = entry.map_err(broken)?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).trim_start_matches("./").to_owned();
            let member = Member { offset: entry.raw_file_position(), size: entry.size() };
            if member.offset.checked_add(member.size).is_none_or(|end| end > length) {
                return Err(broken(io::Error::other(format!("the archive ends within {name}"))));
            }
            if entry.header().entry_type().is_file() {
                members.insert(name, member);
            } else if let Ok(Some(target)) = entry.link_name()
                && let Some(target) = linked(&members, &name, &target)
            {
                // Older `docker save` stores a layer that two images share once and links to it.
                members.insert(name, target);
            }
        }
        let index = ImageIndex::new(Vec::new(), Map::new());
        Ok(Archive { path, kind: "oci-archive", file, members, index, blobs: HashMap::new() })
    }

    fn read_oci(&mut self) -> Result<()> {
        let bytes = self.document(INDEX)?;
        self.index = from_json(&format!("{INDEX} in {}", self.path.display()), &bytes)?;
        Ok(())
    }

    /// A docker archive has no manifests: each image gets one made of its config and its layers as they lie there.
    fn read_docker(&mut self) -> Result<()> {
        self.kind = "docker-archive";
        let bytes = self.document(DOCKER_MANIFEST)?;
        let images: Vec<DockerImage> = from_json(&format!("{DOCKER_MANIFEST} in {}", self.path.display()), &bytes)?;
        for image in images {
            let config_bytes = self.document(&image.config)?;
            let config: ImageConfig =
                from_json(&format!("{} in {}", image.config, self.path.display()), &config_bytes)?;
            let config_descriptor = Descriptor::of(media_type::IMAGE_CONFIG, &config_bytes);
            self.blobs.insert(config_descriptor.digest, Blob::Made(config_bytes));
            let layers = image.layers.iter().map(|layer| self.docker_layer(layer)).collect::<Result<_>>()?;
            let manifest = to_json(&ImageManifest::new(config_descriptor, layers, Map::new()));
            let descriptor = Descriptor::of(media_type::IMAGE_MANIFEST, &manifest).with_platform(config.platform);
            self.blobs.insert(descriptor.digest, Blob::Made(manifest));
            let names = image.repo_tags.unwrap_or_default();
            for name in &names {
                let mut named = descriptor.clone();
                named.annotations.insert(CONTAINERD_NAME.to_owned(), name.clone());
                self.index.manifests.push(named);
            }
            if names.is_empty() {
                self.index.manifests.push(descriptor);
            }
        }
        Ok(())
    }

    fn docker_layer(&mut self, name: &str) -> Result<Descriptor> {
        let member = self.member(name)?;
        let failed = |source| Error::io("read", &self.path, source);
        let mut magic = [0; 2];
        let read = self.file.read_at(&mut magic, member.offset).map_err(failed)?;
        let compressed = read == 2 && member.size >= 2 && magic == GZIP_MAGIC;
        let mut hashing = HashingWriter::new(io::sink());
        io::copy(&mut self.reader(member), &mut hashing).map_err(failed)?;
        let (_, digest, size) = hashing.finish();
        self.blobs.insert(digest, Blob::Member(member));
        let media_type = if compressed { media_type::LAYER_GZIP } else { media_type::LAYER };
        Ok(Descriptor::new(media_type, digest, size))
    }

    fn member(&self, name: &str) -> Result<Member> {
        let missing = || Error::not_found(format!("{} has no `{name}`", self.path.display()));
        self.members.get(name).copied().ok_or_else(missing)
    }

    fn document(&self, name: &str) -> Result<Vec<u8>> {
        let member = self.member(name)?;
        read_limited(self.reader(member), MANIFEST_LIMIT).map_err(|source| Error::io("read", &self.path, source))
    }

    fn reader(&self, member: Member) -> impl Read + Send + '_ {
        MemberReader { file: &self.file, at: member.offset, end: member.offset + member.size }
    }

    fn not_an_archive(&self) -> Error {
        Error::input(format!("{} is not an image archive", self.path.display())).with_hint(format!(
            "an OCI archive has `{MARKER}` and `{INDEX}` in it, a docker archive `{DOCKER_MANIFEST}`"
        ))
    }
}

impl Store for Archive {
    fn open(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send + '_>> {
        let reader: Box<dyn Read + Send + '_> = match self.blobs.get(&descriptor.digest) {
            Some(Blob::Made(bytes)) => Box::new(bytes.as_slice()),
            Some(Blob::Member(member)) => Box::new(self.reader(*member)),
            None => Box::new(self.reader(self.member(&blob_path(&descriptor.digest))?)),
        };
        Ok(Box::new(VerifyingReader::new(reader, descriptor.digest, descriptor.size)))
    }

    fn resolve(&self, name: Option<&str>) -> Result<Descriptor> {
        choose(&self.index, name, self.kind, &self.path)
    }
}

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The file itself, or, if it is compressed as a whole, its content in a file that has no name.
fn unpacked(mut file: File) -> io::Result<File> {
    let mut magic = [0; 2];
    if file.read_at(&mut magic, 0)? < 2 || magic != GZIP_MAGIC {
        return Ok(file);
    }
    let mut plain = tempfile::tempfile()?;
    io::copy(&mut MultiGzDecoder::new(BufReader::new(&mut file)), &mut plain)?;
    plain.seek(SeekFrom::Start(0))?;
    Ok(plain)
}

/// The member that a link called `name` leads to, among those that stand before it.
fn linked(members: &HashMap<String, Member>, name: &str, target: &Path) -> Option<Member> {
    let target = target.to_str()?;
    let beside = Path::new(name).parent()?.join(target);
    let mut clean = PathBuf::new();
    for part in beside.components() {
        match part {
            std::path::Component::ParentDir => drop(clean.pop()),
            part => clean.push(part),
        }
    }
    [Some(target), clean.to_str()].into_iter().flatten().find_map(|path| members.get(path).copied())
}

/// Reads a stretch of a file without moving the file's own position, so that many can read at once.
struct MemberReader<'a> {
    file: &'a File,
    at: u64,
    end: u64,
}

impl Read for MemberReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = buffer.len().min(usize::try_from(self.end - self.at).unwrap_or(usize::MAX));
        let count = self.file.read_at(&mut buffer[..want], self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}
