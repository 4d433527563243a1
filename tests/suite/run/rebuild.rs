//! `--verify-rebuild`: whether a second build comes out as the first one did.

use super::dockerfile::Bench;
use crate::support::program::Outcome;
use crate::support::traces::assert_store_is_sound;
use crate::support::tree::Tree;

fn verified(bench: &Bench, steps: &str) -> Outcome {
    bench.build(steps, &["--verify-rebuild", "--progress=plain", "-o", "x.tar"])
}

#[track_caller]
fn assert_differs(bench: &Bench, steps: &str, says: &[&str]) {
    let outcome = verified(bench, steps).failure(1).says(&["error: a second build came out differently: "]).says(says);
    assert!(!bench.path("x.tar").exists(), "nothing is written: {}", outcome.stderr);
}

#[test]
fn what_comes_out_the_same_is_said_and_written() {
    let Some(bench) = Bench::new(Tree::new().file("a", "1")) else { return };
    let steps = "COPY a /\nRUN echo $SOURCE_DATE_EPOCH > /b && mkdir /c && rm /a && chown 7:8 /b\n";
    let digest = bench.build(steps, &[]).digest();
    let outcome = verified(&bench, steps);
    assert!(outcome.stderr.contains(&format!("a second build came out the same: {digest}\n")), "{}", outcome.stderr);
    assert_eq!(outcome.stderr.matches(" took ").count(), 4, "twice each, whatever is known: {}", outcome.stderr);
    assert!(!outcome.stderr.contains("CACHED"), "{}", outcome.stderr);
    assert_eq!(outcome.digest(), digest);
    assert!(bench.path("x.tar").exists());
    assert_store_is_sound(&bench.program.store());
}

#[test]
fn the_first_file_and_the_step_that_made_it_are_named() {
    let Some(bench) = Bench::new(Tree::new()) else { return };
    let random = "head -c 8 /dev/urandom";
    assert_differs(
        &bench,
        &format!(
            "RUN echo > /a\nRUN printf same > /e && {{ printf same; {random}; }} > /f && echo > /g\nRUN {random} > /b\n"
        ),
        &["the content of /f differs at byte 4\n", "/Dockerfile:6:1", "in the stage stage-1\n"],
    );
    // Digits of a time stand at the end.
    assert_differs(
        &bench,
        "RUN sleep 1.1; date +%s.%N > /f\n",
        &["the content of /f differs at byte ", "/Dockerfile:5:1"],
    );
    let id = "$(cat /proc/sys/kernel/random/uuid)";
    assert_differs(&bench, &format!("RUN mkdir /d && echo > /d/{id}\n"), &["/d/", " is missing in the "]);
    assert_differs(&bench, &format!("RUN ln -s {id} /l\n"), &["/l was a link to ", ", and then a link to "]);
}

/// A file in a cache mount says in which build a command runs: that of the second is empty.
#[test]
fn every_field_is_looked_at() {
    let Some(bench) = Bench::new(Tree::new()) else { return };
    bench.build("RUN --mount=type=cache,target=/c touch /c/first\n", &[]).success();
    let differs = |one: &str, other: &str, says: &str| {
        let steps =
            format!("RUN --mount=type=cache,target=/c echo > /f; if [ -e /c/first ]; then {one}; else {other}; fi\n");
        assert_differs(&bench, &steps, &[says, "/Dockerfile:5:1"]);
    };
    differs("true", "chmod 600 /f", "the mode of /f was 0644, and then 0600\n");
    differs("chown 5:6 /f", "true", "the owner of /f was 5:6, and then 0:0\n");
    differs("true", "rm /bin/wc", "/bin/wc was removed in the second build only\n");
    differs("rm /f; mkdir /f", "true", "/f was a directory, and then a file\n");
    differs("ln /f /z", "cp /f /z", "/z was another name of /f, and then a file\n");
    differs("true", "echo more >> /f", "the content of /f differs at byte 1\n");
    differs("rm /f", "true", "the step changed nothing in the first build, but did in the second");
}

#[test]
fn times_count_where_files_keep_them() {
    let Some(bench) = Bench::new(Tree::new()) else { return };
    let outcome = bench.build("RUN sleep 1 && echo > /f\n", &["--verify-rebuild", "--timestamp=preserve"]);
    outcome.failure(1).says(&["the time of /", " was 1", ", and then 1"]);
}

#[test]
fn a_stage_that_no_image_has_is_to_blame_where_it_differs() {
    let Some(bench) = Bench::new(Tree::new()) else { return };
    let stages = "FROM busybox AS made\nRUN head -c 8 /dev/urandom > /f\nFROM busybox\nCOPY --from=made /f /g\n";
    let outcome = bench.build_stages(stages, &["--verify-rebuild"]);
    outcome.failure(1).says(&["the content of /f differs at byte 0\n", "/Dockerfile:5:1", "in the stage made\n"]);
}
