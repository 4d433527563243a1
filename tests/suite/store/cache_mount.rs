//! Directories that commands keep from one build to the next.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ocibake::error::Result;
use ocibake::oci::Digest;
use ocibake::plan::CacheSharing;
use ocibake::store::prune::Limit;
use ocibake::store::{CacheMount, LocalStore};

use super::cache::{listing, set_age};
use crate::support::program::Program;

fn ask(store: &LocalStore, key: &str, sharing: CacheSharing, may_wait: &dyn Fn() -> bool) -> Result<CacheMount> {
    let key = Digest::of(key.as_bytes());
    store.cache_mount(&key, sharing, may_wait, |_, shown| {
        fs::write(shown.join("filled"), "").unwrap();
        Ok(())
    })
}

/// The directory, once it is free: a program that another test is just starting may have a lock for a moment longer than
/// who took it, as it has all open files until it runs.
fn taken(store: &LocalStore, key: &str, sharing: CacheSharing) -> CacheMount {
    let end = Instant::now() + Duration::from_secs(30);
    ask(store, key, sharing, &|| Instant::now() < end).unwrap()
}

#[test]
fn what_is_kept_is_there_the_next_time_and_filled_once() {
    let place = tempfile::tempdir().unwrap();
    let path = {
        let store = LocalStore::open(place.path()).unwrap();
        let mount = taken(&store, "a", CacheSharing::Shared);
        fs::remove_file(mount.path().join("filled")).unwrap();
        fs::write(mount.path().join("kept"), "").unwrap();
        mount.path().to_owned()
    };
    let store = LocalStore::open(place.path()).unwrap();
    let mount = taken(&store, "a", CacheSharing::Locked);
    assert_eq!(mount.path(), path);
    assert!(mount.path().join("kept").exists() && !mount.path().join("filled").exists());
    assert_ne!(taken(&store, "b", CacheSharing::Shared).path(), path);
}

#[test]
fn it_is_shared_locked_or_each_ones_own() {
    let place = tempfile::tempdir().unwrap();
    let store = LocalStore::open(place.path()).unwrap();
    let one = taken(&store, "a", CacheSharing::Shared);
    assert_eq!(taken(&store, "a", CacheSharing::Shared).path(), one.path());
    assert!(ask(&store, "a", CacheSharing::Locked, &|| false).is_err(), "it is shared by another");
    let private = taken(&store, "a", CacheSharing::Private);
    assert_ne!(private.path(), one.path());
    let first = one.path().to_owned();
    drop((one, private));
    let locked = taken(&store, "a", CacheSharing::Locked);
    assert_eq!(locked.path(), first);
    assert!(ask(&store, "a", CacheSharing::Shared, &|| false).is_err(), "another has it alone");
    // Whoever may wait gets it once it is free.
    let asked = Barrier::new(2);
    let first = AtomicBool::new(true);
    let may_wait = || {
        if first.swap(false, Ordering::Relaxed) {
            asked.wait();
        }
        true
    };
    thread::scope(|scope| {
        let asked = &asked;
        scope.spawn(move || {
            asked.wait();
            drop(locked);
        });
        store.cache_mount(&Digest::of(b"a"), CacheSharing::Locked, &may_wait, |_, _| Ok(())).unwrap();
    });
}

#[test]
fn many_at_once_have_one_directory_that_one_of_them_has_filled() {
    let place = tempfile::tempdir().unwrap();
    let store = LocalStore::open(place.path()).unwrap();
    let filled = AtomicUsize::new(0);
    let inode = || {
        let fill = |_: std::os::fd::BorrowedFd<'_>, _: &std::path::Path| {
            filled.fetch_add(1, Ordering::Relaxed);
            Ok(())
        };
        let mount = store.cache_mount(&Digest::of(b"a"), CacheSharing::Shared, &|| false, fill).unwrap();
        fs::metadata(mount.path()).unwrap().ino()
    };
    let inodes: Vec<u64> = thread::scope(|scope| {
        let all: Vec<_> = (0..8).map(|_| scope.spawn(inode)).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(inodes.iter().all(|one| *one == inodes[0]), "{inodes:?}");
    assert_eq!(filled.into_inner(), 1);
}

#[test]
fn what_others_could_have_written_is_not_used() {
    let place = tempfile::tempdir().unwrap();
    let path = {
        let store = LocalStore::open(place.path()).unwrap();
        taken(&store, "a", CacheSharing::Shared).path().to_owned()
    };
    fs::write(path.join("planted"), "").unwrap();
    fs::set_permissions(place.path().join("caches"), Permissions::from_mode(0o777)).unwrap();
    let store = LocalStore::open(place.path()).unwrap();
    assert!(!taken(&store, "a", CacheSharing::Shared).path().join("planted").exists());
}

#[test]
fn it_counts_by_what_it_has_become_and_is_pruned_by_its_last_use() {
    let program = Program::new();
    let root = program.store();
    let sizes = || {
        let contents = LocalStore::open(&root).unwrap().contents().unwrap();
        contents.caches.iter().map(|cache| cache.size).sum::<u64>()
    };
    let used = |key, content: Option<usize>| {
        let store = LocalStore::open(&root).unwrap();
        let mount = taken(&store, key, CacheSharing::Locked);
        if let Some(length) = content {
            fs::write(mount.path().join("grown"), vec![1; length]).unwrap();
        }
        mount.path().parent().unwrap().to_owned()
    };
    let places = [used("a", None), used("b", None)];
    let before = sizes();
    assert_eq!(sizes(), before);
    used("a", Some(1_000_000));
    // A note of the same tick of the clock would not be believed.
    thread::sleep(Duration::from_millis(20));
    let grown = sizes() - before;
    assert!((1_000_000..1_100_000).contains(&grown), "{grown}");
    // What was noted is believed as long as nobody uses it.
    fs::remove_file(places[0].join("content/grown")).unwrap();
    assert_eq!(sizes() - before, grown);
    used("a", None);
    assert!(sizes() - before < 100_000);

    let names = places.each_ref().map(|place| place.file_name().unwrap().to_str().unwrap());
    set_age(&places[0].join("lock"), 3);
    set_age(&places[1].join("lock"), 2);
    let shown = listing(&program);
    let listed: Vec<_> = shown["cacheMounts"].as_array().unwrap().iter().map(|item| item["name"].clone()).collect();
    assert_eq!(listed, names);
    let lines = program.run(["cache", "ls"]).success().stdout;
    assert_eq!(lines.lines().filter(|line| line.ends_with("  cache mount")).count(), 2);
    assert!(lines.contains(": 0 blobs, 0 records, 2 cache mounts; "), "{lines}");

    // A build that is over its limit keeps what it has used itself.
    let store = LocalStore::open(&root).unwrap();
    drop(taken(&store, "a", CacheSharing::Shared));
    store.trim(Limit::Bytes(0)).unwrap();
    assert!(places[0].exists() && !places[1].exists());
    let done = program.run(["cache", "prune", "--all"]).success().stdout;
    assert!(done.ends_with(": 0 blobs, 0 records, 1 cache mount\n"), "{done}");
    assert!(!places[0].exists());
}
