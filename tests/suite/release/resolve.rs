//! `ocibake resolve`: from what was built and pushed to manifests with digests.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use serde_json::json;

use crate::support::docker_registry::DockerRegistry;
use crate::support::program::Outcome;
use crate::support::tool::require;
use crate::support::world::{APP, World};

fn resolve(world: &World, arguments: &[&str]) -> Outcome {
    world.program.run([&["resolve"], arguments].concat())
}

fn write(world: &World, name: &str, text: &str) {
    let path = world.path(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn read(world: &World, name: &str) -> String {
    fs::read_to_string(world.path(name)).unwrap()
}

#[test]
fn what_was_just_pushed_goes_into_manifests_kustomizations_and_values() {
    if !require("docker-registry") {
        return;
    }
    let (world, registry) = (World::new(APP), DockerRegistry::open());
    let team = format!("{}/team", registry.address());
    let pushed = |service: &str, flags: &[&str]| {
        world.change(service);
        let name = format!("{team}/{service}:v1.2.3");
        world
            .push(&name, &[&[world.context()], flags].concat())
            .success()
            .stdout
            .trim()
            .rsplit_once('@')
            .unwrap()
            .1
            .to_owned()
    };
    let api = pushed("api", &["--metadata-file", "api.json"]);
    let web = pushed("web", &["--image-refs", "web.txt"]);
    assert_eq!(read(&world, "web.txt"), format!("{team}/web@{web}\n"), "a line, however many tags it has");
    write(
        &world,
        "k8s/api.yaml",
        &format!("# API\nspec:\n  containers:\n  - image: {team}/api:v1.2.3 # ours\n  - image: redis:7"),
    );
    write(&world, "k8s/web.json", &format!("{{\"kind\": \"Pod\", \"image\": \"{team}/web:v1.2.3\"}}\n"));
    write(
        &world,
        "k8s/kustomization.yaml",
        &format!("images:\n- name: api\n  newName: {team}/api\n  newTag: \"1.2\"\n"),
    );
    write(&world, "k8s/chart/values.yml", &format!("image:\n  repository: {team}/web\n  tag: v1.2.3\n"));
    write(&world, "k8s/notes.txt", "image: redis:7");

    let flags = ["--metadata-file", "api.json", "--image-refs", "web.txt"];
    let outcome = resolve(&world, &[&["-f", "k8s/"], &flags[..]].concat()).success();
    let expected = format!(
        "# API\nspec:\n  containers:\n  - image: {team}/api@{api} # ours\n  - image: redis:7\n---\n\
         images:\n- name: api\n  newName: {team}/api\n  digest: \"{api}\"\n---\n\
         {{\"kind\": \"Pod\", \"image\": \"{team}/web@{web}\"}}\n"
    );
    assert_eq!(outcome.stdout, expected);
    outcome.says(&[&format!("{team}/api:v1.2.3 is {api}"), "1 other image stays as it is"]);

    resolve(&world, &[&["-f", "k8s", "-R", "-o", "out/deep"], &flags[..]].concat()).success();
    assert_eq!(
        read(&world, "out/deep/chart/values.yml"),
        format!("image:\n  repository: {team}/web\n  tag: v1.2.3@{web}\n")
    );
    assert_eq!(read(&world, "out/deep/web.json"), format!("{{\"kind\": \"Pod\", \"image\": \"{team}/web@{web}\"}}\n"));
    assert!(!world.path("out/deep/notes.txt").exists());

    // Which tag a kustomization without one means is said elsewhere, and not by the registry.
    write(&world, "open.yaml", &format!("images:\n- name: api\n  newName: {team}/api\n"));
    let known = resolve(&world, &["-f", "open.yaml", "--metadata-file", "api.json"]).success();
    assert_eq!(known.stdout, format!("images:\n- name: api\n  newName: {team}/api\n  digest: {api}\n"));
    resolve(&world, &["-f", "open.yaml", "--all", "--strict"]).failure(1).says(&["open.yaml:3:", "which tag is meant"]);

    // The registry says the same, if it is asked.
    let asked = resolve(&world, &["-f", "k8s/kustomization.yaml", "-f", "k8s/web.json", "--all"]).success();
    assert_eq!(asked.stdout, expected.split_once("---\n").unwrap().1);
}

#[test]
fn images_that_were_built_here_are_known_and_their_registry_says_what_they_are_there() {
    if !require("docker-registry") {
        return;
    }
    let (world, registry) = (World::new(APP), DockerRegistry::open());
    let name = format!("{}/app:1", registry.address());
    let digest = world.build(&["-t", &name, "--push"]).digest();
    write(&world, "a.yaml", &format!("a: {{image: {name}}}\nb: {{image: {}/other:1}}\n", registry.address()));
    let expected = |digest: &str| {
        let address = registry.address();
        format!("a: {{image: {address}/app@{digest}}}\nb: {{image: {address}/other:1}}\n")
    };
    assert_eq!(resolve(&world, &["-f", "a.yaml"]).success().stdout, expected(&digest));
    // It was built anew since, and pushed nowhere.
    world.change("second");
    let second = world.build(&["-t", &name]).digest();
    assert_eq!(resolve(&world, &["-f", "a.yaml"]).success().stdout, expected(&digest));
    assert_eq!(resolve(&world, &["-f", "a.yaml", "--local"]).success().stdout, expected(&second));
    // What the registry does not have stays, and is told of; with --strict it is an error, and nothing is written.
    let asked = resolve(&world, &["-f", "a.yaml", "--all"]).success();
    assert_eq!(asked.stdout, expected(&digest));
    asked.says(&["a.yaml:2:", "/other:1", "404 Not Found"]);
    let strict = resolve(&world, &["-f", "a.yaml", "--all", "--strict", "-o", "out"]).failure(1);
    strict.says(&["1 image is left without a digest", "a.yaml:2:", "/other:1"]);
    assert!(!world.path("out").exists());
}

#[test]
fn files_are_replaced_where_they_are_and_keep_their_mode() {
    let world = World::new(APP);
    let digest = world.build(&["-t", "registry.example/app:1", "-t", "app:1", "--metadata-file", "m.json"]).digest();
    write(&world, "a.yaml", "image: registry.example/app:1\n");
    write(&world, "same.yaml", "image: redis\n");
    fs::set_permissions(world.path("a.yaml"), fs::Permissions::from_mode(0o640)).unwrap();
    symlink("a.yaml", world.path("link.yaml")).unwrap();
    let before = fs::metadata(world.path("same.yaml")).unwrap().modified().unwrap();
    let outcome = resolve(&world, &["-f", "link.yaml", "-f", "same.yaml", "--in-place", "--metadata-file", "m.json"]);
    assert_eq!(outcome.success().stdout, "");
    assert_eq!(read(&world, "a.yaml"), format!("image: registry.example/app@{digest}\n"));
    assert!(fs::symlink_metadata(world.path("link.yaml")).unwrap().is_symlink());
    assert_eq!(fs::metadata(world.path("a.yaml")).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(fs::metadata(world.path("same.yaml")).unwrap().modified().unwrap(), before);
    // Names are docker's, in short or in full.
    write(&world, "short.yaml", "a: {image: app:1}\nb: {image: docker.io/library/app:1}\n");
    let expected = format!("a: {{image: app@{digest}}}\nb: {{image: docker.io/library/app@{digest}}}\n");
    assert_eq!(resolve(&world, &["-f", "short.yaml", "--metadata-file", "m.json"]).success().stdout, expected);
}

#[test]
fn metadata_of_many_targets_and_lists_of_references_are_read_as_buildx_and_ko_write_them() {
    let world = World::new(APP);
    let digest = |digit: &str| format!("sha256:{}", digit.repeat(64));
    let metadata = json!({
        "api": {"containerimage.digest": digest("1"), "image.name": "registry.example/api:v1,docker.io/org/api:v1"},
        "web": {"containerimage.digest": digest("2"), "containerimage.descriptor": {"size": 1}, "image.name": "registry.example/web:v1"},
        "unnamed": {"containerimage.digest": digest("3")},
        "buildx.build.warnings": {},
    });
    write(&world, "m.json", &metadata.to_string());
    write(
        &world,
        "refs",
        &format!("registry.example/job@{}\nregistry.example/cron:v1@{}\n\n", digest("4"), digest("5")),
    );
    write(
        &world,
        "a.yaml",
        "[{image: org/api:v1}, {image: registry.example/web}, {image: registry.example/job:any}, {image: registry.example/cron:v2}]\n",
    );
    let outcome = resolve(&world, &["-f", "a.yaml", "--metadata-file", "m.json", "--image-refs", "refs"]).success();
    let expected = format!(
        "[{{image: org/api@{}}}, {{image: registry.example/web@{}}}, {{image: registry.example/job@{}}}, {{image: registry.example/cron:v2}}]\n",
        digest("1"),
        digest("2"),
        digest("4")
    );
    assert_eq!(outcome.stdout, expected);
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_nothing_is_written() {
    let world = World::new(APP);
    write(&world, "bad.yaml", "a: b\nimage: 'x\n");
    write(&world, "good.yaml", "image: x\n");
    write(&world, "refs", "x@sha256:1\n");
    write(&world, "names", "\nregistry.example/x:1\n");
    write(&world, "m.json", "{\"containerimage.digest\": \"sha256:00\"}");
    fs::create_dir(world.path("empty")).unwrap();
    let cases: &[(&[&str], i32, &[&str])] = &[
        (&["-f", "bad.yaml"], 1, &["bad.yaml:2:8", "this is not YAML"]),
        (&["-f", "good.yaml", "-f", "bad.yaml", "-o", "out"], 1, &["bad.yaml:2:8"]),
        (&["-f", "missing.yaml"], 1, &["missing.yaml"]),
        (&["-f", "empty"], 1, &["empty has no .yaml, .yml or .json file", "-R"]),
        (&["-f", "good.yaml", "--image-refs", "refs"], 1, &["refs:1:1", "sha256:1"]),
        (&["-f", "good.yaml", "--image-refs", "names"], 1, &["names:2:1", "has no digest"]),
        (&["-f", "good.yaml", "--metadata-file", "m.json"], 1, &["m.json lists no image that has a name"]),
        (&["-f", "-", "--in-place"], 2, &["standard input"]),
        (&["-f", "-", "-o", "out"], 2, &["standard input"]),
        (&["-f", "good.yaml", "-f", "./good.yaml", "-o", "out"], 2, &["would both be written to out/good.yaml"]),
        (
            &["-f", "good.yaml", "--strict"],
            1,
            &["1 image is left without a digest", "good.yaml:1: x:latest: nothing is known"],
        ),
        (&[], 2, &["--filename"]),
    ];
    for (arguments, code, parts) in cases {
        resolve(&world, arguments).failure(*code).says(parts);
        assert!(!world.path("out").exists(), "{arguments:?}");
    }
    resolve(&world, &["-f", "good.yaml"]).success().says(&["no image is known", "--all"]);
}

#[test]
fn a_list_of_references_needs_names() {
    let world = World::new(APP);
    world
        .build(&["--image-refs", "refs", "-t", "b.example/app:2", "-t", "a.example/app", "-t", "a.example/app:2"])
        .success();
    let names: Vec<String> =
        read(&world, "refs").lines().map(|line| line.split('@').next().unwrap().to_owned()).collect();
    assert_eq!(names, ["a.example/app", "b.example/app"]);
    let nameless = World::new("[config]\ncmd = [\"a\"]\n");
    nameless.build(&["--image-refs", "refs"]).failure(2).says(&["--image-refs lists names", "-t NAME"]);
    assert_eq!(nameless.names(), [""; 0]);
}
