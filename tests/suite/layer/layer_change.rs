//! A file that is not, when it is read, the one that was walked is an error, and no blob comes of it.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use ocibake::error::Error;
use ocibake::layer::Compression;
use ocibake::store::LocalStore;
use ocibake::tree::{Entry, Ignore, walk};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

use crate::support::entry::write_to;
use crate::support::noise::noise;
use crate::support::traces::names_in;
use crate::support::tree::Tree;

/// An empty one, one among others in a block, one with blocks of its own.
const FILES: [&str; 3] = ["files/empty", "files/large", "files/small"];

#[test]
fn what_does_not_change_is_written() {
    let (context, entries) = walked();
    assert!(attempt(&context, entries).is_ok());
}

#[test]
fn a_file_that_has_grown() {
    for name in FILES {
        refused(name, |path| {
            let longer = [fs::read(path).unwrap(), b"more".to_vec()].concat();
            fs::write(path, longer).unwrap();
        });
    }
}

#[test]
fn a_file_that_has_shrunk() {
    refused("files/small", |path| File::options().write(true).open(path).unwrap().set_len(3).unwrap());
    refused("files/small", |path| File::options().write(true).open(path).unwrap().set_len(0).unwrap());
    refused("files/large", |path| File::options().write(true).open(path).unwrap().set_len(3 << 20).unwrap());
}

#[test]
fn a_file_that_was_rewritten_in_the_same_size() {
    for name in FILES {
        refused(name, |path| {
            let other: Vec<u8> = fs::read(path).unwrap().iter().map(|byte| !byte).collect();
            fs::write(path, other).unwrap();
        });
    }
}

#[test]
fn a_file_that_was_rewritten_with_its_old_time() {
    for name in FILES {
        refused(name, |path| {
            let time = fs::metadata(path).unwrap().modified().unwrap();
            let other: Vec<u8> = fs::read(path).unwrap().iter().map(|byte| !byte).collect();
            fs::write(path, other).unwrap();
            File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
        });
    }
}

#[test]
fn a_file_in_the_place_of_which_is_another() {
    for name in FILES {
        refused(name, |path| {
            let other = path.with_file_name("other");
            fs::copy(path, &other).unwrap();
            fs::rename(other, path).unwrap();
        });
    }
}

#[test]
fn a_file_that_was_deleted() {
    for name in FILES {
        refused(name, |path| fs::remove_file(path).unwrap());
    }
}

#[test]
fn a_directory_that_was_deleted_or_is_a_file_now() {
    refused("files", |path| fs::remove_dir_all(path).unwrap());
    refused("files", |path| {
        fs::remove_dir_all(path).unwrap();
        fs::write(path, "file").unwrap();
    });
}

#[test]
fn a_file_in_the_place_of_which_is_a_link_to_it() {
    for name in FILES {
        refused(name, |path| {
            let moved = path.with_file_name("moved");
            fs::rename(path, &moved).unwrap();
            symlink(moved, path).unwrap();
        });
    }
}

#[test]
fn a_file_in_the_place_of_which_is_a_fifo_that_nobody_writes_to() {
    for name in FILES {
        refused(name, |path| {
            fs::remove_file(path).unwrap();
            mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0).unwrap();
        });
    }
}

#[test]
fn a_file_in_the_place_of_which_is_a_socket_or_a_directory() {
    for name in FILES {
        refused(name, |path| {
            fs::remove_file(path).unwrap();
            std::os::unix::net::UnixListener::bind(path).unwrap();
        });
        refused(name, |path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        });
    }
}

/// Walks a tree, lets `change` change what `name` is in it, and writes what was walked.
#[track_caller]
fn refused(name: &str, change: impl Fn(&Path)) {
    let (context, entries) = walked();
    change(&context.path().join(name));
    let error = attempt(&context, entries).expect_err("it changed");
    assert!(error.message.contains(name) && error.message.contains("changed"), "{error}");
    assert!(error.hint.is_some());
}

fn walked() -> (TempDir, Vec<Entry>) {
    let mut tree = Tree::new().file(FILES[0], "").file(FILES[1], noise(1, 5 << 20)).file(FILES[2], "small");
    for number in 0..60 {
        tree = tree.file(format!("others/{number}"), noise(number, 1000));
    }
    let context = tree.plant();
    let entries = walk(context.path(), &Ignore::default()).unwrap();
    (context, entries)
}

/// Writes to a store, in which nothing must be left if it fails; with one thread and with several.
fn attempt(context: &TempDir, entries: Vec<Entry>) -> Result<(), Error> {
    let mut outcome = Ok(());
    for threads in [1, 4] {
        let store_place = tempfile::tempdir_in(context.path().parent().unwrap()).unwrap();
        let store = LocalStore::open(store_place.path()).unwrap();
        let (sender, receiver) = mpsc::channel();
        let (pending, entries) = (store.begin().unwrap(), entries.clone());
        std::thread::spawn(move || {
            let written = write_to(pending, &entries, Compression::Gzip(1), threads);
            // Whoever waited may have given up.
            let _ = sender.send(written.map(|written| (written.sink, written.digest)));
        });
        match receiver.recv_timeout(Duration::from_secs(300)).expect("it hangs") {
            Ok((blob, digest)) => store.commit(blob, digest).unwrap(),
            Err(error) => {
                assert_eq!(names_in(&store_place.path().join("tmp")), [""; 0]);
                assert_eq!(names_in(&store_place.path().join("blobs/sha256")), [""; 0]);
                outcome = Err(error);
            }
        }
    }
    outcome
}
