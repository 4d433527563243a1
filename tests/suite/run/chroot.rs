//! Commands in a chroot: what they find without mounts and namespaces, and what they are kept from.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use ocibake::run::{Exit, Limit, Network, Process, Resource, Security};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

use super::confined::{compile, connecting};
use super::{Place, app, chroot_says, command, says, shell};
use crate::support::traces::names_in;

#[test]
fn a_command_finds_what_it_was_given() {
    let Some(place) = Place::new() else { return };
    let process = Process {
        environment: vec![b"PATH=/bin".to_vec(), b"A=b c".to_vec()],
        directory: b"/new/deep".to_vec(),
        user: app(),
        ..command(&["sh", "-c", "pwd; echo $A; id; umask; exit 7"])
    };
    let done = place.run_in_chroot(&process);
    assert_eq!(done.ran.exit, Exit::Status(7));
    assert_eq!(done.output, "/new/deep\nb c\nuid=1000(app) gid=1000(app) groups=1000(app),2000(more)\n0022\n");
    assert_eq!(place.run_in_chroot(&shell("kill -KILL $$")).ran.exit, Exit::Signal(9));
    let limits = vec![Limit { resource: Resource::Nofile, soft: Some(77), hard: Some(99) }];
    assert_eq!(says(place.run_in_chroot(&Process { limits, ..shell("ulimit -n; ulimit -H -n") })), "77\n99\n");
    let error = place.try_run_in_chroot(&command(&["missing"])).err().unwrap();
    assert_eq!(error.message, "cannot run `missing`: no directory in PATH has a program of that name");
}

#[test]
fn devices_do_what_they_are_there_for() {
    let Some(place) = Place::new() else { return };
    fs::write(place.lower("proc/of-the-image"), "").unwrap();
    let script = "
        set -e
        head -c 4 /dev/zero | od -An -tx1
        test $(head -c 9 /dev/urandom | wc -c) = 9; test $(head -c 9 /dev/random | wc -c) = 9
        cat /dev/null; echo gone > /dev/null
        (echo x > /dev/full) 2>&1 || true
        for link in fd stdin stdout stderr ptmx; do readlink /dev/$link; done
        stat -c '%n %a %t,%T' /dev/null /dev/tty
        echo x > /dev/shm/x; stat -c %a /dev/shm /dev/mqueue; test -e /proc/of-the-image || echo none";
    assert_eq!(
        chroot_says(&place, script),
        " 00 00 00 00\nsh: write error: No space left on device\n/proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n\
        /proc/self/fd/2\npts/ptmx\n/dev/null 666 1,3\n/dev/tty 666 5,0\n1777\n1777\nnone\n"
    );
    // All of it is gone, and what the image has is there again.
    assert_eq!(names_in(&place.upper("dev")), [""; 0]);
    assert_eq!(names_in(&place.upper("proc")), ["of-the-image"]);
    assert_eq!(names_in(&place.directory.path().join("work")), [""; 0]);
}

#[test]
fn of_what_the_image_lacks_directories_alone_are_left_in_it() {
    let Some(place) = Place::new() else { return };
    for name in ["proc", "dev", "sys"] {
        fs::remove_dir_all(place.lower(name)).unwrap();
    }
    assert_eq!(chroot_says(&place, "test -c /dev/null && test -d /proc && test -d /sys && echo ok"), "ok\n");
    assert_eq!(names_in(&place.upper("")), ["bin", "dev", "etc", "proc", "sys", "tmp"]);
    assert_eq!(["proc", "dev", "sys"].map(|name| names_in(&place.upper(name)).len()), [0; 3]);
}

#[test]
fn it_has_dockers_capabilities_but_those_that_lead_out() {
    let Some(place) = Place::new() else { return };
    let body = r#"
        for (int i = 0; i < 41; i++) if (prctl(PR_CAPBSET_READ, i) == 1) printf("%d ", i);
        printf("\n%d %d\n", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), prctl(PR_GET_SECCOMP, 0, 0, 0, 0));
        SAY("chroot", chroot("/"));
        SAY("mknod", mknod("/tmp/disk", 0020666, 0x105));
        SAY("whiteout", mknod("/tmp/none", 0020666, 0));
        SAY("fifo", mknod("/tmp/fifo", 0010666, 0));
        SAY("mount", mount("none", "/tmp", "tmpfs", 0, 0));
        SAY("unshare", unshare(CLONE_NEWUSER));
        SAY("limits", prlimit(getppid(), RLIMIT_NOFILE, 0, 0));
        SAY("own limits", prlimit(0, RLIMIT_NOFILE, 0, 0));
        SAY("fsync", fsync(99));
    "#;
    let includes = "#include <sys/prctl.h>\n#include <sys/mount.h>\n#include <sys/stat.h>\n#include <sys/resource.h>\n";
    let Some(()) = compile_with(&place, includes, body) else { return };
    assert_eq!(
        chroot_says(&place, "calls"),
        "0 1 3 4 5 6 7 8 10 13 29 31 \n1 2\nchroot -1 1\nmknod -1 13\nwhiteout -1 13\nfifo 0 0\nmount -1 1\nunshare -1 1\n\
        limits -1 1\nown limits 0 0\nfsync 0 0\n"
    );
}

fn compile_with(place: &Place, includes: &str, body: &str) -> Option<()> {
    // The head of each program ends with the begin of its main function.
    compile(place, &format!("return run(); }}\n{includes}\nint run(void) {{\n{body}"))
}

#[test]
fn a_second_chroot_does_not_lead_out_of_the_first() {
    let Some(place) = Place::new() else { return };
    let done = place.run_in_chroot(&shell("mkdir /tmp/jail; chroot /tmp/jail /bin/busybox ls ../../../.."));
    assert!(done.error.contains("Operation not permitted"), "{}", done.error);
    // By whatever way: the classic one keeps a directory open.
    let body = r#"
        int here = open("/", O_RDONLY); mkdir("/tmp/jail", 0700);
        SAY("chroot", chroot("/tmp/jail")); SAY("back", fchdir(here));
        for (int i = 0; i < 99; i++) chdir("..");
        SAY("out", open("home", O_RDONLY)); SAY("here", open("bin/calls", O_RDONLY));
    "#;
    let Some(()) = compile(&place, body) else { return };
    assert_eq!(chroot_says(&place, "calls"), "chroot -1 1\nback 0 0\nout -1 2\nhere 0 0\n");
}

#[cfg(target_arch = "x86_64")]
#[test]
fn programs_of_32_bits_are_kept_from_the_same() {
    let Some(place) = Place::new() else { return };
    let body = r#"
        #define OLD(n, a, b) ({ long r; __asm__ volatile("int $0x80" : "=a"(r) : "a"(n), "b"(a), "c"(b) : "memory"); \
            printf("%d %ld\n", n, r > 0 ? 1 : r); fflush(stdout); r; })
        OLD(61, 0, 0); OLD(340, 1, 0); OLD(102, 1, 0);
    "#;
    let Some(()) = compile(&place, body) else { return };
    let process = Process { network: Network::None, ..command(&["calls"]) };
    assert_eq!(says(place.run_in_chroot(&process)), "61 -1\n340 -1\n102 -1\n");
}

#[test]
fn without_a_network_there_are_no_sockets_of_one() {
    let Some(place) = Place::new() else { return };
    let body = r#"
        SAY("unix", socket(AF_UNIX, SOCK_STREAM, 0)); SAY("inet", socket(AF_INET, SOCK_STREAM, 0));
        SAY("inet6", socket(AF_INET6, SOCK_DGRAM, 0)); SAY("packet", socket(AF_PACKET, SOCK_RAW, 0));
    "#;
    let Some(()) = compile(&place, body) else { return };
    let with = |network| says(place.run_in_chroot(&Process { network, ..command(&["calls"]) }));
    assert_eq!(with(Network::None), "unix 0 0\ninet -1 1\ninet6 -1 1\npacket -1 1\n");
    assert!(with(Network::Host).starts_with("unix 0 0\ninet 0 0\n"));
}

#[test]
fn processes_of_others_are_neither_looked_into_nor_killed() {
    let Some(place) = Place::new() else { return };
    let mut other = Command::new("sleep").arg("600").stdout(Stdio::null()).spawn().unwrap();
    let (pid, own) = (other.id(), std::process::id());
    let body = format!(
        r#"
        char bytes[8]; struct iovec to = {{ bytes, 8 }}, from = {{ (void *) 4096, 8 }};
        int pids[] = {{ {pid}, {own}, getppid() }};
        for (int i = 0; i < 3; i++) {{
            SAY("kill", kill(pids[i], i ? 0 : SIGKILL)); SAY("queue", sigqueue(pids[i], SIGTERM, (union sigval) {{ 0 }}));
            SAY("trace", ptrace(PTRACE_ATTACH, pids[i], 0, 0)); SAY("read", process_vm_readv(pids[i], &to, 1, &from, 1, 0));
        }}
        SAY("all", kill(-1, SIGKILL));"#
    );
    let includes = "#include <sys/ptrace.h>\n#include <sys/uio.h>\n";
    // It is the command itself: its parent is the first process.
    let run = |()| says(place.run_in_chroot(&command(&["/bin/calls"])));
    let said = compile_with(&place, includes, &body).map(run);
    let is_alive = other.try_wait().unwrap().is_none();
    other.kill().unwrap();
    other.wait().unwrap();
    assert!(is_alive);
    let Some(said) = said else { return };
    let each = "kill -1 1\nqueue -1 1\ntrace -1 1\nread -1 1\n";
    let (before, all) = said.rsplit_once("all ").unwrap();
    assert_eq!(before, each.repeat(3));
    assert!(["-1 1\n", "-1 3\n", "0 0\n"].contains(&all), "{all}");
}

#[test]
fn a_command_that_kills_all_it_sees_goes_on() {
    let Some(place) = Place::new() else { return };
    assert_eq!(chroot_says(&place, "sleep 600 & kill -9 -1; wait; echo on"), "on\n");
    let done = place.run_in_chroot(&Process { user: app(), ..shell("sleep 600 & kill -9 -1; wait; echo on") });
    assert_eq!(says(done), "on\n");
}

#[test]
fn programs_that_become_another_user_work_for_root() {
    let Some(place) = Place::new() else { return };
    let done = place.run_in_chroot(&shell("su app -c 'id -u; touch /tmp/x 2>&1; cat /etc/group | head -n1'"));
    assert_eq!(says(done), "1000\ntouch: /tmp/x: Permission denied\nroot:x:0:\n");
    fs::set_permissions(place.lower("tmp"), PermissionsExt::from_mode(0o1777)).unwrap();
    chroot_says(&place, "su app -c 'touch /tmp/x'");
    assert_eq!(fs::metadata(place.upper("tmp/x")).unwrap().uid(), 1000);
}

#[test]
fn abstract_sockets_of_others_are_out_of_reach_and_its_own_are_not() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixListener};
    let Some(place) = Place::new() else { return };
    let name = format!("ocibake-chroot-{}", std::process::id());
    let _listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let Some(()) = compile(&place, &connecting(&name)) else { return };
    assert_eq!(chroot_says(&place, "calls"), "own 0 0\nother -1 1\n");
}

#[test]
fn devices_of_the_image_lead_to_no_device() {
    let Some(place) = Place::new() else { return };
    let mode = Mode::from_bits_retain(0o666);
    mknodat(CWD, place.lower("tmp/zero"), FileType::CharacterDevice, mode, makedev(1, 5)).unwrap();
    let done = place.run_in_chroot(&shell("test -c /tmp/zero && echo node; head -c1 /tmp/zero"));
    assert_eq!(done.output, "node\n");
    assert!(done.error.contains("No such device"), "{}", done.error);
}

/// A directory of this machine that must stay as it is, and that links of the image lead to.
fn bait(place: &Place) -> std::path::PathBuf {
    let bait = place.directory.path().join("bait");
    fs::create_dir(&bait).unwrap();
    fs::write(bait.join("resolv.conf"), "of the host\n").unwrap();
    bait
}

fn is_untouched(bait: &Path) {
    assert_eq!(names_in(bait), ["resolv.conf"]);
    assert_eq!(fs::read_to_string(bait.join("resolv.conf")).unwrap(), "of the host\n");
}

#[test]
fn links_of_the_image_stay_within_the_root_wherever_they_stand() {
    let Some(place) = Place::new() else { return };
    let bait = bait(&place);
    let names = ["dev", "proc", "sys", "etc", "etc/hosts", "etc/resolv.conf", "dev/null", "dev/shm", "dev/fd"];
    for name in names {
        for target in [bait.clone(), Path::new("../../../../../../../../..").join(bait.strip_prefix("/").unwrap())] {
            for other in ["dev", "proc", "sys", "etc"] {
                let path = place.lower(other);
                let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
                fs::create_dir(path).unwrap();
            }
            let path = place.lower(name);
            let _ = fs::remove_dir(&path);
            symlink(&target, path).unwrap();
            let script = "test -c /dev/null && test -d /proc && test -d /sys && cat /etc/hosts > /dev/null && echo ok";
            let done = place.run_in_chroot(&shell(script));
            assert_eq!(done.output, "ok\n", "{name}: {}", done.error);
            is_untouched(&bait);
        }
    }
}

#[test]
fn working_directories_that_lead_out_are_none() {
    let Some(place) = Place::new() else { return };
    let bait = bait(&place);
    symlink("../../../../../../../../..", place.lower("tmp/up")).unwrap();
    for directory in ["/tmp/up", "/tmp/../../..", "/proc/self/root", "/tmp/up/tmp"] {
        let process =
            Process { directory: directory.as_bytes().to_vec(), ..shell(&format!("ls ../../../..{}", bait.display())) };
        let done = place.run_in_chroot(&process);
        assert!(done.error.contains("No such file"), "{directory}: {}", done.error);
    }
}

#[test]
fn nothing_is_inherited() {
    let Some(place) = Place::new() else { return };
    let body = r#"for (int i = 0; i < 1024; i++) if (fcntl(i, F_GETFD) >= 0) printf("%d ", i);"#;
    let Some(()) = compile(&place, body) else { return };
    assert_eq!(says(place.run_in_chroot(&command(&["calls"]))), "0 1 2 ");
}

#[test]
fn a_command_without_restrictions_is_refused() {
    let Some(place) = Place::new() else { return };
    let process = Process { security: Security::Insecure, ..shell("true") };
    let error = place.try_run_in_chroot(&process).err().unwrap();
    assert_eq!(error.message, "a command without restrictions cannot be run in a chroot");
}

#[test]
fn files_that_are_provided_are_told_with_their_marks() {
    let Some(place) = Place::new() else { return };
    let hosts = vec![("db.example".to_owned(), "10.9.8.7".to_owned())];
    let done = place.run_in_chroot(&Process { hosts, ..shell("cat /etc/hosts | tail -n1; rm /etc/resolv.conf") });
    let paths: Vec<_> = done.ran.provided.iter().map(|file| String::from_utf8(file.path.clone()).unwrap()).collect();
    assert_eq!(paths, ["etc/resolv.conf", "etc/hosts"]);
    let now = fs::metadata(place.upper("etc/hosts")).unwrap();
    assert_eq!((now.ctime(), now.ctime_nsec()), done.ran.provided[1].identity.changed);
    assert_eq!(says(done), "10.9.8.7\tdb.example\n");
}
