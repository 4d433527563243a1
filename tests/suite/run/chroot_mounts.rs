//! What stands in the root for a command in a chroot, where nothing can be mounted.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::thread;

use ocibake::run::{Mount, MountSource, Process};

use super::confined::compile;
use super::mounts::{mount, open, source};
use super::{Place, app, command, says, shell};
use crate::support::traces::names_in;

fn cache(source: &Path, target: &str) -> Vec<Mount> {
    vec![mount(target, MountSource::Bind(open(source)), false)]
}

#[test]
fn what_is_written_to_a_cache_is_kept_in_it_and_leaves_nothing_in_the_root() {
    let Some(place) = Place::new() else { return };
    let source = source(&place);
    fs::create_dir(source.join("deep")).unwrap();
    fs::set_permissions(&source, PermissionsExt::from_mode(0o1770)).unwrap();
    let script = "stat -c %a /cache; cat /cache/a; echo more >> /cache/a; echo new > /cache/deep/b; mkdir /cache/c; \
                  chmod 700 /cache/c; exit 3";
    let done = place.run_in_chroot(&Process { mounts: cache(&source, "/cache"), ..shell(script) });
    assert_eq!(done.output, "1770\ncontent\n", "{}", done.error);
    assert_eq!(fs::read_to_string(source.join("a")).unwrap(), "content\nmore\n");
    assert_eq!(fs::read_to_string(source.join("deep/b")).unwrap(), "new\n");
    assert_eq!(fs::metadata(source.join("c")).unwrap().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(&source).unwrap().mode() & 0o7777, 0o1770);
    assert!(!place.upper("cache").exists());
    assert_eq!(names_in(place.directory.path()), ["lower", "source", "upper", "work"]);
    // What is removed is gone, and the directory itself is not.
    says(place.run_in_chroot(&Process { mounts: cache(&source, "/cache"), ..shell("rm -r /cache") }));
    assert_eq!(names_in(&source), [""; 0]);
    assert_eq!(fs::metadata(&source).unwrap().mode() & 0o7777, 0o1770);
}

#[test]
fn a_cache_that_the_command_has_moved_or_replaced_is_the_cache_still() {
    let Some(place) = Place::new() else { return };
    let source = source(&place);
    fs::create_dir(place.lower("cache")).unwrap();
    fs::write(place.lower("cache/of-the-image"), "").unwrap();
    let script = "mv /cache /moved; echo x > /moved/b; mkdir /cache; echo y > /cache/z";
    says(place.run_in_chroot(&Process { mounts: cache(&source, "/cache"), ..shell(script) }));
    assert_eq!(names_in(&source), ["a", "b"]);
    assert!(!place.upper("moved").exists());
    assert_eq!(names_in(&place.upper("cache")), ["of-the-image"]);
}

#[test]
fn a_file_of_a_cache_that_has_a_name_elsewhere_is_another_file_afterwards() {
    let Some(place) = Place::new() else { return };
    let source = source(&place);
    let script = "ln /cache/a /kept; ln /cache/a /cache/too";
    says(place.run_in_chroot(&Process { mounts: cache(&source, "/cache"), ..shell(script) }));
    let inode = |path: PathBuf| fs::metadata(path).unwrap().ino();
    assert_ne!(inode(source.join("a")), inode(place.upper("kept")));
    assert_eq!(inode(source.join("a")), inode(source.join("too")));
    assert_eq!(fs::metadata(source.join("a")).unwrap().nlink(), 2);
    assert_eq!(fs::read_to_string(place.upper("kept")).unwrap(), "content\n");
}

#[test]
fn a_cache_on_another_file_system_is_copied_both_ways() {
    let Some(place) = Place::new() else { return };
    let elsewhere = tempfile::tempdir_in("/dev/shm").unwrap();
    let source = elsewhere.path().join("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("a"), "content\n").unwrap();
    let script = "cat /cache/a; echo b > /cache/b; rm /cache/a";
    let done = place.run_in_chroot(&Process { mounts: cache(&source, "/cache"), ..shell(script) });
    assert_eq!(says(done), "content\n");
    assert_eq!(names_in(&source), ["b"]);
    assert_eq!(names_in(elsewhere.path()), ["source"]);
}

#[test]
fn what_is_bound_is_a_copy() {
    let Some(place) = Place::new() else { return };
    let source = source(&place);
    fs::set_permissions(source.join("a"), PermissionsExt::from_mode(0o640)).unwrap();
    let mounts = vec![
        mount("/read", MountSource::Bind(open(&source)), true),
        mount("/written", MountSource::Discarding(open(&source)), false),
        mount("/etc/file", MountSource::Bind(open(&source.join("a"))), false),
    ];
    let script = "stat -c %a /etc/file; cat /read/a /written/a /etc/file; for f in read/a written/b etc/file; do echo x > /$f; done";
    let done = place.run_in_chroot(&Process { mounts, ..shell(script) });
    assert_eq!(says(done), "640\ncontent\ncontent\ncontent\n");
    assert_eq!(
        (names_in(&source), fs::read_to_string(source.join("a")).unwrap()),
        (vec!["a".into()], "content\n".into())
    );
    assert_eq!(names_in(&place.upper("")), ["bin", "dev", "etc", "proc", "sys", "tmp"]);
    assert!(!place.upper("etc/file").exists());
}

#[test]
fn an_empty_directory_and_a_secret_are_there_for_the_command_alone() {
    let Some(place) = Place::new() else { return };
    fs::write(place.lower("tmp/old"), "").unwrap();
    let secret = |mode, user| MountSource::File { content: b"s3cret".to_vec(), mode, user, group: user };
    let mounts = vec![
        mount("/tmp", MountSource::Tmpfs { size: None }, false),
        mount("/run/secrets/a", secret(0o400, 1000), true),
        mount("/run/secrets/b", secret(0o440, 0), true),
    ];
    let script = "stat -c %a /tmp; ls /tmp; echo x > /tmp/x; cat /run/secrets/a; echo; \
                  stat -c '%a %u %g %s' /run/secrets/a /run/secrets/b; cat /run/secrets/b 2>&1";
    let done = place.run_in_chroot(&Process { mounts, user: app(), ..shell(script) });
    assert_eq!(
        done.output,
        "1777\ns3cret\n400 1000 1000 6\n440 0 0 6\ncat: can't open '/run/secrets/b': Permission denied\n"
    );
    assert_eq!(names_in(&place.upper("tmp")), ["old"]);
    assert!(!place.upper("run").exists());
}

#[test]
fn a_secret_that_was_moved_is_not_left_either() {
    let Some(place) = Place::new() else { return };
    let source = MountSource::File { content: b"s3cret".to_vec(), mode: 0o400, user: 0, group: 0 };
    let mounts = vec![mount("/run/secrets/a", source, true)];
    says(place.run_in_chroot(&Process { mounts, ..shell("mv /run/secrets/a /kept; mv /run /var; ln -s /var /run") }));
    assert!(!place.upper("kept").exists());
    assert_eq!(fs::read_link(place.upper("run")).unwrap(), Path::new("/var"));
}

#[test]
fn a_socket_leads_to_the_one_that_was_meant() {
    let Some(place) = Place::new() else { return };
    let source = source(&place);
    let listener = UnixListener::bind(source.join("socket")).unwrap();
    let socket = rustix::fs::open(source.join("socket"), rustix::fs::OFlags::PATH, rustix::fs::Mode::empty()).unwrap();
    let body = r#"
        struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = "/run/agent" }; char answer[16] = { 0 };
        int s = socket(AF_UNIX, SOCK_STREAM, 0);
        SAY("connect", connect(s, (void *) &a, sizeof a)); write(s, "hello", 5); shutdown(s, SHUT_WR);
        int length = 0, n; while ((n = read(s, answer + length, 15 - length)) > 0) length += n; printf("%s\n", answer);
    "#;
    let Some(()) = compile(&place, body) else { return };
    let agent = thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let mut asked = String::new();
        connection.read_to_string(&mut asked).unwrap();
        connection.write_all(format!("{asked} too").as_bytes()).unwrap();
    });
    let mounts = vec![mount("/run/agent", MountSource::Bind(socket), false)];
    let done = place.run_in_chroot(&Process { mounts, ..command(&["calls"]) });
    assert_eq!(says(done), "connect 0 0\nhello too\n");
    agent.join().unwrap();
    assert!(!place.upper("run").exists());
}

#[test]
fn one_thing_within_another_comes_and_goes_in_order() {
    let Some(place) = Place::new() else { return };
    let source = source(&place);
    let mounts = vec![
        mount("/a", MountSource::Tmpfs { size: None }, false),
        mount("/a/b", MountSource::Bind(open(&source)), false),
        mount("/a/b/c", MountSource::Tmpfs { size: None }, false),
        mount("/dev/shm", MountSource::Bind(open(&source)), true),
    ];
    let done = place.run_in_chroot(&Process { mounts, ..shell("cat /a/b/a /dev/shm/a; touch /a/b/c/x /a/b/y; ls /a") });
    assert_eq!(says(done), "content\ncontent\nb\n");
    assert_eq!(names_in(&source), ["a", "y"]);
    assert_eq!(names_in(&place.upper("")), ["bin", "dev", "etc", "proc", "sys", "tmp"]);
}

#[test]
fn targets_that_lead_out_of_the_root_are_within_it() {
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
    let done = place
        .run_in_chroot(&Process { mounts, ..shell("cat /var/run/cache/a /outside/cache/a; echo x > /tmp/host/x") });
    assert_eq!(says(done), "content\ncontent\n");
    assert_eq!(names_in(&source), ["a"]);
    assert_eq!(names_in(&place.upper("")), ["bin", "dev", "etc", "proc", "run", "sys", "tmp"]);
    for target in ["/proc", "/proc/self", "/"] {
        let mounts = vec![mount(target, MountSource::Tmpfs { size: None }, false)];
        assert!(place.try_run_in_chroot(&Process { mounts, ..shell("true") }).is_err(), "{target}");
    }
}

#[test]
fn links_that_a_command_leaves_are_not_followed_when_things_are_taken_away() {
    let Some(place) = Place::new() else { return };
    let bait = place.directory.path().join("bait");
    fs::create_dir_all(bait.join("deep/target")).unwrap();
    fs::write(bait.join("deep/target/kept"), "").unwrap();
    let source = source(&place);
    let mounts = cache(&source, "/made/deep/target");
    let link = bait.display();
    let script =
        format!("mv /made /moved; ln -s {link} /made; rm -r /dev; ln -s {link} /dev; rmdir /proc; ln -s {link} /proc");
    says(place.run_in_chroot(&Process { mounts, ..shell(&script) }));
    assert_eq!(names_in(&bait.join("deep/target")), ["kept"]);
    assert_eq!(names_in(&source), ["a"]);
    assert_eq!(fs::read_link(place.upper("made")).unwrap(), bait);
    assert!(fs::symlink_metadata(place.upper("dev")).unwrap().is_dir());
    assert!(fs::symlink_metadata(place.upper("proc")).unwrap().is_dir());
}
