//! The local store is its owner's alone, and nothing that stands in it or in a layout in the place of a file makes a build
//! wait or read what it should not.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use crate::support::damage::each;
use crate::support::handmade::{Handmade, file};
use crate::support::layout::Layout;
use crate::support::program::{NOBODY, Program};
use crate::support::rebuild::{BOTH, Rebuild, settle};
use crate::support::tool::{self, require, require_root};
use crate::support::traces::{all_files, assert_store_is_sound, names_in};
use crate::support::tree::Tree;

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

const DIRECTORIES: [&str; 6] = ["blobs", "blobs/sha256", "caches", "records", "unpacked", "tmp"];

#[track_caller]
fn assert_is_private(store: &Path) {
    assert_eq!(mode(store), 0o700);
    DIRECTORIES.iter().for_each(|name| assert_eq!(mode(&store.join(name)), 0o700, "{name}"));
    let files = all_files(store);
    assert!(files.len() > 4, "{files:?}");
    files.iter().for_each(|file| assert_eq!(mode(file), 0o600, "{}", file.display()));
}

/// Gives these bits to others on everything in the store, and on the store.
fn let_in(store: &Path, bits: u32) {
    let directories = DIRECTORIES.iter().map(|name| store.join(name)).chain([store.to_owned()]);
    for path in directories.chain(all_files(store)).collect::<Vec<_>>() {
        set_mode(&path, mode(&path) | bits);
    }
}

#[test]
fn a_store_is_its_owners_alone_whatever_the_umask() {
    let context =
        Tree::new().file("ocibake.toml", "name = \"a/b\"\n[[layer]]\nadd = [{ from = \"x\", to = \"/x\" }]\n");
    let context = context.file("x", "x").plant();
    settle();
    for umask in [0, 0o002, 0o022, 0o077, 0o277, 0o777] {
        let program = Program::new().umask(umask).directory(context.path());
        fs::remove_dir(program.store()).unwrap();
        let built = program.run(["build", context.path().to_str().unwrap()]);
        if umask & 0o700 == 0 || rustix::process::geteuid().is_root() {
            built.success();
            assert_is_private(&program.store());
        }
    }
}

#[test]
fn a_store_that_let_others_in_is_mended() {
    // What they could write is not believed; what they could read is what it was.
    for (bits, known) in [(0o055, &BOTH[..]), (0o007, &[]), (0o070, &[])] {
        let world = Rebuild::new();
        let expected = world.build(&[]).digest;
        let_in(&world.program.store(), bits);
        let again = world.build(&[]);
        assert_eq!(
            (again.digest, again.known),
            (expected, known.iter().map(|title| title.to_string()).collect()),
            "{bits:o}"
        );
        assert_is_private(&world.program.store());
        assert_eq!(world.build(&[]).known, BOTH);
    }
}

#[test]
fn a_directory_that_holds_more_than_a_store_keeps_its_mode() {
    let world = Rebuild::new();
    let store = world.program.store();
    fs::write(store.join("mine"), "mine").unwrap();
    set_mode(&store.join("mine"), 0o644);
    set_mode(&store, 0o755);
    world.build(&[]);
    assert_eq!((mode(&store), mode(&store.join("mine"))), (0o755, 0o644));
    DIRECTORIES.iter().for_each(|name| assert_eq!(mode(&store.join(name)), 0o700, "{name}"));
    assert_eq!(mode(&store.join("lock")), 0o600);
    set_mode(&store, 0o1777);
    world.run(&[]).failure(1).says(&["others may write to it", "OCIBAKE_STORE"]);
    assert_eq!(mode(&store), 0o1777);
}

#[test]
fn a_store_of_another_user_is_refused() {
    if !require_root() {
        return;
    }
    for name in ["", "records", "blobs/sha256"] {
        let world = Rebuild::new();
        world.build(&[]);
        chown(world.program.store().join(name), Some(NOBODY), None).unwrap();
        world.run(&[]).failure(1).says(&["belongs to another user, number 65534", "OCIBAKE_STORE"]);
    }
}

#[test]
fn the_store_may_be_a_link_and_has_none_in_it() {
    let world = Rebuild::new();
    let expected = world.build(&[]).digest;
    let (store, elsewhere) = (world.program.store(), world.place.path().join("elsewhere"));
    fs::rename(&store, &elsewhere).unwrap();
    symlink(&elsewhere, &store).unwrap();
    assert_eq!(world.build(&[]).known, BOTH);
    for name in DIRECTORIES {
        let (path, aside) = (store.join(name), world.place.path().join("aside"));
        fs::rename(&path, &aside).unwrap();
        symlink(&aside, &path).unwrap();
        world.run(&[]).failure(1).says(&[name, "a link", "remove it"]);
        fs::remove_file(&path).unwrap();
        fs::rename(&aside, &path).unwrap();
    }
    assert_eq!(world.build(&[]).digest, expected);
}

/// Puts something else than a regular file at a path.
type Replace = (&'static str, fn(&Path));

const OTHERS: [Replace; 5] = [
    ("a FIFO", |path| drop(tool::run("mkfifo", [path]))),
    ("a link to a device without end", |path| symlink("/dev/zero", path).unwrap()),
    ("a link to a file", |path| symlink("/proc/self/status", path).unwrap()),
    ("a directory", |path| fs::create_dir_all(path.join("a/b")).unwrap()),
    ("a socket", |path| {
        // Its name may be too long for one.
        let short = tempfile::tempdir().unwrap();
        drop(UnixListener::bind(short.path().join("s")).unwrap());
        fs::rename(short.path().join("s"), path).unwrap();
    }),
];

#[test]
fn what_stands_in_the_place_of_a_blob_or_a_record_is_mended() {
    if !require("mkfifo") {
        return;
    }
    for (what, replace) in OTHERS {
        for directory in ["blobs/sha256", "records"] {
            let world = Rebuild::new();
            let expected = world.build(&[]).digest;
            let place = world.program.store().join(directory);
            each(&place, |path| {
                fs::remove_file(path).unwrap();
                replace(path);
            });
            world.program.run(["cache", "ls"]).success();
            let layout = world.place.path().join("layout");
            let into = format!("{}/", layout.display());
            assert_eq!(world.build(&["-o", &into]).digest, expected, "{what} in {directory}");
            assert_eq!(Layout::open(&layout).images()[0].digest, expected, "{what} in {directory}");
            assert_store_is_sound(&world.program.store());
            assert_eq!(world.build(&[]).known, BOTH, "{what} in {directory}");
        }
        let world = Rebuild::new();
        world.build(&[]);
        let lock = world.program.store().join("lock");
        fs::remove_file(&lock).unwrap();
        replace(&lock);
        world.run(&[]).failure(1).says(&["lock", "remove it"]);
    }
}

#[test]
fn what_stands_in_a_layout_in_the_place_of_a_file_is_an_error() {
    if !require("mkfifo") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let program = Program::new();
    let copy = |image: &Handmade| {
        let _ = fs::remove_file(place.path().join("x.tar"));
        program.run(["copy", &format!("oci:{}", image.path().display()), place.path().join("x.tar").to_str().unwrap()])
    };
    let image = || Handmade::of(&[&[file("a", "a")]]);
    // Some make layouts of links to files.
    let linked = image();
    each(&linked.path().join("blobs/sha256"), |path| {
        let aside = path.with_extension("aside");
        fs::rename(path, &aside).unwrap();
        symlink(&aside, path).unwrap();
    });
    copy(&linked).success();
    for (what, replace) in OTHERS {
        for name in names_in(&image().path().join("blobs/sha256")) {
            let image = image();
            let path = image.path().join("blobs/sha256").join(name);
            fs::remove_file(&path).unwrap();
            replace(&path);
            assert_eq!(copy(&image).code, Some(1), "{what}");
        }
        let image = image();
        let path = image.path().join("index.json");
        fs::remove_file(&path).unwrap();
        replace(&path);
        assert_eq!(copy(&image).code, Some(1), "{what}");
    }
    let large = image();
    File::options().write(true).open(large.path().join("index.json")).unwrap().set_len(10 << 30).unwrap();
    copy(&large).failure(1).says(&["index.json", "larger than"]);
}
