//! Builds by ordinary users that are ended: both processes end, and what users of images own can be removed.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::namespace::{BAKER, Bakery};
use crate::support::traces::names_in;
use crate::support::tree::Tree;

/// Returns the processes, zombies aside, that have `mark` among their arguments.
fn marked(mark: &str) -> Vec<i32> {
    let numbers = names_in(Path::new("/proc")).into_iter().filter_map(|name| name.parse().ok());
    let has_mark = |number: &i32| {
        let line = fs::read(format!("/proc/{number}/cmdline")).unwrap_or_default();
        line.windows(mark.len()).any(|part| part == mark.as_bytes())
    };
    numbers.filter(has_mark).collect()
}

fn until(is_so: impl Fn() -> bool) -> bool {
    (0..500).any(|_| {
        sleep(Duration::from_millis(20));
        is_so()
    })
}

#[test]
fn signals_get_to_the_build_and_end_both_processes() {
    let mark = format!("signalled{}", std::process::id());
    let steps = format!("RUN mkdir -m 0 /closed && chown 9 /closed && sh -c 'sleep 1000; : {mark}'\n");
    let Some(bakery) = Bakery::with(Tree::new(), &steps) else { return };
    let tmp = bakery.program.store().join("tmp");
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::KILL] {
        for is_inner in [false, true] {
            let mut command = bakery.command_by(BAKER, &[], &bakery.build(&["--progress=quiet"]));
            let mut build = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            assert!(until(|| !marked(&mark).is_empty()), "{signal:?}, {is_inner}: {:?}", build.try_wait());
            let outer = build.id() as i32;
            let children = fs::read_to_string(format!("/proc/{outer}/task/{outer}/children")).unwrap();
            let inner: i32 = children.trim().parse().unwrap();
            let target = if is_inner { inner } else { outer };
            kill_process(Pid::from_raw(target).unwrap(), signal).unwrap();
            let status = build.wait().unwrap();
            let ended_by = status.signal();
            assert_eq!(ended_by, Some(signal.as_raw()), "{signal:?}, {is_inner}");
            assert!(until(|| marked(&mark).is_empty()), "{signal:?}, {is_inner}");
            let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
            assert!(!mounts.contains(bakery.program.store().to_str().unwrap()), "{mounts}");
            if signal == Signal::KILL {
                // What it left belongs to users of the image, and goes all the same.
                assert_ne!(names_in(&tmp), [""; 0]);
                bakery.by(BAKER, &[], &["cache", "prune"]).success();
            }
            assert_eq!(names_in(&tmp), [""; 0], "{signal:?}, {is_inner}");
        }
    }
}
