//! Builds with commands that are killed at any moment, with every isolation: no process, no mount and no file that cannot be
//! removed is left, and the next build is right. A hundred kills and more in all.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::alike::{BASE, ISOLATIONS};
use super::namespace::{BAKER, Bakery, POOR};
use crate::support::program::{Outcome, Program};
use crate::support::tool::{install, require, require_root};
use crate::support::traces::{assert_blobs_hold, assert_records_hold, names_in};
use crate::support::tree::Tree;

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

/// Builds that are killed.
struct Victims<'a> {
    /// All that they start has it among its arguments.
    mark: String,
    store: &'a Path,
    /// The build of this number, none of whose commands was run before.
    build: &'a dyn Fn(u32) -> Command,
    /// Makes the store an empty one.
    clear: &'a dyn Fn(),
    /// What has to hold after each, besides.
    holds: &'a dyn Fn(u32),
}

impl Victims<'_> {
    /// Kills `count` builds, at moments that are spread over the time that a whole one takes.
    fn kill(&self, count: u32) {
        (self.clear)();
        let begun = Instant::now();
        Outcome::of(&mut (self.build)(0)).success();
        let mut whole = begun.elapsed();
        let (mut killed, mut number) = (0, 0);
        while killed < count {
            number += 1;
            assert!(number < 4 * count, "only {killed} of {number} builds were killed before they ended");
            // Every other time from the beginning.
            if number % 2 == 0 {
                (self.clear)();
            }
            let begun = Instant::now();
            let mut build = (self.build)(number).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            // In no order, so that both kinds come at all moments.
            sleep(whole * ((number * 7) % count) / count);
            let signal = if number % 4 < 2 { Signal::KILL } else { Signal::TERM };
            let _ = kill_process(Pid::from_child(&build), signal);
            match build.wait().unwrap().success() {
                // The machine is less busy than it was.
                true => whole = whole.min(begun.elapsed()) * 9 / 10,
                false => killed += 1,
            }
            assert!(!stays(&self.mark), "after {number}");
            let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
            assert!(!mounts.contains(self.store.to_str().unwrap()), "after {number}: {mounts}");
            if self.store.join("blobs/sha256").exists() {
                assert_blobs_hold(self.store);
                assert_records_hold(self.store);
            }
            (self.holds)(number);
        }
    }
}

/// Steps that leave processes, a directory that nobody may look into, files of others, and something in a cache.
fn steps(mark: &str) -> String {
    format!(
        "ARG N=0\n\
         RUN --mount=type=cache,target=/cache test -e /cache/1 || for i in 1 2 3 4 5; do echo $i > /cache/$i; done\n\
         RUN --mount=type=cache,target=/cache mkdir -m 0 /closed && {{ setsid sh -c 'sleep 1000; : {mark}' & }} && \
         {{ sh -c 'sleep 1000; : {mark}' & }} && cat /cache/[1-5] > /f; \
         for i in 1 2 3 4 5 6; do echo $N > /cache/new; echo $i >> /f; chown $i /f; sleep 0.02; done\n\
         RUN cat /f > /g && rm -r /closed && rm /f && : {mark}\n"
    )
}

/// A cache has what was put into it before, or was never there.
fn assert_caches_are_whole(store: &Path, number: u32) {
    let caches = store.join("caches");
    for cache in fs::read_dir(caches).into_iter().flatten().flatten().map(|cache| cache.path().join("content")) {
        let all = ["1", "2", "3", "4", "5"].map(|name| fs::read_to_string(cache.join(name)).unwrap_or_default());
        assert_eq!(all, ["1\n", "2\n", "3\n", "4\n", "5\n"], "after {number}");
    }
}

/// Root's builds, with the isolation of this number.
fn kill_roots(number: usize) {
    if !require_root() || !["busybox", "setpriv"].into_iter().all(require) {
        return;
    }
    let (isolation, starter) = ISOLATIONS[number];
    let mark = format!("killed-{isolation}-{}", std::process::id());
    let context = Tree::new().file("passwd", "root:x:0:0::/:/bin/sh\n").file("group", "root:x:0:\n").plant();
    install("/bin/busybox".as_ref(), &context.path().join("busybox"));
    fs::write(context.path().join("Dockerfile"), format!("{BASE}{}", steps(&mark))).unwrap();
    let isolation = format!("--isolation={isolation}");
    let flags = ["build", context.path().to_str().unwrap(), "--platform=linux/amd64", "--no-stat-cache", &isolation];
    let build = |program: &Program, number: u32| {
        let number = format!("--build-arg=N={number}");
        program.command_under(starter, [&flags[..], &[&number]].concat())
    };
    let expected = Outcome::of(&mut build(&Program::new(), 99)).digest();
    let program = Program::new();
    let store = program.store();
    let in_chroot = isolation.ends_with("chroot");
    Victims {
        mark,
        store: &store,
        build: &|number| build(&program, number),
        // What a cache has is not lost where it comes in by exchange, which is to be seen.
        clear: &|| {
            if !in_chroot {
                fs::remove_dir_all(&store).unwrap();
            }
        },
        holds: &|number| {
            if in_chroot {
                assert_caches_are_whole(&store, number);
            }
        },
    }
    .kill(30);
    assert_eq!(Outcome::of(&mut build(&program, 99)).digest(), expected);
    // Nothing is left that cannot be removed.
    assert!(!names_in(&store).is_empty());
    fs::remove_dir_all(store).unwrap();
}

#[test]
fn in_namespaces_kills_at_any_moment_leave_nothing_and_a_store_that_works() {
    kill_roots(0);
}

#[test]
fn in_a_chroot_kills_at_any_moment_leave_nothing_and_a_store_that_works() {
    kill_roots(2);
}

/// The builds of an ordinary user, who has to be able to remove all that is left by the program itself.
fn kill_users(user: u32, isolation: &str, count: u32) {
    let mark = format!("killed-by-{user}-{}", std::process::id());
    let Some(bakery) = Bakery::with(Tree::new(), &steps(&mark)) else { return };
    bakery.give_to(user);
    let build = |number: u32| {
        let number = format!("--build-arg=N={number}");
        bakery.command_by(user, &[], &bakery.build(&[&number, isolation]))
    };
    let expected = bakery.by_root(&["--build-arg=N=99"]).digest();
    let store = bakery.program.store();
    let prune = || drop(bakery.by(user, &[], &["cache", "prune", "--all"]).success());
    Victims { mark, store: &store, build: &build, clear: &prune, holds: &|_| {} }.kill(count);
    assert_eq!(Outcome::of(&mut build(99)).digest(), expected);
    prune();
    for name in ["tmp", "unpacked"] {
        assert_eq!(names_in(&store.join(name)), [""; 0], "{name}");
    }
}

#[test]
fn with_subordinate_ids_kills_at_any_moment_leave_nothing_that_stays() {
    kill_users(BAKER, "--isolation=ids", 24);
}

#[test]
fn with_one_id_kills_at_any_moment_leave_nothing_that_stays() {
    kill_users(POOR, "--isolation=single-id", 30);
}
