//! The program in a container, as docker starts one, and as an ordinary user's podman does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::overlay::OnOverlay;
use super::program::{Outcome, Program, binary};
use super::tool::{install, require, require_root, skip};

const PROFILE: &str = "/usr/share/containers/seccomp.json";

/// A root file system for containers that has the program, and busybox with a Dockerfile in `/context`. It lies on an overlay.
pub struct Contained {
    overlay: OnOverlay,
    bundle: tempfile::TempDir,
}

/// What a container may do.
#[derive(Debug, Clone)]
pub struct Rights {
    pub user: u32,
    /// With docker's filter of system calls, which refuses namespaces; a pod has it only if that is asked for.
    pub is_filtered: bool,
    pub has_capabilities: bool,
    pub may_gain: bool,
    /// A capability of docker's that it goes without.
    pub lacks: Option<&'static str>,
    /// Its `/proc` shows nobody the processes of others.
    pub hides_processes: bool,
}

impl Rights {
    /// What docker gives to `user`.
    pub fn of_docker(user: u32) -> Self {
        Rights { user, is_filtered: true, has_capabilities: true, may_gain: true, lacks: None, hides_processes: false }
    }

    /// The same without the filter.
    pub fn unfiltered(user: u32) -> Self {
        Rights { is_filtered: false, ..Self::of_docker(user) }
    }
}

impl Contained {
    /// None where it cannot be had.
    pub fn new(dockerfile: &str) -> Option<Contained> {
        if !require_root() || !["busybox", "runc"].into_iter().all(require) {
            return None;
        }
        if !Path::new(PROFILE).exists() {
            skip("there is no profile of containers' system calls");
            return None;
        }
        let contained = Contained { overlay: OnOverlay::new(), bundle: tempfile::tempdir().unwrap() };
        let root = contained.root();
        for name in ["bin", "proc", "dev", "sys", "tmp", "context", "home", "etc", "lib", "lib64", "usr"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        install("/bin/busybox".as_ref(), &root.join("context/busybox"));
        install(&binary(), &root.join("bin/ocibake"));
        contained.write(dockerfile);
        Some(contained)
    }

    pub fn root(&self) -> PathBuf {
        self.overlay.path()
    }

    /// Where the local store is.
    pub fn store(&self) -> PathBuf {
        self.root().join("home/store")
    }

    pub fn write(&self, dockerfile: &str) {
        fs::write(self.root().join("context/Dockerfile"), dockerfile).unwrap();
    }

    /// What the program makes of it on this machine, with all that it wants.
    pub fn outside(&self) -> String {
        let context = self.root().join("context");
        Program::new().run(["build", context.to_str().unwrap(), "--platform=linux/amd64", "--isolation=ids"]).digest()
    }

    pub fn build(&self, rights: &Rights, flags: &[&str]) -> Outcome {
        self.run(rights, &[&["ocibake", "build", "/context", "--platform=linux/amd64"], flags].concat())
    }

    /// Runs `words` in a new container, whose store is new.
    pub fn run(&self, rights: &Rights, words: &[&str]) -> Outcome {
        let _ = fs::remove_dir_all(self.store());
        std::os::unix::fs::chown(self.root().join("home"), Some(rights.user), Some(rights.user)).unwrap();
        let profile = rights.is_filtered.then(|| seccomp(&fs::read_to_string(PROFILE).unwrap()));
        let config = config(&self.root(), rights, profile, words).to_string();
        fs::write(self.bundle.path().join("config.json"), config).unwrap();
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("ocibake-contained-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let state = self.bundle.path().join("state");
        let runc = || {
            let mut command = Command::new("runc");
            command.arg("--root").arg(&state);
            command
        };
        let mut outcome = Outcome::of(runc().args(["run", "--bundle"]).arg(self.bundle.path()).arg(&name));
        // The runtime complains about cgroups of this machine.
        let own = |line: &&str| !line.starts_with("time=");
        outcome.stderr = outcome.stderr.lines().filter(own).map(|line| format!("{line}\n")).collect();
        let _ = runc().args(["delete", "--force", &name]).output();
        outcome
    }
}

/// The runtime's config of a container, as docker has it. What the program needs of this machine is mounted.
fn config(root: &Path, rights: &Rights, seccomp: Option<Value>, words: &[&str]) -> Value {
    let capabilities = [
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
    ];
    let has = |name: &str| rights.has_capabilities && rights.lacks != Some(name);
    let bounding: Vec<String> =
        capabilities.iter().filter(|name| has(name)).map(|name| format!("CAP_{name}")).collect();
    let own: &[String] = if rights.user == 0 { &bounding } else { &[] };
    let system = ["/usr", "/lib", "/lib64"]
        .map(|path| json!({"destination": path, "type": "bind", "source": path, "options": ["rbind", "ro"]}));
    let hiding = rights.hides_processes.then_some("hidepid=2");
    let proc: Vec<&str> = ["nosuid", "noexec", "nodev"].into_iter().chain(hiding).collect();
    let mut mounts = vec![
        json!({"destination": "/proc", "type": "proc", "source": "proc", "options": proc}),
        json!({"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]}),
        json!({"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]}),
    ];
    mounts.extend(system);
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": {"uid": rights.user, "gid": rights.user},
            "args": words,
            "env": ["PATH=/usr/bin:/bin", "HOME=/home", "OCIBAKE_STORE=/home/store"],
            "cwd": "/",
            "capabilities": {"bounding": bounding, "effective": own, "permitted": own},
            "noNewPrivileges": !rights.may_gain
        },
        "root": {"path": root, "readonly": false},
        "hostname": "container",
        "mounts": mounts,
        "linux": {
            "namespaces": [{"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}],
            "resources": {"devices": [{"allow": false, "access": "rwm"}]},
            "maskedPaths": [
                "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
                "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware"
            ],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
            "seccomp": seccomp
        }
    })
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
fn seccomp(profile: &str) -> Value {
    let mut profile: Value = serde_json::from_str(profile).unwrap();
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
    let rules: Vec<Value> = rules
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
            json!({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}),
            // None of the flags that make namespaces.
            json!({
                "names": ["clone"],
                "action": "SCMP_ACT_ALLOW",
                "args": [{"index": 0, "value": 0x7e02_0000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]
            }),
        ])
        .collect();
    let fields = profile.as_object_mut().unwrap();
    fields.retain(|name, _| name == "defaultAction");
    fields.insert("defaultErrnoRet".into(), 1.into());
    fields.insert("syscalls".into(), rules.into());
    fields.insert("architectures".into(), json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]));
    profile
}
