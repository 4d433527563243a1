//! The file systems that every command finds.

use std::fs;

use ocibake::run::{Process, User};

use super::{Place, app, says, shell};

#[test]
fn devices_do_what_they_are_there_for() {
    let Some(place) = Place::new() else { return };
    let script = "
        set -e
        head -c 4 /dev/zero | od -An -tx1
        test $(head -c 9 /dev/urandom | wc -c) = 9; test $(head -c 9 /dev/random | wc -c) = 9
        cat /dev/null; echo gone > /dev/null
        (echo x > /dev/full) 2>&1 || true
        for link in fd stdin stdout stderr ptmx; do readlink /dev/$link; done
        stat -c '%n %a %t,%T' /dev/null /dev/tty
        test -c /dev/pts/ptmx; echo x > /dev/shm/x; stat -c %a /dev/shm /dev/mqueue";
    assert_eq!(
        place.says(script),
        " 00 00 00 00\nsh: write error: No space left on device\n/proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n\
        /proc/self/fd/2\npts/ptmx\n/dev/null 666 1,3\n/dev/tty 666 5,0\n1777\n1777\n"
    );
}

#[test]
fn every_user_may_write_to_the_outputs_by_name() {
    let Some(place) = Place::new() else { return };
    for user in [User::default(), app()] {
        let done =
            place.run(&Process { user, ..shell("echo x > /dev/null; echo y > /dev/stdout; echo z > /dev/stderr") });
        assert_eq!((done.output.as_str(), done.error.as_str()), ("y\n", "z\n"));
    }
}

#[test]
fn shared_memory_has_the_size_that_was_asked_for() {
    let Some(place) = Place::new() else { return };
    let size =
        |shm_size| says(place.run(&Process { shm_size, ..shell("df -k /dev/shm | tail -n1 | awk '{print $2}'") }));
    assert_eq!(size(None), "65536\n");
    assert_eq!(size(Some(1 << 20)), "1024\n");
}

#[test]
fn proc_is_of_the_commands_own_processes() {
    let Some(place) = Place::new() else { return };
    let seen =
        place.says("cat /proc/1/comm; test -d /proc/$$ && echo mine; ls /proc | grep '^[0-9]' | sort -n | tail -n1");
    let highest = seen.strip_prefix("ocibake-init\nmine\n").unwrap().trim().parse::<u32>().unwrap();
    assert!(highest < 20, "{seen}");
}

#[test]
fn directories_alone_of_all_that_are_in_the_layer() {
    let Some(place) = Place::new() else { return };
    for name in ["proc", "dev", "sys", "etc"] {
        fs::remove_dir_all(place.lower(name)).unwrap();
    }
    let done = place.run(&shell("test -c /dev/null && test -d /proc/1 && test -d /sys/class && echo file > /tmp/new"));
    assert_eq!(place.changed(&done.ran), ["dev", "etc", "proc", "sys", "tmp", "tmp/new"]);
    says(done);
}

#[test]
fn what_a_command_changes_lies_in_the_upper_directory_and_nowhere_else() {
    let Some(place) = Place::new() else { return };
    fs::write(place.lower("etc/motd"), "old\n").unwrap();
    fs::create_dir(place.lower("gone")).unwrap();
    let done = place.run(&shell("echo new > /etc/motd; rmdir /gone; mkdir /made; ln -s x /made/link; chown 7:8 /made"));
    assert_eq!(place.changed(&done.ran), ["etc", "etc/motd", "gone", "made", "made/link"]);
    says(done);
    assert_eq!(fs::read_to_string(place.lower("etc/motd")).unwrap(), "old\n");
    assert_eq!(fs::read_to_string(place.upper("etc/motd")).unwrap(), "new\n");
}

#[test]
fn many_lower_directories_with_long_paths_are_stacked_in_order() {
    let Some(place) = Place::new() else { return };
    let mut root = place.root();
    let long = place.directory.path().join("a".repeat(200)).join("b".repeat(200));
    root.lowers = (0..200)
        .map(|number| {
            let lower = long.join(format!("{number}: a,b\\c"));
            fs::create_dir_all(&lower).unwrap();
            fs::write(lower.join(format!("file{number}")), "").unwrap();
            fs::write(lower.join("top"), number.to_string()).unwrap();
            lower
        })
        .chain([place.lower("")])
        .collect();
    root.upper = long.join("upper");
    root.work = long.join("work");
    for path in [&root.upper, &root.work] {
        fs::create_dir(path).unwrap();
    }
    let sandbox = ocibake::run::Sandbox::find(place.directory.path()).unwrap();
    let output = std::sync::Mutex::new(Vec::new());
    let process = shell("cat /top; ls / | grep -c file; grep -c overlay /proc/self/mountinfo");
    let write = |_, bytes: &[u8]| output.lock().unwrap().extend_from_slice(bytes);
    sandbox.run(&process, &root, &write, &Default::default()).unwrap();
    assert_eq!(String::from_utf8(output.into_inner().unwrap()).unwrap(), "0200\n1\n");
}
