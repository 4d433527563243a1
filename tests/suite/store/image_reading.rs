//! Images as they are found in the wild: read and made whole, or refused by name before anything is written.

use std::fs;
use std::process::Command;

use ocibake::image::Reader;
use ocibake::oci::{Descriptor, Digest, media_type};
use ocibake::output::{Means, Output, OutputImage};
use ocibake::plan::annotation::{self, PlacedAnnotations};
use ocibake::progress::{Event, silent};
use ocibake::release::{self, Release, ReleaseTarget, tag};
use serde_json::{Value, json};

use crate::support::fake_registry::FakeRegistry;
use crate::support::handmade::{Blob, GZIP, Handmade, file, tar, write_root};
use crate::support::memory_store::MemoryStore;
use crate::support::registry_client::{on_demand, reference};
use crate::support::standing::writes;
use crate::support::tool::require;

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// An image of `layers`, with this config.
fn image(store: &mut MemoryStore, config_type: &str, config: &Value, layers: &[Value]) -> Descriptor {
    let config = store.add(config_type, config.to_string().as_bytes());
    let manifest =
        json!({"schemaVersion": null, "mediaType": null, "config": config, "layers": layers, "annotations": null});
    store.add(media_type::IMAGE_MANIFEST, manifest.to_string().as_bytes())
}

/// A layer with one file, in `store`: its descriptor and its diff_id.
fn layer(store: &mut MemoryStore, name: &str) -> (Value, String) {
    let Blob { bytes, diff_id, .. } = Blob::of(&tar(&[file(name, name)]), GZIP);
    (serde_json::to_value(store.add(GZIP, &bytes)).unwrap(), format!("sha256:{diff_id}"))
}

#[test]
fn null_is_nothing_everywhere() {
    let mut store = MemoryStore::default();
    let (one, diff_id) = layer(&mut store, "one");
    let config = json!({
        "created": null, "author": null, "architecture": null, "os": null, "variant": null, "os.version": null,
        "os.features": null,
        "config": {
            "User": null, "ExposedPorts": {"80/tcp": null}, "Env": ["A=1"], "Entrypoint": null, "Cmd": null,
            "Volumes": null, "WorkingDir": null, "Labels": {"a": null}, "StopSignal": null, "Shell": null, "OnBuild": null,
            "Healthcheck": {"Test": null, "Interval": null, "Timeout": null, "StartPeriod": null, "Retries": null},
        },
        "rootfs": {"type": null, "diff_ids": [diff_id]},
        "history": [{"created": null, "created_by": null, "author": null, "comment": null, "empty_layer": null}],
    });
    let root = image(&mut store, CONFIG, &config, &[one]);
    let found = Reader::new(&store).image(&root).unwrap().unwrap();
    assert_eq!((found.manifest.schema_version, found.layers().unwrap().len()), (2, 1));
    let expected = json!({
        "architecture": "amd64", "os": "linux",
        "config": {"ExposedPorts": {"80/tcp": {}}, "Env": ["A=1"], "Labels": {"a": ""}, "Healthcheck": {}},
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [{}],
    });
    assert_eq!(serde_json::to_value(&found.config).unwrap(), expected);
}

#[test]
fn every_layer_has_its_history_and_every_image_a_platform() {
    let mut store = MemoryStore::default();
    let layers = ["one", "two"].map(|name| layer(&mut store, name));
    let diff_ids = layers.each_ref().map(|(_, diff_id)| diff_id);
    let layers = layers.each_ref().map(|(layer, _)| layer.clone());
    let entry = |name: &str| json!({"created_by": name});
    for (history, expected) in [
        (json!(null), json!([{}, {}])),
        (json!([entry("a"), {"empty_layer": true}]), json!([entry("a"), {"empty_layer": true}, {}])),
        (
            json!([entry("a"), entry("b"), entry("c")]),
            json!([entry("a"), entry("b"), {"created_by": "c", "empty_layer": true}]),
        ),
    ] {
        let config = json!({"os": "", "architecture": "arm64", "variant": "", "rootfs": {"diff_ids": diff_ids}, "history": history});
        let root = image(&mut store, CONFIG, &config, &layers);
        let found = Reader::new(&store).image(&root).unwrap().unwrap();
        assert_eq!(serde_json::to_value(&found.config.history).unwrap(), expected);
        assert_eq!((found.config.platform.to_string().as_str(), found.config.platform.variant), ("linux/arm64", None));
    }
    // What the config leaves out, the index may say.
    let config = json!({"rootfs": {"diff_ids": diff_ids}});
    let listed = image(&mut store, CONFIG, &config, &layers).with_platform("linux/arm/v7".parse().unwrap());
    let found = Reader::new(&store).image(&listed).unwrap().unwrap();
    assert_eq!(found.config.platform.to_string(), "linux/arm/v7");
    let said: Descriptor = serde_json::from_value(json!({
        "mediaType": CONFIG, "digest": listed.digest, "size": 1, "platform": {"os": "", "architecture": ""},
    }))
    .unwrap();
    assert_eq!(said.platform, None);
}

#[test]
fn configs_of_odd_types_are_those_of_images_where_the_layers_are() {
    let mut store = MemoryStore::default();
    let (one, diff_id) = layer(&mut store, "one");
    let config = json!({"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": [diff_id]}});
    for kind in ["application/octet-stream", "application/json", "text/html", ""] {
        let root = image(&mut store, kind, &config, std::slice::from_ref(&one));
        assert!(Reader::new(&store).image(&root).unwrap().is_some(), "{kind}");
        let other = store.add("application/vnd.example", b"other");
        let root = image(&mut store, kind, &config, &[serde_json::to_value(other).unwrap()]);
        assert!(Reader::new(&store).image(&root).unwrap().is_none(), "{kind}");
    }
    let root = image(&mut store, "application/vnd.example", &config, &[one]);
    assert!(Reader::new(&store).image(&root).unwrap().is_none());
}

#[test]
fn counts_are_checked_before_anything_is_written() {
    let mut store = MemoryStore::default();
    let (one, diff_id) = layer(&mut store, "one");
    let config = json!({"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": [diff_id, diff_id]}});
    let root = image(&mut store, CONFIG, &config, &[one]);
    let place = tempfile::tempdir().unwrap();
    for kind in ["docker", "oci", "tar", "local"] {
        let error = write_root(&store, &root, &format!("type={kind},dest={}/out", place.path().display()), &silent);
        let error = error.unwrap_err();
        assert!(error.message.contains("1 layers, but its config has 2 diff_ids"), "{kind}: {error:?}");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0, "{kind}");
    }
}

#[test]
fn counts_are_checked_before_anything_is_pushed() {
    let mut store = MemoryStore::default();
    let (one, diff_id) = layer(&mut store, "one");
    let config = json!({"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": [diff_id, diff_id]}});
    let root = image(&mut store, CONFIG, &config, &[one]);
    let registry = FakeRegistry::new();
    let repository = reference(&registry.address(), "app");
    let names = [repository.with_tag("1.0.0")];
    let image = OutputImage { store: &store, root: &root, names: &names };
    let means = Means { client: &on_demand(), jobs: 1, progress: &silent };
    let tags = tag::alone("1.0.0").unwrap().tags;
    let targets = [ReleaseTarget { repository, version: None, tags }];
    let release = Release { targets: &targets, immutable: false, undo: None, keep: &|_, _| Ok(()) };
    for outcome in [release::write(&[Output::Registry], image, &means), release.write(&[], image, &means)] {
        let error = outcome.unwrap_err();
        assert!(error.message.contains("1 layers, but its config has 2 diff_ids"), "{error:?}");
    }
    assert!(!registry.requests().iter().any(writes));
}

#[test]
fn a_layer_that_is_elsewhere_leaves_no_hole() {
    let mut store = MemoryStore::default();
    let (one, diff_id) = layer(&mut store, "one");
    let elsewhere = Blob::of(&tar(&[file("two", "two")]), GZIP);
    let digest = Digest::of(&elsewhere.bytes);
    let kind = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";
    let foreign = json!({
        "mediaType": kind, "digest": digest, "size": elsewhere.bytes.len(), "urls": ["https://example.com/two"],
    });
    let diff_ids = [diff_id, format!("sha256:{}", elsewhere.diff_id)];
    let config = json!({"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": diff_ids}});
    let root = image(&mut store, CONFIG, &config, &[one, foreign]);
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("out");
    for kind in ["docker", "tar", "local"] {
        let error = write_root(&store, &root, &format!("type={kind},dest={}", out.display()), &silent).unwrap_err();
        let says = [digest.to_string(), "https://example.com/two".to_owned()];
        assert!(says.iter().all(|says| error.message.contains(says)), "{kind}: {error:?}");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0, "{kind}");
    }
    let warnings = std::sync::Mutex::new(Vec::new());
    let note = |event: Event<'_>| {
        if let Event::Warning { message, .. } = event {
            warnings.lock().unwrap().push(message.to_owned());
        }
    };
    write_root(&store, &root, &format!("type=oci,dest={}", out.display()), &note).unwrap();
    assert!(warnings.lock().unwrap()[0].contains("is written without the layer"), "{warnings:?}");
    // Where its bytes are at hand, they are taken.
    store.add(kind, &elsewhere.bytes);
    write_root(&store, &root, &format!("type=docker,dest={}", out.display()), &silent).unwrap();
    let mut names: Vec<String> = Vec::new();
    let mut archive = ::tar::Archive::new(fs::File::open(&out).unwrap());
    for entry in archive.entries().unwrap() {
        names.push(entry.unwrap().path().unwrap().display().to_string());
    }
    assert!(names.contains(&format!("blobs/sha256/{}", digest.to_string().trim_start_matches("sha256:"))), "{names:?}");
}

#[test]
fn docker_s_first_form_of_a_manifest_is_named() {
    let mut store = MemoryStore::default();
    for kind in ["json", "prettyjws"] {
        let kind = format!("application/vnd.docker.distribution.manifest.v1+{kind}");
        let root = store.add(&kind, b"{\"schemaVersion\": 1, \"fsLayers\": []}");
        for error in [
            Reader::new(&store).image(&root).unwrap_err(),
            ocibake::inspect::report(&store, &root).unwrap_err(),
            ocibake::store::Graph::of(&store, &root).unwrap_err(),
        ] {
            assert!(error.message.contains("docker's schema 1"), "{error:?}");
            assert!(error.hint.as_deref().is_some_and(|hint| hint.contains("skopeo copy --format oci")), "{error:?}");
        }
    }
}

/// GNU tar makes the layers, in all forms that it knows.
#[test]
fn sparse_files_of_layers_are_read() {
    if !require("tar") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let source = place.path().join("d");
    fs::create_dir(&source).unwrap();
    let mut content = vec![0; 4 << 20];
    for (number, at) in (0..4 << 20).step_by(100_000).enumerate() {
        content[at] = number as u8 + 1;
    }
    let shell = |script: &str| {
        let status = Command::new("sh").arg("-c").arg(script).current_dir(place.path()).status().unwrap();
        assert!(status.success(), "{script}");
    };
    fs::write(place.path().join("full"), &content).unwrap();
    shell(
        "cp --sparse=always full d/many && truncate -s 3M d/hole && printf end >> d/hole && truncate -s 1M d/none && cp full d/plain",
    );
    for form in ["gnu", "pax --sparse-version=0.0", "pax --sparse-version=0.1", "pax --sparse-version=1.0"] {
        shell(&format!("tar --sparse --format={form} -cf sparse.tar -C d many hole none plain"));
        let tar = fs::read(place.path().join("sparse.tar")).unwrap();
        assert!(tar.len() < 7 << 20, "{form}: it is not sparse");
        let out = place.path().join("out");
        Handmade::new(&[Blob::of(&tar, GZIP)]).write(&format!("type=local,dest={}", out.display())).unwrap();
        for name in ["many", "hole", "none", "plain"] {
            let expected = fs::read(source.join(name)).unwrap();
            assert!(fs::read(out.join(name)).unwrap() == expected, "{form}: {name}");
        }
        fs::remove_dir_all(&out).unwrap();
        Handmade::new(&[Blob::of(&tar, GZIP)]).write(&format!("type=tar,dest={}", out.display())).unwrap();
        shell(
            "mkdir x && tar -xf out -C x && for name in many hole none plain; do cmp x/$name d/$name; done && rm -r x out",
        );
    }
}

#[test]
fn a_damaged_or_endless_map_of_a_sparse_file_is_refused() {
    let sparse = |map: &str, size: &str| {
        let entry = file("s", "abc").record("GNU.sparse.size", size).record("GNU.sparse.map", map);
        let place = tempfile::tempdir().unwrap();
        let written = Handmade::of(&[&[entry]]).write(&format!("type=tar,dest={}/out", place.path().display()));
        written.map_err(|error| error.message)
    };
    assert_eq!(sparse("0,1,10,2", "20"), Ok(()));
    for (map, size) in
        [("0,1,10,3", "20"), ("10,1,0,2", "20"), ("0,3", "2"), ("0,1,10", "20"), ("0,2,1,1", "9"), ("0,3", "x")]
    {
        assert!(sparse(map, size).unwrap_err().contains("the map of the sparse file"), "{map} {size}");
    }
    assert!(sparse("0,3", "4000000000000000000").unwrap_err().contains("unpack to more than"));
}

#[test]
fn annotations_are_set_where_their_prefix_says() {
    let set = |text: &str| {
        let (mut all, mut placed) = (Default::default(), PlacedAnnotations::default());
        annotation::set(&mut all, &mut placed, text).map(|()| (all, placed)).map_err(|error| error.message)
    };
    let (all, placed) = set("org.example:key=value").unwrap();
    assert_eq!((all["org.example:key"].as_str(), placed), ("value", PlacedAnnotations::default()));
    let (all, placed) = set("index,manifest[linux/arm64]:a=b:c=d").unwrap();
    assert!(all.is_empty());
    assert_eq!(placed.index["a"], "b:c=d");
    assert_eq!(placed.of_manifest(&"linux/arm64".parse().unwrap())["a"], "b:c=d");
    let other = "linux/amd64".parse().unwrap();
    assert!(placed.of_manifest(&other).is_empty());
    assert_eq!(set("manifest:a=b").unwrap().1.of_manifest(&other)["a"], "b");
    assert!(placed.check(&[&other], true).unwrap_err().message.contains("linux/arm64, which is not built"));
    assert!(set("index:a=b").unwrap().1.check(&[&other], false).unwrap_err().message.contains("none is made"));
    let described = set("index-descriptor,manifest-descriptor:a=b").unwrap().1;
    assert_eq!(
        (&described.index_descriptor["a"], &described.of_manifest_descriptor(&other)["a"]),
        (&"b".into(), &"b".into())
    );
    assert!(described.check(&[&other], false).unwrap_err().message.contains("none is made"));
    for wrong in
        ["index:a", "index[linux/amd64]:a=b", "index-descriptor[arm64]:a=b", "manifest[x/y]:a=b", "manifest:=b"]
    {
        assert!(set(wrong).is_err(), "{wrong}");
    }
}
