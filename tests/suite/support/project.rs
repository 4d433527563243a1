//! A checkout of somebody's project on a machine on which `docker` is the program under test, with what stands for Docker Hub and
//! with a registry to push to.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::docker_registry::DockerRegistry;
use super::fake_registry;
use super::program::{NOBODY, Outcome, Program, binary};
use super::tool::{self, checked, require, require_root, skip};

/// Who runs a project.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Who {
    Root,
    Ordinary,
}

/// A checkout of a project, on a machine on which `docker` is the program.
pub struct Project {
    pub program: Program,
    who: Who,
    /// What a mirror setting sends docker.io to: it has the bases.
    _hub: DockerRegistry,
    pub registry: DockerRegistry,
    /// User and password of the registry, if it wants some.
    credentials: Option<(&'static str, &'static str)>,
    checkout: TempDir,
    /// What its commands are run by.
    wrapper: Vec<String>,
}

/// Runs a command in a user namespace of all ids for which the kernel starts programs of arm64 by qemu; those of the machine
/// itself stay as they are.
const EMULATED: &str = r#"
place=$(mktemp -d)
mkfifo "$place/mapped"
unshare --user --mount sh -ec '
    read -r _ < "$0/mapped"
    mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
    magic="\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
    mask="\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
    printf "%s" ":qemu-aarch64:M::$magic:$mask:$(command -v qemu-aarch64-static):POCF" > /proc/sys/fs/binfmt_misc/register
    exec "$@"' "$place" "$@" &
until [ "$(readlink /proc/$!/ns/user)" != "$(readlink /proc/self/ns/user)" ]; do
    sleep 0.02
done
echo 0 0 4294967295 > /proc/$!/uid_map
echo 0 0 4294967295 > /proc/$!/gid_map
echo > "$place/mapped"
status=0
wait $! || status=$?
rm -r "$place"
exit $status
"#;

/// What runs the command that follows as [`EMULATED`] says.
pub fn emulated() -> [&'static str; 4] {
    ["sh", "-ec", EMULATED, "sh"]
}

/// Whether an emulator can be registered for a namespace alone. Without it the test is to return at once.
pub fn require_namespaced_emulators() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|number| number.parse::<u32>().ok());
    let version = (numbers.next().unwrap(), numbers.next().unwrap());
    (version >= (6, 7) || skip("the kernel is older than 6.7")) && require("qemu-aarch64-static")
}

impl Project {
    /// A copy of the checkout at `from`. What asks docker.io asks `hub`. None where it cannot be tried.
    pub fn new(from: &Path, who: Who, hub: impl FnOnce() -> DockerRegistry) -> Option<Self> {
        Self::with(from, who, hub, None)
    }

    /// One whose registry lets in this user alone.
    pub fn with_user(
        from: &Path,
        who: Who,
        hub: impl FnOnce() -> DockerRegistry,
        user: &'static str,
        password: &'static str,
    ) -> Option<Self> {
        require("htpasswd").then(|| Self::with(from, who, hub, Some((user, password))))?
    }

    fn with(
        from: &Path,
        who: Who,
        hub: impl FnOnce() -> DockerRegistry,
        credentials: Option<(&'static str, &'static str)>,
    ) -> Option<Self> {
        let tools = ["bash", "busybox", "docker-registry", "git", "setpriv", "skopeo"];
        if !require_root() || !tools.into_iter().all(require) {
            return None;
        }
        let hub = hub();
        let registry = match credentials {
            Some((user, password)) => DockerRegistry::with_user(user, password),
            None => DockerRegistry::open(),
        };
        let program = match who {
            Who::Root => Program::new(),
            Who::Ordinary => Program::new().user(NOBODY),
        };
        let mirror =
            format!("[[registry]]\nlocation = 'docker.io'\n[[registry.mirror]]\nlocation = '{}'\n", hub.address());
        fs::write(program.home().join(".config/containers/registries.conf"), mirror).unwrap();
        let project =
            Project { checkout: checkout(from), program, who, _hub: hub, registry, credentials, wrapper: Vec::new() };
        project.link();
        if who == Who::Ordinary {
            tool::run("chown", ["-R", &NOBODY.to_string(), project.path().to_str().unwrap()]);
        }
        Some(project)
    }

    /// On a machine that runs programs of arm64, too: see [`require_namespaced_emulators`].
    pub fn emulated(mut self) -> Self {
        self.wrapper = emulated().map(str::to_owned).to_vec();
        self
    }

    /// Puts the program under docker's names, where the `PATH` begins.
    fn link(&self) {
        fs::create_dir(self.links()).unwrap();
        let program = match self.who {
            Who::Root => binary(),
            Who::Ordinary => self.program.home().join("ocibake"),
        };
        for name in ["docker", "docker-compose", "docker-buildx", "ocibake"] {
            symlink(&program, self.links().join(name)).unwrap();
        }
    }

    fn links(&self) -> PathBuf {
        self.program.home().join("bin")
    }

    /// The checkout.
    pub fn path(&self) -> &Path {
        self.checkout.path()
    }

    /// Makes a repository of the checkout, whose one commit has a tag.
    pub fn commit(&self, tag: &str) {
        let identity = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.com"];
        for words in
            [&["init", "-q", "-b", "main"][..], &["add", "."], &["commit", "-q", "-m", "All of it"], &["tag", tag]]
        {
            let mut command = self.command(&[&["git"], &identity[..], words].concat(), &[]);
            command.env("GIT_AUTHOR_DATE", "2024-05-06T07:08:09Z").env("GIT_COMMITTER_DATE", "2024-05-06T07:08:09Z");
            checked(&mut command);
        }
    }

    /// What runs `words` in the checkout, with these variables beside `PATH`, `HOME` and what the program needs to know of the
    /// test.
    pub fn command(&self, words: &[&str], environment: &[(&str, &str)]) -> Command {
        let id = NOBODY.to_string();
        let user = match self.who {
            Who::Root => Vec::new(),
            Who::Ordinary => vec!["setpriv", "--reuid", &id, "--regid", &id, "--clear-groups"],
        };
        let words = [self.wrapper.iter().map(String::as_str).collect(), user, words.to_vec()].concat();
        let mut command = Command::new(words[0]);
        let given = self.program.command(["--version"]);
        let variables = given.get_envs().filter_map(|(name, value)| Some((name, value?)));
        command.args(&words[1..]).current_dir(self.path()).env_clear().envs(variables);
        let path = format!("{}:{}", self.links().display(), std::env::var("PATH").unwrap());
        command.env("PATH", path).envs(environment.iter().copied());
        command
    }

    pub fn run(&self, words: &[&str], environment: &[(&str, &str)]) -> Outcome {
        Outcome::of(&mut self.command(words, environment))
    }

    /// The name of something in the registry.
    pub fn name(&self, path: &str) -> String {
        format!("{}/{path}", self.registry.address())
    }

    fn skopeo(&self, words: &[&str]) -> String {
        let (verb, rest) = words.split_first().unwrap();
        let credentials = self.credentials.map(|(user, password)| format!("--creds={user}:{password}"));
        let flags = ["--tls-verify=false"].into_iter().chain(credentials.as_deref());
        checked(Command::new("skopeo").arg(verb).args(flags).args(rest))
    }

    /// Brings what the registry has under a name, for all platforms, and returns how skopeo names what there is then.
    pub fn fetch(&self, path: &str, place: &Path) -> String {
        let layout = format!("oci:{}:it", place.join("fetched").display());
        let credentials = self.credentials.map(|(user, password)| format!("--src-creds={user}:{password}"));
        let flags = ["copy", "--all", "--quiet", "--insecure-policy", "--src-tls-verify=false"];
        let source = format!("docker://{}", self.name(path));
        tool::run("skopeo", flags.into_iter().chain(credentials.as_deref()).chain([source.as_str(), &layout]));
        layout
    }

    /// The digest of what the registry has under a name.
    pub fn digest(&self, path: &str) -> String {
        fake_registry::digest(self.raw(path).as_bytes())
    }

    /// The manifest or index.
    pub fn raw(&self, path: &str) -> String {
        self.skopeo(&["inspect", "--raw", &format!("docker://{}", self.name(path))])
    }

    /// The config of the image for a platform.
    pub fn config(&self, path: &str, architecture: &str) -> Value {
        let arch = format!("--override-arch={architecture}");
        let name = format!("docker://{}", self.name(path));
        let credentials = self.credentials.map(|(user, password)| format!("--creds={user}:{password}"));
        let mut command = Command::new("skopeo");
        command
            .args(["--override-os=linux", &arch, "inspect", "--config", "--raw", "--tls-verify=false"])
            .args(credentials);
        serde_json::from_str(&checked(command.arg(name))).unwrap()
    }

    /// The tags of a repository, sorted.
    pub fn tags(&self, repository: &str) -> Vec<String> {
        let told: Value =
            serde_json::from_str(&self.skopeo(&["list-tags", &format!("docker://{}", self.name(repository))])).unwrap();
        let mut tags: Vec<String> =
            told["Tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap().to_owned()).collect();
        tags.sort();
        tags
    }

    /// The platforms of an index, in its order.
    pub fn platforms(&self, path: &str) -> Vec<String> {
        let index: Value = serde_json::from_str(&self.raw(path)).unwrap();
        let of = |listed: &Value| {
            let part = |name: &str| listed["platform"][name].as_str().unwrap_or_default().to_owned();
            let variant = Some(part("variant")).filter(|variant| !variant.is_empty());
            [Some(part("os")), Some(part("architecture")), variant].into_iter().flatten().collect::<Vec<_>>().join("/")
        };
        index["manifests"].as_array().expect("it is an index").iter().map(of).collect()
    }

    /// Runs the project again, which does nothing that was done before.
    #[track_caller]
    pub fn run_again(&self, words: &[&str], environment: &[(&str, &str)]) -> Outcome {
        let outcome = self.run(words, environment).success();
        did_nothing(&outcome);
        outcome
    }
}

/// No command of an image was run, and nothing was sent.
#[track_caller]
pub fn did_nothing(outcome: &Outcome) {
    let done = [commands(outcome), sent(outcome)].concat();
    assert!(done.is_empty(), "{done:#?} in {}", outcome.stderr);
}

/// What was said of each command of an image that was run.
pub fn commands(outcome: &Outcome) -> Vec<&str> {
    told(outcome, " took ")
}

/// What was said of each blob that was sent.
pub fn sent(outcome: &Outcome) -> Vec<&str> {
    told(outcome, ": sent ")
}

fn told<'a>(outcome: &'a Outcome, words: &str) -> Vec<&'a str> {
    let lines = outcome.stderr.lines().filter(|line| !line.starts_with('+'));
    lines.filter(|line| line.contains(words)).collect()
}

/// A copy of a directory, which others may read.
pub fn checkout(from: &Path) -> TempDir {
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    tool::run("cp", ["-R", from.join(".").to_str().unwrap(), place.path().to_str().unwrap()]);
    place
}
