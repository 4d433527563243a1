//! Layers that want to get out of the root: nothing does.

use std::fs;
use std::os::unix::fs::symlink as link;

use crate::support::handmade::{Blob, Entry, Handmade, PLAIN, directory, file, hard_link, symlink, tar};
use crate::support::listing::Listing;
use crate::support::noise::noise;
use crate::support::traces::names_in;

/// Each of them tries to get out. What it is to hit lies beside the root, under the name that is tried.
#[test]
fn nothing_gets_out_of_the_root() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "secret").unwrap();
    let away = outside.path().to_str().unwrap().to_owned();
    let within = format!("{}/x", &away[1..]);
    let before = Listing::of_directory(outside.path());
    let go = |layers: &[&[Entry]]| {
        let place = tempfile::tempdir().unwrap();
        link(&away, place.path().join("beside")).unwrap();
        let root = place.path().join("root");
        let outcome = Handmade::of(layers).write(&format!("type=local,dest={}", root.display()));
        Listing::of_directory(outside.path()).assert_is(&before);
        match outcome {
            Ok(()) => {
                assert_eq!(names_in(place.path()), ["beside", "root"]);
                Ok((place, root))
            }
            Err(error) => {
                assert_eq!(names_in(place.path()), ["beside"], "nothing is left of what failed");
                Err(error)
            }
        }
    };
    let refused = |layers: &[&[Entry]], says: &str| {
        let error = go(layers).map(drop).unwrap_err();
        assert!(error.message.contains(says), "{says:?} is not in {error:?}");
        assert!(error.message.contains("sha256:"), "{error:?} does not say which layer");
    };
    let harmless = |layers: &[&[Entry]], there: &str| {
        let (_place, root) = go(layers).unwrap();
        assert_eq!(fs::read(root.join(there)).unwrap(), b"x", "{there}");
    };

    // `..` leads up to the root and no further.
    harmless(&[&[file("../x", "x")]], "x");
    harmless(&[&[file("./../a/../../beside/x", "x")]], "beside/x");
    harmless(&[&[directory("a/.."), file("b", "x"), hard_link("c", "../../b")]], "c");
    refused(&[&[file("..", "x")]], "root");
    harmless(&[&[file(format!("{away}/x"), "x")]], &within);
    harmless(&[&[file("//x", "x")]], "x");

    // A link, and then a file through it, to where it would lead within the root.
    harmless(&[&[symlink("l", &away), file("l/x", "x")]], &within);
    harmless(&[&[symlink("l", &away)], &[file("l/x", "x")]], &within);
    harmless(&[&[symlink("l", "../../../../../../beside"), file("l/x", "x")]], "beside/x");
    harmless(&[&[directory("d"), symlink("d/l", "../../beside"), file("d/l/x", "x")]], "beside/x");
    harmless(&[&[symlink("a", "b"), symlink("b", &away), file("a/x", "x")]], &within);
    // A link is replaced and not written through.
    harmless(&[&[symlink("x", format!("{away}/secret")), file("x", "x")]], "x");
    harmless(&[&[symlink("x", format!("{away}/secret"))], &[file("x", "x")]], "x");
    harmless(&[&[symlink("d", &away)], &[directory("d"), file("d/x", "x")]], "d/x");
    // The same in the other order: a directory is there, then a link takes its place.
    harmless(&[&[directory("d"), file("d/x", "x"), symlink("d", &away), file("y", "x")]], "y");
    refused(&[&[symlink("a", "b"), symlink("b", "a"), file("a/x", "x")]], "40 links");
    refused(&[&[file("f", ""), file("f/x", "x")]], "f is not a directory");
    refused(&[&[symlink("l", "f"), file("f", ""), file("l/x", "x")]], "f is not a directory");

    refused(&[&[hard_link("h", "/etc/passwd")]], "not there");
    refused(&[&[hard_link("h", "../beside/secret")]], "not there");
    refused(&[&[hard_link("h", format!("{away}/secret"))]], "not there");
    refused(&[&[symlink("l", &away), hard_link("h", "l/secret")]], "not there");
    refused(&[&[directory("d"), hard_link("h", "d")]], "a directory");
    refused(&[&[hard_link("h", "/")]], "the root");
    refused(&[&[hard_link("h", "h")]], "not there");
    // Of the link itself, not of what it leads to.
    let (_place, root) = go(&[&[symlink("l", format!("{away}/secret")), hard_link("h", "l")]]).unwrap();
    assert_eq!(fs::read_link(root.join("h")).unwrap().to_str().unwrap(), format!("{away}/secret"));

    refused(&[&[file(".wh...", "")]], "a whiteout of a name that cannot exist");
    refused(&[&[file(".wh..", "")]], "a whiteout of a name that cannot exist");
    refused(&[&[file(".wh.", "")]], "a whiteout of a name that cannot exist");
    go(&[&[file("../.wh.secret", "")]]).unwrap(); // what it removes is not there
    refused(&[&[file("a/.wh.b/c", "")]], "lies in a whiteout");
    harmless(&[&[file("x", "x"), symlink("l", &away)], &[file("l/.wh.secret", "")]], "x");
    harmless(&[&[file("x", "x"), symlink("l", &away)], &[file("l/.wh..wh..opq", "")]], "x");
    harmless(&[&[file("x", "x")], &[file("no/such/.wh.file", ""), file("no/.wh..wh..opq", "")]], "x");
    harmless(&[&[file("x", "x"), directory(".wh..wh.plnk"), file(".wh..wh.plnk/1", "")]], "x");

    refused(&[&[symlink("/", &away)]], "its root is not a directory");
    refused(&[&[file("./", "x").record("path", "./")]], "its root is not a directory");
    refused(&[&[symlink("l", "")]], "an invalid target");
    refused(&[&[symlink("l", "a").record("linkpath", "a\0b")]], "an invalid target");
    refused(&[&[file("x", "").record("path", "a\0b")]], "NUL");
    refused(&[&[file("x", "").record("path", [b"y/".repeat(3000), b"x".to_vec()].concat())]], "4095");

    // Links lead to where no path could; and no deeper than any program can follow.
    let far = format!("{}/", "d".repeat(200)).repeat(15);
    harmless(&[&[symlink("a", &far), file("a/x", "x")]], &format!("{far}x"));
    refused(&[&[symlink(format!("{far}l"), &far), file(format!("{far}l/x"), "")]], "4095 bytes");
    harmless(&[&[file(format!("{}x", "d/".repeat(255)), "x")]], &format!("{}x", "d/".repeat(255)));
    refused(&[&[file(format!("{}x", "d/".repeat(256)), "x")]], "256 directories deep");
}

/// Whatever the headers say, with checksums that are right: it is unpacked or refused, and nothing is hit beside it.
#[test]
fn a_tar_of_arbitrary_headers_does_no_harm() {
    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};

    let whole = tar(&[
        directory("d"),
        file("d/a", "content").record("SCHILY.xattr.user.note", "kept"),
        symlink("l", "../beside"),
        hard_link("h", "d/a"),
        file("l/b", noise(1, 700)),
        file("n".repeat(150), "long"),
        file("d/.wh.a", ""),
    ]);
    let edit = (any::<prop::sample::Index>(), prop_oneof![any::<u8>(), Just(0), Just(b'/'), Just(b'.'), b'0'..b'8']);
    let config = Config { cases: 300, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&proptest::collection::vec(edit, 1..6), |edits| {
        let mut bytes = whole.clone();
        for (at, byte) in &edits {
            *at.get_mut(&mut bytes) = *byte;
        }
        for record in bytes.chunks_mut(512).filter(|record| &record[257..262] == b"ustar") {
            record[148..156].fill(b' ');
            let sum: u32 = record.iter().map(|byte| u32::from(*byte)).sum();
            record[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        }
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("beside")).unwrap();
        let image = Handmade::new(&[Blob::of(&bytes, PLAIN)]);
        let outcome = image.write(&format!("type=local,dest={}/root", place.path().display()));
        let expected: &[&str] = if outcome.is_ok() { &["beside", "root"] } else { &["beside"] };
        prop_assert_eq!(names_in(place.path()), expected, "{:?}", outcome);
        prop_assert_eq!(names_in(&place.path().join("beside")), [""; 0]);
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}
