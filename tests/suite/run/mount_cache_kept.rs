//! Who has written the cache mounts of a registry, how many may at a time, and how long it keeps them.

use std::fs;
use std::thread;

use serde_json::{Value, json};

use super::mount_cache::{build, flag, kept, listing, with_cache};
use super::step_cache::{Machine, both};
use super::step_cache_kept::keys;
use super::step_cache_wrong::IMAGE;
use crate::support::docker_registry::DockerRegistry;
use crate::support::fake_registry::FakeRegistry;
use crate::support::faulty_proxy::FaultyProxy;
use crate::support::program::Program;
use crate::support::tool::require;

/// Writes down what was there, and leaves its own.
const LEAVE: &str = "cat /cache/name > /seen 2>/dev/null || true; cat /own > /cache/name";

fn machine(own: &str) -> Option<Machine> {
    let machine = Machine::new(&with_cache(LEAVE).replace("RUN --mount", "COPY own /own\nRUN --mount"))?;
    fs::write(machine.context.path().join("own"), own).unwrap();
    Some(machine)
}

/// What the command of a machine has found.
#[track_caller]
fn found(own: &str, flags: &[&str], warnings: usize) -> String {
    let (root, build) = machine(own).unwrap().root(flags);
    assert_eq!(build.warnings.len(), warnings, "{:?}", build.warnings);
    fs::read_to_string(root.path().join("seen")).unwrap()
}

fn is_signed(registry: &FakeRegistry) -> Vec<bool> {
    let names = registry.manifest_names().into_iter().filter(|name| name.contains("/mount-"));
    let read = |name: String| serde_json::from_slice::<Value>(&registry.manifest(&name).unwrap().1).unwrap();
    names.map(|name| read(name)["annotations"]["dev.ocibake.cache-mount.signature"].is_string()).collect()
}

#[test]
fn with_a_key_only_what_it_has_signed_is_taken() {
    if !require("openssl") || machine("").is_none() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let [sign, verify] = keys(place.path(), "main");
    let [other_sign, other_verify] = keys(place.path(), "other");
    let registry = FakeRegistry::new();
    let (mounts, pull) = (flag(&registry.address(), ""), flag(&registry.address(), ",mode=pull"));
    found("one", &[&mounts, &other_sign], 0);
    assert_eq!(found("x", &[&pull], 0), "one");
    assert_eq!(found("x", &[&pull, &verify], 1), "", "it is another's");
    assert_eq!(found("x", &[&pull, &other_verify], 0), "one");
    // What the main pipeline writes takes its place.
    assert_eq!(found("two", &[&mounts, &verify, &sign], 1), "");
    assert_eq!(found("x", &[&pull, &verify], 0), "two");
    assert_eq!(found("x", &[&pull, &verify, &other_verify], 0), "two");
    // It goes on from there, signed.
    assert_eq!(found("three", &[&mounts, &verify, &sign], 0), "two");
    assert_eq!(found("x", &[&pull, &verify], 0), "three");
    // Everything that a build goes by is signed.
    let names = registry.manifest_names().into_iter().filter(|name| name.contains("/mount-"));
    let names: Vec<String> = names.collect();
    let right: Value = serde_json::from_slice(&registry.manifest(&names[0]).unwrap().1).unwrap();
    const LAYERS: &str = "dev.ocibake.cache-mount.layers";
    let changes: [fn(&mut Value); 3] = [
        |manifest| drop(manifest["layers"].as_array_mut().unwrap().swap_remove(1)),
        |manifest| {
            let said = manifest["annotations"][LAYERS].as_str().unwrap().replace("\"size\":", "\"size\":1");
            manifest["annotations"][LAYERS] = json!(said);
        },
        |manifest| manifest["annotations"]["dev.ocibake.cache-mount.signature"] = json!("AAAA"),
    ];
    for change in changes {
        let mut manifest = right.clone();
        change(&mut manifest);
        names.iter().for_each(|name| registry.put_manifest(name, IMAGE, manifest.to_string().as_bytes()));
        assert_eq!(found("x", &[&pull, &verify], 1), "");
    }
}

#[test]
fn what_stands_on_what_nobody_has_verified_is_not_signed() {
    if !require("openssl") || machine("").is_none() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let [sign, verify] = keys(place.path(), "main");
    let registry = FakeRegistry::new();
    let mounts = flag(&registry.address(), "");
    found("one", &[&mounts], 0);
    // Taken unverified, and signed by whoever builds with it: that would be as good as no key.
    let steps = tempfile::tempdir().unwrap();
    let [from, to] = both(&format!("local:{}", steps.path().display()));
    let second = machine("two").unwrap();
    build(&second, &[&mounts, &sign, &to], &[]);
    assert_eq!(is_signed(&registry), [false, false]);
    let third = build(&machine("two").unwrap(), &[&from, &verify], &[]);
    assert_eq!(third.ran.len(), 2, "no step of a build that has used it is signed: {:?}", third.ran);
    // Nor is it later, where it is still what it was.
    fs::write(second.context.path().join("own"), "three").unwrap();
    build(&second, &[&mounts, &sign, &verify], &[]);
    assert_eq!(is_signed(&registry), [false, false]);
    // Who has begun with nothing signs; and not on steps that may come from anybody.
    let other = FakeRegistry::new();
    found("one", &[&flag(&other.address(), ""), &sign, &from], 0);
    assert_eq!(is_signed(&other), [false, false]);
    let other = FakeRegistry::new();
    found("one", &[&flag(&other.address(), ""), &sign], 0);
    assert_eq!(is_signed(&other), [true, true]);
}

/// Nothing that fails keeps a build from its end, and what is there at the end is what one of them has left.
#[test]
fn many_write_one_mount_while_requests_fail() {
    if !require("docker-registry") || Machine::new("").is_none() {
        return;
    }
    let registry = DockerRegistry::open();
    let proxy = FaultyProxy::before(&registry.address(), 30, 11);
    let flag_for = |address: &str| flag(address, ",mode=push");
    let fill = |number: usize| {
        let files = (0..20).map(|file| format!("head -c 30000 /dev/urandom > /cache/{number}-{file}"));
        with_cache(&files.collect::<Vec<_>>().join(" && "))
    };
    let trees: Vec<_> = thread::scope(|scope| {
        let builds: Vec<_> = (0..8)
            .map(|number| {
                let (fill, flag) = (fill(number), flag_for(&proxy.address()));
                scope.spawn(move || {
                    let machine = Machine::new(&fill).unwrap();
                    assert_eq!(machine.build(&[&flag]).outcome.code, Some(0));
                    listing(&kept(&machine))
                })
            })
            .collect();
        builds.into_iter().map(|build| build.join().unwrap()).collect()
    });
    let reader = Machine::new(&with_cache("ls /cache > /seen")).unwrap();
    build(&reader, &[&flag(&registry.address(), "")], &[]);
    assert!(trees.contains(&listing(&kept(&reader))));
}

#[test]
fn two_builds_of_one_machine_bring_it_once_and_wait_for_each_other() {
    let Some(first) = Machine::new(&with_cache("head -c 3000000 /dev/urandom > /cache/a")) else { return };
    let registry = FakeRegistry::new();
    let flag = flag(&registry.address(), "");
    build(&first, &[&flag], &[]);
    let shared = Machine::new(&with_cache("true")).unwrap();
    let dockerfile = |name: &str| {
        let text = with_cache(&format!("ls /cache/a && touch /cache/{name} && sleep 1"));
        fs::write(shared.context.path().join(name), text).unwrap();
    };
    dockerfile("one");
    dockerfile("two");
    let before = registry.requests().len();
    thread::scope(|scope| {
        for name in ["one", "two"] {
            let (shared, flag) = (&shared, &flag);
            let file = format!("--file={}", shared.context.path().join(name).display());
            scope.spawn(move || assert_eq!(shared.build(&[&file, flag]).outcome.code, Some(0)));
        }
    });
    let pulls = registry.requests()[before..].iter().filter(|request| request.is("GET", "/blobs/")).count();
    assert_eq!(pulls, 1);
    let next = Machine::new(&with_cache("ls /cache > /seen")).unwrap();
    build(&next, &[&flag], &[]);
    let names: Vec<String> = listing(&kept(&next)).into_keys().collect();
    assert!(names.contains(&"a".to_owned()) && names.len() >= 3, "{names:?}");
}

#[test]
fn mounts_are_listed_and_old_ones_removed_but_for_the_newest() {
    if !require("docker-registry") || machine("").is_none() {
        return;
    }
    let registry = DockerRegistry::that_deletes();
    let name = format!("{}/team/mounts", registry.address());
    let mounts = flag(&registry.address(), ",key=own");
    for own in ["one", "two", "three"] {
        found(own, &[&mounts], 0);
        // They tell their times in seconds.
        thread::sleep(std::time::Duration::from_millis(1100));
    }
    let program = Program::new();
    let listed = program.run(["cache", "ls", &name]).success().stdout;
    assert_eq!(listed.matches("  cache mount work\n").count(), 3, "{listed}");
    assert!(listed.ends_with(&format!(" in {name}: 0 steps, 3 cache mounts\n")), "{listed}");
    let document = |words: &[&str]| -> Value {
        serde_json::from_str(&program.run([words, &[&name, "--json"]].concat()).success().stdout).unwrap()
    };
    let all = document(&["cache", "ls"]);
    assert_eq!(all["cacheMounts"].as_array().unwrap().len(), 3, "{all}");
    assert_eq!((&all["cacheMounts"][0]["id"], &all["cacheMounts"][0]["isSigned"]), (&"work".into(), &false.into()));
    assert_eq!(document(&["cache", "gc"])["cacheMounts"], json!([]), "none is old");
    let would = document(&["cache", "gc", "--older-than=0s", "--dry-run"]);
    assert_eq!((would["cacheMounts"].as_array().unwrap().len(), &would["keptCacheMounts"]), (2, &1.into()));
    let removed = program.run(["cache", "gc", "--older-than=0s", &name]).success().stdout;
    assert!(removed.contains("removed 0 steps, 2 cache mounts with layers of "), "{removed}");
    assert_eq!(document(&["cache", "ls"])["cacheMounts"].as_array().unwrap().len(), 1);
    let pull = flag(&registry.address(), ",key=own,mode=pull");
    assert_eq!(found("one", &[&pull], 0), "three", "the newest stays, and is what there is for all");
}
