//! `/proc`, `/sys` and `/dev` in a chroot, where the supervisor serves them: what a command finds there.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::Command;

use ocibake::run::{Exit, Process, Rung, Sandbox};

use super::confined::compile;
use super::{Place, app, chroot_says, command, says, shell};
use crate::support::tool::{checked, install, require, run};
use crate::support::traces::names_in;

#[test]
fn a_command_finds_itself() {
    let Some(place) = Place::new() else { return };
    let script = "
        set -e
        test -d /proc/self; test -d /proc/$$; test -e /proc/self/status; test -r /proc/cpuinfo
        grep -q '^processor' /proc/cpuinfo; grep -q MemTotal /proc/meminfo
        test $(cut -d' ' -f1 /proc/$$/stat) = $$
        head -n1 /proc/self/status; tr '\\0' ' ' < /proc/$$/cmdline | head -n1 | cut -c1-10
        readlink /proc/$$/exe; readlink /proc/$$/root; (cd /tmp; readlink /proc/self/cwd)
        readlink /proc/mounts; cat /proc/sys/kernel/ostype; cat /proc/self/comm
        cat /proc/self/environ | tr '\\0' '\\n' | grep PATH; grep -c busybox /proc/self/maps > /dev/null
        cat /proc/thread-self/comm; cat /proc/$$/task/*/comm; grep -q nodev /proc/filesystems";
    assert_eq!(
        chroot_says(&place, script),
        "Name:\thead\n/bin/sh -c\n/bin/busybox\n/\n/tmp\nself/mounts\nLinux\ncat\nPATH=/sbin:/bin\ncat\nsh\n"
    );
}

#[test]
fn what_is_in_proc_is_listed_and_of_processes_its_own() {
    let Some(place) = Place::new() else { return };
    let script = "
        set -e
        sleep 600 & set +e
        test \"$(ls /proc | grep -c '^[0-9]')\" -ge 2 || echo few
        test \"$(ls /proc | grep -c '^[0-9]')\" -lt 9 || echo many
        ls /proc | grep -x -e cpuinfo -e self -e $! -e sys | wc -l
        ls -ld /proc/self | cut -c1; ls -l /proc/self/exe | sed 's/.* //'; ls /proc/self/fd | head -n3 | tr '\\n' ' '
        ps | grep -c ' sleep 600$'; cat /proc/$!/comm; kill $!; wait $!; test -e /proc/$! || echo gone
        ls -a /proc | grep -x $! || echo not listed
        cd /proc/self/net && pwd | cut -c1-6; cd ..; test -f status && cat comm; cd ../..; pwd
        find /proc/sys/kernel -name ostype; cat /proc/self/../sys/kernel/ostype";
    // The shell says of what it has killed that it was.
    let done = place.run_in_chroot(&shell(script));
    assert_eq!(
        done.output,
        "4\nl\n/bin/busybox\n0 1 2 1\nsleep\ngone\nnot listed\n/proc/\nsh\n/\n/proc/sys/kernel/ostype\nLinux\n"
    );
    // All of it is gone.
    assert_eq!(names_in(&place.upper("proc")), [""; 0]);
    assert_eq!(names_in(&place.upper("sys")), [""; 0]);
}

/// Puts a program of this machine with all that it needs into the root.
fn install_with_libraries(place: &Place, program: &str) {
    let needed = run("ldd", [program]);
    let paths = needed.split_whitespace().filter(|word| word.starts_with('/')).chain([program]);
    for path in paths {
        let to = place.lower(&path[1..]);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        if !to.exists() {
            install(Path::new(path), &to);
        }
    }
}

#[test]
fn bash_substitutes_processes() {
    let Some(place) = Place::new().filter(|_| require("bash") && require("ldd")) else { return };
    install_with_libraries(&place, "/bin/bash");
    let script = "
        cat <(echo one) <(echo two); diff <(echo x) <(echo x) && echo same
        echo three > >(cat); wait $!
        while read -r line; do echo \"$line\"; done < <(printf '4\\n5\\n')
        tee >(cat > /tmp/six) <<< 6 > /dev/null; sleep 0.2; cat /tmp/six";
    for user in [Default::default(), app()] {
        let _ = fs::remove_file(place.lower("tmp/six"));
        fs::set_permissions(place.lower("tmp"), std::os::unix::fs::PermissionsExt::from_mode(0o1777)).unwrap();
        let process = Process { user, ..command(&["/bin/bash", "-c", script]) };
        assert_eq!(says(place.run_in_chroot(&process)), "one\ntwo\nsame\nthree\n4\n5\n6\n");
    }
}

#[test]
fn what_is_open_can_be_opened_again() {
    let Some(place) = Place::new() else { return };
    symlink("/dev/stdout", place.lower("tmp/log")).unwrap();
    let script = "
        echo out > /dev/stdout; echo log >> /tmp/log; echo in | cat /dev/stdin; echo three 3>&1 > /dev/fd/3
        echo content > /tmp/file 2> /dev/null || exit 0
        exec 4< /tmp/file; rm /tmp/file; cat /dev/fd/4 /proc/self/fd/4; readlink /proc/self/fd/4
        test -p /dev/stdout && echo pipe; test -c /dev/stdin && echo null; stat -L -c %F /proc/self/fd/4
        (exec 5> /tmp/other; cat > /proc/self/fd/5 < /dev/fd/4; cat /tmp/other)
        cat /proc/self/fd/99";
    let done = place.run_in_chroot(&shell(script));
    assert_eq!(
        done.output,
        "out\nlog\nin\nthree\ncontent\ncontent\n/tmp/file (deleted)\npipe\nnull\nregular file\ncontent\n"
    );
    assert_eq!(done.error, "cat: can't open '/proc/self/fd/99': No such file or directory\n");
    let done =
        place.run_in_chroot(&Process { user: app(), ..shell(&format!("{script}; echo to stderr > /dev/stderr")) });
    assert_eq!((done.output.as_str(), done.ran.exit), ("out\nlog\nin\nthree\n", Exit::Status(0)), "{}", done.error);
}

#[test]
fn a_program_starts_itself_by_its_link() {
    let Some(place) = Place::new() else { return };
    let body = r#"
        char name[64] = { 0 }; extern char **environ;
        if (getenv("AGAIN")) { readlink("/proc/self/exe", name, 63); puts(name); return 0; }
        putenv("AGAIN=1"); char *arguments[] = { "calls", 0 };
        if (!fork()) { int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC); snprintf(name, 64, "/proc/self/fd/%d", self);
            execve(name, arguments, environ); perror(name); return 1; }
        wait(0);
        execve("/proc/self/exe", arguments, environ); perror("exec");"#;
    let body = format!("return run(); }}\n#include <stdlib.h>\n#include <sys/wait.h>\nint run(void) {{\n{body}");
    let Some(()) = compile(&place, &body) else { return };
    for user in [Default::default(), app()] {
        assert_eq!(says(place.run_in_chroot(&Process { user, ..command(&["calls"]) })), "/bin/calls\n/bin/calls\n");
    }
}

#[test]
fn links_of_the_image_lead_there_too() {
    let Some(place) = Place::new() else { return };
    symlink("../proc/self/mounts", place.lower("etc/mtab")).unwrap();
    symlink("/proc", place.lower("tmp/p")).unwrap();
    symlink("p/self/../sys/kernel", place.lower("tmp/kernel")).unwrap();
    let script = "
        awk '{ print $2 }' /etc/mtab | head -n3; cat /tmp/p/self/comm; cat /tmp/kernel/ostype
        cat /proc/self/root/etc/hostname 2> /dev/null || cat /proc/self/cwd/tmp/p/self/root/tmp/x
        cd /tmp; cat p/self/comm; cat ../proc/self/comm; cat /proc/self/root/tmp/x; cat /proc/$$/cwd/x";
    fs::write(place.lower("tmp/x"), "x\n").unwrap();
    assert_eq!(chroot_says(&place, script), "/\n/proc\n/sys\ncat\nLinux\nx\ncat\ncat\nx\nx\n");
    // Wherever the image has them.
    for name in ["proc", "sys"] {
        fs::remove_dir(place.lower(name)).unwrap();
        fs::create_dir(place.lower(&format!("etc/{name}"))).unwrap();
        symlink(format!("etc/{name}"), place.lower(name)).unwrap();
    }
    let script = "cat /proc/self/comm /etc/proc/self/comm; test -e /sys/class/net && ls /etc/proc | grep -x cpuinfo";
    assert_eq!(chroot_says(&place, script), "cat\ncat\ncpuinfo\n");
}

#[test]
fn the_kernels_own_is_read_and_not_written() {
    let Some(place) = Place::new() else { return };
    let script = "
        set -e
        test $(nproc) = $(getconf _NPROCESSORS_ONLN 2> /dev/null || nproc); cat /sys/devices/system/cpu/online > /tmp/cpus
        test -d /sys/class/net/lo; cat /sys/class/net/lo/mtu; readlink /sys/class/net/lo | grep -c devices/virtual
        test -d /sys/fs/cgroup; ls /sys | grep -x -e devices -e kernel; cat /sys/kernel/mm/transparent_hugepage/enabled > /dev/null || true
        cp /proc/version /tmp/version; test -s /tmp/version; cp /proc/meminfo /tmp/; stat -f -c %t /proc /proc/cpuinfo /sys";
    let expected =
        format!("{}1\ndevices\nkernel\n9fa0\n9fa0\n62656572\n", fs::read_to_string("/sys/class/net/lo/mtu").unwrap());
    assert_eq!(chroot_says(&place, script), expected);
    assert_eq!(
        fs::read_to_string(place.upper("tmp/cpus")).unwrap(),
        fs::read_to_string("/sys/devices/system/cpu/online").unwrap()
    );
    let paths = ["/proc/sys/kernel/hostname", "/proc/sysrq-trigger", "/sys/kernel/mm/ksm/run", "/proc/cpuinfo"];
    for path in paths.into_iter().filter(|path| Path::new(path).exists()) {
        let done = place.run_in_chroot(&shell(&format!("echo 0 > {path}")));
        assert!(done.error.contains("Read-only file system"), "{path}: {}", done.error);
    }
    for path in ["mem", "oom_adj", "attr/current", "uid_map", "clear_refs", "loginuid"] {
        let done = place.run_in_chroot(&shell(&format!("echo 0 > /proc/self/{path}")));
        assert!(done.error.contains("Permission denied"), "{path}: {}", done.error);
    }
    for path in ["/proc/new", "/proc/self/new", "/sys/new", "/proc/sys/new"] {
        let done = place.run_in_chroot(&shell(&format!("echo 0 > {path}")));
        assert!(done.error.contains("nonexistent") || done.error.contains("No such file"), "{path}: {}", done.error);
    }
    let script = "printf mine > /proc/self/comm; cat /proc/$$/comm; echo 500 > /proc/self/oom_score_adj; cat /proc/self/oom_score_adj";
    assert_eq!(chroot_says(&place, script), "mine\n500\n");
}

#[test]
fn what_docker_hides_is_hidden() {
    let Some(place) = Place::new() else { return };
    let script = "
        cat /proc/kmsg
        for f in kcore keys timer_list sched_debug acpi scsi interrupts; do cat /proc/$f && echo $f; ls /proc/$f/ && echo $f; done
        ls /sys/firmware && echo firmware; ls /sys/devices/virtual/powercap && echo powercap; ls /sys/kernel/debug | head -n1";
    assert_eq!(place.run_in_chroot(&shell(script)).output, "");
}

#[test]
fn a_user_sees_its_own_processes_and_of_those_of_root_what_all_see() {
    let Some(place) = Place::new() else { return };
    let script = "sleep 600 & su app -c \"
        cat /proc/self/comm /proc/$!/comm; readlink /proc/self/exe; grep -c busybox /proc/self/maps > /dev/null && echo maps
        cat /proc/$!/environ; ls /proc/$!/fd/; readlink /proc/$!/exe; cat /proc/$!/maps; echo 1 > /proc/$!/oom_score_adj; ls /proc/self/fd > /dev/null && echo fd
        cat /proc/self/root/secret; stat -L -c %u /proc/self /proc/$!; ls -d /proc/$!\"; kill $!";
    fs::write(place.lower("secret"), "of root\n").unwrap();
    fs::set_permissions(place.lower("secret"), std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
    let done = place.run_in_chroot(&shell(script));
    let lines: Vec<&str> = done.output.lines().collect();
    assert_eq!(lines[..5], ["cat", "sleep", "/bin/busybox", "maps", "fd"], "{}", done.error);
    assert_eq!(lines[5..7], ["1000", "0"], "{}", done.error);
    assert_eq!(
        (lines.len(), done.error.matches("Permission denied").count()),
        (8, 5),
        "{}\n{}",
        done.output,
        done.error
    );
}

#[cfg(target_arch = "x86_64")]
#[test]
fn programs_of_32_bits_find_it_too() {
    let Some(place) = Place::new() else { return };
    // Its pointers have 32 bits: what they lead to lies low.
    let body = r#"
        char *low = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
        #define OLD(n, a, b, c) ({ long r; __asm__ volatile("int $0x80" : "=a"(r) : "a"(n), "b"(a), "c"(b), "d"(c) : "memory"); r; })
        strcpy(low, "/proc/self/exe");
        long length = OLD(85, low, low + 64, 100); printf("%.*s\n", (int) length, low + 64);
        strcpy(low, "/proc/self/comm");
        long file = OLD(5, low, O_RDONLY, 0); char text[9] = { 0 }; read(file, text, 8); printf("%s", text);
        long done = OLD(195, low, low + 64, 0); printf("%ld %o\n", done, *(unsigned *) (low + 64 + 16) & 0170000);"#;
    let body = format!("return run(); }}\n#include <sys/mman.h>\nint run(void) {{\n{body}");
    let Some(()) = compile(&place, &body) else { return };
    assert_eq!(says(place.run_in_chroot(&command(&["calls"]))), "/bin/calls\ncalls\n0 100000\n");
}

/// Where the program that may make no devices finds its place.
const WITHOUT_DEVICES: &str = "OCIBAKE_TEST_WITHOUT_DEVICES";

#[test]
fn devices_that_cannot_be_made_are_served() {
    if let Some(directory) = std::env::var_os(WITHOUT_DEVICES) {
        let directory = Path::new(&directory);
        let sandbox = Sandbox::find_on(directory, Some(Rung::Chroot)).unwrap();
        assert_eq!(sandbox.unserved(), None);
        let path = |name| directory.join(name);
        let root = ocibake::run::Root { lowers: Vec::new(), upper: path("upper"), work: path("work") };
        let script = "
            test -c /dev/null && echo x > /dev/null && cat /dev/null && echo null; head -c 2 /dev/zero | od -An -tx1
            stat -c '%n %a %t,%T' /dev/null; head -c 9 /dev/urandom | wc -c; dd if=/dev/zero of=/dev/full bs=1 count=1 2>&1 | head -n1
            test -e /dev/tty || echo no terminal; echo out > /dev/stdout; test -d /dev/null || : 2> /dev/null; ls /dev | grep -x zero";
        for user in [Default::default(), app()] {
            let done = super::run_on(&sandbox, &Process { user, ..shell(script) }, &root).unwrap();
            assert_eq!(
                says(done),
                "null\n 00 00\n/dev/null 666 1,3\n9\ndd: error writing '/dev/full': No space left on device\nno terminal\nout\nzero\n"
            );
        }
        return;
    }
    let Some(place) = Place::new().filter(|_| require("setpriv")) else { return };
    place.reset();
    ocibake::layer::copy(&place.lower(""), &place.upper(""), ocibake::layer::Devices::Dead).unwrap();
    checked(
        Command::new("setpriv")
            .args(["--bounding-set", "-sys_admin,-mknod", "--inh-caps", "-all"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "run::chroot_proc::devices_that_cannot_be_made_are_served"])
            .env(WITHOUT_DEVICES, place.directory.path()),
    );
    assert_eq!(fs::metadata("/dev/null").unwrap().mode() & 0o7777, 0o666);
}
