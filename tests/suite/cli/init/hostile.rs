//! Directories that were made to do harm.

use std::fs;

use super::{init, instructions, printed};
use crate::support::tree::Tree;

/// What would be an instruction, if it stood in a line of its own.
const INSTRUCTION: &str = r#"x\nRUN touch /owned\nUSER root # \" ' $(touch /owned) `id` \\"#;

#[test]
fn what_a_package_of_node_says_is_no_instruction() {
    let package = |name: &str, start: &str, engine: &str| {
        let text = format!(
            r#"{{"name": "{name}", "scripts": {{"start": "{start}", "build": "{start}"}}, "engines": {{"node": "{engine}"}}}}"#
        );
        printed(&Tree::new().file("package.json", text), &[])
    };
    let plain = package("web", "serve it", "^22");
    let hostile = package(INSTRUCTION, INSTRUCTION, &format!("^22 || {INSTRUCTION}"));
    assert!(hostile.contains(r"x\nRUN touch /owned\nUSER root"), "the comments tell of it: {hostile}");
    assert_eq!(instructions(&hostile), instructions(&plain));
    // Words of node itself stand there as what they are.
    assert!(package("a", r"node x.js \\\\", "^22").ends_with("CMD [\"npm\", \"start\"]\n"));
    assert!(package("a", "node --x=y src/a.js", "^22").ends_with("CMD [\"node\", \"--x=y\", \"src/a.js\"]\n"));
}

#[test]
fn what_a_project_of_python_says_is_no_instruction() {
    let project = |name: &str, python: &str, script: &str| {
        let text = format!(
            "[project]\nname = \"{name}\"\nrequires-python = \"{python}\"\n[project.scripts]\n\"{script}\" = \"a:b\"\n"
        );
        printed(&Tree::new().file("pyproject.toml", text).file("main.py", ""), &[])
    };
    let plain = project("web", ">=3.12,<3.13", "$(a)");
    let hostile = project(INSTRUCTION, &format!(">=3.12,<3.13,{INSTRUCTION}"), INSTRUCTION);
    let version = |line: &String| !line.starts_with("FROM");
    let of = |text: &str| instructions(text).into_iter().filter(version).collect::<Vec<_>>();
    assert_eq!(of(&hostile), of(&plain));
    assert!(hostile.contains("FROM python:3.1"), "{hostile}");
}

#[test]
fn what_a_project_of_java_says_is_no_instruction() {
    let pom = |name: &str| {
        printed(&Tree::new().file("pom.xml", format!("<project><artifactId>{name}</artifactId></project>")), &[])
    };
    assert_eq!(instructions(&pom("\"'$(touch/owned)`id`\\")), instructions(&pom("shop")));
    let gradle = |name: &str| {
        let tree =
            Tree::new().file("build.gradle", "").file("settings.gradle", format!("rootProject.name = '{name}'\n"));
        printed(&tree, &[])
    };
    assert_eq!(instructions(&gradle("$(touch /owned)`id`\\")), instructions(&gradle("shop")));
}

#[test]
fn a_name_that_a_shell_would_read_is_refused() {
    let cargo =
        |name: &str| Tree::new().file("Cargo.toml", format!("[package]\nname = \"{name}\"\n")).file("src/main.rs", "");
    for name in ["a\\nb", "$(touch x)", "a b", "a'b", "../a", "-rf", ""] {
        for form in ["--toml", "--dockerfile"] {
            init(cargo(name).plant().path(), &["--print", form]).failure(1).says(&["Cargo.toml has `"]);
        }
    }
    let program = Tree::new()
        .file("Cargo.toml", "[package]\nname = 'a'\n[[bin]]\nname = \"a;b\"\npath = 'x.rs'\n")
        .file("src/main.rs", "")
        .plant();
    init(program.path(), &["--print"]).failure(1).says(&["Cargo.toml has `a;b` as the name of a program"]);
    let go = Tree::new().file("go.mod", "module example.org/$(id)\n").file("main.go", "package main\n").plant();
    init(go.path(), &["--print"]).failure(1).says(&["go.mod has `$(id)`"]);
    // A directory with such a name is no program.
    let go = Tree::new()
        .file("go.mod", "module a\n")
        .file("cmd/a;b/main.go", "package main\n")
        .file("cmd/c/main.go", "package main\n")
        .plant();
    assert!(init(go.path(), &["--print", "--dockerfile"]).success().stdout.contains("-o /out/c ./cmd/c\n"));
}

#[test]
fn a_description_reads_as_what_it_was() {
    let description = "x\"\nbase = 'evil'\n[config]\nuser = 'root' # \\ \u{2028} \t é";
    let manifest = format!("[package]\nname = 'a'\ndescription = {:?}\n", description.replace('\u{2028}', "\u{2029}"));
    let manifest = manifest.replace("\\u{2029}", "\\u2028");
    let text = printed(&Tree::new().file("Cargo.toml", manifest).file("src/main.rs", ""), &[]);
    let spec: toml::Table = text.parse().unwrap();
    assert_eq!(spec["description"].as_str(), Some(description));
    assert_eq!((spec["base"].as_str(), spec["config"]["user"].as_str()), (Some("scratch"), Some("65532:65532")));
}

#[test]
fn nothing_outside_is_looked_at() {
    let outside = Tree::new()
        .file("Cargo.toml", "[package]\nname = 'secret'\n")
        .file("index.html", "")
        .file("main.rs", "")
        .plant();
    let out = |name: &str| outside.path().join(name).display().to_string();
    let place = Tree::new().symlink("Cargo.toml", out("Cargo.toml")).file("src/main.rs", "").plant();
    let outcome = init(place.path(), &["--kind", "rust"]).failure(1);
    assert!(!outcome.stderr.contains("secret"), "{}", outcome.stderr);
    outcome.says(&["Cargo.toml leads out of the context"]);
    // By what leads out nothing is known to be there.
    init(place.path(), &[]).failure(1).says(&["nothing in . tells what it is"]);
    let place = Tree::new().symlink("public", outside.path().to_str().unwrap()).plant();
    init(place.path(), &[]).failure(1).says(&["nothing in . tells what it is"]);
    let place =
        Tree::new().file("Cargo.toml", "[package]\nname = 'a'\n").symlink("src/main.rs", out("main.rs")).plant();
    init(place.path(), &[]).failure(1).says(&["has no program to be run"]);
    // Links within are followed.
    let place = Tree::new().file("web/index.html", "").symlink("public", "web").plant();
    assert!(init(place.path(), &[]).success().stderr.contains("saw public/index.html"));
}

#[test]
fn what_is_no_manifest_is_refused() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let cases = [
        (Tree::new().hole("package.json", 2 << 20), "node", "too large for a manifest"),
        (Tree::new().file("package.json", &deep), "node", "package.json is not JSON"),
        (Tree::new().file("Cargo.toml", format!("a = {deep}")), "rust", "Cargo.toml is not TOML"),
        (Tree::new().file("package.json", [0xff, 0xfe]), "node", "invalid utf-8"),
        (Tree::new().fifo("go.mod"), "go", "is a FIFO, not a file"),
        (Tree::new().directory("pom.xml"), "java", "there is none of pom.xml"),
        (Tree::new().file("package.json", "[]"), "node", "nothing in package.json says what is to be run"),
        (Tree::new().file("Cargo.toml", "package = 1\nworkspace = 2\nbin = 3\n"), "rust", "has no program to be run"),
    ];
    for (tree, kind, message) in cases {
        let place = tree.plant();
        init(place.path(), &["--kind", kind]).failure(1).says(&[message]);
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1, "nothing is left behind");
    }
}

#[test]
fn many_members_are_not_all_looked_at() {
    let mut tree = Tree::new().file("Cargo.toml", "[workspace]\nmembers = ['*']\n");
    for number in 0..600 {
        tree = tree.file(format!("m{number}/Cargo.toml"), format!("[package]\nname = 'm{number}'\n"));
    }
    init(tree.plant().path(), &[]).failure(1).says(&["more than 500 files"]);
}
