//! What is looked at once, though two parts of the program want to know.

use std::fs::{self, File, FileTimes};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{Duration, SystemTime};

use super::dockerfile::Bench;
use super::namespace::{BAKER, Bakery};
use crate::support::rebuild::settle;
use crate::support::tool::{require, run, skip};
use crate::support::tree::Tree;

#[test]
fn what_was_found_out_before_the_namespace_is_not_found_out_again() {
    let Some(bakery) = Bakery::with(Tree::new(), "RUN true\n") else { return };
    if !require("strace") {
        return;
    }
    let trace = bakery.home("trace");
    fs::write(&trace, "").unwrap();
    fs::set_permissions(&trace, PermissionsExt::from_mode(0o666)).unwrap();
    let strace = ["strace", "-f", "-qq", "-o", "trace", "-e", "trace=openat,openat2,fsopen"];
    bakery.by(BAKER, &strace, &bakery.build(&[])).success();
    let trace = fs::read_to_string(trace).unwrap();
    let read = trace.lines().filter(|line| line.contains("/Dockerfile\"") && !line.contains("O_PATH"));
    assert_eq!(read.count(), 1, "{trace}");
    // One overlay is tried, and both commands have one.
    assert_eq!(trace.matches("fsopen(\"overlay\"").count(), 3, "{trace}");
}

#[test]
fn an_archive_that_looks_as_it_did_is_not_read_for_another_command() {
    let Some(bench) = Bench::new(Tree::new().file("files/a", "1\n")) else { return };
    let context = bench.context.path();
    let archive = context.join("a.tar");
    // Of a file that was modified later than it was read, each reading shows, whatever the file system.
    let late = SystemTime::now() + Duration::from_secs(1 << 28);
    let pack = || {
        let words = ["-C", context.to_str().unwrap(), "-cf", archive.to_str().unwrap(), "files"];
        run("tar", words);
        let times = FileTimes::new().set_modified(late);
        File::options().write(true).open(&archive).unwrap().set_times(times).unwrap();
        settle();
    };
    let told = |word: &str| bench.content(&format!("ADD a.tar /x/\nRUN cat /x/files/a > /told && : {word}\n"), "told");
    let read = || {
        let metadata = fs::metadata(&archive).unwrap();
        (metadata.atime(), metadata.atime_nsec())
    };
    pack();
    let before = read();
    assert_eq!(told("one"), "1\n");
    if read() == before {
        skip("the file system does not note when a file is read");
        return;
    }
    // It is unpacked once more: the image below lies on disk in another form than in the build that has run its command.
    assert_eq!(told("two"), "1\n");
    let twice = read();
    settle();
    assert_eq!(told("three"), "1\n");
    assert_eq!(read(), twice);
    // Of what was unpacked nothing is left: it is read once more.
    bench.program.run(["cache", "prune", "--all"]).success();
    assert_eq!(told("three"), "1\n");
    settle();
    // Another content of the same size and time.
    fs::write(context.join("files/a"), "2\n").unwrap();
    pack();
    assert_eq!(told("three"), "2\n");
    assert_eq!(told("four"), "2\n");
}
