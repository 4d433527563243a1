//! Cache mounts between root, ordinary users and places of one user ID: commands see the same owners everywhere.

use std::fs;

use super::mount_cache::flag;
use super::namespace::{BAKER, Bakery};
use crate::support::fake_registry::FakeRegistry;
use crate::support::program::{Outcome, Program};
use crate::support::tree::Tree;

const CACHE: &str = "RUN --mount=type=cache,id=work,target=/cache";

const FILL: &str = "mkdir /cache/a && echo x > /cache/a/file && chown 1000:2000 /cache/a /cache/a/file && \
                    chmod 6755 /cache/a/file && ln -s file /cache/a/link && chown -h 5:6 /cache/a/link && \
                    mkfifo /cache/pipe && chown 7:8 /cache/pipe && ln /cache/a/file /cache/name && chown 9:9 /cache && \
                    touch -d '2001-02-03 04:05:06' /cache/a/file";

/// Says what it sees.
const SEE: &str = "find /cache | sort | while read name; do stat -c 'seen %n %F %a %u:%g %Y' $name; done; \
                   [ /cache/a/file -ef /cache/name ] && echo 'seen /cache has one file of two names'";

fn bakery() -> Option<Bakery> {
    Bakery::with(Tree::new(), "")
}

impl Bakery {
    /// Has commands in this order as the last ones.
    fn commands(&self, commands: &[&str]) {
        let path = self.context.path().join("Dockerfile");
        let text = fs::read_to_string(&path).unwrap();
        let base: Vec<&str> = text.lines().take(3).collect();
        let commands: Vec<String> = commands.iter().map(|command| format!("{CACHE} {command}")).collect();
        fs::write(path, format!("{}\n{}\n", base.join("\n"), commands.join("\n"))).unwrap();
    }
}

fn seen(outcome: Outcome) -> Vec<String> {
    let lines = outcome.success().stderr;
    let lines = lines.lines().filter_map(|line| Some(line.split_once(" seen ")?.1.to_owned()));
    let lines: Vec<String> = lines.filter(|line| line.starts_with("/cache")).collect();
    assert!(!lines.is_empty());
    lines
}

#[test]
fn commands_see_the_same_owners_whoever_has_filled_it() {
    let Some(bakery) = bakery() else { return };
    let registry = FakeRegistry::new();
    let flag = flag(&registry.address(), "");
    let flags = |isolation| -> Vec<&str> {
        bakery.build(&[&flag, isolation, "--progress=plain", "--no-cache"]).into_iter().collect()
    };
    let auto = "--isolation=auto";
    bakery.commands(&[FILL, SEE]);
    let expected = seen(Program::new().run(flags(auto)));
    assert!(
        expected.iter().any(|line| line.starts_with("/cache/a/file regular file 6755 1000:2000 981173106")),
        "{expected:?}"
    );

    bakery.commands(&[SEE]);
    assert_eq!(seen(bakery.by_root(&[&flag, "--progress=plain"])), expected, "root");
    assert_eq!(seen(bakery.by(BAKER, &[], &flags("--isolation=ids"))), expected, "a user with subordinate ids");
    assert_eq!(seen(bakery.by(BAKER, &[], &flags("--isolation=single-id"))), expected, "a user with one id");
    assert_eq!(seen(Program::new().run(flags("--isolation=chroot"))), expected, "root in a chroot");

    // Nobody has changed anything, and nobody has sent anything after the first.
    let pushes = registry.requests().into_iter().filter(|request| request.is("PUT", "/manifests/")).count();
    assert_eq!(pushes, 2);

    // What they have changed goes back.
    for (number, isolation) in ["--isolation=single-id", "--isolation=ids"].iter().enumerate() {
        let change =
            format!("touch /cache/new{number} && chown 11{number}:12 /cache/new{number} && chown 3:4 /cache/a/link");
        bakery.commands(&[&change, SEE]);
        let changed = seen(bakery.by(BAKER, &[], &flags(isolation)));
        bakery.commands(&[SEE]);
        assert_eq!(seen(bakery.by_root(&[&flag, "--progress=plain"])), changed, "{isolation}");
    }
}
