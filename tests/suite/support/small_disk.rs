//! A file system that is soon full, for as long as the value lives.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::tool::{self, require, require_root};

pub struct SmallDisk {
    point: TempDir,
}

impl SmallDisk {
    /// Mounts one; `limit` is an option of tmpfs, such as `size=1m` or `nr_inodes=20`. None where that cannot be done.
    pub fn mount(limit: &str) -> Option<Self> {
        if !require_root() || !require("mount") {
            return None;
        }
        let disk = SmallDisk { point: tempfile::tempdir().unwrap() };
        tool::run("mount", ["-t", "tmpfs", "-o", limit, "tmpfs", disk.point.path().to_str().unwrap()]);
        Some(disk)
    }

    pub fn path(&self) -> &Path {
        self.point.path()
    }

    /// Another limit, with what is on it kept.
    pub fn limit(&self, limit: &str) {
        let arguments = ["-o", &format!("remount,{limit}"), self.point.path().to_str().unwrap()];
        // What was removed takes its place until nobody has it open, and whatever another test starts at this instant
        // has for a moment what this process has.
        for _ in 0..3000 {
            if Command::new("mount").args(arguments).output().unwrap().status.success() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        tool::run("mount", arguments);
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A test that fails must not abort over this.
        let _ = Command::new("umount").arg("--lazy").arg(self.point.path()).status();
    }
}
