//! How a command is started, and what it finds of itself.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use ocibake::run::{Exit, Limit, Network, Process, Resource};

use super::{Place, app, command, says, shell};

#[test]
fn the_exit_status_or_signal_is_the_commands() {
    let Some(place) = Place::new() else { return };
    for (script, exit) in [
        ("true", Exit::Status(0)),
        ("exit 42", Exit::Status(42)),
        ("exit 255", Exit::Status(255)),
        ("kill -TERM $$", Exit::Signal(15)),
        ("kill -KILL $$", Exit::Signal(9)),
    ] {
        assert_eq!(place.run(&shell(script)).ran.exit, exit, "{script}");
    }
}

#[test]
fn outputs_are_told_apart_and_nothing_of_them_is_lost() {
    let Some(place) = Place::new() else { return };
    let done = place.run(&shell("echo one; echo two >&2; echo three; printf four >&2"));
    assert_eq!((done.output.as_str(), done.error.as_str()), ("one\nthree\n", "two\nfour"));
    let done = place.run(&shell("head -c 10485760 /dev/zero | tr '\\0' x; echo end; head -c 1048576 /dev/zero >&2"));
    assert_eq!(done.output.len(), (10 << 20) + 4);
    assert!(done.output.trim_end_matches("end\n").bytes().all(|byte| byte == b'x') && done.output.ends_with("end\n"));
    assert_eq!(done.error.len(), 1 << 20);
}

#[test]
fn nothing_comes_from_standard_input_and_no_descriptor_is_inherited() {
    let Some(place) = Place::new() else { return };
    // The shell that lists has none of its own; ls has the directory that it reads.
    assert_eq!(place.says("cat; ls /proc/self/fd"), "0\n1\n2\n3\n");
    assert_eq!(place.says("readlink /proc/self/fd/0"), "/dev/null\n");
}

#[test]
fn the_environment_and_the_working_directory_are_what_was_asked_for() {
    let Some(place) = Place::new() else { return };
    let process = Process {
        environment: vec![b"PATH=/bin".to_vec(), b"A=b c".to_vec(), b"EMPTY=".to_vec()],
        directory: b"/tmp".to_vec(),
        ..command(&["env"])
    };
    assert_eq!(says(place.run(&process)), "PATH=/bin\nA=b c\nEMPTY=\n");
    let process = Process { directory: b"/new/deep".to_vec(), ..command(&["pwd"]) };
    let done = place.run(&process);
    assert_eq!(place.changed(&done.ran), ["etc", "new", "new/deep"]);
    assert_eq!(says(done), "/new/deep\n");
    assert_eq!(fs::metadata(place.upper("new")).unwrap().permissions().mode() & 0o7777, 0o755);
}

#[test]
fn the_user_and_the_groups_are_what_was_asked_for() {
    let Some(place) = Place::new() else { return };
    let done = place.run(&Process { user: app(), ..shell("id; touch /tmp/x 2>&1; umask") });
    assert_eq!(
        says(done),
        "uid=1000(app) gid=1000(app) groups=1000(app),2000(more)\ntouch: /tmp/x: Permission denied\n0022\n"
    );
    assert_eq!(place.says("id"), "uid=0(root) gid=0(root)\n");
}

#[test]
fn limits_hold() {
    let Some(place) = Place::new() else { return };
    let limits = vec![
        Limit { resource: Resource::Nofile, soft: Some(77), hard: Some(99) },
        Limit { resource: Resource::Core, soft: Some(0), hard: Some(0) },
    ];
    let process = Process { limits, ..shell("ulimit -n; ulimit -H -n; ulimit -c") };
    assert_eq!(says(place.run(&process)), "77\n99\n0\n");
    let limits = vec![Limit { resource: Resource::Nofile, soft: Some(99), hard: Some(77) }];
    let error = place.try_run(&Process { limits, ..shell("true") }).err().unwrap();
    assert_eq!(error.message, "cannot set the limit `nofile` of the command");
}

#[test]
fn a_program_is_looked_up_in_path_within_the_root() {
    let Some(place) = Place::new() else { return };
    fs::create_dir_all(place.lower("first/echo")).unwrap();
    fs::create_dir_all(place.lower("second")).unwrap();
    fs::write(place.lower("second/echo"), "#!/bin/sh\nbusybox echo second \"$0\" \"$@\"\n").unwrap();
    fs::set_permissions(place.lower("second/echo"), PermissionsExt::from_mode(0o755)).unwrap();
    let process = Process { environment: vec![b"PATH=/none:/first:/second:/bin".to_vec()], ..command(&["echo", "x"]) };
    assert_eq!(says(place.run(&process)), "second /second/echo x\n");
}

#[test]
fn a_program_that_cannot_be_started_is_an_error_that_says_why() {
    let Some(place) = Place::new() else { return };
    let write = |name: &str, content: &[u8], mode: u32| {
        fs::write(place.lower(name), content).unwrap();
        fs::set_permissions(place.lower(name), PermissionsExt::from_mode(mode)).unwrap();
    };
    write("bin/plain", b"text", 0o644);
    write("bin/lost", b"#!/usr/bin/none\n", 0o755);
    write("bin/foreign", b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xf3\0", 0o755);
    write("bin/unmarked", b"echo\n", 0o755);
    let cases = [
        ("none", "cannot run `none`: no directory in PATH has a program of that name", "in an earlier step"),
        ("/bin/none", "cannot run `/bin/none`: the image has no such file", ""),
        ("plain", "cannot run `plain`", "chmod +x"),
        ("/bin/plain", "cannot run `/bin/plain`", "chmod +x"),
        ("/tmp", "cannot run `/tmp`", "chmod +x"),
        ("lost", "cannot run `lost`", "`#!` line"),
        ("foreign", "cannot run `foreign`", "another platform"),
        ("unmarked", "cannot run `unmarked`", "#!/bin/sh"),
    ];
    for (program, message, hint) in cases {
        let error = place.try_run(&command(&[program])).err().unwrap();
        assert_eq!(error.message, message);
        assert!(error.hint.unwrap_or_default().contains(hint), "{program}");
    }
}

#[test]
fn the_machine_has_dockers_name_and_namespaces_of_its_own() {
    let Some(place) = Place::new() else { return };
    assert_eq!(place.says("hostname"), "buildkitsandbox\n");
    let inside = place.says("for n in mnt pid ipc uts cgroup net; do readlink /proc/self/ns/$n; done");
    for (line, name) in inside.lines().zip(["mnt", "pid", "ipc", "uts", "cgroup", "net"]) {
        let here = fs::read_link(format!("/proc/self/ns/{name}")).unwrap();
        assert_eq!(line == here.to_str().unwrap(), name == "net", "{name}");
    }
}

#[test]
fn without_a_network_there_is_the_loopback_alone() {
    let Some(place) = Place::new() else { return };
    let process =
        Process { network: Network::None, ..shell("ip -o link | cut -d: -f2; ip -o addr show lo; ls /sys/class/net") };
    let output = says(place.run(&process));
    assert!(output.starts_with(" lo\n") && output.contains("127.0.0.1/8"), "{output}");
    assert!(output.ends_with("\nlo\n"), "{output}");
}
