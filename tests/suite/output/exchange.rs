//! What another user, whose directory an output is written to, puts in the place of what is being written: nothing is
//! made, changed or removed wherever that leads.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink as link};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use ocibake::error::{Error, ErrorKind};
use ocibake::progress::Event;
use ocibake::store::pending::{PendingDirectory, PendingFile};
use ocibake::store::{self, Store};
use rustix::fs::{Mode, OFlags, mkdirat, openat};
use tempfile::TempDir;

use crate::support::handmade::{Handmade, directory, file, write_root};
use crate::support::noise::noise;
use crate::support::traces::names_in;

/// Of outputs.
const KINDS: usize = 5;

const PASSING: &str = ".ocibake-";

/// A directory of somebody's that is written to, and one that nothing may get into.
struct World {
    place: TempDir,
}

impl World {
    fn new() -> Self {
        let world = World { place: tempfile::tempdir().unwrap() };
        fs::create_dir(world.theirs()).unwrap();
        fs::create_dir(world.victim()).unwrap();
        fs::set_permissions(world.victim(), fs::Permissions::from_mode(0o711)).unwrap();
        world
    }

    fn theirs(&self) -> PathBuf {
        self.place.path().join("theirs")
    }

    fn victim(&self) -> PathBuf {
        self.place.path().join("victim")
    }

    /// Puts a link to the victim in the place of `path`, and what was there beside it.
    fn exchange(&self, path: &Path) {
        fs::rename(path, path.with_file_name("moved")).unwrap();
        link(self.victim(), path).unwrap();
    }

    /// Puts links in the place of all that is in the making in `directory`.
    fn exchange_passing(&self, directory: &Path) {
        for name in names_in(directory).iter().filter(|name| name.starts_with(PASSING)) {
            self.exchange(&directory.join(name));
        }
    }

    /// Writes an image to `output` and calls `meddle` once, when the first layer is being written.
    fn write(&self, output: &str, meddle: impl Fn() + Sync) -> Result<(), Error> {
        let image = image();
        let store = store::Layout::open(image.path()).unwrap();
        let is_done = AtomicBool::new(false);
        write_root(&store, &store.resolve(None).unwrap(), output, &|event| {
            if matches!(event, Event::BlobStarted { .. }) && !is_done.swap(true, Ordering::SeqCst) {
                meddle();
            }
        })
    }

    #[track_caller]
    fn assert_untouched(&self, what: &str) {
        assert_eq!(names_in(&self.victim()), [""; 0], "{what}");
        assert_eq!(fs::metadata(self.victim()).unwrap().permissions().mode() & 0o7777, 0o711, "{what}");
    }
}

fn image() -> Handmade {
    Handmade::of(&[
        &[directory("etc"), file("etc/cron", "* * * * * root id"), file("big", noise(1, 500_000))],
        &[file("etc/other", "x")],
    ])
}

/// Of everything that is written to disk, one.
fn outputs(at: &Path) -> [String; KINDS] {
    let at = at.display();
    [
        format!("type=local,dest={at}/new"),
        format!("type=oci,tar=false,dest={at}/new"),
        format!("type=oci,dest={at}/new"),
        format!("type=docker,dest={at}/new"),
        format!("type=tar,dest={at}/new"),
    ]
}

#[test]
fn what_is_in_the_making_is_exchanged() {
    for kind in 0..KINDS {
        let world = World::new();
        let output = &outputs(&world.theirs())[kind];
        let error = world.write(output, || world.exchange_passing(&world.theirs())).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Io, "{output}: {error}");
        world.assert_untouched(output);
        assert!(!world.theirs().join("new").exists(), "{output}");
    }
}

#[test]
fn what_is_in_the_making_in_a_directory_that_exists_is_exchanged() {
    let world = World::new();
    fs::create_dir(world.theirs().join("etc")).unwrap();
    let output = format!("type=local,dest={}", world.theirs().display());
    world.write(&output, || world.exchange_passing(&world.theirs())).unwrap();
    world.assert_untouched(&output);
    assert_eq!(fs::read(world.theirs().join("big")).unwrap(), noise(1, 500_000));
    assert_eq!(names_in(&world.theirs().join("etc")), ["cron", "other"]);

    // Nor is a directory that was there before, and is a link by the time that something goes into it.
    let world = World::new();
    fs::create_dir(world.theirs().join("etc")).unwrap();
    let output = format!("type=local,dest={}", world.theirs().display());
    world.write(&output, || world.exchange(&world.theirs().join("etc"))).unwrap();
    world.assert_untouched(&output);
    assert_eq!(names_in(&world.theirs().join("etc")), ["cron", "other"]);
}

#[test]
fn the_directory_that_is_written_to_is_exchanged() {
    for kind in 0..KINDS {
        let world = World::new();
        let output = &outputs(&world.theirs())[kind];
        // It is written to the directory that it was begun in, or to none.
        let _ = world.write(output, || world.exchange(&world.theirs()));
        world.assert_untouched(output);
    }
}

#[test]
fn directories_of_a_layout_that_exists_are_exchanged() {
    for inner in ["blobs", "blobs/sha256"] {
        let world = World::new();
        let layout = world.theirs().join("new");
        let output = format!("type=oci,tar=false,dest={}", layout.display());
        world.write(&output, || ()).unwrap();
        fs::remove_dir_all(layout.join("blobs/sha256")).unwrap();
        let _ = world.write(&output, || world.exchange(&layout.join(inner)));
        world.assert_untouched(inner);

        // One that is a link from the start is refused.
        fs::remove_dir_all(&layout).unwrap();
        world.write(&output, || ()).unwrap();
        world.exchange(&layout.join(inner));
        assert_eq!(world.write(&output, || ()).unwrap_err().kind, ErrorKind::Io, "{inner}");
        world.assert_untouched(inner);
    }
}

#[test]
fn somebody_exchanges_all_the_time() {
    let world = World::new();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                for item in fs::read_dir(world.theirs()).into_iter().flatten().flatten() {
                    let path = item.path();
                    if item.file_name().to_string_lossy().starts_with(PASSING) {
                        let _ = fs::rename(&path, path.with_file_name("moved"));
                        let _ = link(world.victim(), &path);
                    }
                }
            }
        });
        for output in outputs(&world.theirs()).iter().cycle().take(25) {
            let _ = world.write(output, || ());
            world.assert_untouched(output);
            let _ = fs::remove_dir_all(world.theirs());
            let _ = fs::create_dir(world.theirs());
        }
        is_over.store(true, Ordering::SeqCst);
    });
}

#[test]
fn a_directory_in_the_making_is_filled_and_removed_wherever_it_is() {
    let world = World::new();
    let destination = world.theirs().join("new");
    let pending = PendingDirectory::begin(&destination).unwrap();
    assert_eq!(fs::metadata(pending.path()).unwrap().permissions().mode() & 0o777, 0o700);
    world.exchange(pending.path());
    pending.create("a/b").unwrap();
    assert!(world.theirs().join("moved/a/b").is_dir());
    assert_eq!(pending.keep(&destination).unwrap_err().kind, ErrorKind::Io);
    world.assert_untouched("create, keep and drop");
    assert_eq!(names_in(&world.theirs().join("moved")), [""; 0], "what was written does not stay");
    assert!(!destination.exists());
}

#[test]
fn a_file_in_the_making_goes_nowhere_else() {
    let world = World::new();
    let destination = world.theirs().join("new");
    let pending = PendingFile::beside(&destination).unwrap();
    world.exchange_passing(&world.theirs());
    assert_eq!(pending.keep(&destination).unwrap_err().kind, ErrorKind::Io);
    assert!(fs::symlink_metadata(&destination).is_err());

    // Nor where the directory's path leads by now.
    let world = World::new();
    let destination = world.theirs().join("new");
    let pending = PendingFile::beside(&destination).unwrap();
    world.exchange(&world.theirs());
    pending.keep(&destination).unwrap();
    world.assert_untouched("a file");
    assert_eq!(names_in(&world.place.path().join("moved")), ["new"]);
}

/// Deeper than a path may be long, and than files may be open.
#[test]
fn deep_and_closed_directories_are_removed() {
    let world = World::new();
    let pending = PendingDirectory::begin(&world.theirs().join("new")).unwrap();
    let mut at = pending.create("").unwrap();
    for _ in 0..3000 {
        mkdirat(&at, "deeper", Mode::RWXU).unwrap();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        at = openat(&at, "deeper", flags, Mode::empty()).unwrap();
    }
    for mode in [0o000, 0o500, 0o300] {
        let closed = pending.path().join(format!("closed{mode}"));
        fs::create_dir(&closed).unwrap();
        fs::write(closed.join("file"), "x").unwrap();
        link(world.victim(), closed.join("link")).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(mode)).unwrap();
    }
    drop(pending);
    assert_eq!(names_in(&world.theirs()), [""; 0]);
    world.assert_untouched("removal");
}
