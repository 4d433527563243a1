//! The end of a command in a chroot, and of all that it has started, without a namespace that would see to it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use ocibake::layer::{Devices, copy};
use ocibake::net::Stop;
use ocibake::run::{Exit, Limit, Process, Resource, Root, Rung, Sandbox, User};
use rustix::process::{Pid, Signal, kill_process};

use super::confined::compile;
use super::ends::is_running;
use super::{Place, command, says, shell};

#[test]
fn a_daemon_neither_outlives_its_command_nor_holds_it_up() {
    let Some(place) = Place::new() else { return };
    let mark = format!("86500.{}", std::process::id());
    let script =
        format!("(setsid sleep {mark} &) ; sleep {mark}1 & (trap '' TERM HUP INT; (sleep {mark}2 &)) ; echo done");
    assert_eq!(says(place.run_in_chroot(&shell(&script))), "done\n");
    assert!(!is_running(&mark));
}

#[test]
fn one_that_cannot_be_looked_into_ends_too() {
    let Some(place) = Place::new() else { return };
    let body = r#"
        if (fork()) { usleep(50000); return 0; }
        setsid(); if (fork()) return 0;
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); for (int i = 1; i < 65; i++) signal(i, SIG_IGN);
        setresuid(1234, 1234, 1234); pause();"#;
    let body = format!("return run(); }}\n#include <sys/prctl.h>\nint run(void) {{\n{body}");
    let Some(()) = compile(&place, &body) else { return };
    let mark = format!("hidden{}", std::process::id());
    says(place.run_in_chroot(&shell(&format!("/bin/calls {mark}"))));
    assert!(!is_running(&mark));
}

#[test]
fn a_fork_bomb_ends_with_its_command() {
    let Some(place) = Place::new() else { return };
    let mark = format!("bomb{}", std::process::id());
    let limits = vec![Limit { resource: Resource::Nproc, soft: Some(200), hard: Some(200) }];
    // It is another user, for the limit counts all processes of one, and root has none.
    let user = User { id: 54322, group: 54322, groups: Vec::new() };
    let script = format!("{mark}() {{ {mark} | {mark} & }}; {mark} 2>/dev/null; sleep 0.3; exit 3");
    let done = place.run_in_chroot(&Process { limits, user, ..shell(&script) });
    assert_eq!(done.ran.exit, Exit::Status(3));
    assert!(!is_running(&mark));
}

#[test]
fn a_stop_ends_all_at_once_and_is_an_error() {
    let Some(place) = Place::new() else { return };
    place.run_in_chroot(&shell("true"));
    let mark = format!("86501.{}", std::process::id());
    let script = format!("trap '' TERM INT HUP; sleep {mark} & setsid sleep {mark} & echo begun; sleep {mark}; wait");
    let (stop, written) = (Stop::default(), Mutex::new(Vec::new()));
    let sandbox = Sandbox::find_on(place.directory.path(), Some(Rung::Chroot)).unwrap();
    let root = Root { lowers: Vec::new(), ..place.root() };
    let error = thread::scope(|scope| {
        scope.spawn(|| {
            while written.lock().unwrap().is_empty() {
                thread::sleep(Duration::from_millis(1));
            }
            stop.end();
        });
        let write = |_, bytes: &[u8]| written.lock().unwrap().extend_from_slice(bytes);
        sandbox.run(&shell(&script), &root, &write, &stop).err().unwrap()
    });
    assert_eq!(error.message, "the command was stopped");
    assert!(!is_running(&mark));
}

/// Where the program that is to be killed finds its root.
const VICTIM: &str = "OCIBAKE_TEST_CHROOT_VICTIM";

#[test]
fn the_death_of_the_program_ends_all() {
    if let Some(directory) = std::env::var_os(VICTIM) {
        return be_killed(directory.as_ref());
    }
    for signal in [Signal::KILL, Signal::TERM] {
        let Some(place) = Place::new() else { return };
        place.reset();
        copy(&place.lower(""), &place.upper(""), Devices::Dead).unwrap();
        let mark = place.directory.path().file_name().unwrap().to_str().unwrap().to_owned();
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "run::chroot_ends::the_death_of_the_program_ends_all", "--nocapture"])
            .env(VICTIM, place.directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().ends_with("begun")));
        assert!(is_running(&mark));
        kill_process(Pid::from_child(&victim), signal).unwrap();
        victim.wait().unwrap();
        // The processes are killed by then, or soon; that they are gone takes a moment.
        while is_running(&mark) {
            thread::sleep(Duration::from_millis(1));
        }
        fs::remove_dir_all(place.directory.path()).unwrap();
    }
}

fn be_killed(directory: &Path) {
    let path = |name| directory.join(name);
    let root = Root { lowers: Vec::new(), upper: path("upper"), work: path("work") };
    let mark = directory.file_name().unwrap().to_str().unwrap();
    let script =
        format!("trap '' TERM INT HUP; (setsid sh -c 'sleep 3600; : {mark}' &); echo begun; sleep 3600; : {mark}");
    let write = |_, bytes: &[u8]| std::io::stdout().write_all(bytes).unwrap();
    let sandbox = Sandbox::find_on(directory, Some(Rung::Chroot)).unwrap();
    let _ = sandbox.run(&shell(&script), &root, &write, &Stop::default());
}

#[test]
fn many_run_side_by_side_and_none_ends_another() {
    let places: Vec<Place> = (0..3).filter_map(|_| Place::new()).collect();
    thread::scope(|scope| {
        for place in &places {
            scope.spawn(|| {
                for round in 0..4 {
                    let script = format!("(setsid sleep 60 &); kill -9 -1; sleep 0.05; echo {round} | tee /tmp/x");
                    assert_eq!(says(place.run_in_chroot(&shell(&script))), format!("{round}\n"));
                }
            });
        }
    });
}

#[test]
fn a_command_may_be_a_program_without_a_shell() {
    let Some(place) = Place::new() else { return };
    assert_eq!(says(place.run_in_chroot(&command(&["echo", "x"]))), "x\n");
}
