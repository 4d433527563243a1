//! What a run leaves behind.

use std::fs::{self, File};
use std::path::Path;

use super::listing::digest;

/// The names in a directory, sorted.
pub fn names_in(directory: &Path) -> Vec<String> {
    let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names
}

/// Every blob is what its name says, and nothing is left of what was in the making.
#[track_caller]
pub fn assert_store_is_sound(store: &Path) {
    assert_nothing_is_in_the_making(store);
    assert_blobs_hold(store);
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
