//! `--cache-to type=inline`: an image says which steps it came about by, and other machines take them from it.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::step_cache::{Machine, STEPS};
use super::step_cache_kept::keys;
use super::step_cache_wrong::IMAGE;
use crate::support::container::{Bundle, require_runtime};
use crate::support::docker_registry::DockerRegistry;
use crate::support::fake_registry::{FakeRegistry, Reply, digest};
use crate::support::program::Program;
use crate::support::tool::{require, run};
use crate::support::traces::assert_store_is_sound;

const FIELD: &str = "dev.ocibake.steps.v1";
const INLINE: &str = "--cache-to=type=inline";

/// A registry, and names in it.
struct Place {
    registry: FakeRegistry,
}

impl Place {
    fn new() -> Self {
        Place { registry: FakeRegistry::new() }
    }

    fn name(&self, rest: &str) -> String {
        format!("{}/{rest}", self.registry.address())
    }

    fn from(&self, rest: &str) -> String {
        format!("--cache-from={}", self.name(rest))
    }

    /// The documents of an image.
    fn image(&self, name: &str) -> (Value, Value) {
        let manifest: Value = serde_json::from_slice(&self.registry.manifest(name).unwrap().1).unwrap();
        let config = self.registry.blob(manifest["config"]["digest"].as_str().unwrap()).unwrap();
        (manifest, serde_json::from_slice(&config).unwrap())
    }

    /// Lets `name` stand for an image of this config.
    fn put(&self, name: &str, mut manifest: Value, config: &Value) {
        let config = config.to_string();
        self.registry.put_blob(config.as_bytes());
        manifest["config"]["digest"] = json!(digest(config.as_bytes()));
        manifest["config"]["size"] = json!(config.len());
        self.registry.put_manifest(name, IMAGE, manifest.to_string().as_bytes());
    }

    /// The blobs that were pulled behind the first `before` requests, without that of the config of the image.
    fn pulled(&self, before: usize, name: &str) -> BTreeSet<String> {
        let config = self.image(name).0["config"]["digest"].as_str().unwrap().to_owned();
        let gets =
            self.registry.requests().split_off(before).into_iter().filter(|request| request.is("GET", "/blobs/"));
        gets.map(|request| request.path.rsplit('/').next().unwrap().to_owned()).filter(|blob| *blob != config).collect()
    }
}

#[test]
fn a_fresh_machine_takes_all_steps_from_the_image_and_pulls_none_of_its_layers() {
    let Some(first) = Machine::new(STEPS) else { return };
    let place = Place::new();
    let one = first.build(&["-t", &place.name("team/app:1"), "--push", INLINE]);
    assert_eq!((one.ran.len(), &one.warnings), (4, &Vec::new()), "{:?}", one.outcome);
    let digest = one.outcome.success().digest();
    let (_, config) = place.image("team/app/1");
    // Those of the other stage are not in the image.
    let diff_ids: Vec<&Value> = config[FIELD].as_array().unwrap().iter().map(|step| &step["diff_id"]).collect();
    assert_eq!(diff_ids, config["rootfs"]["diff_ids"].as_array().unwrap().iter().collect::<Vec<_>>());

    let second = Machine::new(STEPS).unwrap();
    let before = place.registry.requests().len();
    let two = second.build(&["-t", &place.name("team/other:2"), "--push", INLINE, &place.from("team/app:1")]);
    assert_eq!((two.ran.len(), two.warnings.len()), (0, 0), "{:?}", two.outcome);
    assert_eq!(two.outcome.success().digest(), digest, "what is taken is told as what was done");
    assert_eq!(place.pulled(before, "team/app/1"), BTreeSet::new(), "no layer is pulled");
    let requests = place.registry.requests().split_off(before);
    let of_cache: Vec<String> = requests
        .iter()
        .filter(|it| it.path.contains("/team/app/"))
        .map(|it| format!("{} {}", it.method, it.path))
        .collect();
    assert_eq!(of_cache.len(), 3, "what the name stands for, its manifest and config: {of_cache:?}");
    let count = |method: &str, part: &str| requests.iter().filter(|request| request.is(method, part)).count();
    assert_eq!(count("PATCH", "") + count("PUT", "/blobs/"), 0, "no layer is sent");
    assert_store_is_sound(&second.program.store());
    // From a store that knows all of it come the same bytes.
    assert_eq!(first.build(&["-t", &place.name("team/app:3"), "--push", INLINE]).outcome.success().digest(), digest);
}

#[test]
fn what_stands_on_a_change_is_done_and_what_it_stands_on_is_pulled() {
    let Some(first) = Machine::new(STEPS) else { return };
    let place = Place::new();
    first.build(&["-t", &place.name("team/app:1"), "--push", INLINE]).outcome.success();
    let second = Machine::new(&STEPS.replace("mkdir /last", "mkdir /last /more")).unwrap();
    let before = place.registry.requests().len();
    let build = second.build(&["-t", &place.name("team/app:2"), "--push", INLINE, &place.from("team/app:1")]);
    assert_eq!(build.ran.len(), 1, "{:?}", build.outcome);
    build.outcome.success();
    assert_eq!(place.pulled(before, "team/app/1").len(), 3, "what commands made, and what is of the other stage");
    let layers = |name: &str| place.image(name).0["layers"].as_array().unwrap().clone();
    assert_eq!(layers("team/app/1")[..4], layers("team/app/2")[..4]);
    // The new image is a cache in its turn, by the other form of its name, too.
    let from = format!("--cache-from=type=registry,ref={}", place.name("team/app:2"));
    let third = Machine::new(&STEPS.replace("mkdir /last", "mkdir /last /more")).unwrap();
    let build = third.build(&[&from]);
    assert_eq!((build.ran.len(), build.warnings.len()), (0, 0), "{:?}", build.outcome);
    // What changed is of a stage that the image has not, which is done in full.
    let last = Machine::new(STEPS).unwrap();
    fs::write(last.context.path().join("source/a"), "changed").unwrap();
    let build = last.build(&[&place.from("team/app:1")]);
    assert_eq!(build.ran.len(), 2, "the command of the other stage, and that above the copy: {:?}", build.ran);
}

#[test]
fn only_an_image_that_is_told_to_says_anything() {
    let Some(machine) = Machine::new(STEPS) else { return };
    let place = Place::new();
    let build = |tag: &str, flags: &[&str]| {
        let name = place.name(&format!("team/app:{tag}"));
        machine.build(&[&["-t", &name, "--push"], flags].concat()).outcome.success();
        place.image(&format!("team/app/{tag}"))
    };
    let (plain, plain_config) = build("plain", &[]);
    let (told, mut told_config) = build("told", &[INLINE]);
    assert_eq!(plain["layers"], told["layers"]);
    assert!(told_config.as_object_mut().unwrap().remove(FIELD).unwrap().is_array());
    assert_eq!(plain_config.to_string(), told_config.to_string());
    // Nor does what stands on an image that does.
    let above = Machine::new(&format!("FROM {}\nCOPY own /more\n", place.name("team/app:told"))).unwrap();
    above.build(&["-t", &place.name("team/above:1"), "--push"]).outcome.success();
    let (_, config) = place.image("team/above/1");
    assert!(config.get(FIELD).is_none() && config["rootfs"]["diff_ids"].as_array().unwrap().len() == 7);
    above.build(&["-t", &place.name("team/above:2"), "--push", INLINE]).outcome.success();
    assert_eq!(place.image("team/above/2").1[FIELD].as_array().unwrap().len(), 1, "its own step");
    // On another base they are other steps.
    let name = |rest: &str| place.name(rest);
    let (from, onto) = (name("team/app:told"), name("team/app:plain"));
    let words =
        ["rebase", &name("team/above:2"), "--from", &from, "--onto", &onto, "-t", &name("team/moved:1"), "--push"];
    machine.program.run(words).success();
    assert!(place.image("team/moved/1").1.get(FIELD).is_none());
}

#[test]
fn each_platform_says_what_its_own_steps_are() {
    let steps = STEPS.replacen("busybox\n", "busybox\nARG TARGETARCH\nCOPY $TARGETARCH /arch\n", 1);
    let machine = || {
        let machine = Machine::new(&steps)?;
        ["amd64", "386"].iter().for_each(|name| fs::write(machine.context.path().join(name), name).unwrap());
        Some(machine)
    };
    let Some(first) = machine() else { return };
    let place = Place::new();
    let both = "linux/amd64,linux/386";
    let build = first.build_for(both, &["-t", &place.name("team/app:1"), "--push", INLINE]);
    assert_eq!(build.ran.len(), 8, "{:?}", build.outcome);
    let digest = build.outcome.success().digest();
    let second = machine().unwrap();
    let build = second.build_for(both, &["-t", &place.name("team/app:2"), "--push", INLINE, &place.from("team/app:1")]);
    assert_eq!((build.ran.len(), build.outcome.success().digest()), (0, digest));
    for platform in both.split(',') {
        let build = machine().unwrap().build_for(platform, &[&place.from("team/app:1")]);
        assert_eq!((build.ran.len(), build.warnings.len()), (0, 0), "{platform}: {:?}", build.outcome);
    }
    let build = machine().unwrap().build_for("linux/amd64/v3", &[&place.from("team/app:1")]);
    assert_ne!(build.ran.len(), 0, "another platform is another matter: {:?}", build.outcome);
}

/// Makes the image `team/app/1` say something wrong of the step number 3, which a later one has to look at; returns how
/// many commands are run then.
type Spoil = fn(&Place, Value, Value) -> usize;

/// Each with what is said of it; nothing where it is as if there were none.
const SPOILS: [(Spoil, &str); 10] = [
    (
        |place, manifest, mut config| {
            config[FIELD][3]["diff_id"] = json!(digest(b"a tar that is not there"));
            place.put("team/app/1", manifest, &config);
            3
        },
        "has no layer that the step",
    ),
    (
        |place, manifest, mut config| {
            config[FIELD][3]["diff_id"] = json!(7);
            place.put("team/app/1", manifest, &config);
            4
        },
        "is not a list of steps",
    ),
    (
        |place, manifest, mut config| {
            config[FIELD] = json!("W10=");
            place.put("team/app/1", manifest, &config);
            4
        },
        "is not a list of steps",
    ),
    (
        |place, manifest, mut config| {
            config[FIELD] = vec![config[FIELD][3].clone(); 1001].into();
            place.put("team/app/1", manifest, &config);
            4
        },
        "has more than 1000 steps",
    ),
    (
        |place, manifest, mut config| {
            config[FIELD][3]["on"] = json!(digest(b"something else"));
            place.put("team/app/1", manifest, &config);
            3
        },
        "",
    ),
    (
        |place, manifest, mut config| {
            config[FIELD][3]["key"] = json!(digest(b"another"));
            place.put("team/app/1", manifest, &config);
            3
        },
        "",
    ),
    (
        // The image itself does not say what its layer is.
        |place, manifest, mut config| {
            let other = json!(digest(b"another tar"));
            config["rootfs"]["diff_ids"][3] = other.clone();
            config[FIELD][3]["diff_id"] = other;
            place.put("team/app/1", manifest, &config);
            3
        },
        "unpacks to",
    ),
    (
        |place, manifest, mut config| {
            config["rootfs"]["diff_ids"].as_array_mut().unwrap().pop();
            place.put("team/app/1", manifest, &config);
            4
        },
        "no layers are taken from",
    ),
    (
        |place, manifest, _| {
            place.registry.flip_in_blob(manifest["layers"][3]["digest"].as_str().unwrap());
            3
        },
        "done after all",
    ),
    (
        |place, manifest, _| {
            place.registry.damage_blob(manifest["layers"][3]["digest"].as_str().unwrap(), None);
            3
        },
        "done after all",
    ),
];

#[test]
fn nothing_wrong_that_an_image_says_is_used() {
    for (number, (spoil, says)) in SPOILS.into_iter().enumerate() {
        let Some(first) = Machine::new(STEPS) else { return };
        let place = Place::new();
        let name = place.name("team/app:1");
        let (root, _) = first.root(&["-t", &name, "--push", INLINE]);
        let was = fs::read(root.path().join("random")).unwrap();
        let (manifest, config) = place.image("team/app/1");
        // COPY, RUN (which changes what the image has), COPY, and the command in question.
        assert_eq!(config[FIELD][3]["diff_id"], config["rootfs"]["diff_ids"][3]);
        let ran = spoil(&place, manifest, config);

        let steps = STEPS.replace("mkdir /last", "mkdir /last /more");
        let (root, build) = Machine::new(&steps).unwrap().root(&[&place.from("team/app:1")]);
        assert_eq!(build.ran.len(), ran, "{number}: {:?}", build.outcome);
        let random = fs::read(root.path().join("random")).unwrap();
        assert!(random.len() == 50_000 && random != was, "{number}");
        assert_eq!(fs::read_to_string(root.path().join("copy")).unwrap(), "own");
        build.assert_warns(says, number);
    }
}

#[test]
fn with_a_key_only_what_it_has_signed_is_taken() {
    if !require("openssl") {
        return;
    }
    let Some(first) = Machine::new(STEPS) else { return };
    let keys_place = tempfile::tempdir().unwrap();
    let [sign, verify] = keys(keys_place.path(), "main");
    let [_, other_verify] = keys(keys_place.path(), "other");
    let place = Place::new();
    let name = place.name("team/app:1");
    let digest_of = |machine: &Machine, flags: &[&str]| {
        let words = [&["-t", &name, "--push", INLINE], flags].concat();
        machine.build(&words).outcome.success().digest()
    };
    let from = place.from("team/app:1");
    let ran = |flags: &[&str]| {
        let build = Machine::new(STEPS).unwrap().build(flags);
        assert_eq!((build.outcome.code, &build.warnings), (Some(0), &Vec::new()), "{:?}", build.outcome);
        build.ran.len()
    };
    digest_of(&first, &[]);
    assert_eq!(ran(&[&from]), 0);
    assert_eq!(ran(&[&from, &verify]), 4, "nobody has signed it");
    let signed = digest_of(&first, &[&sign]);
    assert_eq!(ran(&[&from, &verify]), 0);
    assert_eq!(ran(&[&from, &other_verify]), 4);
    // What was taken is signed as what was done.
    assert_eq!(digest_of(&Machine::new(STEPS).unwrap(), &[&from, &verify, &sign]), signed);
    // The step comes to another layer of the image.
    let (manifest, mut config) = place.image("team/app/1");
    config[FIELD][3]["diff_id"] = config[FIELD][2]["diff_id"].clone();
    place.put("team/app/1", manifest, &config);
    assert_eq!(ran(&[&from, &verify]), 3, "the command, that of the other stage, and that above");
    // What is taken from anybody is not signed.
    let refused = first.build(&[&from, &sign, INLINE]);
    refused.outcome.failure(2).says(&["--cache-to type=inline does not sign", "--cache-verify KEY"]);
}

#[test]
fn an_image_that_is_missing_or_silent_is_a_warning() {
    let Some(machine) = Machine::new(STEPS) else { return };
    let place = Place::new();
    let build = machine.build(&[&place.from("team/app:none")]);
    assert_eq!((build.ran.len(), build.warnings.len()), (4, 1), "{:?}", build.warnings);
    assert!(build.warnings[0].starts_with("no layers are taken from "));
    let may_be = format!("--cache-from=type=registry,ref={}", place.name("team/app:none"));
    let build = Machine::new(STEPS).unwrap().build(&[&may_be]);
    assert_eq!((build.ran.len(), build.warnings.len()), (4, 0), "{:?}", build.warnings);

    let silent = FakeRegistry::scripted(|request| {
        request.is("GET", "/manifests/").then(|| Reply::Silence(Duration::from_secs(60)))
    });
    let since = Instant::now();
    let from = format!("--cache-from={}/team/app:1", silent.address());
    let build = Machine::new(STEPS).unwrap().build(&[&from]);
    assert_eq!((build.outcome.success().code, build.ran.len()), (Some(0), 4));
    assert!(build.warnings[0].ends_with("there was no answer within 10 seconds"), "{:?}", build.warnings);
    assert!(build.warnings.len() == 1 && since.elapsed() < Duration::from_secs(40), "it is asked once");
}

#[test]
fn a_target_alone_that_asks_for_it_says_its_steps() {
    let Some(machine) = Machine::new(STEPS) else { return };
    let place = Place::new();
    let target = |name: &str, more: &str| {
        format!("target \"{name}\" {{\n  tags = [\"{}\"]\n  {more}\n}}\n", place.name(&format!("team/{name}:1")))
    };
    let inline = target("told", "cache-to = [\"type=inline\"]");
    let file = format!("group \"default\" {{ targets = [\"told\", \"plain\"] }}\n{inline}{}", target("plain", ""));
    fs::write(machine.context.path().join("docker-bake.hcl"), file).unwrap();
    let program = Program::new().directory(machine.context.path());
    program.run(["bake", "--push", "--progress=plain"]).success();
    let (told, told_config) = place.image("team/told/1");
    let (plain, plain_config) = place.image("team/plain/1");
    assert_eq!(told["layers"], plain["layers"]);
    assert_eq!((told_config[FIELD].as_array().unwrap().len(), plain_config.get(FIELD)), (6, None));
    // Compose and bake read caches as `build` does.
    let from = format!("target \"default\" {{ cache-from = [\"{}\"] }}", place.name("team/told:1"));
    let next = Machine::new(STEPS).unwrap();
    fs::write(next.context.path().join("docker-bake.hcl"), from).unwrap();
    let program = Program::new().directory(next.context.path());
    let log = program.run(["bake", "--progress=json"]).success().stderr;
    assert!(!log.contains("command-started"), "{log}");
    let compose = format!(
        "services:\n  app:\n    image: {}\n    build:\n      context: .\n      cache_from: [\"{}\"]\n      cache_to: [\"type=inline\"]\n",
        place.name("team/composed:1"),
        place.name("team/told:1")
    );
    fs::write(next.context.path().join("compose.yaml"), compose).unwrap();
    let program = Program::new().directory(next.context.path());
    let log = program.run(["compose", "build", "--push", "--progress=json"]).success().stderr;
    assert!(!log.contains("command-started"), "{log}");
    assert_eq!(place.image("team/composed/1").1[FIELD], told_config[FIELD]);
}

#[test]
fn other_tools_take_and_run_an_image_that_says_its_steps() {
    if !require("docker-registry") || !require_runtime() {
        return;
    }
    let Some(machine) = Machine::new(&format!("{STEPS}ENTRYPOINT [\"/bin/busybox\", \"cat\", \"/copy\"]\n")) else {
        return;
    };
    let registry = DockerRegistry::open();
    let name = format!("{}/team/app:1", registry.address());
    machine.build(&["-t", &name, "--push", INLINE]).outcome.success();
    let inspected = run("skopeo", ["inspect", "--tls-verify=false", &format!("docker://{name}")]);
    let inspected: Value = serde_json::from_str(&inspected).unwrap();
    assert_eq!(inspected["Layers"].as_array().unwrap().len(), 6);
    let place = tempfile::tempdir().unwrap();
    assert_eq!(Bundle::unpack(&format!("docker://{name}"), "amd64", place.path()).run(&[]), "own");
    // It says the same wherever another tool has brought it.
    let copied = format!("{}/elsewhere/app:1", registry.address());
    let words = ["copy", "--insecure-policy", "--quiet", "--src-tls-verify=false", "--dest-tls-verify=false"];
    run("skopeo", words.into_iter().chain([&*format!("docker://{name}"), &*format!("docker://{copied}")]));
    let before = registry.requests().len();
    let pushed = format!("{}/another/app:1", registry.address());
    let fresh = Machine::new(STEPS).unwrap().build(&["-t", &pushed, "--push", &format!("--cache-from={copied}")]);
    assert_eq!((fresh.ran.len(), fresh.warnings.len()), (0, 0), "{:?}", fresh.outcome);
    let requests = registry.requests().split_off(before);
    let of = |part: &str| requests.iter().filter(|request| request.contains(part)).count();
    assert_eq!(of("from=elsewhere%2Fapp"), 6, "each layer is mounted: {requests:?}");
    assert_eq!((of("GET /v2/elsewhere/app/blobs/"), of("PATCH ")), (1, 0), "only a config is read: {requests:?}");
}
