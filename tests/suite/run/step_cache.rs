//! `--cache-to` and `--cache-from`: steps that one machine has done are not done by another.

use std::collections::BTreeSet;
use std::fs;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::docker_registry::DockerRegistry;
use crate::support::fake_registry::{FakeRegistry, Reply};
use crate::support::faulty_proxy::FaultyProxy;
use crate::support::program::{Outcome, Program};
use crate::support::tool::{require, require_root, run};
use crate::support::traces::assert_store_is_sound;
use crate::support::tree::Tree;

/// A Dockerfile of several stages, whose commands leave something else each time that they are run.
pub const STEPS: &str = "FROM scratch AS busybox\nCOPY busybox /bin/busybox\n\
    RUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\n\
    FROM busybox AS made\nCOPY source /source\nRUN head -c 40000 /dev/urandom > /made && echo compiled\n\
    FROM busybox\nCOPY own /own\nRUN head -c 50000 /dev/urandom > /random && cat /own > /copy\n\
    COPY --from=made /made /made\nRUN mkdir /last && cat /proc/sys/kernel/random/uuid > /last/id\n";

/// A machine with a store of its own, and a checkout of its own.
pub struct Machine {
    pub program: Program,
    pub context: tempfile::TempDir,
}

/// What a build did.
pub struct Build {
    pub outcome: Outcome,
    /// The commands that were run, by their text.
    pub ran: Vec<String>,
    pub warnings: Vec<String>,
}

impl Machine {
    /// None where commands cannot be run.
    pub fn new(steps: &str) -> Option<Self> {
        if !require_root() || !require("busybox") {
            return None;
        }
        let busybox = fs::read(run("sh", ["-c", "command -v busybox"]).trim()).unwrap();
        let tree = Tree::new().file("Dockerfile", steps).file("source/a", "a").file("source/b", "b").file("own", "own");
        let context = tree.file("busybox", busybox).mode(0o755).plant();
        Some(Machine { program: Program::new(), context })
    }

    pub fn build(&self, flags: &[&str]) -> Build {
        self.build_for("linux/amd64", flags)
    }

    pub fn build_for(&self, platforms: &str, flags: &[&str]) -> Build {
        let context = self.context.path().to_str().unwrap();
        let words = [&["build", context, "--platform", platforms, "--progress=json"], flags].concat();
        let outcome = self.program.run(words);
        let events: Vec<Value> = outcome.stderr.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let of = |kind: &str, field: &str| -> Vec<String> {
            let all = events.iter().filter(|event| event["event"] == kind);
            all.map(|event| event[field].as_str().unwrap_or_default().to_owned()).collect()
        };
        let ran = of("command-started", "title");
        let warnings =
            of("warning", "message").into_iter().filter(|text| !text.contains("has no name and no output")).collect();
        Build { outcome, ran, warnings }
    }

    /// The same for a root file system, which is returned.
    #[track_caller]
    pub fn root(&self, flags: &[&str]) -> (TempDir, Build) {
        let root = tempfile::tempdir().unwrap();
        let output = format!("type=local,dest={}", root.path().display());
        let build = self.build(&[&["-o", &output], flags].concat());
        assert_eq!(build.outcome.code, Some(0), "{:?}", build.outcome);
        (root, build)
    }
}

impl Build {
    /// Fails unless one of its warnings says this, in the case of that number; or, for an empty text, it has none.
    #[track_caller]
    pub fn assert_warns(&self, says: &str, number: usize) {
        match says {
            "" => assert_eq!(self.warnings, Vec::<String>::new(), "{number}"),
            says => {
                assert!(self.warnings.iter().any(|warning| warning.contains(says)), "{number}: {:?}", self.warnings)
            }
        }
    }
}

/// The flags for a cache in this place, which is both.
pub fn both(place: &str) -> [String; 2] {
    let (from, to) = match place.strip_prefix("local:") {
        Some(directory) => (format!("type=local,src={directory}"), format!("type=local,dest={directory}")),
        None => (format!("type=registry,ref={place}"), format!("type=registry,ref={place}")),
    };
    [format!("--cache-from={from}"), format!("--cache-to={to},mode=max")]
}

fn random(root: &TempDir) -> Vec<u8> {
    fs::read(root.path().join("random")).unwrap()
}

#[test]
fn a_fresh_machine_runs_nothing_and_pulls_no_layer_that_it_pushes() {
    let Some(first) = Machine::new(STEPS) else { return };
    let registry = FakeRegistry::new();
    let place = format!("{}/team/cache", registry.address());
    let [from, to] = both(&place);
    let name = |tag: &str| format!("{}/team/app:{tag}", registry.address());
    let one = first.build(&["-t", &name("1"), "--push", &to]);
    assert_eq!(one.ran.len(), 4, "{:?}", one.outcome);
    let digest = one.outcome.success().digest();
    let entries: Vec<String> =
        registry.manifest_names().into_iter().filter(|name| name.starts_with("team/cache/step-")).collect();
    assert_eq!(entries.len(), 7, "each step of each stage has an entry: {entries:?}");
    let before = registry.requests().len();

    let second = Machine::new(STEPS).unwrap();
    let two = second.build(&["-t", &name("2"), "--push", &from]);
    assert_eq!(two.ran, Vec::<String>::new(), "{:?}", two.outcome);
    assert_eq!(two.warnings, Vec::<String>::new());
    assert_eq!(two.outcome.success().digest(), digest);
    let requests = &registry.requests()[before..];
    let count = |method: &str, part: &str| requests.iter().filter(|request| request.is(method, part)).count();
    // The image has six steps, of which one changes nothing; nobody needs those of the other stage.
    assert_eq!(count("GET", "/team/cache/manifests/"), 6);
    assert_eq!(count("HEAD", "/team/cache/blobs/"), 6);
    assert_eq!(count("GET", "/blobs/"), 0, "no layer is pulled");
    assert_eq!(count("PATCH", "") + count("PUT", "/blobs/"), 0, "no layer is sent");
    assert_eq!(requests.iter().filter(|request| request.path.contains("/team/cache/")).count(), 12);
    // Who may write notes what was used, and writes no entry again.
    let third = Machine::new(STEPS).unwrap();
    let before = registry.requests().len();
    assert_eq!(third.build(&["-t", &name("3"), "--push", &from, &to]).outcome.success().digest(), digest);
    let puts = registry.requests().split_off(before).into_iter();
    let puts = puts.filter(|request| request.is("PUT", "/team/cache/manifests/"));
    assert!(puts.map(|request| request.path).all(|path| path.contains("/uses-")));
    assert_store_is_sound(&second.program.store());
}

#[test]
fn what_stands_on_a_change_is_done_and_what_it_stands_on_is_pulled() {
    let Some(first) = Machine::new(STEPS) else { return };
    let registry = FakeRegistry::new();
    let [from, to] = both(&format!("{}/team/cache", registry.address()));
    let (root, _) = first.root(&[&to]);
    let expected = random(&root);
    let layers = |before: usize| -> BTreeSet<String> {
        let gets = registry.requests().split_off(before).into_iter().filter(|request| request.is("GET", "/blobs/"));
        gets.map(|request| request.path.rsplit('/').next().unwrap().to_owned()).collect()
    };

    let second = Machine::new(&STEPS.replace("mkdir /last", "mkdir /last /more")).unwrap();
    let before = registry.requests().len();
    let build = second.build(&["-t", &format!("{}/team/app", registry.address()), "--push", &from]);
    assert_eq!(build.ran.len(), 1, "{:?}", build.outcome);
    build.outcome.success();
    // What commands made that the last one stands on, and what was copied from the other stage, which is not looked at; what comes
    // from the context is here.
    assert_eq!(layers(before).len(), 3);
    let (root, build) = second.root(&[&from]);
    assert_eq!((build.ran, random(&root)), (Vec::new(), expected.clone()));
    assert!(root.path().join("more").is_dir() && root.path().join("last/id").is_file());

    // A file of the other stage: its command, and what takes from it.
    let third = Machine::new(STEPS).unwrap();
    fs::write(third.context.path().join("source/b"), "changed").unwrap();
    let (root, build) = third.root(&[&from]);
    assert_eq!(build.ran.len(), 2, "{:?}", build.ran);
    assert_eq!(random(&root), expected);
}

/// Of what stands on each other, the lowest answer comes last.
#[test]
fn an_answer_that_comes_late_is_waited_for_by_what_stands_on_it() {
    let Some(first) = Machine::new(STEPS) else { return };
    let slow = Arc::new(Mutex::new(String::new()));
    let registry = FakeRegistry::scripted({
        let slow = slow.clone();
        move |request| {
            let slow = slow.lock().unwrap().clone();
            if !slow.is_empty() && request.is("GET", &slow) {
                thread::sleep(Duration::from_millis(700));
            }
            None
        }
    });
    let [from, to] = both(&format!("{}/team/cache", registry.address()));
    first.build(&[&to]).outcome.success();
    let title = |name: &String| {
        let manifest: Value = serde_json::from_slice(&registry.manifest(name).unwrap().1).unwrap();
        manifest["annotations"]["org.opencontainers.image.title"].as_str().unwrap_or_default().to_owned()
    };
    let names = registry.manifest_names();
    let name = names.iter().find(|name| name.contains("/step-") && title(name).contains("--install")).unwrap();
    *slow.lock().unwrap() = name.rsplit('/').next().unwrap().to_owned();
    // The command of the other stage stands on it by a step that becomes no layer, and is needed.
    let second = Machine::new(&STEPS.replace("--from=made /made /made", "--from=made /made /source /")).unwrap();
    let build = second.build(&[&from]);
    assert_eq!(build.ran.len(), 1, "what stands on the copy: {:?}", build.ran);
}

#[test]
fn it_is_the_content_that_counts_and_not_where_it_lies_or_when_it_was_written() {
    let Some(first) = Machine::new(STEPS) else { return };
    let place = tempfile::tempdir().unwrap();
    let [from, to] = both(&format!("local:{}", place.path().display()));
    let (root, _) = first.root(&[&to]);
    let expected = random(&root);
    let second = Machine::new(STEPS).unwrap();
    let touched = second.context.path().join("own");
    fs::File::open(&touched).unwrap().set_modified(std::time::UNIX_EPOCH + Duration::from_secs(5)).unwrap();
    let (root, build) = second.root(&[&from]);
    assert_eq!((build.ran, random(&root)), (Vec::new(), expected.clone()));
    // A mode is content.
    let third = Machine::new(STEPS).unwrap();
    run("chmod", ["u+x".as_ref(), third.context.path().join("own").as_os_str()]);
    let (root, build) = third.root(&[&from]);
    assert_eq!(build.ran.len(), 2, "what stands on it: {:?}", build.ran);
    assert_ne!(random(&root), expected);
}

#[test]
fn without_mode_max_the_steps_of_other_stages_are_not_written() {
    let Some(first) = Machine::new(STEPS) else { return };
    let registry = FakeRegistry::new();
    let place = format!("{}/team/cache:main", registry.address());
    first.build(&[&format!("--cache-to={place}")]).outcome.success();
    let entries: Vec<String> =
        registry.manifest_names().into_iter().filter(|name| name.starts_with("team/cache/main-step-")).collect();
    assert_eq!(entries.len(), 6, "{entries:?}");
    // Another tag has none of them.
    let second = Machine::new(STEPS).unwrap();
    let from = |tag: &str| format!("--cache-from=type=registry,ref={}/team/cache{tag}", registry.address());
    assert_eq!(second.build(&[&from(":other")]).ran.len(), 4);
    let third = Machine::new(STEPS).unwrap();
    assert_eq!(third.build(&[&from(":main")]).ran.len(), 0);
    let last = Machine::new(STEPS).unwrap();
    fs::write(last.context.path().join("own"), "changed").unwrap();
    let build = last.build(&[&from(":main")]);
    assert_eq!(build.ran.len(), 3, "the other stage and what stands on the change: {:?}", build.ran);
}

#[test]
fn no_cache_takes_nothing_and_an_entry_never_changes() {
    let Some(first) = Machine::new(STEPS) else { return };
    let registry = FakeRegistry::new();
    let [from, to] = both(&format!("{}/team/cache", registry.address()));
    let (root, _) = first.root(&[&to]);
    let expected = random(&root);
    let names = registry.manifest_names();
    let written: Vec<_> = names.iter().map(|name| registry.manifest(name)).collect();
    let (root, build) = Machine::new(STEPS).unwrap().root(&[&from, &to, "--no-cache"]);
    assert_eq!(build.ran.len(), 4);
    assert_ne!(random(&root), expected);
    assert_eq!(registry.manifest_names(), names);
    assert_eq!(names.iter().map(|name| registry.manifest(name)).collect::<Vec<_>>(), written);
}

#[test]
fn a_build_that_fails_keeps_what_it_has_done() {
    let failing = format!("{STEPS}RUN exit 3\n");
    let Some(first) = Machine::new(&failing) else { return };
    let place = tempfile::tempdir().unwrap();
    let [from, to] = both(&format!("local:{}", place.path().display()));
    let build = first.build(&[&to]);
    assert_eq!((build.outcome.failure(1).code, build.ran.len()), (Some(1), 5));
    let build = Machine::new(&failing).unwrap().build(&[&from]);
    assert_eq!(build.ran.len(), 1, "{:?}", build.ran);
}

#[test]
fn a_registry_that_takes_images_alone_gets_images() {
    let Some(first) = Machine::new(STEPS) else { return };
    let is_artifact = |body: &[u8]| String::from_utf8_lossy(body).contains("artifactType");
    let registry = FakeRegistry::changed(
        |request| request.is("HEAD", "/manifests/step-").then(|| Reply::status(404)),
        move |request, reply| match request.is("PUT", "/manifests/step-") && is_artifact(&request.body) {
            true => Reply::refusal(400, "MANIFEST_INVALID", "an image has a configuration"),
            false => reply,
        },
    );
    let [from, to] = both(&format!("{}/team/cache", registry.address()));
    let build = first.build(&[&to]);
    assert_eq!(build.warnings, Vec::<String>::new());
    let names = registry.manifest_names();
    for name in names.iter().filter(|name| name.starts_with("team/cache/step-")) {
        let manifest: Value = serde_json::from_slice(&registry.manifest(name).unwrap().1).unwrap();
        assert_eq!(manifest["config"]["mediaType"], "application/vnd.oci.image.config.v1+json");
    }
    assert_eq!(Machine::new(STEPS).unwrap().build(&[&from]).ran.len(), 0);
}

#[test]
fn a_real_registry_has_artifacts_that_other_tools_read() {
    if !["docker-registry", "skopeo"].into_iter().all(require) {
        return;
    }
    let Some(first) = Machine::new(STEPS) else { return };
    let registry = DockerRegistry::open();
    let place = format!("{}/team/cache", registry.address());
    let [from, to] = both(&place);
    first.build(&[&to]).outcome.success();
    let listed = run("skopeo", ["list-tags", "--tls-verify=false", &format!("docker://{place}")]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let tags: Vec<&str> = listed["Tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap()).collect();
    assert_eq!(tags.len(), 8, "one of them says what was used: {tags:?}");
    let mut printed = 0;
    for tag in tags.into_iter().filter(|tag| !tag.starts_with("uses-")) {
        let raw = run("skopeo", ["inspect", "--raw", "--tls-verify=false", &format!("docker://{place}:{tag}")]);
        let manifest: Value = serde_json::from_str(&raw).unwrap();
        assert_eq!(manifest["artifactType"], "application/vnd.dev.ocibake.step.v1");
        assert_eq!(manifest["config"]["mediaType"], "application/vnd.oci.empty.v1+json");
        assert_eq!(manifest["annotations"]["dev.ocibake.step.key"], format!("sha256:{}", &tag["step-".len()..]));
        printed += usize::from(manifest["annotations"]["dev.ocibake.step.printed"] == "compiled");
    }
    assert_eq!(printed, 1);
    assert_eq!(Machine::new(STEPS).unwrap().build(&[&from]).ran.len(), 0);
}

/// Nothing that fails keeps a build from its end, and nothing that was written is lost.
#[test]
fn many_write_one_cache_while_requests_fail() {
    if !require("docker-registry") || Machine::new(STEPS).is_none() {
        return;
    }
    let registry = DockerRegistry::open();
    let proxy = FaultyProxy::before(&registry.address(), 50, 7);
    let [from, to] = both(&format!("{}/team/cache", proxy.address()));
    // What one of them does anew, others would have to do anew on that.
    let steps = |number: usize| {
        let steps = STEPS.replace("/dev/urandom", "/dev/zero").replace("cat /proc/sys/kernel/random/uuid", "echo");
        steps.replace("/last/id", &format!("/last/id{number}"))
    };
    thread::scope(|scope| {
        let builds: Vec<_> = (0..20)
            .map(|number| {
                let (from, to) = (&from, &to);
                scope.spawn(move || Machine::new(&steps(number)).unwrap().build(&[from, to]).outcome)
            })
            .collect();
        for build in builds {
            let outcome = build.join().unwrap().success();
            let lost = outcome.stderr.contains("cache-not-written");
            assert!(!lost, "{}", outcome.stderr);
        }
    });
    // By what is there, whatever came of requests: every step of every build.
    let [from, _] = both(&format!("{}/team/cache", registry.address()));
    for number in [0, 7, 19] {
        let build = Machine::new(&steps(number)).unwrap().build(&[&from]);
        assert_eq!(build.ran, Vec::<String>::new(), "{:?}", build.outcome);
    }
}

#[test]
fn a_cache_that_is_away_or_silent_is_a_warning() {
    let Some(machine) = Machine::new(STEPS) else { return };
    let refused = both("127.0.0.1:1/team/cache");
    let build = machine.build(&[&refused[0], &refused[1], "--no-cache"]);
    build.outcome.success();
    assert_eq!(build.warnings.len(), 1, "nobody is asked with --no-cache: {:?}", build.warnings);
    assert!(build.warnings[0].starts_with("the steps are not all written to 127.0.0.1:1/team/cache: "));
    let build = Machine::new(STEPS).unwrap().build(&[&refused[0]]);
    assert_eq!((build.outcome.success().code, build.ran.len()), (Some(0), 4));
    assert_eq!(build.warnings.len(), 1, "{:?}", build.warnings);
    assert!(build.warnings[0].starts_with("no steps are taken from 127.0.0.1:1/team/cache: "));
    let strict = format!("{},ignore-error=false", refused[1]);
    machine.build(&[&strict]).outcome.failure_with_result(1).says(&["127.0.0.1:1"]);

    let silent = FakeRegistry::scripted(|request| {
        request.is("GET", "/manifests/").then(|| Reply::Silence(Duration::from_secs(60)))
    });
    let [from, _] = both(&format!("{}/team/cache", silent.address()));
    let build = Machine::new(STEPS).unwrap().build(&[&from]);
    assert_eq!((build.outcome.success().code, build.ran.len()), (Some(0), 4));
    assert!(build.warnings[0].ends_with("there was no answer within 10 seconds"), "{:?}", build.warnings);
}
