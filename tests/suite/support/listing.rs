//! What stands in a directory or a tar, read by other means than the program's own, in one form to compare.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use ocibake::source::modified::FILES_TIME;
use sha2::{Digest, Sha256};

/// Everything below a root, by path; the root itself is left out.
#[derive(Clone, PartialEq, Eq)]
pub struct Listing(pub BTreeMap<Vec<u8>, Record>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub kind: Kind,
    /// The permission bits and the three above them; 0 for a symlink, whose mode means nothing.
    pub mode: u32,
    pub user: u64,
    pub group: u64,
    /// Seconds since 1970.
    pub time: i64,
    pub attributes: BTreeMap<String, Vec<u8>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    File {
        size: u64,
        sha256: String,
        /// The first path of this file, where it has several.
        link: Option<Vec<u8>>,
    },
    Directory,
    Symlink {
        target: Vec<u8>,
    },
    Other(&'static str),
}

impl Listing {
    pub fn of_directory(root: &Path) -> Self {
        let mut listing = Listing(BTreeMap::new());
        let mut links: BTreeMap<(u64, u64), Vec<Vec<u8>>> = BTreeMap::new();
        listing.read_directory(root, root, &mut links);
        for paths in links.into_values() {
            listing.join(paths);
        }
        listing
    }

    /// Reads a tar that is not compressed, of ustar headers and pax records alone. The headers are read by the tar crate;
    /// the records are not, for it takes a newline in a value for the end of a record.
    pub fn of_tar(tar: impl Read) -> Self {
        let mut listing = Listing(BTreeMap::new());
        let mut links: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = BTreeMap::new();
        let mut records = BTreeMap::new();
        for entry in tar::Archive::new(tar).entries().unwrap().raw(true) {
            let mut entry = entry.unwrap();
            if entry.header().entry_type().is_pax_local_extensions() {
                let mut data = Vec::new();
                entry.read_to_end(&mut data).unwrap();
                records = pax_records(&data);
                continue;
            }
            let records = std::mem::take(&mut records);
            let path = plain(records.get("path").unwrap_or(&entry.path_bytes().into_owned()));
            let target = records.get("linkpath").cloned().or(entry.link_name_bytes().map(|name| name.into_owned()));
            if entry.header().entry_type().is_hard_link() {
                let target = plain(&target.expect("a hard link has a target"));
                let record = listing.0.get(&target).expect("a hard link follows its target").clone();
                listing.0.insert(path.clone(), record);
                links.entry(target.clone()).or_insert_with(|| vec![target]).push(path);
            } else if !path.is_empty() {
                let record = Record::of_entry(&mut entry, target, &records);
                assert!(listing.0.insert(path.clone(), record).is_none(), "{} comes twice", path.escape_ascii());
            }
        }
        for paths in links.into_values() {
            listing.join(paths);
        }
        listing
    }

    /// Without what an image's rules replace by fixed values: all of root, all at the time that files of layers have.
    pub fn normalised(mut self) -> Self {
        for record in self.0.values_mut() {
            (record.user, record.group, record.time) = (0, 0, FILES_TIME);
        }
        self
    }

    /// All at this time.
    pub fn at_time(mut self, seconds: i64) -> Self {
        self.0.values_mut().for_each(|record| record.time = seconds);
        self
    }

    /// Fails with the lines that differ: `-` for what only `expected` has, `+` for what only this has.
    #[track_caller]
    pub fn assert_is(&self, expected: &Listing) {
        let mut difference = String::new();
        let paths = expected.0.keys().chain(self.0.keys().filter(|path| !expected.0.contains_key(*path)));
        for path in paths {
            let (wanted, found) = (expected.0.get(path), self.0.get(path));
            for (sign, record) in [('-', wanted), ('+', found)] {
                if let Some(record) = record.filter(|_| wanted != found) {
                    let _ = writeln!(difference, "{sign} {}: {record}", path.escape_ascii());
                }
            }
        }
        assert!(difference.is_empty(), "the listings differ:\n{difference}");
    }

    fn read_directory(&mut self, root: &Path, directory: &Path, links: &mut BTreeMap<(u64, u64), Vec<Vec<u8>>>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).expect("it was found below the root").as_os_str().as_bytes().to_owned();
            let metadata = fs::symlink_metadata(&path).unwrap();
            if metadata.is_file() && metadata.nlink() > 1 {
                links.entry((metadata.dev(), metadata.ino())).or_default().push(name.clone());
            }
            self.0.insert(name, Record::of_path(&path, &metadata));
            if metadata.is_dir() {
                self.read_directory(root, &path, links);
            }
        }
    }

    /// Marks all of `paths` as one file.
    fn join(&mut self, paths: Vec<Vec<u8>>) {
        let first = paths.iter().min().cloned().filter(|_| paths.len() > 1);
        for path in paths {
            if let Some(Record { kind: Kind::File { link, .. }, .. }) = self.0.get_mut(&path) {
                link.clone_from(&first);
            }
        }
    }
}

impl Record {
    fn of_path(path: &Path, metadata: &fs::Metadata) -> Self {
        let file_type = metadata.file_type();
        let kind = if file_type.is_file() {
            let (size, sha256) = digest(File::open(path).unwrap());
            Kind::File { size, sha256, link: None }
        } else if file_type.is_dir() {
            Kind::Directory
        } else if file_type.is_symlink() {
            Kind::Symlink { target: fs::read_link(path).unwrap().into_os_string().into_vec() }
        } else if file_type.is_fifo() {
            Kind::Other("fifo")
        } else if file_type.is_socket() {
            Kind::Other("socket")
        } else {
            Kind::Other("device")
        };
        let mut attributes = BTreeMap::new();
        for name in xattr::list(path).unwrap() {
            let value = xattr::get(path, &name).unwrap().expect("it was listed");
            attributes.insert(name.to_string_lossy().into_owned(), value);
        }
        Record {
            mode: if file_type.is_symlink() { 0 } else { metadata.mode() & 0o7777 },
            kind,
            user: metadata.uid().into(),
            group: metadata.gid().into(),
            time: metadata.mtime(),
            attributes,
        }
    }

    fn of_entry(
        entry: &mut tar::Entry<'_, impl Read>,
        target: Option<Vec<u8>>,
        records: &BTreeMap<String, Vec<u8>>,
    ) -> Self {
        let header = entry.header();
        let number = |key: &str| records.get(key).map(|value| String::from_utf8_lossy(value).into_owned());
        let id = |key: &str, field: u64| number(key).map_or(field, |text| text.parse().unwrap());
        let seconds = |text: String| text.split('.').next().unwrap_or_default().parse().unwrap();
        let attributes = records.iter().filter_map(|(key, value)| Some((key.strip_prefix("SCHILY.xattr.")?, value)));
        let kind = header.entry_type();
        let mut record = Record {
            kind: Kind::Other("special"),
            mode: if kind.is_symlink() { 0 } else { header.mode().unwrap() & 0o7777 },
            user: id("uid", header.uid().unwrap_or_default()),
            group: id("gid", header.gid().unwrap_or_default()),
            time: number("mtime").map_or_else(|| header.mtime().unwrap().try_into().unwrap(), seconds),
            attributes: attributes.map(|(name, value)| (name.to_owned(), value.clone())).collect(),
        };
        if kind.is_file() {
            let (size, sha256) = digest(entry);
            record.kind = Kind::File { size, sha256, link: None };
        } else if kind.is_dir() {
            record.kind = Kind::Directory;
        } else if kind.is_symlink() {
            record.kind = Kind::Symlink { target: target.expect("a symlink has a target") };
        }
        record
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::File { size, sha256, link } => {
                write!(f, "file of {size} bytes, {}", &sha256[..12])?;
                if let Some(link) = link {
                    write!(f, ", linked with {}", link.escape_ascii())?;
                }
            }
            Kind::Directory => write!(f, "directory")?,
            Kind::Symlink { target } => write!(f, "symlink to {}", target.escape_ascii())?,
            Kind::Other(name) => write!(f, "{name}")?,
        }
        write!(f, ", mode {:04o}, owner {}:{}, time {}", self.mode, self.user, self.group, self.time)?;
        for (name, value) in &self.attributes {
            write!(f, ", {name}={}", value.escape_ascii())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (path, record) in &self.0 {
            writeln!(f, "{}: {record}", path.escape_ascii())?;
        }
        Ok(())
    }
}

/// The records of a pax header: `length key=value\n`, the length in decimal being that of the whole record.
fn pax_records(mut data: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut records = BTreeMap::new();
    while !data.is_empty() {
        let space = data.iter().position(|byte| *byte == b' ').expect("a length ends in a space");
        let length: usize = String::from_utf8_lossy(&data[..space]).parse().unwrap();
        let (record, rest) = data.split_at(length);
        let record = record[space + 1..].strip_suffix(b"\n").expect("a record ends in a newline");
        let equals = record.iter().position(|byte| *byte == b'=').expect("a record has a key");
        let key = String::from_utf8(record[..equals].to_vec()).unwrap();
        records.insert(key, record[equals + 1..].to_vec());
        data = rest;
    }
    records
}

/// A path of a tar without the `./` before it and the `/` behind it; empty for the root.
fn plain(path: &[u8]) -> Vec<u8> {
    let path = if path == b"." { b"" } else { path.strip_prefix(b"./").unwrap_or(path) };
    path.strip_suffix(b"/").unwrap_or(path).to_owned()
}

/// The size of what `content` gives, and its SHA-256 in hexadecimal.
pub fn digest(mut content: impl Read) -> (u64, String) {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    let mut size = 0;
    loop {
        let count = content.read(&mut buffer).unwrap();
        if count == 0 {
            return (size, hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect());
        }
        hasher.update(&buffer[..count]);
        size += count as u64;
    }
}

/// The two readings agree on what GNU tar packs, so that what they find different in an image is the image's.
#[test]
fn a_directory_and_its_tar_have_the_same_listing() {
    use proptest::test_runner::{Config, TestRunner};

    if !super::tool::require("tar") {
        return;
    }
    let config = Config { cases: 12, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&super::tree::any_tree(), |tree| {
        let directory = tree.file("noted file", "").attribute("user.note", "kept").plant();
        let arguments = ["--create", "--format=pax", "--xattrs", "--xattrs-include=*", "--numeric-owner"];
        let packed =
            std::process::Command::new("tar").args(arguments).arg("-C").arg(directory.path()).arg(".").output();
        let tar = packed.unwrap().stdout;
        Listing::of_tar(&tar[..]).assert_is(&Listing::of_directory(directory.path()));
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}
