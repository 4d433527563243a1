//! A Debian system to run commands on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::hub::codename;
use super::tool::{checked, require, require_root};

/// What is in it besides what is essential.
const PACKAGES: &str = "python3-venv,gcc,libc6-dev,libcap2-bin";

/// A tar of the root file system of the release that this machine has, or of the stable one. It is made once, and kept with
/// what the tests were built to. None where it cannot be made.
pub fn debian() -> Option<&'static Path> {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    if !require_root() || !require("mmdebstrap") {
        return None;
    }
    Some(MADE.get_or_init(|| {
        let name = codename();
        let tar = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.tar"));
        if !tar.exists() {
            let making = tar.with_extension(std::process::id().to_string());
            let flags = ["--quiet", "--format=tar", "--variant=minbase", &format!("--include={PACKAGES}"), &name];
            checked(Command::new("mmdebstrap").args(flags).arg(&making));
            fs::rename(&making, &tar).unwrap();
        }
        tar
    }))
}
