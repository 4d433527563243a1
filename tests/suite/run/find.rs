//! Whether the sandbox can be used here, and what is said where it cannot.

use std::error::Error;
use std::fs;
use std::process::Command;

use ocibake::run::Sandbox;

use super::Place;
use crate::support::tool::{checked, require, run};

/// Where the program without rights finds a directory.
const POWERLESS: &str = "OCIBAKE_TEST_POWERLESS";

#[test]
fn without_the_right_to_mount_the_error_says_what_is_missing() {
    if let Some(directory) = std::env::var_os(POWERLESS) {
        let error = Sandbox::find(directory.as_ref()).err().unwrap();
        let below = error.source().unwrap();
        assert_eq!(error.message, "commands cannot be run here");
        assert_eq!(below.to_string(), "cannot make namespaces for a command");
        assert_eq!(below.source().unwrap().to_string(), "Operation not permitted (os error 1)");
        assert!(error.hint.unwrap().contains("CAP_SYS_ADMIN"));
        return;
    }
    let Some(place) = Place::new().filter(|_| require("setpriv")) else { return };
    let name = "run::find::without_the_right_to_mount_the_error_says_what_is_missing";
    checked(
        Command::new("setpriv")
            .args(["--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", name])
            .env(POWERLESS, place.directory.path()),
    );
}

#[test]
fn a_place_on_an_overlay_is_none_for_changes_and_the_error_says_so() {
    let Some(place) = Place::new() else { return };
    place.reset();
    let mounted = place.directory.path().join("mounted");
    fs::create_dir(&mounted).unwrap();
    let path = |name: &str| place.directory.path().join(name).display().to_string();
    let options = format!("lowerdir={},upperdir={},workdir={}", path("lower"), path("upper"), path("work"));
    run("mount", ["-t", "overlay", "-o", &options, "none", mounted.to_str().unwrap()]);
    let found = Sandbox::find(&mounted);
    let left = fs::read_dir(&mounted)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with(".sandbox"));
    let left = left.count();
    run("umount", ["-l", mounted.to_str().unwrap()]);
    let error = found.err().unwrap();
    assert!(error.source().unwrap().to_string().starts_with("cannot mount an overlay with the changes in "));
    assert!(error.hint.unwrap().contains("put the store on a volume"));
    assert_eq!(left, 0);
}

#[test]
fn a_place_that_will_do_is_left_as_it_was() {
    let Some(place) = Place::new() else { return };
    let names = || fs::read_dir(place.directory.path()).unwrap().count();
    let before = names();
    Sandbox::find(place.directory.path()).unwrap();
    assert_eq!(names(), before);
}
