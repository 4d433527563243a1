//! Which Dockerfile a build of a directory takes, and which ignore file.

use std::fs;
use std::path::Path;

use ocibake::error::{Error, ErrorKind};
use ocibake::progress::silent;
use ocibake::source::context::{
    ContextAccess, ContextLocation, DockerfilePlace, DockerfileSource, OpenContext, TEXT_LIMIT,
};
use ocibake::store::LocalStore;
use tempfile::TempDir;

use crate::support::registry_client::on_demand;
use crate::support::tree::Tree;

/// The context, and what is in the file and in the ignore file that are taken.
fn found(tree: &TempDir, named: DockerfilePlace<'_>, input: &str) -> Result<(String, Option<String>), Error> {
    let found = DockerfileSource::find(&open(tree), named, &mut input.as_bytes())?;
    Ok((found.file.text, found.ignore.map(|ignore| ignore.text)))
}

fn open(tree: &TempDir) -> OpenContext {
    let place = tempfile::tempdir().unwrap();
    let (store, client) = (LocalStore::open(place.path()).unwrap(), on_demand());
    let access = ContextAccess { store: &store, client: &client, progress: &silent, keep_git_dir: false };
    let location: ContextLocation = tree.path().join("context").to_str().unwrap().parse().unwrap();
    location.open(&access, &mut std::io::empty()).unwrap()
}

fn texts(file: &str, ignore: Option<&str>) -> (String, Option<String>) {
    (file.to_owned(), ignore.map(str::to_owned))
}

#[test]
fn the_ignore_file_of_the_dockerfile_goes_before_that_of_the_context() {
    let tree = Tree::new()
        .file("context/Dockerfile", "main")
        .file("context/.dockerignore", "of the context")
        .file("context/other.Dockerfile", "other")
        .file("context/other.Dockerfile.dockerignore", "of other")
        .file("outside/Dockerfile", "outside")
        .file("outside/.dockerignore", "of outside")
        .plant();
    let at = |path: &str| tree.path().join(path);
    assert_eq!(found(&tree, DockerfilePlace::Not, "").unwrap(), texts("main", Some("of the context")));
    let other = at("context/other.Dockerfile");
    assert_eq!(found(&tree, DockerfilePlace::File(&other), "").unwrap(), texts("other", Some("of other")));
    let outside = at("outside/Dockerfile");
    assert_eq!(found(&tree, DockerfilePlace::File(&outside), "").unwrap(), texts("outside", Some("of the context")));
    assert_eq!(found(&tree, DockerfilePlace::StandardInput, "in").unwrap(), texts("in", Some("of the context")));
    fs::write(at("context/Dockerfile.dockerignore"), "of Dockerfile").unwrap();
    assert_eq!(found(&tree, DockerfilePlace::Not, "").unwrap(), texts("main", Some("of Dockerfile")));
    fs::remove_file(at("context/Dockerfile.dockerignore")).unwrap();
    fs::remove_file(at("context/.dockerignore")).unwrap();
    assert_eq!(found(&tree, DockerfilePlace::Not, "").unwrap(), texts("main", None));
}

#[test]
fn one_in_lower_case_is_taken_where_there_is_no_other() {
    let tree = Tree::new().file("context/dockerfile", "lower").plant();
    assert_eq!(found(&tree, DockerfilePlace::Not, "").unwrap(), texts("lower", None));
    let named = tree.path().join("context/Dockerfile");
    assert_eq!(found(&tree, DockerfilePlace::File(&named), "").unwrap(), texts("lower", None));
    fs::write(&named, "upper").unwrap();
    assert_eq!(found(&tree, DockerfilePlace::Not, "").unwrap(), texts("upper", None));
}

#[test]
fn a_file_that_is_missing_or_none_is_told() {
    let tree = Tree::new().file("context/sub/Dockerfile", "x").directory("context/d").plant();
    let error = found(&tree, DockerfilePlace::Not, "").unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert!(error.hint.unwrap().contains("use -f if the Dockerfile has another name"));
    let error = found(&tree, DockerfilePlace::File(Path::new("sub/Dockerfile")), "").unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert!(error.hint.unwrap().contains("-f is relative to where you are"));
    let error = found(&tree, DockerfilePlace::File(&tree.path().join("context/d")), "").unwrap_err();
    assert!(error.message.contains("is a directory"), "{error}");
    let large = tree.path().join("context/large");
    fs::File::create(&large).unwrap().set_len(TEXT_LIMIT + 1).unwrap();
    let error = found(&tree, DockerfilePlace::File(&large), "").unwrap_err();
    assert!(error.message.contains("has more than 16777216 bytes"), "{error}");
    fs::File::create(&large).unwrap().set_len(TEXT_LIMIT).unwrap();
    assert_eq!(found(&tree, DockerfilePlace::File(&large), "").unwrap().0.len() as u64, TEXT_LIMIT);
}

#[test]
fn what_is_not_utf8_is_replaced() {
    let tree = Tree::new().file("context/Dockerfile", b"# caf\xe9\n").plant();
    assert_eq!(found(&tree, DockerfilePlace::Not, "").unwrap().0, "# caf\u{fffd}\n");
}

#[test]
fn what_a_context_has_is_looked_for_within_it() {
    let tree = Tree::new()
        .file("secret", "s3cret")
        .file("context/deep/file", "inside")
        .symlink("context/Dockerfile", "deep/file")
        .symlink("context/.dockerignore", "../secret")
        .symlink("context/out.Dockerfile", "../secret")
        .symlink("context/deep/x.dockerignore", "../../secret")
        .file("context/deep/x", "x")
        .file("other/Dockerfile", "other")
        .symlink("other/Dockerfile.dockerignore", "../secret")
        .plant();
    let context = tree.path().join("context");
    for named in [DockerfilePlace::Not, DockerfilePlace::StandardInput, DockerfilePlace::File(&context.join("deep/x"))]
    {
        let error = found(&tree, named, "in").unwrap_err();
        assert!(error.message.ends_with("dockerignore leads out of the context"), "{named:?}: {error}");
    }
    fs::remove_file(context.join(".dockerignore")).unwrap();
    assert_eq!(found(&tree, DockerfilePlace::Not, "").unwrap(), texts("inside", None));
    // What the user names may be anywhere, and so may what lies beside it, out of the context.
    assert_eq!(
        found(&tree, DockerfilePlace::File(&context.join("out.Dockerfile")), "").unwrap(),
        texts("s3cret", None)
    );
    let other = tree.path().join("other/Dockerfile");
    assert_eq!(found(&tree, DockerfilePlace::File(&other), "").unwrap(), texts("other", Some("s3cret")));
    fs::remove_file(context.join("Dockerfile")).unwrap();
    std::os::unix::fs::symlink("../secret", context.join("Dockerfile")).unwrap();
    let error = found(&tree, DockerfilePlace::Not, "").unwrap_err();
    assert!(error.message.ends_with("context/Dockerfile leads out of the context"), "{error}");
}
