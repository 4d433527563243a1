//! Where outputs may and may not be put.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::path::Path;
use std::thread;

use ocibake::error::ErrorKind;
use ocibake::store::pending::{PendingDirectory, PendingFile};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::support::traces::names_in;

#[test]
fn a_pipe_is_not_replaced_by_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RWXU, 0).unwrap();
    let link = directory.path().join("link");
    symlink("pipe", &link).unwrap();
    for destination in [&pipe, &link, &directory.path().to_owned()] {
        assert_eq!(PendingFile::beside(destination).unwrap_err().kind, ErrorKind::Input, "{destination:?}");
    }
    assert!(fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 2, "nothing is left behind");
}

/// As `/dev/stdout` is one.
#[test]
fn a_link_to_an_open_file_is_not_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let link = directory.path().join("stdout");
    for target in ["/proc/self/fd/1", "/proc/self/fd/99"] {
        symlink(target, &link).unwrap();
        assert_eq!(PendingFile::beside(&link).unwrap_err().kind, ErrorKind::Input, "{target}");
        assert_eq!(fs::read_link(&link).unwrap().to_str(), Some(target));
        fs::remove_file(&link).unwrap();
    }
}

#[test]
fn a_directory_that_exists_is_filled_and_not_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let (real, link) = (directory.path().join("below/real"), directory.path().join("link"));
    fs::create_dir_all(&real).unwrap();
    symlink("below/real", &link).unwrap();
    let inode = fs::metadata(&real).unwrap().ino();
    let pending = PendingDirectory::begin(&link).unwrap();
    fs::write(pending.path().join("file"), "content").unwrap();
    fs::create_dir(pending.path().join("directory")).unwrap();
    pending.keep(&link).unwrap();
    assert_eq!(names(&real), ["directory", "file"]);
    assert_eq!(fs::read_to_string(real.join("file")).unwrap(), "content");
    assert_eq!(fs::read_link(&link).unwrap().to_str(), Some("below/real"));
    assert_eq!(fs::metadata(&real).unwrap().ino(), inode);
}

#[test]
fn a_new_directory_appears_whole_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let destination = directory.path().join("new");
    let abandoned = PendingDirectory::begin(&destination).unwrap();
    fs::write(abandoned.path().join("file"), "content").unwrap();
    drop(abandoned);
    assert!(names(directory.path()).is_empty());
    let pending = PendingDirectory::begin(&destination).unwrap();
    fs::write(pending.path().join("file"), "content").unwrap();
    assert!(!destination.exists());
    pending.keep(&destination).unwrap();
    assert_eq!(names(directory.path()), ["new"]);
    assert_eq!(names(&destination), ["file"]);
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(directory).unwrap().map(|item| item.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_is_kept_on_one_thread_takes_nothing_from_the_others() {
    let place = tempfile::tempdir().unwrap();
    thread::scope(|scope| {
        for number in 0..4 {
            let kept = place.path().join(number.to_string());
            scope.spawn(move || {
                for _ in 0..2000 {
                    PendingFile::beside(&kept).unwrap().keep(&kept).unwrap();
                    drop(PendingFile::beside(&kept).unwrap());
                }
            });
        }
    });
    assert_eq!(names_in(place.path()), ["0", "1", "2", "3"]);
}
