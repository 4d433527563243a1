//! What may happen to files behind everybody's back.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::traces::names_in;

pub fn each(directory: &Path, mut change: impl FnMut(&Path)) {
    names_in(directory).iter().for_each(|name| change(&directory.join(name)));
}

/// Changes one byte and no size.
pub fn flip(path: &Path, at: u64) {
    let mut byte = [0];
    let file = File::options().read(true).write(true).open(path).unwrap();
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}
