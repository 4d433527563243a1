//! Whole projects (`fixtures/projects`), whose owners have written for docker: their scripts, Makefiles and CI files run as they
//! stand, with the program under docker's name, as root and as an ordinary user, and leave in a registry what they should.

mod agent;
mod controller;
mod gateway;
mod job;
mod shop;
mod streams;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use crate::support::docker_registry::DockerRegistry;
use crate::support::program::Program;
use crate::support::project::{Project, Who, checkout, did_nothing};
use crate::support::tool;

/// None where it cannot be tried.
fn project(name: &str, who: Who) -> Option<Project> {
    Project::new(&fixture(name), who, hub)
}

/// One whose registry lets in this user alone.
fn project_with_user(name: &str, who: Who, user: &'static str, password: &'static str) -> Option<Project> {
    Project::with_user(&fixture(name), who, hub, user, password)
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/projects").join(name)
}

fn hub() -> DockerRegistry {
    let hub = DockerRegistry::open();
    push_alpine(&hub);
    hub
}

/// Puts what stands for alpine into a registry, for two platforms, of which the second one never runs.
fn push_alpine(hub: &DockerRegistry) {
    let context = checkout(&fixture("alpine"));
    let root = context.path().join("rootfs");
    for name in
        ["bin", "dev", "etc", "home", "proc", "root", "sys", "tmp", "usr/bin", "usr/sbin", "usr/local/bin", "var"]
    {
        fs::create_dir_all(root.join(name)).unwrap();
    }
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
    let busybox = tool::run("sh", ["-c", "command -v busybox"]);
    tool::install(busybox.trim().as_ref(), &root.join("bin/busybox"));
    for applet in tool::run("busybox", ["--list"]).lines().filter(|applet| *applet != "busybox") {
        symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n")
        .unwrap();
    fs::write(root.join("etc/group"), "root:x:0:\nnobody:x:65534:\n").unwrap();
    chown(&root, Some(0), Some(0)).unwrap();
    let name = format!("{}/library/alpine:3.20", hub.address());
    let platforms = "--platform=linux/amd64,linux/arm64";
    let path = context.path().to_str().unwrap();
    Program::new().run(["build", "--push", platforms, "-t", &name, path]).success();
}
