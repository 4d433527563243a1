//! What `-o` writes, and what it leaves alone.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::layout::Layout;
use crate::support::program::{NOBODY, Program};
use crate::support::tool::{self, require, require_root};
use crate::support::traces::names_in;
use crate::support::tree::Tree;
use crate::support::world::{APP, World};

#[test]
fn a_layout_with_all_the_parents_that_it_lacks() {
    let world = World::new(APP);
    let digest = world.build(&["-o", "a/b/layout/"]).digest();
    let layout = Layout::open(world.path("a/b/layout"));
    assert_eq!(layout.images().len(), 2);
    assert_eq!(layout.roots()[0]["digest"], digest.as_str());
    assert_eq!(names_in(&world.path("a/b")), ["layout"]);
}

#[test]
fn an_empty_directory_becomes_a_layout() {
    let world = World::new(APP);
    fs::create_dir(world.path("empty")).unwrap();
    fs::set_permissions(world.path("empty"), fs::Permissions::from_mode(0o750)).unwrap();
    world.build(&["-o", "empty"]).success();
    assert_eq!(Layout::open(world.path("empty")).images().len(), 2);
    assert_eq!(fs::metadata(world.path("empty")).unwrap().permissions().mode() & 0o777, 0o750, "it is the same one");

    fs::create_dir(world.path("real")).unwrap();
    symlink("real", world.path("link")).unwrap();
    world.build(&["-o", "link/"]).success();
    assert_eq!(Layout::open(world.path("real")).images().len(), 2);
}

#[test]
fn the_working_directory_becomes_a_layout() {
    let world = World::new(APP);
    world.build(&["-o", "."]).success();
    assert_eq!(Layout::open(world.place.path()).images().len(), 2);
    assert_eq!(world.names(), ["blobs", "index.json", "oci-layout"]);
}

#[test]
fn a_mount_point_becomes_a_layout() {
    if !require_root() || !require("mount") {
        return;
    }
    let world = World::new(APP);
    fs::create_dir(world.path("out")).unwrap();
    let point = world.path("out");
    tool::run("mount", ["-t", "tmpfs", "tmpfs", point.to_str().unwrap()]);
    let outcome = world.build(&["-o", "out/"]);
    let names = names_in(&point);
    tool::run("umount", ["--lazy", point.to_str().unwrap()]);
    outcome.success();
    assert_eq!(names, ["blobs", "index.json", "oci-layout"]);
}

#[test]
fn a_layout_keeps_what_it_has() {
    let world = World::new(APP);
    let first = world.build(&["-t", "example/app:1", "-o", "layout/"]).digest();
    world.change("other");
    let second = world.build(&["-t", "example/app:2", "-o", "layout/"]).digest();
    assert_eq!(entries(&world.path("layout")), [("1".to_owned(), first.clone()), ("2".to_owned(), second)]);
    assert_eq!(Layout::open(world.path("layout")).images().len(), 4, "and all of their blobs");

    // The name of another is taken over; what it named stays in the layout's blobs.
    world.change("third");
    let third = world.build(&["-t", "example/app:2", "-o", "layout/"]).digest();
    assert_eq!(entries(&world.path("layout")), [("1".to_owned(), first), ("2".to_owned(), third.clone())]);
    // Once more changes nothing.
    let index = fs::read(world.path("layout/index.json")).unwrap();
    assert_eq!(world.build(&["-t", "example/app:2", "-o", "layout/"]).digest(), third);
    assert_eq!(fs::read(world.path("layout/index.json")).unwrap(), index);
}

#[test]
fn a_name_that_skopeo_gave_is_replaced() {
    if !require("skopeo") {
        return;
    }
    let world = World::new(APP);
    world.build(&["-t", "example/app:1", "-o", "one.tar"]).success();
    world.skopeo(&["copy", "-q", "--all", "oci-archive:one.tar:1", "oci:layout:1"]);
    world.skopeo(&["copy", "-q", "--all", "oci-archive:one.tar:1", "oci:layout:other"]);
    world.change("new");
    let new = world.build(&["-t", "example/app:1", "-o", "layout/"]).digest();
    let entries = entries(&world.path("layout"));
    let tags: Vec<_> = entries.iter().map(|(tag, _)| tag.as_str()).collect();
    assert_eq!(tags, ["other", "1"]);
    assert_eq!(entries[1].1, new);
    let report: Value = serde_json::from_str(&world.skopeo(&["inspect", "oci:layout:1"])).unwrap();
    assert_eq!(report["Architecture"], "amd64");
}

#[test]
fn the_same_image_without_a_name_is_there_once() {
    let world = World::new(APP);
    fs::write(world.context.path().join("ocibake.toml"), APP.replace("name =", "#")).unwrap();
    for _ in 0..2 {
        world.build(&["-o", "layout/"]).success();
    }
    assert_eq!(Layout::open(world.path("layout")).roots().len(), 1);
    // With a name it is no longer without one.
    world.build(&["-o", "layout/", "-t", "example/app:1"]).success();
    assert_eq!(entries(&world.path("layout")).len(), 1);
    assert_eq!(entries(&world.path("layout"))[0].0, "1");
}

#[test]
fn a_damaged_blob_in_a_layout_is_mended() {
    let world = World::new(APP);
    world.build(&["-o", "layout/"]).success();
    let blobs = world.path("layout/blobs/sha256");
    for name in names_in(&blobs) {
        let blob = blobs.join(name);
        let mut bytes = fs::read(&blob).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(&blob, bytes).unwrap();
    }
    world.build(&["-o", "layout/"]).success();
    assert_eq!(Layout::open(world.path("layout")).images().len(), 2);
}

#[test]
fn a_directory_of_something_else_is_left_alone() {
    let world = World::new(APP);
    fs::create_dir(world.path("full")).unwrap();
    fs::write(world.path("full/thesis.txt"), "years").unwrap();
    world.build(&["-o", "full/"]).failure(1).says(&["full", "neither empty nor an OCI layout"]);
    assert_eq!(names_in(&world.path("full")), ["thesis.txt"]);
    assert_eq!(fs::read_to_string(world.path("full/thesis.txt")).unwrap(), "years");
    world.build(&["-o", "type=oci,dest=full"]).failure(1).says(&["full"]);
    assert_eq!(world.names(), ["full"]);
    fs::write(world.path("file"), "").unwrap();
    world.build(&["-o", "file/"]).failure(1).says(&["file"]);
}

#[test]
fn an_archive_is_replaced_whole() {
    let world = World::new(APP);
    world.build(&["-o", "x.tar"]).success();
    let one = fs::read(world.path("x.tar")).unwrap();
    // Whoever has it open still reads the old one to its end.
    let open = fs::File::open(world.path("x.tar")).unwrap();
    world.change("other");
    world.build(&["-o", "x.tar"]).success();
    assert_ne!(fs::read(world.path("x.tar")).unwrap(), one);
    let mut read = Vec::new();
    (&open).read_to_end(&mut read).unwrap();
    assert!(read == one);
    assert_eq!(world.names(), ["x.tar"]);
    // A failure leaves it as it is.
    let two = fs::read(world.path("x.tar")).unwrap();
    fs::remove_dir_all(world.context.path().join("files")).unwrap();
    world.build(&["-o", "x.tar"]).failure(1);
    assert_eq!(fs::read(world.path("x.tar")).unwrap(), two);
}

#[test]
fn archives_are_the_same_bytes_from_any_store() {
    let world = World::new(APP);
    world.build(&["-o", "a.tar", "-o", "type=oci,dest=b.tar"]).success();
    let one = fs::read(world.path("a.tar")).unwrap();
    assert!(one == fs::read(world.path("b.tar")).unwrap());
    // Another program has another store, this time with something in it.
    let other = Program::new().directory(world.place.path());
    let context = world.context.path().to_str().unwrap();
    other.run(["build", context, "--label=x=y"]).success();
    other.run(["build", context, "-j1", "-o", "c.tar"]).success();
    assert!(one == fs::read(world.path("c.tar")).unwrap());
}

#[test]
fn an_archive_is_the_tar_of_the_layout_and_what_docker_reads() {
    if !require("tar") {
        return;
    }
    let world = World::new(APP);
    world.build(&["-o", "x.tar", "-o", "layout/"]).success();
    fs::create_dir(world.path("unpacked")).unwrap();
    tool::run("tar", ["-xf", world.path("x.tar").to_str().unwrap(), "-C", world.path("unpacked").to_str().unwrap()]);
    fs::remove_file(world.path("unpacked/manifest.json")).unwrap();
    assert!(contents(&world.path("unpacked")) == contents(&world.path("layout")));
}

#[test]
fn several_outputs_of_one_build_agree() {
    if !require("skopeo") {
        return;
    }
    let world = World::new(APP);
    let flags = ["-o", "x.tar", "-o", "layout/", "-o", "type=docker,dest=docker.tar", "--platform=linux/amd64"];
    let digest = world.build(&[&flags[..], &["-t", "example/app:1"]].concat()).digest();
    for source in ["oci-archive:x.tar:1", "oci:layout:1"] {
        let report: Value = serde_json::from_str(&world.skopeo(&["inspect", source])).unwrap();
        assert_eq!(report["Digest"], digest.as_str(), "{source}");
    }
    let config = |source: &str| world.skopeo(&["inspect", "--config", "--raw", source]);
    assert_eq!(config("docker-archive:docker.tar"), config("oci:layout:1"));
}

#[test]
fn a_push_without_a_name_is_refused_before_anything_is_written() {
    let world = World::new(APP);
    fs::write(world.context.path().join("ocibake.toml"), APP.replace("name =", "#")).unwrap();
    world.build(&["-o", "x.tar", "--push"]).failure(2).says(&["no name", "-t REGISTRY/NAME:TAG"]);
    assert_eq!(world.names(), [""; 0]);
}

#[test]
fn an_output_that_is_written_wrongly_is_explained() {
    let world = World::new(APP);
    for (output, parts) in [
        ("", "an output is empty"),
        ("type=oci,dest=-,tar=false", "a directory cannot be written to standard output"),
        ("type=ocy,dest=x", "did you mean type=oci?"),
        ("type=dokcer,dest=x", "did you mean type=docker?"),
        ("type=tape,dest=x", "known types are oci, docker, registry, local and tar"),
        ("type=oci", "add dest=PATH"),
        ("type=docker,dest=", "add dest=PATH"),
        ("type=docker,dest=x,tar=false", "leave out tar=false"),
        ("type=registry,dest=x", "-t REGISTRY/NAME:TAG"),
        ("type=oci,dst=x", "`dst=x`"),
        ("type=oci,dest=x,tar=maybe", "`tar=maybe`"),
        ("dest=x", "does not say its type"),
    ] {
        world.build(&["-o", output]).failure(2).says(&["--output", parts]);
    }
    assert_eq!(world.names(), [""; 0]);
}

#[test]
fn where_nothing_can_be_written() {
    if !require_root() || !require("setpriv") {
        return;
    }
    let world = World::new(APP);
    fs::set_permissions(world.place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = Program::new().user(NOBODY).directory(world.place.path());
    let context = world.context.path().to_str().unwrap();
    for output in ["x.tar", "layout/", "type=docker,dest=x.tar"] {
        let outcome = program.run(["build", context, "--platform=linux/amd64", "-o", output]).failure(1);
        outcome.says(&["Permission denied", "check its owner"]);
    }
    fs::create_dir(world.path("empty")).unwrap();
    program.run(["build", context, "-o", "empty/"]).failure(1).says(&["empty", "Permission denied"]);
    assert_eq!(world.names(), ["empty"]);
}

#[test]
fn an_output_that_cannot_be_written_is_refused_before_the_work() {
    let world = World::new(APP);
    fs::write(world.path("file"), "mine").unwrap();
    fs::create_dir(world.path("full")).unwrap();
    fs::write(world.path("full/file"), "mine").unwrap();
    for (output, parts) in [
        ("missing/x.tar", &["missing/x.tar", "missing is not a directory", "create it"][..]),
        ("type=tar,dest=file/x.tar", &["file/x.tar", "file is not a directory"]),
        ("type=docker,dest=full", &["full is there and is not a regular file"]),
        ("type=oci,tar=false,dest=file", &["file is not a directory"]),
        ("type=oci,tar=false,dest=file/below/it", &["file is not a directory"]),
        ("full/", &["full/ is neither empty nor an OCI layout"]),
        ("type=local,dest=file/below/it", &["file is not a directory"]),
    ] {
        let outcome = world.build(&["--platform=linux/amd64", "-o", "x.tar", "-o", output]).failure(1).says(parts);
        assert!(!outcome.stderr.contains("layer"), "{output} was refused after a layer was made: {}", outcome.stderr);
        assert_eq!(world.names(), ["file", "full"], "{output}");
    }
}

#[test]
fn an_output_may_lie_in_an_earlier_one() {
    let world = World::new(APP);
    world.build(&["-o", "type=local,dest=root", "-o", "root/image/", "-o", "root/image/x.tar"]).success();
    assert_eq!(names_in(&world.path("root/image")), ["blobs", "index.json", "oci-layout", "x.tar"]);
}

#[test]
fn devices_and_directories_are_not_replaced_by_archives() {
    let world = World::new(APP);
    fs::create_dir(world.path("directory")).unwrap();
    world.build(&["-o", "type=docker,dest=directory", "--platform=linux/amd64"]).failure(1).says(&["directory"]);
    assert_eq!(names_in(&world.path("directory")), [""; 0]);
    let place = Tree::new().fifo("pipe").plant();
    let pipe = place.path().join("pipe");
    world.build(&["-o", pipe.to_str().unwrap()]).failure(1).says(&["pipe", "not a regular file"]);
    assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
}

#[test]
fn an_output_among_what_is_added_is_pointed_out() {
    let world = World::new(APP);
    let program = Program::new().directory(world.context.path());
    let warning = |add: &str, output: &str| {
        let outcome = program.run(["build", "--add", add, "--platform=linux/amd64", "-o", output]).success();
        outcome.stderr.contains("is among the files that are added")
    };
    assert!(!warning(".:/", "x.tar"), "it is not there yet");
    assert!(warning(".:/", "x.tar"));
    assert!(warning("x.tar:/", "x.tar"));
    assert!(!warning("files:/", "x.tar"));
    assert!(!warning(".:/:exclude=*.tar", "x.tar"));
    assert!(!warning(".:/", "layout/"));
    assert!(warning(".:/", "layout/"));
}

#[test]
fn a_dockerignore_that_docker_would_heed_is_pointed_out() {
    let world = World::new(APP);
    let program = Program::new().directory(world.context.path());
    let warning = |add: &str| {
        let outcome = program.run(["build", "--add", add, "--platform=linux/amd64", "-o", "x.tar"]).success();
        outcome.stderr.contains("warning: .dockerignore is not read")
    };
    assert!(!warning(".:/:exclude=*.tar"), "there is none");
    fs::write(world.context.path().join(".dockerignore"), "secret\n").unwrap();
    assert!(warning(".:/:exclude=*.tar"));
    assert!(!warning("files:/"), "what is added is named");
    assert!(!warning(".:/:exclude=*.tar,exclude=.dockerignore"));
}

#[test]
fn what_was_written_into_the_context_is_not_in_the_way() {
    let world = World::new(APP);
    let program = Program::new().directory(world.context.path());
    let one = program.run(["build", ".", "-o", "x.tar", "-o", "layout/", "--iidfile=iid"]).digest();
    let two = program.run(["build", ".", "-o", "x.tar", "-o", "layout/", "--iidfile=iid"]).digest();
    assert_eq!(one, two);
    assert_eq!(Layout::open(world.context.path().join("layout")).roots().len(), 1);
}

/// Reference name and digest of each entry in `index.json`.
fn entries(layout: &Path) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let name = |root: &Value| text(&root["annotations"]["org.opencontainers.image.ref.name"]);
    Layout::open(layout).roots().iter().map(|root| (name(root), text(&root["digest"]))).collect()
}

/// Path and bytes of every file below `directory`.
fn contents(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.push((path.strip_prefix(directory).unwrap().to_owned(), fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}
