//! Whether the sandbox can be used here, and what is said where it cannot.

use std::error::Error;
use std::fs;
use std::process::Command;

use ocibake::run::{Rung, Sandbox};

use super::Place;
use crate::support::tool::{checked, require, run};

/// Where the program without rights finds a directory.
const POWERLESS: &str = "OCIBAKE_TEST_POWERLESS";

#[test]
fn without_the_right_to_mount_a_chroot_is_left_and_the_error_of_another_rung_says_what_is_missing() {
    if let Some(directory) = std::env::var_os(POWERLESS) {
        let error = Sandbox::find_on(directory.as_ref(), Some(Rung::Ids)).err().unwrap();
        let below = error.source().unwrap();
        assert_eq!(error.message, "commands cannot be run here");
        assert_eq!(below.to_string(), "cannot make namespaces for a command");
        assert_eq!(below.source().unwrap().to_string(), "Operation not permitted (os error 1)");
        assert!(error.hint.unwrap().contains("CAP_SYS_ADMIN"));
        assert_eq!(Sandbox::find(directory.as_ref()).unwrap().rung(), Rung::Chroot);
        return;
    }
    let Some(place) = Place::new().filter(|_| require("setpriv")) else { return };
    let name =
        "run::find::without_the_right_to_mount_a_chroot_is_left_and_the_error_of_another_rung_says_what_is_missing";
    checked(
        Command::new("setpriv")
            .args(["--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", name])
            .env(POWERLESS, place.directory.path()),
    );
}

/// Where the program finds a directory and lacks the capability that is named.
const MISSING: &str = "OCIBAKE_TEST_MISSING";

#[test]
fn a_capability_that_a_chroot_needs_is_named() {
    if let Some(place) = std::env::var_os(MISSING) {
        let place = place.into_string().unwrap();
        let (name, directory) = place.split_once(':').unwrap();
        let error = Sandbox::find_on(directory.as_ref(), Some(Rung::Chroot)).err().unwrap();
        let says = format!("{}{}", error.source().unwrap(), error.hint.as_deref().unwrap_or_default());
        assert!(says.contains(&format!("CAP_{}", name.to_uppercase())), "{says}");
        return;
    }
    let Some(place) = Place::new().filter(|_| require("setpriv")) else { return };
    for name in ["sys_chroot", "setuid", "kill"] {
        checked(
            Command::new("setpriv")
                .args(["--bounding-set", &format!("-sys_admin,-{name}"), "--inh-caps", "-all"])
                .arg(std::env::current_exe().unwrap())
                .args(["--exact", "run::find::a_capability_that_a_chroot_needs_is_named"])
                .env(MISSING, format!("{name}:{}", place.directory.path().display())),
        );
    }
}

#[test]
fn on_an_overlay_roots_are_copies() {
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
    let found = found.unwrap();
    assert_eq!((found.rung(), found.is_stacking()), (Rung::Ids, false));
    assert_eq!(left, 0);
}

#[test]
fn a_place_that_will_do_is_left_as_it_was() {
    let Some(place) = Place::new() else { return };
    let names = || fs::read_dir(place.directory.path()).unwrap().count();
    let before = names();
    for rung in [Rung::Ids, Rung::Chroot] {
        Sandbox::find_on(place.directory.path(), Some(rung)).unwrap();
    }
    assert_eq!(names(), before);
}
