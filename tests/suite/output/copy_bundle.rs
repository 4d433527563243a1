//! Archives of many images, and deltas of them: `ocibake copy --since`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use ocibake::oci::{Descriptor, Reference};
use ocibake::output::{Means, OutputImage};
use ocibake::progress::silent;
use ocibake::release;
use proptest::prelude::*;
use serde_json::Value;

use crate::support::docker_registry::DockerRegistry;
use crate::support::fake_registry::FakeRegistry;
use crate::support::layout::Layout;
use crate::support::memory_store::MemoryStore;
use crate::support::noise::noise;
use crate::support::program::{Outcome, Program};
use crate::support::registry_client::on_demand;
use crate::support::tool::{self, require};
use crate::support::traces::names_in;
use crate::support::tree::Tree;
use crate::support::world::World;

use super::copy::{names, set, tags};

const TWO_LAYERS: &str = r#"
name = "example/app"
platforms = ["linux/amd64", "linux/arm64"]
[[layer]]
add = [{ from = "base", to = "/srv/" }]
[[layer]]
add = [{ from = "files", to = "/srv/" }]
"#;

/// A context of two layers, of which the lower one never changes.
fn world() -> World {
    let base = noise(1, 100_000);
    World::of(&Tree::new().file("ocibake.toml", TWO_LAYERS).file("base/b", base).file("files/a", "content"))
}

fn copy(world: &World, arguments: &[&str]) -> Outcome {
    world.program.run([&["copy"], arguments].concat())
}

fn unpack(world: &World, archive: &str) -> Layout {
    let directory = world.path("unpacked");
    let _ = fs::remove_dir_all(&directory); // there is none at first
    fs::create_dir(&directory).unwrap();
    tool::run("tar", ["-xf", world.path(archive).to_str().unwrap(), "-C", directory.to_str().unwrap()]);
    Layout::open(directory)
}

#[test]
fn many_images_in_one_archive_share_their_blobs() {
    if !["tar", "skopeo"].into_iter().all(require) {
        return;
    }
    let world = world();
    let mut digests = BTreeSet::new();
    for version in ["1", "2", "3"] {
        world.change(version);
        digests.insert(world.build(&["-t", &format!("example/app:{version}"), "-o", &format!("{version}/")]).digest());
    }
    let outcome = copy(&world, &["./1", "./2", "./3", "-o", "bundle.tar", "-o", "layout/"]).success();
    let expected = ["1", "2", "3"].map(|version| format!("docker.io/example/app:{version}"));
    let printed: Vec<_> = outcome.stdout.lines().map(|line| line.split('@').next().unwrap()).collect();
    assert_eq!(printed, expected);
    // It fails if blobs are there that no image has.
    assert_eq!(unpack(&world, "bundle.tar").images().len(), 6);
    let list = tool::run("tar", ["-tf", world.path("bundle.tar").to_str().unwrap()]);
    assert_eq!(list.lines().collect::<BTreeSet<_>>().len(), list.lines().count(), "each blob once");
    assert_eq!(names_in(&world.path("layout/blobs/sha256")), names_in(&world.path("unpacked/blobs/sha256")));
    for names in [names(&world.path("layout")), names(&world.path("unpacked"))] {
        assert_eq!(names, expected);
    }
    for version in ["1", "2", "3"] {
        let raw = world.skopeo(&["inspect", "--raw", &format!("oci-archive:bundle.tar:{version}")]);
        assert!(digests.contains(&crate::support::fake_registry::digest(raw.as_bytes())));
    }
    // The order of the images is all that the order of the sources changes; the same ones make the same archive.
    copy(&world, &["./layout", "-o", "again.tar"]).success();
    assert!(fs::read(world.path("again.tar")).unwrap() == fs::read(world.path("bundle.tar")).unwrap());
}

#[test]
fn several_images_in_one_archive_for_docker() {
    if !["tar", "skopeo"].into_iter().all(require) {
        return;
    }
    let world = world();
    let platform = "--platform=linux/amd64";
    world.build(&["-t", "example/one:1", "-o", "one/", platform]).success();
    world.build(&["-t", "example/two:2", "--label=a=b", "-o", "two.tar", platform]).success();
    copy(&world, &["./one", "./two.tar", "-o", "type=docker,dest=docker.tar"]).success();
    let manifest = tool::run("tar", ["-xOf", world.path("docker.tar").to_str().unwrap(), "manifest.json"]);
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    let tags: Vec<_> =
        manifest.as_array().unwrap().iter().map(|image| image["RepoTags"][0].as_str().unwrap()).collect();
    assert_eq!(tags, ["example/one:1", "example/two:2"]);
    for (name, source) in [("example/one:1", "oci:one:1"), ("example/two:2", "oci-archive:two.tar:2")] {
        let config = |image: &str| world.skopeo(&["inspect", "--config", "--raw", image]);
        assert_eq!(config(&format!("docker-archive:docker.tar:{name}")), config(source));
    }
    // And out of it again.
    copy(&world, &["docker-archive:docker.tar", "-o", "back/"]).success();
    assert_eq!(names(&world.path("back")), ["docker.io/example/one:1", "docker.io/example/two:2"]);
}

/// An old bundle, and what has been built since, as layouts `old` and `new`; their archives, and a delta.
fn air_gap(world: &World) {
    world.build(&["-t", "example/app:1", "-o", "old/", "-o", "old.tar"]).success();
    world.change("second");
    world.build(&["-t", "example/app:2", "-o", "new/", "-o", "new.tar"]).success();
    copy(world, &["./new", "-o", "delta.tar", "--since", "./old.tar"]).success();
}

#[test]
fn a_delta_lacks_what_the_far_side_has_and_says_so() {
    if !require("tar") {
        return;
    }
    let world = world();
    air_gap(&world);
    let members = |archive: &str| -> BTreeSet<String> {
        let list = tool::run("tar", ["-tf", world.path(archive).to_str().unwrap()]);
        list.lines()
            .filter(|line| line.starts_with("blobs/sha256/") && !line.ends_with('/'))
            .map(str::to_owned)
            .collect()
    };
    let (old, new, delta) = (members("old.tar"), members("new.tar"), members("delta.tar"));
    assert_eq!(delta, &new - &old);
    assert_eq!(new.len() - delta.len(), 1, "the layer that did not change");
    let index = tool::run("tar", ["-xOf", world.path("delta.tar").to_str().unwrap(), "index.json"]);
    let index: Value = serde_json::from_str(&index).unwrap();
    assert_eq!(index["annotations"]["dev.ocibake.delta.left-out"], "1");
    // Whatever the far side is known by.
    let (registry, empty) = (FakeRegistry::new(), FakeRegistry::new());
    let name = format!("{}/org/app:1", registry.address());
    copy(&world, &["./old", &name]).success();
    for since in ["oci:old", "./old", "oci:old:1", &name] {
        copy(&world, &["./new.tar", "-o", "other.tar", "--since", since]).success();
        assert!(fs::read(world.path("other.tar")).unwrap() == fs::read(world.path("delta.tar")).unwrap(), "{since}");
    }
    // Our own readers tell what it is.
    let push = ["delta.tar", "--no-fan-out"];
    world.push(&format!("{}/org/app:2", empty.address()), &push).failure(1).says(&["it is a delta", "--since"]);
}

#[test]
fn a_delta_does_not_overwrite_what_it_needs() {
    let world = world();
    air_gap(&world);
    let old = fs::read(world.path("old.tar")).unwrap();
    for output in ["old.tar", "type=docker,dest=old.tar", "old"] {
        let since = if output == "old" { "./old" } else { "oci-archive:old.tar:1" };
        let outputs = ["-o", "delta.tar", "-o", output];
        copy(&world, &[&["./new", "--since", since], &outputs[..]].concat())
            .failure(2)
            .says(&["the delta would overwrite", "elsewhere"]);
    }
    assert!(fs::read(world.path("old.tar")).unwrap() == old);
    // Whole images may take the place of older ones.
    copy(&world, &["./delta.tar", "--since", "./old.tar", "-o", "old.tar"]).success();
    assert!(fs::read(world.path("old.tar")).unwrap() == fs::read(world.path("new.tar")).unwrap());
}

#[test]
fn a_delta_and_what_it_was_made_for_are_whole_again() {
    let world = world();
    air_gap(&world);
    copy(&world, &["./delta.tar", "-o", "full.tar", "--since", "./old.tar"]).success();
    assert!(fs::read(world.path("full.tar")).unwrap() == fs::read(world.path("new.tar")).unwrap());
    copy(&world, &["./delta.tar", "-o", "full/", "--since", "oci:old:1"]).success();
    assert_eq!(Layout::open(world.path("full")).images().len(), 2);

    // A registry or a layout that has the rest needs nothing else.
    let registry = FakeRegistry::new();
    let prefix = format!("{}/mirror/", registry.address());
    copy(&world, &["./old.tar", &prefix]).success();
    let sent = registry.count("POST", "/blobs/uploads/");
    copy(&world, &["./delta.tar", &prefix]).success();
    assert_eq!(registry.count("POST", "/blobs/uploads/") - sent, 3, "two configs and a layer");
    assert_eq!(tags(&registry), set(&["1", "2"]));
    copy(&world, &["./delta.tar", "oci:old"]).success();
    assert_eq!(names(&world.path("old")), ["docker.io/example/app:1", "docker.io/example/app:2"]);
    assert_eq!(Layout::open(world.path("old")).images().len(), 4);
    // Another repository, which does not have it.
    let other = FakeRegistry::new();
    let name = format!("{}/org/app", other.address());
    copy(&world, &["./delta.tar", &name, "--since", "./old.tar"]).success();
    assert_eq!(tags(&other), set(&["2"]));
    // A delta since a delta.
    world.change("third");
    world.build(&["-t", "example/app:3", "-o", "third.tar"]).success();
    copy(&world, &["./third.tar", "-o", "second-delta.tar", "--since", "./delta.tar"]).success();
    copy(&world, &["./second-delta.tar", &name]).success();
    assert_eq!(tags(&other), set(&["2", "3"]));
}

#[test]
fn a_delta_goes_to_a_real_registry() {
    if !["docker-registry", "skopeo"].into_iter().all(require) {
        return;
    }
    let world = world();
    air_gap(&world);
    let registry = DockerRegistry::open();
    let name = format!("{}/mirror/example/app", registry.address());
    let prefix = format!("{}/mirror/", registry.address());
    copy(&world, &["./delta.tar", &prefix]).failure(1).says(&["lacks 1 blob"]);
    copy(&world, &["./old.tar", &prefix]).success();
    // Taken from the image in the registry, for another repository of it.
    copy(&world, &["./delta.tar", &format!("{}/other/app", registry.address()), "--since", &format!("{name}:1")])
        .success();
    copy(&world, &["./delta.tar", &prefix]).success();
    for image in [format!("{name}:2"), format!("{}/other/app:2", registry.address())] {
        world.skopeo(&["copy", "-q", "--all", "--src-tls-verify=false", &format!("docker://{image}"), "oci:pulled:x"]);
    }
}

#[test]
fn an_incomplete_delta_writes_nothing() {
    let world = world();
    air_gap(&world);
    world.change("unrelated");
    fs::write(world.context.path().join("base/b"), noise(2, 1000)).unwrap();
    world.build(&["-t", "example/app:9", "-o", "unrelated.tar"]).success();
    let before = world.names();
    let registry = FakeRegistry::new();
    let name = format!("{}/org/app", registry.address());
    for arguments in [
        &["./delta.tar", "-o", "x.tar"][..],
        &["./delta.tar", "-o", "x/"],
        &["./delta.tar", "-o", "x.tar", "--since", "./unrelated.tar"],
        &["./delta.tar", "-o", "x.tar", "-o", "old/"],
        &["./delta.tar", &name],
        &["./delta.tar", &name, "--since", "./unrelated.tar"],
    ] {
        let outcome = copy(&world, arguments).failure(1);
        outcome.says(&["./delta.tar lacks 1 blob: sha256:", "--since", "nothing has been written"]);
        assert_eq!(world.names(), before, "{arguments:?}");
    }
    assert!(registry.requests().iter().all(|request| request.method == "HEAD"), "nothing is sent");
    // Several: how many, and of which image.
    copy(&world, &["./new", "./unrelated.tar", "-o", "all.tar"]).success();
    copy(&world, &["./all.tar", "-o", "empty.tar", "--since", "./all.tar"]).success();
    let outcome = copy(&world, &["./empty.tar", "-o", "x.tar", "--since", "./old.tar"]).failure(1);
    outcome.says(&["docker.io/example/app:2 in ./empty.tar lacks 3 blobs", "another image lacks some, too"]);
    let outcome = copy(&world, &["./empty.tar", "-o", "x.tar"]).failure(1);
    outcome.says(&["lacks 4 blobs", ", …"]);
}

/// A blob of the right name and size and with other content.
#[test]
fn swapped_blobs_are_refused_wherever_they_come_from() {
    let world = world();
    air_gap(&world);
    let blobs = world.path("old/blobs/sha256");
    let large =
        names_in(&blobs).into_iter().find(|name| fs::metadata(blobs.join(name)).unwrap().len() > 90_000).unwrap();
    let original = fs::read(blobs.join(&large)).unwrap();
    let mut swapped = original.clone();
    swapped[50_000] ^= 1;
    let swap = |archive: &str, to: &str| {
        let mut bytes = fs::read(world.path(archive)).unwrap();
        let at = bytes.windows(64).position(|window| window == &original[..64]).unwrap();
        bytes[at..at + swapped.len()].copy_from_slice(&swapped);
        fs::write(world.path(to), bytes).unwrap();
    };
    swap("old.tar", "bad-old.tar");
    swap("new.tar", "bad-new.tar");
    fs::write(blobs.join(&large), &swapped).unwrap();
    let registry = FakeRegistry::new();
    let name = format!("{}/org/app", registry.address());
    let before = world.names();
    for (source, flags) in [
        ("./delta.tar", &["--since", "./bad-old.tar"][..]),
        ("./delta.tar", &["--since", "oci:old"]),
        ("./bad-new.tar", &[]),
    ] {
        for destination in ["oci-archive:x.tar", "oci:x", &name] {
            copy(&world, &[&[source, destination], flags].concat()).failure(1).says(&[&large]);
            assert_eq!(world.names(), before, "{source} {destination}");
        }
    }
    // A layout that has it damaged gets it from elsewhere, or is left as it was.
    copy(&world, &["./delta.tar", "oci:old"]).failure(1).says(&[&large]);
    assert_eq!(names(&world.path("old")), ["docker.io/example/app:1"]);
    copy(&world, &["./delta.tar", "oci:old", "--since", "./old.tar"]).success();
    assert_eq!(Layout::open(world.path("old")).images().len(), 4);
    assert_eq!(tags(&registry), BTreeSet::new());
}

/// Images of layers out of a small pool, by number.
fn any_images() -> impl Strategy<Value = Vec<BTreeSet<usize>>> {
    proptest::collection::vec(proptest::collection::btree_set(0usize..8, 1..4), 1..5)
}

/// Writes a layout of these images, each with its place in the list for a tag. The same layers are the same image.
fn write_layout(directory: &Path, images: &[BTreeSet<usize>]) {
    let mut store = MemoryStore::default();
    let roots: Vec<Descriptor> = images
        .iter()
        .map(|layers| {
            let contents: Vec<Vec<u8>> = layers.iter().map(|layer| noise(*layer as u64, 1000 + layer * 300)).collect();
            store.image(&contents.iter().map(Vec::as_slice).collect::<Vec<_>>())
        })
        .collect();
    for (number, root) in roots.iter().enumerate() {
        let names: [Reference; 1] = [format!("example/app:{number}").parse().unwrap()];
        let outputs = [format!("{}/", directory.display()).parse().unwrap()];
        let image = OutputImage { store: &store, root, names: &names };
        release::write(&outputs, image, &Means { client: &on_demand(), jobs: 1, progress: &silent }).unwrap();
    }
}

/// All files of a directory of files, by name.
fn contents(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    names_in(directory).into_iter().map(|name| (name.clone(), fs::read(directory.join(name)).unwrap())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    /// A bundle of any images, and a delta of any others since them, are together the others.
    #[test]
    fn a_bundle_and_a_delta_reproduce_all(old in any_images(), new in any_images()) {
        let place = tempfile::tempdir().unwrap();
        let program = Program::new().directory(place.path());
        let run = |arguments: &[&str]| program.run(arguments).success();
        write_layout(&place.path().join("old"), &old);
        write_layout(&place.path().join("new"), &new);
        run(&["copy", "./old", "-o", "old.tar"]);
        run(&["copy", "./new", "-o", "delta.tar", "--since", "./old.tar"]);
        run(&["copy", "./new", "-o", "new.tar"]);
        run(&["copy", "./delta.tar", "-o", "both/", "--since", "./old.tar"]);
        run(&["copy", "./delta.tar", "-o", "both.tar", "--since", "./old.tar"]);
        let at = |name: &str| place.path().join(name);
        prop_assert_eq!(contents(&at("both/blobs/sha256")), contents(&at("new/blobs/sha256")));
        // In a copy the names of one image stand together.
        let sorted = |name: &str| names(&at(name)).into_iter().collect::<BTreeSet<_>>();
        prop_assert_eq!(sorted("both"), sorted("new"));
        prop_assert!(fs::read(at("both.tar")).unwrap() == fs::read(at("new.tar")).unwrap());
        let pool = |images: &[BTreeSet<usize>]| images.iter().flatten().copied().collect::<BTreeSet<usize>>();
        let blobs = |archive: &str| {
            let mut archive = tar::Archive::new(fs::File::open(at(archive)).unwrap());
            archive.entries().unwrap().filter(|entry| entry.as_ref().unwrap().path().unwrap().starts_with("blobs")).count()
        };
        let is_smaller = blobs("delta.tar") < blobs("new.tar");
        prop_assert_eq!(is_smaller, !pool(&old).is_disjoint(&pool(&new)));
    }
}
