//! Builds with commands that are killed at any moment.

use std::fs;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::program::Program;
use crate::support::tool::{install, require, require_root};
use crate::support::traces::{all_files, assert_blobs_hold, assert_records_hold};

/// Between the moments at which builds are killed.
const STEP: Duration = Duration::from_millis(15);

/// Returns whether a process with `mark` among its arguments is still there after a while.
pub fn stays(mark: &str) -> bool {
    let is_there = || {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let mut lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
        lines.any(|line| line.windows(mark.len()).any(|part| part == mark.as_bytes()))
    };
    (0..250).all(|_| {
        sleep(Duration::from_millis(20));
        is_there()
    })
}

#[test]
fn kills_at_any_moment_leave_no_process_no_mount_and_a_store_that_works() {
    if !require_root() || !require("busybox") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let mark = format!("marked{}", std::process::id());
    install("/bin/busybox".as_ref(), &place.path().join("busybox"));
    let dockerfile = format!(
        "FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\n\
         RUN mkdir -m 0 /closed && {{ sh -c 'sleep 1000; {mark}' & }} && for i in 1 2 3 4 5 6; do echo $i >> /f; sleep 0.02; done\n\
         RUN cat /f > /g && rm -r /closed && rm /f\n"
    );
    fs::write(place.path().join("Dockerfile"), dockerfile).unwrap();
    let arguments = ["build", place.path().to_str().unwrap(), "--platform=linux/amd64", "--no-stat-cache"];
    let expected = Program::new().run(arguments).digest();
    let program = Program::new();
    let mut killed = 0;
    for number in 0..40 {
        // Every other time from the beginning.
        if number % 2 == 0 {
            fs::remove_dir_all(program.store()).unwrap();
        }
        let mut build = program.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        sleep(STEP * (number / 2 + 1));
        let signal = if number % 4 < 2 { Signal::KILL } else { Signal::TERM };
        let _ = kill_process(Pid::from_child(&build), signal);
        killed += usize::from(!build.wait().unwrap().success());
        assert!(!stays(&mark), "after {number}");
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        assert!(!mounts.contains(program.store().to_str().unwrap()), "after {number}: {mounts}");
        if program.store().join("blobs/sha256").exists() {
            assert_blobs_hold(&program.store());
            assert_records_hold(&program.store());
        }
    }
    assert!(killed >= 10, "{killed}");
    assert_eq!(program.run(arguments).digest(), expected);
    // Nothing is left that cannot be removed.
    assert!(!all_files(&program.store()).is_empty());
    fs::remove_dir_all(program.store()).unwrap();
}
