//! What stands for the lock files of a context, by which it is told for what a cache mount was filled.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::Result;
use crate::oci::{Digest, KeyBuilder};
use crate::tree::{Ignore, Kind, walk_all};

/// Returns what stands for the content of all files in the directory `root` that match one of `patterns`, which are those of
/// `.dockerignore`; and the patterns that no file matches.
pub fn lock_key<'p>(root: &Path, patterns: &'p [String]) -> Result<(Digest, Vec<&'p str>)> {
    let (mut files, mut missing) = (BTreeMap::new(), Vec::new());
    for pattern in patterns {
        let taken = format!("!{pattern}");
        let (entries, _) = walk_all(root, &Ignore::new(["**", &taken])?)?;
        let mut is_missing = true;
        for entry in entries {
            if let Kind::File(content) = &entry.kind {
                is_missing = false;
                files.insert(entry.path, content.digest()?);
            }
        }
        if is_missing {
            missing.push(pattern.as_str());
        }
    }
    Ok((KeyBuilder::new("lock files 1").part("files", &files).finish(), missing))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn lock_files_are_known_by_their_paths_and_contents_alone() {
        let place = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = place.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("Cargo.lock", "one");
        write("web/package-lock.json", "two");
        write("src/main.rs", "fn main() {}");
        let patterns = |patterns: &[&str]| patterns.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let key = |given: &[&str]| lock_key(place.path(), &patterns(given)).unwrap().0;
        let first = key(&["Cargo.lock", "**/package-lock.json"]);
        assert_eq!(key(&["web/package-lock.json", "*.lock"]), first, "neither the order nor the pattern counts");
        assert_ne!(key(&["Cargo.lock"]), first);
        write("src/main.rs", "fn main() { todo!() }");
        write("Cargo.lock", "one");
        assert_eq!(key(&["Cargo.lock", "**/package-lock.json"]), first);
        write("web/package-lock.json", "three");
        assert_ne!(key(&["Cargo.lock", "**/package-lock.json"]), first);
        let all = patterns(&["Cargo.lock", "go.sum", "no/*.lock"]);
        assert_eq!(lock_key(place.path(), &all).unwrap().1, ["go.sum", "no/*.lock"]);
    }
}
