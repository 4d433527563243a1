//! `--cache-from`: what an earlier image has is neither made nor sent again, and nothing of that shows in the result.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::docker_registry::DockerRegistry;
use crate::support::fake_registry::{FakeRegistry, Reply, Request, digest};
use crate::support::layout::Layout;
use crate::support::noise::noise;
use crate::support::program::{Outcome, Program};
use crate::support::rebuild::settle;
use crate::support::tool::{self, require};
use crate::support::traces::assert_store_is_sound;
use crate::support::tree::Tree;

const SPEC: &str = "name = \"example/cached\"\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n\
                    [[layer]]\nname = \"one\"\nadd = [{ from = \"one\", to = \"/one/\" }]\n\
                    [[layer]]\nname = \"two\"\nadd = [{ from = \"two\", to = \"/two/\" }]\n";

fn context() -> TempDir {
    Tree::new().file("ocibake.toml", SPEC).file("one/noise", noise(1, 2_000_000)).file("two/text", "text\n").plant()
}

/// One machine with a store of its own; the context is shared.
struct Runner<'a> {
    program: Program,
    context: &'a Path,
}

/// How a run made its layers.
struct Run {
    outcome: Outcome,
    /// Of the image.
    digest: String,
    made: Vec<String>,
    /// Title and image.
    taken: Vec<(String, String)>,
    warnings: Vec<String>,
}

impl<'a> Runner<'a> {
    fn new(context: &'a TempDir) -> Self {
        Runner { program: Program::new(), context: context.path() }
    }

    fn run(&self, command: &[&str], flags: &[&str]) -> Run {
        let words = [command, &[self.context.to_str().unwrap(), "--progress=json"], flags].concat();
        let outcome = self.program.run(words).success();
        let events: Vec<Value> =
            outcome.stderr.lines().map(|line| serde_json::from_str(line).expect("an event is JSON")).collect();
        let of = |kind: &str| events.iter().filter(|event| event["event"] == kind).cloned().collect::<Vec<_>>();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let started = of("layer-started");
        let title = |event: &Value| {
            let start = started.iter().find(|start| start["layer"] == event["layer"]).expect("what ends has begun");
            text(&start["title"])
        };
        Run {
            digest: outcome.stdout.trim().rsplit('@').next().unwrap().to_owned(),
            made: sorted(of("layer-finished").iter().map(title).collect()),
            taken: sorted(
                of("layer-taken").iter().map(|event| (text(&event["title"]), text(&event["from"]))).collect(),
            ),
            warnings: of("warning").iter().map(|event| text(&event["message"])).collect(),
            outcome,
        }
    }

    fn build(&self, flags: &[&str]) -> Run {
        self.run(&["build"], &[&["-o", "image.tar"], flags].concat())
    }

    fn push(&self, name: &str, flags: &[&str]) -> Run {
        self.run(&["push", "--no-fan-out", name], flags)
    }
}

/// Layers are made side by side, and any may be done first.
fn sorted<T: Ord>(mut all: Vec<T>) -> Vec<T> {
    all.sort();
    all
}

/// The digests of the layers of an image that was pushed.
fn layers(registry: &FakeRegistry, name: &str) -> Vec<String> {
    let read = |name: &str| serde_json::from_slice::<Value>(&registry.manifest(name).unwrap().1).unwrap();
    let repository = name.rsplit_once('/').unwrap().0;
    let image = read(name)["manifests"][0]["digest"].as_str().unwrap().to_owned();
    let manifest = read(&format!("{repository}/{image}"));
    manifest["layers"].as_array().unwrap().iter().map(|layer| layer["digest"].as_str().unwrap().to_owned()).collect()
}

fn both(from: &str) -> Vec<(String, String)> {
    ["one", "two"].map(|title| (title.to_owned(), from.to_owned())).to_vec()
}

#[test]
fn a_fresh_runner_makes_nothing_sends_nothing_and_pulls_nothing() {
    let context = context();
    let registry = FakeRegistry::new();
    let (one, two) = (format!("{}/org/app:1", registry.address()), format!("{}/org/app:2", registry.address()));
    let first = Runner::new(&context).push(&one, &[]);
    assert_eq!(first.made, ["one", "two"]);
    let uploads = registry.count("POST", "/blobs/uploads/");

    let runner = Runner::new(&context);
    let second = runner.push(&two, &["--cache-from", &one]);
    assert_eq!((second.digest, second.taken, &second.made[..]), (first.digest, both(&one), &[][..]));
    assert_eq!(registry.count("POST", "/blobs/uploads/"), uploads);
    for layer in layers(&registry, "org/app/2") {
        assert_eq!(registry.count("GET", &layer), 0);
        assert!(!runner.program.store().join("blobs/sha256").join(&layer[7..]).exists());
    }
    let shown = Runner::new(&context);
    let words = ["push", "--no-fan-out", &two, context.path().to_str().unwrap(), "--cache-from", &one];
    let shown = shown.program.run(words).success();
    assert!(shown.stderr.contains(&format!(" as in {one}\n")), "{shown:?}");
}

#[test]
fn the_image_in_a_real_registry_is_right() {
    if !["docker-registry", "skopeo"].into_iter().all(require) {
        return;
    }
    let context = context();
    let registry = DockerRegistry::open();
    let name = |name: &str| format!("{}/{name}", registry.address());
    let first = Runner::new(&context).push(&name("org/app:1"), &[]);
    // Of the same repository, and of another, into which the registry takes them over.
    for (to, outcome) in [("org/app:2", "present"), ("org/other:1", "mounted")] {
        let second = Runner::new(&context).push(&name(to), &["--cache-from", &name("org/app:1")]);
        assert_eq!((&second.digest, second.taken), (&first.digest, both(&name("org/app:1"))));
        let said = second.outcome.stderr.matches(&format!("\"outcome\":\"{outcome}\"")).count();
        assert!(said >= 2, "{outcome}: {:?}", second.outcome);
        let place = tempfile::tempdir().unwrap();
        let layout = place.path().join("layout");
        let (from, to) = (format!("docker://{}", name(to)), format!("oci:{}", layout.display()));
        tool::run("skopeo", ["--insecure-policy", "copy", "-q", "--all", "--src-tls-verify=false", &from, &to]);
        assert_eq!(Layout::open(&layout).images().len(), 2);
    }
}

#[test]
fn a_registry_may_not_mount() {
    let context = context();
    let is_other = |request: &Request| request.path.contains("/v2/org/other/blobs/");
    let registry = FakeRegistry::scripted(move |request| {
        (is_other(request) && request.method == "HEAD").then(|| Reply::status(404))
    });
    let (one, other) = (format!("{}/org/app:1", registry.address()), format!("{}/org/other:1", registry.address()));
    let first = Runner::new(&context).push(&one, &[]);
    let runner = Runner::new(&context);
    let second = runner.push(&other, &["--cache-from", &one]);
    assert_eq!((second.digest, second.taken), (first.digest, both(&one)));
    for layer in layers(&registry, "org/other/1") {
        let mount = format!("mount={}&from=org%2Fapp", layer.replace(':', "%3A"));
        let requests = registry.requests();
        assert!(requests.iter().any(|request| request.method == "POST" && request.query == mount), "{requests:?}");
        assert_eq!(registry.count("GET", &format!("/v2/org/app/blobs/{layer}")), 1, "it is pulled");
        let sent = requests.iter().filter(|request| request.method == "PUT" && digest(&request.body) == layer);
        assert_eq!(sent.count(), 2, "by each of both");
        assert!(runner.program.store().join("blobs/sha256").join(&layer[7..]).exists(), "it is kept");
    }
    assert_store_is_sound(&runner.program.store());
}

#[test]
fn a_token_for_mounting_is_for_both_repositories() {
    let context = context();
    let registry = FakeRegistry::scripted(|request| {
        if request.path == "/token" {
            return Some(Reply::Answer(200, Vec::new(), br#"{"token":"good"}"#.to_vec()));
        }
        if request.header("authorization") != Some("Bearer good") {
            let challenge =
                format!(r#"Bearer realm="http://{}/token",service="fake""#, request.header("host").unwrap());
            return Some(Reply::status(401).with("www-authenticate", challenge));
        }
        match request.path.contains("/v2/org/other/blobs/") {
            true if request.query.contains("mount=") => Some(Reply::status(201)),
            true if request.method == "HEAD" => Some(Reply::status(404)),
            _ => None,
        }
    });
    let (one, other) = (format!("{}/org/app:1", registry.address()), format!("{}/org/other:1", registry.address()));
    Runner::new(&context).push(&one, &[]);
    let second = Runner::new(&context).push(&other, &["--cache-from", &one]);
    assert_eq!(second.outcome.stderr.matches("\"outcome\":\"mounted\"").count(), 2, "{:?}", second.outcome);
    // Distribution's token specification: one `scope` for each.
    let scopes = "scope=repository%3Aorg%2Fother%3Apull%2Cpush&scope=repository%3Aorg%2Fapp%3Apull";
    let asked = registry.requests();
    assert!(asked.iter().any(|request| request.path == "/token" && request.query.ends_with(scopes)), "{asked:?}");
}

#[test]
fn what_another_encoder_made_is_not_taken() {
    let context = context();
    let registry = FakeRegistry::new();
    let name = format!("{}/org/app:1", registry.address());
    Runner::new(&context).push(&name, &[]);
    for compression in ["gzip:6", "estargz", "zstd", "none"] {
        let compression = format!("--compression={compression}");
        let expected = Runner::new(&context).build(&[&compression]);
        let cached = Runner::new(&context).build(&[&compression, "--cache-from", &name]);
        assert_eq!((cached.digest, cached.taken), (expected.digest, Vec::new()), "{compression}");
    }
    // The same level of another version, and layers that do not say what made them.
    let place = tempfile::tempdir().unwrap();
    let layout = place.path().join("layout");
    for (encoder, taken) in [(None, 0), (Some("gzip:5, deflate 0, form 1"), 0), (Some(ENCODER), 2)] {
        let _ = fs::remove_dir_all(&layout);
        let expected = Runner::new(&context).build(&["-o", &format!("{}/", layout.display())]);
        relabel(&layout, encoder);
        let cached = Runner::new(&context).build(&["--cache-from", &format!("oci:{}", layout.display())]);
        assert_eq!((cached.digest, cached.taken.len()), (expected.digest, taken), "{encoder:?}");
    }
}

#[test]
fn layers_of_estargz_are_made_and_a_warning_says_so() {
    let context = context();
    let registry = FakeRegistry::new();
    let name = format!("{}/org/app:1", registry.address());
    let expected = Runner::new(&context).push(&name, &["--compression=estargz"]);
    assert_eq!(expected.warnings, [""; 0]);
    let pushed = registry.requests().len();
    let cached = Runner::new(&context).build(&["--compression=estargz", "--cache-from", &name, "--cache-from", &name]);
    assert_eq!((cached.digest, cached.taken), (expected.digest, Vec::new()));
    let [warning] = &cached.warnings[..] else { panic!("{:?}", cached.warnings) };
    assert!(warning.contains("no layers are taken from images with --compression estargz"), "{warning}");
    assert_eq!(registry.requests().len(), pushed, "nobody is asked for what is not taken");
}

/// What the annotation of a layer of the default level is to be.
const ENCODER: &str = "gzip:5, deflate 1, form 1";

/// Rewrites what the layers of the first image of a layout say of their encoder, and makes that image the only one.
fn relabel(layout: &Path, encoder: Option<&str>) {
    let image = Layout::open(layout).images().remove(0);
    let mut manifest = image.manifest;
    for layer in manifest["layers"].as_array_mut().unwrap() {
        let annotations = layer.as_object_mut().unwrap().remove("annotations").expect("a layer says what made it");
        assert_eq!(annotations["dev.ocibake.encoder"], self::ENCODER);
        if let Some(encoder) = encoder {
            layer["annotations"] = serde_json::json!({ "dev.ocibake.encoder": encoder });
        }
    }
    let manifest = serde_json::to_vec(&manifest).unwrap();
    let name = digest(&manifest);
    fs::write(layout.join("blobs/sha256").join(&name[7..]), &manifest).unwrap();
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let root = serde_json::json!({ "mediaType": kind, "digest": name, "size": manifest.len() });
    let index = serde_json::json!({ "schemaVersion": 2, "manifests": [root] });
    fs::write(layout.join("index.json"), index.to_string()).unwrap();
}

#[test]
fn a_layer_that_changed_is_made_again() {
    let context = context();
    let registry = FakeRegistry::new();
    let name = format!("{}/org/app:1", registry.address());
    Runner::new(&context).push(&name, &[]);
    let before = layers(&registry, "org/app/1");
    fs::write(context.path().join("two/text"), "Text\n").unwrap();
    let expected = Runner::new(&context).build(&[]);
    let cached = Runner::new(&context).push(&name, &["--cache-from", &name]);
    assert_eq!(
        (cached.digest, cached.taken, cached.made),
        (expected.digest, both(&name)[..1].to_vec(), vec!["two".to_owned()])
    );
    let after = layers(&registry, "org/app/1");
    assert_eq!((&after[0], after[1] != before[1]), (&before[0], true));
}

#[test]
fn an_image_that_cannot_be_read_is_a_warning() {
    let context = context();
    let expected = Runner::new(&context).build(&[]);
    let garbage = FakeRegistry::scripted(|request| {
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let reply = |body: &[u8]| Reply::Answer(200, Vec::new(), body.to_vec()).with("content-type", kind);
        match request.path.rsplit('/').next()? {
            "refused" => Some(Reply::refusal(403, "DENIED", "not yours")),
            "html" => Some(reply(b"<html>")),
            "empty" => Some(reply(b"{}")),
            "no-config" => Some(reply(manifest_without_content().as_bytes())),
            _ => None,
        }
    });
    let at = |tag: &str| format!("{}/org/app:{tag}", garbage.address());
    let mut sources: Vec<String> = ["refused", "html", "empty", "no-config", "missing"].map(at).to_vec();
    sources.extend(
        ["127.0.0.1:1/org/app:1", "oci:nowhere", "./nowhere", "oci-archive:/dev/null", "Not/a name"].map(str::to_owned),
    );
    for source in sources {
        let cached = Runner::new(&context).build(&["--cache-from", &source]);
        assert_eq!((cached.digest, cached.taken), (expected.digest.clone(), Vec::new()), "{source}");
        let [warning] = &cached.warnings[..] else { panic!("{source}: {:?}", cached.warnings) };
        assert!(warning.starts_with(&format!("no layers are taken from {source}: ")), "{warning}");
    }
}

/// A manifest of an image whose config is nowhere, with a layer that could be taken.
fn manifest_without_content() -> String {
    let zeros = format!("sha256:{}", "0".repeat(64));
    let config = "application/vnd.oci.image.config.v1+json";
    let layer = serde_json::json!({
        "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": zeros, "size": 9,
        "annotations": { "dev.ocibake.encoder": ENCODER },
    });
    let config = serde_json::json!({ "mediaType": config, "digest": zeros, "size": 2 });
    serde_json::json!({ "schemaVersion": 2, "config": config, "layers": [layer] }).to_string()
}

#[test]
fn the_first_image_that_can_be_read_serves() {
    let context = context();
    let registry = FakeRegistry::new();
    let name = |tag: &str| format!("{}/org/app:{tag}", registry.address());
    let first = Runner::new(&context).push(&name("1"), &[]);
    let buildx = format!("type=registry,ref={}", name("1"));
    let flags = ["--cache-from", &name("missing"), "--cache-from", &buildx];
    let second = Runner::new(&context).push(&name("2"), &flags);
    assert_eq!((second.digest, second.taken.len(), second.warnings.len()), (first.digest, 2, 1));
    for wrong in ["type=floppy", "type=registry", "type=registry,ref="] {
        let words = ["build", context.path().to_str().unwrap(), "--cache-from", wrong];
        Program::new().run(words).failure(2).says(&["--cache-from"]);
    }
}

#[test]
fn other_outputs_get_the_layers_too() {
    let context = context();
    let registry = FakeRegistry::new();
    let name = format!("{}/org/app:1", registry.address());
    let first = Runner::new(&context).push(&name, &["-o", "first.tar"]);
    let runner = Runner::new(&context);
    let place = tempfile::tempdir().unwrap();
    let layout = format!("{}/layout/", place.path().display());
    let second = runner.build(&["--cache-from", &name, "-o", &layout, "-o", "image.tar"]);
    assert_eq!((second.digest, second.taken), (first.digest, both(&name)));
    assert_eq!(Layout::open(&layout).images().len(), 2);
    for layer in layers(&registry, "org/app/1") {
        assert_eq!(registry.count("GET", &layer), 1, "the second output has it from the store");
    }
    assert_store_is_sound(&runner.program.store());
}

#[test]
fn nobody_is_asked_when_nothing_changed() {
    let context = context();
    let registry = FakeRegistry::new();
    let name = format!("{}/org/app:1", registry.address());
    let runner = Runner::new(&context);
    settle();
    runner.push(&name, &[]);
    let before = registry.requests().len();
    runner.build(&["--cache-from", &name]);
    let more: Vec<_> = registry.requests()[before..].iter().map(|r| r.line()).collect();
    assert_eq!(more, [""; 0]);
}

#[test]
fn a_layer_that_cannot_be_had_is_made_after_all() {
    let context = context();
    let expected = Runner::new(&context).build(&[]);
    let damage: [fn(Vec<u8>) -> Reply; 4] = [
        |_| Reply::refusal(404, "BLOB_UNKNOWN", "blob unknown to registry"),
        |mut blob| {
            let middle = blob.len() / 2;
            blob[middle] ^= 1;
            Reply::Answer(200, Vec::new(), blob)
        },
        |blob| Reply::Answer(200, Vec::new(), blob[..blob.len() - 1].to_vec()),
        |blob| Reply::Answer(200, Vec::new(), [&blob[..], b"x"].concat()),
    ];
    for damage in damage {
        let intact = FakeRegistry::new();
        Runner::new(&context).push(&format!("{}/org/app:1", intact.address()), &[]);
        let large = layers(&intact, "org/app/1")[0].clone();
        let blob = intact.blob(&large).unwrap();
        let is_blob = move |request: &Request| request.is("GET", &format!("/blobs/{large}"));
        let registry = FakeRegistry::scripted(move |request| is_blob(request).then(|| damage(blob.clone())));
        let name = format!("{}/org/app:1", registry.address());
        Runner::new(&context).push(&name, &[]);

        let runner = Runner::new(&context);
        let place = tempfile::tempdir().unwrap();
        let layout = format!("{}/layout/", place.path().display());
        let cached = runner.build(&["--cache-from", &name, "-o", &layout]);
        assert_eq!((&cached.digest, cached.made), (&expected.digest, vec!["one".to_owned(), "two".to_owned()]));
        assert!(cached.warnings.iter().any(|warning| warning.starts_with("a layer is made here instead: ")));
        assert_eq!(Layout::open(&layout).images().len(), 2);
        assert_store_is_sound(&runner.program.store());
    }
}
