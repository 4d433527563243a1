//! A file system in a file, for as long as the value lives.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::tool::{require, require_root, run};

pub struct LoopDisk {
    place: TempDir,
}

impl LoopDisk {
    /// Mounts a new one of this `kind`. None where that cannot be done.
    pub fn mount(kind: &str) -> Option<Self> {
        let program = format!("mkfs.{kind}");
        if !require_root() || !require(&program) {
            return None;
        }
        let disk = LoopDisk { place: tempfile::tempdir().unwrap() };
        let image = disk.place.path().join("image");
        // Most of it is never written. One of xfs must not be smaller.
        File::create(&image).unwrap().set_len(320 << 20).unwrap();
        run(&program, ["-q", image.to_str().unwrap()]);
        std::fs::create_dir(disk.path()).unwrap();
        run("mount", ["-t", kind, "-o", "loop", image.to_str().unwrap(), disk.path().to_str().unwrap()]);
        Some(disk)
    }

    pub fn path(&self) -> PathBuf {
        let place: &Path = self.place.path();
        place.join("mounted")
    }
}

impl Drop for LoopDisk {
    fn drop(&mut self) {
        // A test that fails must not abort over this.
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}
