//! Layers that an earlier build has made are not made again, and every change is seen.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

use crate::support::damage::each;
use crate::support::layout::Layout;
use crate::support::noise::noise;
use crate::support::program::Program;
use crate::support::rebuild::{BOTH, Rebuild, SPEC, settle, tree};
use crate::support::tool::{checked, require, require_root, run};
use crate::support::traces::{all_files, assert_blobs_hold, assert_store_is_sound};
use crate::support::tree::{Tree, any_tree};

#[test]
fn nothing_is_made_again_when_nothing_changed() {
    let world = Rebuild::new();
    let first = world.build(&[]);
    assert_eq!((&first.made[..], &first.known[..]), (&BOTH.map(str::to_owned)[..], &[][..]));
    let again = world.build(&[]);
    assert_eq!((&again.made[..], &again.known[..]), (&[][..], &BOTH.map(str::to_owned)[..]));
    assert_eq!(again.digest, first.digest);
    let shown = world.program.run(["build".as_ref(), world.context.path().as_os_str()]).success().stderr;
    for layer in BOTH {
        let line = shown.lines().find(|line| line.contains(&format!("layer {layer}: ")));
        assert!(line.is_some_and(|line| line.ends_with("unchanged")), "{shown}");
    }
    assert_store_is_sound(&world.program.store());
}

#[test]
fn a_known_layer_is_written_to_outputs() {
    let world = Rebuild::new();
    world.build(&[]);
    let layout = world.place.path().join("layout");
    let run = world.build(&["-o", &format!("{}/", layout.display())]);
    assert_eq!(run.known, BOTH);
    assert_eq!(Layout::open(&layout).images()[0].digest, run.digest);
}

#[test]
fn no_file_is_opened_when_nothing_changed() {
    if !require("strace") {
        return;
    }
    let world = Rebuild::new();
    world.build(&[]);
    let opened = |options: &[&str]| {
        let log = world.place.path().join("log");
        let tracer = ["strace", "-f", "-qq", "-e", "trace=open,openat,openat2", "-o", log.to_str().unwrap()];
        let words = ["build", world.context.path().to_str().unwrap()];
        let mut strace = world.program.command_under(&tracer, words.iter().chain(options));
        checked(&mut strace);
        let log = fs::read_to_string(log).unwrap();
        let file = |path: &&str| log.contains(&format!("{}/{path}\"", world.context.path().display()));
        ["files/a", "files/b", "files/dir/c", "other/d", "ocibake.toml"].into_iter().filter(file).collect::<Vec<_>>()
    };
    assert_eq!(opened(&[]), ["ocibake.toml"]);
    // The second name of a file is not opened: it is a hard link.
    assert_eq!(opened(&["--no-stat-cache"]), ["files/a", "files/b", "files/dir/c", "other/d", "ocibake.toml"]);
}

#[test]
fn every_file_is_read_when_asked_for() {
    let world = Rebuild::new();
    let first = world.build(&[]);
    let again = world.build(&["--no-stat-cache"]);
    assert_eq!((again.made, again.digest), (BOTH.map(str::to_owned).to_vec(), first.digest));
}

#[test]
fn every_change_is_seen() {
    let mut changes: Vec<Change> = vec![
        ("other content of the same size and time", |files| keeping_time(&files.join("a"), || write(files, "a", "A"))),
        ("another file of the same size and time", |files| {
            write(files, "new", "A");
            copy_time(&files.join("a"), &files.join("new"));
            fs::rename(files.join("new"), files.join("a")).unwrap();
        }),
        ("the same content in another file", |files| {
            write(files, "new", "a");
            copy_time(&files.join("a"), &files.join("new"));
            fs::rename(files.join("new"), files.join("a")).unwrap();
        }),
        ("longer", |files| write(files, "a", "longer")),
        ("empty", |files| write(files, "a", "")),
        ("mode", |files| fs::set_permissions(files.join("a"), Permissions::from_mode(0o755)).unwrap()),
        ("mode of a directory", |files| {
            fs::set_permissions(files.join("dir"), Permissions::from_mode(0o700)).unwrap();
        }),
        ("attribute", |files| xattr::set(files.join("a"), "user.note", b"new").unwrap()),
        ("attribute's value", |files| xattr::set(files.join("b"), "user.note", b"new").unwrap()),
        ("attribute of a directory", |files| xattr::set(files.join("dir"), "user.note", b"new").unwrap()),
        ("added", |files| write(files, "dir/new", "")),
        ("added directory", |files| fs::create_dir(files.join("new")).unwrap()),
        ("removed", |files| fs::remove_file(files.join("dir/c")).unwrap()),
        ("renamed", |files| fs::rename(files.join("dir/c"), files.join("dir/d")).unwrap()),
        ("swapped", |files| {
            fs::rename(files.join("a"), files.join("new")).unwrap();
            fs::rename(files.join("z"), files.join("a")).unwrap();
            fs::rename(files.join("new"), files.join("z")).unwrap();
        }),
        ("target of a link", |files| {
            fs::remove_file(files.join("link")).unwrap();
            symlink("b", files.join("link")).unwrap();
        }),
        ("link by its target", |files| {
            fs::remove_file(files.join("link")).unwrap();
            fs::copy(files.join("a"), files.join("link")).unwrap();
        }),
        ("file by a directory", |files| {
            fs::remove_file(files.join("a")).unwrap();
            fs::create_dir(files.join("a")).unwrap();
        }),
        ("hard link broken", |files| {
            fs::copy(files.join("hard"), files.join("new")).unwrap();
            fs::rename(files.join("new"), files.join("hard")).unwrap();
        }),
        ("hard link made", |files| {
            fs::remove_file(files.join("z")).unwrap();
            fs::hard_link(files.join("a"), files.join("z")).unwrap();
        }),
        ("time", |files| set_time(&files.join("a"), std::time::SystemTime::UNIX_EPOCH)),
    ];
    if require_root() {
        changes.push(("owner", |files| lchown(files.join("a"), Some(7), Some(8)).unwrap()));
    }
    for (what, change) in changes {
        let world = Rebuild::new();
        world.build(&[]);
        change(&world.context.path().join("files"));
        settle();
        let after = world.build(&[]);
        assert_eq!((after.made, after.known), (vec!["changing".to_owned()], vec!["constant".to_owned()]), "{what}");
        assert_eq!(after.digest, world.cold(&[]), "{what}");
    }
}

#[test]
fn another_rule_makes_another_layer() {
    let world = Rebuild::new();
    let usual = world.build(&[]).digest;
    let mut digests = BTreeSet::from([usual.clone()]);
    for options in [
        ["--compression", "gzip:1"],
        ["--compression", "gzip:12"],
        ["--compression", "estargz"],
        ["--compression", "zstd:1"],
        ["--compression", "zstd"],
        ["--compression", "none"],
        ["--timestamp", "5"],
        ["--timestamp", "preserve"],
    ] {
        let run = world.build(&options);
        assert_eq!(run.made, BOTH, "{options:?}");
        assert_eq!(run.digest, world.cold(&options), "{options:?}");
        assert_eq!(world.build(&options).known, BOTH, "{options:?}");
        digests.insert(run.digest);
    }
    for rule in ["mode = \"0700\"", "mode = \"go=\"", "owner = \"7:8\"", "owner = \"7\"", "exclude = [\"a\"]"] {
        let spec = SPEC.replacen("to = \"/\"", &format!("to = \"/\", {rule}"), 1);
        fs::write(world.context.path().join("ocibake.toml"), spec).unwrap();
        let run = world.build(&[]);
        assert_eq!((run.made, run.known), (vec!["changing".to_owned()], vec!["constant".to_owned()]), "{rule}");
        assert_eq!(run.digest, world.cold(&[]), "{rule}");
        digests.insert(run.digest);
    }
    assert_eq!(digests.len(), 1 + 8 + 5);
    fs::write(world.context.path().join("ocibake.toml"), SPEC).unwrap();
    let back = world.build(&[]);
    assert_eq!((back.known, back.digest), (BOTH.map(str::to_owned).to_vec(), usual));
}

#[test]
fn a_file_written_just_before_is_not_remembered() {
    let world = Rebuild::new();
    let files = world.context.path().join("files");
    for _ in 0..100 {
        let start = Instant::now();
        write(&files, "a", "b");
        let mut build = world.command(&[]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut events = BufReader::new(build.stderr.take().unwrap());
        let mut event = String::new();
        while !event.contains("layer-started") {
            event.clear();
            assert!(events.read_line(&mut event).unwrap() > 0, "the layer is made anew");
        }
        // The walk is over. Only now it is sure that it saw a file younger than the clock's tick.
        let is_racy = start.elapsed() < Duration::from_millis(80);
        io::copy(&mut events, &mut io::sink()).unwrap();
        assert!(build.wait().unwrap().success());
        if is_racy {
            assert_eq!(world.build(&[]).made, ["changing"]);
            settle();
            world.build(&[]);
            assert_eq!(world.build(&[]).known, BOTH, "once it has settled, it is");
            return;
        }
    }
    // On a machine as busy as that it cannot be seen; a unit test holds the rule.
}

#[test]
fn a_change_during_the_tick_is_seen() {
    let world = Rebuild::new();
    let file = world.context.path().join("files/a");
    for content in ["b", "c", "d", "e", "f", "g"] {
        keeping_time(&file, || fs::write(&file, content).unwrap());
        assert_eq!(world.build(&[]).digest, world.cold(&["--no-stat-cache"]), "{content}");
    }
}

#[test]
fn times_of_the_future_and_the_far_past_do_no_harm() {
    let tree = tree().file("files/future", "1").time(4_102_444_800).file("files/past", "1").time(-1000);
    let world = Rebuild::of(&tree);
    for options in [&[][..], &["--timestamp", "preserve"]] {
        let first = world.build(options);
        let again = world.build(options);
        assert_eq!((again.known.len(), &again.digest), (2, &first.digest));
    }
    keeping_time(&world.context.path().join("files/future"), || {
        write(&world.context.path().join("files"), "future", "2");
    });
    settle();
    let changed = world.build(&[]);
    assert_eq!((changed.made, changed.digest), (vec!["changing".to_owned()], world.cold(&[])));
}

#[test]
fn builds_share_a_store_at_once() {
    let world = Rebuild::of(&tree().file("files/large", noise(1, 3_000_000)));
    let expected = world.cold(&[]);
    for round in 0..6 {
        let mut fate = noise(round, 64).into_iter();
        for directory in ["blobs/sha256", "records"] {
            let directory = world.program.store().join(directory);
            if directory.exists() {
                each(&directory, |file| {
                    if fate.next().is_some_and(|byte| byte < 128) {
                        fs::remove_file(file).unwrap();
                    }
                });
            }
        }
        let layouts: Vec<PathBuf> = (0..4).map(|nth| world.place.path().join(format!("{round}-{nth}"))).collect();
        let builds: Vec<_> = layouts
            .iter()
            .map(|layout| {
                let mut command = world.command(&["--jobs=2", "-o", &format!("{}/", layout.display())]);
                command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        for (build, layout) in builds.into_iter().zip(layouts) {
            let output = build.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            assert_eq!(String::from_utf8(output.stdout).unwrap().trim_end(), expected);
            assert_eq!(Layout::open(&layout).images()[0].digest, expected);
        }
        assert_store_is_sound(&world.program.store());
    }
}

/// Whatever is done to a tree: a store that has seen all of it before gives what an empty one gives.
#[test]
fn a_warm_store_gives_what_a_cold_one_gives() {
    let edits = proptest::collection::vec((0..EDITS.len(), any::<Index>(), any::<bool>()), 1..8);
    let compression = prop_oneof![Just("gzip:1"), Just("zstd:1"), Just("none")];
    let mut runner = TestRunner::new(Config { cases: 6, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&(any_tree(), edits, compression), |(tree, edits, compression)| {
        let context = Tree::new().file("ocibake.toml", SPEC).file("other/d", "d").plant();
        let files = context.path().join("files");
        tree.plant_in(&files);
        let warm = Program::new();
        for (step, (edit, at, settled)) in edits.into_iter().enumerate() {
            if settled {
                settle();
            }
            let build = |program: &Program, jobs: usize| {
                let jobs = format!("--jobs={jobs}");
                let options = ["--compression", compression, "--timestamp=preserve", &jobs];
                let words = ["build".as_ref(), context.path().as_os_str()].into_iter();
                program.run(words.chain(options.map(OsStr::new))).digest()
            };
            prop_assert_eq!(
                build(&warm, step % 8 + 1),
                build(&Program::new(), 8 - step % 8),
                "before {}",
                EDITS[edit].0
            );
            let present = all_files(&files);
            if !present.is_empty() {
                EDITS[edit].1(&present[at.index(present.len())], &files.join(format!("new {step}")));
            }
            prop_assert_eq!(
                build(&warm, step % 8 + 1),
                build(&Program::new(), 8 - step % 8),
                "after {}",
                EDITS[edit].0
            );
        }
        assert_blobs_hold(&warm.store());
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

/// What may happen to a file; the second path is not there yet.
type Edit = fn(&Path, &Path);

const EDITS: &[(&str, Edit)] = &[
    ("rewriting it with its time kept", |file, _| {
        keeping_time(file, || {
            let mut content = fs::read(file).unwrap();
            content.iter_mut().for_each(|byte| *byte = byte.wrapping_add(1));
            fs::write(file, content).unwrap();
        });
    }),
    ("emptying it", |file, _| fs::write(file, "").unwrap()),
    ("making it large", |file, _| fs::write(file, noise(9, 2_500_000)).unwrap()),
    ("a new mode", |file, _| fs::set_permissions(file, Permissions::from_mode(0o4755)).unwrap()),
    ("removing it", |file, _| fs::remove_file(file).unwrap()),
    ("moving it", |file, new| fs::rename(file, new).unwrap()),
    ("linking to it", |file, new| fs::hard_link(file, new).unwrap()),
    ("pointing at it", |file, new| symlink(file, new).unwrap()),
    ("putting a copy in its place", |file, new| {
        fs::copy(file, new).unwrap();
        copy_time(file, new);
        fs::rename(new, file).unwrap();
    }),
    ("noting something", |file, _| xattr::set(file, "user.note", b"noted").unwrap()),
    ("a new file", |_, new| fs::write(new, "new").unwrap()),
    ("another time", |file, _| set_time(file, std::time::UNIX_EPOCH + Duration::from_secs(77))),
    ("nothing", |_, _| {}),
];

fn write(directory: &Path, name: &str, content: &str) {
    fs::write(directory.join(name), content).unwrap();
}

/// Does `change` so that the file's time of modification does not tell.
fn keeping_time(file: &Path, change: impl FnOnce()) {
    let time = fs::metadata(file).unwrap().modified().unwrap();
    change();
    set_time(file, time);
    assert_eq!(fs::metadata(file).unwrap().modified().unwrap(), time);
}

fn copy_time(from: &Path, to: &Path) {
    set_time(to, fs::metadata(from).unwrap().modified().unwrap());
}

fn set_time(file: &Path, time: std::time::SystemTime) {
    File::open(file).unwrap().set_modified(time).unwrap();
}

/// What is done to a directory, and its name.
type Change = (&'static str, fn(&Path));

/// Unmounts what is there when it goes.
struct Mounted(tempfile::TempDir);

impl Drop for Mounted {
    fn drop(&mut self) {
        // A test that fails must not abort over this.
        let _ = std::process::Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn a_file_system_that_shows_what_an_image_says_is_read_again() {
    if !require_root() || !["mount", "mkfs.erofs", "touch"].iter().all(|tool| require(tool)) {
        return;
    }
    let (program, place) = (Program::new(), tempfile::tempdir().unwrap());
    let point = Mounted(tempfile::tempdir().unwrap());
    let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let context = Tree::new().file("f", "").file("Dockerfile", "FROM scratch\nCOPY f /f\n").plant();
    let (file, shown) = (context.path().join("f"), point.0.path().join("f"));
    let mut looks = Vec::new();
    for content in ["OLD", "NEW"] {
        fs::write(&file, content).unwrap();
        run("touch", ["-d", "2024-01-02 03:04:05.123456789", file.to_str().unwrap()]);
        run("mkfs.erofs", ["-Eforce-inode-extended", &path("image"), context.path().to_str().unwrap()]);
        run("mount", ["-o", "loop,ro", &path("image"), point.0.path().to_str().unwrap()]);
        let found = fs::metadata(&shown).unwrap();
        looks.push((found.ino(), found.len(), found.mtime_nsec(), found.ctime(), found.ctime_nsec()));
        let output = format!("type=local,dest={}", path(content));
        program.run(["build", point.0.path().to_str().unwrap(), "-o", &output]).success();
        assert_eq!(fs::read_to_string(place.path().join(content).join("f")).unwrap(), content);
        run("umount", [point.0.path()]);
    }
    assert_eq!(looks[0], looks[1], "it is by nothing but its content that they can be told apart");
}
