//! Image archives: a tar of an OCI layout, or what `docker save` writes.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};

use flate2::read;
use serde::{Deserialize, Serialize};

use super::Store;
use super::layout::{INDEX, MARKER, blob_path, choose, read_limited};
use super::listed::{CONTAINERD_NAME, Subjects};
use super::regular;
use crate::error::{Error, Result};
use crate::layer::{self, GZIP_MAGIC, ZSTD_MAGIC};
use crate::oci::{
    Descriptor, Digest, Hasher, HashingWriter, ImageConfig, ImageIndex, ImageManifest, Keyed, Keys, MANIFEST_LIMIT,
    Map, VerifyingReader, from_json, media_type, null_as_empty, to_json,
};
use crate::tree::{Budget, Limits, Whole, path::LINKS_LIMIT};

/// The annotation of an `index.json` that is a delta's: of all the blobs that its images have, so many are left out,
/// because who gets it has them.
pub const LEFT_OUT: &str = "dev.ocibake.delta.left-out";

/// The list of images at the top of a docker archive.
pub const DOCKER_MANIFEST: &str = "manifest.json";

/// An image in [`DOCKER_MANIFEST`]: paths of its parts in the archive.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DockerImage {
    pub config: String,
    /// `null` where there is none.
    pub repo_tags: Option<Vec<String>>,
    /// Some write `null` where there is none.
    #[serde(deserialize_with = "null_as_empty")]
    pub layers: Vec<String>,
}

impl Keyed for Vec<DockerImage> {
    const KEYS: Keys = Keys::Each(&Keys::Own(&[
        ("Config", &Keys::Any),
        ("RepoTags", &Keys::Any),
        ("Layers", &Keys::Any),
        ("Parent", &Keys::Any),
        ("LayerSources", &Keys::Free(&Descriptor::KEYS)),
    ]));
}

/// An archive, read. Its blobs stay where they are and are read at their offsets; one compressed with gzip as a whole
/// is first unpacked to a temporary file without a name, of at most 100 times its size, or 256 MiB if that is more. The layers
/// of a docker archive are unpacked to see what they are, to 100 times the size of the archive together, or 2 GiB if that is
/// more.
pub struct Archive {
    path: PathBuf,
    /// As skopeo calls it.
    kind: &'static str,
    file: File,
    members: HashMap<String, Member>,
    /// The names that several members have.
    repeated: HashSet<String>,
    index: ImageIndex,
    blobs: HashMap<Digest, Blob>,
    subjects: Subjects,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Member {
    offset: u64,
    size: u64,
}

/// A layer of a docker archive, as it lies there.
#[derive(Clone)]
struct Layer {
    descriptor: Descriptor,
    diff_id: Digest,
}

/// What is known of the layers of a docker archive. Images share them, and the same one may have many names: each is read
/// and unpacked once.
struct Layers {
    of_members: HashMap<Member, Layer>,
    /// By the digest of the blob.
    diff_ids: HashMap<Digest, Digest>,
    /// For all that is unpacked.
    budget: Budget,
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
        let file = unpacked(&path)?;
        let length = file.metadata().map_err(failed)?.len();
        let broken = |source: io::Error| {
            Error::input(format!("{} is not a whole tar archive", path.display()))
                .with_source(source)
                .with_hint("it may be cut short or not an archive at all: fetch or make it again")
        };
        if length_of_names(&file).map_err(broken)? > NAMES_LIMIT {
            return Err(Error::input(format!("the names in {} have more than {NAMES_LIMIT} bytes", path.display()))
                .with_hint("no image needs so long ones: where does the archive come from?"));
        }
        let (mut members, mut links, mut repeated) = (HashMap::new(), HashMap::new(), HashSet::new());
        let mut tar = tar::Archive::new(BufReader::new(&file));
        for entry in tar.entries_with_seek().map_err(broken)? {
            let entry = entry.map_err(broken)?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).trim_start_matches("./").to_owned();
            let member = Member { offset: entry.raw_file_position(), size: entry.size() };
            if member.offset.checked_add(member.size).is_none_or(|end| end > length) {
                return Err(broken(io::Error::other(format!("the archive ends within {name}"))));
            }
            if members.contains_key(&name) || links.contains_key(&name) {
                repeated.insert(name.clone());
            }
            // Of several entries under one name the last counts, for what its digest tells from the others.
            if entry.header().entry_type().is_file() {
                links.remove(&name);
                members.insert(name, member);
            } else if let Ok(Some(target)) = entry.link_name() {
                members.remove(&name);
                links.insert(name.clone(), targets(&name, &target));
            }
        }
        let linked: Vec<_> = links.keys().filter_map(|name| Some((name, follow(name, &links, &members)?))).collect();
        members.extend(linked.into_iter().map(|(name, member)| (name.clone(), member)));
        let index = ImageIndex::new(Vec::new(), Map::new());
        Ok(Archive {
            path,
            kind: "oci-archive",
            file,
            members,
            repeated,
            index,
            blobs: HashMap::new(),
            subjects: Subjects::default(),
        })
    }

    fn read_oci(&mut self) -> Result<()> {
        let bytes = self.document(INDEX)?;
        self.index = from_json(&format!("{INDEX} in {}", self.path.display()), &bytes)?;
        Ok(())
    }

    /// A docker archive has no manifests: each image gets one made of its config and its layers as they lie there.
    /// Nothing but the config promises what the layers are, so each is held against it here.
    fn read_docker(&mut self) -> Result<()> {
        self.kind = "docker-archive";
        let bytes = self.document(DOCKER_MANIFEST)?;
        let images: Vec<DockerImage> = from_json(&format!("{DOCKER_MANIFEST} in {}", self.path.display()), &bytes)?;
        let size = self.file.metadata().map_err(|source| Error::io("read", &self.path, source))?.len();
        let size = size.saturating_mul(UNPACKED_RATIO).max(LAYERS_FLOOR);
        let budget = Budget::new(Limits { size, ..Limits::of_archive(size) }, Whole::Layers);
        let mut known = Layers { of_members: HashMap::new(), diff_ids: HashMap::new(), budget };
        for image in images {
            let config_bytes = self.document(&image.config)?;
            let config: ImageConfig =
                from_json(&format!("{} in {}", image.config, self.path.display()), &config_bytes)?;
            let layers = self.docker_layers(&image, &config, &mut known)?;
            let config_descriptor = Descriptor::of(media_type::IMAGE_CONFIG, &config_bytes);
            self.blobs.insert(config_descriptor.digest, Blob::Made(config_bytes));
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

    /// The layers of `image`, which are those that `config` promises: as many, and each with its diff_id.
    fn docker_layers(
        &mut self,
        image: &DockerImage,
        config: &ImageConfig,
        known: &mut Layers,
    ) -> Result<Vec<Descriptor>> {
        let diff_ids = &config.rootfs.diff_ids;
        if image.layers.len() != diff_ids.len() {
            return Err(Error::integrity(format!(
                "{} has {} layers where its config {} has {} diff_ids",
                self.path.display(),
                image.layers.len(),
                image.config,
                diff_ids.len()
            ))
            .with_hint(DAMAGED));
        }
        let mut layers = Vec::with_capacity(image.layers.len());
        for (name, diff_id) in image.layers.iter().zip(diff_ids) {
            let layer = self.docker_layer(name, known)?;
            if layer.diff_id != *diff_id {
                return Err(Error::integrity(format!(
                    "the layer {name} in {} unpacks to {}, not to the {diff_id} of its config",
                    self.path.display(),
                    layer.diff_id
                ))
                .with_hint(DAMAGED));
            }
            layers.push(layer.descriptor);
        }
        Ok(layers)
    }

    fn docker_layer(&mut self, name: &str, known: &mut Layers) -> Result<Layer> {
        let member = self.only(name)?;
        if let Some(layer) = known.of_members.get(&member) {
            return Ok(layer.clone());
        }
        let descriptor = self.blob_of(member).map_err(|source| Error::io("read", &self.path, source))?;
        let diff_id = match known.diff_ids.get(&descriptor.digest) {
            Some(diff_id) => *diff_id,
            // Uncompressed, it is what it unpacks to.
            None if descriptor.media_type == media_type::LAYER => descriptor.digest,
            None => self.diff_id(name, member, &known.budget)?,
        };
        known.diff_ids.insert(descriptor.digest, diff_id);
        self.blobs.insert(descriptor.digest, Blob::Member(member));
        let layer = Layer { descriptor, diff_id };
        known.of_members.insert(member, layer.clone());
        Ok(layer)
    }

    /// What lies there, as a layer.
    fn blob_of(&self, member: Member) -> io::Result<Descriptor> {
        let mut magic = Vec::with_capacity(ZSTD_MAGIC.len());
        self.reader(member).take(ZSTD_MAGIC.len() as u64).read_to_end(&mut magic)?;
        let mut hasher = HashingWriter::new(io::sink());
        io::copy(&mut BufReader::with_capacity(CHUNK, self.reader(member)), &mut hasher)?;
        let (_, digest, size) = hasher.finish();
        Ok(Descriptor::new(layer::media_type_of(&magic), digest, size))
    }

    /// What a layer unpacks to.
    fn diff_id(&self, name: &str, member: Member, budget: &Budget) -> Result<Digest> {
        let failed = |source: io::Error| match source.raw_os_error() {
            Some(_) => Error::io("read", &self.path, source),
            None => Error::integrity(format!("the layer {name} in {} cannot be unpacked", self.path.display()))
                .with_source(source)
                .with_hint(DAMAGED),
        };
        let mut tar = layer::decompressed(self.reader(member)).map_err(failed)?;
        let (mut hasher, mut chunk) = (Hasher::new(), vec![0; CHUNK]);
        loop {
            match tar.read(&mut chunk) {
                Ok(0) => return Ok(hasher.finish()),
                Ok(count) => {
                    let within = budget.size(count as u64);
                    within.map_err(|error| Error {
                        message: format!("{}: {}", self.path.display(), error.message),
                        ..error
                    })?;
                    hasher.update(&chunk[..count]);
                }
                Err(source) if source.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(failed(source)),
            }
        }
    }

    fn member(&self, name: &str) -> Result<Member> {
        let missing = || Error::not_found(format!("{} has no `{name}`", self.path.display()));
        self.members.get(name).copied().ok_or_else(missing)
    }

    /// Returns the member that is known by its name alone. Of several, some programs take the first and others the last.
    fn only(&self, name: &str) -> Result<Member> {
        if self.repeated.contains(name) {
            return Err(Error::input(format!("{} has `{name}` more than once", self.path.display()))
                .with_hint("programs take one or the other: make the archive again, and do not append to one"));
        }
        self.member(name)
    }

    fn blob(&self, digest: &Digest) -> Result<Member> {
        self.member(&blob_path(digest)).map_err(|error| match is_delta(&self.index) {
            true => {
                error.with_hint("it is a delta, without the blobs of an earlier archive: see `ocibake copy --since`")
            }
            false => error,
        })
    }

    fn document(&self, name: &str) -> Result<Vec<u8>> {
        let member = self.only(name)?;
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
            None => Box::new(self.reader(self.blob(&descriptor.digest)?)),
        };
        Ok(Box::new(VerifyingReader::new(reader, descriptor.digest, descriptor.size)))
    }

    fn resolve(&self, name: Option<&str>) -> Result<Descriptor> {
        choose(&self.index, name, self.kind, &self.path)
    }

    fn has(&self, descriptor: &Descriptor) -> Result<bool> {
        Ok(match self.blobs.get(&descriptor.digest) {
            Some(Blob::Made(bytes)) => bytes.len() as u64 == descriptor.size,
            Some(Blob::Member(member)) => member.size == descriptor.size,
            None => {
                let member = self.members.get(&blob_path(&descriptor.digest));
                member.is_some_and(|member| member.size == descriptor.size)
            }
        })
    }

    fn referrers(&self, subject: &Descriptor) -> Result<Vec<Descriptor>> {
        self.subjects.referrers(self, &self.index, subject)
    }
}

/// Whether blobs of the images are left out on purpose.
pub fn is_delta(index: &ImageIndex) -> bool {
    index.annotations.contains_key(LEFT_OUT)
}

/// How large an archive may become that is compressed as a whole: this many times what it is, or this many bytes if
/// that is more. Images are mostly compressed within; deflate itself would allow some thousand times.
const UNPACKED_RATIO: u64 = 100;
const UNPACKED_FLOOR: u64 = 256 << 20;
/// The same of what its layers unpack to, which is not kept: all of it passes in some seconds.
const LAYERS_FLOOR: u64 = 2 << 30;

/// In bytes, of all long names in an archive. What an image is made of has short ones.
const NAMES_LIMIT: u64 = 16 << 20;

/// How much is read at a time.
const CHUNK: usize = 256 << 10;

const DAMAGED: &str = "the archive is damaged or was put together wrongly: fetch or make it again";

/// The file itself, or, if it is compressed as a whole, its content in a file that has no name.
fn unpacked(path: &Path) -> Result<File> {
    let failed = |source| Error::io("read", path, source);
    // To open a pipe is to wait for who writes to it, and it cannot be read at offsets.
    if path.metadata().is_ok_and(|present| !present.is_file()) {
        return Err(Error::input(format!("{} is not a regular file", path.display()))
            .with_hint("an archive is read here and there: put it into a file first"));
    }
    let file = regular::open(path).map_err(failed)?;
    let mut magic = [0; ZSTD_MAGIC.len()];
    let count = file.read_at(&mut magic, 0).map_err(failed)?;
    if magic[..count] == ZSTD_MAGIC {
        return Err(Error::input(format!("{} is compressed with zstd as a whole", path.display()))
            .with_hint("unpack it first, with zstd -d: the images in it are compressed already"));
    }
    if !magic[..count].starts_with(&GZIP_MAGIC) {
        return Ok(file);
    }
    let limit = file.metadata().map_err(failed)?.len().saturating_mul(UNPACKED_RATIO).max(UNPACKED_FLOOR);
    let failed = |source: io::Error| {
        let is_full = source.kind() == io::ErrorKind::StorageFull;
        let error = Error::io("unpack to a temporary file:", path, source);
        if is_full {
            error.with_hint("set TMPDIR to a directory with more space, or unpack it with gunzip")
        } else {
            error
        }
    };
    let mut plain = tempfile::tempfile().map_err(failed)?;
    let unpack = read::MultiGzDecoder::new(BufReader::new(file));
    if io::copy(&mut unpack.take(limit + 1), &mut plain).map_err(failed)? > limit {
        return Err(Error::input(format!("{} unpacks to more than {limit} bytes", path.display()))
            .with_hint("if it is to be so large, unpack it with gunzip first"));
    }
    plain.seek(SeekFrom::Start(0)).map_err(failed)?;
    Ok(plain)
}

/// How many bytes there are in the records that hold the names of entries for which a header has no room: whoever reads
/// the entries themselves has them in memory. Begins and ends at the start of the file.
fn length_of_names(mut file: &File) -> io::Result<u64> {
    let mut length: u64 = 0;
    for entry in tar::Archive::new(BufReader::new(file)).entries_with_seek()?.raw(true) {
        let entry = entry?;
        let kind = entry.header().entry_type();
        if kind.is_gnu_longname() || kind.is_gnu_longlink() || kind.is_pax_local_extensions() {
            length = length.saturating_add(entry.size());
        }
    }
    file.rewind()?;
    Ok(length)
}

/// What the link called `name` may mean: a path in the archive, as hard links do, or one from where it stands.
fn targets(name: &str, target: &Path) -> [String; 2] {
    let mut beside = PathBuf::new();
    for part in Path::new(name).parent().unwrap_or(Path::new("")).join(target).components() {
        match part {
            Component::ParentDir => drop(beside.pop()),
            Component::CurDir => {}
            part => beside.push(part),
        }
    }
    [target, &beside].map(|path| path.to_string_lossy().trim_start_matches("./").to_owned())
}

/// The member that the link called `name` leads to, wherever in the archive it stands. Older `docker save` stores a
/// layer that two images share once and links to it.
fn follow(name: &str, links: &HashMap<String, [String; 2]>, members: &HashMap<String, Member>) -> Option<Member> {
    let mut at = name;
    for _ in 0..LINKS_LIMIT {
        let targets = links.get(at)?;
        if let Some(member) = targets.iter().find_map(|target| members.get(target)) {
            return Some(*member);
        }
        at = targets.iter().find(|target| links.contains_key(*target))?;
    }
    None
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
