//! Patterns that say what of a context is added.

use std::fs::File;
use std::os::fd::OwnedFd;

use ocibake::error::Result;
use ocibake::plan::{Add, Owner, Source};
use ocibake::source::modified::Modified;
use ocibake::tree::Entry;
use rustix::fs::{Mode, OFlags, mkdirat, openat};
use tempfile::TempDir;

use crate::support::entry::entries;
use crate::support::tree::Tree;

#[test]
fn names_are_bytes() {
    let tree = Tree::new().file(b"f/caf\xe9", "").file("f/caf\u{e9}", "").file(b"f/\xff\xfe", "").file(b"d\xe9/x", "");
    let context = tree.plant();
    let (latin, utf8): (&[u8], &[u8]) = (b"caf\xe9", "caf\u{e9}".as_bytes());
    assert_matches(&context, "f/caf?", &[utf8, latin]);
    assert_matches(&context, "f/caf??", &[]);
    assert_matches(&context, "f/caf[^a]", &[utf8, latin]);
    assert_matches(&context, "f/caf[a-\u{ff}]", &[utf8]);
    assert_matches(&context, "f/??", &[b"\xff\xfe"]);
    assert_matches(&context, "f/*", &[utf8, latin, b"\xff\xfe"]);
    assert_matches(&context, "d?/x", &[b"x"]);
    assert_matches(&context, "**/caf*", &[utf8, latin]);
}

#[test]
fn case_matters() {
    let context = Tree::new().file("a.txt", "").file("A.txt", "").file("B.TXT", "").plant();
    assert_matches(&context, "*.txt", &[b"A.txt", b"a.txt"]);
    assert_matches(&context, "[a-z].*", &[b"a.txt"]);
    assert_matches(&context, "b.*", &[]);
}

#[test]
fn hidden_files_are_files() {
    let context = Tree::new().file(".hidden", "").file("shown", "").file(".d/.e", "").plant();
    assert_matches(&context, "*n*", &[b".hidden", b"shown"]);
    assert_matches(&context, "**/.e", &[b".e"]);
    assert_matches(&context, ".*/.?", &[b".e"]);
    assert_matches(&context, "[^.]*", &[b"shown"]);
}

#[test]
fn a_backslash_takes_the_next_character_as_it_is() {
    let tree =
        Tree::new().file("f/a*b", "").file("f/axb", "").file("f/[c]", "").file("f/c", "").file("f/back\\slash", "");
    let context = tree.plant();
    assert_matches(&context, "f/a\\*b", &[b"a*b"]);
    assert_matches(&context, "f/a*b", &[b"a*b", b"axb"]);
    assert_matches(&context, "f/\\[c\\]", &[b"[c]"]);
    assert_matches(&context, "f/[c]", &[b"c"]);
    assert_matches(&context, "f/back\\\\slash", &[b"back\\slash"]);
    assert!(added(&context, "f/a\\").is_err());
}

#[test]
fn two_stars_are_any_number_of_directories() {
    let tree = Tree::new().file("x", "0").file("a/x0", "").file("a/b/x1", "").file("a/b/c/x2", "").file("a/y/b/x3", "");
    let context = tree.plant();
    assert_matches(&context, "**/x?", &[b"x0", b"x1", b"x2", b"x3"]);
    assert_matches(&context, "a/**/x?", &[b"x0", b"x1", b"x2", b"x3"]);
    assert_matches(&context, "a/**/b/*[0-9]", &[b"x1", b"x3"]);
    assert_matches(&context, "**/b/**/x?", &[b"x1", b"x2", b"x3"]);
    assert_matches(&context, "**/x", &[b"x"]);
    assert_matches(&context, "*/b/**", &[b"c", b"c/x2", b"x1"]);
    // What is not a directory has nothing below it.
    assert_matches(&context, "x/**", &[]);
    assert_matches(&context, "a/x0/**/x0", &[]);
}

#[test]
fn a_path_that_is_reached_in_several_ways_comes_once() {
    let deep = format!("{}leaf", "d/".repeat(30));
    let context = Tree::new().file(&deep, "").plant();
    assert_matches(&context, &format!("{}leaf", "**/".repeat(8)), &[b"leaf"]);
    // So it may take the destination's name.
    let mut add = add("**/**/leaf");
    add.to = "/renamed".parse().unwrap();
    assert_eq!(entries(&[add], context.path(), Modified::At(0)).unwrap()[0].path, b"renamed");
}

#[test]
fn two_stars_do_not_go_into_links() {
    let tree = Tree::new().file("d/x", "").symlink("d/self", ".").symlink("d/up", "..").symlink("link", "d");
    let context = tree.symlink("loop", "loop").symlink("broken", "nowhere").plant();
    assert_eq!(sources(&context, "**/x"), 1);
    assert_matches(&context, "**/x", &[b"x"]);
    // A link that is named before any wildcard is gone through, as COPY does it, and one that leads nowhere leads to nothing.
    assert_matches(&context, "link/x", &[b"x"]);
    assert_matches(&context, "*/x", &[b"x"]);
    assert_matches(&context, "l*/x", &[]);
    assert_matches(&context, "*/self/x", &[]);
    assert!(added(&context, "loop/x").unwrap_err().message.contains("too many links"));
    assert_matches(&context, "*/*/*/nothing", &[]);
}

#[test]
fn links_to_directories_do_not_multiply_paths() {
    let links = (0..10).fold(Tree::new().file("f", ""), |tree, number| tree.symlink(number.to_string(), "."));
    let context = links.symlink("root", "/").plant();
    // Each way through a link would be a path of its own: a million of them.
    assert_matches(&context, "*/*/*/*/*/*/f", &[]);
    assert_matches(&context, "*/**/*/**/f", &[]);
    let error = added(&context, "root/**/f").unwrap_err();
    assert!(error.message.contains("leads out of the context"), "{error}");
    // All these are one directory.
    assert_eq!(added(&context, "[0-9]").unwrap().len(), 12);
}

#[test]
fn a_way_through_too_many_links_is_refused() {
    let chain =
        (0..50).fold(Tree::new(), |tree, number| tree.symlink(format!("l{number}"), format!("l{}", number + 1)));
    let context = chain.directory("l50").file("l50/x", "").plant();
    assert_matches(&context, "l20/x", &[b"x"]);
    let error = added(&context, "l0/x").unwrap_err();
    assert!(error.message.contains("too many links"), "{error}");
}

#[test]
fn what_matches_nothing_is_named() {
    let context = Tree::new().file("a", "").directory("empty").plant();
    for pattern in ["*.none", "**/none", "none/**", "empty/*", "a/*", "[^a-z]*"] {
        let error = added(&context, pattern).unwrap_err();
        assert!(error.message.ends_with(&format!("matches `{pattern}`")), "{error}");
        assert!(error.hint.is_some());
    }
}

#[test]
fn directories_are_searched_as_deep_as_a_path_can_name() {
    const LEVELS: usize = 1_990;
    let context = Tree::new().plant();
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut at: OwnedFd = File::open(context.path()).unwrap().into();
    for _ in 0..LEVELS {
        mkdirat(&at, "d", Mode::RWXU).unwrap();
        at = openat(&at, "d", flags, Mode::empty()).unwrap();
    }
    openat(&at, "leaf", OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC, Mode::RUSR).unwrap();
    for jobs in [1, 8] {
        // As small a stack as threads commonly have.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(jobs).stack_size(1 << 20).build().unwrap();
        pool.install(|| {
            assert_eq!(added(&context, ".").unwrap().len(), LEVELS + 1);
            assert_matches(&context, "**/leaf", &[b"leaf"]);
        });
    }
}

/// Nothing, or exactly these paths in the image's root.
#[track_caller]
fn assert_matches(context: &TempDir, pattern: &str, expected: &[&[u8]]) {
    let found = match added(context, pattern) {
        Ok(found) => found,
        Err(error) => {
            assert!(error.message.contains("matches") || error.message.contains("there is no"), "{pattern}: {error}");
            Vec::new()
        }
    };
    let found: Vec<&[u8]> = found.iter().map(|entry| &entry.path[..]).collect();
    let shown = |paths: &[&[u8]]| paths.iter().map(|path| path.escape_ascii().to_string()).collect::<Vec<_>>();
    assert_eq!(shown(&found), shown(expected), "{pattern}");
}

/// How many different files the sources of `pattern` are.
fn sources(context: &TempDir, pattern: &str) -> usize {
    added(context, pattern).unwrap().len()
}

fn added(context: &TempDir, pattern: &str) -> Result<Vec<Entry>> {
    entries(&[add(pattern)], context.path(), Modified::At(0))
}

fn add(pattern: &str) -> Add {
    let source = Source::Context { context: 0, pattern: pattern.to_owned() };
    Add { source, to: "/".parse().unwrap(), mode: None, owner: Owner::ROOT, exclude: Vec::new(), place: None }
}
