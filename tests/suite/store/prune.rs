//! Pruning: what goes, what stays, and what is left when it ends in the middle.

use std::fs;
use std::os::unix::fs::symlink;

use super::cache::{SIZE, SMALL, build, contexts, known, layer_of, layers_in, limited, set_age, size_of};
use crate::support::damage::each;
use crate::support::noise::noise;
use crate::support::program::{Outcome, Program};
use crate::support::rebuild::{BOTH, Rebuild};
use crate::support::strace::Trace;
use crate::support::tool::require;
use crate::support::traces::{all_files, assert_store_is_sound, names_in};

#[test]
fn a_pruned_store_builds_the_same_and_has_no_hits() {
    let world = known();
    let expected = world.build(&[]);
    assert_eq!(world.build(&[]).known, BOTH);
    let store = world.program.store();
    let outcome = world.program.run(["cache", "prune", "--all"]).success();
    assert_eq!((names_in(&store.join("blobs/sha256")), names_in(&store.join("records"))), (vec![], vec![]));
    assert_eq!(outcome.stderr, "");
    let again = world.build(&[]);
    assert_eq!((again.made, again.digest), (BOTH.map(str::to_owned).to_vec(), expected.digest.clone()));
    // One layer alone, of all that are of that age, with the records that are of it.
    let records = names_in(&store.join("records")).len();
    let blob = store.join("blobs/sha256").join(expected.layers["changing"].trim_start_matches("sha256:"));
    set_age(&blob, 2);
    world.program.run(["cache", "prune", "--unused-for=1d"]).success();
    assert!(!blob.exists());
    // What it was made of, what its step was told and stood on, and its blocks.
    assert_eq!(names_in(&store.join("records")).len(), records - 3);
    let again = world.build(&[]);
    assert_eq!((again.made, again.known), (vec!["changing".to_owned()], vec!["constant".to_owned()]));
    assert_eq!((again.digest, again.layers), (expected.digest, expected.layers));
    assert_store_is_sound(&store);
}

#[test]
fn records_of_blobs_that_are_gone_go() {
    let world = known();
    world.build(&[]);
    let store = world.program.store();
    each(&store.join("blobs/sha256"), |blob| fs::remove_file(blob).unwrap());
    assert_ne!(names_in(&store.join("records")), [""; 0]);
    // The store is far from its limit.
    let outcome = world.program.run(["cache", "prune"]).success();
    assert!(outcome.stdout.contains(": 0 blobs, 5 records"), "{}", outcome.stdout);
    assert_eq!(names_in(&store.join("records")), [""; 0]);
}

#[test]
fn sizes_and_ages_say_what_goes() {
    let contexts = contexts::<4>();
    let layers = contexts.each_ref().map(layer_of);
    let program = Program::new();
    let blobs = program.store().join("blobs/sha256");
    let prune = |flags: &[&str]| {
        contexts.iter().for_each(|context| drop(build(&program, context).success()));
        // Documents are as if just used; layers are not.
        (0..4).for_each(|number| set_age(&blobs.join(&layers[number]), 10 - 2 * number as u64));
        let dry = program.run([&["cache", "prune", "--dry-run"], flags].concat()).success();
        assert_eq!(layers_in(&program.store()).len(), 4, "a dry run removes nothing");
        let before: u64 = all_files(&program.store()).iter().map(|file| size_of(file)).sum();
        let outcome = program.run([&["cache", "prune"], flags].concat()).success();
        let after: u64 = all_files(&program.store()).iter().map(|file| size_of(file)).sum();
        assert_eq!(dry.stdout.replace("would free", "freed"), outcome.stdout);
        let freed = format!("freed {}:", human(before - after));
        assert!(outcome.stdout.lines().last().unwrap().starts_with(&freed), "{freed} {}", outcome.stdout);
        let left = layers_in(&program.store());
        let named: Vec<_> = outcome.stdout.lines().filter_map(|line| line.split_once("  ")).collect();
        let gone: Vec<usize> = (0..4).filter(|number| !left.contains(&layers[*number])).collect();
        assert!(named.len() >= gone.len());
        assert!(gone.iter().zip(&named).all(|(number, (digest, _))| *digest == format!("sha256:{}", layers[*number])));
        gone
    };
    assert_eq!(prune(&[]), [0; 0], "far from the limit");
    assert_eq!(prune(&["--keep-size", &(2 * SIZE + 4 * SMALL).to_string()]), [0, 1]);
    assert_eq!(prune(&["--keep-size=1g"]), [0; 0]);
    assert_eq!(prune(&["--unused-for=5d"]), [0, 1, 2]);
    assert_eq!(prune(&["--unused-for=216h"]), [0]);
    assert_eq!(prune(&["--unused-for=5d", "--keep-size", &(3 * SIZE + 6 * SMALL).to_string()]), [0]);
    assert_eq!(prune(&["--unused-for=5d", "--keep-size=1"]), [0, 1, 2]);
    assert_eq!(prune(&["--all", "--keep-size", &(2 * SIZE + 4 * SMALL).to_string()]), [0, 1], "as with docker");
    assert_eq!(prune(&["--all"]), [0, 1, 2, 3]);
    program.run(["cache", "prune", "--keep-size=much"]).failure(2).says(&["is not a size"]);
    program.run(["cache", "prune", "--unused-for=long"]).failure(2).says(&["is not a duration"]);
}

/// A number of bytes in units of 1024 with two digits.
fn human(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.2} KiB", bytes as f64 / 1024.0),
        _ => panic!("no test has so much"),
    }
}

#[test]
fn what_is_not_the_stores_stays() {
    let world = Rebuild::new();
    let expected = world.build(&[]).digest;
    let (store, elsewhere) = (world.program.store(), world.place.path().join("elsewhere"));
    fs::write(&elsewhere, "elsewhere").unwrap();
    let hex = |digit: &str| digit.repeat(64);
    for name in ["mine", "blobs/mine", "tmp/mine"] {
        fs::write(store.join(name), "mine").unwrap();
    }
    for directory in ["blobs/sha256", "records"] {
        let directory = store.join(directory);
        for name in ["mine".to_owned(), hex("A"), hex("g"), hex("a")[1..].to_owned(), format!("{}.txt", hex("a"))] {
            fs::write(directory.join(name), "mine").unwrap();
        }
        fs::create_dir(directory.join(hex("b"))).unwrap();
        fs::write(directory.join(hex("b")).join(hex("c")), "mine").unwrap();
        symlink(&elsewhere, directory.join(hex("d"))).unwrap();
        // Ours by their names, whatever is in them.
        fs::write(directory.join(hex("e")), "").unwrap();
        fs::write(directory.join(hex("f")), noise(1, 3000)).unwrap();
    }
    assert_eq!(world.build(&[]).digest, expected);
    world.program.run(["cache", "ls"]).success();
    world.program.run(["cache", "prune", "--all"]).success();
    let left = |directory: &str| names_in(&store.join(directory));
    for directory in ["blobs/sha256", "records"] {
        let foreign = [hex("A"), hex("a")[1..].to_owned(), format!("{}.txt", hex("a")), hex("b"), hex("d"), hex("g")];
        let mut foreign = Vec::from(foreign);
        foreign.push("mine".to_owned());
        foreign.sort();
        assert_eq!(left(directory), foreign);
        assert_eq!(left(&format!("{directory}/{}", hex("b"))), [hex("c")]);
    }
    assert_eq!((left("tmp"), left("blobs")), (vec!["mine".to_owned()], vec!["mine".to_owned(), "sha256".to_owned()]));
    assert_eq!(fs::read(&elsewhere).unwrap(), b"elsewhere");
    assert_eq!(world.build(&[]).digest, expected);
}

#[test]
fn a_prune_that_is_killed_leaves_a_sound_store() {
    if !require("strace") {
        return;
    }
    let world = known();
    let expected = world.build(&[]).digest;
    let store = world.program.store();
    // Three records and four blobs.
    for nth in 1..=7 {
        // Counted anew: a build that still knows a step does not write all records of its layer again.
        let files = all_files(&store).len();
        let inject = format!("inject=/^unlink:signal=KILL:when={nth}");
        let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=/^unlink", "-e", &inject];
        let outcome = Outcome::of(&mut world.program.command_under(&strace, ["cache", "prune", "--all"]));
        assert_eq!((outcome.code, outcome.stdout.as_str()), (None, ""), "{nth}: {}", outcome.stderr);
        let left = all_files(&store).len();
        assert!((files - nth..files - nth + 2).contains(&left), "{left} of {files} files after {nth} calls");
        assert_store_is_sound(&store);
        assert_eq!(world.build(&[]).digest, expected, "after {nth}");
        assert_store_is_sound(&store);
    }
    world.program.run(["cache", "prune", "--all"]).success();
    assert_eq!(all_files(&store), [store.join("lock")]);
}

#[test]
fn a_prune_that_fails_says_where() {
    if !require("strace") {
        return;
    }
    let world = Rebuild::new();
    let expected = world.build(&[]).digest;
    let store = world.program.store();
    for (calls, error) in [("/^unlink", "EIO"), ("getdents64", "EIO"), ("flock", "EIO")] {
        for nth in 1..=3 {
            let trace = Trace::run(&world.program, (calls, error, nth), &[], &["cache", "prune", "--all"]);
            if !trace.hits().is_empty() {
                trace.outcome.failure(1).says(&[store.to_str().unwrap(), "Input/output error"]);
            }
            assert_store_is_sound(&store);
            assert_eq!(world.build(&[]).digest, expected);
        }
    }
    // A build does not fail over it.
    let program = limited(1);
    let [one, other] = contexts();
    build(&program, &one).success();
    let words = ["build", other.path().to_str().unwrap()];
    let trace = Trace::run(&program, ("/^unlink", "EIO", 1), &[], &words);
    assert!(!trace.hits().is_empty());
    trace.outcome.success().says(&["warning: the local store may be over its limit: cannot remove"]);
}
