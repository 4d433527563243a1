//! The end of a command, and of all that it has started.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use ocibake::net::Stop;
use ocibake::run::{Exit, Limit, Process, Resource, Root, Sandbox};

use super::{Place, app, says, shell};
use crate::support::tool::run;

/// Whether a process of this machine has `mark` in its command line.
pub fn is_running(mark: &str) -> bool {
    run("ps", ["axww", "-o", "args"]).lines().any(|line| line.contains(mark) && !line.starts_with("ps "))
}

#[test]
fn a_daemon_neither_outlives_its_command_nor_holds_it_up() {
    let Some(place) = Place::new() else { return };
    let mark = format!("86400.{}", std::process::id());
    let script =
        format!("(setsid sleep {mark} &) ; sleep {mark}1 & (trap '' TERM HUP INT; (sleep {mark}2 &)) ; echo done");
    assert_eq!(place.says(&script), "done\n");
    assert!(!is_running(&mark));
}

#[test]
fn orphans_are_taken_care_of_while_the_command_runs() {
    let Some(place) = Place::new() else { return };
    let script = "
        for i in 1 2 3 4 5 6 7 8; do (true &); done
        while grep -q '^State:.Z' /proc/[0-9]*/status 2>/dev/null; do :; done
        echo none";
    assert_eq!(place.says(script), "none\n");
}

#[test]
fn a_fork_bomb_ends_with_its_command() {
    let Some(place) = Place::new() else { return };
    let mark = format!("bomb{}", std::process::id());
    let limits = vec![Limit { resource: Resource::Nproc, soft: Some(200), hard: Some(200) }];
    // It is another user, for the limit counts all processes of one, and root has none.
    let user = ocibake::run::User { id: 54321, group: 54321, groups: Vec::new() };
    let script = format!("{mark}() {{ {mark} | {mark} & }}; {mark} 2>/dev/null; sleep 0.3; exit 3");
    let done = place.run(&Process { limits, user, ..shell(&script) });
    assert_eq!(done.ran.exit, Exit::Status(3));
    assert!(!is_running(&mark));
}

#[test]
fn a_command_that_kills_all_it_sees_goes_on() {
    let Some(place) = Place::new() else { return };
    assert_eq!(place.says("sleep 600 & kill -9 -1; wait; echo on"), "on\n");
    let done = place.run(&Process { user: app(), ..shell("sleep 600 & kill -9 -1; wait; echo on") });
    assert_eq!(says(done), "on\n");
}

#[test]
fn a_stop_ends_all_at_once_and_is_an_error() {
    let Some(place) = Place::new() else { return };
    place.says("true");
    let mark = format!("86401.{}", std::process::id());
    let script = format!("trap '' TERM INT HUP; sleep {mark} & setsid sleep {mark} & echo begun; sleep {mark}; wait");
    let (stop, written) = (Stop::default(), Mutex::new(Vec::new()));
    let error = thread::scope(|scope| {
        scope.spawn(|| {
            while written.lock().unwrap().is_empty() {
                thread::sleep(Duration::from_millis(1));
            }
            stop.end();
        });
        place.reset();
        let write = |_, bytes: &[u8]| written.lock().unwrap().extend_from_slice(bytes);
        Sandbox::find(place.directory.path()).unwrap().run(&shell(&script), &place.root(), &write, &stop).err().unwrap()
    });
    assert_eq!(error.message, "the command was stopped");
    assert!(!is_running(&mark));
}

#[test]
fn what_was_stopped_before_does_not_begin() {
    let Some(place) = Place::new() else { return };
    place.reset();
    let (stop, is_written) = (Stop::default(), AtomicBool::new(false));
    stop.end();
    let write = |_, _: &[u8]| is_written.store(true, Ordering::Relaxed);
    let sandbox = Sandbox::find(place.directory.path()).unwrap();
    let error = sandbox.run(&shell("sleep 1; echo x"), &place.root(), &write, &stop).err().unwrap();
    assert_eq!(error.message, "the command was stopped");
    assert!(!is_written.into_inner());
}

#[test]
fn a_panic_of_the_reader_ends_all_too() {
    let Some(place) = Place::new() else { return };
    place.reset();
    let mark = format!("86402.{}", std::process::id());
    let sandbox = Sandbox::find(place.directory.path()).unwrap();
    let script = shell(&format!("echo x; sleep {mark}"));
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        sandbox.run(&script, &place.root(), &|_, _| panic!("on purpose"), &Stop::default())
    }));
    assert!(outcome.is_err());
    assert!(!is_running(&mark));
}

#[test]
fn nothing_stays_mounted_and_many_run_side_by_side() {
    let Some(place) = Place::new() else { return };
    place.says("true");
    let places: Vec<Place> = (0..4).filter_map(|_| Place::new()).collect();
    thread::scope(|scope| {
        for place in &places {
            scope.spawn(|| {
                for round in 0..5 {
                    assert_eq!(place.says(&format!("echo {round} | tee /tmp/x")), format!("{round}\n"));
                }
            });
        }
    });
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    for place in places.iter().chain([&place]) {
        assert!(!mounts.contains(place.directory.path().to_str().unwrap()));
        std::fs::remove_dir_all(place.directory.path()).unwrap();
    }
}

/// Where the program that is to be killed finds its root.
const VICTIM: &str = "OCIBAKE_TEST_VICTIM";

#[test]
fn the_death_of_the_program_ends_all() {
    if let Some(directory) = std::env::var_os(VICTIM) {
        return be_killed(directory.as_ref());
    }
    let Some(place) = Place::new() else { return };
    place.reset();
    let mark = place.directory.path().file_name().unwrap().to_str().unwrap().to_owned();
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "run::ends::the_death_of_the_program_ends_all", "--nocapture"])
        .env(VICTIM, place.directory.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().ends_with("begun")));
    assert!(is_running(&mark));
    victim.kill().unwrap();
    victim.wait().unwrap();
    // The processes have been killed by then; that they are gone takes a moment.
    while is_running(&mark) {
        thread::sleep(Duration::from_millis(1));
    }
    std::fs::remove_dir_all(place.directory.path()).unwrap();
}

fn be_killed(directory: &Path) {
    let path = |name| directory.join(name);
    let root = Root { lowers: vec![path("lower")], upper: path("upper"), work: path("work") };
    let mark = directory.file_name().unwrap().to_str().unwrap();
    let script =
        format!("trap '' TERM INT HUP; (setsid sh -c 'sleep 3600; : {mark}' &); echo begun; sleep 3600; : {mark}");
    let write = |_, bytes: &[u8]| std::io::stdout().write_all(bytes).unwrap();
    let _ = Sandbox::find(directory).unwrap().run(&shell(&script), &root, &write, &Stop::default());
}
