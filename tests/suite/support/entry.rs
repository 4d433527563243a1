//! Entries made in code, written to layers by the library, and what they have to look like to others.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use flate2::bufread::{GzDecoder, MultiGzDecoder};
use ocibake::error::Result;
use ocibake::layer::{Compression, Job, Writer, Written};
use ocibake::plan::Add;
use ocibake::progress::silent;
use ocibake::source::local;
use ocibake::source::modified::Modified;
use ocibake::tree::{Attributes, Content, Entry, Kind};
use ruzstd::decoding::StreamingDecoder;

use super::listing::{self, Listing, Record, digest};

/// What `adds`, of a plan whose one context lies at `context`, bring where nothing is below them.
pub fn entries(adds: &[Add], context: &Path, modified: Modified) -> Result<Vec<Entry>> {
    Ok(local::added(adds, &[context.to_owned()], modified)?.entries.to_vec())
}

/// Of root, at time 0, with the usual mode.
pub fn entry(path: impl AsRef<[u8]>, kind: Kind) -> Entry {
    let mode = match kind {
        Kind::Directory => 0o755,
        Kind::Symlink { .. } => 0o777,
        _ => 0o644,
    };
    let path = path.as_ref().to_owned();
    Entry { path, kind, attributes: Attributes { mode, ..Attributes::implied() } }
}

pub fn file(path: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Entry {
    entry(path, Kind::File(Content::Bytes(content.as_ref().into())))
}

pub fn directory(path: impl AsRef<[u8]>) -> Entry {
    entry(path, Kind::Directory)
}

pub fn symlink(path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Entry {
    entry(path, Kind::Symlink { target: target.as_ref().to_owned() })
}

pub fn hard_link(path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Entry {
    entry(path, Kind::HardLink { target: target.as_ref().to_owned() })
}

/// One layer into memory.
pub fn write(entries: &[Entry], compression: Compression, threads: usize) -> Written<Vec<u8>> {
    write_to(Vec::new(), entries, compression, threads).unwrap()
}

/// One layer into `sink`, which errors call "the sink".
pub fn write_to<W: Write + Send>(
    sink: W,
    entries: &[Entry],
    compression: Compression,
    threads: usize,
) -> Result<Written<W>> {
    write_all(vec![(sink, entries)], compression, threads).remove(0)
}

/// Several layers side by side, each into its sink, as [`write_to`] does.
pub fn write_all<W: Write + Send>(
    layers: Vec<(W, &[Entry])>,
    compression: Compression,
    threads: usize,
) -> Vec<Result<Written<W>>> {
    let writer = Writer::new(compression, threads, &silent);
    let jobs = layers.into_iter().enumerate().map(|(number, (sink, entries))| Job {
        number,
        title: "test",
        entries: Arc::new(entries.to_vec()),
        sink,
        destination: Path::new("the sink"),
        earlier: None,
    });
    thread::scope(|scope| {
        (0..threads).for_each(|_| drop(scope.spawn(|| writer.serve())));
        let writing: Vec<_> = jobs.map(|job| scope.spawn(|| writer.write(job))).collect();
        let written: Vec<_> = writing.into_iter().map(|layer| layer.join()).collect();
        writer.close();
        written.into_iter().map(|layer| layer.unwrap_or_else(|panic| resume_unwind(panic))).collect()
    })
}

/// The tar in a blob, which has to be one gzip member with nothing behind it (several for eStargz), frames of zstd, or no
/// compression at all.
pub fn tar_of(blob: &[u8], compression: Compression) -> Vec<u8> {
    let (mut rest, mut tar) = (blob, Vec::new());
    match compression {
        Compression::None => return blob.to_vec(),
        Compression::Gzip(_) => {
            GzDecoder::new(&mut rest).read_to_end(&mut tar).unwrap();
            assert_eq!(rest.len(), 0, "bytes behind the first member");
        }
        Compression::Estargz(_) => drop(MultiGzDecoder::new(rest).read_to_end(&mut tar).unwrap()),
        Compression::Zstd(_) => {
            while !rest.is_empty() {
                StreamingDecoder::new(&mut rest).unwrap().read_to_end(&mut tar).unwrap();
            }
        }
    }
    tar
}

/// What a reader of the layer has to find.
pub fn listing_of(entries: &[Entry]) -> Listing {
    let mut listing = Listing(BTreeMap::new());
    for entry in entries {
        let kind = match &entry.kind {
            Kind::File(Content::Bytes(bytes)) => {
                let (size, sha256) = digest(&bytes[..]);
                listing::Kind::File { size, sha256, link: None }
            }
            Kind::File(Content::Part { .. }) => unreachable!("it is made in code or of files"),
            Kind::File(Content::Disk(disk)) => {
                let (size, sha256) = digest(std::fs::File::open(disk.path()).unwrap());
                listing::Kind::File { size, sha256, link: None }
            }
            Kind::Fifo => listing::Kind::Other("fifo"),
            Kind::CharacterDevice { .. } | Kind::BlockDevice { .. } => listing::Kind::Other("device"),
            Kind::Directory => listing::Kind::Directory,
            Kind::Symlink { target } => listing::Kind::Symlink { target: target.clone() },
            Kind::HardLink { target } => {
                let mut record = listing.0[target].clone();
                if let listing::Kind::File { link, .. } = &mut record.kind {
                    *link = Some(target.clone());
                }
                listing.0.insert(target.clone(), record.clone());
                listing.0.insert(entry.path.clone(), record);
                continue;
            }
        };
        let Attributes { mode, user, group, modified, xattrs } = &entry.attributes;
        let record = Record {
            mode: if matches!(kind, listing::Kind::Symlink { .. }) { 0 } else { *mode },
            kind,
            user: (*user).into(),
            group: (*group).into(),
            time: modified.seconds,
            attributes: xattrs
                .iter()
                .map(|(name, value)| (String::from_utf8(name.clone()).unwrap(), value.clone()))
                .collect(),
        };
        listing.0.insert(entry.path.clone(), record);
    }
    listing
}
