//! What images say of their layers' diff_ids is not believed, and what is remembered lies under its own key.

use std::fs;
use std::io::Read;
use std::path::Path;

use ocibake::error::{ErrorKind, Result};
use ocibake::layer::{Layer, LayerReader};
use ocibake::oci::{Descriptor, Digest};
use ocibake::plan::{Base, Copy, Provider, Work};
use ocibake::store::LocalStore;
use proptest::prelude::*;
use tempfile::TempDir;

use crate::support::handmade::{Blob, GZIP, Handmade, PLAIN, ZSTD, file, gzip, tar};
use crate::support::layout::Layout;
use crate::support::noise::noise;
use crate::support::program::Program;
use crate::support::rebuild::settle;
use crate::support::stages::{Outcome, Workshop, copy, stage};
use crate::support::traces::{assert_store_is_sound, names_in};
use crate::support::tree::Tree;

/// A layer with one file, and another beside it that all of them have.
fn layer(number: u8, media_type: &'static str) -> Blob {
    Blob::of(&tar(&[file("app", [number; 20]), file("other", "other")]), media_type)
}

/// `blob` under the diff_id of `other`.
fn forged(blob: &Blob, other: &Blob) -> Blob {
    Blob { diff_id: other.diff_id.clone(), ..blob.clone() }
}

/// Copies `path` out of an image of these layers.
fn try_copy(workshop: &mut Workshop, layers: &[Blob], path: &str) -> Result<Outcome> {
    let image = workshop.image(Handmade::new(layers));
    let work = Work::Copy(Copy { from: Provider::Image(image), ..copy(&[path], path) });
    workshop.try_build(&workshop.plan(vec![stage(Base::Scratch, vec![work])]))
}

#[test]
fn members_that_were_noted_of_one_layer_are_not_used_with_another() {
    let mut workshop = Workshop::new(&Tree::new());
    let (good, evil) = (layer(b'g', PLAIN), layer(b'e', PLAIN));
    try_copy(&mut workshop, std::slice::from_ref(&good), "/other").unwrap();
    let error = try_copy(&mut workshop, &[forged(&evil, &good)], "/app").err().expect("it is not what it says");
    assert_eq!(error.kind, ErrorKind::Integrity, "{error:?}");
    assert!(error.message.contains(&good.diff_id), "{error:?}");
    let expected = try_copy(&mut Workshop::new(&Tree::new()), std::slice::from_ref(&good), "/app").unwrap().digest;
    assert_eq!(try_copy(&mut workshop, &[good], "/app").unwrap().digest, expected);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 24, ..ProptestConfig::default() })]

    /// Whoever was built from before, an image gives what it gives with a store of its own.
    #[test]
    fn no_image_changes_what_a_later_one_gives(claims in prop::collection::vec((0..3_usize, 0..3_usize, any::<bool>()), 1..8)) {
        let all = [layer(1, PLAIN), layer(2, GZIP), layer(3, ZSTD)];
        let mut workshop = Workshop::new(&Tree::new());
        for (blob, claimed, is_app) in claims {
            let path = if is_app { "/app" } else { "/other" };
            let built = try_copy(&mut workshop, &[forged(&all[blob], &all[claimed])], path);
            prop_assert_eq!(built.is_ok(), blob == claimed);
        }
        for honest in all {
            let expected = try_copy(&mut Workshop::new(&Tree::new()), std::slice::from_ref(&honest), "/app").unwrap().digest;
            prop_assert_eq!(try_copy(&mut workshop, &[honest], "/app").unwrap().digest, expected);
        }
    }

    #[test]
    fn no_record_is_one_under_another_key(notes in prop::collection::vec((any::<[u8; 4]>(), prop::collection::vec(any::<u8>(), 0..99)), 2..6)) {
        let place = tempfile::tempdir().unwrap();
        let store = LocalStore::open(place.path()).unwrap();
        let blob = Digest::of(b"blob");
        let keys: Vec<Digest> = notes.iter().enumerate().map(|(number, (key, _))| {
            Digest::of(&[&[number as u8], &key[..]].concat())
        }).collect();
        for (key, (_, content)) in keys.iter().zip(&notes) {
            store.put_record(key, &blob, content).unwrap();
        }
        let at = |key: &Digest| place.path().join("records").join(key.hex());
        for from in &keys {
            for to in keys.iter().filter(|to| *to != from) {
                let own = fs::read(at(to)).unwrap();
                fs::copy(at(from), at(to)).unwrap();
                prop_assert_eq!(store.record(to), None);
                fs::write(at(to), own).unwrap();
            }
        }
        for (key, (_, content)) in keys.iter().zip(&notes) {
            prop_assert_eq!(store.record(key), Some((blob, content.clone())));
        }
    }
}

fn read_layer(bytes: &[u8], diff_id: &[u8], at_once: usize) -> Result<Vec<u8>> {
    let layer = Layer { descriptor: Descriptor::of(GZIP, bytes), diff_id: Digest::of(diff_id) };
    let mut reader = LayerReader::new(bytes, &layer);
    let (mut read, mut buffer) = (Vec::new(), vec![0; at_once]);
    loop {
        match reader.read(&mut buffer).map_err(|error| error.downcast().expect("errors of a reader are ours"))? {
            0 => return Ok(read),
            count => read.extend_from_slice(&buffer[..count]),
        }
    }
}

#[test]
fn a_blob_is_held_against_its_diff_id_in_whatever_form_it_is() {
    let plain = noise(1, 100_000);
    let (one, two) = plain.split_at(30_000);
    let frame = |bytes: &[u8]| zstd::stream::encode_all(bytes, 3).unwrap();
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"any"].concat();
    let forms = [
        plain.clone(),
        gzip(&plain),
        [gzip(one), gzip(two)].concat(),
        frame(&plain),
        [frame(one), frame(two)].concat(),
        [skippable.clone(), frame(one), skippable, frame(two)].concat(),
    ];
    for (number, blob) in forms.iter().enumerate() {
        for at_once in [1, 3, 4096, 1 << 20] {
            assert!(read_layer(blob, &plain, at_once).unwrap() == *blob, "form {number}, {at_once} at once");
        }
        let error = read_layer(blob, one, 4096).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Integrity, "form {number}: {error:?}");
    }
    assert_eq!(read_layer(b"", b"", 9).unwrap(), b"");
    assert_eq!(read_layer(b"ab", b"ab", 1).unwrap(), b"ab");
    let error = read_layer(&[&gzip(one)[..15_000], &[0; 999]].concat(), one, 4096).unwrap_err();
    assert!(error.message.contains("cannot be decompressed") || error.kind == ErrorKind::Integrity, "{error:?}");
}

#[test]
fn a_docker_archive_has_the_layers_that_its_config_tells_of() {
    let (good, evil) = (layer(b'g', GZIP), layer(b'e', GZIP));
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("x.tar");
    let output = format!("type=docker,dest={}", path.display());
    Handmade::new(&[good.clone(), evil.clone()]).write(&output).unwrap();
    fs::remove_file(&path).unwrap();
    for layers in [vec![forged(&evil, &good)], vec![forged(&good, &evil), forged(&evil, &good)]] {
        let error = Handmade::new(&layers).write(&output).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Integrity, "{error:?}");
        assert_eq!(names_in(place.path()), [""; 0], "nothing half done");
    }
}

#[test]
fn a_docker_archive_of_a_base_that_lies_is_refused_however_often() {
    let (good, evil) = (layer(b'g', GZIP), layer(b'e', GZIP));
    let context = Tree::new().file("Dockerfile", "FROM img\nENV a=b\n").plant();
    let program = Program::new();
    let build = |image: &Handmade| {
        let named = format!("img=oci-layout://{}", image.path().display());
        let words = ["build", context.path().to_str().unwrap(), "--platform=linux/amd64", "--build-context", &named];
        program.run([&words[..], &["-o", "type=docker,dest=x.tar"]].concat())
    };
    let (honest, hostile) = (Handmade::new(std::slice::from_ref(&good)), Handmade::new(&[forged(&evil, &good)]));
    build(&hostile).failure(1).says(&[&good.diff_id]);
    build(&honest).success();
    // By now it is known what the one layer is, and that does not make it true of the other.
    build(&honest).success();
    build(&hostile).failure(1).says(&[&good.diff_id]);
    assert_store_is_sound(&program.store());
}

fn two_layers() -> TempDir {
    let spec = "name = \"example/cached\"\nplatforms = [\"linux/amd64\"]\n\
                [[layer]]\nname = \"one\"\nadd = [{ from = \"one\", to = \"/app\" }]\n\
                [[layer]]\nname = \"two\"\nadd = [{ from = \"two\", to = \"/app\" }]\n";
    let context = Tree::new().file("ocibake.toml", spec).file("one", "one").file("two", "two").plant();
    settle();
    context
}

/// Makes the image of a layout say of each of its layers that it has the diff_id of the other.
fn swap_diff_ids(layout: &Path) {
    let image = Layout::open(layout).images().remove(0);
    let mut config = image.config;
    config["rootfs"]["diff_ids"].as_array_mut().unwrap().reverse();
    let put = |document: &serde_json::Value| {
        let bytes = serde_json::to_vec(document).unwrap();
        let name = Digest::of(&bytes);
        fs::write(layout.join("blobs/sha256").join(name.hex()), &bytes).unwrap();
        (name.to_string(), bytes.len())
    };
    let mut manifest = image.manifest;
    let (name, size) = put(&config);
    manifest["config"]["digest"] = name.into();
    manifest["config"]["size"] = size.into();
    let (name, size) = put(&manifest);
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let root = serde_json::json!({ "mediaType": kind, "digest": name, "size": size });
    fs::write(layout.join("index.json"), serde_json::json!({ "schemaVersion": 2, "manifests": [root] }).to_string())
        .unwrap();
}

#[test]
fn a_layer_of_a_cached_image_that_lies_is_made_after_all() {
    let context = two_layers();
    let place = tempfile::tempdir().unwrap();
    let (cached, layout) = (place.path().join("cached"), place.path().join("layout"));
    let into = |path: &Path| format!("{}/", path.display());
    let build = |program: &Program, flags: &[&str]| {
        program.run([&["build", context.path().to_str().unwrap()], flags].concat()).success()
    };
    let knowing = Program::new();
    let expected = build(&knowing, &["-o", &into(&cached)]).digest();
    swap_diff_ids(&cached);
    let from = ["--cache-from", &format!("oci:{}", cached.display())];
    // One store has the layers, so that they are held against what is said of them at once; the other gets them.
    for (program, says) in [(&knowing, "cannot take a layer from"), (&Program::new(), "a layer is made here instead")] {
        let _ = fs::remove_dir_all(&layout);
        let to = into(&layout);
        let flags = [&from[..], &["--no-stat-cache", "-o", &to]].concat();
        let built = build(program, &flags);
        assert!(built.stderr.contains(says), "{built:?}");
        assert_eq!(built.digest(), expected);
        assert_eq!(Layout::open(&layout).images()[0].digest, expected);
        assert_eq!(build(program, &["-o", "x.tar"]).digest(), expected, "nothing of it is remembered");
        assert_store_is_sound(&program.store());
    }
}

#[test]
fn what_is_only_said_of_a_layer_is_not_remembered() {
    let context = two_layers();
    let place = tempfile::tempdir().unwrap();
    let cached = place.path().join("cached");
    let words = ["build", context.path().to_str().unwrap()];
    let expected = Program::new().run([&words[..], &["-o", &format!("{}/", cached.display())]].concat()).digest();
    swap_diff_ids(&cached);
    let program = Program::new();
    // Nothing reads the layers; the image is as it was said to be.
    program.run([&words[..], &["--cache-from", &format!("oci:{}", cached.display())]].concat()).success();
    assert_eq!(program.run([&words[..], &["-o", "x.tar"]].concat()).digest(), expected);
}
