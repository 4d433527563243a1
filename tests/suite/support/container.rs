//! Unpacks and runs an image with the tools that others use.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::tool::{self, checked, require, require_root};

/// An image unpacked by umoci for a runtime.
pub struct Bundle {
    directory: PathBuf,
}

/// Runs the image `name` of the archive at `archive` under podman, with these words in place of its command, and returns what it
/// prints. What podman keeps goes into a new directory of `place`.
pub fn run_by_podman(archive: &Path, name: &str, words: &[&str], place: &Path) -> String {
    let at = |name: &str| place.join(format!("podman-{name}")).display().to_string();
    let (root, runroot) = (at("root"), at("run"));
    let mut storage = vec!["--storage-driver=vfs", "--events-backend=none", "--runtime=crun"];
    storage.extend(["--root", &root, "--runroot", &runroot]);
    checked(Command::new("podman").args(&storage).args(["load", "--quiet", "--input"]).arg(archive));
    // What podman sets as limits by itself may be more than what a machine may give.
    let flags =
        ["--rm", "--network=none", "--cgroups=disabled", "--ulimit=nofile=1024:1024", "--ulimit=nproc=4096:4096"];
    let script = format!("{WITHOUT_CGROUPS} && exec podman \"$@\"");
    let own = ["--mount", "sh", "-c", &script, "sh"].into_iter().chain(storage).chain(["run"]);
    tool::run("unshare", own.chain(flags).chain([name]).chain(words.iter().copied()))
}

/// Shows none: a machine that is itself a container may not let us have them, and crun refuses a mixture of both kinds that it
/// only sees.
const WITHOUT_CGROUPS: &str = "mount -t tmpfs tmpfs /sys/fs/cgroup";

const SERVE: &str = r#"
mount -t tmpfs tmpfs /sys/fs/cgroup
bundle=$1 questions=$2 user=$3 directory=$4
shift 4
crun() {
    command crun --root "$bundle/state" --cgroup-manager=disabled "$@"
}
name=ocibake-test-$$
within() {
    crun exec --user "$user" --cwd "$directory" $name "$@"
}
fail() {
    cat "$bundle/log" "$bundle/health" >&2
    exit 1
}
trap 'crun delete --force $name' EXIT
crun run --detach --pid-file "$bundle/pid" --bundle "$bundle" $name > "$bundle/log" 2>&1 < /dev/null || fail
deadline=$(($(date +%s) + 120))
until within "$@" > "$bundle/health" 2>&1; do
    [ $(date +%s) -lt $deadline ] || fail
    sleep 0.1
done
awk '/^Uid:/ { print $2 }' "/proc/$(cat "$bundle/pid")/status"
within /bin/sh -c "$questions"
"#;

/// Whether images can be unpacked and run here.
pub fn require_runtime() -> bool {
    require_root() && ["skopeo", "umoci", "crun", "unshare", "mount"].into_iter().all(require)
}

/// The image as umoci names it.
fn fetch(source: &str, architecture: &str, place: &Path) -> String {
    let layout = format!("{}:it", place.join(format!("{architecture}-layout")).display());
    let platform = ["--override-os", "linux", "--override-arch", architecture];
    let options = ["copy", "--insecure-policy", "--quiet", "--src-tls-verify=false", source];
    checked(Command::new("skopeo").args(platform).args(options).arg(format!("oci:{layout}")));
    layout
}

impl Bundle {
    /// Fetches the image for `linux/architecture` from `source` (as skopeo names it) and unpacks it in a new
    /// directory of `place`.
    pub fn unpack(source: &str, architecture: &str, place: &Path) -> Self {
        let layout = fetch(source, architecture, place);
        let directory = place.join(format!("{architecture}-bundle"));
        checked(Command::new("umoci").args(["unpack", "--image", &layout]).arg(&directory));
        Bundle { directory }
    }

    /// Makes it the bundle of another image of the same layers, fetched to `place` as [`Self::unpack`] does. What was written to
    /// its root file system stays.
    pub fn turn_into(&self, source: &str, architecture: &str, place: &Path) {
        let layout = fetch(source, architecture, place);
        let config = self.directory.join("config.json");
        fs::remove_file(&config).unwrap();
        let root = self.root();
        let words = ["raw", "runtime-config", "--image", &layout, "--rootfs", root.to_str().unwrap()];
        checked(Command::new("umoci").args(words).arg(config));
    }

    pub fn root(&self) -> PathBuf {
        self.directory.join("rootfs")
    }

    /// The process that the image asks for: `args`, `env`, `cwd` and `user` of the runtime-spec's config.
    pub fn process(&self) -> Value {
        self.config()["process"].clone()
    }

    /// Runs the image's process, with `arguments` in place of those that follow the program if there are any, and
    /// returns what it prints.
    pub fn run(&self, arguments: &[&str]) -> String {
        let mut config = self.config();
        config["process"]["terminal"] = false.into();
        if !arguments.is_empty() {
            let program = config["process"]["args"][0].clone();
            config["process"]["args"] =
                std::iter::once(program).chain(arguments.iter().map(|&word| word.into())).collect();
        }
        fs::write(self.directory.join("config.json"), config.to_string()).unwrap();
        let script = format!(
            "{WITHOUT_CGROUPS} && exec crun --root \"$1\" --cgroup-manager=disabled run --bundle \"$2\" \"$3\""
        );
        let state = self.directory.join("state");
        let name = format!("ocibake-test-{}", std::process::id());
        let words = [state.to_str().unwrap(), self.directory.to_str().unwrap(), &name];
        tool::run("unshare", ["--mount", "sh", "-c", &script, "sh"].into_iter().chain(words))
    }

    /// Starts the image's process, waits until `health`, a health check of docker's, succeeds in the container, and returns the
    /// user whose process it is, and what the shell script `questions` prints there. `wrapper` runs all this in a user namespace, if
    /// it is not empty.
    pub fn serve(&self, wrapper: &[&str], health: &Value, questions: &str) -> (u32, String) {
        let test: Vec<&str> = health["Test"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
        let check = match test[0] {
            "CMD-SHELL" => vec!["/bin/sh", "-c", test[1]],
            "CMD" => test[1..].to_vec(),
            other => panic!("{other} is no health check"),
        };
        let mut config = self.config();
        config["process"]["terminal"] = false.into();
        if !wrapper.is_empty() {
            // Devices are to be those of outside: it may not make any.
            let all = serde_json::json!([{"containerID": 0, "hostID": 0, "size": 65536}]);
            let linux = &mut config["linux"];
            linux["namespaces"].as_array_mut().unwrap().push(serde_json::json!({"type": "user"}));
            linux["uidMappings"] = all.clone();
            linux["gidMappings"] = all;
        }
        fs::write(self.directory.join("config.json"), config.to_string()).unwrap();
        // As docker provides it.
        fs::write(self.root().join("etc/hosts"), "127.0.0.1 localhost\n").unwrap();
        let process = &config["process"];
        let user = format!("{}:{}", process["user"]["uid"], process["user"]["gid"]);
        let words = [self.directory.to_str().unwrap(), questions, &user, process["cwd"].as_str().unwrap()];
        let own = ["unshare", "--mount", "sh", "-ec", SERVE, "sh"];
        let all: Vec<&str> = wrapper.iter().copied().chain(own).chain(words).chain(check).collect();
        let said = tool::run(all[0], &all[1..]);
        let (user, rest) = said.split_once('\n').unwrap();
        (user.parse().unwrap(), rest.to_owned())
    }

    fn config(&self) -> Value {
        serde_json::from_slice(&fs::read(self.directory.join("config.json")).unwrap()).unwrap()
    }
}
