//! The same content gives the same digest, whoever builds it, where, how and how often.

use std::fs;
use std::path::{Path, PathBuf};

use ocibake::build::Options;
use ocibake::plan::{Automatic, Spec};
use ocibake::source::modified::Modified;
use ocibake::store::LocalStore;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::support::base::no_base;
use crate::support::damage::{each, flip};
use crate::support::layout::Layout;
use crate::support::listing::Listing;
use crate::support::noise::noise;
use crate::support::program::{NOBODY, Outcome, Program};
use crate::support::registry_client::on_demand;
use crate::support::tool::{self, require, require_root};
use crate::support::traces::assert_store_is_sound;
use crate::support::tree::{Tree, any_large_tree, any_tree};

const SPEC: &str = r#"
name = "example/same"
platforms = ["linux/amd64", "linux/arm64"]

[[layer]]
name = "everything"
add = [{ from = "files", to = "/" }]

[[layer]]
name = "platform"
add = [{ from = "files/text", to = "/opt/{arch}/" }]

[config]
entrypoint = ["/bin/run"]
env = { B = "2", A = "1", C = "3" }

[labels]
z = "last"
a = "first"
"#;

const ANY: &str = r#"
name = "example/any"
platforms = ["linux/amd64"]
[[layer]]
name = "any"
add = [{ from = "files", to = "/" }]
"#;

#[test]
fn in_another_directory() {
    let one = tree().plant();
    let parent = tempfile::tempdir().unwrap();
    let other = parent.path().join("a longer path/with spaces");
    tree().plant_in(&other);
    assert_eq!(build(&Program::new(), &other, &[]), build(&Program::new(), one.path(), &[]));
}

#[test]
fn from_inside_the_context() {
    let context = tree().plant();
    let program = Program::new().directory(context.path());
    assert_eq!(build(&program, Path::new("."), &[]), build(&Program::new(), context.path(), &[]));
}

#[test]
fn as_another_user() {
    if !require_root() || !require("setpriv") {
        return;
    }
    let context = tree().plant();
    assert_eq!(build(&Program::new().user(NOBODY), context.path(), &[]), build(&Program::new(), context.path(), &[]));
}

#[test]
fn as_the_owner_of_the_files_is_another() {
    if !require_root() {
        return;
    }
    let (ours, theirs) = (tree().plant(), tree().owner(NOBODY, NOBODY).plant());
    assert_eq!(build(&Program::new(), theirs.path(), &[]), build(&Program::new(), ours.path(), &[]));
}

#[test]
fn under_another_umask() {
    let context = tree().plant();
    let expected = build(&Program::new(), context.path(), &[]);
    for umask in [0o022, 0o077, 0o002, 0] {
        assert_eq!(build(&Program::new().umask(umask), context.path(), &[]), expected, "umask {umask:03o}");
    }
}

#[test]
fn from_a_checkout_under_another_umask() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/hello");
    let copies = tempfile::tempdir().unwrap();
    let digests = ["022", "077", "002"].map(|umask| {
        let copy: PathBuf = copies.path().join(umask);
        let script = format!("umask {umask} && cp -R \"$1\" \"$2\"");
        tool::run("sh", ["-c", &script, "sh", &fixture.to_string_lossy(), &copy.to_string_lossy()]);
        build(&Program::new(), &copy, &[])
    });
    assert_eq!(digests[1], digests[0]);
    assert_eq!(digests[2], digests[0]);
}

#[test]
fn in_another_time_zone_and_locale() {
    let context = tree().plant();
    let expected = build(&Program::new(), context.path(), &[]);
    for (zone, locale) in [("Asia/Kathmandu", "tr_TR.UTF-8"), ("America/St_Johns", "C"), ("UTC", "ja_JP.UTF-8")] {
        let program = Program::new().environment("TZ", zone).environment("LC_ALL", locale).environment("LANG", locale);
        assert_eq!(build(&program, context.path(), &[]), expected, "{zone} {locale}");
    }
}

#[test]
fn from_files_created_in_another_order() {
    let (one, other) = (tree().plant(), tree().reversed().plant());
    assert_eq!(build(&Program::new(), other.path(), &[]), build(&Program::new(), one.path(), &[]));
}

#[test]
fn from_files_of_another_time() {
    let (one, other) = (tree().plant(), tree().time(86_400).plant());
    assert_eq!(build(&Program::new(), other.path(), &[]), build(&Program::new(), one.path(), &[]));
}

#[test]
fn with_another_number_of_threads() {
    let context = tree().plant();
    let digests = ["1", "2", "8"].map(|jobs| build(&Program::new(), context.path(), &["--jobs", jobs]));
    assert_eq!(digests[1], digests[0]);
    assert_eq!(digests[2], digests[0]);
}

#[test]
fn on_another_processor() {
    if !require("qemu-x86_64-static") {
        return;
    }
    let text: String = (0u32..40_000).map(|number| format!("{} ", number.wrapping_mul(2_654_435_761) >> 12)).collect();
    let tree = Tree::new().file("ocibake.toml", SPEC).file("files/text", text).file("files/noise", noise(3, 200_000));
    let context = tree.plant();
    for compression in ["--compression=gzip", "--compression=estargz", "--compression=zstd"] {
        let expected = build(&Program::new(), context.path(), &[compression]);
        for processor in ["Nehalem", "max"] {
            let program = Program::new();
            let emulator = ["qemu-x86_64-static", "-cpu", processor, "-L", "/"];
            let words = ["build".as_ref(), context.path().as_os_str(), compression.as_ref()];
            let mut emulated = program.command_under(&emulator, words);
            assert_eq!(tool::checked(&mut emulated).trim_end(), expected, "{compression} on {processor}");
        }
    }
}

#[test]
fn from_a_store_that_has_it() {
    let context = tree().plant();
    let program = Program::new();
    let cold = build(&program, context.path(), &[]);
    assert_eq!(build(&program, context.path(), &[]), cold);
}

/// And what other readers find in the image is what is on disk, under the rules for owners and times.
#[test]
fn from_any_tree() {
    let config = Config { cases: 8, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new(config);
    let outcome = runner.run(&any_tree(), |tree| {
        let contexts = [tree.clone(), tree.reversed()].map(|tree| {
            let context = Tree::new().file("ocibake.toml", ANY).plant();
            tree.plant_in(&context.path().join("files"));
            context
        });
        let program = Program::new();
        let output = tempfile::tempdir().unwrap();
        let layout = output.path().join("layout");
        let into = format!("{}/", layout.display());
        let one =
            program.run(["build".as_ref(), contexts[0].path().as_os_str(), "-o".as_ref(), into.as_ref()]).digest();
        prop_assert_eq!(&build(&Program::new(), contexts[1].path(), &["--jobs", "8"]), &one);

        let images = Layout::open(&layout).images();
        prop_assert_eq!(images.len(), 1);
        prop_assert_eq!(&images[0].digest, &one);
        images[0].listing().assert_is(&Listing::of_directory(&contexts[0].path().join("files")).normalised());
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

/// Whatever the tree and the compression: any number of threads, with a store that has nothing, everything, or a part.
#[test]
fn with_any_number_of_threads_and_any_store() {
    let compression = prop_oneof![Just("gzip:1"), Just("gzip:6"), Just("zstd:1"), Just("zstd:3"), Just("none")];
    let inputs = (any_large_tree(), compression, any::<u64>());
    let mut runner = TestRunner::new(Config { cases: 16, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&inputs, |(tree, compression, seed)| {
        let context = Tree::new().file("ocibake.toml", ANY).plant();
        tree.plant_in(&context.path().join("files"));
        let stores = tempfile::tempdir().unwrap();
        let digest = |store: &str, jobs: usize, trust_times: bool| {
            library_build(context.path(), &stores.path().join(store), compression, jobs, trust_times)
        };
        let expected = digest("1", 1, true);
        for jobs in [2, 3, 8, 64] {
            prop_assert_eq!(&digest(&jobs.to_string(), jobs, true), &expected, "{} threads, cold", jobs);
            prop_assert_eq!(&digest("1", jobs, false), &expected, "{} threads, with all blocks", jobs);
            prop_assert_eq!(&digest("1", jobs, true), &expected, "{} threads, warm", jobs);
        }
        for (round, jobs) in [1, 2, 3, 8, 64].into_iter().enumerate() {
            wreck(&stores.path().join("1"), seed.wrapping_add(round as u64));
            prop_assert_eq!(&digest("1", jobs, round % 2 == 0), &expected, "{} threads, from ruins", jobs);
            prop_assert_eq!(&digest("1", jobs, false), &expected, "{} threads, from what is left", jobs);
            assert_store_is_sound(&stores.path().join("1"));
        }
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn from_any_tree_on_another_processor() {
    if !require("qemu-x86_64-static") {
        return;
    }
    let compression = prop_oneof![Just("--compression=gzip:6"), Just("--compression=zstd:3")];
    let mut runner = TestRunner::new(Config { cases: 2, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&(any_large_tree(), compression), |(tree, compression)| {
        let context = Tree::new().file("ocibake.toml", ANY).plant();
        tree.plant_in(&context.path().join("files"));
        let expected = build(&Program::new(), context.path(), &[compression]);
        // The least there is, one without AVX, and one with AVX2 but without instructions for SHA.
        for processor in ["qemu64", "Nehalem", "Haswell"] {
            let emulator = ["qemu-x86_64-static", "-cpu", processor, "-L", "/"];
            let words = ["build".as_ref(), context.path().as_os_str(), compression.as_ref()];
            let emulated = Outcome::of(&mut Program::new().command_under(&emulator, words));
            prop_assert_eq!(&emulated.digest(), &expected, "{} on {}", compression, processor);
        }
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

/// What the program does, without its start.
fn library_build(context: &Path, store: &Path, compression: &str, jobs: usize, trust_times: bool) -> String {
    let plan =
        Spec::parse("ocibake.toml", ANY).unwrap().plan("of the test", &Automatic::default(), &mut no_base).unwrap();
    let store = LocalStore::open(store).unwrap();
    let client = on_demand();
    let options = Options {
        contexts: &[context.to_owned()],
        compression: compression.parse().unwrap(),
        modified: Modified::At(0),
        jobs,
        trust_times,
        ..Options::new(&store, &client)
    };
    ocibake::build::build(&plan, &options).unwrap()[0].root.digest.to_string()
}

/// Removes, cuts or changes about every other file of a store.
fn wreck(store: &Path, seed: u64) {
    let mut fate = noise(seed, 64).into_iter();
    for directory in ["blobs/sha256", "records"] {
        each(&store.join(directory), |file| match fate.next().unwrap_or(0) % 6 {
            0 => fs::remove_file(file).unwrap(),
            1 => fs::File::options().write(true).open(file).unwrap().set_len(40).unwrap(),
            2 => flip(file, 39.min(fs::metadata(file).unwrap().len() - 1)),
            _ => {}
        });
    }
}

/// Several layers, one of them of several megabytes, and names that sort differently by locale.
fn tree() -> Tree {
    let line = |number: u32| format!("{number} {}\n", number.wrapping_mul(2_654_435_761));
    let text: String = (0..100_000).map(line).collect();
    let names = ["b", "B", "a", "A", "ä", "Z", "z", "a-b", "a.b", "a/nested"];
    let tree = Tree::new().file("ocibake.toml", SPEC).file("files/text", text).hole("files/hole", 1_200_000);
    let tree = tree.directory("files/empty").mode(0o1777).symlink("files/link", "text");
    let tree = names.iter().fold(tree, |tree, name| tree.file(format!("files/names.d/{name}.conf"), name));
    tree.hard_link("files/hard", "files/text").file("files/bin/run", "#!/bin/sh\n").mode(0o755)
}

/// The digest that a build of `context` prints.
fn build(program: &Program, context: &Path, options: &[&str]) -> String {
    let mut arguments = vec!["build".as_ref(), context.as_os_str()];
    arguments.extend(options.iter().map(AsRef::<std::ffi::OsStr>::as_ref));
    program.run(arguments).digest()
}
