//! `--call`: what buildx answers of a Dockerfile. The expected forms are those of BuildKit's `PrintOutline`, `PrintTargets` and of
//! buildx's `printResult`.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::program::{Outcome, Program};
use crate::support::tree::Tree;

const DOCKERFILE: &str = "# syntax=docker/dockerfile:1
# GO the version of the compiler
ARG GO=1.22
ARG UNUSED=1
ARG BASE=scratch

# build what makes the program
FROM ${BASE} AS build
# FLAGS for the compiler
ARG FLAGS
ARG GO
# check=skip=all
ARG MODE=fast LEVEL=${GO}
RUN --mount=type=secret,id=token,required=true \\
    --mount=type=ssh \\
    --mount=type=cache,target=/root/.cache make

FROM scratch
# a comment that is about nothing
COPY --from=build / /
RUN --mount=type=secret,id=token --mount=type=secret,id=other,env=OTHER true

# app the program alone
FROM scratch AS app
COPY Dockerfile /
";

fn call(call: &str, flags: &[&str]) -> Outcome {
    ask(&context(DOCKERFILE), &[&["--call", call], flags].concat())
}

fn context(dockerfile: &str) -> TempDir {
    Tree::new().file("Dockerfile", dockerfile).plant()
}

fn ask(context: &TempDir, flags: &[&str]) -> Outcome {
    Program::new().run([&["build", context.path().to_str().unwrap()], flags].concat())
}

#[test]
fn targets_are_listed() {
    let told = call("targets", &[]).success();
    insta::assert_snapshot!(told.stdout, @r"
    TARGET        DESCRIPTION
    build         what makes the program
                  
    app (default) the program alone
    ");
    let told = call("targets,format=json", &[]).success();
    let mut told: Value = serde_json::from_str(&told.stdout).unwrap();
    assert!(told["sources"][0].as_str().is_some_and(|source| source.starts_with("IyBzeW50YXg9")));
    let lines = |line: usize| json!({"ranges": [{"start": {"line": line}, "end": {"line": line}}]});
    assert_eq!(
        told["targets"].take(),
        json!([
            {"name": "build", "description": "what makes the program", "base": "${BASE}", "location": lines(8)},
            {"base": "scratch", "location": lines(18)},
            {"name": "app", "default": true, "description": "the program alone", "base": "scratch", "location": lines(24)},
        ])
    );
}

#[test]
fn an_outline_has_what_a_stage_takes() {
    let told = call("outline", &["--target=build", "--build-arg=FLAGS=-v"]).success();
    insta::assert_snapshot!(told.stdout, @r"
    TARGET:      build
    DESCRIPTION: what makes the program

    BUILD ARG   VALUE     DESCRIPTION
    GO          1.22      the version of the compiler
    BASE        scratch   
    FLAGS       -v        for the compiler
    MODE        fast      
    LEVEL       1.22      

    SECRET   REQUIRED
    token    true

    SSH       REQUIRED
    default   
    ");
    // The last stage takes nothing, and a stage takes what those do that it takes files from.
    let told = call("outline", &[]).success();
    insta::assert_snapshot!(told.stdout, @r"
    TARGET:      app
    DESCRIPTION: the program alone
    ");
    let context = context(&DOCKERFILE.replace("FROM scratch\n# a", "FROM scratch AS middle\n# a"));
    let told = ask(&context, &["--call=outline,format=json", "--target=middle"]).success();
    let mut told: Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!(told["name"], "middle");
    let lines = |start: usize, end: usize| json!({"ranges": [{"start": {"line": start}, "end": {"line": end}}]});
    assert_eq!(
        told["secrets"].take(),
        json!([
            {"name": "token", "required": true, "location": lines(14, 16)},
            {"name": "other", "location": lines(21, 21)},
        ])
    );
    assert_eq!(
        told["args"][0],
        json!({
            "name": "GO", "description": "the version of the compiler", "value": "1.22", "location": lines(3, 3),
        })
    );
    assert_eq!(told["ssh"], json!([{"name": "default", "location": lines(14, 16)}]));
    assert_eq!(told["cache"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_check_is_told_in_buildxs_words_under_dockers_name() {
    let docker = |dockerfile: &str, flags: &[&str]| {
        let context = context(dockerfile);
        Program::new().directory(context.path()).run([&["docker", "build", "."], flags].concat())
    };
    let outcome = docker("FROM scratch\n", &["--check"]).success();
    assert_eq!(outcome.stdout, "Check complete, no warnings found.\n");
    let outcome = docker("FROM scratch\nMAINTAINER me\nENV A=1\n", &["--call=check"]).failure_with_result(1);
    insta::assert_snapshot!(outcome.stdout, @r"
    Check complete, 1 warning has been found!

    WARNING: MaintainerDeprecated - https://docs.docker.com/go/dockerfile/rule/maintainer-deprecated/
    Maintainer instruction is deprecated in favor of using label
    Dockerfile:2
    --------------------
       1 |     FROM scratch
       2 | >>> MAINTAINER me
       3 |     ENV A=1
       4 |     
    --------------------
    ");
    let outcome = docker("FROM scratch\nMAINTAINER me\n", &["--call=check,ignorestatus=true,format=json"]).success();
    let mut told: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(
        told["warnings"].take(),
        json!([{
            "ruleName": "MaintainerDeprecated",
            "description": "The MAINTAINER instruction is deprecated, use a label instead to define an image author",
            "url": "https://docs.docker.com/go/dockerfile/rule/maintainer-deprecated/",
            "detail": "Maintainer instruction is deprecated in favor of using label",
            "location": {"ranges": [{"start": {"line": 2}, "end": {"line": 2}}]},
        }])
    );
    assert_eq!((&told["sources"][0]["filename"], told.get("buildError")), (&"Dockerfile".into(), None));
}

#[test]
fn what_is_no_question_is_refused() {
    call("describe", &[]).failure(2).says(&["there is no method `describe`", "outline"]);
    call("check,format=xml", &[]).failure(2).says(&["`format=xml` is not known"]);
    call("outline", &["--target=none"]).failure(2).says(&["there is no stage `none`"]);
    let spec = Tree::new().file("ocibake.toml", "[config]\nuser = \"1\"\n").plant();
    ask(&spec, &["--call=targets"]).failure(2).says(&["--call=targets is only for Dockerfiles"]);
    // A build is no question.
    ask(&context("FROM scratch\nCOPY Dockerfile /\n"), &["--call=build"]).digest();
}
