//! `--squash`: one layer in the place of those that a build makes.

use std::fs;

use crate::support::handmade::{Handmade, directory, file};
use crate::support::layout::{Image, Layout, tar_of};
use crate::support::listing::Listing;
use crate::support::program::Program;
use crate::support::tree::Tree;
use crate::support::world::World;

const DOCKERFILE: &str = "COPY a b d /x/
COPY --chown=7:8 a /x/b
WORKDIR /w
ENV A=1
COPY a /w/
";

/// The only image that a build of `world` makes, and the files that it has.
#[track_caller]
fn image(world: &World, flags: &[&str]) -> (Image, Listing) {
    let (layout, root) = (world.path("layout"), world.path("root"));
    let _ = (fs::remove_dir_all(&layout), fs::remove_dir_all(&root));
    let outputs = [format!("{}/", layout.display()), format!("type=local,dest={}", root.display())];
    world.build(&[&["-o", &outputs[0], "-o", &outputs[1]], flags].concat()).success();
    (Layout::open(&layout).images().remove(0), Listing::of_directory(&root))
}

fn tree(dockerfile: &str) -> Tree {
    Tree::new().file("Dockerfile", dockerfile).file("a", "a").file("b", "b").file("d/c", "c")
}

#[test]
fn what_a_build_changes_is_one_layer() {
    let world = World::of(&tree(&format!("FROM scratch\n{DOCKERFILE}")));
    let (plain, files) = image(&world, &[]);
    let (squashed, same_files) = image(&world, &["--squash"]);
    assert_eq!((plain.layers.len(), squashed.layers.len()), (4, 1));
    same_files.assert_is(&files);
    // The file that a later step has replaced is there once.
    let layer = Listing::of_tar(tar_of(&squashed.layers[0]));
    let record = &layer.0[&b"x/b"[..]];
    assert_eq!((record.user, record.group), (7, 8));
    // The history has all steps, and the layer behind them.
    let history = |image: &Image| image.config["history"].as_array().unwrap().clone();
    let (before, after) = (history(&plain), history(&squashed));
    assert_eq!(before.len() + 1, after.len());
    for (one, other) in before.iter().zip(&after) {
        assert_eq!((&one["created_by"], &other["empty_layer"]), (&other["created_by"], &true.into()));
    }
    assert_eq!(after[before.len()]["created_by"], "ocibake: squash");
    assert!(after[before.len()].get("empty_layer").is_none_or(|empty| empty == false));
    assert_eq!(plain.config["config"], squashed.config["config"]);
    // It is the same again, and as it is in another store.
    assert_eq!(image(&world, &["--squash"]).0.digest, squashed.digest);
    let elsewhere = World::of(&tree(&format!("FROM scratch\n{DOCKERFILE}")));
    assert_eq!(image(&elsewhere, &["--squash", "--no-cache"]).0.digest, squashed.digest);
    assert_eq!(image(&world, &["--squash=false"]).0.digest, plain.digest);
}

#[test]
fn what_a_base_has_stays_below() {
    let base = Handmade::of(&[&[directory("x"), file("x/b", "old"), file("x/kept", "kept")], &[file("y", "y")]]);
    let world = World::of(&tree("FROM base\nCOPY a /x/b\nCOPY d /x/b2\nCOPY b /y\n"));
    let context = format!("base=oci-layout://{}", base.path().display());
    let flags = ["--build-context", context.as_str()];
    let (plain, files) = image(&world, &flags);
    let (squashed, same_files) = image(&world, &[&["--squash"], &flags[..]].concat());
    assert_eq!((plain.layers.len(), squashed.layers.len()), (5, 3));
    same_files.assert_is(&files);
    assert_eq!(plain.manifest["layers"][0], squashed.manifest["layers"][0]);
    assert_eq!(plain.manifest["layers"][1], squashed.manifest["layers"][1]);
    // Nothing is said of what is as it was.
    let layer = Listing::of_tar(tar_of(&squashed.layers[2]));
    let paths: Vec<String> = layer.0.into_keys().map(|path| String::from_utf8(path).unwrap()).collect();
    assert_eq!(paths, ["x/b", "x/b2", "x/b2/c", "y"]);
}

#[test]
fn one_layer_is_what_it_was() {
    let world = World::of(&tree("FROM scratch\nCOPY a /\nENV A=1\n"));
    assert_eq!(image(&world, &["--squash"]).0.digest, image(&world, &[]).0.digest);
}

#[test]
fn each_platform_has_a_layer_of_its_own() {
    let dockerfile = "FROM scratch\nARG TARGETARCH\nCOPY a /$TARGETARCH\nCOPY b /\n";
    let context = tree(dockerfile).plant();
    let images = Program::new().images(context.path(), &["--squash", "--platform=linux/amd64,linux/arm64"]);
    let told: Vec<(String, Vec<Vec<u8>>)> =
        images.iter().map(|image| (image.platform(), image.listing().0.into_keys().collect())).collect();
    assert_eq!(images.iter().map(|image| image.layers.len()).collect::<Vec<_>>(), [1, 1]);
    let paths = |own: &[u8]| vec![own.to_vec(), b"b".to_vec()];
    assert_eq!(told, [("linux/amd64".to_owned(), paths(b"amd64")), ("linux/arm64".to_owned(), paths(b"arm64"))]);
}
