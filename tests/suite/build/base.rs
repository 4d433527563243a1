//! Images to build on: which one a name stands for, for each platform.

use std::fs;
use std::io::Read;

use flate2::read::MultiGzDecoder;
use ocibake::error::ErrorKind;
use ocibake::oci::Descriptor;
use ocibake::source::base::{Pins, Pull};
use serde_json::{Value, json};

use crate::support::base::{
    CONFIG, DOCKER_LIST, INDEX, MANIFEST, Machine, add, image, index, layer, listed, platform, read, root,
};
use crate::support::docker_registry::DockerRegistry;
use crate::support::fake_registry::FakeRegistry;
use crate::support::handmade::{Blob, DOCKER, GZIP, Handmade, PLAIN, ZSTD, file, tar};
use crate::support::memory_store::MemoryStore;
use crate::support::registry_client::{News, client, push};
use crate::support::tool;

/// An image of one file that says what it is for.
fn simple(store: &mut MemoryStore, of: &str) -> Value {
    let blob = layer(file("for", of), GZIP);
    image(store, of, &[blob], json!({"Env": [format!("FOR={of}")]}), false)
}

fn pushed(store: &MemoryStore, root: &Descriptor) -> (FakeRegistry, String) {
    let registry = FakeRegistry::new();
    push(&client(), &registry.address(), store, root, &["v1"], &News::default()).unwrap();
    let name = format!("{}/org/api:v1", registry.address());
    (registry, name)
}

/// Which of the images of an index with these platforms is taken for each platform; that of the first is the first one that
/// fits as well.
fn chosen(listed: &[&str], wanted: &str) -> Result<String, String> {
    let mut store = MemoryStore::default();
    let images: Vec<Value> = listed.iter().map(|of| simple(&mut store, of)).collect();
    let root = index(&mut store, INDEX, &images);
    let (_registry, name) = pushed(&store, &root);
    match Machine::new().find(&name, wanted) {
        Ok(image) => Ok(image.config.config.env.clone().unwrap()[0].replace("FOR=", "")),
        Err(error) => Err(error.hint.unwrap()),
    }
}

/// containerd's documentation of `platforms.Only`: arm/v7 takes arm/v6 and arm/v5, amd64 takes 386, arm64 takes arm.
#[test]
fn the_nearest_platform_that_runs_is_taken() {
    let cases: [(&[&str], &str, &str); 11] = [
        (&["linux/arm64", "linux/amd64"], "linux/amd64", "linux/amd64"),
        (&["linux/amd64/v2", "linux/amd64", "linux/amd64/v3"], "linux/amd64/v3", "linux/amd64/v3"),
        (&["linux/amd64", "linux/amd64/v2"], "linux/amd64/v3", "linux/amd64/v2"),
        (&["linux/amd64/v2", "linux/amd64"], "linux/amd64", "linux/amd64"),
        (&["linux/arm/v5", "linux/arm/v6"], "linux/arm/v7", "linux/arm/v6"),
        (&["linux/arm/v5", "linux/arm/v7"], "linux/arm", "linux/arm/v7"),
        (&["linux/arm/v5", "linux/arm/v7"], "linux/arm/v6", "linux/arm/v5"),
        (&["linux/arm64/v8"], "linux/arm64", "linux/arm64/v8"),
        (&["linux/arm64"], "linux/arm64/v8", "linux/arm64"),
        (&["linux/386", "windows/amd64"], "linux/amd64", "linux/386"),
        (&["linux/arm/v7", "linux/s390x"], "linux/arm64", "linux/arm/v7"),
    ];
    for (listed, wanted, expected) in cases {
        assert_eq!(chosen(listed, wanted), Ok(expected.to_owned()), "{wanted} of {listed:?}");
    }
    let known = "it has linux/amd64/v2, linux/arm/v7".to_owned();
    assert_eq!(chosen(&["linux/arm/v7", "linux/amd64/v2"], "linux/amd64"), Err(known.clone()));
    assert_eq!(chosen(&["linux/amd64/v2", "linux/arm/v7"], "linux/arm/v6"), Err(known));
    assert_eq!(chosen(&[], "linux/arm/v6"), Err("it has no images at all".to_owned()));
}

#[test]
fn indexes_within_indexes_are_looked_through_and_attestations_are_not() {
    let mut store = MemoryStore::default();
    let [amd64, arm64] = ["linux/amd64", "linux/arm64"].map(|of| simple(&mut store, of));
    let mut unlisted = simple(&mut store, "linux/s390x");
    unlisted.as_object_mut().unwrap().remove("platform");
    let mut attestation = simple(&mut store, "linux/riscv64");
    attestation["platform"] = platform("unknown/unknown");
    let artifact = {
        let empty = listed(&store.add("application/vnd.oci.empty.v1+json", b"{}"));
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": empty, "layers": []});
        listed(&add(&mut store, MANIFEST, &manifest))
    };
    let inner = listed(&index(&mut store, INDEX, &[arm64, unlisted, attestation, artifact]));
    let outer = index(&mut store, INDEX, &[amd64, inner]);
    let (_registry, name) = pushed(&store, &outer);
    for of in ["linux/amd64", "linux/arm64", "linux/s390x"] {
        let image = Machine::new().find(&name, of).unwrap();
        assert_eq!(image.config.platform.to_string(), of);
        assert_eq!(image.root, outer.digest);
    }
    let error = Machine::new().find(&name, "linux/riscv64").unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert_eq!(error.hint.unwrap(), "it has linux/amd64, linux/arm64, linux/s390x");
}

/// BuildKit takes it, too, and warns (InvalidBaseImagePlatform).
#[test]
fn the_only_image_there_is_will_do_for_another_platform() {
    let mut store = MemoryStore::default();
    let only = root(&simple(&mut store, "linux/arm64"));
    let (_registry, name) = pushed(&store, &only);
    let found = Machine::new().find(&name, "linux/amd64").unwrap();
    assert_eq!((found.root, found.manifest), (only.digest, only.digest));
    let warning = format!("the base {name} is for linux/arm64, but the build is for linux/amd64");
    assert_eq!(found.mismatch(&"linux/amd64".parse().unwrap()), Some(warning));
    assert_eq!(found.mismatch(&"linux/arm64/v8".parse().unwrap()), None, "it is the same platform");
}

#[test]
fn layers_keep_their_bytes_under_ocis_names_for_their_types() {
    let mut store = MemoryStore::default();
    let layers = [
        Blob::of(&tar(&[file("a", "docker")]), DOCKER),
        Blob::of(&tar(&[file("b", "zstd")]), ZSTD),
        Blob::of(&tar(&[file("c", "plain")]), PLAIN),
    ];
    let of_docker = image(&mut store, "linux/amd64", &layers, json!({"Shell": ["/bin/ash"], "Odd": 1}), true);
    let list = index(&mut store, DOCKER_LIST, &[of_docker]);
    let (_registry, name) = pushed(&store, &list);
    Machine::new().build(Pull::Usual, Pins::default(), |bases| {
        let image = bases.find(&name, &"linux/amd64".parse().unwrap()).unwrap();
        let types: Vec<&str> = image.layers.iter().map(|layer| layer.media_type.as_str()).collect();
        assert_eq!(types, [GZIP, ZSTD, PLAIN]);
        for (blob, descriptor) in layers.iter().zip(&image.layers) {
            assert_eq!(read(bases, descriptor).unwrap(), blob.bytes);
        }
        assert_eq!(image.config.config.shell.as_deref().unwrap(), ["/bin/ash"]);
        assert_eq!(image.config.config.other["Odd"], 1);
        assert_eq!(image.config.rootfs.diff_ids.len(), 3);
        let other = Descriptor::of(GZIP, b"what no base has");
        assert_eq!(read(bases, &other).unwrap_err().kind, ErrorKind::NotFound);
    });
}

#[test]
fn what_may_not_be_given_on_keeps_its_addresses() {
    let layout = Handmade::of(&[&[file("a", "content")]]);
    let path = |digest: &Value| layout.path().join("blobs").join(digest.as_str().unwrap().replace(':', "/"));
    let read = |path: std::path::PathBuf| serde_json::from_slice::<Value>(&fs::read(path).unwrap()).unwrap();
    let mut index = read(layout.path().join("index.json"));
    let mut manifest = read(path(&index["manifests"][0]["digest"]));
    let urls = json!(["https://example.com/layer"]);
    manifest["layers"][0]["mediaType"] = json!("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
    manifest["layers"][0]["urls"] = urls.clone();
    let manifest = manifest.to_string();
    fs::write(layout.blob_path(manifest.as_bytes()), &manifest).unwrap();
    index["manifests"][0] = listed(&Descriptor::of(MANIFEST, manifest.as_bytes()));
    fs::write(layout.path().join("index.json"), index.to_string()).unwrap();
    let image = Machine::new()
        .build_at(Some(layout.path()), Pull::Usual, Pins::default(), |bases| {
            bases.find("./", &"linux/amd64".parse().unwrap())
        })
        .unwrap();
    assert_eq!(image.layers[0].media_type, "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip");
    assert_eq!(image.layers[0].other["urls"], urls);
}

#[test]
fn what_is_no_image_is_refused_by_name() {
    let mut store = MemoryStore::default();
    let empty = listed(&store.add("application/vnd.oci.empty.v1+json", b"{}"));
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": empty, "layers": []});
    let artifact = add(&mut store, MANIFEST, &manifest);
    let (_registry, name) = pushed(&store, &artifact);
    let error = Machine::new().find(&name, "linux/amd64").unwrap_err();
    assert_eq!(error.message, format!("{name} is an artifact, not an image"));

    let mut store = MemoryStore::default();
    let chart =
        Blob { media_type: "application/vnd.cncf.helm.chart.content.v1.tar+gzip", ..layer(file("a", ""), GZIP) };
    let image = image(&mut store, "linux/amd64", &[chart], json!({}), false);
    let (_registry, name) = pushed(&store, &root(&image));
    let error = Machine::new().find(&name, "linux/amd64").unwrap_err();
    assert!(error.message.contains("vnd.cncf.helm.chart") && error.message.contains(&name), "{error:?}");
}

#[test]
fn images_of_docker_s_first_schema_are_refused_by_name() {
    let place = tempfile::tempdir().unwrap();
    let layout = Handmade::new(&[]);
    let signed = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    let bytes = br#"{"schemaVersion":1,"name":"a","tag":"b","fsLayers":[]}"#;
    let root = listed(&Descriptor::of(signed, bytes));
    fs::write(layout.blob_path(bytes), bytes).unwrap();
    fs::write(layout.path().join("index.json"), json!({"schemaVersion": 2, "manifests": [root]}).to_string()).unwrap();
    let name = format!("oci:{}", layout.path().display());
    let error = Machine::new()
        .build_at(Some(place.path()), Pull::Usual, Pins::default(), |bases| {
            bases.find(&name, &"linux/amd64".parse().unwrap())
        })
        .unwrap_err();
    assert!(error.message.contains("schema 1") && error.message.contains(&name), "{error:?}");
}

#[test]
fn a_config_with_fewer_layers_than_the_manifest_is_refused() {
    let mut store = MemoryStore::default();
    let layer = listed(&store.add(GZIP, b"a layer"));
    let mut config = platform("linux/amd64");
    config["rootfs"] = json!({"type": "layers", "diff_ids": []});
    let config = listed(&add(&mut store, CONFIG, &config));
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]});
    let manifest = add(&mut store, MANIFEST, &manifest);
    let (_registry, name) = pushed(&store, &manifest);
    assert_eq!(Machine::new().find(&name, "linux/amd64").unwrap_err().kind, ErrorKind::Integrity);
}

#[test]
fn images_on_this_machine_are_named_as_everywhere() {
    let place = tempfile::tempdir().unwrap();
    let layout = Handmade::of(&[&[file("a", "content")]]);
    fs::create_dir(place.path().join("sub")).unwrap();
    tool::run("cp", ["-r".as_ref(), layout.path(), &place.path().join("sub/base")]);
    layout.write(&format!("type=oci,dest={}/base.tar", place.path().display())).unwrap();
    let find = |directory: Option<&std::path::Path>, name: &str| {
        let machine = Machine::new();
        machine.build_at(directory, Pull::Usual, Pins::default(), |bases| {
            let image = bases.find(name, &"linux/amd64".parse().unwrap())?;
            read(bases, &image.layers[0]).map(|bytes| {
                assert!(machine.store().blob(&image.layers[0].digest).is_none(), "it is not copied");
                (image.name.clone(), bytes.len())
            })
        })
    };
    let size = find(Some(place.path()), "oci:sub/base").unwrap().1;
    let absolute = place.path().join("sub/base").display().to_string();
    for name in ["oci:sub/base", "oci:sub/base:it", "./sub/base", "oci-archive:base.tar", "./base.tar", &absolute] {
        assert_eq!(find(Some(place.path()), name).unwrap(), (name.to_owned(), size));
    }
    let error = find(Some(place.path()), "oci:sub/base:other").unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound, "{error:?}");
    for name in ["oci:sub/base", "./sub/base", &absolute] {
        let error = find(None, name).unwrap_err();
        assert_eq!(error.message, format!("`{name}` is not a name in a registry"));
    }
}

#[test]
fn a_context_takes_the_place_of_a_name_however_that_is_written() {
    let layout = Handmade::of(&[&[file("a", "content")]]);
    let mut machine = Machine::new();
    let location = format!("oci:{}", layout.path().display()).parse().unwrap();
    machine.contexts.insert("debian".to_owned(), location);
    for name in ["debian", "debian:latest", "docker.io/debian", "docker.io/library/debian:latest"] {
        assert_eq!(machine.find(name, "linux/amd64").unwrap().layers.len(), 1);
    }
    let found =
        machine.build(Pull::Never, Pins::default(), |bases| bases.find("debian:13", &"linux/amd64".parse().unwrap()));
    assert_eq!(found.unwrap_err().kind, ErrorKind::NotFound, "it is another name");
}

#[test]
fn an_image_says_what_it_stands_on() {
    let mut store = MemoryStore::default();
    let images = ["linux/amd64", "linux/arm64"].map(|of| simple(&mut store, of));
    let root = index(&mut store, INDEX, &images);
    let (_registry, name) = pushed(&store, &root);
    let annotations = Machine::new().find(&name, "linux/arm64").unwrap().annotations();
    let expected = [
        ("org.opencontainers.image.base.digest".to_owned(), root.digest.to_string()),
        ("org.opencontainers.image.base.name".to_owned(), name),
    ];
    assert_eq!(annotations.into_iter().collect::<Vec<_>>(), expected);

    let layout = Handmade::of(&[&[file("a", "content")]]);
    let name = format!("oci:{}:it", layout.path().display());
    let found = Machine::new()
        .build_at(Some(layout.path()), Pull::Usual, Pins::default(), |bases| {
            bases.find(&name, &"linux/amd64".parse().unwrap())
        })
        .unwrap();
    let keys: Vec<String> = found.annotations().into_keys().collect();
    assert_eq!(keys, ["org.opencontainers.image.base.digest"], "a path says nothing elsewhere");
}

/// What other tools have made, on a real registry.
#[test]
fn images_of_skopeo_and_umoci_are_found() {
    if !["docker-registry", "skopeo", "umoci"].iter().all(|name| tool::require(name)) {
        return;
    }
    let registry = DockerRegistry::open();
    let place = tempfile::tempdir().unwrap();
    let layout = place.path().join("layout").display().to_string();
    let file = place.path().join("file");
    fs::write(&file, "content").unwrap();
    tool::run("umoci", ["init", "--layout", &layout]);
    tool::run("umoci", ["new", "--image", &format!("{layout}:v1")]);
    tool::run("umoci", ["insert", "--image", &format!("{layout}:v1"), file.to_str().unwrap(), "/file"]);
    tool::run("umoci", ["config", "--image", &format!("{layout}:v1"), "--config.user", "7", "--architecture", "amd64"]);
    for format in ["oci", "v2s2"] {
        let name = format!("{}/org/{format}:v1", registry.address());
        let (from, to) = (format!("oci:{layout}:v1"), format!("docker://{name}"));
        tool::run("skopeo", ["copy", "-q", "--dest-tls-verify=false", "--format", format, &from, &to]);
        let raw = tool::run("skopeo", ["inspect", "--raw", "--tls-verify=false", &to]);
        let manifest: Value = serde_json::from_str(&raw).unwrap();
        Machine::new().build(Pull::Usual, Pins::default(), |bases| {
            let image = bases.find(&name, &"linux/amd64".parse().unwrap()).unwrap();
            assert_eq!(image.config.config.user, "7");
            assert_eq!(image.layers[0].digest.to_string(), manifest["layers"][0]["digest"].as_str().unwrap());
            assert_eq!(image.layers[0].media_type, GZIP);
            let bytes = read(bases, &image.layers[0]).unwrap();
            let mut tar = Vec::new();
            MultiGzDecoder::new(&bytes[..]).read_to_end(&mut tar).unwrap();
            assert!(tar.windows(7).any(|window| window == b"content"));
        });
    }
}
