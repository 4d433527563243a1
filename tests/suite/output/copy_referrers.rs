//! `ocibake copy --referrers`: what refers to an image goes with it, between layouts and archives, which list it in their
//! index, registries that list it, and those for which clients keep the list.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::docker_registry::DockerRegistry;
use crate::support::fake_registry::{FakeRegistry, Reply};
use crate::support::program::Outcome;
use crate::support::tool::require;
use crate::support::traces::names_in;
use crate::support::world::{APP, World};

use super::copy::{put, root, tags};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn copy(world: &World, arguments: &[&str]) -> Outcome {
    world.program.run([&["copy"], arguments].concat())
}

/// An artifact of the type `kind` that refers to `subject`, in the layout and its index; returns its descriptor.
fn attach(layout: &Path, subject: &Value, kind: &str) -> Value {
    let content = put(layout, "text/plain", format!("{kind} of {}", subject["digest"]).as_bytes());
    let config = put(layout, "application/vnd.oci.empty.v1+json", b"{}");
    let subject = json!({"mediaType": subject["mediaType"], "digest": subject["digest"], "size": subject["size"]});
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": kind, "config": config, "layers": [content],
        "subject": subject, "annotations": {"about": kind},
    });
    let mut descriptor = put(layout, MANIFEST, manifest.to_string().as_bytes());
    descriptor["artifactType"] = kind.into();
    descriptor["annotations"] = json!({"about": kind});
    let path = layout.join("index.json");
    let mut index: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    index["manifests"].as_array_mut().unwrap().push(descriptor.clone());
    fs::write(path, index.to_string()).unwrap();
    descriptor
}

/// A layout `from` of an image for two platforms: the index is signed, one of the platforms has a bill of materials, and
/// that is signed, too. Returns the digests of these three.
pub fn signed(world: &World) -> [String; 3] {
    world.build(&["-t", "example/app:1", "-o", "from/"]).success();
    let layout = world.path("from");
    let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    let image = root(&layout)["manifests"][1].clone();
    let signature = attach(&layout, &index["manifests"][0], "example/signature");
    let bill = attach(&layout, &image, "example/sbom");
    let second = attach(&layout, &bill, "example/signature");
    [signature, bill, second].map(|descriptor| descriptor["digest"].as_str().unwrap().to_owned())
}

fn blobs(layout: &Path) -> BTreeSet<String> {
    names_in(&layout.join("blobs/sha256")).into_iter().collect()
}

/// What `index.json` lists without a name.
fn listed(layout: &Path) -> Vec<Value> {
    let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    let roots = index["manifests"].as_array().unwrap().iter();
    roots.filter(|root| root["artifactType"].is_string()).cloned().collect()
}

fn digests(listed: &[Value]) -> BTreeSet<String> {
    listed.iter().map(|descriptor| descriptor["digest"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn between_layouts_and_archives() {
    let world = World::new(APP);
    let all = signed(&world);
    copy(&world, &["oci:from:1", "-o", "x.tar", "--referrers"]).success();
    copy(&world, &["./x.tar", "-o", "to/", "--referrers"]).success();
    assert_eq!(blobs(&world.path("to")), blobs(&world.path("from")));
    assert_eq!(digests(&listed(&world.path("to"))), BTreeSet::from(all.clone()));
    for descriptor in listed(&world.path("to")) {
        assert!(listed(&world.path("from")).contains(&descriptor), "{descriptor} as it was");
    }
    // It has one image still, for whoever asks for it without a name.
    world.inspect(&["oci:to"]).success();
    // Without being asked for they stay.
    copy(&world, &["oci:from", "-o", "bare/"]).success();
    copy(&world, &["./from/", "-o", "all/"]).success();
    for bare in ["bare", "all"] {
        assert_eq!(listed(&world.path(bare)), [Value::Null; 0]);
        assert_eq!(blobs(&world.path(bare)).len(), 6, "index, two manifests, two configs, layer");
    }
    // What is known by a name or a digest of its own is copied as any image is.
    copy(&world, &[&format!("oci:from:{}", all[1]), "-o", "bill/", "--referrers"]).success();
    assert_eq!(listed(&world.path("bill")).len(), 2, "it, and its signature");
}

#[test]
fn those_of_platforms_that_stay_behind_stay_behind() {
    let world = World::new(APP);
    let [_, bill, second] = signed(&world);
    let arm64 = ["oci:from:1", "-o", "arm64/", "--referrers", "--platform=linux/arm64"];
    copy(&world, &arm64).success();
    assert_eq!(digests(&listed(&world.path("arm64"))), BTreeSet::from([bill, second]));
    copy(&world, &["oci:from:1", "-o", "amd64/", "--referrers", "--platform=linux/amd64"]).success();
    assert_eq!(listed(&world.path("amd64")), [Value::Null; 0]);
    let docker = ["oci:from:1", "-o", "type=docker,dest=x.tar", "--referrers", "--platform=linux/arm64"];
    copy(&world, &docker).failure(2).says(&["no place for referrers"]);
    assert!(!world.path("x.tar").exists());
}

/// Debian's docker-registry does not know the question: clients keep the list under a tag.
#[test]
fn to_a_registry_that_lists_none_and_back() {
    if !["docker-registry", "skopeo"].into_iter().all(require) {
        return;
    }
    let world = World::new(APP);
    let all = signed(&world);
    let registry = DockerRegistry::open();
    let name = format!("{}/org/app:1", registry.address());
    let other = format!("{}/other/app:1", registry.address());
    copy(&world, &["oci:from:1", &name, "--referrers"]).success();
    let tags = world.skopeo(&["list-tags", "--tls-verify=false", &format!("docker://{}/org/app", registry.address())]);
    let tags: Value = serde_json::from_str(&tags).unwrap();
    assert_eq!(tags["Tags"].as_array().unwrap().len(), 1 + 3, "1, and a list for each of three subjects: {tags}");
    copy(&world, &[&name, &other, "--referrers"]).success();
    copy(&world, &[&other, "-o", "to/", "--referrers"]).success();
    assert_eq!(blobs(&world.path("to")), blobs(&world.path("from")));
    assert_eq!(digests(&listed(&world.path("to"))), BTreeSet::from(all));
}

/// The lists that a registry gives, by subject: each page is a list of descriptors.
type Lists = Arc<Mutex<HashMap<String, Vec<Vec<Value>>>>>;

/// A registry that lists referrers as the distribution-spec has it, with a page at a time.
fn listing_registry(lists: &Lists) -> FakeRegistry {
    let lists = lists.clone();
    FakeRegistry::scripted(move |request| {
        let subject = request.path.split_once("/referrers/")?.1;
        let lists = lists.lock().unwrap();
        let page: usize = request.query.strip_prefix("page=").map_or(0, |page| page.parse().unwrap());
        let pages = lists.get(subject);
        let manifests = pages.and_then(|pages| pages.get(page)).cloned().unwrap_or_default();
        let body = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}).to_string().into_bytes();
        let reply = Reply::Answer(200, Vec::new(), body).with("content-type", INDEX);
        Some(match pages.is_some_and(|pages| page + 1 < pages.len()) {
            true => reply.with("link", format!("<{}?page={}>; rel=\"next\"", request.path, page + 1)),
            false => reply,
        })
    })
}

#[test]
fn from_a_registry_that_lists_them() {
    let world = World::new(APP);
    let [signature, bill, second] = signed(&world);
    let from: HashMap<String, Value> =
        listed(&world.path("from")).into_iter().map(|at| (at["digest"].as_str().unwrap().to_owned(), at)).collect();
    let read = |name: &str| -> Value { serde_json::from_slice(&fs::read(world.path(name)).unwrap()).unwrap() };
    let top = read("from/index.json")["manifests"][0].clone();
    let hex = top["digest"].as_str().unwrap().trim_start_matches("sha256:");
    let image = read(&format!("from/blobs/sha256/{hex}"))["manifests"][1].clone();
    let lists = Lists::default();
    let registry = listing_registry(&lists);
    let name = format!("{}/org/app:1", registry.address());
    copy(&world, &["oci:from:1", &name, "--referrers"]).success();
    {
        let mut lists = lists.lock().unwrap();
        let digest = |of: &Value| of["digest"].as_str().unwrap().to_owned();
        // On a second page; and listed for a second subject that it does not refer to.
        lists.insert(digest(&top), vec![vec![], vec![from[&signature].clone()]]);
        lists.insert(
            digest(&image),
            vec![vec![from[&bill].clone()], vec![from[&signature].clone(), from[&second].clone()]],
        );
        lists.insert(bill.clone(), vec![vec![from[&second].clone()]]);
    }
    let outcome = copy(&world, &[&name, "-o", "to/", "--referrers"]).success();
    assert_eq!(digests(&listed(&world.path("to"))), BTreeSet::from([signature, bill, second]));
    assert!(
        outcome.stderr.contains("is listed as referring to") && outcome.stderr.contains("and does not"),
        "{outcome:?}"
    );
    assert!(tags(&registry).contains("1"));
}

#[test]
fn a_referrer_that_is_not_whole_leaves_nothing() {
    let world = World::new(APP);
    let [_, bill, _] = signed(&world);
    let content = fs::read(world.path("from/blobs/sha256").join(bill.trim_start_matches("sha256:"))).unwrap();
    let manifest: Value = serde_json::from_slice(&content).unwrap();
    let hex = manifest["layers"][0]["digest"].as_str().unwrap().trim_start_matches("sha256:").to_owned();
    fs::remove_file(world.path("from/blobs/sha256").join(&hex)).unwrap();
    copy(&world, &["oci:from:1", "-o", "to/", "--referrers"]).failure(1).says(&["lacks 1 blob", &hex]);
    assert_eq!(world.names(), ["from"]);
    copy(&world, &["oci:from:1", "-o", "to/"]).success();
}
