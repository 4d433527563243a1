//! `ocibake ls`: the files of an image, and the tags of a repository.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::docker_registry::DockerRegistry;
use crate::support::fake_registry::{FakeRegistry, Reply};
use crate::support::handmade::{Handmade, device, directory, fifo, file, hard_link, symlink};
use crate::support::program::Program;
use crate::support::tool::require;
use crate::support::tree::Tree;

fn image() -> Handmade {
    let below = [
        directory("usr"),
        directory("usr/bin"),
        file("usr/bin/app", "12345").mode(0o4755),
        hard_link("usr/bin/other", "usr/bin/app"),
        symlink("bin", "usr/bin"),
        symlink("lost", "/nowhere"),
        directory("etc"),
        file("etc/gone", "x"),
        file("etc/kept", "kept").owner(1000, 50),
    ];
    let above = [file("etc/.wh.gone", ""), device("null", 1, 3), fifo("pipe"), directory("tmp").mode(0o1777)];
    Handmade::of(&[&below, &above])
}

fn listed(program: &Program, arguments: &[&str]) -> String {
    program.run([&["ls"], arguments].concat()).success().stdout
}

#[test]
fn the_files_of_an_image_are_listed() {
    let (program, image) = (Program::new(), image());
    let place = format!("oci:{}", image.path().display());
    let time = "1970-01-01T00:00:00Z";
    let root = [
        "lrwxrwxrwx  0:0    0  TIME  /bin -> usr/bin",
        "drwxr-xr-x  0:0    0  TIME  /etc",
        "lrwxrwxrwx  0:0    0  TIME  /lost -> /nowhere",
        "crw-r--r--  0:0  1,3  TIME  /null",
        "prw-r--r--  0:0    0  TIME  /pipe",
        "drwxrwxrwt  0:0    0  TIME  /tmp",
        "drwxr-xr-x  0:0    0  TIME  /usr",
    ];
    let shown = |arguments: &[&str]| {
        let text = listed(&program, arguments).replace(time, "TIME").replace("lrw-r--r--", "lrwxrwxrwx");
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(shown(&[&place]), root);
    assert_eq!(shown(&[&place, "/"]), root);
    assert_eq!(shown(&[&place, "etc"]), ["-rw-r--r--  1000:50  4  TIME  /etc/kept"]);
    // Links are followed, and what a link leads to nowhere is it itself.
    let programs = ["-rwsr-xr-x  0:0  5  TIME  /usr/bin/app", "-rwsr-xr-x  0:0  5  TIME  /usr/bin/other"];
    for path in ["/bin", "/usr/bin/", "bin/../bin"] {
        assert_eq!(shown(&[&place, path]), programs, "{path}");
    }
    assert_eq!(shown(&[&place, "/bin/app"]), programs[..1]);
    assert_eq!(shown(&[&place, "/lost"]), ["lrwxrwxrwx  0:0  0  TIME  /lost -> /nowhere"]);
    let all: Vec<String> = shown(&["-R", &place]).iter().map(|line| line.rsplit_once(" /").unwrap().1.into()).collect();
    let paths: Vec<&str> = all.iter().map(|path| path.as_str()).collect();
    assert_eq!(
        paths,
        ["nowhere", "etc", "etc/kept", "lost", "null", "pipe", "tmp", "usr", "usr/bin", "usr/bin/app", "usr/bin/other"]
            .map(|path| match path {
                "nowhere" => "bin -> usr/bin",
                "lost" => "nowhere",
                other => other,
            })
    );
    assert_eq!(shown(&["-R", &place, "/usr"]).len(), 3);
    program.run(["ls", &place, "/etc/gone"]).failure(1).says(&["has no /etc/gone"]);
    program.run(["ls", &place, "/etc/kept/x"]).failure(1).says(&["/etc/kept, which is not a directory"]);
}

#[test]
fn programs_get_the_files_as_json() {
    let (program, image) = (Program::new(), image());
    let place = format!("oci:{}", image.path().display());
    let files: Value = serde_json::from_str(&listed(&program, &["-R", "--json", &place])).unwrap();
    let file = |path: &str| files.as_array().unwrap().iter().find(|file| file["path"] == path).unwrap().clone();
    assert_eq!(files.as_array().unwrap().len(), 11);
    assert_eq!(
        file("/etc/kept"),
        serde_json::json!({
            "path": "/etc/kept", "kind": "file", "mode": "0644", "user": 1000, "group": 50, "size": 4,
            "modified": "1970-01-01T00:00:00Z",
        })
    );
    assert_eq!((&file("/bin")["target"], &file("/null")["device"]), (&"usr/bin".into(), &serde_json::json!([1, 3])));
    assert_eq!(listed(&program, &["--json", &place, "/tmp"]), "[]\n");
}

#[test]
fn names_of_files_do_nothing_to_a_terminal() {
    let name = "a\n::error::b\u{1b}[31m\u{202e}##vso[x]";
    let image = Handmade::of(&[&[file(name, "x"), symlink("link", name), file(b"\xff\xfe", "x")]]);
    let (program, place) = (Program::new(), format!("oci:{}", image.path().display()));
    let shown = listed(&program, &[&place]);
    assert_eq!(shown.lines().count(), 3, "{shown}");
    assert!(!shown.contains(['\u{1b}', '\u{202e}']) && !shown.contains("##vso["), "{shown}");
    let shown = listed(&program, &["--json", &place]);
    assert!(!shown.contains(['\u{1b}', '\u{202e}']) && !shown.contains("##vso["), "{shown}");
    let files: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(files[0]["path"], format!("/{name}"), "programs get it as it is");
}

#[test]
fn an_image_of_a_hundred_thousand_names_is_listed() {
    let names: Vec<String> = (0..100_000).map(|number| format!("d/{number:06}")).collect();
    let entries: Vec<_> = names.iter().map(|name| file(name, "")).collect();
    let image = Handmade::of(&[&entries]);
    let (program, place) = (Program::new(), format!("oci:{}", image.path().display()));
    let shown = listed(&program, &[&place, "d"]);
    assert_eq!(shown.lines().count(), names.len());
    assert!(shown.lines().zip(&names).all(|(line, name)| line.ends_with(&format!("  /{name}"))));
    let files: Value = serde_json::from_str(&listed(&program, &["--json", "-R", &place])).unwrap();
    assert_eq!(files.as_array().unwrap().len(), names.len() + 1);
}

/// A reader that has enough ends the listing quietly.
#[test]
fn a_closed_pipe_ends_the_list() {
    let names: Vec<String> = (0..20_000).map(|number| format!("{number:06}")).collect();
    let entries: Vec<_> = names.iter().map(|name| file(name, "")).collect();
    let image = Handmade::of(&[&entries]);
    let program = Program::new();
    let command = program.command(["ls", &format!("oci:{}", image.path().display())]);
    let mut shell = std::process::Command::new("bash");
    shell
        .args(["-o", "pipefail", "-c", "\"$0\" \"$@\" | head -n1"])
        .arg(command.get_program())
        .args(command.get_args());
    shell.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let outcome = crate::support::program::Outcome::of(&mut shell).success();
    assert_eq!((outcome.stdout.lines().count(), outcome.stderr.as_str()), (1, ""));
}

#[test]
fn the_image_of_another_platform_is_asked_for() {
    let program = Program::new();
    let context = Tree::new().file("Dockerfile", "FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH /\n");
    let context = context.file("amd64/a", "1").file("arm64/b", "2").plant();
    let path = context.path().to_str().unwrap();
    program.run(["build", "--platform", "linux/amd64,linux/arm64", "-t", "app", path]).success();
    assert!(listed(&program, &["--platform=linux/arm64", "app"]).ends_with("  /b\n"));
    assert!(listed(&program, &["--platform=linux/amd64", "app"]).ends_with("  /a\n"));
    program
        .run(["ls", "--platform=linux/s390x", "app"])
        .failure(1)
        .says(&["app has no image for linux/s390x", "it has linux/amd64, linux/arm64"]);
}

#[test]
fn the_tags_of_a_repository_are_listed() {
    if !require("docker-registry") {
        return;
    }
    let (program, registry) = (Program::new(), DockerRegistry::open());
    let context = Tree::new().file("Dockerfile", "FROM scratch\nCOPY f /\n").file("f", "f").plant();
    let (name, path) = (format!("{}/org/app", registry.address()), context.path().to_str().unwrap());
    program.run(["build", "--push", "-t", &format!("{name}:v1"), path]).success();
    let copies: Vec<String> = (0..1200).map(|number| format!("t{number}")).collect();
    registry.copy_tag("org/app", "v1", &copies);
    let all: BTreeSet<&str> = copies.iter().map(String::as_str).chain(["v1"]).collect();
    assert_eq!(listed(&program, &[&name]).lines().collect::<BTreeSet<_>>(), all);
    assert_eq!(listed(&program, &["--tags", &name]).lines().count(), all.len());
    let told: Value = serde_json::from_str(&listed(&program, &["--json", &name])).unwrap();
    assert_eq!((&told["repository"], told["tags"].as_array().unwrap().len()), (&Value::from(&*name), all.len()));
    // With a tag or a path it is an image, which is had from the registry.
    assert!(listed(&program, &[&format!("{name}:t7")]).ends_with("  /f\n"));
    program.run(["ls", &name, "/"]).failure(1).says(&["latest"]);
    // What the local store has of that name comes first, and --tags means the registry.
    program.run(["build", "-t", &name, path]).success();
    assert!(listed(&program, &[&name]).ends_with("  /f\n"));
    assert_eq!(listed(&program, &["--tags", &name]).lines().count(), all.len());
    program.run(["ls", "--tags", &format!("{name}:v1")]).failure(2).says(&["is one image", "leave out"]);
    let other = format!("{}/org/other", registry.address());
    program.run(["ls", &other]).failure(1).says(&["the registry has no tags of", "org/other"]);
}

#[test]
fn a_list_of_tags_without_end_is_ended() {
    let registry = FakeRegistry::scripted(|request| {
        request.is("GET", "/v2/org/app/tags/list").then(|| {
            let page: usize = request.query.rsplit('=').next().and_then(|page| page.parse().ok()).unwrap_or(0) + 1;
            let tags: Vec<String> = (0..25_000).map(|number| format!("\"{page:05}-{number:0120}\"")).collect();
            let body = format!("{{\"tags\":[{}]}}", tags.join(","));
            let next = format!("</v2/org/app/tags/list?page={page}>; rel=\"next\"");
            Reply::Answer(200, Vec::new(), body.into_bytes()).with("link", next)
        })
    });
    let outcome = Program::new().run(["ls", &format!("{}/org/app", registry.address())]).failure(1);
    outcome.says(&["the tags are more than 16777216 bytes"]);
    assert!(registry.count("GET", "/tags/list") < 20);
}

#[test]
fn what_is_no_tag_is_not_shown() {
    let body = r#"{"tags":["good","\u001b[31mred","a\n::error::b","::warning::x","../up",""]}"#;
    let registry = FakeRegistry::scripted(move |request| {
        let is_meant = request.is("GET", "/v2/org/app/tags/list");
        is_meant.then(|| Reply::Answer(200, Vec::new(), body.as_bytes().to_vec()))
    });
    assert_eq!(listed(&Program::new(), &[&format!("{}/org/app", registry.address())]), "good\n");
}
