//! The files that a command finds in `/etc` and that stay out of its layer.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use ocibake::layer::Provided;
use ocibake::run::Process;

use super::{Done, Place, says, shell};

const HOSTS: &str = "127.0.0.1\tlocalhost buildkitsandbox\n::1\tlocalhost ip6-localhost ip6-loopback\n";

/// Whether the file in the upper directory is still the one that was provided.
fn is_kept(place: &Place, provided: &Provided) -> bool {
    let path = place.upper(std::str::from_utf8(&provided.path).unwrap());
    let Ok(now) = fs::symlink_metadata(path) else { return false };
    let identity = provided.identity;
    (now.dev(), now.ino(), now.nlink(), now.size()) == (identity.device, identity.inode, identity.links, identity.size)
        && (now.mtime(), now.mtime_nsec()) == identity.modified
        && (now.ctime(), now.ctime_nsec()) == identity.changed
}

fn kept(place: &Place, done: &Done) -> Vec<(String, bool)> {
    let name = |file: &Provided| String::from_utf8(file.path.clone()).unwrap();
    done.ran.provided.iter().map(|file| (name(file), is_kept(place, file))).collect()
}

fn both(is_kept: [bool; 2]) -> Vec<(String, bool)> {
    ["etc/resolv.conf", "etc/hosts"].map(str::to_owned).into_iter().zip(is_kept).collect()
}

#[test]
fn the_files_are_this_machines_and_dockers_and_are_told_with_their_marks() {
    let Some(place) = Place::new() else { return };
    let done =
        place.run(&shell("cat /etc/hosts; stat -c '%a %u %g' /etc/hosts /etc/resolv.conf; cat /etc/resolv.conf"));
    assert_eq!(kept(&place, &done), both([true, true]));
    assert_eq!(place.changed(&done.ran), ["etc"]);
    let resolver = fs::read_to_string("/etc/resolv.conf").unwrap();
    assert_eq!(says(done), format!("{HOSTS}644 0 0\n644 0 0\n{resolver}"));
}

#[test]
fn hosts_that_were_asked_for_are_found() {
    let Some(place) = Place::new() else { return };
    let hosts = vec![("db.example".to_owned(), "10.9.8.7".to_owned())];
    let process = Process { hosts, ..shell("cat /etc/hosts; ping -c1 -W1 db.example 2>&1 | head -n1") };
    let output = says(place.run(&process));
    assert_eq!(output, format!("{HOSTS}10.9.8.7\tdb.example\nPING db.example (10.9.8.7): 56 data bytes\n"));
}

#[test]
fn a_command_may_replace_them() {
    let Some(place) = Place::new() else { return };
    let done = place.run(&shell("echo nameserver 192.0.2.1 > /etc/new && mv /etc/new /etc/resolv.conf"));
    assert_eq!(kept(&place, &done), both([false, true]));
    assert_eq!(fs::read_to_string(place.upper("etc/resolv.conf")).unwrap(), "nameserver 192.0.2.1\n");
    let done = place.run(&shell("echo 192.0.2.1 a >> /etc/hosts"));
    assert_eq!(kept(&place, &done), both([true, false]));
    let done = place.run(&shell("rm /etc/resolv.conf"));
    assert_eq!(kept(&place, &done), both([false, true]));
    let done = place.run(&shell("chmod 600 /etc/resolv.conf"));
    assert_eq!(kept(&place, &done), both([false, true]));
}

#[test]
fn they_cover_what_the_image_has_there_and_that_stays_as_it_is() {
    let Some(place) = Place::new() else { return };
    fs::write(place.lower("etc/hosts"), "of the image\n").unwrap();
    symlink("../run/systemd/resolve/stub-resolv.conf", place.lower("etc/resolv.conf")).unwrap();
    let done = place.run(&shell("cat /etc/hosts; cat /etc/resolv.conf; ls /run 2>&1"));
    assert_eq!(kept(&place, &done), both([true, true]));
    assert_eq!(place.changed(&done.ran), ["etc"]);
    let resolver = fs::read_to_string("/etc/resolv.conf").unwrap();
    assert_eq!(done.output, format!("{HOSTS}{resolver}ls: /run: No such file or directory\n"));
    assert_eq!(fs::read_to_string(place.lower("etc/hosts")).unwrap(), "of the image\n");
    assert!(fs::symlink_metadata(place.lower("etc/resolv.conf")).unwrap().is_symlink());
}

#[test]
fn a_directory_that_is_made_for_them_is_told_by_its_real_path() {
    let Some(place) = Place::new() else { return };
    fs::remove_dir_all(place.lower("etc")).unwrap();
    symlink("/usr/conf", place.lower("etc")).unwrap();
    let done = place.run(&shell("readlink -f /etc/hosts"));
    let paths: Vec<_> = done.ran.provided.iter().map(|file| String::from_utf8(file.path.clone()).unwrap()).collect();
    assert_eq!(paths, ["usr/conf/resolv.conf", "usr/conf/hosts"]);
    assert!(done.ran.provided.iter().all(|file| is_kept(&place, file)));
    assert_eq!(says(done), "/usr/conf/hosts\n");
}
