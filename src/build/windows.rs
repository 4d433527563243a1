//! Layers for Windows, as BuildKit writes them where it runs on Linux (its `winlayers`): the files below `Files`, beside a
//! directory `Hives` for what a layer changes in the registry.

use crate::error::{Error, Result};
use crate::layer::{WINDOWS_ATTRIBUTES, WINDOWS_CREATED, WINDOWS_SECURITY};
use crate::tree::{Entry, Files, Kind, joined};

/// Where the files are.
const FILES: &[u8] = b"Files";
const HIVES: &[u8] = b"Hives";

/// `FILE_ATTRIBUTE_DIRECTORY` and `FILE_ATTRIBUTE_ARCHIVE`.
const DIRECTORY: &[u8] = b"16";
const ARCHIVE: &[u8] = b"32";

/// The types of POSIX, which Windows' tars have in the mode.
const DIRECTORY_MODE: u32 = 0o040_000;
const FILE_MODE: u32 = 0o100_000;

/// O:BAG:SYD:(A;OICI;FA;;;BA)(A;OICI;FA;;;SY)(A;;FA;;;BA)(A;OICIIO;GA;;;CO)(A;OICI;0x1200a9;;;BU)(A;CI;LC;;;BU)
/// (A;CI;DC;;;BU): administrators and the system may do all, users read, and make files and directories.
const DIRECTORY_SECURITY: &[u8] = b"AQAEgBQAAAAkAAAAAAAAADAAAAABAgAAAAAABSAAAAAgAgAAAQEAAAAAAAUSAAAAAgCoAAcAAAAAAxgA/wEfAAECAAAAAAAFIAAAACACAAAAAxQA/wEfAAEBAAAAAAAFEgAAAAAAGAD/AR8AAQIAAAAAAAUgAAAAIAIAAAALFAAAAAAQAQEAAAAAAAMAAAAAAAMYAKkAEgABAgAAAAAABSAAAAAhAgAAAAIYAAQAAAABAgAAAAAABSAAAAAhAgAAAAIYAAIAAAABAgAAAAAABSAAAAAhAgAA";

/// O:BAG:SYD:(A;;FA;;;BA)(A;;FA;;;SY)(A;;0x1200a9;;;BU): administrators and the system may do all, users read.
const FILE_SECURITY: &[u8] = b"AQAEgBQAAAAkAAAAAAAAADAAAAABAgAAAAAABSAAAAAgAgAAAQEAAAAAAAUSAAAAAgBMAAMAAAAAABgA/wEfAAECAAAAAAAFIAAAACACAAAAABQA/wEfAAEBAAAAAAAFEgAAAAAAGACpABIAAQIAAAAAAAUgAAAAIQIAAA==";

/// Returns the layer for Windows that has `entries`; `time` is that of its two directories. What Windows could not unpack is
/// refused: links that are not hard, FIFOs and devices, and names that no file has there.
pub fn layer(entries: &[Entry], time: i64) -> Result<Vec<Entry>> {
    let mut all = Vec::with_capacity(entries.len() + 2);
    all.push(dressed(Entry::directory(FILES.to_vec(), time), None));
    for entry in entries {
        all.push(moved(entry)?);
    }
    all.push(dressed(Entry::directory(HIVES.to_vec(), time), None));
    Ok(all)
}

/// Returns the files of an image for Windows, of all that its layers have.
pub fn files(layers: &Files) -> Files {
    layers.below(FILES)
}

fn moved(entry: &Entry) -> Result<Entry> {
    let refuse = |what: &str| {
        let path = String::from_utf8_lossy(&entry.path);
        Error::input(format!("/{path} {what}")).with_hint("exclude it, with --exclude or in .dockerignore")
    };
    let is_odd = |byte: &u8| *byte < b' ' || b"\\:*?\"<>|".contains(byte);
    if entry.path.iter().any(is_odd) {
        return Err(refuse("has a name that Windows does not allow"));
    }
    let mut moved = Entry { path: joined(FILES, &entry.path), ..entry.clone() };
    match &entry.kind {
        Kind::Directory => Ok(dressed(moved, Some(DIRECTORY_SECURITY))),
        Kind::File(_) => Ok(dressed(moved, Some(FILE_SECURITY))),
        Kind::HardLink { target } => {
            moved.kind = Kind::HardLink { target: joined(FILES, target) };
            Ok(dressed(moved, None))
        }
        Kind::Symlink { .. } => Err(refuse("is a symbolic link, which a layer for Windows cannot hold")),
        _ => Err(refuse("is neither a file nor a directory, which a layer for Windows cannot hold")),
    }
}

/// With what Windows wants to know of it.
fn dressed(mut entry: Entry, security: Option<&[u8]>) -> Entry {
    let (mode, attributes) = match entry.kind {
        Kind::Directory => (DIRECTORY_MODE, Some(DIRECTORY)),
        Kind::File(_) => (FILE_MODE, Some(ARCHIVE)),
        _ => (0, None),
    };
    entry.attributes.mode |= mode;
    let created = format!("{}.0", entry.attributes.modified.seconds).into_bytes();
    let records = [
        (WINDOWS_ATTRIBUTES, attributes.map(<[u8]>::to_vec)),
        (WINDOWS_SECURITY, security.map(<[u8]>::to_vec)),
        (WINDOWS_CREATED, Some(created)),
    ];
    entry.attributes.xattrs =
        records.into_iter().filter_map(|(name, value)| Some((name.as_bytes().to_vec(), value?))).collect();
    entry
}
