//! Dockerfiles on every rung that is had by root: on overlays, on copies, and in a chroot. The images are the same.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::kills::stays;
use crate::support::program::{Outcome, Program};
use crate::support::tool::{install, require, require_root, run};
use crate::support::traces::{assert_blobs_hold, assert_records_hold, assert_store_is_sound};
use crate::support::tree::Tree;

/// Takes the right to mount, and with it the namespaces.
const WITHOUT_MOUNTS: [&str; 5] = ["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"];

const BUSYBOX: &str = "FROM scratch AS busybox\nCOPY busybox /bin/busybox\n\
                       RUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\nFROM busybox\n";

/// A place whose file system is an overlay, as a container's is.
struct OnOverlay {
    place: TempDir,
}

impl OnOverlay {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        for name in ["lower", "upper", "work", "merged"] {
            fs::create_dir(place.path().join(name)).unwrap();
        }
        let at = |name: &str| place.path().join(name).display().to_string();
        let options = format!("lowerdir={},upperdir={},workdir={}", at("lower"), at("upper"), at("work"));
        run("mount", ["-t", "overlay", "-o", &options, "overlay", &at("merged")]);
        OnOverlay { place }
    }

    fn path(&self) -> std::path::PathBuf {
        self.place.path().join("merged")
    }
}

impl Drop for OnOverlay {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}

/// Builds `steps` on overlays, on copies, in a chroot, and in a chroot whose store is on an overlay; all have to come out the
/// same.
#[track_caller]
fn assert_same(tree: Tree, steps: &str, flags: &[&str]) {
    if !require_root() || !require("busybox") || !require("setpriv") {
        return;
    }
    let busybox = fs::read(run("sh", ["-c", "command -v busybox"]).trim()).unwrap();
    let context = tree.file("busybox", busybox).mode(0o755).plant();
    fs::write(context.path().join("Dockerfile"), format!("{BUSYBOX}{steps}")).unwrap();
    let arguments = [&["build", context.path().to_str().unwrap(), "--platform=linux/amd64"], flags].concat();
    let built = |program: &Program, starter: &[&str]| {
        let isolation = if starter.is_empty() { "--isolation=ids" } else { "--isolation=chroot" };
        let arguments = [arguments.as_slice(), &[isolation]].concat();
        let digest = Outcome::of(&mut program.command_under(starter, &arguments)).digest();
        // Nothing is taken from what was remembered, and the same comes out.
        let again = [arguments.as_slice(), &["--no-cache"]].concat();
        assert_eq!(Outcome::of(&mut program.command_under(starter, again)).digest(), digest);
        digest
    };
    let program = Program::new();
    let digest = built(&program, &[]);
    let (one, other) = (OnOverlay::new(), OnOverlay::new());
    let copies = Program::new().environment("OCIBAKE_STORE", one.path());
    assert_eq!(built(&copies, &[]), digest, "on copies");
    // Whatever the umask is.
    let chroot = Program::new().umask(0o077);
    assert_eq!(built(&chroot, &WITHOUT_MOUNTS), digest, "in a chroot");
    let both = Program::new().environment("OCIBAKE_STORE", other.path());
    assert_eq!(built(&both, &WITHOUT_MOUNTS), digest, "in a chroot, with a store on an overlay");
    assert_store_is_sound(&chroot.store());
}

#[test]
fn what_commands_change_is_the_same() {
    let tree = Tree::new().file("files/kept", "kept").file("files/gone", "").file("files/changed", "old");
    let steps = "COPY files /files/\n\
                 RUN rm /files/gone && echo new > /files/changed && mkdir -m 700 /files/made && ln -s kept /files/link \
                 && ln /files/kept /files/hard && chown 7:8 /files/kept && mkfifo /files/fifo\n\
                 RUN rm -r /files/made && mkdir /files/made && chmod 750 /files && echo x >> /files/hard\n\
                 COPY files/kept /files/made/new\n\
                 RUN mv /files/made /files/moved && rm -r /files/link && mkdir -p /files/link/deep && touch /files/moved/new\n\
                 USER 1000:7\nWORKDIR /home/app\nRUN id > /tmp-id 2>/dev/null || echo refused; pwd\n\
                 USER root\nRUN chown -R 1000 /files && chmod -R go-rwx /files\n";
    assert_same(tree, steps, &[]);
}

#[test]
fn what_is_no_change_is_none() {
    // A file that is opened to be written to, rewritten as it was, or given the mode that it has.
    let steps = "COPY a b c /\nRUN : >> /a && chmod 644 /b && touch -r /c /r && echo -n 3 > /c && touch -r /r /c && rm /r \
                 && mkdir /d && rmdir /d\nRUN rm /a && cp /b /a && echo 1 > /new\n";
    assert_same(Tree::new().file("a", "1").file("b", "2").file("c", "3"), steps, &[]);
}

#[test]
fn the_same_size_and_time_and_attributes_alone_are_found() {
    // `setfattr` is none of busybox' programs, and a mode shows the same.
    let steps = "COPY a b /\nRUN touch -r /a /r && echo -n 2 > /a && touch -r /r /a && rm /r\n\
                 RUN chmod 600 /b\nRUN chown 5:6 /a\n";
    assert_same(Tree::new().file("a", "1").file("b", "1"), steps, &[]);
}

#[test]
fn files_that_are_provided_are_left_out_or_are_the_images() {
    let steps = "RUN mkdir -p /etc && echo of the image > /etc/hosts.new && mv /etc/hosts.new /etc/hosts\n\
                 RUN grep localhost /etc/hosts && ls /etc\nRUN rm /etc/resolv.conf && ln -s ../run/x /etc/resolv.conf\n\
                 RUN test -f /etc/resolv.conf && echo 1.2.3.4 me >> /etc/hosts\nRUN echo > /other\n";
    assert_same(Tree::new(), steps, &[]);
}

#[test]
fn mounts_leave_the_same() {
    let tree = Tree::new().file("lib/a", "library").file("token", "s3cret");
    let steps = "RUN --mount=type=bind,source=lib,target=/lib --mount=type=tmpfs,target=/scratch \
                 --mount=type=secret,id=token --mount=type=cache,target=/cache \
                 cat /lib/a > /told && wc -c < /run/secrets/token >> /told && echo > /cache/kept && echo > /scratch/x\n\
                 RUN --mount=type=cache,target=/cache ls /cache > /told2\n\
                 RUN --mount=type=bind,source=lib,target=/lib,rw echo changed > /lib/a\n\
                 RUN <<EOF\n#!/bin/sh\necho script > /script\nEOF\n\
                 RUN --network=none echo > /last\n";
    let secret = tempfile::NamedTempFile::new().unwrap();
    fs::write(secret.path(), "s3cret").unwrap();
    assert_same(tree, steps, &["--secret", &format!("id=token,src={}", secret.path().display())]);
}

#[test]
fn stages_that_branch_have_roots_of_their_own() {
    let steps = "RUN echo base > /base\nFROM busybox AS one\nRUN echo 1 > /own && rm /bin/vi\nRUN echo 11 >> /own\n\
                 FROM one AS two\nRUN echo 2 >> /own\nFROM one AS three\nRUN echo 3 >> /own && rm /bin/wc\n\
                 FROM one\nCOPY --from=two /own /two\nCOPY --from=three /own /three\nRUN cat /own /two /three > /all && ls /bin > /list\n";
    assert_same(Tree::new(), steps, &[]);
}

#[test]
fn two_stages_take_turns_with_a_cache_in_a_chroot() {
    if !require_root() || !require("busybox") || !require("setpriv") {
        return;
    }
    let context = Tree::new().plant();
    install("/bin/busybox".as_ref(), &context.path().join("busybox"));
    let stage = |name: &str, first: &str, second: &str| {
        let mount = |id: &str| format!("--mount=type=cache,id={id},target=/{id}");
        format!(
            "FROM busybox AS {name}\nRUN {} {} for i in 1 2 3 4 5; do n=$(cat /x/n || echo 0); sleep 0.02; echo $((n + 1)) > /x/n; done; \
             cp /x/n /{name}\n",
            mount(first),
            mount(second)
        )
    };
    let base = BUSYBOX.trim_end_matches("FROM busybox\n");
    let stages = [stage("one", "x", "y"), stage("two", "y", "x")].concat();
    let last = "FROM busybox\nCOPY --from=one /one /\nCOPY --from=two /two /\n";
    fs::write(context.path().join("Dockerfile"), format!("{base}{stages}{last}")).unwrap();
    let program = Program::new();
    let root = context.path().join("root");
    let output = format!("type=local,dest={}", root.display());
    let context_path = context.path().to_str().unwrap();
    let flags = ["--platform=linux/amd64", "--isolation=chroot", "--jobs=2", "-o", &output];
    let arguments = [&["build", context_path][..], &flags].concat();
    Outcome::of(&mut program.command_under(&WITHOUT_MOUNTS, &arguments)).success();
    let mut told = ["one", "two"].map(|name| fs::read_to_string(root.join(name)).unwrap().trim().to_owned());
    told.sort();
    assert_eq!(told, ["10", "5"]);
    let twice = format!("{BUSYBOX}RUN --mount=type=cache,id=x,target=/x --mount=type=cache,id=x,target=/y true\n");
    fs::write(context.path().join("Dockerfile"), twice).unwrap();
    let outcome = Outcome::of(&mut program.command_under(&WITHOUT_MOUNTS, arguments)).failure(1);
    outcome.says(&["the cache `x` is mounted twice for one command"]);
}

#[test]
fn kills_at_any_moment_leave_no_process_a_whole_cache_and_a_store_that_works() {
    if !require_root() || !require("busybox") || !require("setpriv") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let mark = format!("chrooted{}", std::process::id());
    install("/bin/busybox".as_ref(), &place.path().join("busybox"));
    let dockerfile = format!(
        "{BUSYBOX}ARG N=0\n\
         RUN --mount=type=cache,target=/cache test -e /cache/1 || for i in 1 2 3 4 5; do echo $i > /cache/$i; done\n\
         RUN --mount=type=cache,target=/cache mkdir -m 0 /closed && {{ setsid sh -c 'sleep 1000; {mark}' & }} && \
         cat /cache/* > /f && for i in 1 2 3 4 5 6; do echo $N > /cache/new; sleep 0.02; done\n\
         RUN cat /f > /g && rm -r /closed && rm /f\n"
    );
    fs::write(place.path().join("Dockerfile"), dockerfile).unwrap();
    let program = Program::new();
    let build = |number: usize| {
        let number = format!("--build-arg=N={number}");
        let flags = ["--platform=linux/amd64", "--isolation=chroot", "--no-stat-cache", &number];
        program.command_under(&WITHOUT_MOUNTS, [&["build", place.path().to_str().unwrap()][..], &flags].concat())
    };
    Outcome::of(&mut build(0)).success();
    let mut killed = 0;
    for number in 1..24 {
        let mut started = build(number).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        sleep(Duration::from_millis(25) * number as u32);
        let _ = kill_process(Pid::from_child(&started), if number % 2 == 0 { Signal::KILL } else { Signal::TERM });
        killed += usize::from(!started.wait().unwrap().success());
        assert!(!stays(&mark), "after {number}");
        assert_blobs_hold(&program.store());
        assert_records_hold(&program.store());
        let caches = fs::read_dir(program.store().join("caches")).unwrap().flatten();
        for cache in caches.map(|cache| cache.path().join("content")) {
            let all = ["1", "2", "3", "4", "5"].map(|name| fs::read_to_string(cache.join(name)).unwrap_or_default());
            assert_eq!(all, ["1\n", "2\n", "3\n", "4\n", "5\n"], "after {number}");
        }
    }
    assert!(killed >= 5, "{killed}");
    Outcome::of(&mut build(99)).success();
    // Nothing is left that cannot be removed.
    fs::remove_dir_all(program.store()).unwrap();
}

/// As docker starts a container by default: its capabilities, its filter of system calls, its device rules as far as cgroups
/// are there, and what is masked in `/proc`.
#[test]
fn in_a_container_as_docker_starts_it_the_image_is_the_same() {
    let steps = "RUN mkdir /made && echo x > /made/x && chown 7:8 /made && ln -s x /made/link\n\
                 RUN --mount=type=cache,target=/cache echo > /cache/x && rm /made/x && id > /made/id && ls /dev > /made/dev\n";
    let Some(container) = Docker::new(steps) else { return };
    let digest = Program::new()
        .run(["build", container.root().join("context").to_str().unwrap(), "--platform=linux/amd64"])
        .digest();
    assert_eq!(container.run("exec ocibake build /context --platform=linux/amd64").digest(), digest);
}

/// A container as docker starts it, with the program and a context in it.
pub(super) struct Docker {
    place: TempDir,
    /// Capabilities that it lacks beside those that docker takes.
    pub(super) lacks: &'static [&'static str],
    /// How `/proc` is mounted.
    pub(super) options: &'static [&'static str],
}

impl Docker {
    /// None where there is no runtime or no profile: the test is to return at once.
    pub(super) fn new(steps: &str) -> Option<Docker> {
        if !require_root() || !["busybox", "runc", "setpriv", "unshare"].into_iter().all(require) {
            return None;
        }
        if !Path::new(PROFILE).exists() {
            crate::support::tool::skip("there is no profile of containers' system calls");
            return None;
        }
        let docker = Docker { place: tempfile::tempdir().unwrap(), lacks: &[], options: &[] };
        for name in ["bin", "proc", "dev", "sys", "tmp", "context", "home", "etc", "lib", "lib64", "usr"] {
            fs::create_dir_all(docker.root().join(name)).unwrap();
        }
        install("/bin/busybox".as_ref(), &docker.root().join("context/busybox"));
        install(env!("CARGO_BIN_EXE_ocibake").as_ref(), &docker.root().join("bin/ocibake"));
        fs::write(docker.root().join("context/Dockerfile"), format!("{BUSYBOX}{steps}")).unwrap();
        Some(docker)
    }

    pub(super) fn root(&self) -> std::path::PathBuf {
        self.place.path().join("rootfs")
    }

    pub(super) fn run(&self, script: &str) -> Outcome {
        let config = config(&fs::read_to_string(PROFILE).unwrap(), script, self.lacks, self.options);
        fs::write(self.place.path().join("config.json"), config).unwrap();
        let name =
            format!("ocibake-{}", self.place.path().file_name().unwrap().to_str().unwrap().trim_start_matches('.'));
        let state = self.place.path().join("state");
        let mut command = Command::new("runc");
        command.arg("--root").arg(&state).args(["run", "--bundle"]).arg(self.place.path()).arg(&name);
        let outcome = Outcome::of(&mut command);
        let _ = Command::new("runc").arg("--root").arg(&state).args(["delete", "--force", &name]).output();
        outcome
    }
}

const PROFILE: &str = "/usr/share/containers/seccomp.json";

/// The runtime's config of a container that runs a script. What the program needs of this machine is mounted.
fn config(profile: &str, script: &str, lacks: &[&str], options: &[&str]) -> String {
    let capabilities: Vec<String> = [
        "CHOWN",
        "DAC_OVERRIDE",
        "FSETID",
        "FOWNER",
        "MKNOD",
        "NET_RAW",
        "SETGID",
        "SETUID",
        "SETFCAP",
        "SETPCAP",
        "NET_BIND_SERVICE",
        "SYS_CHROOT",
        "KILL",
        "AUDIT_WRITE",
    ]
    .iter()
    .filter(|name| !lacks.contains(name))
    .map(|name| format!("CAP_{name}"))
    .collect();
    let options = [&["nosuid", "noexec", "nodev"], options].concat();
    let system = ["/usr", "/lib", "/lib64"].map(
        |path| serde_json::json!({"destination": path, "type": "bind", "source": path, "options": ["rbind", "ro"]}),
    );
    let mut mounts = vec![
        serde_json::json!({"destination": "/proc", "type": "proc", "source": "proc", "options": options}),
        serde_json::json!({"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]}),
        serde_json::json!({"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]}),
    ];
    mounts.extend(system);
    serde_json::json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": {"uid": 0, "gid": 0},
            "args": ["sh", "-c", script],
            "env": ["PATH=/usr/bin:/bin", "HOME=/home", "OCIBAKE_STORE=/home/store"],
            "cwd": "/",
            "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
            "noNewPrivileges": false
        },
        "root": {"path": "rootfs", "readonly": false},
        "hostname": "container",
        "mounts": mounts,
        "linux": {
            "namespaces": [{"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}],
            "resources": {"devices": [{"allow": false, "access": "rwm"}]},
            "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
            "seccomp": seccomp(profile)
        }
    })
    .to_string()
}

/// What the profile of containers/common allows and docker's does not.
const NOT_DOCKERS: [&str; 18] = [
    "add_key",
    "clone",
    "clone3",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "keyctl",
    "mount",
    "mount_setattr",
    "move_mount",
    "open_tree",
    "pivot_root",
    "request_key",
    "setns",
    "umount",
    "umount2",
    "unshare",
];

/// Returns docker's profile in the runtime's words: that of containers/common, as far as it is for a container without further
/// capabilities, without what docker refuses.
fn seccomp(profile: &str) -> serde_json::Value {
    let mut profile: serde_json::Value = serde_json::from_str(profile).unwrap();
    let rules = profile["syscalls"].as_array().unwrap().iter().filter(|rule| {
        let empty = |part: &str| rule[part]["caps"].as_array().is_none_or(Vec::is_empty);
        let has = |part: &str, word: &str| rule[part]["caps"].as_array().into_iter().flatten().any(|cap| cap == word);
        let included =
            empty("includes") || ["CAP_SYS_CHROOT", "CAP_AUDIT_WRITE"].iter().any(|cap| has("includes", cap));
        let arches = rule["includes"]["arches"]
            .as_array()
            .is_none_or(|all| all.iter().any(|arch| arch == "amd64" || arch == "x32"));
        included && arches && !["CAP_SYS_CHROOT", "CAP_AUDIT_WRITE"].iter().any(|cap| has("excludes", cap))
    });
    let rules: Vec<serde_json::Value> = rules
        .map(|rule| {
            let mut rule = rule.clone();
            let fields = rule.as_object_mut().unwrap();
            ["includes", "excludes", "comment", "errno"].iter().for_each(|name| drop(fields.remove(*name)));
            if fields.get("args").is_some_and(|args| args.is_null()) {
                fields.remove("args");
            }
            let names = fields["names"].as_array_mut().unwrap();
            names.retain(|name| !NOT_DOCKERS.contains(&name.as_str().unwrap()));
            rule
        })
        .filter(|rule| !rule["names"].as_array().unwrap().is_empty())
        .chain([
            serde_json::json!({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}),
            // None of the flags that make namespaces.
            serde_json::json!({
                "names": ["clone"],
                "action": "SCMP_ACT_ALLOW",
                "args": [{"index": 0, "value": 0x7e02_0000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]
            }),
        ])
        .collect();
    let fields = profile.as_object_mut().unwrap();
    fields.retain(|name, _| name == "defaultAction" || name == "defaultErrnoRet");
    fields.insert("syscalls".into(), rules.into());
    fields.insert("architectures".into(), serde_json::json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]));
    profile
}
