//! An overlay of directories, mounted for as long as the value lives.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::tool::{require, require_root, run, skip};

pub struct Overlay {
    place: TempDir,
}

impl Overlay {
    /// Mounts one of `lowers`, the topmost first, with an upper directory. None where that cannot be done.
    pub fn mount(lowers: &[&Path]) -> Option<Self> {
        if !require_root() || !require("mount") {
            return None;
        }
        let place = tempfile::tempdir().unwrap();
        for name in ["upper", "work", "merged"] {
            fs::create_dir(place.path().join(name)).unwrap();
        }
        let at = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
        let lowers = lowers.iter().map(|lower| lower.to_str().unwrap()).collect::<Vec<_>>().join(":");
        let options = format!("lowerdir={lowers},upperdir={},workdir={},userxattr", at("upper"), at("work"));
        let mounted = Command::new("mount").args(["-t", "overlay", "-o", &options, "overlay", &at("merged")]).output();
        let mounted = mounted.unwrap();
        if !mounted.status.success() {
            skip(&format!("overlays cannot be mounted: {}", String::from_utf8_lossy(&mounted.stderr)));
            return None;
        }
        Some(Overlay { place })
    }

    /// Where all of it is seen.
    pub fn merged(&self) -> PathBuf {
        self.place.path().join("merged")
    }

    /// Where that is which was changed.
    pub fn upper(&self) -> PathBuf {
        self.place.path().join("upper")
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        // A test that fails must not abort over this.
        let _ = Command::new("umount").arg("--lazy").arg(self.merged()).status();
    }
}

/// A place whose file system is an overlay, as a container's is.
pub struct OnOverlay {
    place: TempDir,
}

impl OnOverlay {
    /// The test runs as root.
    pub fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        for name in ["lower", "upper", "work", "merged"] {
            fs::create_dir(place.path().join(name)).unwrap();
        }
        let at = |name: &str| place.path().join(name).display().to_string();
        let options = format!("lowerdir={},upperdir={},workdir={}", at("lower"), at("upper"), at("work"));
        run("mount", ["-t", "overlay", "-o", &options, "overlay", &at("merged")]);
        OnOverlay { place }
    }

    pub fn path(&self) -> PathBuf {
        self.place.path().join("merged")
    }
}

impl Drop for OnOverlay {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}
