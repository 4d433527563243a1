//! A process that is ended from outside ends at once, and leaves what was there before and a store that works.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::support::fake_registry::{FakeRegistry, Reply};
use crate::support::noise::noise;
use crate::support::program::Program;
use crate::support::traces::{assert_blobs_hold, assert_nothing_is_in_the_making, assert_store_is_sound, names_in};
use crate::support::tree::Tree;

const SPEC: &str = "name = \"example/interrupted\"\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n\
                    [[layer]]\nname = \"many\"\nadd = [{ from = \"many\", to = \"/\" }]\n\
                    [[layer]]\nname = \"one\"\nadd = [{ from = \"one\", to = \"/opt/\" }]\n";

/// For how long a process is waited for that is to end at once.
const LONG: Duration = Duration::from_secs(300);

/// How long a push waits for the answer to a request.
const PATIENCE: Duration = Duration::from_secs(120);

/// How an interrupted process ended.
struct Ended {
    status: ExitStatus,
    /// How long that took.
    time: Duration,
}

#[test]
fn a_build_ends_at_a_signal_and_leaves_nothing() {
    let mut build = Build::new(300 << 20);
    let (mut interrupted, mut taken, mut left) = (0, Duration::ZERO, Duration::ZERO);
    for moment in 0..12 {
        let signal = if moment % 2 == 0 { Signal::INT } else { Signal::TERM };
        let output = build.output(if moment % 4 < 2 { "layout/" } else { "image.tar" });
        let before = build.whole.mul_f64((f64::from(moment) + 0.5) / 12.0);
        if let Some(Ended { status, time }) = build.end_after(before, &output, signal) {
            interrupted += 1;
            taken += time;
            left += build.whole - before;
            assert_eq!(status.signal(), Some(signal.as_raw()), "moment {moment}: {status}");
        }
        build.remove_whole(&output);
        assert_eq!(names_in(build.place.path()), ["before"], "what moment {moment} left");
        assert_nothing_is_in_the_making(&build.program.store());
    }
    assert!(interrupted >= 3, "only {interrupted} of 12 builds were not done already");
    // It takes a few milliseconds, and ever so much longer on a busy machine; but so would the builds.
    assert!(taken < left / 2, "they took {taken:?} to end, and would have gone on for {left:?}");
    assert_store_is_sound(&build.program.store());
    assert_eq!(build.again(), build.digest);
}

#[test]
fn a_build_that_is_killed_leaves_a_store_that_works() {
    let mut build = Build::new(100 << 20);
    for moment in 0..8 {
        let output = build.output(if moment % 2 == 0 { "layout/" } else { "image.tar" });
        let before = build.whole.mul_f64((f64::from(moment) + 0.5) / 8.0);
        build.end_after(before, &output, Signal::KILL);
        assert_blobs_hold(&build.program.store());
        build.remove_whole(&output);
    }
    assert_eq!(build.again(), build.digest);
    assert_blobs_hold(&build.program.store());
}

#[test]
fn a_push_ends_at_a_signal_whatever_the_registry_does() {
    let context = Tree::new().file("ocibake.toml", SPEC).file("many/a", "a").file("one/b", "b").plant();
    for (method, signal) in [("HEAD", Signal::INT), ("POST", Signal::TERM), ("PUT", Signal::INT)] {
        let registry =
            FakeRegistry::scripted(move |request| (request.method == method).then_some(Reply::Silence(2 * LONG)));
        let program = Program::new();
        let name = format!("{}/example/stalled:1", registry.address());
        let arguments = ["push", "--no-fan-out", &name, context.path().to_str().unwrap()];
        let mut process = program.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let deadline = Instant::now() + LONG;
        while registry.count(method, "") == 0 {
            assert!(Instant::now() < deadline, "no {method} came");
            sleep(Duration::from_millis(5));
        }
        let Ended { status, time } = end(&mut process, signal).expect("a push to a silent registry goes on");
        assert!(time < PATIENCE / 2, "{method}: it took {time:?}");
        assert_eq!(status.signal(), Some(signal.as_raw()), "{method}: {status}");
        assert_store_is_sound(&program.store());
    }
}

/// A context with a known digest, to be built again and again with one store.
struct Build {
    context: TempDir,
    program: Program,
    /// Where outputs go; one other file is in it.
    place: TempDir,
    digest: String,
    /// How long a build takes that nobody disturbs.
    whole: Duration,
}

impl Build {
    fn new(size: usize) -> Self {
        let context = Tree::new().file("ocibake.toml", SPEC).directory("many").directory("one").plant();
        let block = noise(1, 1 << 20);
        let blocks = size >> 20;
        for number in 0..blocks / 2 {
            fs::write(context.path().join(format!("many/{number}")), &block[number..]).unwrap();
        }
        fs::write(context.path().join("one/large"), block.repeat(blocks / 2)).unwrap();
        let place = Tree::new().file("before", "").plant();
        let program = Program::new();
        let mut build = Build { context, program, place, digest: String::new(), whole: Duration::ZERO };
        let start = Instant::now();
        build.digest = build.again();
        build.whole = start.elapsed();
        build
    }

    fn output(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// Removes an output, which has to be whole if it is there: the build was done before the signal came.
    fn remove_whole(&self, output: &Path) {
        if output.exists() {
            assert!(self.program.run(["inspect".as_ref(), output]).success().stdout.contains(&self.digest));
            fs::remove_dir_all(output).or_else(|_| fs::remove_file(output)).unwrap();
        }
    }

    /// Starts a build and ends it after this time; none if it was done before.
    fn end_after(&mut self, time: Duration, output: &Path, signal: Signal) -> Option<Ended> {
        let mut command = self.program.command(self.arguments(output));
        let mut process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        sleep(time);
        let ended = end(&mut process, signal);
        if ended.is_none() {
            // It takes no longer than that, now that the machine may be less busy.
            self.whole = self.whole.min(time);
        }
        ended
    }

    /// The digest of a build that runs to its end.
    fn again(&self) -> String {
        let output = self.output("whole.tar");
        let digest = self.program.run(self.arguments(&output)).digest();
        fs::remove_file(output).unwrap();
        digest
    }

    fn arguments<'a>(&'a self, output: &'a Path) -> [&'a str; 9] {
        let (context, output) = (self.context.path().to_str().unwrap(), output.to_str().unwrap());
        ["build", context, "--no-stat-cache", "--compression", "none", "--jobs", "2", "-o", output]
    }
}

/// Sends a signal and waits; none if the process had succeeded before.
fn end(process: &mut Child, signal: Signal) -> Option<Ended> {
    if let Some(status) = process.try_wait().unwrap() {
        assert!(status.success(), "{status}");
        return None;
    }
    kill_process(Pid::from_child(process), signal).unwrap();
    let sent = Instant::now();
    loop {
        if let Some(status) = process.try_wait().unwrap() {
            // It may have ended by itself just before.
            return (!status.success()).then(|| Ended { status, time: sent.elapsed() });
        }
        if sent.elapsed() > LONG {
            process.kill().unwrap();
            panic!("it has not ended {LONG:?} after {signal:?}");
        }
        sleep(Duration::from_millis(2));
    }
}
