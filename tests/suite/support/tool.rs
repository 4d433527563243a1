//! Programs and rights that a test needs and a machine may lack. Such a test says so and is skipped; where `CI` is
//! set, everything is expected to be there, and it fails.

use std::ffi::OsStr;
use std::fs;
use std::io::{Seek, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Output};

/// Whether the program `name` can be found. Without it the test is to return at once.
pub fn require(name: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|directory| directory.join(name).is_file()));
    found || skip(&format!("{name} is not installed"))
}

/// Whether the test runs as root. Without it the test is to return at once.
pub fn require_root() -> bool {
    is_root() || skip("the user is not root")
}

pub fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// Says why a test does not run; always false. Written past the test harness, which would swallow it.
pub fn skip(reason: &str) -> bool {
    assert!(std::env::var_os("CI").is_none_or(|value| value.is_empty()), "{reason}");
    let _ = writeln!(std::io::stderr(), "skipped: {reason}");
    false
}

/// Copies a program to where a test will start it. Written by another process: a file that this one has open for
/// writing, even for an instant, can be open in whatever another test starts at that instant, and then nobody can run it.
pub fn install(program: &Path, to: &Path) {
    run("cp", [program, to]);
    fs::set_permissions(to, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Runs `program`, which has to succeed, and returns its standard output.
pub fn run(program: &str, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> String {
    checked(Command::new(program).args(arguments))
}

/// Runs `program`, which has to succeed, with `input` on its standard input, and returns its standard output.
pub fn run_with_input(program: &str, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>, input: &[u8]) -> String {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(input).unwrap();
    file.rewind().unwrap();
    checked(Command::new(program).args(arguments).stdin(file))
}

/// Runs `command`, which has to succeed, and returns its standard output.
pub fn checked(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let Output { status, stdout, stderr } = output;
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}: {status}\n{stdout}\n{stderr}");
    stdout.into_owned()
}
