//! Builds of stages again: what has not changed is not looked into, and what has is made anew.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use ocibake::plan::{Base, Copy, Provider, Stage, Work};

use crate::support::handmade::{Handmade, directory as base_directory, file};
use crate::support::stages::{Workshop, copy, directory, stage};
use crate::support::tree::Tree;

/// Longer than files are racy after they were changed.
const SETTLING: Duration = Duration::from_millis(250);

fn workshop() -> (Workshop, Vec<Stage>) {
    let tree = Tree::new().file("a", "a").file("d/b", "b").file("d/c", "c").file("e/f", "f");
    let mut workshop = Workshop::new(&tree);
    let image = workshop.image(Handmade::of(&[&[
        base_directory("etc"),
        file("etc/passwd", "alice:x:1000:1001::/:\n"),
        file("srv/x", "x"),
    ]]));
    let owner = Some("alice".to_owned());
    let stages = vec![
        stage(Base::Image(image.clone()), vec![Work::Copy(copy(&["d"], "/d")), directory("etc", None)]),
        stage(
            Base::Image(image.clone()),
            vec![
                directory("work", Some("alice")),
                Work::Copy(Copy { owner, ..copy(&["a"], "/work/") }),
                Work::Copy(Copy { from: Provider::Stage(0), ..copy(&["/d/*"], "/work/") }),
                Work::Copy(Copy { from: Provider::Image(image), ..copy(&["/srv/x"], "/work/") }),
                Work::Copy(copy(&["e"], "/e")),
            ],
        ),
    ];
    sleep(SETTLING);
    (workshop, stages)
}

#[test]
fn a_second_build_looks_into_nothing() {
    let (workshop, stages) = workshop();
    let first = workshop.build(stages.clone());
    assert_eq!((first.made.len(), first.known.len()), (5, 0));
    // No layer of an image can be read any more.
    fs::remove_dir_all(workshop.layouts[0].path().join("blobs")).unwrap();
    let blobs = || fs::read_dir(workshop.store.path().join("blobs/sha256")).unwrap().count();
    let before = blobs();
    let second = workshop.build(stages);
    assert_eq!(second.digest, first.digest);
    assert_eq!((second.made, second.known.len(), blobs()), (Vec::<String>::new(), 5, before));
}

#[test]
fn only_what_depends_on_a_change_is_made_anew() {
    let (workshop, stages) = workshop();
    let first = workshop.build(stages.clone());
    let build = || {
        sleep(SETTLING);
        workshop.build(stages.clone())
    };
    fs::write(workshop.context().join("a"), "changed").unwrap();
    let changed = build();
    assert_eq!(changed.made, ["step 1"], "what comes later has not changed itself");
    assert_ne!(changed.digest, first.digest);
    fs::write(workshop.context().join("d/b"), "changed").unwrap();
    assert_eq!(build().made, ["step 2"], "what was taken from the other stage");
    fs::write(workshop.context().join("e/new"), "new").unwrap();
    assert_eq!(build().made, ["step 4"]);
    fs::remove_file(workshop.context().join("e/new")).unwrap();
    assert_eq!(build().made, Vec::<String>::new(), "what was made before is known");
    fs::write(workshop.context().join("unused"), "unused").unwrap();
    let last = build();
    assert_eq!((last.made, last.known.len()), (Vec::new(), 5));
}

#[test]
fn what_a_step_is_told_is_heeded() {
    let (workshop, mut stages) = workshop();
    let first = workshop.build(stages.clone());
    let Work::Copy(copy) = &mut stages[1].steps[4].work else { unreachable!() };
    copy.owner = Some("5".to_owned());
    let second = workshop.build(stages.clone());
    assert_eq!(second.made, ["step 4"]);
    assert_ne!(second.digest, first.digest);
    let Work::Copy(copy) = &mut stages[1].steps[4].work else { unreachable!() };
    copy.to.path = "elsewhere".to_owned();
    assert_eq!(workshop.build(stages.clone()).made, ["step 4"]);
    stages[1].steps.swap(1, 2);
    let third = workshop.build(stages);
    assert_ne!(third.digest, second.digest, "the order counts, though the layers are known");
    assert_eq!(third.made, Vec::<String>::new());
}

#[test]
fn a_file_that_was_changed_just_now_is_read_again() {
    let workshop = Workshop::new(&Tree::new());
    fs::write(workshop.context().join("racy"), "1").unwrap();
    let stages = vec![stage(Base::Scratch, vec![Work::Copy(copy(&["racy"], "/"))])];
    assert_eq!(workshop.build(stages.clone()).made.len(), 1);
    assert_eq!(workshop.build(stages).made.len(), 1);
}

#[test]
fn times_that_are_not_trusted_are_not_looked_at() {
    let (mut workshop, stages) = workshop();
    let first = workshop.build(stages.clone());
    workshop.options.trust_times = false;
    let second = workshop.build(stages);
    assert_eq!((second.digest, second.made.len()), (first.digest, 5));
}

#[test]
fn records_and_blobs_that_are_damaged_or_gone_are_made_again() {
    let (workshop, stages) = workshop();
    let first = workshop.build(stages.clone());
    for (number, place) in ["records", "blobs/sha256"].into_iter().cycle().take(6).enumerate() {
        let mut files: Vec<_> =
            fs::read_dir(workshop.store.path().join(place)).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        for (at, file) in files.iter().enumerate().filter(|(at, _)| at % 3 == number / 2) {
            match (at + number) % 2 {
                0 => fs::remove_file(file).unwrap(),
                _ => fs::write(file, "damaged").unwrap(),
            }
        }
        assert_eq!(workshop.build(stages.clone()).digest, first.digest, "{place} {number}");
    }
}
