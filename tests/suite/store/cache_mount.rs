//! Directories that commands keep from one build to the next.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use ocibake::error::Result;
use ocibake::oci::Digest;
use ocibake::plan::CacheSharing;
use ocibake::store::{CacheMount, LocalStore};

fn taken(store: &LocalStore, key: &str, sharing: CacheSharing) -> Result<CacheMount> {
    let key = Digest::of(key.as_bytes());
    store.cache_mount(&key, sharing, &|| false, |_, shown| {
        fs::write(shown.join("filled"), "").unwrap();
        Ok(())
    })
}

#[test]
fn what_is_kept_is_there_the_next_time_and_filled_once() {
    let place = tempfile::tempdir().unwrap();
    let path = {
        let store = LocalStore::open(place.path()).unwrap();
        let mount = taken(&store, "a", CacheSharing::Shared).unwrap();
        fs::remove_file(mount.path().join("filled")).unwrap();
        fs::write(mount.path().join("kept"), "").unwrap();
        mount.path().to_owned()
    };
    let store = LocalStore::open(place.path()).unwrap();
    let mount = taken(&store, "a", CacheSharing::Locked).unwrap();
    assert_eq!(mount.path(), path);
    assert!(mount.path().join("kept").exists() && !mount.path().join("filled").exists());
    assert_ne!(taken(&store, "b", CacheSharing::Shared).unwrap().path(), path);
}

#[test]
fn it_is_shared_locked_or_each_ones_own() {
    let place = tempfile::tempdir().unwrap();
    let store = LocalStore::open(place.path()).unwrap();
    let one = taken(&store, "a", CacheSharing::Shared).unwrap();
    assert_eq!(taken(&store, "a", CacheSharing::Shared).unwrap().path(), one.path());
    assert!(taken(&store, "a", CacheSharing::Locked).is_err(), "it is shared by another");
    let private = taken(&store, "a", CacheSharing::Private).unwrap();
    assert_ne!(private.path(), one.path());
    let first = one.path().to_owned();
    drop((one, private));
    let locked = taken(&store, "a", CacheSharing::Locked).unwrap();
    assert_eq!(locked.path(), first);
    assert!(taken(&store, "a", CacheSharing::Shared).is_err(), "another has it alone");
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
        taken(&store, "a", CacheSharing::Shared).unwrap().path().to_owned()
    };
    fs::write(path.join("planted"), "").unwrap();
    fs::set_permissions(place.path().join("caches"), Permissions::from_mode(0o777)).unwrap();
    let store = LocalStore::open(place.path()).unwrap();
    assert!(!taken(&store, "a", CacheSharing::Shared).unwrap().path().join("planted").exists());
}
