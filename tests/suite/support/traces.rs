//! What a run leaves behind.

use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::listing::digest;

/// The names in a directory, sorted.
pub fn names_in(directory: &Path) -> Vec<String> {
    let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names
}

/// Every blob is what its name says, every record what it is noted behind, and nothing is left of what was in the making.
#[track_caller]
pub fn assert_store_is_sound(store: &Path) {
    assert_nothing_is_in_the_making(store);
    assert_blobs_hold(store);
    assert_records_hold(store);
}

#[track_caller]
pub fn assert_nothing_is_in_the_making(store: &Path) {
    let passing = store.join("tmp");
    if passing.exists() {
        assert_eq!(names_in(&passing), [""; 0], "temporary files are left in the store");
    }
}

/// Every blob of a store or a layout is what its name says.
#[track_caller]
pub fn assert_blobs_hold(store: &Path) {
    let blobs = store.join("blobs/sha256");
    if blobs.exists() {
        for name in names_in(&blobs).iter().filter(|name| !name.starts_with(".ocibake-")) {
            assert_eq!(&digest(File::open(blobs.join(name)).unwrap()).1, name);
        }
    }
}

/// Every record of a store begins with the SHA-256 of what follows, and that with its key.
#[track_caller]
pub fn assert_records_hold(store: &Path) {
    let records = store.join("records");
    if records.exists() {
        for name in names_in(&records) {
            let record = fs::read(records.join(&name)).unwrap();
            let (promised, content) = record.split_at(32);
            assert_eq!(Sha256::digest(content)[..], *promised, "the record {name}");
            let key: String = content[..32].iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(key, name);
        }
    }
}

/// Every regular file below `directory`, sorted.
pub fn all_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let Ok(listing) = fs::read_dir(directory) else { return files };
    for item in listing.map(Result::unwrap) {
        let kind = item.file_type().unwrap();
        if kind.is_dir() {
            files.extend(all_files(&item.path()));
        } else if kind.is_file() {
            files.push(item.path());
        }
    }
    files.sort_by(|one, other| one.as_os_str().as_bytes().cmp(other.as_os_str().as_bytes()));
    files
}
