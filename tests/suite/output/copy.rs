//! `ocibake copy`: from every kind of place to every other, with all platforms or some, under which names.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::docker_registry::DockerRegistry;
use crate::support::fake_registry::{self, FakeRegistry};
use crate::support::layout::Layout;
use crate::support::program::Outcome;
use crate::support::tool::{self, require};
use crate::support::world::{APP, World};

const KINDS: [&str; 4] = ["docker", "oci", "oci-archive", "docker-archive"];

/// A place of this kind with the name `name`; `at` tells several of a kind apart. As skopeo and as ocibake write it.
fn place(kind: &str, registry: &DockerRegistry, at: &str, name: &str) -> (String, String) {
    let text = match kind {
        "docker" => format!("{}/{at}/app:{name}", registry.address()),
        "oci" => format!("oci:{at}-layout:{name}"),
        "oci-archive" => format!("oci-archive:{at}-oci.tar:{name}"),
        _ => format!("docker-archive:{at}-docker.tar:example/app:{name}"),
    };
    (if kind == "docker" { format!("docker://{text}") } else { text.clone() }, text)
}

fn copy(world: &World, arguments: &[&str]) -> Outcome {
    world.program.run([&["copy"], arguments].concat())
}

/// The digest of the manifest or index, by skopeo and by the bytes alone.
fn skopeo_digest(world: &World, image: &str) -> String {
    let tls: &[&str] = if image.starts_with("docker://") { &["--tls-verify=false"] } else { &[] };
    let raw = world.skopeo(&[&["inspect", "--raw"], tls, &[image]].concat());
    fake_registry::digest(raw.as_bytes())
}

fn skopeo_config(world: &World, image: &str) -> String {
    let tls: &[&str] = if image.starts_with("docker://") { &["--tls-verify=false"] } else { &[] };
    fake_registry::digest(world.skopeo(&[&["inspect", "--config", "--raw"], tls, &[image]].concat()).as_bytes())
}

/// Where the copy is read from: an archive for docker has the very manifest only as the OCI archive that it is, too.
fn read_as(place: &str) -> String {
    match place.strip_prefix("docker-archive:") {
        Some(rest) => format!("oci-archive:{}", rest.replace("example/app:", "")),
        None => place.to_owned(),
    }
}

#[test]
fn an_image_goes_from_every_kind_of_place_to_every_other() {
    if !["docker-registry", "skopeo"].into_iter().all(require) {
        return;
    }
    let world = World::new(APP);
    let registry = DockerRegistry::open();
    let outputs = ["-o", "from-layout/", "-o", "from-oci.tar", "-o", "type=docker,dest=from-docker.tar"];
    world.build(&[&["--platform=linux/amd64", "-t", "example/app:1"], &outputs[..]].concat()).success();
    world.build(&["--platform=linux/amd64", "-t", &format!("{}/from/app:1", registry.address()), "--push"]).success();
    let original = skopeo_digest(&world, "oci:from-layout:1");
    let config = skopeo_config(&world, "oci:from-layout:1");
    for from in KINDS {
        let (from_skopeo, from) = place(from, &registry, "from", "1");
        // An archive for docker has no manifest, and what its reader makes of it lacks what docker does not write.
        let is_docker = from.starts_with("docker-archive:");
        assert!(is_docker || skopeo_digest(&world, &from_skopeo) == original);
        for to in KINDS {
            let at = format!("to-{}", from_skopeo.split(':').next().unwrap());
            let (to_skopeo, to) = place(to, &registry, &at, "2");
            let outcome = copy(&world, &[&from, &to]).success();
            let said = outcome.stdout.trim().rsplit_once('@').map_or(outcome.stdout.trim(), |(_, digest)| digest);
            assert_eq!(said, skopeo_digest(&world, &read_as(&to_skopeo)), "{from} {to}");
            assert!(is_docker || said == original, "{from} {to}");
            assert_eq!(skopeo_config(&world, &to_skopeo), config, "{from} {to}");
            // It reads every blob, and verifies it.
            world.skopeo(&["copy", "-q", "--src-tls-verify=false", &to_skopeo, "dir:check"]);
        }
    }
}

#[test]
fn an_index_goes_with_all_its_platforms() {
    if !["docker-registry", "skopeo"].into_iter().all(require) {
        return;
    }
    let world = World::new(APP);
    let registry = DockerRegistry::open();
    let original = world.build(&["-t", "example/app:1", "-o", "from-layout/", "-o", "from-oci.tar"]).digest();
    world.push(&format!("{}/from/app:1", registry.address()), &["--no-fan-out", "oci:from-layout:1"]).success();
    for from in &KINDS[..3] {
        for to in &KINDS[..3] {
            let (_, source) = place(from, &registry, "from", "1");
            let (to_skopeo, to) = place(to, &registry, &format!("to-{from}"), "2");
            copy(&world, &[&source, &to]).success();
            assert_eq!(skopeo_digest(&world, &to_skopeo), original, "{source} {to}");
            // It reads every blob of every platform, and verifies it.
            let check = format!("oci:check-{from}:x");
            world.skopeo(&["copy", "-q", "--all", "--src-tls-verify=false", &to_skopeo, &check]);
        }
        assert_eq!(Layout::open(world.path(&format!("check-{from}"))).images().len(), 2);
        let (_, source) = place(from, &registry, "from", "1");
        let refused = copy(&world, &[&source, "docker-archive:docker.tar:example/app:1"]).failure(1);
        refused.says(&["docker.tar would hold several platforms", "--platform"]);
    }
    assert!(!world.path("docker.tar").exists());
}

#[test]
fn platforms_can_be_chosen() {
    let spec = APP.replace(r#""linux/arm64""#, r#""linux/arm64", "linux/riscv64""#);
    let world = World::new(&spec);
    let whole = world.build(&["-t", "example/app:1", "-o", "from/"]).digest();
    let all = Layout::open(world.path("from")).images();
    let listed = |layout: &str| -> Vec<String> {
        let layout = Layout::open(world.path(layout));
        layout.images().iter().map(|image| image.digest.clone()).collect()
    };
    let digest_of = |platform: &str| all.iter().find(|image| image.platform() == platform).unwrap().digest.clone();

    copy(&world, &["oci:from:1", "oci:two:1", "--platform=linux/riscv64,linux/amd64"]).success();
    assert_eq!(listed("two"), [digest_of("linux/amd64"), digest_of("linux/riscv64")]);
    let (before, after) = (root(&world.path("from")), root(&world.path("two")));
    assert_eq!(after["annotations"], before["annotations"]);
    assert_eq!(after["mediaType"], before["mediaType"]);
    let kept: Vec<_> = [0, 2].map(|number| before["manifests"][number].clone()).into();
    assert_eq!(after["manifests"], Value::from(kept), "the descriptors are those of before");

    let one = copy(&world, &["oci:from:1", "oci:one:1", "--platform", "arm64/v8"]);
    one.failure(2).says(&["arm64/v8"]);
    let one = copy(&world, &["oci:from:1", "oci:one:1", "--platform", "linux/arm64/v8"]).success();
    assert_eq!(one.stdout.trim(), digest_of("linux/arm64"), "a plain manifest, as it was in the index");
    assert_eq!(listed("one"), [digest_of("linux/arm64")]);

    let all = copy(&world, &["oci:from:1", "oci:all:1", "--platform=linux/riscv64,linux/amd64,linux/arm64"]).success();
    assert_eq!(all.stdout.trim(), whole, "it is the index that it was");
    let missing = copy(&world, &["oci:from:1", "oci:none:1", "--platform=linux/amd64,linux/s390x"]).failure(1);
    missing.says(&["no image for linux/s390x", "linux/amd64, linux/arm64, linux/riscv64"]);
    let missing = copy(&world, &["oci:one:1", "oci:none:1", "--platform=linux/amd64"]).failure(1);
    missing.says(&["oci:one:1 has no image for linux/amd64", "it has linux/arm64"]);
    assert!(!world.path("none").exists());
}

/// An attestation as BuildKit puts it into an index stays with the image that it is about.
#[test]
fn attestations_stay_with_their_images() {
    let spec = APP.replace(r#""linux/arm64""#, r#""linux/arm64", "linux/riscv64""#);
    let world = World::new(&spec);
    world.build(&["-t", "example/app:1", "-o", "from/"]).success();
    let layout = world.path("from");
    let mut index = root(&layout);
    let images = index["manifests"].as_array().unwrap().clone();
    for image in &images[..2] {
        let statement = put(&layout, "application/vnd.in-toto+json", format!("about {}", image["digest"]).as_bytes());
        let config = put(
            &layout,
            "application/vnd.oci.image.config.v1+json",
            br#"{"architecture":"unknown","os":"unknown","config":{},"rootfs":{"type":"layers","diff_ids":[]}}"#,
        );
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [statement]});
        let mut manifest = put(&layout, MANIFEST, manifest.to_string().as_bytes());
        manifest["platform"] = json!({"architecture": "unknown", "os": "unknown"});
        manifest["annotations"] = json!({
            "vnd.docker.reference.digest": image["digest"], "vnd.docker.reference.type": "attestation-manifest"});
        index["manifests"].as_array_mut().unwrap().push(manifest);
    }
    let mut root_descriptor = put(&layout, "application/vnd.oci.image.index.v1+json", index.to_string().as_bytes());
    root_descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": "attested"});
    let listing = json!({"schemaVersion": 2, "manifests": [root_descriptor]});
    fs::write(layout.join("index.json"), listing.to_string()).unwrap();

    copy(&world, &["oci:from:attested", "oci:two:1", "--platform=linux/amd64,linux/riscv64"]).success();
    let narrowed = root(&world.path("two"));
    let kept: Vec<_> = [0, 2, 3].map(|number| index["manifests"][number].clone()).into();
    assert_eq!(narrowed["manifests"], Value::from(kept));
    copy(&world, &["oci:from:attested", "oci:one:1", "--platform=linux/amd64"]).success();
    assert_eq!(root(&world.path("one"))["config"]["mediaType"], "application/vnd.oci.image.config.v1+json");
}

#[test]
fn a_copy_has_the_names_of_its_source_unless_it_is_given_others() {
    let world = World::new(APP);
    let digest = world.build(&["-t", "example/app:1", "-t", "registry.example/app:2", "-o", "from/"]).digest();
    let both = ["docker.io/example/app:1", "registry.example/app:2"];
    for (arguments, expected) in [
        (&["./from", "-o", "to/"][..], &both[..]),
        (&["./from", "to/"], &both),
        (&["./from/", "oci:to"], &both),
        (&["from/", "./to/"], &both),
        (&["oci:from:2", "oci:to"], &both[1..]),
        (&["oci:from:example/app:1", "oci:to"], &both[..1]),
        (&["oci:from:2", "oci:to:x"], &["x"]),
        (&["./from", "oci:to:host.example/y:3"], &["host.example/y:3"]),
        (&[&format!("oci:from:{digest}"), "oci:to"], &both),
    ] {
        let outcome = copy(&world, arguments).success();
        assert_eq!(names(&world.path("to")), expected, "{arguments:?}");
        assert!(outcome.stdout.trim().ends_with(&digest), "{arguments:?}: {outcome:?}");
        assert_eq!(outcome.stdout.lines().count(), 1, "{arguments:?}");
        fs::remove_dir_all(world.path("to")).unwrap();
    }
    // Within a layout it gets another name, and what had that name loses it.
    copy(&world, &["oci:from:1", "oci:from:3"]).success();
    assert_eq!(names(&world.path("from")), [&both[..], &["3"]].concat());
    world.change("other");
    world.build(&["-t", "example/app:9", "-o", "from/"]).success();
    copy(&world, &["oci:from:9", "oci:from:3"]).success();
    assert_eq!(names(&world.path("from")), [&both[..], &["docker.io/example/app:9", "3"]].concat());
}

#[test]
fn a_name_at_the_destination_is_not_empty() {
    let world = World::new(APP);
    world.build(&["-t", "example/app:1", "-o", "from/", "--platform=linux/amd64"]).success();
    for kind in ["oci", "oci-archive", "docker-archive"] {
        copy(&world, &["./from", &format!("{kind}:to:")])
            .failure(2)
            .says(&[":to:` ends before the name", "last colon"]);
    }
    assert_eq!(world.names(), ["from"]);
}

#[test]
fn a_registry_gets_the_tags_of_the_source_unless_it_is_given_one() {
    let world = World::new(APP);
    let digest = world.build(&["-t", "example/app:1", "-t", "example/app:2", "-o", "from/", "-o", "x.tar"]).digest();
    strip_names(&world.path("from"), &world.path("unnamed"));
    for (source, tag, expected) in [
        ("./from", "", &["1", "2"][..]),
        ("oci:from:2", "", &["2"]),
        ("./x.tar", ":3", &["3"]),
        (&format!("oci:from:{digest}"), ":3", &["3"]),
        ("oci:unnamed", "", &["latest"]),
    ] {
        let registry = FakeRegistry::new();
        let name = format!("{}/mirror/app", registry.address());
        let outcome = copy(&world, &[source, &format!("{name}{tag}")]).success();
        assert_eq!(tags(&registry), set(expected), "{source} {tag}");
        assert_eq!(outcome.stdout, format!("{name}:{}@{digest}\n", expected[0]));
    }
    // What is named by a digest is not given a tag that nobody asked for.
    let (one, other) = (FakeRegistry::new(), FakeRegistry::new());
    copy(&world, &["oci:from:1", &format!("{}/a/app", one.address())]).success();
    let outcome = copy(&world, &[&format!("{}/a/app@{digest}", one.address()), &format!("{}/b/app", other.address())]);
    assert_eq!(outcome.success().stdout, format!("{}/b/app@{digest}\n", other.address()));
    assert_eq!(tags(&other), set(&[]));
    assert!(other.manifest(&format!("b/app/{digest}")).is_some());
}

/// Makes `to` of the layout `from`, without the names in it.
fn strip_names(from: &Path, to: &Path) {
    tool::run("cp", [Path::new("-r"), from, to]);
    let path = to.join("index.json");
    let mut index: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let manifests = index["manifests"].as_array_mut().unwrap();
    manifests.truncate(1);
    manifests[0].as_object_mut().unwrap().remove("annotations");
    fs::write(path, index.to_string()).unwrap();
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The document that the only image of a layout begins with.
pub fn root(layout: &Path) -> Value {
    let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    let roots: BTreeSet<_> =
        index["manifests"].as_array().unwrap().iter().map(|root| root["digest"].as_str().unwrap()).collect();
    assert_eq!(roots.len(), 1);
    let hex = roots.first().unwrap().trim_start_matches("sha256:");
    serde_json::from_slice(&fs::read(layout.join("blobs/sha256").join(hex)).unwrap()).unwrap()
}

/// Puts a blob into a layout and returns its descriptor.
pub fn put(layout: &Path, media_type: &str, bytes: &[u8]) -> Value {
    let digest = fake_registry::digest(bytes);
    fs::write(layout.join("blobs/sha256").join(digest.trim_start_matches("sha256:")), bytes).unwrap();
    json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
}

/// The full names in a layout, or the short ones where there is no other, in the order of its index.
pub fn names(layout: &Path) -> Vec<String> {
    let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    let name = |root: &Value| {
        let keys = ["io.containerd.image.name", "org.opencontainers.image.ref.name"];
        keys.iter().find_map(|key| root["annotations"][*key].as_str()).unwrap_or_default().to_owned()
    };
    index["manifests"].as_array().unwrap().iter().map(name).collect()
}

/// The tags that were set.
pub fn tags(registry: &FakeRegistry) -> BTreeSet<String> {
    let puts = registry.requests().into_iter().filter(|request| request.is("PUT", "/manifests/"));
    puts.map(|put| put.path.rsplit_once('/').unwrap().1.to_owned()).filter(|name| !name.contains(':')).collect()
}

pub fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
