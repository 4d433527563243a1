//! `images`, `tag`, `rmi`, `history`.

use serde_json::Value;

use super::{build, context, listed, rewrite};
use crate::support::program::Program;

#[test]
fn what_was_built_has_all_its_names() {
    let (program, context) = (Program::new(), context("one"));
    let digest = build(&program, context.path(), &["app:v1.2.3", "reg.example:5000/org/app"]);
    let short = &digest["sha256:".len()..][..12];
    let row = |repository: &str, tag: &str| format!("{repository} {tag} {short} {digest} linux/amd64");
    let mut rows = listed(&program, "{{.Repository}} {{.Tag}} {{.ID}} {{.Digest}} {{.Platforms}}");
    rows.sort();
    assert_eq!(rows, [row("app", "v1.2.3"), row("reg.example:5000/org/app", "latest")]);
    assert_eq!(program.run(["images", "-q"]).success().stdout, format!("{short}\n"));
    assert_eq!(program.run(["images", "-q", "--no-trunc", "app"]).success().stdout, format!("{digest}\n"));
    let table = program.run(["images", "app"]).success().stdout;
    let lines: Vec<Vec<&str>> =
        table.lines().map(|line| line.split("  ").filter(|part| !part.is_empty()).collect()).collect();
    assert_eq!(
        lines[0].iter().map(|title| title.trim()).collect::<Vec<_>>(),
        ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE", "PLATFORMS"]
    );
    assert_eq!((lines.len(), lines[1][0].trim(), lines[1][2].trim()), (2, "app", short));
    let rows: Value = serde_json::from_str(&program.run(["images", "--json"]).success().stdout).unwrap();
    assert_eq!((rows.as_array().unwrap().len(), &rows[0]["Digest"]), (2, &Value::from(digest)));
}

#[test]
fn nothing_is_listed_where_there_is_no_store() {
    let program = Program::new();
    let place = program.home().join("none/yet");
    let program = program.environment("OCIBAKE_STORE", &place);
    assert_eq!(program.run(["images", "--format", "{{.ID}}"]).success().stdout, "");
    assert!(!place.exists(), "a list makes no store");
}

#[test]
fn a_name_stands_for_what_was_built_last() {
    let (program, context) = (Program::new(), context("one"));
    let one = build(&program, context.path(), &["app"]);
    rewrite(context.path(), "two");
    let two = build(&program, context.path(), &["app"]);
    assert_ne!(one, two);
    assert_eq!(listed(&program, "{{.Digest}}"), std::slice::from_ref(&two));
    // What lost its name is known by its ID as long as it is there.
    program.run(["tag", &one[7..18], "old"]).failure(1).says(&["the local store has no image"]);
    program.run(["tag", &two[7..11], "new"]).success();
    program.run(["tag", &one[7..19], "old"]).success();
    assert_eq!(program.run(["images", "-q", "--no-trunc", "old"]).success().stdout, format!("{one}\n"));
}

#[test]
fn a_name_is_given_to_a_name_or_an_id() {
    let (program, context) = (Program::new(), context("one"));
    let digest = build(&program, context.path(), &["app"]);
    program.run(["tag", "app", "localhost/other:1"]).success();
    program.run(["tag", &digest[7..19], "by-id", "by-id:2"]).success();
    program.run(["tag", &format!("app@{digest}"), "by-digest"]).success();
    let mut names = listed(&program, "{{.Repository}}:{{.Tag}}={{.Digest}}");
    names.sort();
    let all = ["app:latest", "by-digest:latest", "by-id:2", "by-id:latest", "localhost/other:1"];
    assert_eq!(names, all.map(|name| format!("{name}={digest}")));
    program.run(["tag", "nothing", "x"]).failure(1).says(&["the local store has no image nothing"]);
    program.run(["tag", "app", "UPPER"]).failure(2);
    program.run(["tag", "app", &format!("x@{digest}")]).failure(2).says(&["has a digest"]);
}

#[test]
fn names_are_removed() {
    let (program, context) = (Program::new(), context("one"));
    let digest = build(&program, context.path(), &["app", "app:1", "other"]);
    assert_eq!(program.run(["rmi", "app"]).success().stdout, "Untagged: app:latest\n");
    program.run(["rmi", "app"]).failure(1).says(&["the local store has no image app"]);
    program.run(["rmi", "-f", "app"]).success();
    let outcome = program.run(["rmi", &digest[7..27]]).failure(1);
    assert!(outcome.stderr.contains("has several names: app:1, other:latest"), "{}", outcome.stderr);
    // One that is not there does not keep the others.
    let outcome = program.run(["rmi", "nothing", "other"]).failure_with_result(1);
    assert_eq!(outcome.stdout, "Untagged: other:latest\n");
    program.run(["rmi", "-f", &digest]).success();
    assert!(listed(&program, "{{.Tag}}").is_empty());
}

#[test]
fn lists_are_filtered() {
    let (program, context) = (Program::new(), context("one"));
    let path = context.path().to_str().unwrap();
    program.run(["build", "-t", "reg.example/org/app:1", "--label", "team=a", path]).success();
    program.run(["build", "-t", "app:2", "--label", "team=b", path]).success();
    let with = |filter: &str| {
        let outcome = program.run(["images", "--filter", filter, "--format", "{{.Repository}}:{{.Tag}}"]).success();
        outcome.stdout.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(with("reference=reg.example/*/*"), ["reg.example/org/app:1"]);
    assert_eq!(with("reference=app:*"), ["app:2"]);
    assert_eq!(with("reference=app"), ["app:2"]);
    assert_eq!(with("label=team=a"), ["reg.example/org/app:1"]);
    assert_eq!(with("label=team").len(), 2);
    assert_eq!(with("label=none"), [""; 0]);
    assert_eq!(with("dangling=true"), [""; 0]);
    program
        .run(["images", "--filter", "colour=red"])
        .failure(2)
        .says(&["`colour=red` is not known", "reference=PATTERN"]);
}

#[test]
fn the_history_has_all_steps() {
    let program = Program::new();
    let context = crate::support::tree::Tree::new()
        .file(
            "Dockerfile",
            "FROM scratch\nCOPY file /\nENV A=1\nLABEL text=\"0123456789012345678901234567890123456789\"\n",
        )
        .file("file", "1")
        .plant();
    let digest = build(&program, context.path(), &["app"]);
    let outcome = program.run(["history", "app", "--format", "{{.ID}}|{{.CreatedBy}}|{{.Size}}"]).success();
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!(lines[0], format!("{}|LABEL text=012345678901234567890123456789012…|0B", &digest[7..19]));
    assert_eq!(lines[1], "<missing>|ENV A=1|0B");
    assert!(lines[2].starts_with("<missing>|COPY file / # buildkit|") && !lines[2].ends_with("|0B"), "{}", lines[2]);
    let whole = program.run(["history", "--no-trunc", "-q", "app"]).success().stdout;
    assert_eq!(whole.lines().next(), Some(digest.as_str()));
    program.run(["image", "history", "nothing:none"]).failure(1);
}
