//! Looking at the local store, and making room in it, in docker's words.

use serde_json::Value;

use super::docker::script;
use super::{build, context, listed, rewrite};
use crate::support::program::Program;
use crate::support::tree::Tree;

#[test]
fn the_cache_is_listed_with_the_names_of_images() {
    let (program, context) = (Program::new(), context("one"));
    let digest = build(&program, context.path(), &["app:1", "app:2", "reg.example/a", "reg.example/b"]);
    rewrite(context.path(), "two");
    build(&program, context.path(), &[]);
    let lines = program.run(["cache", "ls"]).success().stdout;
    let line = lines.lines().find(|line| line.starts_with(&digest)).unwrap();
    assert!(line.ends_with("  manifest  app:1, app:2, reg.example/a:latest, and 1 more"), "{line}");
    // Manifest, config and layer of the one image; nothing of the other.
    assert_eq!(lines.lines().filter(|line| line.contains("and 1 more")).count(), 3, "{lines}");
    let told: Value = serde_json::from_str(&program.run(["cache", "ls", "--json"]).success().stdout).unwrap();
    let blob = told["blobs"].as_array().unwrap().iter().find(|blob| blob["digest"] == digest.as_str()).unwrap();
    let names = ["app:1", "app:2"].map(|name| format!("docker.io/library/{name}"));
    assert_eq!(blob["names"].as_array().unwrap()[..2], names.map(Value::from));
    assert_eq!(blob["names"].as_array().unwrap().len(), 4);
}

#[test]
fn builds_are_pruned_in_dockers_words_and_names_stay() {
    let (program, context) = (Program::new(), context("one"));
    build(&program, context.path(), &["app"]);
    for (command, end) in [
        ("docker builder prune -f", "Total reclaimed space: "),
        ("docker builder prune --all --force", "Total reclaimed space: "),
        ("docker builder prune -af --filter until=24h", "Total reclaimed space: 0B"),
        ("docker builder prune -f --keep-storage 10GB", "Total reclaimed space: 0B"),
        ("docker buildx prune -f --reserved-space=10gb --max-used-space 20gb --min-free-space 1kb", "Total:  0B"),
        ("docker buildx prune -af --verbose --filter unused-for=1h", "Total:  0B"),
        ("docker buildx prune -af", "Total:  "),
        ("docker system prune -f --volumes", "Total reclaimed space: "),
        ("ocibake docker image prune -f", "Total reclaimed space: "),
    ] {
        rewrite(context.path(), command);
        build(&program, context.path(), &[]);
        let command = command.strip_prefix("ocibake ").unwrap_or(command);
        let outcome = script(&program, context.path(), command).success();
        assert!(outcome.stdout.starts_with(end), "{command}: {}", outcome.stdout);
        assert_eq!(listed(&program, "{{.Repository}}"), ["app"], "{command}");
    }
    program.run(["save", "app", "-o", "app.tar"]).success();
    for (command, code, part) in [
        ("docker builder prune -f --filter label=a", 1, "has no labels"),
        ("docker builder prune -f --filter colour=red", 125, "`colour=red` is not known"),
        ("docker system prune -af --filter until=yesterday", 125, "`until=yesterday` is not known"),
    ] {
        script(&program, context.path(), command).failure(code).says(&[part]);
    }
}

/// The same under the program's own name, where a limit is kept without them.
#[test]
fn the_cache_is_pruned_with_dockers_flags() {
    let (program, context) = (Program::new(), context("one"));
    build(&program, context.path(), &[]);
    let freed = |flags: &[&str]| {
        let outcome = program.run([&["cache", "prune"], flags].concat()).success();
        outcome.stdout.lines().last().unwrap().to_owned()
    };
    for flags in [
        &["-f"][..],
        &["-f", "--keep-storage", "1GB"],
        &["--reserved-space=1GB"],
        &["--max-used-space=1GB"],
        &["--keep-size=1GB", "--max-used-space=1"],
        &["--min-free-space=1"],
        &["-a", "--filter", "until=1h"],
    ] {
        assert!(freed(flags).starts_with("freed 0 B: 0 blobs"), "{flags:?}: {}", freed(flags));
    }
    // As much as no disk has.
    assert!(freed(&["--dry-run", "--min-free-space=1000p"]).starts_with("would free "));
    assert!(freed(&["-f", "--max-used-space=1"]).contains("3 blobs"));
}

#[test]
fn images_are_pruned_by_age_and_label() {
    let (program, context) = (Program::new(), context("one"));
    let path = context.path().to_str().unwrap();
    program.run(["build", "-t", "a", "--label", "team=a", path]).success();
    program.run(["build", "-t", "b", "--label", "team=b", path]).success();
    program.run(["build", "-t", "none", path]).success();
    let pruned = |filters: &str| {
        let outcome = script(&program, context.path(), &format!("docker image prune -af {filters}")).success();
        let names = outcome.stdout.lines().filter_map(|line| line.strip_prefix("Untagged: ").map(str::to_owned));
        names.collect::<Vec<_>>()
    };
    assert_eq!(pruned("--filter until=24h"), [""; 0]);
    assert_eq!(pruned("--filter label=team=x"), [""; 0]);
    assert_eq!(pruned("--filter label=team=a --filter label=team"), ["a:latest"]);
    assert_eq!(pruned("--filter 'label!=team'"), ["none:latest"]);
    assert_eq!(listed(&program, "{{.Repository}}"), ["b"]);
    program.run(["save", "b", "-o", "b.tar"]).success();
    assert_eq!(pruned("--filter until=0s"), ["b:latest"]);
}

#[test]
fn the_disk_that_builds_take_is_told_in_dockers_words() {
    let (program, context) = (Program::new(), context("one"));
    build(&program, context.path(), &["app", "other"]);
    rewrite(context.path(), "two");
    build(&program, context.path(), &[]);
    let said = |command: &str| script(&program, context.path(), command).success().stdout;
    let usage = said("docker buildx du");
    let lines: Vec<&str> = usage.lines().collect();
    assert_eq!(lines[0].split_whitespace().collect::<Vec<_>>(), ["ID", "RECLAIMABLE", "SIZE", "LAST", "ACCESSED"]);
    // Three blobs of each image, of which those of the first have names.
    assert_eq!(lines.iter().filter(|line| line.contains(" true ")).count(), 3, "{usage}");
    assert_eq!(lines.iter().filter(|line| line.contains(" false ")).count(), 3, "{usage}");
    let titles: Vec<&str> = lines[lines.len() - 4..].iter().map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!(titles, ["Shared", "Private", "Reclaimable", "Total"]);
    let verbose = said("docker buildx du --verbose");
    assert_eq!(verbose.matches("Description:  layer of app:latest\n").count(), 1, "{verbose}");
    assert_eq!(verbose.matches("\nType:         regular\n\n").count(), 6, "{verbose}");
    let rows = said("docker buildx du --format '{{.ID}} {{.Type}} {{.Reclaimable}}'");
    assert_eq!(rows.lines().filter(|row| row.ends_with(" regular true") && row.len() == 38).count(), 3, "{rows}");
    assert_eq!(said("docker buildx du --filter until=24h --format '{{.ID}}'"), "");
    assert_eq!(said("docker buildx du --filter type=regular --format '{{.ID}}'").lines().count(), 6);
    script(&program, context.path(), "docker buildx du --filter x=y").failure(1).says(&["`x=y` is not known"]);

    let kinds = said("docker system df");
    let lines: Vec<&str> = kinds.lines().collect();
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(lines[0]), ["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"]);
    assert_eq!(words(lines[1])[..3], ["Images", "1", "0"]);
    assert!(lines[2].starts_with("Containers ") && lines[3].starts_with("Local Volumes "));
    assert_eq!(words(lines[4])[..4], ["Build", "Cache", "3", "0"]);
    let sizes = said("docker system df --format '{{.Type}}={{.Size}}'");
    assert!(sizes.starts_with("Images=") && !sizes.contains("Images=0B"), "{sizes}");
    let row: Value = serde_json::from_str(said("docker system df --format json").lines().next().unwrap()).unwrap();
    assert_eq!((&row["Type"], &row["TotalCount"]), (&"Images".into(), &"1".into()));
    let verbose = said("docker system df -v");
    assert!(verbose.starts_with("Images space usage:\n\nREPOSITORY "), "{verbose}");
    assert!(verbose.contains("\napp ") && verbose.contains("\nBuild cache usage: "), "{verbose}");
}

#[test]
fn what_is_not_there_is_said_in_dockers_words() {
    let (program, context) = (Program::new(), context("one"));
    let digest = build(&program, context.path(), &["app", "other"]);
    for (command, words) in [
        ("docker inspect nope", "Error: No such object: nope\n"),
        ("docker inspect --type image nope", "Error: No such image: nope\n"),
        ("docker image inspect nope", "Error: No such image: nope\n"),
        ("docker inspect --type container app", "Error: No such container: app\n"),
    ] {
        let outcome = script(&program, context.path(), command).failure_with_result(1);
        assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("[]\n", words), "{command}");
    }
    // What is there is told, whatever else is not.
    let outcome = script(&program, context.path(), "docker inspect -f '{{.Id}}' app nope other").failure_with_result(1);
    assert_eq!(
        (outcome.stdout, outcome.stderr.as_str()),
        (format!("{digest}\n{digest}\n"), "Error: No such object: nope\n")
    );
    let outcome = script(&program, context.path(), "docker inspect --type image app other").success();
    assert_eq!(serde_json::from_str::<Value>(&outcome.stdout).unwrap().as_array().unwrap().len(), 2);
    let exists = "if docker image inspect app >/dev/null 2>&1; then echo there; fi";
    assert_eq!(script(&program, context.path(), exists).success().stdout, "there\n");
    // A store is not made by looking.
    let empty = Program::new();
    let empty = empty.environment("OCIBAKE_STORE", context.path().join("none"));
    script(&empty, context.path(), "docker inspect nope").failure_with_result(1);
    assert!(!context.path().join("none").exists());
}

#[test]
fn lists_take_all_of_dockers_filters() {
    let (program, context) = (Program::new(), context("one"));
    let first = build(&program, context.path(), &["app:1"]);
    let said = |command: &str| {
        let outcome = script(&program, context.path(), command).success();
        outcome.stdout.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let names = "--format '{{.Repository}}:{{.Tag}}'";
    assert_eq!(said(&format!("docker images -f until=24h {names}")), [""; 0]);
    assert_eq!(said(&format!("docker images -f until=0s {names}")), ["app:1"]);
    assert_eq!(said(&format!("docker images --filter dangling=false --filter reference='ap*' {names}")), ["app:1"]);
    assert_eq!(said(&format!("docker images -a --tree 'ap*' {names}")), ["app:1"]);
    assert_eq!(said(&format!("docker images 'ap*:2' {names}")), [""; 0]);
    assert_eq!(said("docker images -qf dangling=true"), [""; 0]);
    assert_eq!(said("docker images --digests --no-trunc --format '{{.Digest}}'"), [first]);
    let created = said("docker images --format '{{.CreatedAt}}'").remove(0);
    assert!(created.ends_with(" +0000 UTC") && created.len() == "2001-09-09 01:46:40 +0000 UTC".len(), "{created}");
    assert_eq!(said("docker history --format '{{.CreatedBy}}' --no-trunc app:1"), ["COPY file / # buildkit"]);
}

#[test]
fn a_login_says_what_scripts_look_for() {
    let registry = crate::support::fake_registry::FakeRegistry::new();
    let (program, context) = (Program::new(), Tree::new().file("f", "").plant());
    let text = format!("docker login -u ada -p secret {}/org 2>/dev/null", registry.address());
    assert_eq!(script(&program, context.path(), &text).success().stdout, "Login Succeeded\n");
}
