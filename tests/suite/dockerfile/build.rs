//! Dockerfiles through the program: where they are found, what flags do to them, and their checks.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::layout::{Image, Layout};
use crate::support::program::{Outcome, Program};
use crate::support::tree::Tree;

const SIMPLE: &str = "FROM scratch\nCOPY a /a\nENV A=1\n";

fn context(dockerfile: &str) -> TempDir {
    Tree::new().file("a", "content").file("Dockerfile", dockerfile).plant()
}

fn images(context: &TempDir, flags: &[&str]) -> Vec<Image> {
    Program::new().images(context.path(), flags)
}

/// What the program makes of `input` on its standard input.
fn fed(arguments: &[&str], input: &[u8]) -> Outcome {
    let program = Program::new();
    let mut command = program.command(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // One that does not read to the end is no failure of this test.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Outcome { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn variables(image: &Image) -> Vec<&str> {
    image.config["config"]["Env"].as_array().unwrap().iter().filter_map(Value::as_str).skip(1).collect()
}

#[test]
fn it_is_built_where_there_is_no_spec_or_it_is_named() {
    let both = Tree::new().file("a", "").file("Dockerfile", SIMPLE).file("ocibake.toml", "title = \"spec\"").plant();
    let is_of_spec = |flags: &[&str]| images(&both, flags)[0].config["config"]["Env"].is_null();
    assert!(is_of_spec(&[]));
    let dockerfile = both.path().join("Dockerfile");
    assert!(!is_of_spec(&["-f", dockerfile.to_str().unwrap()]));
    fs::remove_file(both.path().join("ocibake.toml")).unwrap();
    assert!(!is_of_spec(&[]));
    fs::rename(&dockerfile, both.path().join("dockerfile")).unwrap();
    assert!(!is_of_spec(&[]));
}

#[test]
fn standard_input_is_a_dockerfile_or_a_context() {
    let context = context(SIMPLE);
    let place = context.path().to_str().unwrap();
    let named = fed(&["build", place, "-f", "-"], b"FROM scratch\nCOPY a /b\n").digest();
    let from_file = context.path().join("other");
    fs::write(&from_file, "FROM scratch\nCOPY a /b\n").unwrap();
    let program = Program::new();
    assert_eq!(program.run(["build", place, "-f", from_file.to_str().unwrap()]).digest(), named);
    fed(&["build", "-"], b"FROM scratch\nLABEL a=b\n").digest();
    let outcome = fed(&["build", "-"], SIMPLE.as_bytes()).failure(1);
    outcome.says(&["there is no `a` in the context (it is empty: only a Dockerfile was given)", "2 | COPY a /a"]);
}

#[test]
fn layers_are_the_same_for_all_platforms_that_do_not_matter() {
    let context = context("FROM scratch\nARG TARGETARCH\nCOPY a /a\nCOPY a /$TARGETARCH\n");
    let images = images(&context, &["--platform", "linux/amd64,linux/arm64"]);
    assert_eq!(images.iter().map(Image::platform).collect::<Vec<_>>(), ["linux/amd64", "linux/arm64"]);
    assert_eq!(images[0].layers[0], images[1].layers[0]);
    assert_ne!(images[0].layers[1], images[1].layers[1]);
}

#[test]
fn flags_go_over_what_it_says() {
    let context = context("FROM scratch\nENV A=1 B=1\nLABEL l=1 m=1\nCMD [\"c\"]\n");
    let flags = ["--env", "B=2", "--label", "m=2", "--entrypoint", "/e", "--annotation", "n=3"];
    let image = &images(&context, &flags)[0];
    assert_eq!(variables(image), ["A=1", "B=2"]);
    let settings = &image.config["config"];
    assert_eq!((&settings["Labels"]["l"], &settings["Labels"]["m"]), (&Value::from("1"), &Value::from("2")));
    assert_eq!(settings["Entrypoint"], Value::from(vec!["/e"]));
    assert_eq!(image.manifest["annotations"]["n"], "3");
    let file = context.path().join("a");
    let added = images(&context, &["--add", &format!("{}:/added", file.display())]);
    assert_eq!(added[0].layers.len(), 1);
    let refused = Program::new().run(["build", context.path().to_str().unwrap(), "--base", "scratch"]).failure(2);
    refused.says(&["--base is not for Dockerfiles"]);
}

#[test]
fn the_time_is_that_of_the_build_argument() {
    let context = context(SIMPLE);
    let created = |flags: &[&str]| images(&context, flags)[0].config["created"].clone();
    // `date -u -d @1000 +%FT%TZ`
    assert_eq!(created(&["--build-arg", "SOURCE_DATE_EPOCH=1000"]), "1970-01-01T00:16:40Z");
    assert_eq!(created(&["--build-arg", "SOURCE_DATE_EPOCH=1000", "--timestamp", "0"]), "1970-01-01T00:00:00Z");
}

#[test]
fn build_arguments_come_from_the_environment_if_they_have_no_value() {
    let context = context("FROM scratch\nARG A=default\nARG B=default\nENV C=$A$B\n");
    let program = Program::new().environment("A", "of the environment");
    let images = program.images(context.path(), &["--build-arg", "A", "--build-arg", "B"]);
    assert_eq!(variables(&images[0]), ["C=of the environmentdefault"]);
}

#[test]
fn checks_end_with_what_they_find() {
    let clean = context(SIMPLE);
    let run = |context: &TempDir, flags: &[&str]| {
        Program::new().run([&["build", context.path().to_str().unwrap(), "--check"], flags].concat())
    };
    assert_eq!(run(&clean, &[]).success().stdout, "no warnings\n");
    let odd = context("FROM scratch\nMAINTAINER me\nLABEL a=$B\n");
    let outcome = run(&odd, &[]).failure_with_result(1).says(&["2 warnings"]);
    assert!(outcome.stdout.contains("MaintainerDeprecated: ") && outcome.stdout.contains("--> "), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("3 | LABEL a=$B"), "{}", outcome.stdout);
    // Such a Dockerfile builds, unless it asks for more.
    let place = odd.path().to_str().unwrap();
    Program::new().run(["build", place]).success().says(&["UndefinedVar: Usage of undefined variable '$B'"]);
    fs::write(odd.path().join("Dockerfile"), "# check=error=true\nFROM scratch\nMAINTAINER me\n").unwrap();
    Program::new().run(["build", place]).failure(1).says(&["MaintainerDeprecated", "Dockerfile:3"]);
    // BuildKit has no word on variables in EXPOSE.
    let port = context("# check=error=true\nFROM scratch\nEXPOSE ${PORT}\n");
    assert_eq!(run(&port, &[]).success().stdout, "no warnings\n");
    // Nothing is executed, so what cannot be is no matter.
    let run_only = context("FROM scratch\nRUN make\n");
    assert_eq!(run(&run_only, &[]).success().stdout, "no warnings\n");
}

/// The cases are BuildKit's own (`dockerfile_lint_test.go` and `validations_test.go` in its sources).
#[test]
fn copies_of_what_the_context_leaves_out_are_told_of() {
    for (ignore, line, expected) in [
        ("secret\n", "COPY secret /", Some("Copy file \"secret\"")),
        ("secret\n", "COPY ./secret a /", Some("Copy file \"secret\"")),
        ("secret\n", "ADD secret /", Some("Add file \"secret\"")),
        ("d\n", "COPY a d/f /", Some("Copy file \"d/f\"")),
        ("*\n", "COPY . .", Some("Copy file \".\"")),
        ("**\n", "COPY . .", Some("Copy file \".\"")),
        ("**/*\n", "COPY . .", Some("Copy file \".\"")),
        ("**/a\n", "COPY . .", None),
        ("secret\n", "COPY . .", None),
        ("*\n!a\n", "COPY . .", None),
        ("secret\n", "COPY secre[t] /", None),
        ("secret\n", "COPY --from=0 secret /", None),
        ("secret\n", "ADD http://127.0.0.1:1/secret /", None),
    ] {
        let dockerfile = format!("FROM scratch\nFROM scratch\n{line}\n");
        let tree = Tree::new().file("a", "").file("secret", "").file("d/f", "").file(".dockerignore", ignore);
        let context = tree.file("Dockerfile", &dockerfile).plant();
        let outcome = Program::new().run(["build", context.path().to_str().unwrap(), "--check"]);
        match expected {
            None => assert_eq!(outcome.success().stdout, "no warnings\n", "{ignore}{line}"),
            Some(file) => {
                let expected = format!("CopyIgnoredFile: Attempting to {file} that is excluded by .dockerignore");
                assert!(outcome.stdout.contains(&expected), "{ignore}{line}: {}", outcome.stdout);
            }
        }
    }
}

/// BuildKit takes it, with a warning unless it has a name of `--build-context`; so does a spec.
#[test]
fn a_base_for_one_platform_is_taken_for_others() {
    let base = context(SIMPLE);
    let layout = base.path().join("base/");
    let place = base.path().to_str().unwrap();
    Program::new().run(["build", place, "--platform", "linux/amd64", "-o", layout.to_str().unwrap()]).success();
    let platforms = ["--platform", "linux/amd64,linux/arm64"];
    let above = context("FROM base\nCOPY a /b\n");
    let named = format!("base=oci-layout://{}", base.path().join("base").display());
    let place = tempfile::tempdir().unwrap();
    let build = |context: &TempDir, name: &str, flags: &[&str]| {
        let out = format!("{}/{name}/", place.path().display());
        let flags = [&["build", context.path().to_str().unwrap(), "-o", &out], flags].concat();
        let outcome = Program::new().run(flags).success();
        let layout = Layout::open(&out);
        let index: Value =
            serde_json::from_slice(&fs::read(layout.blob(layout.roots()[0]["digest"].as_str().unwrap())).unwrap())
                .unwrap();
        let listed = index["manifests"].as_array().map(|all| all.iter().map(|one| one["platform"].clone()).collect());
        let listed: Vec<Value> = listed.unwrap_or_default();
        let listed = listed.iter().map(|platform| platform["architecture"].as_str().unwrap().to_owned()).collect();
        let images = layout.images().iter().map(Image::platform).collect();
        (listed, images, outcome)
    };
    let both: (Vec<String>, Vec<String>) =
        (vec!["amd64".to_owned(), "arm64".to_owned()], vec!["linux/amd64".to_owned(), "linux/arm64".to_owned()]);
    let (listed, images, _) = build(&above, "dockerfile", &[&platforms[..], &["--build-context", &named]].concat());
    assert_eq!((listed, images), both);
    let spec = Tree::new().file("a", "").file("ocibake.toml", format!("base = \"oci:{}\"\n", layout.display())).plant();
    let (listed, images, outcome) = build(&spec, "spec", &platforms);
    assert_eq!((listed, images), both);
    outcome.says(&["is for linux/amd64, but the build is for linux/arm64"]);
}

#[test]
fn scratch_is_a_context() {
    let context = context("FROM basis\nCOPY a /\nCOPY --from=basis / /\n");
    let images = images(&context, &["--build-context", "basis=docker-image://scratch"]);
    assert_eq!(images[0].layers.len(), 1);
    assert_eq!(images[0].config["config"]["WorkingDir"], "/");
}

#[test]
fn what_a_spec_has_no_use_for_is_refused() {
    let context = Tree::new().file("ocibake.toml", "").plant();
    for flag in ["--target=x", "--build-arg=A=1", "--build-context=a=."] {
        let outcome = Program::new().run(["build", context.path().to_str().unwrap(), flag]).failure(2);
        outcome.says(&["is only for Dockerfiles"]);
    }
    let outcome = Program::new().run(["build", context.path().to_str().unwrap(), "--check"]).failure(2);
    outcome.says(&["--check is only for Dockerfiles"]);
}

#[test]
fn outputs_of_one_build_agree_with_the_store() {
    let context = context(SIMPLE);
    let place = tempfile::tempdir().unwrap();
    let program = Program::new().directory(place.path());
    let path = context.path().to_str().unwrap();
    let digest = program.run(["build", path, "-t", "x:1", "-o", "layout/", "-o", "a.tar"]).digest();
    let roots = Layout::open(place.path().join("layout")).roots();
    assert_eq!(roots[0]["digest"], digest.as_str());
    assert_eq!(program.run(["build", path]).digest(), digest, "again, from the store");
    assert_eq!(Program::new().run(["build", path, "--jobs", "1", "--no-cache"]).digest(), digest, "anew");
}
