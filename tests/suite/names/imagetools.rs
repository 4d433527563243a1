//! `docker buildx imagetools`: images made of those that registries have, and looked at there.

use std::fs;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::context;
use super::docker::script;
use super::manifest::{pushed, remote};
use crate::support::docker_registry::DockerRegistry;
use crate::support::fake_registry::{FakeRegistry, Reply, digest};
use crate::support::program::{Outcome, Program};
use crate::support::tool::{self, require};

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn imagetools(program: &Program, arguments: &[&str]) -> Outcome {
    program.run([&["docker", "buildx", "imagetools"], arguments].concat())
}

/// The digests that an index lists.
fn listed(index: &Value) -> Vec<String> {
    let manifests = index["manifests"].as_array().unwrap().iter();
    manifests.map(|manifest| manifest["digest"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn runners_push_by_digest_and_one_joins_them() {
    if !["docker-registry", "skopeo", "jq"].into_iter().all(require) {
        return;
    }
    let (program, registry) = (Program::new(), DockerRegistry::open());
    let context = context("one");
    // The steps that docker's documentation has for a matrix of runners.
    let text = format!(
        r#"
export REGISTRY_IMAGE={}/user/app
mkdir -p "$PWD/digests"
for platform in linux/amd64 linux/arm64; do
    docker buildx build --platform $platform --output "type=image,name=$REGISTRY_IMAGE,push-by-digest=true,name-canonical=true,push=true" \
        --metadata-file metadata.json --iidfile iid .
    digest=$(jq -r '."containerimage.digest"' metadata.json)
    test "$digest" = "$(cat iid)"
    jq -r '."image.name"' metadata.json
    touch "$PWD/digests/${{digest#sha256:}}"
done
DOCKER_METADATA_OUTPUT_JSON="{{\"tags\":[\"$REGISTRY_IMAGE:1.2\",\"$REGISTRY_IMAGE:latest\"]}}"
cd digests
docker buildx imagetools create $(echo "$DOCKER_METADATA_OUTPUT_JSON" | jq -cr '.tags | map("-t " + .) | join(" ")') \
    $(printf "$REGISTRY_IMAGE@sha256:%s " *)
docker buildx imagetools inspect $REGISTRY_IMAGE:1.2
docker buildx imagetools inspect --format '{{{{json .Manifest}}}}' $REGISTRY_IMAGE:latest | jq -r .digest
"#,
        registry.address()
    );
    let outcome = script(&program, context.path(), &text).success();
    let name = format!("{}/user/app", registry.address());
    let (digest, index) = remote(&format!("{name}:1.2"));
    assert_eq!(remote(&format!("{name}:latest")).0, digest);
    let platforms = |index: &Value| {
        let platforms = index["manifests"].as_array().unwrap().iter().map(|it| it["platform"].clone());
        let mut platforms: Vec<String> = platforms.map(|it| it["architecture"].as_str().unwrap().to_owned()).collect();
        platforms.sort();
        platforms
    };
    assert_eq!(platforms(&index), ["amd64", "arm64"]);
    let members: Vec<String> = listed(&index)
        .iter()
        .zip(index["manifests"].as_array().unwrap())
        .map(|(digest, member)| {
            let architecture = member["platform"]["architecture"].as_str().unwrap();
            format!(
                "  Name:      {name}:1.2@{digest}\n  MediaType: {OCI_MANIFEST}\n  Platform:  linux/{architecture}\n"
            )
        })
        .collect();
    assert_eq!(
        outcome.stdout,
        format!(
            "{name}\n{name}\nName:      {name}:1.2\nMediaType: {OCI_INDEX}\nDigest:    {digest}\n\nManifests:\n{}{digest}\n",
            members.join("\n")
        )
    );
    // There are no other tags, and no name here.
    let tags = tool::run("skopeo", ["list-tags", "--tls-verify=false", &format!("docker://{name}")]);
    let mut tags: Value = serde_json::from_str(&tags).unwrap();
    tags["Tags"].as_array_mut().unwrap().sort_by_key(|tag| tag.to_string());
    assert_eq!(tags["Tags"], json!(["1.2", "latest"]));
    assert_eq!(super::listed(&program, "{{.Repository}}"), Vec::<String>::new());
}

#[test]
fn sources_are_names_digests_and_descriptors() {
    if !["docker-registry", "skopeo"].into_iter().all(require) {
        return;
    }
    let (program, registry) = (Program::new(), DockerRegistry::open());
    let at = |name: &str| format!("{}/{name}", registry.address());
    let digests = ["amd64", "arm64", "386"]
        .map(|architecture| pushed(&program, &format!("linux/{architecture}"), &at(&format!("app:{architecture}"))));
    let [amd64, arm64, i386] = &digests;
    imagetools(&program, &["create", "-t", &at("app"), &at("app:amd64"), arm64]).success();
    assert_eq!(listed(&remote(&at("app:latest")).1), [amd64.clone(), arm64.clone()]);
    // A descriptor in a file, with what the index is to say.
    let size = remote(&at("app:386")).1.to_string().len();
    let descriptor = json!({
        "mediaType": OCI_MANIFEST, "digest": i386, "platform": {"architecture": "386", "os": "linux", "variant": "sse"},
        "annotations": {"a": "b"},
    });
    let file = program.home().join("descriptor.json");
    fs::write(&file, format!("{descriptor}\n")).unwrap();
    let (file, metadata) = (file.to_str().unwrap(), program.home().join("metadata.json"));
    imagetools(
        &program,
        &["create", "--append", "-t", &at("app"), "-f", file, "--metadata-file", metadata.to_str().unwrap()],
    )
    .success();
    let (digest, index) = remote(&at("app:latest"));
    assert_eq!(listed(&index), digests);
    assert_eq!(index["manifests"][2]["annotations"], json!({"a": "b"}));
    assert_eq!(index["manifests"][2]["platform"]["variant"], "sse");
    let metadata: Value = serde_json::from_slice(&fs::read(metadata).unwrap()).unwrap();
    assert_eq!(
        (
            &metadata["containerimage.digest"],
            &metadata["containerimage.descriptor"]["mediaType"],
            &metadata["image.name"]
        ),
        (&json!(digest), &json!(OCI_INDEX), &json!(at("app:latest")))
    );
    // A list is copied as it is, to other repositories and registries, too.
    let other = DockerRegistry::open();
    let far = format!("{}/copy:1", other.address());
    imagetools(&program, &["create", "-t", &at("other:2"), "-t", &far, &at("app")]).success();
    assert_eq!((remote(&at("other:2")).0, remote(&far).0), (digest.clone(), digest.clone()));
    tool::run(
        "skopeo",
        [
            "copy",
            "-q",
            "--all",
            "--src-tls-verify=false",
            &format!("docker://{far}"),
            &format!("dir:{}/x", program.home().display()),
        ],
    );
    // Some of its platforms.
    imagetools(&program, &["create", "-t", &at("app:some"), "-p", "linux/amd64,linux/arm64", &at("app")]).success();
    assert_eq!(listed(&remote(&at("app:some")).1), [amd64.clone(), arm64.clone()]);
    let outcome = imagetools(&program, &["create", "-t", &at("app:some"), "-p", "linux/s390x", &at("app")]);
    outcome.failure(1).says(&["no source has an image for linux/s390x"]);
    // A single image gets an index, unless that is not preferred.
    imagetools(&program, &["create", "-t", &at("app:one"), amd64]).success();
    assert_eq!(listed(&remote(&at("app:one")).1), digests[..1]);
    imagetools(&program, &["create", "--prefer-index=false", "-t", &at("app:same"), amd64]).success();
    assert_eq!(remote(&at("app:same")).0, *amd64);
    // Nothing is pushed to be looked at.
    let flags = ["create", "--dry-run", "--annotation=index:c=d", "--annotation=manifest-descriptor[linux/arm64]:e=f"];
    let shown =
        imagetools(&program, &[&flags[..], &["-t", &at("app:none"), &at("app:amd64"), arm64]].concat()).success();
    assert!(shown.stdout.starts_with("{\n  \"schemaVersion\": 2,\n"), "{}", shown.stdout);
    let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!(shown["annotations"], json!({"c": "d"}));
    assert_eq!(
        (&shown["manifests"][0]["annotations"], &shown["manifests"][1]["annotations"]),
        (&Value::Null, &json!({"e": "f"}))
    );
    imagetools(&program, &["inspect", &at("app:none")]).failure(1);
    // The size of a descriptor is compared.
    for (wrong, part) in [
        (json!({"digest": amd64, "size": size + 1}), "invalid size mismatch"),
        (json!({"digest": amd64, "mediaType": OCI_INDEX}), "and its descriptor says"),
    ] {
        let wrong = wrong.to_string();
        imagetools(&program, &["create", "-t", &at("app:none"), &wrong]).failure(1).says(&[part]);
    }
}

#[test]
fn wrong_words_are_refused_as_buildx_does() {
    let (program, registry) = (Program::new(), FakeRegistry::new());
    let name = format!("{}/app:1", registry.address());
    let zeros = format!("sha256:{}", "0".repeat(64));
    for (arguments, part) in [
        (&["-t", &name][..], "no sources specified"),
        (&[&name], "can't push with no tags specified, please set --tag or --dry-run"),
        (&["--dry-run", &zeros], "no repositories specified, please set a reference in tag or source"),
        (&["-t", "a/b", "-t", "c/d", &zeros], "multiple repositories specified, cannot infer repository for"),
        (&["-t", &name, "sha256:1"], "valid sources are digests, references and descriptors"),
        (&["-t", &name, "{\"digest\":1}"], "valid sources are digests, references and descriptors"),
        (
            &["-t", &name, "{\"digest\":\"x\",\"Digest\":\"y\"}"],
            "valid sources are digests, references and descriptors",
        ),
        (&["-t", &format!("{name}@{zeros}"), &name], "the new image has a digest of its own"),
        (&["-t", &name, "--annotation=a=b", &name], "only the index is new"),
        (&["-t", &name, "--annotation=manifest:a=b", &name], "only the index is new"),
        (&["-t", &name, "--annotation=index-descriptor:a=b", &name], "nothing here has a descriptor of the index"),
    ] {
        imagetools(&program, &[&["create"], arguments].concat()).failure(1).says(&[part]);
    }
    imagetools(&program, &["inspect", "--raw", "--format={{.}}", &name]).failure(1).says(&["cannot be used with"]);
    assert_eq!(registry.requests().len(), 0);
}

/// Puts a document into a repository of a registry: its descriptor.
fn put(registry: &FakeRegistry, repository: &str, reference: &str, kind: &str, document: &Value) -> Value {
    let bytes = document.to_string();
    let digest = digest(bytes.as_bytes());
    for reference in [reference, &digest] {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), &bytes).unwrap();
        let url = format!("http://{}/v2/{repository}/manifests/{reference}", registry.address());
        let data = format!("@{}", file.path().display());
        let header = format!("content-type: {kind}");
        tool::run("curl", ["-sf", "-X", "PUT", "-H", &header, "--data-binary", &data, &url]);
    }
    json!({"mediaType": kind, "digest": digest, "size": bytes.len()})
}

fn put_blob(registry: &FakeRegistry, kind: &str, bytes: &[u8]) -> Value {
    registry.put_blob(bytes);
    json!({"mediaType": kind, "digest": digest(bytes), "size": bytes.len()})
}

#[test]
fn an_inspection_has_buildxs_fields() {
    if !require("curl") {
        return;
    }
    let (program, registry) = (Program::new(), FakeRegistry::new());
    let name = format!("{}/app:1", registry.address());
    let image = |architecture: &str, label: &str| {
        let config = json!({
            "architecture": architecture, "os": "linux", "config": {"Labels": {"l": label}, "Env": ["A=1"]},
            "rootfs": {"type": "layers", "diff_ids": []},
        });
        let config = put_blob(&registry, "application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
        let manifest = json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": []});
        let mut at = put(&registry, "app", architecture, OCI_MANIFEST, &manifest);
        at["platform"] = json!({"architecture": architecture, "os": "linux"});
        at
    };
    let (amd64, arm64) = (image("amd64", "one"), image("arm64", "two"));
    let statement = |kind: &str, media_type: &str, predicate: Value| {
        let statement =
            json!({"_type": "https://in-toto.io/Statement/v0.1", "predicateType": kind, "predicate": predicate});
        let content = match media_type.ends_with("dsse") {
            false => statement,
            true => {
                json!({"payloadType": "x", "payload": BASE64_STANDARD.encode(statement.to_string()), "signatures": []})
            }
        };
        let mut layer = put_blob(&registry, media_type, content.to_string().as_bytes());
        layer["annotations"] = json!({"in-toto.io/predicate-type": kind});
        layer
    };
    let config = json!({"architecture": "unknown", "os": "unknown", "rootfs": {"type": "layers", "diff_ids": []}});
    let config = put_blob(&registry, "application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
    let layers = [
        statement("https://spdx.dev/Document", "application/vnd.in-toto+json", json!({"name": "sbom"})),
        statement("https://slsa.dev/provenance/v1", "application/vnd.in-toto.provenance+dsse", json!({"by": "me"})),
    ];
    let manifest = json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers});
    let mut attestation = put(&registry, "app", "attestation", OCI_MANIFEST, &manifest);
    attestation["platform"] = json!({"architecture": "unknown", "os": "unknown"});
    attestation["annotations"] =
        json!({"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": amd64["digest"]});
    let index = json!({
        "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [amd64, arm64, attestation], "annotations": {"x": "y"},
    });
    let root = put(&registry, "app", "1", OCI_INDEX, &index);
    let shown = |format: &str| imagetools(&program, &["inspect", "--format", format, &name]).success().stdout;
    let digest = root["digest"].as_str().unwrap();
    let before = registry.requests().len();
    assert_eq!(shown("{{.Manifest.Digest}} {{.Name}}"), format!("{digest} {name}\n"));
    assert!(registry.requests().len() <= before + 2, "nothing else is read for that");
    let manifest: Value = serde_json::from_str(&shown("{{json .Manifest}}")).unwrap();
    let mut expected = index.clone();
    (expected["digest"], expected["size"]) = (root["digest"].clone(), root["size"].clone());
    assert_eq!(manifest, expected);
    assert_eq!(
        shown("{{range .Manifest.Manifests}}{{.Platform.OS}}/{{.Platform.Architecture}} {{end}}"),
        "linux/amd64 linux/arm64 unknown/unknown \n"
    );
    let images: Value = serde_json::from_str(&shown("{{json .Image}}")).unwrap();
    assert_eq!(images["linux/arm64"]["config"]["Labels"]["l"], "two");
    assert_eq!(images.as_object().unwrap().len(), 2, "an attestation is not an image");
    assert_eq!(shown(r#"{{(index .Image "linux/amd64").Config.Labels.l}}"#), "one\n");
    let json = |text: String| serde_json::from_str::<Value>(&text).unwrap();
    assert_eq!(json(shown("{{json .SBOM}}")), json!({"linux/amd64": {"SPDX": {"name": "sbom"}}}));
    assert_eq!(json(shown("{{json .Provenance}}")), json!({"linux/amd64": {"SLSA": {"by": "me"}}}));
    let all = json(shown("{{json .}}"));
    assert_eq!((&all["Name"], &all["Image"]), (&json!(name), &images));
    assert_eq!(shown("{{.Manifest}}"), imagetools(&program, &["inspect", &name]).success().stdout);
    assert_eq!(imagetools(&program, &["inspect", "--raw", &name]).success().stdout, index.to_string());
    // Of one image the fields are its own.
    let one = format!("{}/app:arm64", registry.address());
    let shown = |format: &str| imagetools(&program, &["inspect", "--format", format, &one]).success().stdout;
    assert_eq!(
        shown("{{.Image.Architecture}} {{.Image.OS}} {{json .SBOM}} {{json .Provenance}}"),
        "arm64 linux null null\n"
    );
    assert_eq!(json(shown("{{json .Manifest}}"))["digest"], arm64["digest"]);
    // Attestations go along, and with their images they stay or go.
    let copy = format!("{}/copy:1", registry.address());
    imagetools(&program, &["create", "-t", &copy, "-p", "linux/arm64", &name]).success();
    imagetools(&program, &["create", "-t", &format!("{copy}-amd64"), "-p", "linux/amd64", &name]).success();
    let copied =
        |tag: &str| serde_json::from_slice::<Value>(&registry.manifest(&format!("copy/{tag}")).unwrap().1).unwrap();
    assert_eq!((listed(&copied("1")).len(), listed(&copied("1-amd64")).len()), (1, 2));
}

#[test]
fn a_thousand_members_are_read_and_those_that_lie_are_not_believed() {
    if !require("curl") {
        return;
    }
    let (program, registry) = (Program::new(), FakeRegistry::new());
    let config = json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}});
    let config = put_blob(&registry, "application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
    let manifest = json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": []});
    let honest = put(&registry, "app", "honest", OCI_MANIFEST, &manifest);
    let name = |tag: &str| format!("{}/app:{tag}", registry.address());
    let many = |member: &dyn Fn(usize) -> Value, count: usize| {
        let members: Vec<Value> = (0..count).map(member).collect();
        json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": members})
    };
    // The registry need not have what its index lists.
    let unknown =
        |number: usize| json!({"mediaType": OCI_MANIFEST, "digest": digest(&number.to_le_bytes()), "size": 1000});
    let (thousand, flood) = (
        many(&unknown, 1000).to_string(),
        many(&|_| json!({"mediaType": OCI_MANIFEST, "digest": honest["digest"], "size": i64::MAX}), 1000).to_string(),
    );
    let documents = [("thousand", thousand.clone()), ("flood", flood)];
    let scripted = FakeRegistry::scripted(move |request| {
        let name = request.path.rsplit('/').next().unwrap();
        let (_, document) =
            documents.iter().find(|(tag, document)| name == *tag || name == digest(document.as_bytes()))?;
        let reply = Reply::Answer(200, Vec::new(), document.clone().into_bytes());
        Some(reply.with("content-type", OCI_INDEX).with("docker-content-digest", digest(document.as_bytes())))
    });
    let there = |tag: &str| format!("{}/app:{tag}", scripted.address());
    let shown = imagetools(&program, &["inspect", &there("thousand")]).success().stdout;
    assert_eq!(shown.matches("  Name: ").count(), 1000);
    assert_eq!(imagetools(&program, &["inspect", "--raw", &there("thousand")]).success().stdout, thousand);
    imagetools(&program, &["create", "-t", &there("new"), &there("thousand")]).failure(1);
    assert_eq!(scripted.count("PUT", "/"), 0);
    for command in [&["inspect", "--format={{json .Image}}"][..], &["create", "-t", &there("new")]] {
        let outcome = imagetools(&program, &[command, &[&there("flood")]].concat()).failure(1);
        outcome.says(&["bytes"]);
    }
    // Members whose size or content is another.
    for (tag, size, change) in [("size", 7, ""), ("digest", 0, " ")] {
        let mut member = honest.clone();
        let own = registry.manifest("app/honest").unwrap().1;
        if size > 0 {
            member["size"] = json!(size);
        }
        if !change.is_empty() {
            let other = [&own[..], change.as_bytes()].concat();
            member["digest"] = json!(digest(&other));
        }
        let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [member]}).to_string();
        let lying = FakeRegistry::scripted(move |request| {
            let (kind, body) = match request.path.contains("/manifests/sha256:") {
                true => (OCI_MANIFEST, own.clone()),
                false => (OCI_INDEX, index.clone().into_bytes()),
            };
            let is_read = request.path.contains("/manifests/") && request.method != "PUT";
            is_read.then(|| Reply::Answer(200, Vec::new(), body).with("content-type", kind))
        });
        let source = format!("{}/app:1", lying.address());
        imagetools(&program, &["create", "-t", &name(tag), &source]).failure(1);
        imagetools(&program, &["inspect", "--format={{json .Image}}", &source]).failure(1);
        assert!(registry.manifest(&format!("app/{tag}")).is_none());
    }
}
