//! The processes of commands: what they start ends with them, and nobody else's does.

use super::super::ends::is_running;
use super::{Everywhere, compiled};
use crate::support::program::{NOBODY, Outcome};
use crate::support::tool::run;
use crate::support::tree::Tree;

#[test]
fn a_fork_bomb_ends_with_its_step() {
    let Some(everywhere) = Everywhere::new(Tree::new()) else { return };
    let mark = format!("bombed{}", std::process::id());
    // It is an ordinary user, for the limit counts all processes of one, and root has none.
    let script = format!("{mark}() {{ {mark} | {mark} & }}; {mark} 2>/dev/null; sleep 0.3; exit 3");
    everywhere.write(&format!("FROM base\nUSER 54323\nRUN {script}\n"));
    let limit = "--ulimit=nproc=200";
    for within in everywhere.each() {
        let outcome = match within.isolation {
            // All users are the one who has started it.
            "single-id" => {
                let home = within.program.home().to_str().unwrap();
                run("chown", ["-R", &format!("{NOBODY}:{NOBODY}"), home]);
                run("chmod", ["a+rx", within.context.to_str().unwrap()]);
                let as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
                let starter = [&as_nobody[..], within.starter].concat();
                let words = ["build", within.context.to_str().unwrap(), "--platform=linux/amd64", limit];
                Outcome::of(&mut within.program.command_under(&starter, words))
            }
            _ => within.build(&[limit]),
        };
        outcome.failure(1).says(&["exit code 3"]);
        assert!(!is_running(&mark), "{}", within.isolation);
    }
}

#[test]
fn a_daemon_that_cannot_be_looked_into_is_served_and_ends_with_its_step() {
    let Some(everywhere) = Everywhere::new(Tree::new()).filter(compiled) else { return };
    let mark = format!("daemonised{}", std::process::id());
    let steps = format!(
        "COPY program /\nRUN /program daemon {mark} > /told && (setsid sh -c 'trap \"\" TERM HUP; sleep 600; : {mark}' &) && \
         stat -c '%n %u:%g' /daemon >> /told\nRUN /program hidden {mark} >> /told\n"
    );
    let told = everywhere.told(&steps);
    assert_eq!(told, "/daemon 640 9:10\n/daemon 9:10\n/hidden 640 5:6\n/hidden-child 640 1000:1001\n8 7\n");
    assert!(!is_running(&mark));
}

/// Where the kernel says who may look into the processes of whom, it is asked to be stricter.
#[test]
fn a_kernel_that_lets_parents_alone_look_into_processes_changes_nothing() {
    const SCOPE: &str = "/proc/sys/kernel/yama/ptrace_scope";
    let Ok(before) = std::fs::read_to_string(SCOPE) else {
        // A kernel is no tool that CI could install.
        eprintln!("not tried: this kernel has no {SCOPE}");
        return;
    };
    let Some(everywhere) = Everywhere::new(Tree::new()).filter(compiled) else { return };
    struct Restored(String);
    impl Drop for Restored {
        fn drop(&mut self) {
            let _ = std::fs::write(SCOPE, &self.0);
        }
    }
    let _restored = Restored(before);
    std::fs::write(SCOPE, "1").unwrap();
    let told = everywhere.told("COPY program /\nRUN /program daemon > /told && /program hidden >> /told\n");
    assert_eq!(told, "/daemon 640 9:10\n/hidden 640 5:6\n/hidden-child 640 1000:1001\n8 7\n");
}

/// The kernel has fifteen bytes of a name, and may cut a letter of it in two.
#[test]
fn a_process_may_have_a_name_that_is_no_text() {
    let Some(everywhere) = Everywhere::new(Tree::new()) else { return };
    let steps = "RUN cp /bin/busybox \"/busybox$(printf '\\377')\" && mkdir /others && chown 7:8 /others && chmod 777 /others\n\
                 USER 9:9\n\
                 RUN umask 027; is() { \"/busybox$(printf '\\377')\" \"$@\"; }; is mkdir /others/made && is touch /others/file && \
                 is test -d /proc/self/fd && is stat -c '%n %a %u' /others/made /others/file > /others/told\n\
                 USER 0\nRUN cp /others/told /told\n";
    assert_eq!(everywhere.told(steps), "/others/made 750 9\n/others/file 640 9\n");
}

#[test]
fn a_process_finds_itself_in_proc() {
    let Some(everywhere) = Everywhere::new(Tree::new()) else { return };
    let finds = "RUN test -d /proc/$$ && test \"$(cut -d' ' -f1 /proc/self/stat)\" != $$ && \
                 grep -q \"^Pid:.$$\\$\" /proc/$$/status && \
                 sh -c 'test \"$(readlink /proc/$$/exe)\" = /bin/busybox'\n";
    everywhere.write(&format!("FROM base\n{finds}"));
    for within in everywhere.each() {
        within.build(&[]).success();
    }
}

/// Shows a part of `/proc` to what is run, as container engines do; the kernel then lets nobody mount another one in a user
/// namespace.
const MASKED: &str = "mount --bind /dev/null /proc/meminfo && exec \"$@\"";

#[test]
fn behind_a_proc_that_is_masked_a_process_finds_itself_or_it_is_said_why_not() {
    let Some(everywhere) = Everywhere::new(Tree::new()) else { return };
    everywhere.write(
        "FROM base\nRUN if [ -n \"$(ls /proc)\" ]; then test -d /proc/$$ && grep -q \"^Pid:.$$\\$\" /proc/$$/status; fi\n\
         RUN sleep 600 & kill -9 -1; wait; echo on > /told\n",
    );
    let mask = ["unshare", "--mount", "sh", "-ec", MASKED, "sh"];
    for within in everywhere.each() {
        let starter = [&mask[..], within.starter].concat();
        let isolation = format!("--isolation={}", within.isolation);
        let words = ["build", within.context.to_str().unwrap(), "--platform=linux/amd64", &isolation];
        let outcome = Outcome::of(&mut within.program.command_under(&starter, words));
        match within.isolation {
            "single-id" if outcome.code != Some(0) => {
                drop(outcome.failure(1).says(&["cannot mount a proc at /proc", "/proc has hidden parts"]))
            }
            _ => drop(outcome.success()),
        }
    }
}

#[test]
fn where_another_listens_to_calls_already_one_id_is_refused_and_the_rest_works() {
    let Some(everywhere) = Everywhere::new(Tree::new()).filter(compiled) else { return };
    everywhere.write("FROM base\nRUN touch /f && chown 5:6 /f\n");
    let program = everywhere.context.path().join("program");
    let listened = [program.to_str().unwrap(), "listened"];
    for within in everywhere.each() {
        let starter = [within.starter, &listened].concat();
        let isolation = format!("--isolation={}", within.isolation);
        let words = ["build", within.context.to_str().unwrap(), "--platform=linux/amd64", &isolation];
        let outcome = Outcome::of(&mut within.program.command_under(&starter, words));
        match within.isolation {
            "single-id" => {
                drop(outcome.failure(1).says(&["--isolation=single-id: ", "busy"]));
                // Without a choice the same is said.
                let mut command = within.program.command_under(&starter, &words[..3]);
                drop(Outcome::of(&mut command).failure(1).says(&["cannot supervise the command", "busy"]));
            }
            _ => drop(outcome.success()),
        }
    }
}
