//! Lets a system call of the program fail.

use std::fs;
use std::path::Path;

use super::program::{Outcome, Program};
use super::traces::names_in;

/// A run of the program, and what strace has seen of it.
pub struct Trace {
    pub outcome: Outcome,
    /// The calls of each thread, with the paths that they were about.
    threads: Vec<Vec<String>>,
}

impl Trace {
    /// Runs the program with a fault in the `nth` call, of each thread, among those that `calls` names (a name, or `/`
    /// and a pattern) and, if there are any `paths`, that are about one of these. `error` is such as `EIO`.
    pub fn run(
        program: &Program,
        (calls, error, nth): (&str, &str, usize),
        paths: &[String],
        arguments: &[&str],
    ) -> Self {
        let log = tempfile::tempdir().unwrap();
        let prefix = log.path().join("calls");
        let (trace, inject) = (format!("trace={calls}"), format!("inject={calls}:error={error}:when={nth}"));
        // A file for each thread, so that no line is broken by another's.
        let options = ["-ff", "-y", "-qq", "-s", "0", "-e", &trace, "-e", &inject, "-o", prefix.to_str().unwrap()];
        let mut tracer = [&["strace"], &options[..]].concat();
        paths.iter().for_each(|path| tracer.extend(["-P", path]));
        let outcome = Outcome::of(&mut program.command_under(&tracer, arguments));
        Trace { outcome, threads: names_in(log.path()).iter().map(|name| lines(&log.path().join(name))).collect() }
    }

    /// The calls that failed by the fault.
    pub fn hits(&self) -> Vec<&str> {
        let lines = self.threads.iter().flatten().map(String::as_str);
        lines.filter(|line| line.ends_with("(INJECTED)")).collect()
    }

    /// The calls that come `nth` in their thread.
    pub fn nth(&self, nth: usize) -> impl Iterator<Item = &str> {
        self.threads.iter().filter_map(move |calls| calls.get(nth - 1)).map(String::as_str)
    }
}

fn lines(log: &Path) -> Vec<String> {
    let log = fs::read(log).unwrap();
    // What is not a call reads otherwise: signals, the exit, and a thread that was let go in a call of another kind.
    let is_call = |line: &&str| line.contains('(') && !line.starts_with("???");
    String::from_utf8_lossy(&log).lines().filter(is_call).map(str::to_owned).collect()
}
