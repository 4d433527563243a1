//! `/proc`, `/sys` and `/dev` of a command in a container as docker starts it.

use std::fs;

use crate::support::contained::{Contained, Rights};
use crate::support::tool::{require, run};

/// What fails unless all of it is there, and nothing else.
const ROOT: &str = r#"
set -e
not() { if "$@"; then echo "it worked: $*" >&2; exit 9; fi; }
readlink /proc/self/exe | grep -x /bin/busybox
test $(cut -d' ' -f1 /proc/$$/stat) = $$; test -d /proc/self/fd; grep -q ^processor /proc/cpuinfo; grep -q ^MemTotal /proc/meminfo
echo of root > /dev/stdout; echo in | cat /dev/stdin; echo x > /dev/null; test -c /dev/null; test $(head -c 3 /dev/zero | wc -c) = 3
cat /proc/sys/kernel/ostype /sys/devices/system/cpu/online; test $(ls /proc | grep -c '^[0-9]') -le 5; ps | grep -q sh
awk '{ print $2 }' /proc/mounts | head -n1 | grep -x /
for pid in 1 $(cut -d' ' -f4 /proc/$$/stat); do
    for file in / /environ /fd/ /root/ /cwd/ /maps /mem /exe /status; do not ls /proc/$pid$file; not cat /proc/$pid$file; done
done 2> /dev/null
not cat /proc/kcore; not ls /sys/firmware; not sh -c 'echo x > /proc/sys/kernel/hostname'; test ! -e /proc/sysrq-trigger || not sh -c 'echo b > /proc/sysrq-trigger'
test -z "$(ls /sys/kernel/debug/)"
"#;

const USER: &str = r#"
set -e
not() { if "$@"; then echo "it worked: $*" >&2; exit 9; fi; }
readlink /proc/self/exe | grep -x /bin/busybox; cat /proc/self/comm /proc/$$/environ > /dev/null; echo of a user > /dev/stdout
cat < /dev/null; echo x > /dev/null; (cd /proc/self/fd; test -e 1); test $(nproc) -gt 0; sleep 9 & test -d /proc/$!; kill $!
not ls /proc/1; not cat /proc/1/environ; not sh -c 'echo x > /proc/sys/kernel/hostname'
"#;

const BUSYBOX: &str = "FROM scratch AS busybox\nCOPY busybox /bin/busybox\n\
                       RUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\nFROM busybox\n";

/// Builds in a container with these rights, which asks before what is there.
fn assert_served(rights: &Rights) {
    // The words are the shell's.
    let steps = format!("{BUSYBOX}RUN <<'EOF'{ROOT}EOF\nUSER 1000:1000\nRUN <<'EOF'{USER}EOF\n");
    let Some(docker) = Contained::new(&steps) else { return };
    let said = docker.run(rights, &["ocibake", "doctor"]).success().stdout;
    assert!(said.starts_with("commands can be run here: in a chroot") && !said.contains("/proc"), "{said}");
    docker.build(rights, &[]).success().says(&["of root", "of a user"]);
}

#[test]
fn it_is_served_under_dockers_profile() {
    assert_served(&Rights::of_docker(0));
}

#[test]
fn it_is_served_where_processes_of_others_are_hidden() {
    assert_served(&Rights { hides_processes: true, ..Rights::of_docker(0) });
}

#[test]
fn devices_are_served_where_none_can_be_made() {
    assert_served(&Rights { lacks: Some("MKNOD"), ..Rights::of_docker(0) });
}

/// Starts a program whose system calls it watches itself.
const WATCHER: &str = r#"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(int count, char **arguments) {
    struct sock_filter all = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = { 1, &all };
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (dup(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program)) < 0) return 1;
    execvp(arguments[1], arguments + 1);
    return 1;
}"#;

#[test]
fn where_another_supervisor_watches_it_is_empty_and_doctor_says_so() {
    let shows = "RUN test -d /proc && test -z \"$(ls /proc)\" && test -c /dev/null\n";
    let Some(docker) = Contained::new(&format!("{BUSYBOX}{shows}")).filter(|_| require("gcc")) else { return };
    let rights = Rights::of_docker(0);
    let path = |name: &str| docker.root().join(name).to_str().unwrap().to_owned();
    fs::write(path("watcher.c"), WATCHER).unwrap();
    run("gcc", ["-static", "-o", &path("bin/watcher"), &path("watcher.c")]);
    let said = docker.run(&rights, &["watcher", "ocibake", "doctor"]).success().stdout;
    let why = "\n/proc and /sys are empty for commands: cannot supervise the command: Device or resource busy (os error 16)\n  \
        to change that: another supervisor watches this program's system calls: run it outside of that\n";
    assert!(said.starts_with("commands can be run here: in a chroot") && said.contains(why), "{said}");
    let said = docker.run(&rights, &["watcher", "ocibake", "doctor", "--json"]).success().stdout;
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert!(said["commands"]["unserved"]["reason"].as_str().unwrap().starts_with("cannot supervise"), "{said}");
    docker.run(&rights, &["watcher", "ocibake", "build", "/context", "--platform=linux/amd64"]).success();
}
