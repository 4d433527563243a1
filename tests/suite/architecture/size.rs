//! Holds that no file of source or of tests is too long to be read at once.

use std::fs;
use std::path::Path;

use crate::support::source::visit;

/// Lines. Most files have far fewer.
const LONGEST: usize = 500;

#[test]
fn no_file_is_too_long() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut files, mut faults) = (0, Vec::new());
    for tree in ["src", "tests"] {
        visit(&root.join(tree), &mut |path| {
            let lines = fs::read_to_string(path).unwrap().lines().count();
            if lines > LONGEST {
                let name = path.strip_prefix(root).expect("it was found there");
                faults.push(format!("{} has {lines} lines: split it by topic", name.display()));
            }
            files += 1;
        });
    }
    assert!(files > 100, "only {files} files found in {}", root.display());
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}
