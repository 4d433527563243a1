//! `ocibake inspect`: what it shows, of which places, and what it survives.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::docker_registry::DockerRegistry;
use crate::support::layout::Layout;
use crate::support::listing::digest;
use crate::support::program::Program;
use crate::support::tool::{checked, require};
use crate::support::world::World;

const SPEC: &str = r#"
name = "example/app"
platforms = ["linux/amd64", "linux/arm/v7"]
[[layer]]
name = "files"
add = [{ from = "files", to = "/srv/" }]
[[layer]]
name = "more"
add = [{ from = "files", to = "/opt/", mode = "0600" }]
[config]
entrypoint = ["/bin/app", "a b"]
cmd = ["now"]
env = { A = "1", B = "2" }
user = "1000:1000"
workdir = "/srv"
ports = [8080]
volumes = ["/data"]
stop-signal = "SIGINT"
healthcheck = { test = ["CMD", "/bin/app"] }
[labels]
"org.example.a" = "b"
"#;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

#[test]
fn the_text_shows_what_the_documents_say() {
    let world = World::new(SPEC);
    world.build(&["--platform=linux/amd64", "-o", "layout/"]).success();
    let image = Layout::open(world.path("layout")).images().remove(0);
    let mut text = world.inspect(&["./layout"]).success().stdout;
    // Each digest stands where it belongs; the names given to them here come from the documents.
    let mut named = vec![(image.digest.clone(), "MANIFEST".to_owned())];
    named.push((image.manifest["config"]["digest"].as_str().unwrap().to_owned(), "CONFIG".to_owned()));
    for number in 0..2 {
        let layer = image.manifest["layers"][number]["digest"].as_str().unwrap().to_owned();
        let diff_id = image.config["rootfs"]["diff_ids"][number].as_str().unwrap().to_owned();
        named.extend([(layer, format!("LAYER-{number}")), (diff_id, format!("DIFF-ID-{number}"))]);
    }
    for (digest, name) in named {
        text = text.replace(&digest, &name);
    }
    let sizes = image.manifest["layers"].as_array().unwrap().iter().map(|layer| layer["size"].as_u64().unwrap());
    let manifest = fs::metadata(Layout::open(world.path("layout")).blob(&image.digest)).unwrap().len();
    let total = sizes.clone().sum::<u64>() + image.manifest["config"]["size"].as_u64().unwrap() + manifest;
    text = text.replace(&format!("{:.2} KiB", total as f64 / 1024.0), "TOTAL");
    for size in sizes {
        text = text.replace(&format!(" {size} B"), " SIZE");
    }
    insta::assert_snapshot!(text);
}

#[test]
fn the_json_agrees_with_the_documents() {
    let world = World::new(SPEC);
    let root = world.build(&["-o", "layout/", "--annotation=org.example.x=y"]).digest();
    let report = world.report("oci:layout");
    let layout = Layout::open(world.path("layout"));
    let index: Value = serde_json::from_slice(&fs::read(layout.blob(&root)).unwrap()).unwrap();
    assert_eq!(report["digest"], root.as_str());
    assert_eq!(report["mediaType"], INDEX);
    assert_eq!(report["size"], fs::metadata(layout.blob(&root)).unwrap().len());
    assert_eq!(report["annotations"], index["annotations"]);
    assert_eq!(report["annotations"]["org.example.x"], "y");
    let images = layout.images();
    assert_eq!(report["images"].as_array().unwrap().len(), 2);
    for (shown, image) in report["images"].as_array().unwrap().iter().zip(&images) {
        assert_eq!(shown["platform"], image.platform());
        assert_eq!(shown["digest"], image.digest.as_str());
        assert_eq!(shown["configDigest"], image.manifest["config"]["digest"]);
        assert_eq!(shown["config"], image.config["config"]);
        assert_eq!(shown["created"], image.config["created"]);
        assert_eq!(shown["annotations"], image.manifest["annotations"]);
        for (number, layer) in shown["layers"].as_array().unwrap().iter().enumerate() {
            for key in ["digest", "size", "mediaType"] {
                assert_eq!(layer[key], image.manifest["layers"][number][key]);
            }
            assert_eq!(layer["diffId"], image.config["rootfs"]["diff_ids"][number]);
            assert_eq!(layer["createdBy"], image.config["history"][number]["created_by"]);
        }
    }
}

#[test]
fn raw_is_byte_for_byte_what_is_there() {
    if !require("skopeo") || !require("docker-registry") {
        return;
    }
    let world = World::new(SPEC);
    let registry = DockerRegistry::open();
    let name = format!("{}/org/app", registry.address());
    let root = world.build(&["-o", "layout/", "-o", "x.tar", "--push", "-t", &format!("{name}:1")]).digest();
    let expected = fs::read_to_string(Layout::open(world.path("layout")).blob(&root)).unwrap();
    let tagged = format!("{name}:1");
    let by_digest = format!("{name}@{root}");
    for image in ["./layout", "oci:layout:1", "./x.tar", "oci-archive:x.tar", &tagged, &by_digest] {
        assert_eq!(world.inspect(&["--raw", image]).success().stdout, expected, "{image}");
        assert_eq!(world.report(image)["digest"], root.as_str(), "{image}");
    }
    let seen = world.skopeo(&["inspect", "--raw", "--tls-verify=false", &format!("docker://{tagged}")]);
    assert_eq!(seen, expected);
}

#[test]
fn docker_archives_of_ours_and_of_others() {
    if !require("skopeo") {
        return;
    }
    let world = World::new(SPEC);
    let flags = ["--platform=linux/amd64", "-t", "example/app:1", "-o", "layout/", "-o", "type=docker,dest=ours.tar"];
    let digest = world.build(&flags).digest();
    world.skopeo(&["copy", "-q", "oci:layout:1", "docker-archive:theirs.tar:example/app:1"]);
    let config = world.skopeo(&["inspect", "--config", "--raw", "oci:layout:1"]);
    let config: Value = serde_json::from_str(&config).unwrap();
    assert_eq!(world.report("./ours.tar")["digest"], digest.as_str(), "ours has the manifest, too");
    for image in [
        "docker-archive:ours.tar",
        "docker-archive:theirs.tar",
        "docker-archive:theirs.tar:example/app:1",
        "./theirs.tar",
    ] {
        let report = world.report(image);
        assert_eq!(report["images"][0]["config"], config["config"], "{image}");
        assert_eq!(report["images"][0]["layers"].as_array().unwrap().len(), 2);
        let diff_ids: Value =
            report["images"][0]["layers"].as_array().unwrap().iter().map(|layer| layer["diffId"].clone()).collect();
        assert_eq!(diff_ids, config["rootfs"]["diff_ids"], "{image}");
    }
}

#[test]
fn an_archive_may_be_compressed_as_a_whole() {
    let world = World::new(SPEC);
    let digest = world.build(&["-o", "x.tar"]).digest();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&fs::read(world.path("x.tar")).unwrap()).unwrap();
    let bytes = gzip.finish().unwrap();
    fs::write(world.path("x.tar.gz"), &bytes).unwrap();
    assert_eq!(world.report("./x.tar.gz")["digest"], digest.as_str());
    fs::write(world.path("x.tar.gz"), &bytes[..bytes.len() / 2]).unwrap();
    world.inspect(&["./x.tar.gz"]).failure(1).says(&["x.tar.gz"]);
}

#[test]
fn what_is_not_there_is_told_with_what_is() {
    let world = World::new(SPEC);
    world.build(&["-t", "example/app:1", "-o", "layout/", "-o", "x.tar"]).success();
    world.build(&["-t", "example/app:2", "-t", "example/app:3", "--label=x=y", "-o", "layout/"]).success();
    world.build(&["-t", "example/app:1", "--platform=linux/amd64", "-o", "type=docker,dest=docker.tar"]).success();
    let all = "it has docker.io/example/app:1, docker.io/example/app:2, docker.io/example/app:3";
    world.inspect(&["oci:layout:4"]).failure(1).says(&["layout has no image `4`", all]);
    world.inspect(&["--raw", "./layout"]).failure(1).says(&["layout holds several images", "oci:./layout:NAME", all]);
    world.inspect(&["oci-archive:x.tar:2"]).failure(1).says(&["x.tar has no image `2`", "docker.io/example/app:1"]);
    world.inspect(&["docker-archive:docker.tar:x"]).failure(1).says(&["no image `x`", "it has example/app:1"]);
    world.inspect(&["./nowhere"]).failure(1).says(&["there is no ./nowhere"]);
    world.inspect(&["oci:nowhere"]).failure(1).says(&["nowhere is not an OCI layout"]);
    world.inspect(&["oci-archive:nowhere"]).failure(1).says(&["cannot read nowhere"]);
    fs::create_dir(world.path("empty")).unwrap();
    world.inspect(&[".."]).failure(1).says(&[".. is not an image"]);
    world.inspect(&["./empty"]).failure(1).says(&["./empty is not an image"]);
    fs::write(world.path("text"), "no image").unwrap();
    world.inspect(&["./text"]).failure(1).says(&["text is not"]);
    world.inspect(&[]).failure(2).says(&["Usage: ocibake inspect"]);
    world.inspect(&["--raw", "--json", "./layout"]).failure(2).says(&["Usage: ocibake inspect"]);
}

#[test]
fn several_images_of_an_archive_are_told_apart_as_skopeo_does() {
    if !require("skopeo") {
        return;
    }
    let world = World::new(SPEC);
    world.build(&["-t", "example/app:1", "-o", "layout/"]).success();
    world.build(&["-t", "example/app:2", "--label=x=y", "-o", "layout/"]).success();
    checked(Command::new("tar").args(["-cf", "both.tar", "-C", "layout", "."]).current_dir(world.place.path()));
    let several = ["both.tar holds several images", "oci-archive:./both.tar:NAME"];
    world.inspect(&["--raw", "./both.tar"]).failure(1).says(&several);
    let digest = world.report("oci:layout:2")["digest"].clone();
    assert_eq!(world.report("oci-archive:both.tar:2")["digest"], digest);
    assert_eq!(
        world.skopeo(&["inspect", "--raw", "oci-archive:both.tar:2"]),
        world.inspect(&["--raw", "oci:layout:2"]).stdout
    );
}

#[test]
fn hostile_strings_are_shown_harmlessly() {
    let hostile = "\u{1b}[2J\u{1b}]0;owned\u{7}\r\nDigest: sha256:fake\u{9b}31m\u{202e}txt\u{2028}";
    let mut hand = HandMade::new();
    let config = json!({
        "os": "linux", "architecture": hostile, "created": hostile,
        "config": {
            "User": hostile, "Env": [hostile], "Entrypoint": [hostile], "WorkingDir": hostile,
            "Labels": {hostile: hostile}, "StopSignal": hostile, "Volumes": {hostile: {}},
        },
        "history": [{"created_by": hostile}], "rootfs": {"type": "layers", "diff_ids": []},
    });
    let config = hand.add(CONFIG, &config);
    let layer = hand.add(hostile, &json!("no layer"));
    let manifest = json!({"schemaVersion": 2, "config": config, "layers": [layer], "annotations": {hostile: hostile}});
    let mut root = hand.add(MANIFEST, &manifest);
    root["annotations"] = json!({"org.opencontainers.image.ref.name": hostile});
    hand.finish(&root);

    let outcome = Program::new().run(["inspect", hand.path()]).success();
    assert!(outcome.stdout.contains("owned"), "the rest of it is shown: {outcome:#?}");
    assert!(outcome.stdout.lines().filter(|line| line.starts_with("Digest:")).count() == 1, "{outcome:#?}");
    let error = Program::new().run(["inspect", &format!("oci:{}:none", hand.path())]).failure(1);
    assert!(error.stderr.contains("owned"), "the names there are: {error:#?}");
    for text in [&outcome.stdout, &error.stderr] {
        for wrong in ['\u{1b}', '\u{7}', '\r', '\u{9b}', '\u{202e}', '\u{2028}'] {
            assert!(!text.contains(wrong), "{wrong:?} in {text:?}");
        }
    }
}

#[test]
fn artifacts_and_attestations_beside_images_are_only_named() {
    let mut hand = HandMade::new();
    let config = hand
        .add(CONFIG, &json!({"os": "linux", "architecture": "arm64", "rootfs": {"type": "layers", "diff_ids": []}}));
    let image = hand.add(MANIFEST, &json!({"schemaVersion": 2, "config": config, "layers": []}));
    let empty = hand.add("application/vnd.oci.empty.v1+json", &json!({}));
    let artifact = hand.add(MANIFEST, &json!({"schemaVersion": 2, "config": empty, "layers": []}));
    let mut attestation = hand.add(MANIFEST, &json!({"schemaVersion": 2, "config": empty, "layers": [empty]}));
    attestation["platform"] = json!({"os": "unknown", "architecture": "unknown"});
    let nested = hand.add(INDEX, &json!({"schemaVersion": 2, "manifests": []}));
    let index = json!({"schemaVersion": 2, "manifests": [image, artifact, attestation, nested, image]});
    let root = hand.add(INDEX, &index);
    hand.finish(&root);
    let report: Value =
        serde_json::from_str(&Program::new().run(["inspect", "--json", hand.path()]).success().stdout).unwrap();
    let digests = |list: &Value| list.as_array().unwrap().iter().map(|one| one["digest"].clone()).collect::<Vec<_>>();
    assert_eq!(digests(&report["images"]), [image["digest"].clone()]);
    assert_eq!(digests(&report["others"]), [&artifact, &attestation, &nested].map(|one| one["digest"].clone()));

    hand.finish(&artifact);
    let program = Program::new();
    program.run(["inspect", hand.path()]).failure(1).says(&["artifact", "--raw"]);
    program.run(["inspect", "--raw", hand.path()]).success();
}

#[test]
fn indexes_in_indexes_end_somewhere() {
    let mut hand = HandMade::new();
    let mut root = hand.add(INDEX, &json!({"schemaVersion": 2, "manifests": []}));
    for _ in 0..100_000 {
        root = hand.add(INDEX, &json!({"schemaVersion": 2, "manifests": [root]}));
    }
    hand.finish_as_archive(&root);
    let program = Program::new();
    let archive = hand.archive();
    program.run(["inspect", archive.to_str().unwrap()]).success();
    program
        .run(["push", "127.0.0.1:1/x/y:1", archive.to_str().unwrap()])
        .failure(1)
        .says(&["indexes are nested", "32"]);
}

#[test]
fn documents_that_are_huge_are_refused() {
    let program = Program::new();
    // An index of many images, of which all have a config as large as may be.
    let mut hand = HandMade::new();
    let mut manifests = Vec::new();
    for number in 0..40 {
        let label = format!("{number}{}", "x".repeat(4_000_000));
        let config = json!({"os": "linux", "architecture": "amd64", "config": {"Labels": {"x": label}}, "rootfs": {"type": "layers", "diff_ids": []}});
        let config = hand.add(CONFIG, &config);
        manifests.push(hand.add(MANIFEST, &json!({"schemaVersion": 2, "config": config, "layers": []})));
    }
    let root = hand.add(INDEX, &json!({"schemaVersion": 2, "manifests": manifests}));
    hand.finish(&root);
    program.run(["inspect", hand.path()]).failure(1).says(&["67108864 bytes"]);

    let mut hand = HandMade::new();
    let root = hand.add(INDEX, &json!({"schemaVersion": 2, "manifests": [], "x": "x".repeat(5_000_000)}));
    hand.finish(&root);
    program.run(["inspect", hand.path()]).failure(1).says(&["4194304"]);

    // A document that says it is small.
    let mut hand = HandMade::new();
    let mut root = hand.add(INDEX, &json!({"schemaVersion": 2, "manifests": []}));
    root["size"] = json!(3);
    hand.finish(&root);
    program.run(["inspect", hand.path()]).failure(1).says(&[root["digest"].as_str().unwrap()]);

    let mut hand = HandMade::new();
    let text = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let root = hand.add_bytes(INDEX, format!(r#"{{"schemaVersion":2,"manifests":[],"x":{text}}}"#).as_bytes());
    hand.finish(&root);
    program.run(["inspect", hand.path()]).failure(1).says(&["not valid"]);

    fs::write(Path::new(hand.path()).join("index.json"), vec![b' '; 5 << 20]).unwrap();
    program.run(["inspect", hand.path()]).failure(1).says(&["index.json", "larger than"]);
}

/// A layout, put together by hand.
struct HandMade {
    directory: TempDir,
    tar: tar::Builder<fs::File>,
}

impl HandMade {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("blobs/sha256")).unwrap();
        fs::write(directory.path().join("oci-layout"), r#"{"imageLayoutVersion": "1.0.0"}"#).unwrap();
        let tar = tar::Builder::new(fs::File::create(directory.path().join("archive.tar")).unwrap());
        HandMade { directory, tar }
    }

    fn path(&self) -> &str {
        self.directory.path().to_str().unwrap()
    }

    fn archive(&self) -> PathBuf {
        self.directory.path().join("archive.tar")
    }

    /// Adds a blob to both forms and returns its descriptor.
    fn add(&mut self, media_type: &str, document: &Value) -> Value {
        self.add_bytes(media_type, document.to_string().as_bytes())
    }

    fn add_bytes(&mut self, media_type: &str, bytes: &[u8]) -> Value {
        let (size, hex) = digest(bytes);
        self.append(&format!("blobs/sha256/{hex}"), bytes);
        fs::write(self.directory.path().join("blobs/sha256").join(&hex), bytes).unwrap();
        json!({"mediaType": media_type, "digest": format!("sha256:{hex}"), "size": size})
    }

    fn finish(&mut self, root: &Value) {
        let index = json!({"schemaVersion": 2, "manifests": [root]}).to_string();
        fs::write(self.directory.path().join("index.json"), index).unwrap();
    }

    fn finish_as_archive(&mut self, root: &Value) {
        self.append("index.json", json!({"schemaVersion": 2, "manifests": [root]}).to_string().as_bytes());
        self.append("oci-layout", br#"{"imageLayoutVersion": "1.0.0"}"#);
        self.tar.finish().unwrap();
    }

    fn append(&mut self, name: &str, bytes: &[u8]) {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        self.tar.append_data(&mut header, name, bytes).unwrap();
    }
}

#[test]
fn all_images_of_a_place_are_shown_with_their_names() {
    let world = World::new(SPEC);
    world.build(&["-t", "app:1", "-t", "app:2"]).success();
    world.change("other");
    world.build(&["-t", "other"]).success();
    world.program.run(["save", "app:1", "app:2", "other", "-o", "all.tar", "--format", "oci"]).success();
    let shown = world.inspect(&["all.tar"]).success().stdout;
    let names: Vec<&str> = shown.lines().filter_map(|line| line.strip_prefix("Name:")).map(str::trim).collect();
    let all = ["app:1", "app:2", "other:latest"].map(|name| format!("docker.io/library/{name}"));
    assert_eq!(names, all);
    assert_eq!(shown.matches("\nDigest:").count(), 2, "{shown}");
    let reports: Value = serde_json::from_str(&world.inspect(&["--json", "all.tar"]).success().stdout).unwrap();
    assert_eq!(reports.as_array().unwrap().len(), 2);
    assert_eq!((&reports[0]["names"], &reports[1]["names"]), (&json!(all[..2]), &json!(all[2..])));
    let one = world.inspect(&["oci-archive:all.tar:other"]).success().stdout;
    assert!(!one.contains("Name:") && one.starts_with("Digest:"), "{one}");
}

#[test]
fn several_images_are_shown_and_one_that_is_not_there_does_not_keep_the_others() {
    let world = World::new(SPEC);
    let first = world.build(&["-o", "one/"]).digest();
    world.change("other");
    let second = world.build(&["-o", "two/"]).digest();
    let digests = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let outcome = world.inspect(&["--format", "{{.digest}}", "./one", "./two"]).success();
    assert_eq!(digests(&outcome.stdout), [&*first, &*second]);
    let outcome = world.inspect(&["--format", "{{.digest}}", "./one", "./none", "./two"]).failure_with_result(1);
    assert_eq!(digests(&outcome.stdout), [first, second]);
    outcome.says(&["there is no ./none"]);
    let reports: Value = serde_json::from_str(&world.inspect(&["--json", "one", "two"]).success().stdout).unwrap();
    assert_eq!(reports.as_array().unwrap().len(), 2);
    world.inspect(&["--raw", "one", "two"]).failure(2).says(&["--raw shows one image"]);
}

#[test]
fn templates_and_platforms_choose_what_is_shown() {
    let world = World::new(SPEC);
    world.build(&["-o", "layout/"]).success();
    let shown = |arguments: &[&str]| world.inspect(&[&["layout"], arguments].concat()).success().stdout;
    assert_eq!(shown(&["-f", "{{range .images}}<{{.platform}}>{{end}}"]), "<linux/amd64><linux/arm/v7>\n");
    assert_eq!(shown(&["--platform=linux/arm", "-f", "{{(index .images 0).platform}}"]), "linux/arm/v7\n");
    assert_eq!(shown(&["--platform=linux/amd64"]).matches("Platform:").count(), 1);
    let image = &Layout::open(world.path("layout")).images()[1];
    let manifest: Value = serde_json::from_str(&shown(&["--raw", "--platform=linux/arm/v7"])).unwrap();
    assert_eq!(manifest, image.manifest);
    world
        .inspect(&["layout", "--platform=linux/s390x"])
        .failure(1)
        .says(&["layout has no image for linux/s390x", "it has linux/amd64, linux/arm/v7"]);
    world.inspect(&["layout", "-f", "{{.x"]).failure(2).says(&["{{.x"]);
}

#[test]
fn the_times_of_a_health_check_are_shown() {
    let world = World::of(&crate::support::tree::Tree::new().file(
        "Dockerfile",
        "FROM scratch\nHEALTHCHECK --interval=1m30s --timeout=500ms --retries=4 --start-period=10s CMD [\"/x\"]\n",
    ));
    world.build(&["-t", "app"]).success();
    let shown = world.inspect(&["app"]).success().stdout;
    let value = |name: &str| {
        let line = shown.lines().find_map(|line| line.trim_start().strip_prefix(&format!("{name}:")));
        line.map(|value| value.trim().to_owned())
    };
    assert_eq!(value("Healthcheck").as_deref(), Some(r#"["CMD", "/x"]"#));
    let times = ["Interval", "Timeout", "Start period", "Start interval", "Retries"].map(value);
    assert_eq!(times.each_ref().map(Option::as_deref), [Some("90s"), Some("500ms"), Some("10s"), None, Some("4")]);
}
