//! Results are foreign data: what is wrong with one is an error, and no tag is set.

use serde_json::{Value, json};

use super::System;
use crate::support::fake_registry::{FakeRegistry, digest};
use crate::support::http::Request;
use crate::support::tool::require;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The results that were left, as `repository/tag` by the names of their nodes.
fn results(registry: &FakeRegistry) -> Vec<(String, String)> {
    let requests = registry.requests();
    let puts = requests.iter().filter(|request| request.is("PUT", "/manifests/plan-"));
    let name = |request: &Request| request.path.trim_start_matches("/v2/").replacen("/manifests/", "/", 1);
    let node = |name: &str| read(registry, name)["annotations"]["dev.ocibake.node"].as_str().unwrap().to_owned();
    puts.map(name).map(|name| (node(&name), name)).collect()
}

fn read(registry: &FakeRegistry, name: &str) -> Value {
    serde_json::from_slice(&registry.manifest(name).unwrap().1).unwrap()
}

fn sets_tags(registry: &FakeRegistry) -> bool {
    let is_tag = |request: &&Request| request.is("PUT", "/many/") && request.path.contains("/manifests/");
    let requests = registry.requests();
    requests.iter().filter(is_tag).any(|request| !request.path.contains("sha256:") && !request.path.contains("/plan-"))
}

#[test]
fn a_poisoned_result_is_never_joined() {
    if !require("git") {
        return;
    }
    let registry = FakeRegistry::new();
    let system = System::new(&registry.address(), 2);
    let one = system.made_by_one("many");
    system.plan(&["--shards", "2"]).success();
    system.shard("1/2").success();
    system.shard("2/2").success();
    let all = results(&registry);
    assert_eq!(all.len(), 4, "{all:?}");
    let name_of = |node: &str| all.iter().find(|(own, _)| own == node).unwrap().1.clone();
    let name = name_of("t001/linux/amd64");
    let good = registry.manifest(&name).unwrap().1;
    let (arm, other) = (read(&registry, &name_of("t001/linux/arm64")), read(&registry, &name_of("t000/linux/amd64")));
    let changed = |change: &dyn Fn(&mut Value)| {
        let old = read(&registry, &name)["manifests"][0].clone();
        let mut new = old.clone();
        change(&mut new);
        // The order of the members is the writer's own.
        let members = |value: &Value| {
            let place = &value["platform"];
            [("digest", &value["digest"]), ("size", &value["size"]), ("architecture", &place["architecture"])]
                .map(|(key, value)| format!("\"{key}\":{value}"))
        };
        let pairs = members(&old).into_iter().zip(members(&new));
        let text = String::from_utf8(good.clone()).unwrap();
        pairs.fold(text, |text, (old, new)| text.replacen(&old, &new, 1)).into_bytes()
    };
    let text = String::from_utf8(good.clone()).unwrap();
    let other_plan = digest(b"another plan");
    let own_plan = read(&registry, &name)["annotations"]["dev.ocibake.plan"].as_str().unwrap().to_owned();
    let take = |from: &Value, keys: &[&str]| {
        let (from, keys): (Value, Vec<String>) =
            (from["manifests"][0].clone(), keys.iter().map(|key| (*key).to_owned()).collect());
        move |own: &mut Value| keys.iter().for_each(|key| own[key] = from[key].clone())
    };
    let cases: Vec<(&str, &str, Vec<u8>, &str)> = vec![
        ("garbage", INDEX, b"garbage".to_vec(), "is not valid"),
        ("nothing of it", INDEX, b"{}".to_vec(), "is not a result"),
        ("another type", MANIFEST, good.clone(), "bytes of the type"),
        (
            "an image",
            MANIFEST,
            registry.manifest(&format!("many/t001/{}", arm["manifests"][0]["digest"].as_str().unwrap())).unwrap().1,
            "bytes of the type",
        ),
        ("another plan's", INDEX, text.replace(&own_plan, &other_plan).into_bytes(), "is for `"),
        (
            "another node's",
            INDEX,
            registry.manifest(&name_of("t001/linux/arm64")).unwrap().1,
            "is for `t001/linux/arm64`",
        ),
        (
            "another target's",
            INDEX,
            registry.manifest(&name_of("t000/linux/amd64")).unwrap().1,
            "is for `t000/linux/amd64`",
        ),
        ("a wrong size", INDEX, changed(&|own| own["size"] = json!(own["size"].as_u64().unwrap() + 1)), "bytes"),
        ("a huge image", INDEX, changed(&|own| own["size"] = json!(1u64 << 40)), "names 1099511627776 bytes"),
        ("a negative size", INDEX, changed(&|own| own["size"] = json!(-1)), "is not valid"),
        ("huge", INDEX, [&good[..], &[b' '; 70_000]].concat(), "bytes of the type"),
        ("a space too much", INDEX, [&good[..], b"\n"].concat(), "holds more than a result"),
        ("a member too much", INDEX, text.replacen('{', "{\"also\":1,", 1).into_bytes(), "holds more than a result"),
        (
            "two images",
            INDEX,
            text.replacen("\"manifests\":[", &format!("\"manifests\":[{},", other["manifests"][0]), 1).into_bytes(),
            "names 2 manifests",
        ),
        (
            "an image that is not there",
            INDEX,
            changed(&|own| own["digest"] = json!(digest(b"nothing"))),
            "manifests/sha256:",
        ),
        (
            "an image for another platform",
            INDEX,
            changed(&take(&arm, &["digest", "size"])),
            "is an image for linux/arm64",
        ),
        (
            "that, and it says so",
            INDEX,
            changed(&take(&arm, &["digest", "size", "platform"])),
            "is an image for linux/arm64",
        ),
    ];
    for (what, media_type, bytes, said) in cases {
        assert_ne!((media_type, &bytes), (INDEX, &good), "{what}");
        registry.put_manifest(&name, media_type, &bytes);
        let outcome = system.join();
        assert_eq!(outcome.code, Some(1), "{what}: {outcome:?}");
        assert!(outcome.stderr.contains(said), "{what}: {}", outcome.stderr);
        assert!(!sets_tags(&registry), "{what}");
    }
    registry.put_manifest(&name, INDEX, &good);
    assert_eq!(system.join().success().stdout, one);
    assert!(sets_tags(&registry));
}

#[test]
fn two_shards_that_make_two_things_of_one_node_name_both() {
    if !require("git") {
        return;
    }
    let registry = FakeRegistry::new();
    let system = System::new(&registry.address(), 2);
    system.plan(&["--shards", "4"]).success();
    system.shard("1/4").success();
    let (node, name) = results(&registry).remove(0);
    assert_eq!(node, "t000/linux/amd64");
    let good = String::from_utf8(registry.manifest(&name).unwrap().1).unwrap();
    let own = read(&registry, &name)["manifests"][0]["digest"].as_str().unwrap().to_owned();
    let other = digest(b"what another shard made");
    registry.put_manifest(&name, INDEX, good.replace(&own, &other).as_bytes());
    // The second one has what stands on it, and so makes it, too.
    system.shard("2/4").failure(1).says(&["t000/linux/amd64 was built as", &own, &other]);
    // The first one looks for what its result names, and does not find it.
    system.shard("1/4").failure(1).says(&["t000/linux/amd64 was built as", &own, &other]);
    assert_eq!(results(&registry).len(), 1);
    registry.put_manifest(&name, INDEX, good.as_bytes());
    system.shard("2/4").success();
}

#[test]
fn a_result_whose_image_is_gone_is_made_again() {
    if !require("git") {
        return;
    }
    let registry = FakeRegistry::new();
    let system = System::new(&registry.address(), 1);
    system.plan(&["--shards", "1"]).success();
    let built = system.shard("1/1").success().stdout;
    let before = registry.requests().len();
    let (_, name) = results(&registry).remove(0);
    let image = read(&registry, &name)["manifests"][0]["digest"].as_str().unwrap().to_owned();
    registry.remove_manifest(&format!("many/t000/{image}"));
    assert_eq!(system.shard("1/1").success().stdout, built);
    let put = registry.requests().split_off(before).iter().filter(|request| request.is("PUT", &image)).count();
    assert_eq!(put, 1);
    system.join().success();
}
