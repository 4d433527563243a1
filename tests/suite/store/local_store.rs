//! The local store beyond what builds show of it: blobs that are followed while they are written, and another store
//! behind it.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use ocibake::error::{ErrorKind, Result};
use ocibake::oci::{Descriptor, Digest};
use ocibake::store::{Layered, LocalStore, Store};

use crate::support::memory_store::MemoryStore;
use crate::support::noise::noise;
use crate::support::traces::{assert_store_is_sound, names_in};

fn store() -> (tempfile::TempDir, LocalStore) {
    let place = tempfile::tempdir().unwrap();
    let store = LocalStore::open(place.path()).unwrap();
    (place, store)
}

fn read(store: &dyn Store, descriptor: &Descriptor) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = store.open(descriptor)?.read_to_end(&mut bytes);
    read.map(|_| bytes).map_err(|error| error.downcast().expect("errors of a store are ours"))
}

#[test]
fn a_follower_reads_what_is_written_and_ends_with_it() {
    let (_place, store) = store();
    let content = noise(1, 100_000);
    let mut blob = store.begin().unwrap();
    let mut follower = blob.follow().unwrap();
    let (sender, pieces) = mpsc::channel();
    let reader = {
        let follower = follower.clone();
        thread::spawn(move || {
            let reached = (follower.reaches(60_000), follower.reaches(100_001));
            (reached, follower.outcome())
        })
    };
    thread::spawn(move || {
        let mut buffer = [0; 7000];
        while let Ok(count @ 1..) = follower.read(&mut buffer) {
            sender.send(buffer[..count].to_vec()).unwrap();
        }
    });
    let mut seen = Vec::new();
    for part in content.chunks(30_000) {
        blob.write_all(part).unwrap();
        let expected = seen.len() + part.len();
        while seen.len() < expected {
            seen.extend(pieces.recv_timeout(Duration::from_secs(300)).expect("what is written can be read"));
        }
    }
    assert!(seen == content);
    assert!(pieces.recv_timeout(Duration::from_millis(50)).is_err(), "it waits for more");
    assert!(!reader.is_finished());
    store.commit(blob, Digest::of(&content)).unwrap();
    assert_eq!(pieces.recv(), Err(mpsc::RecvError), "that was the end");
    assert_eq!(reader.join().unwrap(), ((true, false), Some((Digest::of(&content), 100_000))));
}

#[test]
fn a_blob_that_comes_to_nothing_is_an_error_to_who_follows_it() {
    let (_place, store) = store();
    let mut blob = store.begin().unwrap();
    blob.write_all(b"half").unwrap();
    let follower = blob.follow().unwrap();
    let reader = thread::spawn(move || {
        let whole = follower.clone().read_to_end(&mut Vec::new());
        (whole.map_err(|error| error.to_string()), follower.reaches(5), follower.outcome())
    });
    drop(blob);
    assert_eq!(reader.join().unwrap(), (Err("the blob came to nothing".to_owned()), false, None));
}

#[test]
fn what_is_read_from_behind_is_kept() {
    let (place, near) = store();
    let mut far = MemoryStore::default();
    let descriptor = far.add("a/b", &noise(1, 300_000));
    let layered = Layered::new(&near, &far);
    assert!(read(&layered, &descriptor).unwrap() == far.bytes(descriptor.digest));
    assert!(!layered.has_failed());
    assert_store_is_sound(place.path());
    // From now on it is had without the other.
    assert!(read(&Layered::new(&near, &MemoryStore::default()), &descriptor).unwrap() == far.bytes(descriptor.digest));
}

#[test]
fn nothing_is_kept_of_what_is_damaged_or_read_in_part() {
    let (place, near) = store();
    let mut far = MemoryStore::default();
    let content = noise(1, 300_000);
    let descriptor = far.add("a/b", &content);
    let layered = Layered::new(&near, &far);
    layered.open(&descriptor).unwrap().read_exact(&mut [0; 200_000]).unwrap();
    assert!(!layered.has_failed(), "who reads may stop");
    assert_is_empty(place.path());
    for damaged in [&content[1..], &[&content[1..], b"x"].concat(), &[&content[..], b"x"].concat(), b""] {
        far.damage(descriptor.digest, damaged);
        let layered = Layered::new(&near, &far);
        assert_eq!(read(&layered, &descriptor).unwrap_err().kind, ErrorKind::Integrity);
        assert!(layered.has_failed());
        assert_is_empty(place.path());
    }
    let nowhere = MemoryStore::default();
    let layered = Layered::new(&near, &nowhere);
    assert_eq!(read(&layered, &descriptor).unwrap_err().kind, ErrorKind::NotFound);
    assert!(layered.has_failed());
}

#[track_caller]
fn assert_is_empty(store: &Path) {
    assert_store_is_sound(store);
    assert_eq!(names_in(&store.join("blobs/sha256")), [""; 0]);
}
