//! What a command is kept from.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use ocibake::run::{Process, Security};

use super::{Place, app, says, shell};
use crate::support::tool::{require, run};

/// The 14 that docker leaves to root.
const CAPABILITIES: &str = "00000000a80425fb";

#[test]
fn root_has_dockers_capabilities_and_others_have_none() {
    let Some(place) = Place::new() else { return };
    let script = "grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status | tr -d '\\t'";
    let none = "0000000000000000";
    let root = place.says(script);
    assert_eq!(
        root,
        format!(
            "CapInh:{none}\nCapPrm:{CAPABILITIES}\nCapEff:{CAPABILITIES}\nCapBnd:{CAPABILITIES}\nCapAmb:{none}\n\
            NoNewPrivs:0\nSeccomp:2\n"
        )
    );
    let user = says(place.run(&Process { user: app(), ..shell(script) }));
    assert_eq!(
        user,
        format!(
            "CapInh:{none}\nCapPrm:{none}\nCapEff:{none}\nCapBnd:{CAPABILITIES}\nCapAmb:{none}\nNoNewPrivs:0\nSeccomp:2\n"
        )
    );
}

#[test]
fn programs_that_set_their_user_work() {
    let Some(place) = Place::new() else { return };
    assert_eq!(place.says("su app -c id"), "uid=1000(app) gid=1000(app) groups=1000(app),2000(more)\n");
    let body = r#"printf("%d %d\n", getuid(), geteuid());"#;
    let Some(said) = calls(&place, body) else { return };
    assert_eq!(said, "0 0\n");
    fs::set_permissions(place.lower("bin/calls"), PermissionsExt::from_mode(0o4755)).unwrap();
    assert_eq!(says(place.run(&Process { user: app(), ..shell("calls") })), "1000 0\n");
}

#[test]
fn what_is_hidden_is_hidden_and_what_is_read_only_is_not_written_to() {
    let Some(place) = Place::new() else { return };
    let script = "
        for f in kcore keys timer_list interrupts; do test -e /proc/$f && cat /proc/$f | wc -c; done
        for d in acpi scsi; do test -d /proc/$d && ls /proc/$d | wc -l; done
        test -d /sys/firmware && ls /sys/firmware | wc -l
        exit 0";
    assert_eq!(place.says(script).replace("0\n", ""), "");
    for path in
        ["/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/sys/kernel/uevent_helper", "/sys/x", "/proc/irq/x"]
    {
        let done = place.run(&shell(&format!("echo x > {path}")));
        let is_refused = done.error.contains("Read-only file system")
            || done.error.contains("No such file")
            || done.error.contains("nonexistent directory");
        assert!(is_refused, "{path}: {}", done.error);
        assert_ne!(done.ran.exit, ocibake::run::Exit::Status(0));
    }
    let done = place.run(&shell("echo x > /proc/sys/kernel/hostname"));
    assert!(done.error.contains("Read-only file system"), "{}", done.error);
}

#[test]
fn mounts_and_namespaces_are_refused() {
    let Some(place) = Place::new() else { return };
    for script in [
        "mount -t tmpfs none /tmp",
        "mount -o remount,rw /proc/sys",
        "umount /dev/shm",
        "umount -l /proc/kcore",
        "unshare -U true",
        "unshare -m true",
        "hostname other",
        "swapoff -a; swapon /tmp",
        "nsenter -t 1 -m true",
        "date -s 2000-01-01",
        "pivot_root /tmp /tmp",
    ] {
        let done = place.run(&shell(script));
        let is_refused = ["not permitted", "denied", "can't open"].iter().any(|word| done.error.contains(word));
        assert!(is_refused, "{script}: {}", done.error);
    }
}

#[test]
fn nodes_can_be_made_but_disks_cannot_be_read_by_them() {
    let Some(place) = Place::new() else { return };
    for directory in ["/tmp", "/dev", "/dev/shm"] {
        let script = format!("mknod {directory}/disk c 1 5 && ls {directory}/disk && head -c1 {directory}/disk");
        let done = place.run(&shell(&script));
        assert_eq!(done.output, format!("{directory}/disk\n"), "{}", done.error);
        assert!(done.error.contains("Permission denied"), "{directory}: {}", done.error);
    }
}

#[test]
fn the_first_process_cannot_be_looked_into_or_killed() {
    let Some(place) = Place::new() else { return };
    let script = "
        cat /proc/1/mem /proc/1/environ /proc/1/maps 2>&1 | grep -c Permission
        ls /proc/1/root/ /proc/1/cwd/ 2>&1 | grep -c 'Permission denied'
        for fd in /proc/1/fd/*; do readlink $fd; done
        sleep 600 & kill -9 1; kill -TERM 1; kill -9 -1; echo alive";
    assert_eq!(place.says(script), "3\n2\nalive\n");
}

#[test]
fn where_it_is_insecure_nothing_of_that_holds() {
    let Some(place) = Place::new() else { return };
    let script = "
        set -e
        mount -t tmpfs none /tmp; umount /tmp
        grep Seccomp: /proc/self/status | tr -d '\\t'; grep CapEff /proc/self/status | tr -d '\\t'
        mknod /tmp/zero c 1 5; head -c1 /tmp/zero | od -An -tx1";
    let output = says(place.run(&Process { security: Security::Insecure, ..shell(script) }));
    let all = fs::read_to_string("/proc/self/status").unwrap();
    let all =
        all.lines().find(|line| line.starts_with("CapBnd")).unwrap().split_whitespace().last().unwrap().to_owned();
    assert_eq!(output, format!("Seccomp:0\nCapEff:{all}\n 00\n"));
}

/// What programs in C say of system calls, each by its number: `NAME RETURNED ERRNO`.
fn calls(place: &Place, body: &str) -> Option<String> {
    compile(place, body)?;
    Some(place.says("calls"))
}

/// Makes `calls` in the root, a program with this body.
pub(super) fn compile(place: &Place, body: &str) -> Option<()> {
    if !require("gcc") {
        return None;
    }
    let source = place.directory.path().join("calls.c");
    let head = "#define _GNU_SOURCE\n#include <errno.h>\n#include <stdio.h>\n#include <string.h>\n#include <unistd.h>\n\
        #include <fcntl.h>\n#include <sched.h>\n#include <signal.h>\n#include <stddef.h>\n#include <sys/socket.h>\n\
        #include <sys/syscall.h>\n#include <sys/un.h>\n\
        #define SAY(name, call) do { errno = 0; long r = (call); printf(\"%s %ld %d\\n\", name, r < 0 ? -1L : 0L, errno); } while (0)\n\
        int main(void) {\n";
    fs::write(&source, format!("{head}{body}\nreturn 0; }}\n")).unwrap();
    let program = place.lower("bin/calls");
    run("gcc", ["-static".as_ref(), "-w".as_ref(), "-o".as_ref(), program.as_os_str(), source.as_os_str()]);
    Some(())
}

#[test]
fn system_calls_have_the_answers_that_docker_gives() {
    let Some(place) = Place::new() else { return };
    let body = r#"
        SAY("keyctl", syscall(SYS_keyctl, 0, -3, 0, 0, 0));
        SAY("bpf", syscall(SYS_bpf, 0, 0, 0));
        SAY("io_uring", syscall(425, 1, 0));
        SAY("userfaultfd", syscall(SYS_userfaultfd, 0));
        SAY("clone3", syscall(435, 0, 0));
        SAY("clone", syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
        SAY("setns", syscall(SYS_setns, 0, 0));
        SAY("alg", socket(38, SOCK_SEQPACKET, 0));
        SAY("inet", socket(AF_INET, SOCK_STREAM, 0));
        SAY("fsync", fsync(99));
        SAY("fdatasync", fdatasync(99));
        SAY("syncfs", syncfs(99));
        SAY("chroot", chroot("/"));
    "#;
    let Some(said) = calls(&place, body) else { return };
    assert_eq!(
        said,
        "keyctl -1 1\nbpf -1 1\nio_uring -1 1\nuserfaultfd -1 1\nclone3 -1 38\nclone -1 1\nsetns -1 1\nalg -1 1\n\
        inet 0 0\nfsync 0 0\nfdatasync 0 0\nsyncfs 0 0\nchroot 0 0\n"
    );
}

#[cfg(target_arch = "x86_64")]
#[test]
fn calls_of_32_bit_programs_go_through_the_same_filter() {
    let Some(place) = Place::new() else { return };
    let body = r#"
        #define OLD(n, a, b) ({ long r; __asm__ volatile("int $0x80" : "=a"(r) : "a"(n), "b"(a), "c"(b) : "memory"); \
            printf("%d %ld\n", n, r > 0 ? 1 : r); fflush(stdout); r; })
        OLD(20, 0, 0); OLD(310, 0x10000000, 0); OLD(21, 0, 0); OLD(118, 99, 0); OLD(435, 0, 0); OLD(288, 0, 0);
        SAY("x32", syscall(0x40000000 | 39));
    "#;
    let Some(said) = calls(&place, body) else { return };
    // getpid; unshare, mount: EPERM; fsync; clone3: ENOSYS; keyctl: EPERM.
    assert_eq!(said, "20 1\n310 -1\n21 -1\n118 0\n435 -38\n288 -1\nx32 -1 38\n");
}

/// The body of a program that connects to an abstract socket of its own, and to `name`, which is another's.
pub fn connecting(name: &str) -> String {
    format!(
        r#"
        struct sockaddr_un a = {{ .sun_family = AF_UNIX }}; const char *names[] = {{ "{name}", "{name}-own" }};
        int own = socket(AF_UNIX, SOCK_STREAM, 0);
        for (int i = 1; i >= 0; i--) {{
            strcpy(a.sun_path + 1, names[i]);
            int length = offsetof(struct sockaddr_un, sun_path) + 1 + strlen(names[i]);
            if (i) {{ bind(own, (void *) &a, length); listen(own, 1); }}
            SAY(i ? "own" : "other", connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *) &a, length));
        }}"#
    )
}

#[test]
fn abstract_sockets_of_others_are_out_of_reach_and_its_own_are_not() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
    let Some(place) = Place::new() else { return };
    let name = format!("ocibake-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let _listener = UnixListener::bind_addr(&address).unwrap();
    UnixStream::connect_addr(&address).unwrap();
    let Some(said) = calls(&place, &connecting(&name)) else { return };
    assert_eq!(said, "own 0 0\nother -1 1\n");
}
