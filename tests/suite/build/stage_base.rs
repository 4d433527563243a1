//! Stages on images and on each other: what they find there, and what an image has of what is below it.

use std::fs;
use std::process::Command;

use ocibake::error::Excerpt;
use ocibake::oci::{History, Map};
use ocibake::plan::{Base, Copy, Provider, Stage, Target, Work};
use serde_json::json;

use crate::support::handmade::{self, Blob, DOCKER, GZIP, Handmade, PLAIN, ZSTD};
use crate::support::stages::{self, Workshop, copy, directory, lines, stage};
use crate::support::tool::{checked, require};
use crate::support::tree::Tree;

/// Layers of all compressions, one over the other: with hard links, a whiteout, an opaque directory, and a file that takes
/// the place of a directory.
fn base() -> Handmade {
    base_of([GZIP, ZSTD, PLAIN, DOCKER])
}

fn base_of(media_types: [&'static str; 4]) -> Handmade {
    use handmade::{directory, file, hard_link, symlink, tar};
    let lowest = tar(&[
        directory("lib"),
        file("lib/one", "first").owner(5, 6).mode(0o4755),
        hard_link("lib/two", "lib/one"),
        file("lib/gone", "gone"),
        directory("opaque"),
        file("opaque/hidden", "hidden"),
        directory("turned"),
        file("turned/inside", "inside"),
    ]);
    let middle = tar(&[
        file("lib/.wh.gone", ""),
        directory("opaque").mode(0o700),
        file("opaque/.wh..wh..opq", ""),
        file("opaque/seen", "seen"),
        file("turned", "a file now"),
        symlink("to-lib", "lib"),
    ]);
    let upper = tar(&[file("lib/noted", "noted").record("SCHILY.xattr.user.note", "kept"), file("lib/one", "second")]);
    let none = tar(&[file("docker", "docker")]);
    let blobs: Vec<Blob> = [lowest, middle, upper, none]
        .iter()
        .zip(media_types)
        .map(|(tar, media_type)| Blob::of(tar, media_type))
        .collect();
    Handmade::new(&blobs)
}

fn from(from: Provider, patterns: &[&str], to: &str) -> Work {
    Work::Copy(Copy { from, ..copy(patterns, to) })
}

#[test]
fn files_are_taken_from_the_layers_of_an_image_as_they_are_there() {
    let mut workshop = Workshop::new(&Tree::new());
    let image = workshop.image(base());
    let outcome = workshop.steps(Base::Scratch, vec![from(Provider::Image(image.clone()), &["/"], "/x")]);
    assert_eq!(
        outcome.lines(),
        [
            "d 755 0:0 x",
            "f 644 0:0 x/docker",
            "d 755 0:0 x/lib",
            "f 644 0:0 x/lib/noted",
            "f 644 0:0 x/lib/one",
            "f 4755 5:6 x/lib/two",
            "d 700 0:0 x/opaque",
            "f 644 0:0 x/opaque/seen",
            "l 0 0:0 x/to-lib -> lib",
            "f 644 0:0 x/turned",
        ]
    );
    for (path, content) in [("lib/one", "second"), ("lib/two", "first"), ("turned", "a file now"), ("docker", "docker")]
    {
        let expected = handmade_file(content);
        assert!(outcome.record(&format!("x/{path}")).to_string().starts_with(&expected), "{path}");
    }
    assert_eq!(outcome.record("x/lib/noted").attributes["user.note"], b"kept");
    // Links on the way to a source are followed, and owners change only if they are told to.
    let owner = Some("9".to_owned());
    let work = Copy { from: Provider::Image(image), owner, ..copy(&["to-lib/t*"], "/") };
    assert_eq!(workshop.steps(Base::Scratch, vec![Work::Copy(work)]).lines(), ["f 4755 9:9 two"]);
}

/// How a record of a file of this content begins.
fn handmade_file(content: &str) -> String {
    let (size, sha256) = crate::support::listing::digest(content.as_bytes());
    format!("file of {size} bytes, {}", &sha256[..12])
}

#[test]
fn hard_links_of_an_image_stay_hard_links() {
    let mut workshop = Workshop::new(&Tree::new());
    let tar = handmade::tar(&[
        handmade::file("d/a", "same"),
        handmade::hard_link("d/b", "d/a"),
        handmade::hard_link("c", "d/a"),
    ]);
    let image = workshop.image(Handmade::new(&[Blob::of(&tar, ZSTD)]));
    let outcome = workshop.steps(Base::Scratch, vec![from(Provider::Image(image), &["d"], "/x")]);
    assert_eq!(outcome.lines(), ["d 755 0:0 x", "f 644 0:0 x/a = x/a", "f 644 0:0 x/b = x/a"]);
}

#[test]
fn devices_of_an_image_are_copied() {
    let mut workshop = Workshop::new(&Tree::new());
    let image = workshop.image(Handmade::of(&[&[handmade::device("dev/null", 1, 3).mode(0o666)]]));
    let outcome = workshop.steps(Base::Scratch, vec![from(Provider::Image(image), &["dev"], "/x")]);
    assert_eq!(outcome.lines(), ["d 755 0:0 x", "s 666 0:0 x/null"]);
}

#[test]
fn what_is_below_an_image_is_passed_through() {
    let mut workshop = Workshop::new(&Tree::new().file("a", "a"));
    let mut image = (*workshop.image(base())).clone();
    image.config.author = Some("somebody".to_owned());
    image.config.platform.os_version = Some("1.2".to_owned());
    image.config.other.insert("moby.odd".to_owned(), json!({"kept": true}));
    image.config.history = vec![History { created_by: Some("below".to_owned()), ..History::default() }];
    let below = image.clone();
    let mut works = stage(Base::Image(image.into()), vec![Work::Copy(copy(&["a"], "/a")), Work::Nothing]);
    works.annotations.insert("of.the.stage".to_owned(), "1".to_owned());
    let outcome = workshop.build(vec![works]);
    let made = &outcome.images[0];
    assert_eq!(made.manifest.layers[..4], below.layers[..], "descriptors, docker's media type included");
    assert_eq!((made.manifest.layers.len(), made.config.rootfs.diff_ids.len()), (5, 5));
    assert_eq!(made.config.rootfs.diff_ids[..4], below.config.rootfs.diff_ids[..]);
    assert_eq!(made.config.author.as_deref(), Some("somebody"));
    assert_eq!(made.config.platform.os_version.as_deref(), Some("1.2"));
    assert_eq!(made.config.other["moby.odd"], json!({"kept": true}));
    let history: Vec<_> =
        made.config.history.iter().map(|step| (step.created_by.as_deref(), step.empty_layer)).collect();
    assert_eq!(history, [(Some("below"), false), (Some("step 0"), false), (Some("step 1"), true)]);
    assert_eq!(made.manifest.annotations, Map::from([("of.the.stage".to_owned(), "1".to_owned())]));
}

#[test]
fn stages_stand_on_each_other_and_take_from_each_other() {
    let mut workshop = Workshop::new(&Tree::new().file("a", "a").file("b", "b").file("unused", "u"));
    let image = workshop.image(base());
    let stages = vec![
        stage(Base::Image(image), vec![directory("work", None), Work::Copy(copy(&["a"], "/work/"))]),
        // Nobody needs it, and it could not be built.
        stage(Base::Scratch, vec![Work::Copy(copy(&["missing"], "/"))]),
        stage(Base::Scratch, vec![Work::Copy(Copy { owner: Some("7".to_owned()), ..copy(&["b"], "/out/") })]),
        stage(
            Base::Stage(0),
            vec![from(Provider::Stage(2), &["/out/b"], "/work/"), from(Provider::Stage(0), &["/work"], "/w2")],
        ),
    ];
    let outcome = workshop.build(stages);
    let layers: Vec<Vec<String>> = outcome.images[0].layers.iter().map(lines).collect();
    assert_eq!(
        layers,
        [
            vec!["d 755 0:0 work"],
            vec!["d 755 0:0 work", "f 644 0:0 work/a"],
            vec!["d 755 0:0 work", "f 644 7:7 work/b"],
            vec!["d 755 0:0 w2", "f 644 0:0 w2/a"],
        ]
    );
    assert_eq!(outcome.made.len(), 4, "the layers of stages that are only taken from are not written");
}

#[test]
fn steps_of_several_platforms_are_done_once() {
    let workshop = Workshop::new(&Tree::new().file("a", "a"));
    let steps = || vec![directory("x", None), Work::Copy(copy(&["a"], "/x/"))];
    let mut plan = workshop.plan(vec![stage(Base::Scratch, steps()), stage(Base::Scratch, steps())]);
    plan.stages[1].platform.architecture = "arm64".to_owned();
    (plan.targets[0].images, plan.targets[0].index) = (vec![0, 1], true);
    let mut outcome = workshop.try_build(&plan).unwrap();
    outcome.made.sort();
    assert_eq!(outcome.made, ["step 0", "step 1"]);
    assert_eq!(outcome.images[0].manifest.layers, outcome.images[1].manifest.layers);
}

#[test]
fn targets_of_one_plan_share_what_they_have_in_common() {
    let workshop = Workshop::new(&Tree::new().file("a", "a").file("b", "b"));
    let common = stage(Base::Scratch, vec![Work::Copy(copy(&["a"], "/"))]);
    let other = |name: &str| stage(Base::Stage(0), vec![Work::Copy(copy(&["b"], name))]);
    // The third is as the second.
    let stages = vec![common, other("/one"), other("/two"), other("/two")];
    let alone = |stages: Vec<Stage>| workshop.build(stages).digests;
    let mut plan = workshop.plan(stages.clone());
    let target = |image| Target { images: vec![image], created: stages::TIME, ..Target::default() };
    plan.targets = vec![target(1), target(2), target(3)];
    let mut outcome = workshop.try_build(&plan).unwrap();
    outcome.made.sort();
    assert_eq!(outcome.made, ["step 0", "step 0", "step 0"], "the common one, and one of each kind");
    assert_eq!(outcome.digests[1], outcome.digests[2]);
    assert_eq!(outcome.digests[..1], alone(stages[..2].to_vec()));
    assert_eq!(outcome.digests[2..], alone(stages));
    let layers = |image: usize| outcome.images[image].manifest.layers.clone();
    assert_eq!(layers(0)[0], layers(1)[0]);
    assert_ne!(layers(0)[1], layers(1)[1]);
}

#[test]
fn a_base_is_not_looked_into_unless_a_step_needs_it() {
    let mut workshop = Workshop::new(&Tree::new().file("a", "a"));
    let image = workshop.image(base());
    let directory_of_blobs = workshop.layouts[0].path().join("blobs");
    fs::remove_dir_all(&directory_of_blobs).unwrap();
    let linked = Work::Copy(Copy { link: true, owner: Some("5".to_owned()), ..copy(&["a"], "/x/") });
    let outcome = workshop.steps(Base::Image(image.clone()), vec![Work::Nothing, linked]);
    assert_eq!(outcome.lines(), ["d 755 5:5 x", "f 644 5:5 x/a"]);
    let error = workshop.error(Base::Image(image), vec![directory("x", None)]);
    assert_eq!(error.excerpt.as_deref().map(|at: &Excerpt| at.line), Some(2));
}

#[test]
fn the_bytes_do_not_depend_on_threads_or_on_what_is_known() {
    let build = |jobs, builds| {
        let mut workshop = Workshop::new(&Tree::new().file("a", "a").file("d/b", "b".repeat(100_000)).file("d/c", "c"));
        workshop.options.jobs = jobs;
        let image = workshop.image(base());
        let stages = || {
            vec![
                stage(Base::Image(image.clone()), vec![Work::Copy(copy(&["d"], "/lib/"))]),
                stage(
                    Base::Stage(0),
                    vec![from(Provider::Stage(0), &["/lib"], "/again"), Work::Copy(copy(&["a"], "/"))],
                ),
            ]
        };
        (0..builds).map(|_| workshop.build(stages()).digest).next_back().unwrap()
    };
    let expected = build(1, 1);
    assert_eq!([build(2, 1), build(7, 1), build(3, 3)], [(); 3].map(|()| expected.clone()));
}

#[test]
fn umoci_unpacks_what_was_meant() {
    if !require("umoci") {
        return;
    }
    use crate::support::listing::Listing;
    let tree = Tree::new().file("a", "a").file("d/b", "b").mode(0o640).symlink("d/l", "b");
    let mut workshop = Workshop::new(&tree);
    // It knows no zstd.
    let image = workshop.image(base_of([GZIP; 4]));
    let works =
        vec![Work::Copy(copy(&["a"], "/to-lib/")), from(Provider::Image(image.clone()), &["opaque"], "/turned2")];
    let outcome = workshop.steps(Base::Image(image), works);
    // All blobs in one layout.
    let layout = workshop.layouts[0].path();
    let store = workshop.store.path().join("blobs/sha256");
    for blob in fs::read_dir(&store).unwrap().map(Result::unwrap) {
        fs::copy(blob.path(), layout.join("blobs/sha256").join(blob.file_name())).unwrap();
    }
    let digest = outcome.digest.strip_prefix("sha256:").unwrap();
    let size = fs::metadata(store.join(digest)).unwrap().len();
    let manifest = json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": outcome.digest, "size": size,
        "annotations": {"org.opencontainers.image.ref.name": "made"},
    });
    fs::write(layout.join("index.json"), json!({"schemaVersion": 2, "manifests": [manifest]}).to_string()).unwrap();
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("root");
    let from = format!("{}:made", layout.display());
    let mut umoci = Command::new("umoci");
    umoci.args(["raw", "unpack", "--image", &from]).arg(&root);
    if !crate::support::tool::is_root() {
        umoci.arg("--rootless");
    }
    checked(&mut umoci);
    let listing = Listing::of_directory(&root);
    let paths: Vec<String> = listing.0.keys().map(|path| path.escape_ascii().to_string()).collect();
    let expected = [
        "docker",
        "lib",
        "lib/a",
        "lib/noted",
        "lib/one",
        "lib/two",
        "opaque",
        "opaque/seen",
        "to-lib",
        "turned",
        "turned2",
        "turned2/seen",
    ];
    assert_eq!(paths, expected);
}
