//! Modes, against the chmod(1) of this machine.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use ocibake::tree::Mode;
use proptest::prelude::*;

/// The mode of a new file or directory below `parent` that had `before` when chmod changed it under umask 0.
fn chmod(parent: &Path, clauses: &str, before: u32, is_directory: bool) -> u32 {
    let path = parent.join("object");
    if is_directory {
        fs::create_dir(&path).unwrap();
    } else {
        fs::write(&path, "").unwrap();
    }
    fs::set_permissions(&path, Permissions::from_mode(before)).unwrap();
    let output =
        Command::new("sh").args(["-c", "umask 0; chmod -- \"$1\" \"$2\"", "sh", clauses]).arg(&path).output().unwrap();
    assert!(output.status.success(), "chmod {clauses}: {}", String::from_utf8_lossy(&output.stderr));
    let after = fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
    if is_directory {
        fs::remove_dir(&path).unwrap();
    } else {
        fs::remove_file(&path).unwrap();
    }
    after
}

fn clauses() -> impl Strategy<Value = String> {
    let clause = "[ugoa]{0,3}([-+=]([rwxXst]{0,4}|[ugo])){1,3}";
    prop::collection::vec(clause, 1..4).prop_map(|clauses| clauses.join(","))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn symbolic_modes_do_what_chmod_does(text in clauses(), before in 0u32..0o10000, is_directory: bool) {
        let folder = tempfile::tempdir().unwrap();
        let mode = Mode::parse(&text).unwrap();
        let expected = chmod(folder.path(), &text, before, is_directory);
        prop_assert_eq!(format!("{:04o}", mode.apply(before, is_directory)), format!("{expected:04o}"));
    }

    #[test]
    fn a_mode_is_written_as_one_that_does_the_same(text in clauses(), octal in 0u32..0o10000, before in 0u32..0o10000) {
        for text in [text, format!("{octal:o}")] {
            let mode = Mode::parse(&text).unwrap();
            let written = Mode::parse(&mode.to_string()).unwrap();
            for is_directory in [false, true] {
                prop_assert_eq!(written.apply(before, is_directory), mode.apply(before, is_directory), "{}", text);
            }
        }
    }

    #[test]
    fn parsing_a_mode_never_panics(text in ".{0,12}|[-ugoarwxXst=+,0-9]{0,12}") {
        let _ = Mode::parse(&text);
    }

    #[test]
    fn an_octal_mode_is_a_file_s_mode_whatever_it_was(bits in 0u32..0o10000, before in 0u32..0o10000) {
        prop_assert_eq!(Mode::parse(&format!("{bits:o}")).unwrap().apply(before, false), bits);
        prop_assert_eq!(Mode::parse(&format!("0{bits:04o}")).unwrap().apply(before, false), bits);
    }
}

#[test]
fn an_octal_mode_leaves_directories_that_can_be_entered() {
    for (mode, directory) in [
        ("0644", 0o755),
        ("0600", 0o700),
        ("0640", 0o750),
        ("0755", 0o755),
        ("0444", 0o555),
        ("0200", 0o200),
        ("1777", 0o1777),
        ("4755", 0o755),
        ("2755", 0o755),
        ("0", 0),
    ] {
        assert_eq!(Mode::parse(mode).unwrap().apply(0o7000, true), directory, "{mode}");
    }
}

#[test]
fn what_chmod_does_not_take_is_refused() {
    for text in
        ["", ",", "u", "ugo", "rwx", "z+x", "u+z", "u=rw,", "u=gr", "0999", "8", "10000", "07777777777777", "0755,u+x"]
    {
        let error = Mode::parse(text).expect_err(text);
        assert!(error.to_string().contains("is not a mode"), "{error}");
        assert!(error.hint.is_some());
    }
}
