//! An [`Archive`] is a tar that holds images; this file reads what lies in it under which name. Which images there are,
//! only [`image::archive`](crate::image::archive) can tell.

mod layers;

pub(crate) use layers::{DAMAGED, KnownLayers};

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};

use flate2::read;

use super::layout::{blob_path, choose, read_limited};
use super::listed::Subjects;
use super::regular;
use super::{BlobFile, Store};
use crate::error::{Error, Result};
use crate::layer::{GZIP_MAGIC, ZSTD_MAGIC};
use crate::oci::{Descriptor, Digest, ImageIndex, MANIFEST_LIMIT, Map, VerifyingReader};

/// The annotation of an `index.json` that is a delta's: of all the blobs that its images have, so many are left out,
/// because who gets it has them.
pub const LEFT_OUT: &str = "dev.ocibake.delta.left-out";

/// An archive, read. Its blobs stay where they are and are read at their offsets; one compressed with gzip as a whole
/// is first unpacked to a temporary file without a name, of at most 100 times its size, or 256 MiB if that is more.
pub struct Archive {
    path: PathBuf,
    /// As skopeo calls it.
    kind: &'static str,
    file: File,
    members: HashMap<String, ArchiveMember>,
    /// The names that several members have.
    repeated: HashSet<String>,
    index: ImageIndex,
    blobs: HashMap<Digest, Blob>,
    subjects: Subjects,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct ArchiveMember {
    offset: u64,
    size: u64,
}

/// Blobs that do not lie at their digest's path.
enum Blob {
    Member(ArchiveMember),
    Made(Vec<u8>),
}

impl Archive {
    /// Returns the list of its images, each by its names.
    pub fn index(&self) -> &ImageIndex {
        &self.index
    }

    /// Opens a tar and reads its headers. It has no images until they are [listed](Self::list).
    pub(crate) fn scan(path: PathBuf) -> Result<Self> {
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
            let member = ArchiveMember { offset: entry.raw_file_position(), size: entry.size() };
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

    /// Returns where it lies.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns whether there is a file called `name`.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// Reads the document `name`, which is not verified. One of more than [`MANIFEST_LIMIT`] bytes is refused.
    pub(crate) fn document(&self, name: &str) -> Result<Vec<u8>> {
        let member = self.only(name)?;
        read_limited(self.reader(member), MANIFEST_LIMIT).map_err(|source| Error::io("read", &self.path, source))
    }

    /// Has the document to which `descriptor` points among its blobs from now on.
    pub(crate) fn put(&mut self, descriptor: &Descriptor, bytes: Vec<u8>) {
        self.blobs.insert(descriptor.digest, Blob::Made(bytes));
    }

    /// Lists the images of `index` from now on, as those of an archive of a `kind`, as skopeo calls it.
    pub(crate) fn list(&mut self, kind: &'static str, index: ImageIndex) {
        (self.kind, self.index) = (kind, index);
    }

    fn member(&self, name: &str) -> Result<ArchiveMember> {
        let missing = || Error::not_found(format!("{} has no `{name}`", self.path.display()));
        self.members.get(name).copied().ok_or_else(missing)
    }

    /// Returns the member that is known by its name alone. Of several, some programs take the first and others the last.
    fn only(&self, name: &str) -> Result<ArchiveMember> {
        if self.repeated.contains(name) {
            return Err(Error::input(format!("{} has `{name}` more than once", self.path.display()))
                .with_hint("programs take one or the other: make the archive again, and do not append to one"));
        }
        self.member(name)
    }

    fn blob(&self, digest: &Digest) -> Result<ArchiveMember> {
        self.member(&blob_path(digest)).map_err(|error| match is_delta(&self.index) {
            true => {
                error.with_hint("it is a delta, without the blobs of an earlier archive: see `ocibake copy --since`")
            }
            false => error,
        })
    }

    fn reader(&self, member: ArchiveMember) -> impl Read + Send + '_ {
        MemberReader { file: &self.file, at: member.offset, end: member.offset + member.size }
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

    fn open_file(&self, descriptor: &Descriptor) -> Option<BlobFile> {
        let member = match self.blobs.get(&descriptor.digest) {
            Some(Blob::Made(_)) => return None,
            Some(Blob::Member(member)) => *member,
            None => self.blob(&descriptor.digest).ok()?,
        };
        Some(BlobFile::new(self.file.try_clone().ok()?, member.offset))
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

/// Returns whether blobs of the images are left out on purpose.
pub fn is_delta(index: &ImageIndex) -> bool {
    index.annotations.contains_key(LEFT_OUT)
}

/// An archive that is compressed as a whole may unpack to this many times its size, or to this many bytes if that is
/// more. Images are mostly compressed within; deflate itself would allow some thousand times.
const UNPACKED_RATIO: u64 = 100;
const UNPACKED_FLOOR: u64 = 256 << 20;

/// The size of all long names in an archive may be so many bytes. What an image is made of has short ones.
const NAMES_LIMIT: u64 = 16 << 20;

/// Links that lead to links are followed this far, as far as Linux does it.
const LINKS_LIMIT: usize = 40;

/// Returns the file itself, or, if it is compressed as a whole, its content in a file that has no name.
fn unpacked(path: &Path) -> Result<File> {
    let failed = |source| Error::io("read", path, source);
    // To open a pipe is to wait for who writes to it, and it cannot be read at offsets.
    if path.metadata().is_ok_and(|present| !present.is_file()) {
        return Err(Error::input(format!("{} is not a regular file", path.display()))
            .with_hint("an archive is not read in order: put it into a file first"));
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
            .with_hint("if it is meant to be so large, unpack it with gunzip first"));
    }
    plain.seek(SeekFrom::Start(0)).map_err(failed)?;
    Ok(plain)
}

/// Returns the size, in bytes, of the records that hold the names of entries for which a header has no room: whoever reads
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

/// Returns what the link called `name` may mean: a path in the archive, as hard links do, or one from where it stands.
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

/// Returns the member that the link called `name` leads to, wherever in the archive it stands. Older `docker save` stores a
/// layer that two images share once and links to it.
fn follow(
    name: &str,
    links: &HashMap<String, [String; 2]>,
    members: &HashMap<String, ArchiveMember>,
) -> Option<ArchiveMember> {
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
