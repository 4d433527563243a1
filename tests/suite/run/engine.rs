//! Engines as the namespace has them in which the commands of an ordinary user's build are run.

use std::fs;

use super::namespace::{BAKER, Bakery};
use crate::support::program::Outcome;
use crate::support::tool::install;
use crate::support::tree::Tree;

/// It makes a namespace of its own, which it has no IDs for there.
#[test]
fn podman_is_not_started_where_it_cannot_work() {
    let Some(bakery) = Bakery::with(Tree::new(), "") else { return };
    fs::create_dir(bakery.home("bin")).unwrap();
    fs::write(bakery.home("script"), "#!/bin/sh\ntouch \"$0.started\"\n").unwrap();
    install(&bakery.home("script"), &bakery.home("bin/podman"));
    bakery.give_to(BAKER);
    let path = format!("{}:{}", bakery.home("bin").display(), std::env::var("PATH").unwrap());
    let build = |words: &[&str]| {
        let arguments = [words, &bakery.build(&["--load", "-t", "app"])].concat();
        let mut command = bakery.command_by(BAKER, &[], &arguments);
        Outcome::of(command.env("PATH", &path).env("OCIBAKE_ENGINE", "podman"))
    };
    let outcome = build(&[]).failure(1);
    outcome.says(&[
        "podman cannot be started from the user namespace in which commands of a build are run",
        "systemctl --user start podman.socket",
        "ocibake save NAME | podman load",
    ]);
    let outcome = build(&["docker"]).success();
    outcome.says(&["warning: the image stays in the local store: podman cannot be started"]);
    assert!(!bakery.home("bin/podman.started").exists());
}
