//! Where outputs may and may not be put.

use std::fs;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::process::Command;

use ocibake::error::ErrorKind;
use ocibake::store::pending::{PendingDirectory, PendingFile};

#[test]
fn a_pipe_is_not_replaced_by_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let link = directory.path().join("link");
    symlink("pipe", &link).unwrap();
    for destination in [&pipe, &link, &directory.path().to_owned()] {
        assert_eq!(PendingFile::beside(destination).unwrap_err().kind, ErrorKind::Input, "{destination:?}");
    }
    assert!(fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 2, "nothing is left behind");
}

#[test]
fn a_directory_takes_the_place_of_the_empty_one_that_a_link_leads_to() {
    let directory = tempfile::tempdir().unwrap();
    let (real, link) = (directory.path().join("below/real"), directory.path().join("link"));
    fs::create_dir_all(&real).unwrap();
    symlink("below/real", &link).unwrap();
    let pending = PendingDirectory::beside(&link).unwrap();
    fs::write(pending.path().join("file"), "content").unwrap();
    pending.keep(&link).unwrap();
    assert_eq!(fs::read_to_string(real.join("file")).unwrap(), "content");
    assert_eq!(fs::read_link(&link).unwrap().to_str(), Some("below/real"));
}
