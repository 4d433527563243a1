//! `--cache-to type=http` and `--cache-from`: steps on a server of Bazel's remote caches.

use std::fs;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use super::step_cache::{Build, Machine, STEPS};
use crate::support::bazel_cache::{Answer, BazelCache, decoded, encoded};
use crate::support::program::Program;
use crate::support::tool::require;
use crate::support::traces::assert_store_is_sound;

fn flags(url: &str) -> [String; 2] {
    [format!("--cache-from=type=http,url={url}"), format!("--cache-to=type=http,url={url},mode=max")]
}

/// The same for a server at this address, below a path.
fn at(cache: &BazelCache) -> [String; 2] {
    flags(&format!("http://{}/team", cache.address()))
}

/// A machine that has done no step yet; none where that or `protoc` cannot be had.
fn machine() -> Option<Machine> {
    if require("protoc") { Machine::new(STEPS) } else { None }
}

/// The name and the text of the entry whose step has this in its title.
fn entry(cache: &BazelCache, title: &str) -> (String, String) {
    let names = cache.names().into_iter().filter(|name| name.starts_with("ac/"));
    let mut all = names.map(|name| (name.clone(), decoded(&cache.content(&name).unwrap()).unwrap()));
    all.find(|(_, text)| text.contains(title)).unwrap()
}

/// The name of the layer that an entry has for a file.
fn layer(text: &str) -> String {
    format!("cas/{}", text.split_once("hash: \"").unwrap().1.split('"').next().unwrap())
}

#[test]
fn two_machines_share_what_a_server_keeps() {
    let Some(first) = machine() else { return };
    let cache = BazelCache::new();
    let [from, to] = at(&cache);
    let (root, build) = first.root(&[&to]);
    assert_eq!((build.ran.len(), build.warnings), (4, Vec::new()));
    let random = fs::read(root.path().join("random")).unwrap();
    let count = |part: &str| cache.names().iter().filter(|name| name.starts_with(part)).count();
    // What is copied from the other stage is the layer of the command that made it.
    assert_eq!((count("ac/"), count("cas/")), (7, 6));
    // As another reader sees it: one file, which is the layer that the manifest has.
    let (name, text) = entry(&cache, "/random");
    assert_eq!(text.matches("output_files").count(), 1, "{text}");
    assert!(text.contains("path: \"layer\"") && text.contains("worker: \"127.0.0.1\""), "{text}");
    let blob = cache.content(&layer(&text)).unwrap();
    assert!(text.contains(&format!("size_bytes: {}\n", blob.len())), "{text}");
    assert!(text.contains(&format!("step.key\\\":\\\"sha256:{}", &name["ac/".len()..])), "{text}");

    let second = Machine::new(STEPS).unwrap();
    let before = cache.requests().len();
    let (root, build) = second.root(&[&from]);
    assert_eq!((build.ran, build.warnings), (Vec::new(), Vec::new()));
    assert_eq!(fs::read(root.path().join("random")).unwrap(), random);
    let requests = cache.requests().split_off(before);
    let count = |method: &str, part: &str| requests.iter().filter(|request| request.is(method, part)).count();
    assert_eq!((count("GET", "/team/ac/"), count("HEAD", "/team/cas/"), count("PUT", "")), (6, 6, 0));
    assert_store_is_sound(&second.program.store());
    // What is there is not sent again.
    let before = cache.requests().len();
    Machine::new(STEPS).unwrap().build(&[&from, &to]).outcome.success();
    assert!(!cache.requests().split_off(before).iter().any(|request| request.method == "PUT"));
}

#[test]
fn an_entry_whose_layer_the_server_has_removed_is_none() {
    let Some(first) = machine() else { return };
    let cache = BazelCache::new();
    let [from, to] = at(&cache);
    first.build(&[&to]).outcome.success();
    let (_, text) = entry(&cache, "/last/id");
    cache.set(&layer(&text), None);
    let build = Machine::new(STEPS).unwrap().build(&[&from, &to]);
    assert_eq!((build.ran.len(), build.warnings), (1, Vec::new()));
    let build = Machine::new(STEPS).unwrap().build(&[&from]);
    assert_eq!((build.ran.len(), build.warnings), (0, Vec::new()), "it was written anew");
}

/// Makes an entry, whose name and text it is given, a wrong one.
type Spoil = fn(&BazelCache, &str, &str);

/// What makes an entry wrong, and what is said of it; nothing where it counts as not being there.
const SPOILS: [(Spoil, &str); 9] = [
    (|cache, _, text| flip(cache, &layer(text)), "done after all"),
    (
        |cache, _, text| {
            let name = layer(text);
            let blob = cache.content(&name).unwrap();
            cache.set(&name, Some(&blob[..blob.len() - 1]));
        },
        "",
    ),
    (|cache, name, _| cache.set(name, Some(b"\xff\xff\xff")), ""),
    (
        // The file is another one than the manifest names.
        |cache, name, text| {
            let other = layer(&entry(cache, "compiled").1);
            let size = cache.content(&other).unwrap().len();
            let (before, rest) = text.split_once("hash: \"").unwrap();
            let rest = rest.split_once('}').unwrap().1;
            let text = format!("{before}hash: \"{}\"\nsize_bytes: {size}\n}}{rest}", &other["cas/".len()..]);
            cache.set(name, Some(&encoded(&text)));
        },
        "does not have its layer for a file",
    ),
    (
        |cache, name, text| {
            let text = text.lines().filter(|line| !line.starts_with("stdout_raw")).collect::<Vec<_>>().join("\n");
            cache.set(name, Some(&encoded(&text)));
        },
        "not used",
    ),
    (|cache, name, _| cache.set(name, Some(&encoded("exit_code: 1\nstdout_raw: \"built\\n\"\n"))), "not used"),
    (|cache, name, _| cache.set(name, Some(&encoded(&entry(cache, "compiled").1))), "another key"),
    (
        |cache, name, text| {
            let file =
                format!("output_files {{ path: \"x\" digest {{ hash: \"{}\" size_bytes: 1 }} }}\n", "0".repeat(64));
            cache.set(&format!("cas/{}", "0".repeat(64)), Some(b"x"));
            cache.set(name, Some(&encoded(&format!("{}{text}", file.repeat(20)))));
        },
        "not used",
    ),
    (
        |cache, name, text| {
            cache.set(name, Some(&encoded(&format!("{text}stderr_raw: \"{}\"\n", "x".repeat(100_000)))));
        },
        "more than",
    ),
];

fn flip(cache: &BazelCache, name: &str) {
    let mut blob = cache.content(name).unwrap();
    let middle = blob.len() / 2;
    blob[middle] ^= 1;
    cache.set(name, Some(&blob));
}

#[test]
fn no_wrong_entry_is_used_and_each_is_written_anew() {
    for (number, (spoil, says)) in SPOILS.into_iter().enumerate() {
        let Some(first) = machine() else { return };
        let cache = BazelCache::new();
        let [from, to] = at(&cache);
        let (root, _) = first.root(&[&to]);
        let was = fs::read(root.path().join("random")).unwrap();
        let (name, text) = entry(&cache, "/random");
        spoil(&cache, &name, &text);

        // Its last command is another, which has to look at what is below it.
        let steps = STEPS.replace("mkdir /last", "mkdir /last /more");
        let (root, build) = Machine::new(&steps).unwrap().root(&[&from, &to]);
        assert_eq!(build.ran.len(), 2, "{number}: {:?}", build.warnings);
        let random = fs::read(root.path().join("random")).unwrap();
        assert!(random.len() == 50_000 && random != was, "{number}");
        build.assert_warns(says, number);
        let (root, build) = Machine::new(&steps).unwrap().root(&[&from]);
        assert_eq!((build.ran, build.warnings), (Vec::new(), Vec::new()), "{number}");
        assert_eq!(fs::read(root.path().join("random")).unwrap(), random, "{number}");
    }
}

#[test]
fn a_server_that_is_away_silent_or_full_is_a_warning() {
    let Some(first) = machine() else { return };
    let away = flags("http://127.0.0.1:1");
    let build = first.build(&[&away[0], &away[1]]);
    assert_eq!((build.outcome.success().code, build.ran.len()), (Some(0), 4));
    assert_eq!(build.warnings.len(), 2, "{:?}", build.warnings);
    assert!(build.warnings[0].starts_with("no steps are taken from http://127.0.0.1:1: "), "{:?}", build.warnings);
    assert!(build.warnings[1].starts_with("the steps are not all written to http://127.0.0.1:1: "));
    let strict = format!("{},ignore-error=false", away[1]);
    first.build(&[&strict]).outcome.failure_with_result(1).says(&["127.0.0.1:1"]);

    let silent = BazelCache::scripted(None, |request| (request.method == "GET").then_some(Answer::Silence));
    let since = Instant::now();
    let build = Machine::new(STEPS).unwrap().build(&[&at(&silent)[0]]);
    assert_eq!((build.outcome.success().code, build.ran.len()), (Some(0), 4));
    assert!(build.warnings[0].ends_with("there was no answer within 10 seconds"), "{:?}", build.warnings);
    assert!(since.elapsed() < Duration::from_secs(35), "{:?}", since.elapsed());

    let full = BazelCache::scripted(None, |request| (request.method == "PUT").then_some(Answer::Status(413)));
    let build = Machine::new(STEPS).unwrap().build(&[&at(&full)[1]]);
    assert_eq!((build.outcome.success().code, build.warnings.len()), (Some(0), 1));
    assert!(build.warnings[0].contains("413"), "{:?}", build.warnings);
}

#[test]
fn a_password_goes_to_its_own_server_alone_and_is_never_shown() {
    let Some(first) = machine() else { return };
    let is_shown =
        |build: &Build| ["hid:den", "hid%3A", "hidden", "bWU6"].iter().any(|it| build.outcome.stderr.contains(it));
    let cache = BazelCache::with_user("me", "hid:den");
    let [from, to] = flags(&format!("http://me:hid%3Aden@{}", cache.address()));
    let build = first.build(&[&to]);
    assert_eq!(build.warnings, Vec::<String>::new());
    let build = Machine::new(STEPS).unwrap().build(&[&from]);
    assert_eq!((build.ran.len(), &build.warnings), (0, &Vec::new()));
    assert!(!is_shown(&build), "{}", build.outcome.stderr);
    // From where the passwords of registries are kept.
    let kept = Machine::new(STEPS).unwrap();
    let auth = BASE64_STANDARD.encode("me:hid:den");
    let config = format!("{{\"auths\":{{\"{}\":{{\"auth\":\"{auth}\"}}}}}}", cache.address());
    fs::create_dir_all(kept.program.docker_config()).unwrap();
    fs::write(kept.program.docker_config().join("config.json"), config).unwrap();
    let build = kept.build(&[&at(&cache)[0]]);
    assert_eq!((build.ran.len(), &build.warnings), (0, &Vec::new()));
    // Without, or with another, it is a warning.
    let wrong = flags(&format!("http://me:hidden@{}", cache.address()));
    for flag in [&at(&cache)[0], &wrong[0]] {
        let build = Machine::new(STEPS).unwrap().build(&[flag]);
        assert_eq!((build.ran.len(), build.warnings.len()), (4, 1), "{:?}", build.warnings);
        assert!(build.warnings[0].contains("401"), "{:?}", build.warnings);
        assert!(!is_shown(&build), "{}", build.outcome.stderr);
    }
    // A server that leads to another one does not lead the password there.
    let address = cache.address();
    let leading = BazelCache::scripted(Some(("me", "hid:den")), move |_| Some(Answer::Redirect(address.clone())));
    let before = cache.requests().len();
    let [from, _] = flags(&format!("http://me:hid%3Aden@{}", leading.address()));
    let build = Machine::new(STEPS).unwrap().build(&[&from]);
    assert_eq!(build.ran.len(), 4);
    assert!(leading.requests().iter().all(|request| request.header("authorization").is_some()));
    let led = cache.requests().split_off(before);
    assert!(!led.is_empty() && led.iter().all(|request| request.header("authorization").is_none()));
}

#[test]
fn what_names_no_server_or_an_open_one_is_refused() {
    let Some(machine) = Machine::new(STEPS) else { return };
    let refused = |flag: &str, says: &[&str]| {
        let outcome = machine.build(&[flag]).outcome.failure(2).says(says);
        assert!(!outcome.stderr.contains("hidden"), "{}", outcome.stderr);
    };
    refused("--cache-from=type=http", &["it does not say which server: add url=URL"]);
    refused("--cache-to=type=http,url=cache.example", &["`cache.example` is not the URL of a server"]);
    refused("--cache-to=type=http,url=ftp://me:hidden@cache.example", &["is not the URL of a server"]);
    refused("--cache-to=type=http,url=https://cache.example/?hidden", &["has more than a path"]);
    refused(
        "--cache-from=type=http,url=http://me:hidden@192.0.2.1",
        &["http://192.0.2.1 is not encrypted", "--insecure"],
    );
    // It removes what nobody uses by itself.
    for words in [["cache", "ls"], ["cache", "gc"]] {
        let words = [&words[..], &["https://me:hidden@cache.example/team"]].concat();
        let outcome = Program::new().run(words).failure(2).says(&["keeps and removes steps by itself"]);
        assert!(!outcome.stderr.contains("hidden"), "{}", outcome.stderr);
    }
}

#[test]
fn bake_and_compose_name_a_server_as_a_build_does() {
    let Some(first) = machine() else { return };
    let cache = BazelCache::new();
    let url = format!("http://{}", cache.address());
    let file = format!(
        "target \"default\" {{\n  output = [\"type=cacheonly\"]\n  cache-from = [\"type=http,url={url}\"]\n  \
         cache-to = [{{ type = \"http\", url = \"{url}\", mode = \"max\" }}]\n}}\n"
    );
    fs::write(first.context.path().join("docker-bake.hcl"), file).unwrap();
    let bake = |machine: &Machine| -> usize {
        let program = Program::new().directory(machine.context.path());
        let log = program.run(["bake", "--progress=json"]).success().stderr;
        let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        events.filter(|event| event["event"] == "command-started").count()
    };
    // As for a registry, nothing has to be allowed.
    assert_eq!((bake(&first), bake(&first)), (4, 0));
    let compose =
        format!("services:\n  app:\n    build:\n      context: .\n      cache_from: [\"type=http,url={url}\"]\n");
    fs::write(first.context.path().join("compose.yaml"), compose).unwrap();
    let program = Program::new().directory(first.context.path());
    let log = program.run(["compose", "build", "--progress=json"]).success().stderr;
    assert!(!log.contains("command-started"), "{log}");
}
