//! What is mounted for a command on request.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use ocibake::run::{Exit, Mount, MountSource, Process};

use super::{Place, app, says, shell};
use crate::support::tool::run;

pub fn mount(target: &str, source: MountSource, read_only: bool) -> Mount {
    Mount { target: target.as_bytes().to_vec(), source, read_only }
}

pub fn open(path: &Path) -> OwnedFd {
    File::open(path).unwrap().into()
}

/// A directory of this machine with one file, `a`.
pub fn source(place: &Place) -> PathBuf {
    let source = place.directory.path().join("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("a"), "content\n").unwrap();
    source
}

#[test]
fn a_bound_directory_is_written_to_and_a_read_only_one_is_not() {
    let Some(place) = Place::new() else { return };
    let source = source(&place);
    let with = |read_only| Process {
        mounts: vec![mount("/cache/deep", MountSource::Bind(open(&source)), read_only)],
        ..shell("cat /cache/deep/a; echo new > /cache/deep/b")
    };
    let done = place.run(&with(false));
    assert_eq!(place.changed(&done.ran), ["etc"], "the target is taken away again");
    assert_eq!(says(done), "content\n");
    assert_eq!(fs::read_to_string(source.join("b")).unwrap(), "new\n");
    fs::remove_file(source.join("b")).unwrap();
    let done = place.run(&with(true));
    assert!(done.error.contains("Read-only file system"), "{}", done.error);
    assert!(!source.join("b").exists());
}

#[test]
fn a_bound_file_or_socket_is_found_at_its_place() {
    let Some(place) = Place::new() else { return };
    let source = source(&place);
    let _listener = UnixListener::bind(source.join("socket")).unwrap();
    let socket = rustix::fs::open(source.join("socket"), rustix::fs::OFlags::PATH, rustix::fs::Mode::empty()).unwrap();
    let mounts = vec![
        mount("/run/file", MountSource::Bind(open(&source.join("a"))), true),
        mount("/run/agent", MountSource::Bind(socket), false),
    ];
    let done = place.run(&Process { mounts, ..shell("cat /run/file; test -S /run/agent && echo socket") });
    assert_eq!(place.changed(&done.ran), ["etc"]);
    assert!(done.output.ends_with("socket\n") && done.output.starts_with("content\n"), "{}", done.output);
}

#[test]
fn what_is_written_to_a_discarding_directory_is_thrown_away() {
    let Some(place) = Place::new() else { return };
    let source = source(&place);
    fs::set_permissions(&source, std::os::unix::fs::PermissionsExt::from_mode(0o751)).unwrap();
    let mounts = vec![mount("/context", MountSource::Discarding(open(&source)), false)];
    let script = "stat -c %a /context; echo x >> /context/a; echo y > /context/b; cat /context/a /context/b; rm /context/a; ls /context";
    let done = place.run(&Process { mounts, ..shell(script) });
    assert_eq!(place.changed(&done.ran), ["etc"]);
    assert_eq!(says(done), "751\ncontent\nx\ny\nb\n");
    assert_eq!(fs::read_to_string(source.join("a")).unwrap(), "content\n");
    assert!(!source.join("b").exists());
    let mounts = vec![mount("/context", MountSource::Discarding(open(&source)), true)];
    let done = place.run(&Process { mounts, ..shell("echo y > /context/b") });
    assert!(done.error.contains("Read-only file system"), "{}", done.error);
}

#[test]
fn a_directory_in_memory_has_the_size_that_was_asked_for() {
    let Some(place) = Place::new() else { return };
    let mounts = vec![mount("/tmp", MountSource::Tmpfs { size: Some(1 << 20) }, false)];
    let done = place.run(&Process {
        mounts,
        ..shell("stat -f -c %T /tmp; stat -c %a /tmp; dd if=/dev/zero of=/tmp/x bs=1M count=2")
    });
    assert_eq!(done.output, "tmpfs\n1777\n");
    assert!(done.error.contains("No space left on device"), "{}", done.error);
    assert_eq!(place.changed(&done.ran), ["etc"]);
}

#[test]
fn a_secret_is_a_file_in_memory_of_its_user() {
    let Some(place) = Place::new() else { return };
    let secret = |mode, user| MountSource::File { content: b"s3cret".to_vec(), mode, user, group: user };
    let mounts =
        vec![mount("/run/secrets/a", secret(0o400, 1000), true), mount("/run/secrets/b", secret(0o440, 0), true)];
    let script = "cat /run/secrets/a; echo; stat -c '%a %u %g %s' /run/secrets/a /run/secrets/b; stat -f -c %T /run/secrets/a; \
        cat /run/secrets/b 2>&1; (echo x > /run/secrets/a) 2>&1";
    let done = place.run(&Process { mounts, user: app(), ..shell(script) });
    assert_eq!(
        done.output,
        "s3cret\n400 1000 1000 6\n440 0 0 6\ntmpfs\ncat: can't open '/run/secrets/b': Permission denied\n\
        /bin/sh: can't create /run/secrets/a: Read-only file system\n"
    );
    assert_eq!(place.changed(&done.ran), ["etc"]);
}

#[test]
fn mounts_are_made_in_order_and_within_each_other() {
    let Some(place) = Place::new() else { return };
    let source = source(&place);
    let mounts = vec![
        mount("/a", MountSource::Tmpfs { size: None }, false),
        mount("/a/b", MountSource::Bind(open(&source)), true),
        mount("/a/c/d", MountSource::Tmpfs { size: None }, false),
        mount("/dev/shm", MountSource::Bind(open(&source)), false),
    ];
    let done = place.run(&Process { mounts, ..shell("cat /a/b/a /dev/shm/a; ls /a /a/c") });
    assert_eq!(place.changed(&done.ran), ["etc"]);
    assert_eq!(says(done), "content\ncontent\n/a:\nb\nc\n\n/a/c:\nd\n");
}

#[test]
fn a_target_that_was_there_stays_and_one_that_was_used_beside_the_mount_too() {
    let Some(place) = Place::new() else { return };
    let mounts = || {
        vec![
            mount("/tmp", MountSource::Tmpfs { size: None }, false),
            mount("/made/here", MountSource::Tmpfs { size: None }, false),
        ]
    };
    let done = place.run(&Process { mounts: mounts(), ..shell("touch /tmp/x /made/here/x /made/beside") });
    assert_eq!(place.changed(&done.ran), ["etc", "made", "made/beside"]);
    assert!(place.lower("tmp").is_dir());
    let done = place.run(&Process { mounts: mounts(), ..shell("chmod 700 /made") });
    assert_eq!(place.changed(&done.ran), ["etc", "made"]);
}

#[test]
fn links_on_the_way_are_followed_within_the_root_and_what_they_lack_is_made_there() {
    let Some(place) = Place::new() else { return };
    let source = source(&place);
    symlink("/var/run", place.lower("run")).unwrap();
    symlink("../../../../outside", place.lower("tmp/up")).unwrap();
    symlink(&source, place.lower("tmp/host")).unwrap();
    let mounts = vec![
        mount("/run/cache", MountSource::Bind(open(&source)), true),
        mount("/tmp/up/cache", MountSource::Bind(open(&source)), true),
        mount("/tmp/host", MountSource::Tmpfs { size: None }, false),
    ];
    let done = place.run(&Process { mounts, ..shell("cat /var/run/cache/a /outside/cache/a; echo x > /tmp/host/x") });
    assert_eq!(place.changed(&done.ran), ["etc", "tmp"]);
    assert_eq!(says(done), "content\ncontent\n");
    assert_eq!(fs::read_dir(&source).unwrap().count(), 1);
}

#[test]
fn nothing_is_mounted_within_proc() {
    let Some(place) = Place::new() else { return };
    for target in ["/proc", "/proc/self", "/proc/sys/kernel"] {
        let mounts = vec![mount(target, MountSource::Tmpfs { size: None }, false)];
        let error = place.try_run(&Process { mounts, ..shell("true") }).err().unwrap();
        assert_eq!(error.message, format!("cannot mount a tmpfs at {target} for the command"));
        assert_eq!(error.hint.unwrap(), "nothing can be mounted within /proc");
    }
}

#[test]
fn devices_in_what_is_bound_are_dead() {
    let Some(place) = Place::new() else { return };
    let source = source(&place);
    let mounts = vec![mount("/cache", MountSource::Bind(open(&source)), false)];
    let done = place.run(&Process { mounts, ..shell("mknod /cache/zero c 1 5; head -c1 /cache/zero") });
    assert!(done.error.contains("Permission denied") && done.ran.exit == Exit::Status(1), "{}", done.error);
    assert_eq!(fs::metadata(source.join("zero")).unwrap().rdev(), 0x105);
}

#[test]
fn what_is_mounted_within_a_bound_directory_is_not_mounted_on_this_machine() {
    let Some(place) = Place::new() else { return };
    let source = source(&place);
    fs::create_dir(source.join("within")).unwrap();
    let path = source.to_str().unwrap();
    run("mount", ["--bind", path, path]);
    run("mount", ["--make-shared", path]);
    let mounts = vec![
        mount("/cache", MountSource::Bind(open(&source)), false),
        mount("/cache/within", MountSource::Tmpfs { size: None }, false),
    ];
    let done = place.try_run(&Process { mounts, ..shell("touch /cache/within/x; sleep 0.2") });
    let mounted = fs::read_to_string("/proc/self/mountinfo").unwrap().matches(path).count();
    run("umount", ["-l", path]);
    says(done.unwrap_or_else(|error| panic!("{error}")));
    assert_eq!(mounted, 2, "the bind itself, with its source and its target in one line");
    assert_eq!(fs::read_dir(source.join("within")).unwrap().count(), 0);
}
