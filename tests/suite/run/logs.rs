//! `--log`: all that commands write, in files.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::dockerfile::Bench;
use crate::support::small_disk::SmallDisk;
use crate::support::traces::names_in;
use crate::support::tree::Tree;

#[test]
fn all_that_a_command_writes_is_in_a_file_as_it_came() {
    let Some(bench) = Bench::new(Tree::new()) else { return };
    let steps = "LABEL a=b\nRUN printf 'a\\033[31m\\377\\n'; printf 'b' >&2; sleep 0.1; seq 100000\nRUN true\n";
    let first = bench.build(steps, &["--log=logs/build"]).digest();
    let logs = bench.path("logs/build");
    assert_eq!(names_in(&logs), ["busybox-02.log", "stage-1-02.log", "stage-1-03.log"]);
    let numbers: String = (1..=100_000).map(|number| format!("{number}\n")).collect();
    let written = fs::read(logs.join("stage-1-02.log")).unwrap();
    // What was written to both streams at once may come in either order.
    let (begin, rest) = written.split_at(b"a\x1b[31m\xff\nb".len());
    assert!(begin == b"a\x1b[31m\xff\nb" || begin == b"ba\x1b[31m\xff\n", "{begin:?}");
    assert_eq!(rest, numbers.as_bytes());
    assert_eq!(fs::read(logs.join("stage-1-03.log")).unwrap(), b"");
    assert_eq!(fs::metadata(logs.join("stage-1-03.log")).unwrap().permissions().mode() & 0o777, 0o644);
    // A step that is known is not run, and its log stays as it is. Where the logs go changes nothing.
    assert_eq!(bench.build(steps, &["--log=logs/build"]).digest(), first);
    assert_eq!(fs::read(logs.join("stage-1-02.log")).unwrap(), written);
    assert_eq!(bench.build(steps, &["--log=other"]).digest(), first);
    assert_eq!(names_in(&bench.path("other")), [""; 0]);
}

#[test]
fn the_error_of_a_command_names_its_log() {
    let Some(bench) = Bench::new(Tree::new()) else { return };
    let outcome = bench.build("RUN seq 100; exit 3\n", &["--log=logs"]);
    outcome.failure(1).says(&[
        "ended with exit code 3",
        "\n  100\n",
        "hint: its whole output is in logs/stage-1-01.log",
    ]);
    let log = fs::read_to_string(bench.path("logs/stage-1-01.log")).unwrap();
    assert_eq!((log.lines().count(), log.lines().next()), (100, Some("1")));
}

#[test]
fn a_log_goes_where_it_belongs_and_nowhere_else() {
    let Some(bench) = Bench::new(Tree::new()) else { return };
    fs::create_dir(bench.path("logs")).unwrap();
    fs::write(bench.path("victim"), "kept").unwrap();
    symlink("../victim", bench.path("logs/stage-1-01.log")).unwrap();
    bench.build("RUN echo said\n", &["--log=logs"]).success();
    assert_eq!(fs::read_to_string(bench.path("victim")).unwrap(), "kept");
    assert_eq!(fs::read_to_string(bench.path("logs/stage-1-01.log")).unwrap(), "said\n");
    // One that cannot be written is an error, before anything is run.
    let outcome = bench.build("RUN echo said\n", &["--log=victim"]);
    outcome.failure(1).says(&["cannot create the directory victim"]);
}

#[test]
fn a_log_that_cannot_be_written_whole_ends_the_build() {
    let Some(bench) = Bench::new(Tree::new()) else { return };
    let Some(small) = SmallDisk::mount("size=1m") else { return };
    let logs = format!("--log={}", small.path().display());
    let outcome = bench.build("RUN seq 1000000\n", &[&logs]);
    outcome.failure(1).says(&["cannot write the log ", "stage-1-01.log", "No space left on device"]);
}

#[test]
fn each_platform_has_logs_of_its_own() {
    let Some(bench) = Bench::new(Tree::new()) else { return };
    let steps = "FROM busybox\nARG TARGETARCH\nRUN echo for $TARGETARCH\n";
    bench.build_stages(steps, &["--platform=linux/amd64,linux/386", "--log=logs"]).success();
    let logs = bench.path("logs");
    let read = |name: &str| fs::read_to_string(logs.join(name)).unwrap();
    assert_eq!(read("linux-amd64-stage-1-02.log"), "for amd64\n");
    assert_eq!(read("linux-386-stage-1-02.log"), "for 386\n");
}

#[test]
fn a_build_that_is_killed_leaves_what_was_said() {
    let Some(bench) = Bench::new(Tree::new()) else { return };
    bench.build("RUN true\n", &[]).success();
    let context = bench.context.path().to_str().unwrap();
    let dockerfile = fs::read_to_string(bench.context.path().join("Dockerfile")).unwrap();
    fs::write(bench.context.path().join("Dockerfile"), format!("{dockerfile}RUN echo said; sleep 60\n")).unwrap();
    let arguments = ["build", context, "--platform=linux/amd64", "--log=logs"];
    let mut child = bench.program.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let log = bench.path("logs/stage-1-02.log");
    let begun = Instant::now();
    while fs::read(&log).unwrap_or_default() != b"said\n" {
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing was written");
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(fs::read_to_string(log).unwrap(), "said\n");
}
