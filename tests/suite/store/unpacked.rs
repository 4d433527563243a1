//! What layers unpack to, kept in the store: whole or not at all, whoever is killed, races or damages it.

use std::fs::{self, File, Permissions};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use ocibake::error::{Error, Result};
use ocibake::oci::Digest;
use ocibake::store::LocalStore;
use ocibake::store::prune::{Bound, Limit};
use rustix::fs::{Mode, mkdirat};
use tempfile::TempDir;

use super::cache::{listing, set_age};
use crate::support::program::{NOBODY, Outcome, Program};
use crate::support::tool::{require, require_root};
use crate::support::traces::names_in;

const ALL: Bound = Bound { keep: 0, unused_for: None };

fn key() -> Digest {
    Digest::of(b"a key")
}

/// Fills a directory with things that are not easy to remove.
fn fill(root: BorrowedFd<'_>, shown: &Path) -> Result<()> {
    let failed = |source| Error::io("write", shown, source);
    mkdirat(root, "closed", Mode::RWXU).map_err(|errno| failed(errno.into()))?;
    fs::write(shown.join("closed/file"), vec![7; 50_000]).map_err(failed)?;
    fs::create_dir_all(shown.join(["deep"; 100].join("/"))).map_err(failed)?;
    fs::set_permissions(shown.join("closed/file"), Permissions::from_mode(0o000)).map_err(failed)?;
    fs::set_permissions(shown.join("closed"), Permissions::from_mode(0o000)).map_err(failed)?;
    fs::set_permissions(shown, Permissions::from_mode(0o751)).map_err(failed)
}

#[track_caller]
fn assert_is_whole(path: &Path) {
    assert_eq!(names_in(path), ["closed", "deep"]);
    assert_eq!(fs::metadata(path).unwrap().mode() & 0o7777, 0o751);
    assert_eq!(fs::metadata(path.join("closed")).unwrap().mode() & 0o7777, 0);
    assert!(path.join(["deep"; 100].join("/")).is_dir());
}

#[track_caller]
fn not_again(_: BorrowedFd<'_>, _: &Path) -> Result<()> {
    panic!("it is made a second time")
}

fn store() -> (TempDir, LocalStore) {
    let place = tempfile::tempdir().unwrap();
    let store = LocalStore::open(place.path()).unwrap();
    (place, store)
}

fn pending(place: &Path) -> Vec<String> {
    names_in(&place.join("tmp"))
}

#[test]
fn what_was_unpacked_is_there_for_all_builds() {
    let (place, store) = store();
    let path = store.unpacked(&key(), fill).unwrap();
    assert_is_whole(&path);
    assert_eq!(store.unpacked(&key(), not_again).unwrap(), path);
    let other = store.unpacked(&Digest::of(b"another"), |_, _| Ok(())).unwrap();
    assert_eq!(names_in(&other), [""; 0]);
    assert_eq!(LocalStore::open(place.path()).unwrap().unpacked(&key(), not_again).unwrap(), path);
    assert_eq!(pending(place.path()), [""; 0]);
    // Nobody else gets there.
    for directory in [path.parent().unwrap(), &place.path().join("unpacked")] {
        assert_eq!(fs::metadata(directory).unwrap().mode() & 0o777, 0o700, "{}", directory.display());
    }
}

#[test]
fn what_cannot_be_unpacked_leaves_nothing() {
    let (place, store) = store();
    let failed = store.unpacked(&key(), |root, shown| {
        fill(root, shown)?;
        Err(Error::input("the layer is damaged"))
    });
    assert_eq!(failed.unwrap_err().message, "the layer is damaged");
    assert_eq!((pending(place.path()), names_in(&place.path().join("unpacked"))), (vec![], vec![]));
    assert_is_whole(&store.unpacked(&key(), fill).unwrap());
}

#[test]
fn those_who_make_the_same_at_a_time_get_the_same() {
    let (place, store) = store();
    let others: Vec<LocalStore> = (0..6).map(|_| LocalStore::open(place.path()).unwrap()).collect();
    // One that is damaged is in the way of all.
    let damaged = store.unpacked(&key(), fill).unwrap();
    fs::remove_file(damaged.parent().unwrap().join("whole")).unwrap();
    let (all, made) = (Barrier::new(others.len()), AtomicUsize::new(0));
    let make = |root: BorrowedFd<'_>, shown: &Path| {
        all.wait();
        made.fetch_add(1, Ordering::Relaxed);
        fill(root, shown)
    };
    let inode = |path: &PathBuf| fs::metadata(path).unwrap().ino();
    let found: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = others
            .iter()
            .map(|store| {
                scope.spawn(|| {
                    let path = store.unpacked(&key(), make).unwrap();
                    assert_is_whole(&path);
                    (inode(&path), path)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(made.load(Ordering::Relaxed), 6);
    assert!(found.iter().all(|it| *it == found[0]), "{found:?}");
    assert_eq!(inode(&found[0].1), found[0].0, "what one of them uses was taken away");
    assert_eq!(pending(place.path()), [""; 0]);
}

#[test]
fn what_is_damaged_is_made_anew() {
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("file"), "elsewhere").unwrap();
    type Damage<'a> = (&'a str, &'a dyn Fn(&Path, &Path));
    let damages: [Damage<'_>; 10] = [
        ("nothing that says that it is whole", &|it, _| fs::remove_file(it.join("whole")).unwrap()),
        ("half of that", &|it, _| File::options().write(true).open(it.join("whole")).unwrap().set_len(40).unwrap()),
        ("more than that", &|it, _| {
            let whole = fs::read(it.join("whole")).unwrap();
            fs::write(it.join("whole"), [&whole[..], b"x"].concat()).unwrap();
        }),
        ("that of another", &|it, other| {
            fs::copy(other.join("whole"), it.join("whole")).unwrap();
        }),
        ("a directory in its place", &|it, _| {
            fs::remove_file(it.join("whole")).unwrap();
            fs::create_dir(it.join("whole")).unwrap();
        }),
        ("no files", &|it, _| fs::rename(it.join("files"), elsewhere.path().join("moved")).unwrap()),
        ("a link for the files", &|it, _| {
            fs::rename(it.join("files"), elsewhere.path().join("also")).unwrap();
            symlink(elsewhere.path(), it.join("files")).unwrap();
        }),
        ("another", &|it, other| {
            fs::rename(it, elsewhere.path().join("it")).unwrap();
            fs::rename(other, it).unwrap();
        }),
        ("a file", &|it, _| {
            fs::rename(it, elsewhere.path().join("this")).unwrap();
            fs::write(it, "a file").unwrap();
        }),
        ("a link", &|it, _| {
            fs::rename(it, elsewhere.path().join("that")).unwrap();
            symlink(elsewhere.path(), it).unwrap();
        }),
    ];
    for (what, damage) in damages {
        let (place, store) = store();
        let path = store.unpacked(&key(), fill).unwrap();
        let other = store.unpacked(&Digest::of(b"another"), |_, _| Ok(())).unwrap();
        damage(path.parent().unwrap(), other.parent().unwrap());
        let mut is_made = false;
        let again = LocalStore::open(place.path()).unwrap().unpacked(&key(), |root, shown| {
            is_made = true;
            fill(root, shown)
        });
        assert!(is_made, "{what} was taken for whole");
        assert_eq!(again.unwrap(), path);
        assert_is_whole(&path);
        assert_eq!(pending(place.path()), [""; 0], "{what}");
        assert_eq!(fs::read_to_string(elsewhere.path().join("file")).unwrap(), "elsewhere", "{what}");
    }
}

/// Whether all of it came to the disk before a crash, nobody knows.
#[test]
fn what_was_unpacked_before_the_machine_was_started_is_made_anew() {
    let (_place, store) = store();
    let path = store.unpacked(&key(), fill).unwrap();
    let whole = path.with_file_name("whole");
    let noted = fs::read(&whole).unwrap();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let rest = noted.strip_suffix(boot.trim().as_bytes()).expect("it says which boot it was made in");
    let earlier = [&rest[32..], b"00000000-0000-0000-0000-000000000000"].concat();
    fs::write(&whole, [Digest::of(&earlier).as_bytes(), &earlier[..]].concat()).unwrap();
    let mut is_made = false;
    store
        .unpacked(&key(), |root, shown| {
            is_made = true;
            fill(root, shown)
        })
        .unwrap();
    assert!(is_made);
}

#[test]
fn what_others_could_have_written_is_gone() {
    let (place, store) = store();
    store.unpacked(&key(), fill).unwrap();
    drop(store);
    fs::set_permissions(place.path().join("unpacked"), Permissions::from_mode(0o777)).unwrap();
    drop(LocalStore::open(place.path()).unwrap());
    assert_eq!((names_in(&place.path().join("unpacked")), pending(place.path())), (vec![], vec![]));
}

/// As du counts it.
fn room(path: &Path) -> u64 {
    let output = Command::new("du").args(["--summarize", "--block-size=1"]).arg(path).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split('\t').next().unwrap().parse().unwrap()
}

#[test]
fn what_is_unpacked_counts_and_is_pruned_by_its_last_use() {
    if !require_root() || !require("du") {
        return;
    }
    let program = Program::new();
    let root = program.store();
    let keys = [b"0", b"1", b"2"].map(|name| Digest::of(name));
    let open = || LocalStore::open(&root).unwrap();
    let paths = keys.map(|key| open().unpacked(&key, fill).unwrap());
    let holder = |number: usize| paths[number].parent().unwrap();
    let age = |number: usize, days| set_age(&holder(number).join("whole"), days);
    let contents = open().contents().unwrap();
    assert_eq!(contents.unpacked.len(), 3);
    for item in &contents.unpacked {
        let place = root.join("unpacked").join(item.digest.hex());
        // The one file that says so is not counted with it.
        assert_eq!(item.size + room(&place.join("whole")), room(&place));
    }
    let size = contents.unpacked[0].size;
    assert!((50_000..2_000_000).contains(&size), "{size}");
    assert_eq!(contents.size(), 3 * size);

    // It is shown, and said what would go.
    (0..3).for_each(|number| age(number, 10 - number as u64));
    open().unpacked(&keys[0], not_again).unwrap();
    let name = |number: usize| holder(number).file_name().unwrap().to_str().unwrap().to_owned();
    let shown = listing(&program);
    let listed: Vec<_> = shown["unpacked"].as_array().unwrap().iter().map(|item| item["name"].clone()).collect();
    assert_eq!(listed, [name(1), name(2), name(0)]);
    assert_eq!((&shown["unpacked"][0]["size"], &shown["size"]), (&size.into(), &(3 * size).into()));
    let lines = program.run(["cache", "ls"]).success().stdout;
    assert!(lines.starts_with(&format!("sha256:{}", name(1))), "{lines}");
    assert_eq!(lines.lines().filter(|line| line.ends_with("  unpacked")).count(), 3);
    assert!(lines.contains(": 0 blobs, 0 records, 3 unpacked layers; "), "{lines}");
    let dry = program.run(["cache", "prune", "--dry-run", "--keep-size", &(2 * size).to_string()]).success().stdout;
    let done = program.run(["cache", "prune", "--keep-size", &(2 * size).to_string()]).success().stdout;
    assert_eq!(dry.replace("would free", "freed"), done);
    assert!(done.starts_with(&format!("sha256:{}", name(1))), "{done}");
    assert!(done.ends_with(": 0 blobs, 0 records, 1 unpacked layer\n"), "{done}");
    assert!(!holder(1).exists() && holder(2).exists() && holder(0).exists());
    let outcome = program.run(["cache", "prune", "--unused-for=5d"]).success().stdout;
    assert!(outcome.starts_with(&format!("sha256:{}", name(2))), "{outcome}");
    program.run(["cache", "prune", "--all"]).success();
    assert_eq!((names_in(&root.join("unpacked")), pending(&root)), (vec![], vec![]));
}

#[test]
fn the_limit_holds_and_what_is_in_use_stays() {
    let (place, store) = store();
    let first = store.unpacked(&key(), fill).unwrap();
    store.trim(Limit::Bytes(1)).unwrap();
    assert_is_whole(&first);
    let store = LocalStore::open(place.path()).unwrap();
    let second = store.unpacked(&Digest::of(b"another"), fill).unwrap();
    let beside = LocalStore::open(place.path()).unwrap();
    store.trim(Limit::Bytes(1)).unwrap();
    assert!(first.exists(), "it may be in use");
    drop(beside);
    // What another test starts at this instant has for a moment what is open here, and then nothing goes.
    for number in 0..1000 {
        let store = LocalStore::open(place.path()).unwrap();
        store.unpacked(&Digest::of(b"another"), not_again).unwrap();
        store.unpacked(&Digest::of(&[number as u8]), |_, _| Ok(())).unwrap();
        store.trim(Limit::Bytes(1)).unwrap();
        if !first.exists() {
            break;
        }
    }
    assert_eq!((first.exists(), second.exists()), (false, true));
}

/// An ordinary user has directories that he may not even look into.
#[test]
fn another_user_can_prune_what_he_has_unpacked() {
    if !require_root() {
        return;
    }
    let program = Program::new().user(NOBODY);
    program.run(["cache", "ls"]).success();
    let root = program.store();
    drop(LocalStore::open(&root).map(|_| ()).unwrap_err());
    let place = root.join("unpacked").join("a".repeat(64));
    fs::create_dir_all(place.join("files/closed/deep")).unwrap();
    for (path, mode) in [("files/closed/deep", 0o000), ("files/closed", 0o000), ("files", 0o500), ("", 0o700)] {
        fs::set_permissions(place.join(path), Permissions::from_mode(mode)).unwrap();
        std::os::unix::fs::chown(place.join(path), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    program.run(["cache", "prune", "--all"]).success();
    assert_eq!((names_in(&root.join("unpacked")), pending(&root)), (vec![], vec![]));
}

#[test]
fn a_prune_that_is_killed_leaves_it_whole_or_not_there() {
    if !require("strace") {
        return;
    }
    let program = Program::new();
    let root = program.store();
    for nth in 1..=12 {
        let path = LocalStore::open(&root).unwrap().unpacked(&key(), fill).unwrap();
        let inject = format!("inject=/^(rename|unlink):signal=KILL:when={nth}");
        let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=/^(rename|unlink)", "-e", &inject];
        let outcome = Outcome::of(&mut program.command_under(&strace, ["cache", "prune", "--all"]));
        assert_eq!(outcome.code, None, "{nth}: {}", outcome.stderr);
        // The first of them moves it away.
        let is_there = nth == 1;
        assert_eq!((path.exists(), pending(&root).len()), (is_there, usize::from(!is_there)), "after {nth} calls");
        if is_there {
            assert_is_whole(&path);
        }
        assert_is_whole(&LocalStore::open(&root).unwrap().unpacked(&key(), fill).unwrap());
        program.run(["cache", "prune", "--all"]).success();
        assert_eq!((names_in(&root.join("unpacked")), pending(&root)), (vec![], vec![]));
    }
}

/// Where the next test's process has its store.
const STORE: &str = "OCIBAKE_TEST_UNPACKED";

#[test]
#[ignore = "it is the process that another test kills"]
fn unpack_for_another_test() {
    // Whoever runs all that is ignored means others.
    let Some(place) = std::env::var_os(STORE) else { return };
    LocalStore::open(place).unwrap().unpacked(&key(), fill).unwrap();
}

#[test]
fn a_build_that_is_killed_leaves_it_whole_or_not_there() {
    if !require("strace") {
        return;
    }
    let (place, store) = store();
    let idle = |store: LocalStore| store.wait_until_idle().unwrap();
    idle(store).prune(&ALL).unwrap();
    let mut killed = 0;
    for calls in ["mkdirat", "/^rename", "flock", "/^mkdir$", "fchmod", "/^statx", "getdents64"] {
        for nth in [1, 2, 3, 5, 60] {
            let (trace, inject) = (format!("trace={calls}"), format!("inject={calls}:signal=KILL:when={nth}"));
            let mut child = Command::new("strace");
            child
                .args(["-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject])
                .arg(std::env::current_exe().unwrap());
            child.args(["--exact", "--ignored", "store::unpacked::unpack_for_another_test"]).env(STORE, place.path());
            let outcome = child.output().unwrap();
            let is_killed = outcome.status.signal() == Some(9);
            assert!(is_killed || outcome.status.success(), "{}", String::from_utf8_lossy(&outcome.stdout));
            killed += usize::from(is_killed);
            let left = names_in(&place.path().join("unpacked"));
            assert!(left.len() < 2, "{left:?}");
            for name in left {
                assert_is_whole(&place.path().join("unpacked").join(name).join("files"));
            }
            let store = LocalStore::open(place.path()).unwrap();
            assert_is_whole(&store.unpacked(&key(), fill).unwrap());
            // What is left of it goes after a day, or with the next pruning.
            let leftovers: Vec<PathBuf> =
                pending(place.path()).iter().map(|it| place.path().join("tmp").join(it)).collect();
            assert_eq!(store.contents().unwrap().pending.len(), leftovers.len());
            match nth {
                1 => {
                    leftovers.iter().for_each(|path| set_age(path, 2));
                    drop(store);
                }
                _ => drop(idle(store).prune(&ALL).unwrap()),
            }
            drop(LocalStore::open(place.path()).unwrap());
            assert_eq!(pending(place.path()), [""; 0]);
            idle(LocalStore::open(place.path()).unwrap()).prune(&ALL).unwrap();
            assert_eq!(names_in(&place.path().join("unpacked")), [""; 0]);
        }
    }
    assert!(killed >= 10, "only {killed} of them were killed");
}
