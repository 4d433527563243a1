//! `/proc` and `/sys` in a chroot: what a command must not reach by them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

use ocibake::run::Process;

use super::confined::compile;
use super::{Place, app, chroot_says, command, says, shell};

/// Includes for programs that look around; `run` is their main function.
fn program(place: &Place, body: &str) -> Option<()> {
    let head = "#include <dirent.h>\n#include <pthread.h>\n#include <stdlib.h>\n#include <sys/stat.h>\n#include <sys/xattr.h>\n\
        #include <linux/openat2.h>\n";
    compile(place, &format!("return run(); }}\n{head}int run(void) {{\n{body}\nfflush(stdout); _exit(0);"))
}

#[test]
fn processes_of_others_are_not_there() {
    let Some(place) = Place::new() else { return };
    let mut other = Command::new("sleep").arg("600").env("SECRET", "of another").stdout(Stdio::null()).spawn().unwrap();
    let pids = [other.id(), std::process::id(), 1, std::os::unix::process::parent_id()].map(|pid| pid.to_string());
    let script = format!(
        "for pid in {} $(cut -d' ' -f4 /proc/$$/stat) $(cut -d' ' -f4 /proc/$$/stat)/task/$(cut -d' ' -f4 /proc/$$/stat); do
            for file in '' /environ /mem /maps /exe /cwd /cwd/ /root /root/ /root/etc/passwd /fd /fd/0 /status /stat /task /cmdline /fdinfo/0 /net; do
                cat /proc/$pid$file; ls -d /proc/$pid$file; readlink /proc/$pid$file; test -e /proc/$pid$file && echo there
                (cd /proc/$pid$file && pwd); ls /proc/$pid$file/; echo > /proc/$pid$file
            done; ls /proc | grep -x $pid
        done 2> /dev/null",
        pids.join(" ")
    );
    let said = [Default::default(), app()].map(|user| place.run_in_chroot(&Process { user, ..shell(&script) }).output);
    other.kill().unwrap();
    other.wait().unwrap();
    assert_eq!(said, ["", ""]);
}

#[test]
fn two_commands_side_by_side_do_not_see_each_other() {
    let (Some(one), Some(two)) = (Place::new(), Place::new()) else { return };
    let script = |name: &str| {
        format!(
            "exec 3< /etc/passwd; : {name}; sleep 0.5; for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline | grep -o ': [a-z]*;'; done 2> /dev/null | sort -u"
        )
    };
    let said = std::thread::scope(|scope| {
        let first = scope.spawn(|| chroot_says(&one, &script("first")));
        let second = scope.spawn(|| chroot_says(&two, &script("second")));
        [first.join().unwrap(), second.join().unwrap()]
    });
    assert_eq!(said, [": first;\n", ": second;\n"]);
}

#[test]
fn no_directory_of_it_leads_out() {
    let Some(place) = Place::new() else { return };
    let bait = place.directory.path().join("bait");
    fs::write(&bait, "of the host\n").unwrap();
    let inode = fs::metadata(&bait).unwrap().ino();
    let body = format!(
        r#"
        const char *names[] = {{ "/proc", "/proc/self", "/proc/self/fd", "/proc/self/task", "/proc/self/net", "/proc/sys", "/sys", "/sys/class/net/lo",
            "/proc/self/root", "/proc/self/cwd", "/proc/self/ns", "/sys/fs/cgroup", "/proc/self/map_files", "/proc/thread-self", "/proc/1/root", "/proc/self/fd/9" }};
        int ways[] = {{ O_RDONLY | O_DIRECTORY, O_PATH, O_PATH | O_NOFOLLOW, O_RDONLY }};
        char path[4096], up[4096]; struct stat s, root; stat("/", &root); dup2(open("/", O_RDONLY), 9);
        for (int i = 0; i < 16; i++) for (int w = 0; w < 4; w++) {{
            int fd = open(names[i], ways[w]);
            if (fd < 0) continue;
            for (int depth = 0; depth < 20; depth++) {{
                up[0] = 0; for (int d = 0; d < depth; d++) strcat(up, "../");
                snprintf(path, sizeof path, "%s{bait}", up);
                // Past the "/" that the path begins with.
                char *tries[] = {{ path, depth ? path : "{bait}" + 1 }};
                for (int t = 0; t < 2; t++) {{
                    if (!fstatat(fd, tries[t], &s, 0) && s.st_ino == {inode}) printf("stat %s %s\n", names[i], path);
                    int out = openat(fd, tries[t], O_RDONLY); if (out >= 0) printf("open %s %s\n", names[i], path);
                    out = openat(fd, tries[t], O_PATH); if (out >= 0) printf("path %s %s\n", names[i], path);
                    if (!fchmodat(fd, tries[t], 0, 0)) printf("chmod %s %s\n", names[i], path);
                    if (!unlinkat(fd, tries[t], 0)) printf("unlink %s %s\n", names[i], path);
                }}
                if (depth && !fstatat(fd, up, &s, 0) && (s.st_dev != root.st_dev)) printf("elsewhere %s %s\n", names[i], up);
                if (!fchdir(fd)) {{ if (!chdir(depth ? up : ".") && !access(path, F_OK)) printf("cd %s\n", path); }}
                chdir("/");
            }}
            if (!fchdir(fd)) {{ for (int d = 0; d < 30; d++) chdir(".."); if (getcwd(path, 4096) && strcmp(path, "/")) printf("at %s\n", path); }}
            chdir("/"); close(fd);
        }}
        puts("done");"#,
        bait = bait.display()
    );
    let Some(()) = program(&place, &body) else { return };
    assert_eq!(says(place.run_in_chroot(&command(&["calls"]))), "done\n");
    assert_eq!(fs::read_to_string(&bait).unwrap(), "of the host\n");
}

#[test]
fn a_path_that_changes_while_it_is_read_leads_nowhere_else() {
    let Some(place) = Place::new() else { return };
    let pid = std::process::id();
    let body = format!(
        r#"
        const char *other = "/proc/{pid}/environ", *own = "/proc/self/comm", *plain = "/proc/../bin/calls", *up = "/proc/self/root/../../../proc/{pid}/comm";
        static char path[64]; static volatile int ends;
        void *change(void *ignored) {{ for (int i = 0; !ends; i++) strcpy(path, (const char *[]) {{ own, other, plain, up }}[i % 4]); return 0; }}
        pthread_t thread; strcpy(path, own); pthread_create(&thread, 0, change, 0);
        char text[64]; int read_own = 0;
        for (int i = 0; i < 3000; i++) {{
            int fd = open(path, O_RDONLY); if (fd < 0) continue;
            memset(text, 0, 64); long length = read(fd, text, 63);
            if (length <= 0) ; else if (!strcmp(text, "calls\n")) read_own++; else if (memcmp(text, "\177ELF", 4)) printf("read %s\n", text);
            close(fd); chdir(path); execl(path, path, (char *) 0) == 0;
        }}
        ends = 1; pthread_join(thread, 0); puts(read_own ? "own" : "none");"#
    );
    let body = body.replace("execl(path, path, (char *) 0) == 0;", "");
    let Some(()) = program(&place, &body) else { return };
    assert_eq!(says(place.run_in_chroot(&command(&["calls"]))), "own\n");
}

#[test]
fn what_a_command_does_to_the_directories_that_stand_in_stays_in_the_root() {
    let Some(place) = Place::new() else { return };
    let bait = place.directory.path().join("bait");
    fs::create_dir_all(bait.join("fd")).unwrap();
    fs::write(bait.join("kept"), "of the host\n").unwrap();
    let up = format!("../../../../../../../..{}", bait.display());
    let script = format!(
        "ls /proc > /dev/null; ls /proc/$$ /proc/$$/fd > /dev/null
        for target in {bait} {up}; do
            for name in $$ self $$/fd $$/task cpuinfo sys; do
                rm -rf /proc/$name; ln -s $target /proc/$name; ls /proc /proc/self/ /proc/$$ /proc/$$/fd /proc/self/task > /dev/null
                stat /proc/$name > /dev/null; cat /proc/$name/kept /proc/self/kept
                (cd /proc/self/fd && ls . ..) > /dev/null
            done
            mv /proc/$$ /tmp/moved; ls /proc/$$ > /dev/null; rm -rf /tmp/moved; mkdir -p /proc/a/b/c/d/e/f/g/h/i/j; ls /proc > /dev/null
        done; mv /proc /elsewhere; ln -s {bait} /proc; ls /proc/ /elsewhere; cat /elsewhere/self/comm; rm -rf /proc/*
        true",
        bait = bait.display()
    );
    let done = place.run_in_chroot(&shell(&script));
    assert!(!done.output.contains("of the host") && !done.output.contains("kept"), "{}", done.output);
    assert_eq!(fs::read_to_string(bait.join("kept")).unwrap(), "of the host\n");
    assert_eq!(fs::read_dir(bait.join("fd")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(&bait).unwrap().count(), 2);
}

#[test]
fn files_of_the_machine_keep_their_modes_and_times() {
    let Some(place) = Place::new() else { return };
    let body = r#"
        const char *names[] = { "/proc/cpuinfo", "/proc/sys/kernel/ostype", "/sys/class/net/lo/mtu", "/proc/self/net/dev", "/dev/stdin" };
        for (int i = 0; i < 5; i++) {
            int fd = open(names[i], O_RDONLY); if (fd < 0) perror(names[i]);
            fchmod(fd, 0); fchown(fd, 7, 7); futimens(fd, (struct timespec [2]) { { 1, 0 }, { 1, 0 } });
            fsetxattr(fd, "user.x", "x", 1, 0);
            if (i < 4 && write(fd, "x", 1) >= 0) printf("written %s\n", names[i]);
            char again[64]; snprintf(again, 64, "/proc/self/fd/%d", fd);
            if (i < 4 && (fd = open(again, O_RDWR)) >= 0 && write(fd, "x", 1) >= 0) printf("written again %s\n", names[i]);
            chmod(names[i], 0); chown(names[i], 7, 7);
        }
        fchmod(0, 0); puts("done");"#;
    let state = || {
        ["/proc/cpuinfo", "/proc/sys/kernel/ostype", "/sys/class/net/lo/mtu", "/proc/self/net/dev", "/dev/null"].map(
            |path| {
                let status = fs::metadata(path).unwrap();
                (status.mode(), status.uid(), status.mtime() == 1)
            },
        )
    };
    let before = state();
    let Some(()) = program(&place, body) else { return };
    assert_eq!(says(place.run_in_chroot(&command(&["calls"]))), "done\n");
    assert_eq!(state(), before);
}

#[test]
fn nobody_waits_for_what_does_not_come() {
    let Some(place) = Place::new() else { return };
    let script = "
        mkfifo /tmp/fifo; exec 3<> /tmp/fifo; exec 4< /proc/self/fd/3; exec 4<&- 3<&-
        timeout 1 cat /proc/self/root/tmp/fifo; echo x > /proc/self/root/tmp/fifo || echo nobody
        timeout 1 cat /proc/kmsg || echo none; i=0; while [ $i -lt 300 ]; do : < /proc/self/stat; i=$((i + 1)); done; echo done";
    let done = place.run_in_chroot(&shell(script));
    assert_eq!(done.output, "nobody\nnone\ndone\n", "{}", done.error);
}

#[test]
fn openat2_is_answered_as_it_asks() {
    let Some(place) = Place::new() else { return };
    let body = r#"
        #define HOW(name, path, flags, how) { struct open_how h = { flags, 0, how }; SAY(name, syscall(437, -100, path, &h, sizeof h)); }
        HOW("plain", "/proc/self/status", O_RDONLY, 0); HOW("links", "/proc/self/status", O_RDONLY, RESOLVE_NO_SYMLINKS);
        HOW("cpuinfo", "/proc/cpuinfo", O_RDONLY, RESOLVE_NO_SYMLINKS); HOW("open", "/proc/self/fd/1", O_WRONLY, RESOLVE_NO_MAGICLINKS);
        HOW("beneath", "/proc/self/status", O_RDONLY, RESOLVE_BENEATH); HOW("nofollow", "/proc/self", O_RDONLY | O_NOFOLLOW, 0);"#;
    let Some(()) = program(&place, body) else { return };
    assert_eq!(
        says(place.run_in_chroot(&command(&["calls"]))),
        "plain 0 0\nlinks -1 40\ncpuinfo 0 0\nopen -1 40\nbeneath -1 18\nnofollow -1 40\n"
    );
}
