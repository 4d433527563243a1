//! Where the store lies: on file systems whose files can share blocks, deep down, and with more layers than an overlay takes.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use ocibake::layer::{Devices, copy};

use super::chroot_images::WITHOUT_MOUNTS;
use super::single_id::ONE_ID;
use crate::support::loop_disk::LoopDisk;
use crate::support::overlay::OnOverlay;
use crate::support::program::{Outcome, Program};
use crate::support::tool::{install, require, require_root, run};
use crate::support::tree::Tree;

const BASE: &str = "FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\n";

fn context(steps: &str) -> Option<tempfile::TempDir> {
    if !require_root() || !["busybox", "setpriv", "unshare"].into_iter().all(require) {
        return None;
    }
    let context = Tree::new().file("a", "1").file("large", vec![7; 3 << 20]).plant();
    install("/bin/busybox".as_ref(), &context.path().join("busybox"));
    fs::write(context.path().join("Dockerfile"), format!("{BASE}{steps}")).unwrap();
    Some(context)
}

/// The image of `context`, with a store at `store`.
fn built(context: &Path, store: &Path, starter: &[&str], isolation: &str) -> String {
    let program = Program::new().environment("OCIBAKE_STORE", store);
    let isolation = format!("--isolation={isolation}");
    let words = ["build", context.to_str().unwrap(), "--platform=linux/amd64", "--progress=quiet", &isolation];
    Outcome::of(&mut program.command_under(starter, words)).digest()
}

#[test]
fn copies_share_their_blocks_where_the_file_system_can_do_that() {
    let steps = "COPY large a /\nRUN echo 2 >> /a && echo x >> /large && chmod 700 /bin/busybox\nRUN rm /a && cp /large /more\n";
    let Some(context) = context(steps).filter(|_| require("filefrag")) else { return };
    let plain = tempfile::tempdir().unwrap();
    let digest = built(context.path(), plain.path(), &[], "ids");
    for kind in ["btrfs", "xfs"] {
        let Some(disk) = LoopDisk::mount(kind) else { return };
        let at = |name: &str| disk.path().join(name);
        for name in ["from", "to", "store"] {
            fs::create_dir(at(name)).unwrap();
        }
        fs::copy(context.path().join("large"), at("from/large")).unwrap();
        run("sync", ["--file-system", at("from/large").to_str().unwrap()]);
        copy(&at("from"), &at("to"), Devices::Dead).unwrap();
        run("sync", ["--file-system", at("from/large").to_str().unwrap()]);
        let extents = run("filefrag", ["-v", at("to/large").to_str().unwrap()]);
        assert!(extents.contains("shared"), "{kind}: {extents}");
        assert!(fs::read(at("to/large")).unwrap() == fs::read(context.path().join("large")).unwrap(), "{kind}");
        assert_eq!(built(context.path(), &at("store"), &WITHOUT_MOUNTS, "chroot"), digest, "{kind}");
    }
}

#[test]
fn many_layers_and_a_long_path_are_no_limit_anywhere() {
    let mut steps = String::new();
    for number in 0..130 {
        writeln!(steps, "COPY a /files/{number}").unwrap();
    }
    // More than are stacked before all is written out anew.
    for number in 0..66 {
        writeln!(steps, "RUN echo {number} > /made; mv /files/{number} /moved").unwrap();
    }
    let Some(context) = context(&steps) else { return };
    let place = tempfile::tempdir().unwrap();
    let deep = |name: &str| {
        let mut path = place.path().join(name);
        while path.as_os_str().len() < 1500 {
            path.push("d".repeat(200));
        }
        path
    };
    let digest = built(context.path(), &deep("ids"), &[], "ids");
    assert_eq!(built(context.path(), &deep("single-id"), &ONE_ID, "single-id"), digest);
    assert_eq!(built(context.path(), &deep("chroot"), &WITHOUT_MOUNTS, "chroot"), digest);
    let overlay = OnOverlay::new();
    assert_eq!(built(context.path(), &overlay.path(), &ONE_ID, "single-id"), digest);
}
