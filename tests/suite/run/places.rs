//! The places in which builds are run, one by one: which way is found there, what is said of it, and that the image is the same.

use std::fs;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::kills::stays;
use super::namespace::{BAKER, Bakery, POOR};
use super::single_id::ONE_ID;
use crate::support::contained::{Contained, Rights};
use crate::support::program::{Outcome, Program, binary};
use crate::support::tool::{install, require, require_root, run};
use crate::support::traces::names_in;
use crate::support::tree::Tree;

const STEPS: &str = r#"FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
RUN mkdir -p /etc /home && echo root:x:0:0::/:/bin/sh > /etc/passwd && echo root:x:0: > /etc/group && \
    echo app:x:1000:1000::/home/app:/bin/sh >> /etc/passwd && echo app:x:1000: >> /etc/group && mkdir -m 750 /home/app && \
    chown app:app /home/app && mkdir /made && echo x > /made/x && chown -R app:app /made && chown 7:8 /made && \
    ln -s x /made/link && chown -h 5 /made/link
RUN --mount=type=cache,target=/cache echo > /cache/x && rm /made/x && su app -c 'id > ~/id && mkdir ~/d' && \
    chmod 4755 /bin/busybox && ls /dev > /made/dev
USER app
WORKDIR /home/app/work
RUN touch file && (touch /no 2> /dev/null || echo refused > told) && kill -9 -1; echo on >> told
"#;

/// What shows that a command is in no chroot, and that it finds itself in `/proc`.
const AMONG: &str = "RUN test -d /proc/$$ && test \"$(readlink /proc/self/exe)\" = /bin/busybox && \
                     ! cat /proc/1/environ 2> /dev/null && ! cat /proc/$PPID/environ 2> /dev/null && \
                     (setsid sleep 1000 &) && ! echo x 2> /dev/null > /proc/sys/kernel/hostname && test ! -s /proc/keys\n\
                     RUN --network=none --mount=type=tmpfs,target=/t --mount=type=bind,target=/c,rw \
                     echo x > /t/x && rm /c/busybox && test \"$(wget -q -O - http://1.1.1.1 2>&1 | grep -c unreachable)\" = 1\n";

#[test]
fn root_in_dockers_container_has_a_chroot() {
    let Some(contained) = Contained::new(STEPS) else { return };
    let rights = Rights::of_docker(0);
    assert_eq!(contained.build(&rights, &[]).digest(), contained.outside());
    insta::assert_snapshot!(contained.run(&rights, &["ocibake", "doctor"]).success().stdout, @r"
    commands can be run here: in a chroot, on a copy of the image
    not ids: cannot make a user namespace: Operation not permitted (os error 1)
      to change that: a container's seccomp profile may be what refuses it: with docker, `--security-opt seccomp=unconfined`; or a security module
    not single-id: cannot make a user namespace: Operation not permitted (os error 1)
      to change that: a container's seccomp profile may be what refuses it: with docker, `--security-opt seccomp=unconfined`; or a security module
    ");
    // It is none of those that it might be taken for.
    contained.write(&format!("{STEPS}USER root\nRUN test ! -d /proc/1/root/home\n"));
    contained.build(&rights, &["--isolation=chroot"]).success();
}

#[test]
fn an_ordinary_user_in_dockers_container_is_told_what_is_missing() {
    let Some(contained) = Contained::new(STEPS) else { return };
    let rights = Rights::of_docker(1000);
    insta::assert_snapshot!(contained.run(&rights, &["ocibake", "doctor"]).failure(1).stderr, @r"
    error: commands cannot be run here
      ids: /etc/subuid gives 1000 no subordinate user ids
        to change that: give some: `sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 1000`, where no other line has them; or run it as root, with the capability CAP_SYS_ADMIN
      single-id: cannot make a user namespace: Operation not permitted (os error 1)
        to change that: a container's seccomp profile may be what refuses it: with docker, `--security-opt seccomp=unconfined`; or a security module
      chroot: a command in a chroot needs root
        to change that: run it as root, with the capabilities that docker gives by default
    ");
    let outcome = contained.build(&rights, &[]).failure(1);
    outcome.says(&["commands cannot be run here", "--security-opt seccomp=unconfined"]);
    assert_eq!(names_in(&contained.store().join("tmp")), [""; 0]);
    assert_eq!(names_in(&contained.store().join("unpacked")), [""; 0]);
    // What runs nothing is built as ever.
    contained.write("FROM scratch\nCOPY busybox /\n");
    assert_eq!(contained.build(&rights, &[]).digest(), contained.outside());
}

#[test]
fn root_in_a_container_that_may_make_namespaces_has_all_its_ids() {
    let Some(contained) = Contained::new(STEPS) else { return };
    let rights = Rights::unfiltered(0);
    assert_eq!(contained.build(&rights, &[]).digest(), contained.outside());
    insta::assert_snapshot!(contained.run(&rights, &["ocibake", "doctor"]).success().stdout, @r"
    commands can be run here: in namespaces of their own, among the processes that are here, on a copy of the image
    isolation: ids, in a user namespace with 4294967295 users and 4294967295 groups
    ");
    contained.write(&format!("{STEPS}USER root\n{AMONG}"));
    contained.build(&rights, &["--isolation=ids"]).success();
}

#[test]
fn an_ordinary_user_in_a_container_that_may_make_namespaces_has_a_single_id() {
    let Some(contained) = Contained::new(STEPS) else { return };
    let digest = contained.outside();
    let rights = Rights::unfiltered(1000);
    insta::assert_snapshot!(contained.run(&rights, &["ocibake", "doctor"]).success().stdout, @r"
    commands can be run here: in namespaces of their own, among the processes that are here, on a copy of the image
    isolation: single-id, in a user namespace with 1 user and 1 group
    not ids: /etc/subuid gives 1000 no subordinate user ids
      to change that: give some: `sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 1000`, where no other line has them; or run it as root, with the capability CAP_SYS_ADMIN
    ");
    // A pod that may gain nothing is the same.
    let restricted = Rights { has_capabilities: false, may_gain: false, ..rights.clone() };
    for rights in [&rights, &restricted] {
        assert_eq!(contained.build(rights, &[]).digest(), digest, "{rights:?}");
    }
    contained.write(&format!("{STEPS}USER root\n{AMONG}"));
    contained.build(&restricted, &["--isolation=single-id"]).success();
}

#[test]
fn root_without_capabilities_is_told_which_are_missing() {
    let Some(contained) = Contained::new(STEPS) else { return };
    let rights = Rights { has_capabilities: false, ..Rights::unfiltered(0) };
    insta::assert_snapshot!(contained.run(&rights, &["ocibake", "doctor"]).failure(1).stderr, @r"
    error: commands cannot be run here
      ids: this is root without CAP_SETUID or CAP_SETGID
        to change that: give the container these capabilities, and CAP_SETFCAP, as docker does by default; or use another user there
      single-id: cannot write the uid_map of a user namespace: Operation not permitted (os error 1)
        to change that: root needs CAP_SETFCAP for that: give it to the container, as docker does by default, or use another user there
      chroot: a command in a chroot needs CAP_CHOWN
        to change that: run it as root, with the capabilities that docker gives by default
    ");
}

/// Containers of an ordinary user, by podman.
struct Podman {
    bakery: Bakery,
    place: tempfile::TempDir,
}

impl Podman {
    /// None where it cannot be had.
    fn new() -> Option<Podman> {
        if !["podman", "crun"].into_iter().all(require) {
            return None;
        }
        let bakery = Bakery::new(Tree::new())?;
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        for name in ["bin", "proc", "dev", "sys", "tmp", "context", "home", "etc", "lib", "lib64", "usr", "run"] {
            fs::create_dir_all(at("root").join(name)).unwrap();
        }
        for name in ["home", "run"] {
            fs::create_dir(at(name)).unwrap();
        }
        install("/bin/busybox".as_ref(), &at("root/context/busybox"));
        install(&binary(), &at("root/bin/ocibake"));
        fs::write(at("root/context/Dockerfile"), STEPS).unwrap();
        run("chmod", ["a+rwx", at("root/home").to_str().unwrap()]);
        run("chown", ["-R", &BAKER.to_string(), place.path().to_str().unwrap()]);
        Some(Podman { bakery, place })
    }

    /// Runs `words` in a new container, with a store of its own of this name.
    fn run(&self, store: &str, flags: &[&str], words: &[&str]) -> Outcome {
        let at = |name: &str| self.place.path().join(name).display().to_string();
        // Of cgroups a machine that is itself a container may have a mixture, which crun refuses.
        let script = "mount -t tmpfs tmpfs /sys/fs/cgroup; exec \"$@\"";
        let (home, runtime) = (format!("HOME={}", at("home")), format!("XDG_RUNTIME_DIR={}", at("run")));
        let path = format!("PATH={}", std::env::var("PATH").unwrap());
        let store = format!("OCIBAKE_STORE=/home/{store}");
        let system = ["/usr", "/lib", "/lib64"].map(|path| format!("--volume={path}:{path}:ro"));
        let system: Vec<&str> = system.iter().map(String::as_str).collect();
        let own =
            ["podman", "run", "--rm", "--network=none", "--cgroups=disabled", "--env", &store, "--env=HOME=/home"];
        let root = at("root");
        let environment = ["env", "--ignore-environment", &home, &runtime, &path];
        let rest = [&environment[..], &own, &system, flags, &["--rootfs", &root], words].concat();
        Outcome::of(&mut self.bakery.starter_by(BAKER, &["sh", "-ec", script, "sh"], &rest))
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        // It keeps a process that holds its namespaces.
        let pid = fs::read_to_string(self.place.path().join("run/libpod/tmp/pause.pid")).unwrap_or_default();
        if !pid.is_empty() {
            let _ = Command::new("kill").arg(pid.trim()).status();
        }
    }
}

#[test]
fn in_an_ordinary_users_podman_the_image_is_the_same() {
    let Some(podman) = Podman::new() else { return };
    let context = podman.place.path().join("root/context");
    let build = ["/bin/ocibake", "build", "/context", "--platform=linux/amd64", "--progress=quiet"];
    let digest =
        Program::new().run(["build", context.to_str().unwrap(), "--platform=linux/amd64", "--isolation=ids"]).digest();
    let doctor = ["/bin/ocibake", "doctor"];
    let ways = [
        ("root", &[][..]),
        ("user", &["--user=1000"][..]),
        ("less", &["--user=1000", "--security-opt=no-new-privileges"][..]),
    ];
    let mut told = String::new();
    for (store, flags) in ways {
        assert_eq!(podman.run(store, flags, &build).digest(), digest, "{store}");
        told += &format!("{store}\n{}", podman.run(store, flags, &doctor).success().stdout);
    }
    insta::assert_snapshot!(told, @r"
    root
    commands can be run here: in namespaces of their own, among the processes that are here, on an overlay of the image
    isolation: ids, in a user namespace with 65537 users and 65537 groups
    user
    commands can be run here: in namespaces of their own, among the processes that are here, on an overlay of the image
    isolation: single-id, in a user namespace with 1 user and 1 group
    not ids: /etc/subuid gives 1000 no subordinate user ids
      to change that: give some: `sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 1000`, where no other line has them; or run it as root, with the capability CAP_SYS_ADMIN
    less
    commands can be run here: in namespaces of their own, among the processes that are here, on an overlay of the image
    isolation: single-id, in a user namespace with 1 user and 1 group
    not ids: /etc/subuid gives 1000 no subordinate user ids
      to change that: give some: `sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 1000`, where no other line has them; or run it as root, with the capability CAP_SYS_ADMIN
    ");
    // Without the right to a chroot there is no supervisor, which the probe finds out.
    let outcome = podman.run("none", &["--user=1000", "--cap-drop=all"], &doctor).failure(1);
    outcome.says(&["single-id: cannot supervise the command", "CAP_SYS_CHROOT"]);
    let words = format!("{STEPS}USER root\n{AMONG}");
    fs::write(context.join("Dockerfile"), words).unwrap();
    for (store, flags) in ways {
        podman.run(store, flags, &build).success();
    }
}

/// Hides a part of `/proc`, so that no other one can be mounted in a user namespace.
const MASKED: [&str; 5] = ["unshare", "--mount", "sh", "-ec", "mount --bind /dev/null /proc/keys; exec \"$0\" \"$@\""];

#[test]
fn among_other_processes_all_ends_with_the_command_and_with_the_program() {
    if !require_root() || !["busybox", "unshare"].into_iter().all(require) {
        return;
    }
    let context = Tree::new().plant();
    install("/bin/busybox".as_ref(), &context.path().join("busybox"));
    let mark = format!("among{}", std::process::id());
    let sleeps = format!("(setsid sh -c 'sleep 1000; : {mark}' &); (trap '' TERM HUP; sleep 1000; : {mark}) &");
    let program = Program::new();
    let starter = [&MASKED[..], &ONE_ID].concat();
    let build = |step: &str| {
        let base = STEPS.split_inclusive('\n').take(3).collect::<String>();
        fs::write(context.path().join("Dockerfile"), format!("{base}RUN {step}\n")).unwrap();
        let words = ["build", context.path().to_str().unwrap(), "--platform=linux/amd64", "--progress=plain"];
        program.command_under(&starter, words)
    };
    let told = Outcome::of(&mut program.command_under(&starter, ["doctor"])).success().stdout;
    assert!(told.contains("among the processes that are here"), "{told}");
    let outcome = Outcome::of(&mut build(&format!("{sleeps} echo done"))).success();
    assert!(outcome.stderr.contains(" done\n"), "{}", outcome.stderr);
    assert!(!stays(&mark));
    for signal in [Signal::KILL, Signal::TERM] {
        let step = format!("{sleeps} touch /begun; sleep 1000; : {mark}");
        let mut started = build(&step).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let begun = || {
            run("sh", ["-c", "find \"$1\" -name begun 2> /dev/null || true", "sh", program.store().to_str().unwrap()])
        };
        while begun().is_empty() {
            assert!(started.try_wait().unwrap().is_none());
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        kill_process(Pid::from_child(&started), signal).unwrap();
        started.wait().unwrap();
        assert!(!stays(&mark), "{signal:?}");
        assert!(!fs::read_to_string("/proc/self/mounts").unwrap().contains(program.store().to_str().unwrap()));
        Outcome::of(&mut program.command_under(&starter, ["cache", "prune", "--all"])).success();
    }
    Outcome::of(&mut build("test -d /proc/$$")).success();
}

#[test]
fn ordinary_users_make_the_same_image_among_other_processes() {
    let steps = "RUN touch /x && chown 7:8 /x && test -d /proc/$$ && kill -9 -1; ln -s x /l && chown -h 5 /l\n";
    let Some(bakery) = Bakery::with(Tree::new(), steps) else { return };
    let digest = bakery.by_root(&[]).digest();
    let ways = &MASKED[2..];
    for (user, isolation) in [(BAKER, "ids"), (POOR, "single-id")] {
        bakery.give_to(user);
        assert_eq!(bakery.by(user, ways, &bakery.build(&["--no-cache"])).digest(), digest, "{isolation}");
        let told = bakery.by(user, ways, &["doctor"]).success().stdout;
        assert!(told.contains(", among the processes that are here") && told.contains(isolation), "{told}");
        bakery.by(user, &[], &["cache", "prune", "--all"]).success();
    }
    let insecure = "# syntax=docker/dockerfile:1-labs\nFROM scratch\nCOPY busybox /\nRUN --security=insecure [\"/busybox\", \"true\"]\n";
    fs::write(bakery.context.path().join("Dockerfile"), insecure).unwrap();
    let outcome = bakery.by(POOR, ways, &bakery.build(&["--allow=security.insecure"])).failure(1);
    outcome.says(&[
        "a command without restrictions cannot be run among other processes",
        "a /proc of which nothing is hidden",
    ]);
}

/// What AppArmor refuses where it lets users make namespaces by named programs alone: to the program it looks like this.
const APPARMOR: &str = r#"
place=$0
mount --rbind / "$place"
mount -t tmpfs tmpfs "$place/proc/sys"
mkdir "$place/proc/sys/kernel"
echo 1 > "$place/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
exec chroot "$place" "$@"
"#;

#[test]
fn where_apparmor_refuses_namespaces_its_setting_is_named() {
    let Some(bakery) = Bakery::with(Tree::new(), "") else { return };
    let place = tempfile::tempdir().unwrap();
    let ways = ["sh", "-ec", APPARMOR, place.path().to_str().unwrap()];
    let outcome = bakery.by(BAKER, &ways, &bakery.build(&[])).failure(1);
    outcome.says(&[
        "single-id: cannot make a user namespace: Operation not permitted",
        "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0",
        "`userns,`",
    ]);
}
