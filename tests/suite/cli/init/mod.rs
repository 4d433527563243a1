//! `ocibake init`: what it writes for what lies in a directory, and what it does not do.

mod build;
mod hostile;

use std::fs;
use std::path::Path;

use crate::support::program::{Outcome, Program};
use crate::support::tree::Tree;

fn init(directory: &Path, flags: &[&str]) -> Outcome {
    Program::new().directory(directory).run([&["init"], flags].concat())
}

/// The lines of a file that are no comments.
fn instructions(text: &str) -> Vec<String> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

/// What is printed for a tree, which has to be something.
#[track_caller]
fn printed(tree: &Tree, flags: &[&str]) -> String {
    let outcome = init(tree.plant().path(), &[flags, &["--print"]].concat()).success();
    outcome.stdout
}

fn cargo(name: &str) -> String {
    format!("[package]\nname = '{name}'\nversion = '0.3.0'\nedition = '2024'\n")
}

#[test]
fn a_spec_is_written_and_the_next_commands_are_told() {
    let place = Tree::new().file("Cargo.toml", cargo("api")).file("src/main.rs", "").file("Cargo.lock", "").plant();
    let outcome = init(place.path(), &[]).success();
    assert_eq!(outcome.stdout, "./ocibake.toml\n");
    insta::assert_snapshot!(outcome.stderr, @r"
    saw Cargo.toml: the package api, version 0.3.0, edition 2024: programs api
    saw Cargo.lock: the versions of what it depends on
    next: rustup target add x86_64-unknown-linux-musl
          cargo build --release --locked --bin api --target x86_64-unknown-linux-musl
          ocibake build -t api .
    ");
    // A spec takes what it names: there is no .dockerignore.
    let names: Vec<_> = fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 4, "{names:?}");
    let text = fs::read_to_string(place.path().join("ocibake.toml")).unwrap();
    assert!(text.contains("#   Cargo.toml: the package api, version 0.3.0, edition 2024: programs api\n"), "{text}");
    let spec: toml::Table = text.parse().unwrap();
    assert_eq!(spec["layer"][0]["add"][0]["from"].as_str(), Some("target/{triple}/release/api"));
    assert_eq!(spec["config"]["entrypoint"][0].as_str(), Some("/usr/bin/api"));
}

#[test]
fn a_directory_is_named_in_the_next_command() {
    let place = Tree::new().file("it's a/index.html", "").plant();
    let outcome = init(place.path(), &["it's a"]).success();
    assert_eq!(outcome.stdout, "it's a/ocibake.toml\n");
    assert!(outcome.stderr.ends_with("next: ocibake build -t it-s-a 'it'\\''s a'\n"), "{}", outcome.stderr);
}

#[test]
fn a_workspace_has_the_programs_of_its_members() {
    let place = Tree::new()
        .file("Cargo.toml", "[workspace]\nmembers = ['crates/*', 'tool', '../out']\n")
        .file("crates/lib/Cargo.toml", cargo("lib"))
        .file("crates/lib/src/lib.rs", "")
        .file("crates/server/Cargo.toml", format!("{}[[bin]]\nname = 'serve'\npath = 'src/main.rs'\n", cargo("server")))
        .file("crates/server/src/main.rs", "")
        .file("crates/server/src/bin/probe.rs", "")
        .file("tool/Cargo.toml", cargo("tool"))
        .file("tool/src/bin/convert/main.rs", "")
        .plant();
    let several = "there are several programs: probe, serve, convert";
    init(place.path(), &["--print"]).failure(2).says(&[several, "--program NAME"]);
    init(place.path(), &["--print", "--program=prob"]).failure(2).says(&["no program `prob`", "did you mean `probe`?"]);
    let text = init(place.path(), &["--print", "--bin", "serve", "--dockerfile"]).success().stdout;
    assert!(text.contains("cargo build --release --package server --bin serve && "), "{text}");
}

#[test]
fn what_a_module_of_go_says_is_seen() {
    let tree = Tree::new()
        .file("go.mod", "// a\nmodule example.org/team/svc/v2\n\ngo 1.22.3\n")
        .file("cmd/svc/main.go", "// x\npackage main\n")
        .file("cmd/tool/main.go", "package main\n")
        .file("cmd/lib/lib.go", "package lib\n")
        .file("gen.go", "//go:build ignore\n\npackage main\n");
    let text = printed(&tree, &["--dockerfile"]);
    assert!(text.contains("golang:1.22-alpine AS build\n") && text.contains("-o /out/svc ./cmd/svc\n"), "{text}");
    let text = printed(&tree, &["--program", "tool"]);
    assert!(text.contains("from = \"dist/{os}-{arch}/tool\""), "{text}");
}

#[test]
fn node_is_of_the_newest_version_that_will_do() {
    for (range, version) in [
        (">=18", 24),
        (">= 18 < 23", 22),
        ("^20 || ^22", 22),
        ("20.x", 20),
        ("18 - 20", 20),
        ("18", 18),
        ("~22.1", 24),
        ("nonsense", 24),
    ] {
        let tree = Tree::new()
            .file("package.json", format!(r#"{{"main": "./a.js", "engines": {{"node": "{range}"}}}}"#))
            .file("a.js", "");
        let text = printed(&tree, &[]);
        assert!(text.contains(&format!("\nFROM node:{version}-slim\n")), "{range}: {text}");
        assert!(text.ends_with("CMD [\"node\", \"a.js\"]\n"), "{text}");
    }
    let pinned = Tree::new().file("package.json", "{}").file("index.js", "").file(".nvmrc", "v20.11.1\n");
    assert!(printed(&pinned, &[]).contains("\nFROM node:20-slim\n"));
}

#[test]
fn python_is_of_the_newest_version_that_will_do() {
    for (range, version) in [
        (">=3.9", 13),
        (">=3.9,<3.12", 11),
        ("~=3.10", 13),
        ("==3.10.*", 10),
        (">=3.8, !=3.13.*", 12),
        ("^3.9", 13),
        (">3.9,<4", 13),
        ("<=3.9", 9),
    ] {
        let pyproject = format!("[project]\nname = 'a'\nrequires-python = '{range}'\n");
        let text = printed(&Tree::new().file("pyproject.toml", pyproject).file("main.py", ""), &[]);
        assert!(text.contains(&format!("\nFROM python:3.{version}-slim\n")), "{range}: {text}");
    }
}

#[test]
fn applications_of_python_are_found() {
    let cases: [(&str, &str, &str, &str); 6] = [
        (
            "fastapi\nuvicorn",
            "app/main.py",
            "from fastapi import FastAPI\napi: FastAPI = FastAPI(\n",
            "uvicorn app.main:api --host 0.0.0.0 --port 8000",
        ),
        (
            "Flask==3",
            "app.py",
            "import flask\napp = flask.Flask(__name__)\n",
            "flask --app app:app run --host 0.0.0.0 --port 8000",
        ),
        ("flask\nGunicorn>=20", "wsgi.py", "app = Flask(__name__)\n", "gunicorn --bind 0.0.0.0:8000 wsgi:app"),
        (
            "gunicorn",
            "manage.py",
            "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n",
            "gunicorn --bind 0.0.0.0:8000 shop.wsgi",
        ),
        ("", "main.py", "print(1)\n", "python main.py"),
        ("", "tool/__main__.py", "print(1)\n", "python -m tool"),
    ];
    for (requirements, file, text, command) in cases {
        let printed = printed(&Tree::new().file("requirements.txt", requirements).file(file, text), &[]);
        let words: Vec<String> = command.split(' ').map(|word| format!("\"{word}\"")).collect();
        assert!(printed.ends_with(&format!("CMD [{}]\n", words.join(", "))), "{file}: {printed}");
    }
    let nothing = init(Tree::new().file("requirements.txt", "").plant().path(), &["--print"]).success();
    assert!(nothing.stderr.contains("to be filled in: CMD"), "{}", nothing.stderr);
    assert!(nothing.stdout.contains("# To be filled in: CMD"), "{}", nothing.stdout);
}

#[test]
fn java_is_of_the_next_version_with_long_term_support() {
    for (file, text, version) in [
        ("pom.xml", "<project><properties><java.version>16</java.version></properties></project>", 17),
        (
            "pom.xml",
            "<project><!-- <release>8</release> --><maven.compiler.source>1.8</maven.compiler.source></project>",
            8,
        ),
        ("build.gradle", "// jvmToolchain(8)\nsourceCompatibility = JavaVersion.VERSION_11\n", 11),
        ("build.gradle.kts", "java { toolchain { languageVersion = JavaLanguageVersion.of(24) } }\n", 25),
        ("build.gradle.kts", "plugins { java }\n", 21),
    ] {
        let text = printed(&Tree::new().file(file, text), &[]);
        assert!(text.contains(&format!("\nFROM eclipse-temurin:{version}-jre\n")), "{text}");
    }
    let pom = "<project><parent><artifactId>parent</artifactId></parent><artifactId>shop</artifactId></project>";
    let place = Tree::new().file("pom.xml", pom).plant();
    init(place.path(), &[])
        .success()
        .says(&["next: ocibake build -t shop .", "to be filled in: pom.xml names no main class"]);
}

#[test]
fn of_several_kinds_the_first_is_taken_and_the_others_are_told_of() {
    let place = Tree::new()
        .file("go.mod", "module a\n")
        .file("main.go", "package main\n")
        .file("package.json", r#"{"scripts": {"start": "node x.js"}}"#)
        .file("public/index.html", "")
        .plant();
    let outcome = init(place.path(), &["--print"]).success();
    outcome.says(&["node, static is here, too: this is for go; take another with --kind node"]);
    let outcome = init(place.path(), &["--print", "--kind", "node"]).success();
    assert!(outcome.stdout.contains("FROM node:") && !outcome.stderr.contains("is here, too"), "{outcome:#?}");
    init(place.path(), &["--kind", "python", "--toml"]).failure(2).says(&["cannot install the packages of Python"]);
    init(place.path(), &["--kind", "rust"]).failure(1).says(&["there is no Cargo.toml"]);
    init(place.path(), &["--kind", "static", "--program", "x"]).failure(2).says(&["--program is for Rust and Go"]);
}

#[test]
fn where_nothing_is_found_it_says_what_it_looked_for() {
    let place = Tree::new().file("README", "").plant();
    let outcome = init(place.path(), &[]).failure(1);
    outcome.says(&[
        "nothing in . tells what it is",
        "  rust: Cargo.toml\n",
        "  java: pom.xml, build.gradle.kts",
        "public/index.html",
    ]);
    init(place.path(), &["nowhere"]).failure(1).says(&["cannot read nowhere"]);
    init(place.path(), &["README"]).failure(1).says(&["README is not a directory"]);
}

#[test]
fn a_file_that_is_there_stays_as_it_is() {
    let tree = || Tree::new().file("package.json", "{}").file("index.js", "");
    let cases = [
        (tree().file("Dockerfile", "FROM mine\n"), "./Dockerfile is there already"),
        (tree().file("dockerfile", "FROM mine\n"), "./dockerfile is there already"),
        (tree().file("ocibake.toml", "base = 'mine'\n"), "./ocibake.toml is there already"),
        // It leads nowhere, and nothing is written there.
        (tree().symlink("Dockerfile", "elsewhere"), "./Dockerfile is there already"),
    ];
    for (tree, message) in cases {
        let place = tree.plant();
        let before = crate::support::listing::Listing::of_directory(place.path());
        init(place.path(), &[]).failure(1).says(&[message]);
        crate::support::listing::Listing::of_directory(place.path()).assert_is(&before);
        init(place.path(), &["--print"]).success();
        crate::support::listing::Listing::of_directory(place.path()).assert_is(&before);
    }
    // Whoever asks for the other one gets it, and the .dockerignore stays.
    let place = tree().file("ocibake.toml", "base = 'mine'\n").file(".dockerignore", "mine\n").plant();
    assert_eq!(init(place.path(), &["--dockerfile"]).success().stdout, "./Dockerfile\n");
    assert_eq!(fs::read_to_string(place.path().join(".dockerignore")).unwrap(), "mine\n");
    let place = tree().plant();
    assert_eq!(init(place.path(), &[]).success().stdout, "./Dockerfile\n./.dockerignore\n");
}
