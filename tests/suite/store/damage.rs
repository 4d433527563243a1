//! A store that lost something, or was changed by others, gives no wrong image, and is mended.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::support::damage::{each, flip};
use crate::support::layout::Layout;
use crate::support::noise::noise;
use crate::support::rebuild::{BOTH, Rebuild};
use crate::support::traces::{assert_store_is_sound, names_in};

#[test]
fn a_store_that_lost_something_makes_it_again() {
    let damages: &[Change] = &[
        ("no blobs", |store| each(&store.join("blobs/sha256"), |blob| fs::remove_file(blob).unwrap())),
        ("no directory of blobs", |store| fs::remove_dir_all(store.join("blobs")).unwrap()),
        ("blobs cut short", |store| {
            each(&store.join("blobs/sha256"), |blob| {
                File::options().write(true).open(blob).unwrap().set_len(9).unwrap()
            });
        }),
        ("empty blobs", |store| each(&store.join("blobs/sha256"), |blob| fs::write(blob, "").unwrap())),
        ("longer blobs", |store| {
            each(&store.join("blobs/sha256"), |blob| {
                let length = fs::metadata(blob).unwrap().len();
                File::options().write(true).open(blob).unwrap().set_len(length + 1).unwrap();
            });
        }),
        ("no records", |store| fs::remove_dir_all(store.join("records")).unwrap()),
        ("empty records", |store| each(&store.join("records"), |record| fs::write(record, "").unwrap())),
        ("garbage for records", |store| {
            each(&store.join("records"), |record| fs::write(record, noise(1, 300)).unwrap())
        }),
        ("JSON for records", |store| each(&store.join("records"), |record| fs::write(record, "{}").unwrap())),
        ("records cut short", |store| {
            each(&store.join("records"), |record| {
                File::options().write(true).open(record).unwrap().set_len(99).unwrap()
            });
        }),
        ("directories for records", |store| {
            each(&store.join("records"), |record| {
                fs::remove_file(record).unwrap();
                symlink("/nowhere", record).unwrap();
            });
        }),
        ("nothing in the making", |store| fs::remove_dir(store.join("tmp")).unwrap()),
        ("nothing at all", |store| fs::remove_dir_all(store).unwrap()),
    ];
    for (what, damage) in damages {
        let world = Rebuild::new();
        let expected = world.build(&[]).digest;
        damage(&world.program.store());
        let layout = world.place.path().join("layout");
        assert_eq!(world.build(&["-o", &format!("{}/", layout.display())]).digest, expected, "{what}");
        assert_eq!(Layout::open(&layout).images()[0].digest, expected, "{what}");
        assert_store_is_sound(&world.program.store());
        assert_eq!(world.build(&[]).known, BOTH, "{what}: it is remembered again");
    }
}

#[test]
fn no_bit_of_a_record_can_turn_into_a_wrong_image() {
    let world = Rebuild::new();
    let expected = world.build(&[]).digest;
    let records = world.program.store().join("records");
    let record = records.join(&names_in(&records)[0]);
    let length = fs::metadata(&record).unwrap().len() as usize;
    // All would take long; these meet every field.
    for at in (0..length).step_by(19) {
        flip(&record, at as u64);
        assert_eq!(world.build(&[]).digest, expected, "byte {at}");
    }
}

#[test]
fn a_damaged_blob_is_found_when_it_is_written_and_made_again_by_the_next_build() {
    for layer in BOTH {
        let world = Rebuild::new();
        let expected = world.build(&[]);
        let digest = expected.layers[layer].trim_start_matches("sha256:").to_owned();
        let blob = world.program.store().join("blobs/sha256").join(&digest);
        flip(&blob, fs::metadata(&blob).unwrap().len() / 2);
        let layout = world.place.path().join("layout");
        let into = format!("{}/", layout.display());
        world.run(&["-o", &into]).failure(1).says(&[&digest, "build it again"]);
        assert!(!layout.exists(), "nothing half done");
        let next = world.build(&["-o", &into]);
        assert_eq!((next.made, next.digest), (vec![layer.to_owned()], expected.digest.clone()));
        assert_eq!(Layout::open(&layout).images()[0].digest, expected.digest);
        assert_store_is_sound(&world.program.store());
    }
}

#[test]
fn a_build_that_reads_everything_mends_a_damaged_blob() {
    let world = Rebuild::new();
    let expected = world.build(&[]).digest;
    each(&world.program.store().join("blobs/sha256"), |blob| flip(blob, 0));
    assert_eq!(world.build(&["--no-stat-cache"]).digest, expected);
    assert_store_is_sound(&world.program.store());
}

#[test]
fn a_store_in_ruins_gives_the_right_image_in_the_end() {
    let world = Rebuild::new();
    let expected = world.build(&[]).digest;
    let layout = world.place.path().join("layout");
    for seed in 0..12 {
        let mut fate = noise(seed, 64).into_iter();
        for directory in ["blobs/sha256", "records"] {
            each(&world.program.store().join(directory), |file| match fate.next().unwrap_or(0) % 5 {
                0 => fs::remove_file(file).unwrap(),
                1 => File::options().write(true).open(file).unwrap().set_len(20).unwrap(),
                2 => flip(file, 15),
                _ => {}
            });
        }
        let _ = fs::remove_dir_all(&layout);
        // Each build that fails mends a layer.
        let builds = (0..=BOTH.len()).map(|_| world.run(&["-o", &format!("{}/", layout.display())]));
        let built = builds.into_iter().find(|build| build.code == Some(0)).expect("one comes through");
        assert_eq!(built.digest(), expected);
        assert_eq!(Layout::open(&layout).images()[0].digest, expected, "seed {seed}");
    }
}

/// What is done to a directory, and its name.
type Change = (&'static str, fn(&Path));
