//! The local store has a bound, and nothing that is in use goes over it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::damage::each;
use crate::support::fake_registry::FakeRegistry;
use crate::support::layout::Layout;
use crate::support::noise::noise;
use crate::support::program::{Outcome, Program};
use crate::support::rebuild::{self, BOTH, Rebuild, settle};
use crate::support::small_disk::SmallDisk;
use crate::support::strace::Trace;
use crate::support::tool::require;
use crate::support::traces::{all_files, assert_store_is_sound, names_in};
use crate::support::tree::Tree;

// Without a name, which would keep what it stands for.
const SPEC: &str = "platforms = [\"linux/amd64\"]\n\
                    [[layer]]\nname = \"files\"\nadd = [{ from = \"files\", to = \"/\" }]\n";

/// Of the one file in a context, in bytes; its layer is hardly larger, for nothing makes it smaller.
pub(super) const SIZE: u64 = 100_000;

/// More than what a build leaves beside it: headers, documents and records.
pub(super) const SMALL: u64 = 4_500;

/// A context with a layer of its own.
pub(super) fn context(seed: u64) -> TempDir {
    Tree::new().file("ocibake.toml", SPEC).file("files/a", noise(seed, SIZE as usize)).plant()
}

pub(super) fn contexts<const COUNT: usize>() -> [TempDir; COUNT] {
    let contexts = std::array::from_fn(|seed| context(seed as u64));
    settle();
    contexts
}

pub(super) fn build(program: &Program, context: &TempDir) -> Outcome {
    program.run(["build".as_ref(), context.path()])
}

/// A world whose two layers leave three records: for what each was made of, and, for one that is large enough, its blocks.
pub(super) fn known() -> Rebuild {
    Rebuild::of(&rebuild::tree().file("files/large", noise(1, 20_000)))
}

pub(super) fn limited(bytes: u64) -> Program {
    Program::new().environment("OCIBAKE_STORE_LIMIT", bytes.to_string())
}

/// The digest of the layer that a context gives.
pub(super) fn layer_of(context: &TempDir) -> String {
    let program = Program::new();
    build(&program, context).success();
    let blobs = program.store().join("blobs/sha256");
    names_in(&blobs).into_iter().find(|name| size_of(&blobs.join(name)) > SIZE).expect("there is a layer")
}

/// Blobs of more than [`SIZE`] bytes, which layers are.
pub(super) fn layers_in(store: &Path) -> BTreeSet<String> {
    let blobs = store.join("blobs/sha256");
    names_in(&blobs).into_iter().filter(|name| size_of(&blobs.join(name)) > SIZE).collect()
}

pub(super) fn size_of(path: &Path) -> u64 {
    fs::metadata(path).unwrap().len()
}

pub(super) fn set_age(path: &Path, days: u64) {
    File::open(path).unwrap().set_modified(SystemTime::now() - Duration::from_secs(days * 24 * 60 * 60)).unwrap();
}

#[test]
fn the_bound_holds_after_each_build() {
    let contexts = contexts::<6>();
    let limit = 3 * SIZE + 4 * SMALL;
    let program = limited(limit);
    for (number, context) in contexts.iter().enumerate() {
        build(&program, context).success();
        let size: u64 = all_files(&program.store()).iter().map(|file| size_of(file)).sum();
        assert!(size <= limit, "{size} bytes after build {number}");
        assert!(size > SIZE * (number as u64 + 1).min(3), "no more goes than has to: {size} bytes");
        assert!(layers_in(&program.store()).contains(&layer_of(context)));
        assert_store_is_sound(&program.store());
    }
}

#[test]
fn what_was_used_least_recently_goes_first() {
    let contexts = contexts::<4>();
    let [a, b, c, d] = contexts.each_ref().map(layer_of);
    let program = limited(3 * SIZE + 4 * SMALL);
    for context in [0, 1, 2, 0] {
        build(&program, &contexts[context]).success();
    }
    assert_eq!(layers_in(&program.store()), BTreeSet::from([a.clone(), b.clone(), c.clone()]));
    // The first was used once more, though it was not made again.
    let outcome = build(&program, &contexts[0]).success();
    assert!(outcome.stderr.contains("unchanged"), "{}", outcome.stderr);
    build(&program, &contexts[3]).success();
    assert_eq!(layers_in(&program.store()), BTreeSet::from([a.clone(), c, d.clone()]));
    build(&program, &contexts[1]).success();
    assert_eq!(layers_in(&program.store()), BTreeSet::from([a, d, b]));
}

#[test]
fn what_the_build_itself_made_or_took_over_stays() {
    let contexts = contexts::<2>();
    let [a, b] = contexts.each_ref().map(layer_of);
    let program = limited(1);
    build(&program, &contexts[0]).success();
    assert_eq!(layers_in(&program.store()), BTreeSet::from([a.clone()]));
    assert!(build(&program, &contexts[0]).success().stderr.contains("unchanged"), "its record is there, too");
    // A build that takes the layer over and makes another config.
    let words = ["build", contexts[0].path().to_str().unwrap(), "--label", "a=b"];
    assert!(program.run(words).success().stderr.contains("unchanged"));
    let blobs = names_in(&program.store().join("blobs/sha256"));
    assert_eq!((blobs.len(), blobs.contains(&a)), (3, true), "the layer, and the new config and manifest");
    build(&program, &contexts[1]).success();
    assert_eq!(layers_in(&program.store()), BTreeSet::from([b]));
    assert_store_is_sound(&program.store());
}

#[test]
fn the_usual_limit_is_a_tenth_of_a_small_file_system_and_can_be_lifted() {
    const LIMIT: u64 = (4 << 20) / 10;
    let Some(disk) = SmallDisk::mount("size=4m") else { return };
    let contexts = contexts::<6>();
    let program = Program::new().environment("OCIBAKE_STORE", disk.path());
    contexts.iter().for_each(|context| drop(build(&program, context).success()));
    // Four builds fit in.
    const { assert!(4 * (SIZE + SMALL) < LIMIT && LIMIT < 5 * SIZE) };
    assert_eq!(layers_in(disk.path()).len(), 4);
    assert_eq!(listing(&program)["limit"], LIMIT);
    for value in ["none", "0"] {
        let program = Program::new().environment("OCIBAKE_STORE", disk.path());
        let program = program.environment("OCIBAKE_STORE_LIMIT", value);
        contexts.iter().for_each(|context| drop(build(&program, context).success()));
        assert_eq!(layers_in(disk.path()).len(), 6);
        assert_eq!(listing(&program)["limit"], Value::Null);
        program.run(["cache", "prune", "--all"]).success();
    }
}

#[test]
fn a_limit_that_is_none_is_refused_before_anything_is_built() {
    let context = context(0);
    let program = Program::new().environment("OCIBAKE_STORE_LIMIT", "lots");
    build(&program, &context).failure(2).says(&["OCIBAKE_STORE_LIMIT is `lots`", "20GB"]);
    assert_eq!(names_in(&program.store()), [""; 0]);
}

#[test]
fn a_build_that_changes_nothing_uses_all_that_is_known_of_its_layers() {
    let world = known();
    world.build(&[]);
    for directory in ["blobs/sha256", "records"] {
        each(&world.program.store().join(directory), |file| set_age(file, 2));
    }
    assert_eq!(world.build(&[]).known, BOTH);
    let outcome = world.program.run(["cache", "prune", "--unused-for=1d"]).success();
    assert_eq!(outcome.stdout, "freed 0 B: 0 blobs, 0 records\n");
}

#[test]
fn the_list_is_what_lies_there() {
    let world = Rebuild::new();
    let layout = world.place.path().join("layout");
    world.build(&["--platform=linux/amd64,linux/arm64", "-o", &format!("{}/", layout.display())]);
    let root = Layout::open(&layout).roots()[0]["digest"].as_str().unwrap().to_owned();
    let mut expected = BTreeMap::from([(root, "index")]);
    for image in Layout::open(&layout).images() {
        let digest = |descriptor: &Value| descriptor["digest"].as_str().unwrap().to_owned();
        expected.insert(digest(&image.manifest["config"]), "config");
        expected.extend(image.manifest["layers"].as_array().unwrap().iter().map(|layer| (digest(layer), "layer")));
        expected.insert(image.digest, "manifest");
    }
    let (store, program) = (world.program.store(), &world.program);
    fs::write(store.join("blobs/sha256").join("0".repeat(64)), "of no kind").unwrap();
    expected.insert(format!("sha256:{}", "0".repeat(64)), "unknown");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    // A time that `date` knows.
    let oldest = store.join("blobs/sha256").join("0".repeat(64));
    File::open(&oldest).unwrap().set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)).unwrap();
    let listing = listing(program);
    let blobs = listing["blobs"].as_array().unwrap();
    let kinds: BTreeMap<_, _> = blobs.iter().map(|blob| (text(&blob["digest"]), text(&blob["kind"]))).collect();
    assert_eq!(kinds, expected.iter().map(|(digest, kind)| (digest.clone(), (*kind).to_owned())).collect());
    assert_eq!(blobs[0]["lastUsed"], "2001-09-09T01:46:40Z");
    assert!(blobs.is_sorted_by_key(|blob| text(&blob["lastUsed"])));
    for blob in blobs {
        let file = store.join("blobs/sha256").join(text(&blob["digest"]).trim_start_matches("sha256:"));
        assert_eq!(blob["size"], size_of(&file));
    }
    let size: u64 = all_files(&store).iter().map(|file| size_of(file)).sum();
    assert_eq!((&listing["size"], text(&listing["store"])), (&size.into(), store.display().to_string()));
    assert_eq!(listing["records"], names_in(&store.join("records")).len());
    // And the same as text, a line for each.
    let lines = program.run(["cache", "ls"]).success().stdout;
    let (lines, total) = lines.trim_end().rsplit_once('\n').unwrap();
    let lines: Vec<_> = lines.lines().collect();
    let digests: Vec<_> = lines.iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(digests, blobs.iter().map(|blob| text(&blob["digest"])).collect::<Vec<_>>());
    assert!(lines[0].ends_with("10 B  2001-09-09T01:46:40Z  unknown"), "{}", lines[0]);
    assert!(total.contains(&format!("{} blobs, {} records", blobs.len(), listing["records"])), "{total}");
}

pub(super) fn listing(program: &Program) -> Value {
    serde_json::from_str(&program.run(["cache", "ls", "--json"]).success().stdout).unwrap()
}

#[test]
fn a_running_push_keeps_what_it_needs() {
    let contexts = contexts::<2>();
    let program = limited(1);
    let push = SlowPush::start(&program, &contexts[0]);
    let store = program.store();
    let layer = layer_of(&contexts[0]);
    assert_eq!(layers_in(&store), BTreeSet::from([layer.clone()]));
    // Another build that would like to remove it: the limit is a byte.
    let other = build(&program, &contexts[1]).success();
    assert_eq!(layers_in(&store), BTreeSet::from([layer.clone(), layer_of(&contexts[1])]));
    assert!(!other.stderr.contains("warning: the local store"), "{}", other.stderr);
    // What would be removed can be said at once.
    assert!(program.run(["cache", "prune", "--all", "--dry-run"]).success().stdout.contains(&layer));
    let mut prune = program.command(["cache", "prune", "--all"]);
    let mut prune = prune.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut stderr, mut said) = (BufReader::new(prune.stderr.take().unwrap()), String::new());
    // It begins to wait with these words.
    stderr.read_line(&mut said).unwrap();
    assert!(layers_in(&store).contains(&layer));
    // Neither does it keep others from building.
    build(&program, &contexts[1]).success();
    push.finish();
    let outcome = prune.wait_with_output().unwrap();
    assert!(outcome.status.success());
    stderr.read_to_string(&mut said).unwrap();
    assert_eq!(said, "waiting for the builds that use the store\n");
    assert!(String::from_utf8(outcome.stdout).unwrap().contains("freed "));
    assert_eq!(layers_in(&store), BTreeSet::new());
    assert_store_is_sound(&store);
}

#[test]
fn a_killed_push_holds_nothing_back() {
    let contexts = contexts::<1>();
    let program = Program::new();
    let mut push = SlowPush::start(&program, &contexts[0]);
    fs::write(program.store().join("tmp/.ocibake-left"), "by a build before").unwrap();
    push.process.kill().unwrap();
    push.process.wait().unwrap();
    let outcome = program.run(["cache", "prune"]).success();
    assert_eq!((outcome.stderr.as_str(), names_in(&program.store().join("tmp")).len()), ("", 0));
    assert!(outcome.stdout.contains("1 file of killed builds"), "{}", outcome.stdout);
    assert_eq!(layers_in(&program.store()), BTreeSet::from([layer_of(&contexts[0])]), "the limit is far");
    program.run(["cache", "prune", "--all"]).success();
    assert_eq!(layers_in(&program.store()), BTreeSet::new());
}

/// A push that has built its image, and whose registry does not answer until it is told to.
struct SlowPush {
    process: Child,
    go_on: Arc<AtomicBool>,
    _registry: FakeRegistry,
}

impl SlowPush {
    fn start(program: &Program, context: &TempDir) -> Self {
        let (arrived, arrival) = mpsc::channel();
        let go_on = Arc::new(AtomicBool::new(false));
        let is_to_go_on = go_on.clone();
        let registry = FakeRegistry::scripted(move |request| {
            // A manifest is asked for or sent last, when all blobs were read; a blob's upload begins before that.
            if request.is("HEAD", "/blobs/") || request.is("POST", "/blobs/") {
                let _ = arrived.send(());
                let deadline = Instant::now() + Duration::from_secs(300);
                while !is_to_go_on.load(Ordering::SeqCst) && Instant::now() < deadline {
                    sleep(Duration::from_millis(5));
                }
            }
            None
        });
        let name = format!("{}/org/app:1", registry.address());
        let mut command = program.command(["push", "--no-fan-out", &name, context.path().to_str().unwrap()]);
        let process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        arrival.recv_timeout(Duration::from_secs(300)).expect("the push comes to its registry");
        let deadline = Instant::now() + Duration::from_secs(300);
        while layers_in(&program.store()).is_empty() {
            assert!(Instant::now() < deadline, "no layer was made");
            sleep(Duration::from_millis(5));
        }
        SlowPush { process, go_on, _registry: registry }
    }

    fn finish(self) {
        self.go_on.store(true, Ordering::SeqCst);
        let output = self.process.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_build_that_changes_nothing_does_not_look_through_the_store() {
    if !require("strace") {
        return;
    }
    let [one, other] = contexts();
    let program = limited(SIZE);
    build(&program, &one).success();
    build(&program, &other).success();
    let listings = |context: &TempDir| {
        let words = ["build", context.path().to_str().unwrap()];
        let blobs = program.store().join("blobs/sha256").display().to_string();
        let trace = Trace::run(&program, ("getdents64", "EIO", 9_999), &[blobs], &words);
        let listings: Vec<String> = trace.nth(1).map(str::to_owned).collect();
        trace.outcome.success();
        listings
    };
    let (of_other, of_one) = (listings(&other), listings(&one));
    assert_eq!((of_other.len(), of_one.len()), (0, 1), "and one that does does: {of_other:?} {of_one:?}");
}
