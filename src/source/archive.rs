//! Archives that are unpacked: tars, as they are or compressed with gzip, bzip2, xz or zstd. What the content looks like
//! decides, not its name.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{self, BufReader, BufWriter, Cursor, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;

use crate::error::{Error, ErrorKind, Result};
use crate::layer::{
    self, GZIP_MAGIC, Layer, Overlay, Owners, RECORD, ZSTD_MAGIC, ZSTD_SKIPPABLE, ZSTD_WINDOW, is_header, read_archive,
};
use crate::oci::{Descriptor, Digest, HashingWriter, media_type};
use crate::progress::{Event, Progress, WarningKind};
use crate::store::LocalStore;
use crate::tree::{Content, Entry, Files, IdMap, Kind, Limits, Node, Object, Spool};

/// The bytes that files of bzip2 and xz (the .xz file format, 2.1.1.1) begin with.
const BZIP2_MAGIC: [u8; 3] = *b"BZh";
const XZ_MAGIC: [u8; 6] = [0xfd, b'7', b'z', b'X', b'Z', 0];

/// The bytes at the beginning of a file that tell what it is.
pub const HEAD: usize = RECORD as usize;

/// The bytes that are read at a time.
const CHUNK: usize = 256 << 10;

/// The most memory that an xz decoder may take, in KiB: its highest level needs half of it. Its author decides about it.
const XZ_MEMORY: u32 = 130 << 10;

/// Returns what `content` unpacks to: sorted by path, each path once, links within the archive followed where they lead
/// to a directory that something lies in; owner, mode, time and attributes as the archive has them. Directories that it
/// does not tell of are not among them, nor is its root. Hard links lead to a file that stands before them.
///
/// Returns none if it is not a tar: so is one without a single entry. Errors call it `name`. Fails for one that has a path
/// which leads out of it by `..`, or more than [`Limits`] allow.
pub fn entries(content: &Content, name: &str, store: &LocalStore) -> Result<Option<Vec<Entry>>> {
    let packed = Packed::read(content.reader(), content.size(), name, store.scratch()?)?;
    let Some(packed) = packed else { return Ok(None) };
    let told = packed.overlay.files().paths().filter(|(path, _)| !path.is_empty() && !packed.overlay.is_implied(path));
    let mut told: Vec<(Vec<u8>, &Node)> = told.collect();
    told.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    let mut first: HashMap<usize, Vec<u8>> = HashMap::new();
    let mut entries = Vec::with_capacity(told.len());
    for (path, node) in told {
        let identity = node.identity().filter(|_| matches!(node.object(), Object::Other(Kind::File(_))));
        entries.push(match identity.and_then(|identity| first.get(&identity)) {
            Some(target) => node.link(path, target.clone()),
            None => {
                first.extend(identity.map(|identity| (identity, path.clone())));
                node.entry(path)
            }
        });
    }
    Ok(Some(entries))
}

/// Writes the tar that `content` is, as [`entries`] has read it before, into the empty `file`, and returns its digest. Errors call
/// it `name`. None if it is not one any more.
pub fn tar_into(content: &Content, name: &str, file: File) -> Result<Option<Digest>> {
    let packed = Packed::read(content.reader(), content.size(), name, file)?;
    Ok(packed.map(|packed| packed.spool.tar()))
}

/// Returns whether what begins with `head`, at least [`HEAD`] bytes if there are as many, is taken for an archive by
/// docker.
pub fn is_archive(head: &[u8]) -> bool {
    let is_tar = head.first_chunk().is_some_and(is_header);
    is_tar || ArchiveCompression::of(head) != ArchiveCompression::None
}

/// Unpacks the archive in `raw`, which has `size` bytes as far as that is known, into the directory at `root`, which is
/// there and empty. Errors call it `name`. As with [`layer::unpack`], files get the owners that they had only by root;
/// modes stay as they are in the archive.
pub fn unpack(
    raw: impl Read,
    size: u64,
    name: &str,
    root: &Path,
    store: &LocalStore,
    progress: Progress<'_>,
) -> Result<()> {
    let Some(packed) = Packed::read(raw, size, name, store.scratch()?)? else {
        return Err(Error::input(format!("{name} is not an archive, or it is empty"))
            .with_hint("a tar is taken, as it is or compressed with gzip, bzip2, xz or zstd"));
    };
    let Packed { overlay, file, size, spool } = packed;
    let descriptor = Descriptor::new(media_type::LAYER, spool.tar(), size);
    let layers = [Layer { descriptor, diff_id: spool.tar() }];
    let open = |_: &Descriptor| -> Result<Box<dyn Read + Send>> { Ok(Box::new(Positioned { file: &file, at: 0 })) };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(layer::threads(0)).build();
    let pool = pool.map_err(|source| Error::new(ErrorKind::Io, "cannot start threads").with_source(source))?;
    let opened = File::open(root).map_err(|source| Error::io("open", root, source))?;
    // Where files cannot have every owner, those of an archive are not for sure among them.
    let owners = match IdMap::of_this_process().is_ok_and(|map| map.is_whole()) {
        true => Owners::OfLayers,
        false => Owners::Own,
    };
    let unpacked = layer::unpack(owners, overlay.files(), &layers, &open, (opened.as_fd(), root), &pool)?;
    unpacked.directories.without_root().finish(b"", opened.as_fd(), root)?;
    restore_set_id(overlay.files(), root)?;
    for (kind, message) in unpacked.left_out {
        // Those bits are restored.
        if kind != WarningKind::SetIdLeftOut {
            progress(Event::Warning { kind, message: &format!("{name}: {message}") });
        }
    }
    Ok(())
}

/// Nobody but us can reach the files, so that these bits lend nothing out.
fn restore_set_id(files: &Files, root: &Path) -> Result<()> {
    for (path, node) in files.paths() {
        let mode = node.attributes().mode;
        if matches!(node.object(), Object::Other(Kind::File(_))) && mode & 0o6000 != 0 {
            let path = root.join(OsStr::from_bytes(&path));
            fs::set_permissions(&path, Permissions::from_mode(mode))
                .map_err(|source| Error::io("set the mode of", &path, source))?;
        }
    }
    Ok(())
}

/// An archive that was read once, and lies uncompressed in a file without a name.
struct Packed {
    overlay: Overlay,
    file: File,
    /// The size in bytes, uncompressed, up to its end.
    size: u64,
    spool: Arc<Spool>,
}

impl Packed {
    /// Returns the archive, which is brought into the empty `file`; none if it is not one.
    fn read(raw: impl Read, size: u64, name: &str, file: File) -> Result<Option<Self>> {
        let failed = |source| Error::from_read("read", name, source);
        let Some((head, tar)) = begin(raw).map_err(failed)? else { return Ok(None) };
        let copy = BufWriter::with_capacity(CHUNK, file.try_clone().map_err(|source| Error::io("open", name, source))?);
        let (copy, limits) = (HashingWriter::new(copy), Limits::of_archive(size));
        let mut spooled = None;
        let spool = |copy: HashingWriter<BufWriter<File>>| {
            let (mut copy, digest, size) = copy.finish();
            copy.flush().map_err(|source| Error::io("write the content of", name, source))?;
            let spool = Arc::new(Spool::new(digest));
            spool.fill(file.try_clone().map_err(|source| Error::io("open", name, source))?);
            spooled = Some((spool.clone(), size));
            Ok(spool)
        };
        let overlay = read_archive(Cursor::new(head).chain(tar), copy, spool, name, limits)?;
        Ok(spooled.map(|(spool, size)| Packed { overlay, file, size, spool }))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ArchiveCompression {
    None,
    Gzip,
    Bzip2,
    Xz,
    Zstd,
}

impl ArchiveCompression {
    fn of(head: &[u8]) -> Self {
        if head.starts_with(&GZIP_MAGIC) {
            ArchiveCompression::Gzip
        } else if head.starts_with(&BZIP2_MAGIC) {
            ArchiveCompression::Bzip2
        } else if head.starts_with(&XZ_MAGIC) {
            ArchiveCompression::Xz
        } else if head.starts_with(&ZSTD_MAGIC) || head.get(1..4) == Some(&ZSTD_SKIPPABLE) {
            ArchiveCompression::Zstd
        } else {
            ArchiveCompression::None
        }
    }

    fn reader<'a>(self, raw: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
        let raw = BufReader::with_capacity(CHUNK, raw);
        Ok(match self {
            ArchiveCompression::None => Box::new(raw),
            ArchiveCompression::Gzip => Box::new(MultiGzDecoder::new(raw)),
            ArchiveCompression::Bzip2 => Box::new(MultiBzDecoder::new(raw)),
            ArchiveCompression::Xz => Box::new(XzReader::new_mem_limit(raw, true, XZ_MEMORY)),
            ArchiveCompression::Zstd => {
                let mut frames = zstd::stream::read::Decoder::with_buffer(raw)?;
                frames.window_log_max(ZSTD_WINDOW)?;
                Box::new(frames)
            }
        })
    }
}

/// The first record of the tar in `raw`, and what follows it; none if there is no tar in it.
#[allow(clippy::type_complexity, reason = "two parts of one stream")]
fn begin<'a>(mut raw: impl Read + 'a) -> io::Result<Option<(Vec<u8>, Box<dyn Read + 'a>)>> {
    let mut magic = Vec::new();
    raw.by_ref().take(HEAD as u64).read_to_end(&mut magic)?;
    let compression = ArchiveCompression::of(&magic);
    let mut tar = compression.reader(Cursor::new(magic).chain(raw))?;
    let mut head = Vec::new();
    match tar.by_ref().take(HEAD as u64).read_to_end(&mut head) {
        // What only looks compressed is a file like any other.
        Err(error) if compression != ArchiveCompression::None && is_decoders(&error) => return Ok(None),
        read => read?,
    };
    let is_tar = head.first_chunk().is_some_and(is_header);
    Ok(is_tar.then(|| (head, Box::new(BufReader::with_capacity(CHUNK, tar)) as Box<dyn Read + 'a>)))
}

/// Returns whether it tells of the bytes, and not of the file that they are read from or of memory.
fn is_decoders(error: &io::Error) -> bool {
    let is_files = error.raw_os_error().is_some() || error.get_ref().is_some_and(|inner| inner.is::<Error>());
    !is_files && error.kind() != io::ErrorKind::OutOfMemory
}

/// Reads a file that others read, too.
struct Positioned<'a> {
    file: &'a File,
    at: u64,
}

impl Read for Positioned<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}
