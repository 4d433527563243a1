//! `SOURCE_DATE_EPOCH` of Dockerfiles: as an argument with a default, and as the name of what has the time. The rules are
//! those of BuildKit's docs/build-repro.md.

use std::fs;
use std::path::Path;

use crate::support::fake_registry::{FakeRegistry, Reply};
use crate::support::git_server::GitServer;
use crate::support::handmade::{file, gzip, tar};
use crate::support::layout::Image;
use crate::support::program::Program;
use crate::support::tool::require;
use crate::support::tree::Tree;

/// `date -u -d @1445412480 +%FT%TZ`, and so for the others.
const SECONDS: (&str, &str) = ("1445412480", "2015-10-21T07:28:00Z");
const LATER: (i64, &str) = (1_600_000_000, "2020-09-13T12:26:40Z");
/// The same as HTTP has it.
const MODIFIED: &str = "Wed, 21 Oct 2015 07:28:00 GMT";
const NEVER: &str = "1970-01-01T00:00:00Z";

fn built(program: &Program, dockerfile: &str, flags: &[&str]) -> Image {
    let context = Tree::new().file("Dockerfile", dockerfile).plant();
    program.images(context.path(), flags).remove(0)
}

fn created(dockerfile: &str, flags: &[&str]) -> String {
    built(&Program::new(), dockerfile, flags).config["created"].as_str().unwrap().to_owned()
}

fn last_modified() -> Vec<(String, String)> {
    vec![("Last-Modified".to_owned(), MODIFIED.to_owned())]
}

#[test]
fn the_default_counts_unless_the_build_says_another() {
    let dockerfile =
        "ARG N=1445412480\nARG SOURCE_DATE_EPOCH=$N\nFROM scratch\nARG SOURCE_DATE_EPOCH\nENV T=$SOURCE_DATE_EPOCH\n";
    assert_eq!(created(dockerfile, &[]), SECONDS.1);
    assert_eq!(created(dockerfile, &["--build-arg", "N=0"]), NEVER);
    assert_eq!(created(dockerfile, &["--build-arg", "SOURCE_DATE_EPOCH=1600000000"]), LATER.1);
    assert_eq!(created(dockerfile, &["--timestamp", "0"]), NEVER);
    let program = Program::new().environment("SOURCE_DATE_EPOCH", "1600000000");
    let image = built(&program, dockerfile, &[]);
    assert_eq!(image.config["created"], LATER.1);
    // As buildx has it, the variable is an argument of the build.
    assert_eq!(image.config["config"]["Env"][1], "T=1600000000");
    // That of a stage is its own affair.
    assert_eq!(created("FROM scratch\nARG SOURCE_DATE_EPOCH=1445412480\n", &[]), NEVER);
}

#[test]
fn what_is_no_time_is_refused_where_it_stands() {
    let context = Tree::new().file("Dockerfile", "FROM scratch\n").plant();
    let place = context.path().to_str().unwrap();
    let run = |text: &str, flags: &[&str]| {
        fs::write(context.path().join("Dockerfile"), text).unwrap();
        Program::new().run([&["build", place], flags].concat())
    };
    let outcome = run("ARG A\nARG SOURCE_DATE_EPOCH=yesterday\nFROM scratch\n", &[]).failure(1);
    outcome.says(&["SOURCE_DATE_EPOCH is `yesterday`", "2 | ARG SOURCE_DATE_EPOCH=yesterday", "seconds since 1970"]);
    run("FROM scratch\n", &["--build-arg", "SOURCE_DATE_EPOCH=soon"]).failure(2).says(&["--build-arg", "`soon`"]);
    for (stage, words) in [
        ("FROM base AS src\n", "it is based on an image"),
        ("FROM scratch AS src\n", "it fetches nothing"),
        ("FROM scratch AS src\nADD a /\n", "it does not fetch one thing"),
        ("FROM scratch AS src\nADD http://127.0.0.1:1/a http://127.0.0.1:1/b /\n", "it does not fetch one thing"),
        ("FROM scratch AS src\nADD http://127.0.0.1:1/a /\nADD http://127.0.0.1:1/b /\n", "it has another ADD"),
        ("FROM scratch AS src\nENV A=1\nADD http://127.0.0.1:1/a /\n", "it has another ENV"),
    ] {
        let text = format!("ARG SOURCE_DATE_EPOCH=src\n{stage}FROM scratch\n");
        run(&text, &[]).failure(1).says(&[words, "FROM scratch` with a single ADD", "Dockerfile:"]);
    }
}

#[test]
fn a_stage_gives_the_time_of_what_it_fetches() {
    let archive = gzip(&tar(&[file("a", "1")]));
    let server = FakeRegistry::scripted(move |request| match request.path.as_str() {
        "/dated" => Some(Reply::Answer(200, last_modified(), b"content".to_vec())),
        "/undated" => Some(Reply::Answer(200, Vec::new(), b"content".to_vec())),
        "/a.tgz" => Some(Reply::Answer(200, Vec::new(), archive.clone())),
        _ => Some(Reply::status(404)),
    });
    let address = server.address();
    let of = |path: &str| {
        let text = format!(
            "ARG SOURCE_DATE_EPOCH=Src\nFROM scratch AS src\nARG P={path}\nADD http://{address}/$P /\nFROM scratch\n\
             ARG SOURCE_DATE_EPOCH\nENV T=${{SOURCE_DATE_EPOCH-none}}\n"
        );
        let image = built(&Program::new(), &text, &[]);
        (image.config["created"].as_str().unwrap().to_owned(), image.config["config"]["Env"][1].clone())
    };
    assert_eq!(of("dated"), (SECONDS.1.to_owned(), format!("T={}", SECONDS.0).into()));
    // It is as if it had not been said.
    assert_eq!(of("undated"), (NEVER.to_owned(), "T=none".into()));
    // All in it is of time 0, which is a time.
    assert_eq!(of("a.tgz"), (NEVER.to_owned(), "T=0".into()));
}

#[test]
fn a_context_gives_the_time_of_its_commit_or_what_the_server_says() {
    if !require("git") {
        return;
    }
    let git = GitServer::new();
    let text = "ARG SOURCE_DATE_EPOCH=context\nFROM scratch\nARG SOURCE_DATE_EPOCH\nENV T=${SOURCE_DATE_EPOCH-none}\n";
    git.repository("app.git").write("Dockerfile", text).commit(LATER.0);
    let url = git.url("app.git");
    let of = |context: &str, flags: &[&str]| {
        let place = tempfile::tempdir().unwrap();
        let layout = format!("{}/layout/", place.path().display());
        Program::new().run([&["build", context, "-o", &layout], flags].concat()).success();
        let image = crate::support::layout::Layout::open(&layout).images().remove(0);
        (image.config["created"].as_str().unwrap().to_owned(), image.config["config"]["Env"][1].clone())
    };
    assert_eq!(of(&url, &[]), (LATER.1.to_owned(), format!("T={}", LATER.0).into()));
    // A directory of the user's has no time that means anything.
    let local = Tree::new().file("Dockerfile", text).plant();
    let path = local.path().to_str().unwrap();
    assert_eq!(of(path, &[]), (NEVER.to_owned(), "T=none".into()));
    let argument = ["--build-arg", "SOURCE_DATE_EPOCH=context"];
    assert_eq!(of(path, &argument), (NEVER.to_owned(), "T=none".into()));
    // One that has a name.
    let named = format!("src={url}");
    let flags = ["--build-arg", "SOURCE_DATE_EPOCH=src", "--build-context", &named];
    assert_eq!(of(path, &flags), (LATER.1.to_owned(), format!("T={}", LATER.0).into()));
    // And one that is downloaded.
    let archive = gzip(&tar(&[file("Dockerfile", text)]));
    let server = FakeRegistry::scripted(move |request| match Path::new(&request.path).extension() {
        Some(_) => Some(Reply::Answer(200, last_modified(), archive.clone())),
        None => Some(Reply::Answer(200, Vec::new(), archive.clone())),
    });
    let dated = of(&format!("http://{}/context.tgz", server.address()), &[]);
    assert_eq!(dated, (SECONDS.1.to_owned(), format!("T={}", SECONDS.0).into()));
    let undated = of(&format!("http://{}/context", server.address()), &[]);
    assert_eq!(undated, (NEVER.to_owned(), "T=0".into()), "the newest file of the archive");
}
