//! Images and commands that mean ill: their links lead out of the root, and nothing of that reaches this machine.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use ocibake::run::{Mount, MountSource, Process, User};

use super::{Place, command, says, shell};
use crate::support::tool::run;

/// A directory of this machine that must stay as it is, and that links of the image lead to.
fn bait(place: &Place) -> PathBuf {
    let bait = place.directory.path().join("bait");
    fs::create_dir(&bait).unwrap();
    fs::write(bait.join("resolv.conf"), "of the host\n").unwrap();
    bait
}

fn is_untouched(bait: &Path) {
    let names: Vec<_> = fs::read_dir(bait).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["resolv.conf"]);
    assert_eq!(fs::read_to_string(bait.join("resolv.conf")).unwrap(), "of the host\n");
}

fn replace(place: &Place, name: &str, target: impl AsRef<Path>) {
    let path = place.lower(name);
    let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
    symlink(target, path).unwrap();
}

#[test]
fn links_in_place_of_the_systems_directories_stay_within_the_root() {
    let Some(place) = Place::new() else { return };
    let bait = bait(&place);
    for name in ["dev", "proc", "sys", "etc"] {
        for target in [bait.clone(), Path::new("../../../../../../..").join(bait.strip_prefix("/").unwrap())] {
            for other in ["dev", "proc", "sys", "etc"] {
                let path = place.lower(other);
                let _ = fs::remove_file(&path);
                fs::create_dir_all(path).unwrap();
            }
            replace(&place, name, &target);
            let done = place.run(&shell(
                "test -c /dev/null && test -d /proc/self && test -d /sys/class && test -f /etc/hosts && echo ok",
            ));
            assert_eq!(done.output, "ok\n", "{name}: {}", done.error);
            is_untouched(&bait);
        }
    }
}

#[test]
fn links_in_place_of_provided_files_are_covered() {
    let Some(place) = Place::new() else { return };
    let bait = bait(&place);
    for target in [bait.join("resolv.conf"), PathBuf::from("/proc/self/environ"), PathBuf::from("/proc/1/root/x")] {
        replace(&place, "etc/resolv.conf", &target);
        let done = place.run(&shell("echo '# more' >> /etc/resolv.conf; test -L /etc/resolv.conf || echo file"));
        assert_eq!(says(done), "file\n");
        is_untouched(&bait);
    }
}

#[test]
fn links_in_place_of_devices_are_covered() {
    let Some(place) = Place::new() else { return };
    let bait = bait(&place);
    for name in ["dev/null", "dev/pts", "dev/shm", "dev/fd", "dev/ptmx"] {
        replace(&place, name, &bait);
    }
    assert_eq!(
        place.says("cat /dev/null; test -c /dev/null && test -d /dev/pts && echo x > /dev/shm/x; echo ok"),
        "ok\n"
    );
    is_untouched(&bait);
}

#[test]
fn directories_of_the_system_that_lead_to_each_other_are_refused() {
    let Some(place) = Place::new() else { return };
    for (name, target, refused) in [("proc", "/sys", "sysfs at /sys"), ("dev", "/proc/self", "tmpfs at /dev")] {
        replace(&place, name, target);
        let error = place.try_run(&shell("true")).err().unwrap();
        assert_eq!(error.message, format!("cannot mount a {refused} for the command"));
        fs::remove_file(place.lower(name)).unwrap();
        fs::create_dir(place.lower(name)).unwrap();
    }
}

#[test]
fn working_directories_that_lead_out_are_refused() {
    let Some(place) = Place::new() else { return };
    let _open = fs::File::open("/").unwrap();
    for number in 0..20 {
        let directory = format!("/proc/self/fd/{number}");
        let process = Process { directory: directory.clone().into_bytes(), ..shell("pwd; ls ../../../../") };
        assert!(place.try_run(&process).is_err(), "{directory}");
    }
    for target in ["/proc/self/cwd", "/proc/self/root", "/proc/1/root", "/proc/self/fd/7/../.."] {
        replace(&place, "tmp", target);
        let process = Process { directory: b"/tmp".to_vec(), ..command(&["ls"]) };
        assert!(place.try_run(&process).is_err(), "{target}");
    }
    replace(&place, "tmp", "../../../../../..");
    let process = Process { directory: b"/tmp/../..".to_vec(), ..command(&["ls"]) };
    assert!(says(place.run(&process)).contains("bin\n"));
}

#[test]
fn what_a_command_puts_in_place_of_a_target_is_not_followed_when_it_is_taken_away() {
    let Some(place) = Place::new() else { return };
    let bait = bait(&place);
    fs::create_dir(bait.join("deep")).unwrap();
    fs::create_dir(bait.join("deep/target")).unwrap();
    let mounts = vec![Mount {
        target: b"/made/deep/target".to_vec(),
        source: MountSource::Tmpfs { size: None },
        read_only: false,
    }];
    let script = format!("mv /made /moved; ln -s {} /made; mkdir /tmp/deep; echo ok", bait.display());
    let done = place.run(&Process { mounts, ..shell(&script) });
    assert_eq!(place.changed(&done.ran), ["etc", "made", "moved", "tmp", "tmp/deep"]);
    assert_eq!(says(done), "ok\n");
    assert!(bait.join("deep/target").is_dir());
}

#[test]
fn nothing_of_this_machine_is_seen() {
    let Some(place) = Place::new() else { return };
    let bait = bait(&place);
    let script = format!(
        "ls {bait} 2>&1 | grep -c 'No such'; grep -c {lower} /proc/self/mountinfo /proc/mounts; \
        chroot / ls {bait} 2>&1 | grep -c 'No such'; ls /proc/self/root/../../../..{bait} 2>&1 | grep -c 'No such'",
        bait = bait.display(),
        lower = place.directory.path().display()
    );
    let done = place.run(&shell(&script));
    assert_eq!(done.output, "1\n/proc/self/mountinfo:0\n/proc/mounts:0\n1\n1\n");
}

#[test]
fn a_second_chroot_leads_nowhere() {
    let Some(place) = Place::new() else { return };
    let bait = bait(&place);
    // The classic way out: a working directory above a new root.
    let script = format!(
        "mkdir /tmp/jail; cp /bin/busybox /tmp/jail; cd /; \
        chroot /tmp/jail /busybox ls ../../../../../../../..{} 2>&1 | grep -c 'No such'",
        bait.display()
    );
    assert_eq!(place.says(&script), "1\n");
}

#[test]
fn a_full_disk_fails_the_command_and_not_more() {
    let Some(place) = Place::new() else { return };
    let small = place.directory.path().join("small");
    fs::create_dir(&small).unwrap();
    run("mount", ["-t", "tmpfs", "-o", "size=4m", "none", small.to_str().unwrap()]);
    for name in ["upper", "work"] {
        fs::create_dir(small.join(name)).unwrap();
    }
    let mut root = place.root();
    (root.upper, root.work) = (small.join("upper"), small.join("work"));
    let output = std::sync::Mutex::new(Vec::new());
    let write = |_, bytes: &[u8]| output.lock().unwrap().extend_from_slice(bytes);
    let sandbox = ocibake::run::Sandbox::find(place.directory.path()).unwrap();
    let ran = sandbox.run(&shell("dd if=/dev/zero of=/big bs=1M count=9"), &root, &write, &Default::default());
    run("umount", ["-l", small.to_str().unwrap()]);
    assert_eq!(ran.unwrap().exit, ocibake::run::Exit::Status(1));
    assert!(String::from_utf8(output.into_inner().unwrap()).unwrap().contains("No space left on device"));
}

#[test]
fn an_image_without_rights_for_others_is_no_way_around_them() {
    let Some(place) = Place::new() else { return };
    fs::create_dir(place.lower("secret")).unwrap();
    fs::set_permissions(place.lower("secret"), PermissionsExt::from_mode(0o700)).unwrap();
    let process = Process { user: super::app(), ..shell("ls /secret 2>&1") };
    assert_eq!(place.run(&process).output, "ls: can't open '/secret': Permission denied\n");
}

#[test]
fn no_link_of_procfs_starts_this_program_in_the_image() {
    let Some(place) = Place::new() else { return };
    let script = |name: &str, text: &str| {
        fs::write(place.lower(name), text).unwrap();
        fs::set_permissions(place.lower(name), PermissionsExt::from_mode(0o711)).unwrap();
    };
    symlink("/proc/self/exe", place.lower("bin/own")).unwrap();
    symlink("/proc/1/exe", place.lower("bin/first")).unwrap();
    symlink("own", place.lower("bin/far")).unwrap();
    script("bin/script", "#!/proc/self/exe -c\n");
    script("bin/tab", "#! \t/bin/far\tx\n");
    script("bin/second", "#!/bin/script\n");
    script("bin/whole", "#!/proc/self/exe");
    for program in
        ["/proc/self/exe", "own", "first", "/bin/far", "script", "/bin/tab", "second", "whole", "/proc/thread-self/exe"]
    {
        for user in [User::default(), super::app()] {
            let error = place.try_run(&Process { user, ..command(&[program, "--help"]) }).err().unwrap();
            assert_eq!(error.message, format!("cannot run `{program}`"));
            assert!(error.hint.unwrap().contains("into /proc"), "{program}");
        }
    }
    let process = Process { directory: b"/proc/self".to_vec(), ..command(&["./exe"]) };
    assert!(place.try_run(&process).is_err());
    script("bin/plain", "#!/bin/sh\necho plain\n");
    fs::set_permissions(place.lower("bin/plain"), PermissionsExt::from_mode(0o755)).unwrap();
    assert_eq!(says(place.run(&command(&["plain"]))), "plain\n");
}
