//! Small layers that come to much: they are refused before they do, and leave nothing.

use std::fs;
use std::io::Write;

use crate::support::handmade::{Blob, GZIP, Handmade, ZSTD, directory, file, symlink, tar};
use crate::support::program::{Outcome, Program};
use crate::support::tool::{require, run};
use crate::support::traces::names_in;

/// Nothing of `kinds` is made of `image`. It is the program that reads it: it may be a faster one than these tests.
fn refuses(image: &Handmade, kinds: &[&str], says: &str) {
    let (program, place) = (Program::new(), tempfile::tempdir().unwrap());
    for kind in kinds {
        let output = format!("type={kind},dest={}/root", place.path().display());
        let source = format!("oci:{}", image.path().display());
        program.run(["copy", &source, "-o", &output]).failure(1).says(&[says, "it may be a bomb"]);
        assert_eq!(names_in(place.path()), [""; 0]);
    }
}

#[test]
fn bombs_are_refused() {
    let limited = |image: &Handmade, limit: &str, says: &str| {
        let place = tempfile::tempdir().unwrap();
        let output = |kind: &str| format!("type={kind},dest={}/root,limit={limit}", place.path().display());
        for kind in ["local", "tar"] {
            let error = image.write(&output(kind)).unwrap_err();
            assert!(error.message.contains(says), "{error:?}");
            assert!(error.hint.is_some(), "{error:?}");
            assert_eq!(names_in(place.path()), [""; 0]);
        }
    };
    let zeros = vec![0; 64 << 20];
    let bomb = tar(&[file("zeros", &zeros)]);
    for media_type in [GZIP, ZSTD] {
        limited(&Handmade::new(&[Blob::of(&bomb, media_type)]), "60m", "62914560 bytes");
    }
    // What stands behind the end of the tar counts, too, and so do several layers together.
    limited(&Handmade::new(&[Blob::of(&[tar(&[]), zeros].concat(), GZIP)]), "60m", "62914560 bytes");
    let part = Blob::of(&tar(&[file("zeros", vec![0; 6 << 20])]), GZIP);
    limited(&Handmade::new(&[part.clone(), part.clone(), part.clone()]), "15m", "15728640 bytes");
    let place = tempfile::tempdir().unwrap();
    let output = format!("type=local,dest={}/root,limit=20m", place.path().display());
    Handmade::new(&[part.clone(), part.clone(), part]).write(&output).unwrap();
    assert_eq!(fs::metadata(place.path().join("root/zeros")).unwrap().len(), 6 << 20);
}

/// The directories that nobody tells of have longer paths together than all members.
#[test]
fn paths_of_directories_that_nobody_tells_of_count() {
    let deep = "sixteen letters/".repeat(250);
    let entries: Vec<_> = (0..600).map(|number| file(format!("{number:04}/{deep}a"), "")).collect();
    refuses(&Handmade::of(&[&entries]), &["local", "tar"], "exceeds the limit of 268435456 bytes for all paths");
}

/// A short path is a long one where its first name is a link.
#[test]
fn paths_that_links_lead_to_count() {
    let long = vec!["n".repeat(200); 19].join("/");
    let mut entries = vec![directory(&long), symlink("l", &long)];
    entries.extend((0..71_000).map(|number| file(format!("l/{number}"), "")));
    refuses(&Handmade::of(&[&entries]), &["tar"], "exceeds the limit of 268435456 bytes for all paths");
}

/// Each member of this layer is looked for along some sixty thousand names.
#[test]
fn the_ways_of_links_come_to_an_end() {
    let detour = "d/../".repeat(800);
    let mut links = vec![directory("d"), directory("e"), symlink("l0", format!("{detour}d"))];
    links.extend((1..39).map(|number| symlink(format!("l{number}"), format!("{detour}l{}", number - 1))));
    let files = (0..2_000).flat_map(|number| [file(format!("l38/{number}"), ""), file(format!("e/{number}"), "")]);
    let whiteouts = (0..2_000).map(|number| file(format!("l38/.wh.{number}"), ""));
    let says = "exceeds the limit of 100000000 names that links add to paths";
    refuses(&Handmade::of(&[&[&links[..], &files.collect::<Vec<_>>()].concat()]), &["tar"], says);
    refuses(&Handmade::of(&[&links, &whiteouts.collect::<Vec<_>>()]), &["tar"], says);
}

/// Until it is known what all layers make, a layer brings few directories to disk that it does not tell of.
#[test]
fn directories_that_nobody_tells_of_are_made_when_all_is_known() {
    let deep = "d/".repeat(200);
    let mut files: Vec<_> = (0..60).map(|number| file(format!("{number}/{deep}a"), number.to_string())).collect();
    let image = Handmade::of(&[&files]);
    let place = tempfile::tempdir().unwrap();
    let output = format!("type=local,dest={}/root", place.path().display());
    let copy =
        |image: &Handmade| ["copy".to_owned(), format!("oci:{}", image.path().display()), "-o".into(), output.clone()];
    Program::new().run(copy(&image)).success();
    for number in 0..60 {
        let path = place.path().join(format!("root/{number}/{deep}a"));
        assert_eq!(fs::read_to_string(path).unwrap(), number.to_string());
    }
    let all = run("find", [place.path().join("root").to_str().unwrap()]);
    assert_eq!(all.lines().count(), 60 * 202 + 1);
    if !require("strace") {
        return;
    }
    fs::remove_dir_all(place.path().join("root")).unwrap();
    // That it is refused is seen when all of it was read.
    files.extend([file("file", ""), file("file/in it", "")]);
    let refused = Handmade::of(&[&files]);
    let log = place.path().join("log");
    let tracer = ["strace", "-f", "-qq", "-e", "trace=mkdir,mkdirat", "-o", log.to_str().unwrap()];
    let outcome = Outcome::of(&mut Program::new().command_under(&tracer, copy(&refused)));
    outcome.failure(1).says(&["file/in it cannot be placed: file is not a directory"]);
    // Some 4096, one for each file, and what a run makes of its own.
    let made = fs::read_to_string(&log).unwrap().lines().filter(|line| line.ends_with("= 0")).count();
    assert!((4_000..4_300).contains(&made), "{made} directories");
    assert_eq!(names_in(place.path()), ["log"]);
}

/// A million entries are many, but no crime; more than two are. It is the program that reads them: it may be a faster one than
/// these tests.
#[test]
#[ignore = "takes a while: with the large images"]
fn the_number_of_entries_is_limited() {
    let header = file("same", "").header();
    let header = header.as_bytes().repeat(1000);
    let mut hasher = <sha2::Sha256 as sha2::Digest>::new();
    (0..2001).for_each(|_| sha2::Digest::update(&mut hasher, &header));
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(1));
    (0..2001).for_each(|_| encoder.write_all(&header).unwrap());
    let diff_id = sha2::Digest::finalize(hasher).iter().map(|byte| format!("{byte:02x}")).collect();
    let bytes = encoder.finish().unwrap();
    refuses(
        &Handmade::new(&[Blob { media_type: GZIP, bytes, diff_id }]),
        &["local", "tar"],
        "more than 2000000 entries",
    );
    // Some thousand entries, and each of them in 100 directories of its own.
    let entries: Vec<_> = (0..20_000).map(|number| file(format!("{number}/{}a", "d/".repeat(99)), "")).collect();
    refuses(
        &Handmade::of(&[&entries]),
        &["local", "tar"],
        "exceeds the limit of 2000000 entries, counting the directories they are in",
    );
}
