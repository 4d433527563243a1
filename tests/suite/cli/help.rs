//! What `--help` says.

use crate::support::program::Program;

const COMMANDS: &[&[&str]] = &[
    &["init"],
    &["build"],
    &["bake"],
    &["push"],
    &["compose"],
    &["compose", "build"],
    &["compose", "config"],
    &["index"],
    &["rebase"],
    &["copy"],
    &["inspect"],
    &["ls"],
    &["resolve"],
    &["serve"],
    &["tags"],
    &["login"],
    &["logout"],
    &["cache"],
    &["cache", "gc"],
    &["cache", "ls"],
    &["cache", "prune"],
    &["doctor"],
    &["completion"],
    &["why"],
    &["copy"],
    &["index"],
];

fn help(arguments: &[&str]) -> String {
    let outcome = Program::new().run(arguments).success();
    assert_eq!(outcome.stderr, "");
    outcome.stdout
}

#[test]
fn help_of_every_command() {
    insta::assert_snapshot!("help", help(&["--help"]));
    for command in COMMANDS {
        insta::assert_snapshot!(format!("help-{}", command.join("-")), help(&[*command, &["-h"]].concat()));
        assert!(help(&[*command, &["--help"]].concat()).contains("Usage: ocibake"));
    }
}

/// An option without a word about it is no help.
#[test]
fn every_option_is_described() {
    for command in COMMANDS {
        let text = help(&[*command, &["-h"]].concat());
        let lines: Vec<_> = text.lines().chain([""]).map(str::trim).collect();
        for pair in lines.windows(2).filter(|pair| pair[0].starts_with('-')) {
            // It may stand on a line of its own.
            let description = pair[0].split_once("  ").map_or(pair[1], |(_, description)| description.trim());
            assert!(description.len() > 5 && !description.starts_with('-'), "{command:?}: {pair:?}");
        }
    }
}

#[test]
fn the_version_is_the_packages() {
    assert_eq!(help(&["--version"]), format!("ocibake {}\n", env!("CARGO_PKG_VERSION")));
}
