//! Contexts that come as a tar or as a Dockerfile alone: on the standard input, from a file, from a server.

use std::fs;
use std::io::Cursor;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use ocibake::error::{Error, ErrorKind};
use ocibake::plan::ContextPlace;
use ocibake::progress::silent;
use ocibake::source::context::{ContextAccess, ContextLocation, DockerfilePlace, DockerfileSource, OpenContext};
use ocibake::store::LocalStore;
use tempfile::TempDir;

use super::add_archive::compressed;
use crate::support::fake_registry::{FakeRegistry, Reply};
use crate::support::program::{Outcome, Program};
use crate::support::registry_client::on_demand;
use crate::support::tool::{checked, is_root, require};
use crate::support::tree::Tree;

struct Place {
    directory: TempDir,
    store: LocalStore,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = LocalStore::open(directory.path().join("store")).unwrap();
        Place { directory, store }
    }

    fn open(&self, location: &str, input: &[u8]) -> Result<OpenContext, Error> {
        let client = on_demand();
        let access = ContextAccess { store: &self.store, client: &client, progress: &silent, keep_git_dir: false };
        location.parse::<ContextLocation>()?.open(&access, &mut Cursor::new(input))
    }

    fn named(&self, value: &str) -> Result<Option<OpenContext>, Error> {
        let client = on_demand();
        let access = ContextAccess { store: &self.store, client: &client, progress: &silent, keep_git_dir: false };
        OpenContext::named(&value.parse::<ContextPlace>()?, &access)
    }

    fn left_over(&self) -> usize {
        fs::read_dir(self.directory.path().join("store/tmp")).unwrap().count()
    }
}

fn tar(tree: &TempDir) -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut command = Command::new("tar");
    command.arg("-C").arg(tree.path()).args(["--mtime=@1000", "--sort=name", "-cf"]).arg(file.path()).arg(".");
    checked(&mut command);
    fs::read(file.path()).unwrap()
}

fn content(context: &OpenContext, path: &str) -> String {
    fs::read_to_string(context.root.join(path)).unwrap()
}

fn find(context: &OpenContext, named: DockerfilePlace<'_>) -> Result<DockerfileSource, Error> {
    DockerfileSource::find(context, named, &mut std::io::empty())
}

#[test]
fn a_tar_is_unpacked_wherever_it_comes_from() {
    if !["tar", "gzip", "bzip2", "xz", "zstd"].iter().all(|tool| require(tool)) {
        return;
    }
    let tree = Tree::new().file("Dockerfile", "FROM scratch\n").file("d/x", "x").mode(0o4755);
    let tree = tree.hard_link("d/y", "d/x").symlink("out", "/etc/passwd").file(".dockerignore", "d\n").plant();
    let plain = tar(&tree);
    for program in ["cat", "gzip", "bzip2", "xz", "zstd"] {
        let flags: &[&str] = if program == "cat" { &[] } else { &["-c"] };
        let archive = compressed(program, flags, &plain);
        let place = Place::new();
        let file = place.directory.path().join("context.tar");
        fs::write(&file, &archive).unwrap();
        let served = archive.clone();
        let server = FakeRegistry::scripted(move |_| Some(Reply::Answer(200, Vec::new(), served.clone())));
        let url = format!("http://{}/any/name", server.address());
        for location in ["-", file.to_str().unwrap(), &url] {
            let context =
                place.open(location, &archive).unwrap_or_else(|error| panic!("{program} {location}: {error}"));
            assert!(!context.is_local && context.dockerfile.is_none());
            assert_eq!(content(&context, "d/x"), "x", "{program} {location}");
            let status = |path: &str| fs::symlink_metadata(context.root.join(path)).unwrap();
            assert_eq!((status("d/x").mode() & 0o7777, status("d/x").mtime()), (0o4755, 1000));
            assert_eq!(status("d/x").ino(), status("d/y").ino(), "a hard link stays one");
            assert!(status("out").is_symlink(), "a link that leads out is kept as it is");
            let found = find(&context, DockerfilePlace::Not).unwrap();
            assert_eq!((found.file.name.as_str(), found.file.text.as_str()), ("Dockerfile", "FROM scratch\n"));
            assert_eq!(found.ignore, None, "BuildKit leaves such a context whole");
            // Nobody else gets at it meanwhile.
            let outer = context.root.parent().unwrap();
            assert_eq!(fs::metadata(outer).unwrap().permissions().mode() & 0o777, 0o700);
            drop(context);
            assert_eq!(place.left_over(), 0, "{program} {location}");
        }
    }
}

#[test]
fn a_text_is_the_dockerfile() {
    let place = Place::new();
    let context = place.open("-", b"FROM scratch\n").unwrap();
    assert_eq!(fs::read_dir(&context.root).unwrap().count(), 0, "its context is empty");
    assert_eq!(find(&context, DockerfilePlace::Not).unwrap().file.text, "FROM scratch\n");
    let error = find(&context, DockerfilePlace::File(Path::new("Dockerfile"))).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Usage);
    assert!(error.message.contains("-f names another one"), "{error}");

    let server = FakeRegistry::scripted(|_| Some(Reply::Answer(200, Vec::new(), b"FROM scratch\nUSER 1\n".to_vec())));
    let context = place.open(&format!("http://{}/Dockerfile?a=s3cret", server.address()), b"").unwrap();
    let found = find(&context, DockerfilePlace::Not).unwrap().file;
    assert_eq!(found.text, "FROM scratch\nUSER 1\n");
    assert_eq!(found.name, format!("http://{}/Dockerfile", server.address()));
    assert_eq!(content(&context, "context"), found.text, "as BuildKit has it");
}

#[test]
fn the_standard_input_is_not_two_things_at_once() {
    if !require("tar") {
        return;
    }
    let place = Place::new();
    let context = place.open("-", &tar(&Tree::new().file("a", "").plant())).unwrap();
    let error = find(&context, DockerfilePlace::StandardInput).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Usage);
    assert!(error.message.contains("cannot both come from the standard input"), "{error}");
}

#[test]
fn what_is_no_context_is_refused() {
    if !require("gzip") {
        return;
    }
    let place = Place::new();
    let text = place.directory.path().join("text");
    fs::write(&text, "text").unwrap();
    let packed = compressed("gzip", &["-c"], b"no tar");
    for (location, input, says) in [
        (text.to_str().unwrap(), &b""[..], "is not an archive"),
        ("-", &packed, "is not an archive"),
        ("/nowhere/at/all", b"", "there is no context /nowhere/at/all"),
        ("ftp://example.org/a", b"", "there is no context"),
        ("ext::sh -c id", b"", "there is no context"),
    ] {
        let error = place.open(location, input).unwrap_err();
        assert!(error.message.contains(says), "{location}: {error}");
    }
    assert_eq!(place.left_over(), 0);
}

#[test]
fn a_hostile_tar_writes_nothing_outside_and_shows_nothing_of_it() {
    if !require("python3") {
        return;
    }
    let place = Place::new();
    let secret = place.directory.path().join("secret");
    fs::write(&secret, "s3cret").unwrap();
    let make = |members: &str| {
        let path = place.directory.path().join("hostile.tar");
        let script = format!(
            "import sys, tarfile, io\n\
             t = tarfile.open(sys.argv[1], 'w')\n\
             def add(name, content=b'', **more):\n\
             \x20   i = tarfile.TarInfo(name); i.size = len(content)\n\
             \x20   [setattr(i, key, value) for key, value in more.items()]\n\
             \x20   t.addfile(i, io.BytesIO(content))\n\
             {members}\nt.close()\n"
        );
        crate::support::tool::run("python3", ["-c", &script, path.to_str().unwrap()]);
        fs::read(&path).unwrap()
    };
    let leading = format!("add('Dockerfile', type=tarfile.SYMTYPE, linkname={:?})", secret.to_str().unwrap());
    let context = place.open("-", &make(&leading)).unwrap();
    for named in [DockerfilePlace::Not, DockerfilePlace::File(Path::new("Dockerfile"))] {
        let error = find(&context, named).unwrap_err();
        assert!(
            error.message.contains("leads out of the context") && !format!("{error:?}").contains("s3cret"),
            "{error:?}"
        );
    }
    drop(context);
    let through = format!(
        "add('d', type=tarfile.SYMTYPE, linkname={:?}); add('d/planted', b'x')",
        place.directory.path().to_str().unwrap()
    );
    let context = place.open("-", &make(&through)).unwrap();
    assert!(!place.directory.path().join("planted").exists());
    drop(context);
    let error = place.open("-", &make("add('../planted', b'x')")).unwrap_err();
    assert!(error.message.contains("has `..` in it"), "{error}");
    assert_eq!(place.left_over(), 0);
}

/// Builds from a tar of `tree`, which somebody else made, and what is said of it.
fn outcome_of(tree: &Tree, options: &[&str]) -> Outcome {
    let program = Program::new();
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("context.tar"), tar(&tree.plant())).unwrap();
    let words = ["build".to_owned(), path("context.tar"), "--pull=never".to_owned(), "-o".to_owned(), path("o.tar")];
    program.run(words.into_iter().chain(options.iter().map(|option| (*option).to_owned())))
}

const SPEC: &str = "platforms = [\"linux/amd64\"]\n";

#[test]
fn nothing_that_a_foreign_context_names_lies_outside_or_is_waited_for() {
    if !require("tar") {
        return;
    }
    let machine = Tree::new().file("secret", "TOP-SECRET-LINE $6$abc").plant();
    let secret = machine.path().join("secret");
    let docker = || Tree::new().file("Dockerfile", "FROM scratch\n");
    let recipes = [
        ("ocibake.toml", Tree::new()),
        ("ocibake.lock", docker()),
        ("ocibake.lock", Tree::new().file("ocibake.toml", SPEC)),
        ("Dockerfile", Tree::new()),
        ("dockerfile", Tree::new()),
    ];
    for (name, tree) in recipes {
        let outcome = outcome_of(&tree.clone().symlink(name, secret.to_str().unwrap()), &[]).failure(1);
        assert!(!outcome.stderr.contains("TOP-SECRET"), "{name}: {}", outcome.stderr);
        outcome.says(&[&format!("{name} leads out of the context")]);
        outcome_of(&tree.clone().fifo(name), &[]).failure(1).says(&[&format!("{name} is a FIFO, not a file")]);
        outcome_of(&tree.directory(name), &[]).failure(1).says(&[&format!("{name} is a directory")]);
    }
    // What stays inside is a file like any other.
    outcome_of(&Tree::new().file("d/spec", SPEC).symlink("ocibake.toml", "d/spec"), &[]).success();
    outcome_of(&Tree::new().file("d/x", "FROM scratch\n").symlink("Dockerfile", "d/x"), &[]).success();
    // A name behind -f is one of the context, as it is with docker.
    outcome_of(&Tree::new().file("d/my.toml", SPEC), &["-f", "d/my.toml"]).success();
    outcome_of(&Tree::new().symlink("my.toml", secret.to_str().unwrap()), &["-f", "my.toml"])
        .failure(1)
        .says(&["my.toml leads out of the context"]);
}

#[test]
fn a_foreign_context_builds_on_no_image_of_this_machine() {
    if !require("tar") {
        return;
    }
    let machine = tempfile::tempdir().unwrap();
    let program = Program::new();
    let context = Tree::new().file("ocibake.toml", SPEC).file("x", "").plant();
    let at = |name: &str| machine.path().join(name).to_str().unwrap().to_owned();
    let (layout, archive) = (at("base"), at("base.tar"));
    let outputs = ["-o", &format!("{layout}/"), "-o", &archive];
    program.run(["build", context.path().to_str().unwrap()].into_iter().chain(outputs)).success();
    let on = |base: &str| Tree::new().file("ocibake.toml", format!("base = {base:?}\n{SPEC}"));
    let linked = |base: &str| on(base).symlink("l", &layout).symlink("t.tar", &archive).symlink("d/blobs", "/etc");
    for base in [
        &format!("oci:{layout}"),
        &format!("oci-archive:{archive}"),
        &format!("docker-archive:{archive}:x"),
        &archive,
        &format!("{layout}/"),
        "oci:l",
        "./l",
        "l/",
        "oci-archive:t.tar",
        "./t.tar",
        "oci:../..",
        "./../../x",
    ] {
        let outcome = outcome_of(&linked(base), &[]).failure(1);
        outcome.says(&["leads out of the context"]);
    }
    outcome_of(&linked("oci:d"), &[]).failure(1).says(&["oci:d is not an image: blobs in it is a link"]);
    outcome_of(&on("./none.tar"), &[]).failure(1).says(&["there is no ./none.tar in the context"]);
    outcome_of(&on("./f").fifo("f"), &[]).failure(1).says(&["./f is a FIFO"]);
    // What the context has itself it may build on, and what the command line says is the user's own.
    let bytes = fs::read(&archive).unwrap();
    for base in ["./base.tar", "oci-archive:base.tar"] {
        outcome_of(&on(base).file("base.tar", &bytes), &[]).success();
    }
    outcome_of(&on("debian"), &["--base", &archive]).success();
    let dockerfile = |from: &str| Tree::new().file("Dockerfile", format!("FROM scratch\nCOPY --from={from} / /\n"));
    for from in [format!("oci:{layout}"), archive.clone()] {
        outcome_of(&dockerfile(&from), &[]).failure(1).says(&["is not a name in a registry"]);
    }
}

#[test]
fn directories_that_nobody_may_write_to_go_away_too() {
    if is_root() || !require("tar") {
        return; // root may write everywhere
    }
    let tree = Tree::new().directory("d").file("d/x", "").plant();
    fs::set_permissions(tree.path().join("d"), fs::Permissions::from_mode(0o555)).unwrap();
    let archive = tar(&tree);
    fs::set_permissions(tree.path().join("d"), fs::Permissions::from_mode(0o755)).unwrap();
    let place = Place::new();
    drop(place.open("-", &archive).unwrap());
    assert_eq!(place.left_over(), 0);
}

#[test]
fn what_a_killed_build_has_left_is_removed_a_day_later() {
    let place = Place::new();
    let tmp = place.directory.path().join("store/tmp");
    for (name, age) in [("old", 25), ("new", 23)] {
        let left = tmp.join(format!(".ocibake-{name}"));
        fs::create_dir_all(left.join("context/d")).unwrap();
        fs::write(left.join("context/d/x"), "x").unwrap();
        fs::set_permissions(left.join("context/d"), fs::Permissions::from_mode(0o555)).unwrap();
        let time = std::time::SystemTime::now() - std::time::Duration::from_secs(age * 3600);
        fs::File::open(&left).unwrap().set_modified(time).unwrap();
    }
    LocalStore::open(place.directory.path().join("store")).unwrap();
    assert!(!tmp.join(".ocibake-old").exists() && tmp.join(".ocibake-new").exists());
}

/// The program itself: what it builds does not depend on how the context got there.
#[test]
fn one_context_makes_one_image() {
    if !["tar", "xz"].iter().all(|tool| require(tool)) {
        return;
    }
    let tree = Tree::new().file("Dockerfile", "FROM scratch\nCOPY d /d\n").file("d/x", "x").mode(0o4755).plant();
    let packed = compressed("xz", &["-c"], &tar(&tree));
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("context.tar.xz");
    fs::write(&file, &packed).unwrap();
    let expected = Program::new().run(["build", tree.path().to_str().unwrap()]).digest();
    assert_eq!(Program::new().run(["build", file.to_str().unwrap()]).digest(), expected);
    assert_eq!(Program::new().umask(0o077).run(["build", file.to_str().unwrap()]).digest(), expected);
    let program = Program::new();
    let mut command = program.command(["build", "-"]);
    command.stdin(fs::File::open(&file).unwrap());
    assert_eq!(Outcome::of(&mut command).digest(), expected);
}

#[test]
fn named_contexts_are_opened() {
    if !require("tar") {
        return;
    }
    let place = Place::new();
    let tree = Tree::new().file("lib/x", "x").file("lib/.dockerignore", "*.o\n").plant();
    let directory = tree.path().join("lib");
    let context = place.named(directory.to_str().unwrap()).unwrap().unwrap();
    assert!(context.is_local);
    assert_eq!(DockerfileSource::ignore(&context).unwrap().unwrap().text, "*.o\n");
    let archive = tar(&tree);
    let server = FakeRegistry::scripted(move |request| {
        let body = if request.path == "/a.tar" { archive.clone() } else { b"plain".to_vec() };
        Some(Reply::Answer(200, Vec::new(), body))
    });
    let context = place.named(&format!("http://{}/a.tar", server.address())).unwrap().unwrap();
    assert_eq!(content(&context, "lib/x"), "x");
    let context = place.named(&format!("http://{}/a.txt", server.address())).unwrap().unwrap();
    assert_eq!((content(&context, "context").as_str(), context.dockerfile), ("plain", None));
    assert!(place.named("docker-image://alpine").unwrap().is_none());
    let error = place.named("nowhere").unwrap_err();
    assert!(error.message.contains("there is no directory nowhere to use as a context"), "{error}");
}
