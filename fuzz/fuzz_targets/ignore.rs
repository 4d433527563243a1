//! A `.dockerignore` never panics, and a walk, which does not try what it knows, comes to what a single look comes to.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ocibake::plan::dockerignore;
use ocibake::tree::{Above, Ignore};

// What stands before a NUL is the file, the rest is a path.
fuzz_target!(|input: &[u8]| {
    let (file, path) = match input.iter().position(|byte| *byte == 0) {
        Some(nul) => (&input[..nul], &input[nul + 1..]),
        None => (input, &b"a/b"[..]),
    };
    let patterns = dockerignore::patterns(file);
    let Ok(ignore) = Ignore::new(patterns.iter().map(String::as_str)) else { return };
    let mut above = Above::default();
    let mut is_left = false;
    for slash in (0..path.len()).filter(|at| path[*at] == b'/') {
        let directory = &path[..slash];
        is_left |= ignore.matches_in(&above, directory) && !ignore.may_take_back_below(directory);
        above = ignore.enter(&above, directory);
    }
    assert_eq!(ignore.matches_in(&above, path), ignore.matches(path));
    assert!(!is_left || ignore.matches(path));
});
