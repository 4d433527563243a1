//! `--on-failure=shell`: a shell in what a failed command has left, on a terminal.

use std::fs;

use super::dockerfile::Bench;
use crate::support::program::Outcome;
use crate::support::tool::require;
use crate::support::tree::Tree;

/// Runs what stands behind its first two arguments on a terminal of 33 lines with 111 columns. The first argument has what is
/// typed, each text once another has been shown; then the signal INT is sent to the program if the second argument says so.
/// Tells what was shown, the status and whether the terminal is as it was, in lines.
const ON_A_TERMINAL: &str = r##"
import fcntl, json, os, pty, select, signal, struct, subprocess, sys, termios, time
to_type, signalled, command = json.loads(sys.argv[1]), sys.argv[2] == "INT", sys.argv[3:]
near, far = pty.openpty()
fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 111, 0, 0))
before, shown, seen, status = termios.tcgetattr(far), b"", 0, None
child = subprocess.Popen(
    command, stdin=far, stdout=far, stderr=far, start_new_session=True,
    preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
)
limit = time.monotonic() + 100
while status is None and time.monotonic() < limit:
    if select.select([near], [], [], 0.05)[0]:
        shown += os.read(near, 65536)
    else:
        status = child.poll()
    if to_type and to_type[0][0].encode() in shown[seen:]:
        seen = len(shown)
        os.write(near, to_type.pop(0)[1].encode())
        if not to_type and signalled:
            child.send_signal(signal.SIGINT)
sys.stdout.buffer.write(shown.replace(b"\r\n", b"\n"))
sys.stdout.buffer.flush()
print("\nended with", status)
print("restored" if termios.tcgetattr(far) == before else "not restored")
"##;

/// The end of what is said before a shell asks for the first line.
const OPENED: &str = "and the build";

/// What the terminal shows while `steps` are built and what is `typed` is typed in the shell.
fn shown(bench: &Bench, steps: &str, typed: &[(&str, &str)], signal: &str) -> String {
    shown_of(bench, &format!("FROM busybox\n{steps}"), typed, signal)
}

fn shown_of(bench: &Bench, stages: &str, typed: &[(&str, &str)], signal: &str) -> String {
    bench.write(stages);
    let context = bench.context.path().to_str().unwrap();
    let typed = serde_json::to_string(typed).unwrap();
    let starter = ["python3", "-c", ON_A_TERMINAL, &typed, signal];
    let arguments = ["build", context, "--platform=linux/amd64", "--on-failure=shell", "--jobs=2"];
    Outcome::of(&mut bench.program.command_under(&starter, arguments)).success().stdout
}

#[test]
fn a_shell_stands_where_the_command_failed() {
    let Some(bench) = Bench::new(Tree::new().file("lib/a", "library")) else { return };
    if !require("python3") {
        return;
    }
    let steps = "RUN mkdir -p /w /etc && echo 'app:x:1000:1001::/w:/bin/sh' > /etc/passwd && chown 1000:1001 /w\n\
                 ENV COLOUR=red\nUSER app\nWORKDIR /w\n\
                 RUN --network=none --mount=type=bind,source=lib,target=/lib --mount=type=cache,target=/c,mode=0777,sharing=locked \
                 echo made > made; exit 7\n";
    let typed = "echo $(id -u):$(id -g) $(pwd) $COLOUR $(cat made) $(cat /lib/a) $(ls /sys/class/net) $(stty size); \
                 echo sai''d > /c/kept; exit 3\n";
    let shown = shown(&bench, steps, &[(OPENED, ""), ("$ ", typed)], "");
    assert!(shown.contains("\n1000:1001 /w red made library lo 33 111\n"), "{shown}");
    let told = "ended with exit code 7\nthis is a shell in what the command has left";
    assert!(shown.contains(told), "{shown}");
    // The build fails as it would have.
    let error = shown.rsplit("error:").next().unwrap();
    assert!(error.contains("ended with exit code 7\n --> ") && error.contains("/Dockerfile:9:1\n"), "{shown}");
    assert!(shown.ends_with("\nended with 1\nrestored\n"), "{shown}");
    // What is done in the shell stays nowhere but in caches.
    let after = "RUN --mount=type=cache,target=/c,mode=0777,sharing=locked cat /c/kept > /told && ls / >> /told\n";
    let told = bench.content(after, "told");
    assert!(told.starts_with("said\n") && !told.contains("\nw\n"), "{told}");
}

#[test]
fn keys_that_end_programs_go_to_the_shell() {
    let Some(bench) = Bench::new(Tree::new()) else { return };
    if !require("python3") {
        return;
    }
    let typed = [
        (OPENED, ""),
        // What is said comes from what is to be ended: a shell would remember the key until its next command has ended.
        ("# ", "sh -c 'echo \"a\"b; exec sleep 100'\n"),
        ("ab\r\n", "\u{3}"),
        ("# ", "echo 'go'es on\n"),
        ("goes", "exit\n"),
    ];
    let shown = shown(&bench, "RUN exit 1\n", &typed, "");
    assert!(shown.contains("ab\n") && shown.contains("goes on\n"), "{shown}");
    assert!(shown.ends_with("\nended with 1\nrestored\n"), "{shown}");
}

#[test]
fn a_signal_to_the_program_sets_the_terminal_right_and_ends_all() {
    let Some(bench) = Bench::new(Tree::new()) else { return };
    if !require("python3") {
        return;
    }
    let shown = shown(&bench, "RUN exit 1\n", &[(OPENED, ""), ("# ", "")], "INT");
    assert!(shown.ends_with("\nended with -2\nrestored\n"), "{shown}");
}

#[test]
fn other_commands_are_stopped_before_the_shell_opens_and_nothing_is_shown_over_it() {
    let Some(bench) = Bench::new(Tree::new()) else { return };
    if !require("python3") {
        return;
    }
    let stages = "FROM busybox AS other\nRUN --mount=type=cache,id=m,target=/m touch /m/begun; while sleep 0.05; do echo noise; done\n\
                  FROM busybox AS failing\nRUN --mount=type=cache,id=m,target=/m while [ ! -e /m/begun ]; do sleep 0.05; done; exit 9\n\
                  FROM busybox\nCOPY --from=other / /o\nCOPY --from=failing / /f\n";
    let typed = [(OPENED, ""), ("# ", "sleep 1; echo en''d\n"), ("end\r\n", "exit\n")];
    let shown = shown_of(&bench, stages, &typed, "");
    let (before, after) = shown.split_once("this is a shell").unwrap();
    assert!(before.contains("noise") && !after.contains("noise"), "{shown}");
    assert!(after.contains("\nend\n") && after.contains("ended with exit code 9\n"), "{shown}");
}

#[test]
fn without_a_shell_or_a_terminal_there_is_none() {
    let Some(bench) = Bench::new(Tree::new()) else { return };
    if !require("python3") {
        return;
    }
    let outcome = bench.build("RUN true\n", &["--on-failure=shell"]);
    outcome.failure(2).says(&["--on-failure=shell needs a terminal on standard input and standard error"]);
    assert!(fs::read_dir(bench.program.store()).unwrap().next().is_none(), "nothing was begun");
    let steps = "RUN [\"/bin/busybox\", \"sh\", \"-c\", \"/bin/busybox rm /bin/sh; exit 5\"]\n";
    let shown = shown(&bench, steps, &[], "");
    assert!(shown.contains("warning: no shell was opened: cannot run `/bin/sh`"), "{shown}");
    assert!(shown.contains("ended with exit code 5\n") && shown.ends_with("\nended with 1\nrestored\n"), "{shown}");
}
