//! `--cache-mounts`: what commands of one machine leave in a cache mount, those of another find there.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::step_cache::{Build, Machine};
use crate::support::docker_registry::DockerRegistry;
use crate::support::fake_registry::{FakeRegistry, Reply};
use crate::support::program::Program;
use crate::support::tool::{require, run};

const BASE: &str = "FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\n";

/// Leaves all kinds of files, whose times no clock shows.
const FILL: &str = "mkdir -p /cache/deep/down /cache/open && head -c 300000 /dev/urandom > /cache/large && \
    echo one > /cache/deep/down/one && ln /cache/deep/down/one /cache/deep/two && ln -s ../large /cache/deep/link && \
    mkfifo /cache/pipe && chown 1000:2000 /cache/deep/two && chmod 4750 /cache/large && chmod 1777 /cache/open && \
    chown 7:8 /cache && chmod 2775 /cache";

/// A Dockerfile whose last command is this, with a cache.
pub fn with_cache(script: &str) -> String {
    format!("{BASE}RUN --mount=type=cache,id=work,target=/cache {script}\n")
}

/// The directory that a machine keeps for the only cache that it has.
pub fn kept(machine: &Machine) -> PathBuf {
    kept_in(&machine.program.store())
}

pub fn kept_in(store: &Path) -> PathBuf {
    let mut all: Vec<PathBuf> =
        fs::read_dir(store.join("caches")).unwrap().map(|entry| entry.unwrap().path().join("content")).collect();
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

/// What is in a directory: all that a program could see of it.
pub fn listing(root: &Path) -> BTreeMap<String, String> {
    let (mut all, mut left) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(path) = left.pop() {
        let status = fs::symlink_metadata(&path).unwrap();
        let content = match status.file_type() {
            kind if kind.is_dir() => {
                left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
                "directory".to_owned()
            }
            kind if kind.is_symlink() => format!("link to {:?}", fs::read_link(&path).unwrap()),
            kind if kind.is_fifo() => "pipe".to_owned(),
            _ => format!("{} names, {:?}", status.nlink(), fs::read(&path).unwrap()),
        };
        let (mode, owner) = (status.mode() & 0o7777, (status.uid(), status.gid()));
        let text = format!("{mode:o} {owner:?} {}.{:09} {content}", status.mtime(), status.mtime_nsec());
        all.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), text);
    }
    all
}

pub fn flag(address: &str, rest: &str) -> String {
    format!("--cache-mounts=type=registry,ref={address}/team/mounts{rest}")
}

impl Build {
    /// The events of this kind.
    pub fn events(&self, kind: &str) -> Vec<Value> {
        let events = self.outcome.stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        events.filter(|event| event["event"] == kind).collect()
    }
}

/// A build that comes to its end with these warnings.
#[track_caller]
pub fn build(machine: &Machine, flags: &[&str], warnings: &[&str]) -> Build {
    let build = machine.build(flags);
    assert_eq!(build.outcome.code, Some(0), "{:?}", build.outcome);
    assert_eq!(build.warnings.len(), warnings.len(), "{:?}", build.warnings);
    for (warning, says) in build.warnings.iter().zip(warnings) {
        assert!(warning.contains(says), "{:?}", build.warnings);
    }
    build
}

/// The bytes that were sent since so many requests were made.
fn sent(registry: &FakeRegistry, before: usize) -> usize {
    let requests = registry.requests();
    requests[before..].iter().filter(|request| request.path.contains("/blobs/")).map(|request| request.body.len()).sum()
}

fn writes(registry: &FakeRegistry, before: usize) -> usize {
    registry.requests()[before..].iter().filter(|request| !matches!(&*request.method, "GET" | "HEAD")).count()
}

fn tags(registry: &FakeRegistry) -> Vec<String> {
    let names = registry.manifest_names().into_iter();
    names
        .filter_map(|name| Some(name.strip_prefix("team/mounts/")?.to_owned()))
        .filter(|tag| !tag.contains(':'))
        .collect()
}

#[test]
fn a_machine_begins_with_what_another_has_left_and_sends_nothing_back() {
    if !["docker-registry", "skopeo"].into_iter().all(require) {
        return;
    }
    let Some(first) = Machine::new(&with_cache(FILL)) else { return };
    let registry = DockerRegistry::open();
    let flag = flag(&registry.address(), "");
    let one = build(&first, &[&flag], &[]);
    assert_eq!(one.events("cache-mount-pulled").len(), 0);
    let pushed = one.events("cache-mount-pushed");
    assert_eq!((pushed.len(), &pushed[0]["id"], &pushed[0]["layers"]), (1, &"work".into(), &1.into()));
    assert!(pushed[0]["size"].as_u64().unwrap() > 300_000);
    let left = listing(&kept(&first));
    assert!(left["large"].starts_with("4750 (0, 0)") && left["deep/two"].contains("(1000, 2000)"), "{left:?}");
    assert!(left[""].starts_with("2775 (7, 8)") && left["deep/two"].contains("2 names"), "{left:?}");
    assert!(left.values().any(|text| !text.contains(".000000000 ")), "{left:?}");

    let second = Machine::new(&with_cache("ls /cache > /seen")).unwrap();
    let two = build(&second, &[&flag], &[]);
    assert_eq!(two.ran.len(), 2);
    assert_eq!((two.events("cache-mount-pulled").len(), two.events("cache-mount-pushed").len()), (1, 0));
    assert_eq!(listing(&kept(&second)), left);
    // What is there is an artifact that others read.
    let place = format!("docker://{}/team/mounts", registry.address());
    let listed: Value = serde_json::from_str(&run("skopeo", ["list-tags", "--tls-verify=false", &place])).unwrap();
    let tags: Vec<&str> = listed["Tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap()).collect();
    assert_eq!(tags.len(), 2, "{tags:?}");
    let raw = run("skopeo", ["inspect", "--raw", "--tls-verify=false", &format!("{place}:{}", tags[0])]);
    let manifest: Value = serde_json::from_str(&raw).unwrap();
    assert_eq!(manifest["artifactType"], "application/vnd.dev.ocibake.cache-mount.v1");
    assert_eq!(manifest["annotations"]["org.opencontainers.image.title"], "work");
}

#[test]
fn only_what_has_changed_is_sent_and_nothing_if_nothing_has() {
    let Some(first) = Machine::new(&with_cache(FILL)) else { return };
    let registry = FakeRegistry::new();
    let flag = flag(&registry.address(), ":main");
    build(&first, &[&flag], &[]);
    assert!(sent(&registry, 0) > 300_000);
    assert!(tags(&registry).iter().all(|tag| tag.starts_with("main-mount-")), "{:?}", tags(&registry));

    // The same command once more: all of it is new, for it writes what was there.
    let change = "rm /cache/deep/link && echo more > /cache/deep/down/one && echo new > /cache/new && rm -r /cache/open && \
                  touch /cache/open && rm /cache/pipe && mkdir /cache/pipe && echo in > /cache/pipe/in";
    let second = Machine::new(&with_cache(change)).unwrap();
    let before = registry.requests().len();
    let two = build(&second, &[&flag], &[]);
    let pushed = two.events("cache-mount-pushed");
    assert_eq!((pushed.len(), &pushed[0]["layers"]), (1, &2.into()));
    assert!(sent(&registry, before) < 3000, "{}", sent(&registry, before));

    let third = Machine::new(&with_cache("ls /cache > /seen")).unwrap();
    let before = registry.requests().len();
    build(&third, &[&flag], &[]);
    assert_eq!(listing(&kept(&third)), listing(&kept(&second)));
    assert_eq!(writes(&registry, before), 0);
    // And where it was left, too; what is there is not asked for again.
    fs::write(second.context.path().join("Dockerfile"), with_cache("cat /cache/new > /seen")).unwrap();
    let before = registry.requests().len();
    build(&second, &[&flag], &[]);
    let requests = &registry.requests()[before..];
    assert_eq!((requests.len(), &*requests[0].method), (1, "HEAD"), "{requests:?}");
}

#[test]
fn a_mount_is_written_anew_once_changes_are_many_or_outweigh_it() {
    let Some(machine) = Machine::new(&with_cache("head -c 90000 /dev/urandom > /cache/file")) else { return };
    let registry = FakeRegistry::new();
    let flag = flag(&registry.address(), "");
    let layers = |script: &str| {
        fs::write(machine.context.path().join("Dockerfile"), with_cache(script)).unwrap();
        let pushed = build(&machine, &[&flag], &[]).events("cache-mount-pushed");
        pushed[0]["layers"].as_u64().unwrap()
    };
    build(&machine, &[&flag], &[]);
    let all: Vec<u64> = (0..10).map(|number| layers(&format!("echo {number} > /cache/small"))).collect();
    assert_eq!(all, [2, 3, 4, 5, 6, 7, 8, 9, 1, 2]);
    assert_eq!(layers("head -c 120000 /dev/urandom > /cache/more"), 1);
    let second = Machine::new(&with_cache("ls /cache > /seen")).unwrap();
    build(&second, &[&flag], &[]);
    assert_eq!(listing(&kept(&second)), listing(&kept(&machine)));
}

#[test]
fn what_was_filled_for_the_same_lock_files_is_taken_or_else_what_came_last() {
    let fill = "cat /cache/name > /seen 2>/dev/null || true; cat /own > /cache/name";
    let steps = with_cache(fill).replace("RUN --mount", "COPY own /own\nRUN --mount");
    let Some(first) = Machine::new(&steps) else { return };
    let registry = FakeRegistry::new();
    let flag = flag(&registry.address(), ",key=own,key=source/*");
    // What the command has found, and what it has then pushed.
    let found = |machine: &Machine, own: &str| {
        fs::write(machine.context.path().join("own"), own).unwrap();
        let (root, build) = machine.root(&[&flag]);
        assert_eq!(build.warnings, Vec::<String>::new());
        (fs::read_to_string(root.path().join("seen")).unwrap(), build.events("cache-mount-pushed").len())
    };
    assert_eq!(found(&first, "one"), (String::new(), 1));
    assert_eq!(found(&Machine::new(&steps).unwrap(), "two"), ("one".to_owned(), 1), "that of other lock files");
    assert_eq!(found(&Machine::new(&steps).unwrap(), "three"), ("two".to_owned(), 1), "the last one of these");
    assert_eq!(found(&Machine::new(&steps).unwrap(), "one"), ("one".to_owned(), 1), "that of the same ones");
    assert_eq!(tags(&registry).len(), 4, "one for each, and the last one: {:?}", tags(&registry));

    // Another key for the same content takes a manifest.
    let reading = Machine::new(&with_cache("ls /cache > /seen")).unwrap();
    fs::write(reading.context.path().join("own"), "four").unwrap();
    let before = registry.requests().len();
    let pushed = build(&reading, &[&flag], &[]).events("cache-mount-pushed");
    assert_eq!((pushed.len(), &pushed[0]["size"]), (1, &0.into()));
    let puts: Vec<String> = registry.requests()[before..]
        .iter()
        .filter(|request| !matches!(&*request.method, "GET" | "HEAD"))
        .map(|request| format!("{} {}", request.method, request.path))
        .collect();
    assert!(puts.len() == 2 && puts.iter().all(|put| put.contains("/manifests/mount-")), "{puts:?}");
    assert_eq!(tags(&registry).len(), 5);
}

#[test]
fn lock_files_that_are_not_there_are_named() {
    let Some(machine) = Machine::new(&with_cache("touch /cache/a")) else { return };
    let registry = FakeRegistry::new();
    let flag = flag(&registry.address(), ",key=own,key=go.sum");
    build(&machine, &[&flag], &["no file of the context matches `go.sum`"]);
    // Who has no cache needs none.
    let other = Machine::new(BASE).unwrap();
    build(&other, &[&flag], &[]);
}

#[test]
fn a_step_that_is_known_brings_nothing_and_a_build_that_fails_leaves_nothing() {
    let Some(first) = Machine::new(&with_cache("echo a > /cache/a")) else { return };
    let registry = FakeRegistry::new();
    let mounts = flag(&registry.address(), "");
    let steps = tempfile::tempdir().unwrap();
    let [from, to] = super::step_cache::both(&format!("local:{}", steps.path().display()));
    build(&first, &[&mounts, &to], &[]);
    let before = registry.requests().len();
    let second = build(&Machine::new(&with_cache("echo a > /cache/a")).unwrap(), &[&mounts, &from], &[]);
    assert_eq!(second.ran.len(), 0);
    assert_eq!(registry.requests().len(), before, "nothing is asked");

    let failing = Machine::new(&with_cache("echo b > /cache/b && exit 3")).unwrap();
    let build = failing.build(&[&mounts]);
    assert_eq!(build.outcome.code, Some(1));
    assert_eq!(writes(&registry, before), 0);
    assert!(kept(&failing).join("a").exists(), "it was brought for the command");
}

#[test]
fn what_is_here_stays_and_modes_say_which_way_it_goes() {
    let Some(first) = Machine::new(&with_cache("echo first > /cache/name")) else { return };
    let registry = FakeRegistry::new();
    let (both, pull, push) = (
        flag(&registry.address(), ""),
        flag(&registry.address(), ",mode=pull"),
        flag(&registry.address(), ",mode=push"),
    );
    build(&first, &[&pull], &[]);
    assert_eq!(writes(&registry, 0), 0);
    build(&Machine::new(&with_cache("echo second > /cache/name")).unwrap(), &[&push], &[]);
    fs::write(first.context.path().join("Dockerfile"), with_cache("cat /cache/name > /cache/more")).unwrap();
    build(&first, &[&both], &[]);
    let name = |machine: &Machine, name: &str| fs::read_to_string(kept(machine).join(name)).unwrap();
    assert_eq!(name(&first, "more"), "first\n", "what was here is not replaced");
    let third = Machine::new(&with_cache("echo third > /cache/third")).unwrap();
    build(&third, &[&push], &[]);
    assert!(!kept(&third).join("more").exists());
}

#[test]
fn a_cache_of_one_command_alone_stays_here() {
    let steps = with_cache("echo a > /cache/a").replace("id=work", "id=work,sharing=private");
    let Some(machine) = Machine::new(&steps) else { return };
    let registry = FakeRegistry::new();
    build(&machine, &[&flag(&registry.address(), "")], &[]);
    assert_eq!(registry.requests().len(), 0);
}

#[test]
fn a_directory_that_stayed_empty_is_filled_later() {
    let Some(first) = Machine::new(&with_cache("echo a > /cache/a")) else { return };
    let registry = FakeRegistry::new();
    let flag = flag(&registry.address(), "");
    let second = Machine::new(&with_cache("ls /cache > /seen")).unwrap();
    build(&second, &[&flag], &[]);
    assert_eq!(writes(&registry, 0), 0, "there is nothing to push");
    build(&first, &[&flag], &[]);
    fs::write(second.context.path().join("Dockerfile"), with_cache("cat /cache/a > /seen")).unwrap();
    build(&second, &[&flag], &[]);
    assert_eq!(listing(&kept(&second)), listing(&kept(&first)));
}

#[test]
fn a_registry_that_is_away_or_does_not_answer_is_a_warning() {
    let Some(machine) = Machine::new(&with_cache("ls -A /cache > /seen && echo a > /cache/a")) else { return };
    let gone = flag("127.0.0.1:1", "");
    build(&machine, &[&gone], &["no cache mounts are taken from 127.0.0.1:1/team/mounts: "]);
    let silent = FakeRegistry::scripted(|_| Some(Reply::Silence(Duration::from_secs(60))));
    let second = Machine::new(&with_cache("ls -A /cache > /seen && echo a > /cache/a")).unwrap();
    let begin = Instant::now();
    let (root, build) = second.root(&[&flag(&silent.address(), "")]);
    assert!(begin.elapsed() < Duration::from_secs(40), "{:?}", begin.elapsed());
    assert_eq!(build.warnings.len(), 1, "{:?}", build.warnings);
    assert!(build.warnings[0].contains("there was no answer within 10 seconds"), "{:?}", build.warnings);
    assert_eq!(fs::read_to_string(root.path().join("seen")).unwrap(), "");
}

#[test]
fn a_registry_that_refuses_what_is_pushed_is_a_warning() {
    let Some(machine) = Machine::new(&with_cache("echo a > /cache/a")) else { return };
    let registry = FakeRegistry::scripted(|request| {
        (!matches!(&*request.method, "GET" | "HEAD")).then(|| Reply::refusal(403, "DENIED", "read only"))
    });
    let says = format!("the cache mount `work` is not pushed to {}/team/mounts: ", registry.address());
    build(&machine, &[&flag(&registry.address(), "")], &[&says]);
}

#[test]
fn what_is_too_large_does_not_travel() {
    let Some(first) = Machine::new(&with_cache("head -c 100000 /dev/zero > /cache/zeros")) else { return };
    let registry = FakeRegistry::new();
    let (small, large) = (flag(&registry.address(), ",max-size=50k"), flag(&registry.address(), ",max-size=1m"));
    build(&first, &[&small], &["the cache mount `work` is not pushed to "]);
    let second = Machine::new(&with_cache("head -c 100000 /dev/zero > /cache/zeros")).unwrap();
    build(&second, &[&large], &[]);
    let third = Machine::new(&with_cache("ls /cache > /seen")).unwrap();
    let build = build(&third, &[&small], &["the cache mount `work` is not taken from "]);
    assert!(build.warnings[0].contains("more than the limit of 51200"), "{:?}", build.warnings);
    assert_eq!(listing(&kept(&third)).len(), 1);
}

#[test]
fn bake_and_compose_have_them_too() {
    let Some(machine) = Machine::new(&with_cache("ls /cache > /seen && echo a > /cache/a")) else { return };
    let (by_bake, by_compose) = (FakeRegistry::new(), FakeRegistry::new());
    let write = |name: &str, text: &str| fs::write(machine.context.path().join(name), text).unwrap();
    write("docker-bake.json", r#"{"target": {"default": {"context": ".", "output": ["type=cacheonly"]}}}"#);
    write("compose.yaml", "services:\n  app:\n    image: team/app\n    build: .\n");
    let context = machine.context.path().to_str().unwrap().to_owned();
    let program = Program::new().directory(&context);
    program.run(["bake", "-f", "docker-bake.json", &flag(&by_bake.address(), ",key=own")]).success();
    assert_eq!(tags(&by_bake).len(), 2);
    let program = Program::new().directory(&context);
    program.run(["compose", "build", &flag(&by_compose.address(), ",key=own")]).success();
    assert_eq!(tags(&by_compose), tags(&by_bake));
    build(&machine, &[&flag(&by_bake.address(), ",key=own,mode=pull")], &[]);
    assert_eq!(listing(&kept(&machine)).keys().collect::<Vec<_>>(), ["", "a"]);
}
