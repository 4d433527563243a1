//! `ocibake build`: spec and flags, what is found where, platforms, names, times and labels.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ocibake::source::modified::FILES_TIME;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::layout::{Image, Layout};
use crate::support::program::Program;
use crate::support::tree::Tree;

const CREATED: &str = "org.opencontainers.image.created";

const SPEC: &str = r#"
name = "example/app"
platforms = ["linux/amd64", "linux/arm64"]
[[layer]]
add = [{ from = "files", to = "/srv/" }]
[config]
entrypoint = ["/bin/app", "--serve"]
cmd = ["now"]
env = { A = "1", B = "2" }
user = "1000:1000"
workdir = "/srv"
ports = [8080, "53/udp"]
volumes = ["/data"]
stop-signal = "SIGINT"
shell = ["/bin/sh", "-c"]
on-build = ["RUN true"]
healthcheck = { test = ["CMD", "/bin/app", "--health"], interval = "1m30s", timeout = "5s", start-period = "2s", start-interval = "1s", retries = 3 }
[labels]
"org.example.a" = "spec"
"org.example.b" = "spec"
[annotations]
"org.example.c" = "spec"
"org.example.d" = "spec"
"#;

#[test]
fn flags_alone_make_the_image_that_the_spec_makes() {
    let context = context(SPEC);
    let program = Program::new().directory(context.path());
    let by_spec = program.run(["build", "."]).digest();
    fs::remove_file(context.path().join("ocibake.toml")).unwrap();
    let by_flags = program.run([
        "build",
        "--platform=linux/amd64,linux/arm64",
        "--base=scratch",
        "--add=files:/srv/",
        r#"--entrypoint=["/bin/app", "--serve"]"#,
        "--cmd=now",
        "-eA=1",
        "--env=B=2",
        "--user=1000:1000",
        "-w/srv",
        "--expose=8080",
        "--expose=53/udp",
        "--volume=/data",
        "--stop-signal=SIGINT",
        r#"--shell=["/bin/sh", "-c"]"#,
        "--on-build=RUN true",
        r#"--health-cmd=["/bin/app", "--health"]"#,
        "--health-interval=1m30s",
        "--health-timeout=5s",
        "--health-start-period=2s",
        "--health-start-interval=1s",
        "--health-retries=3",
        "--label=org.example.a=spec",
        "--label=org.example.b=spec",
        "--annotation=org.example.c=spec",
        "--annotation=org.example.d=spec",
    ]);
    assert_eq!(by_flags.digest(), by_spec);
}

#[test]
fn flags_over_a_spec_replace_lists_and_merge_maps() {
    let context = context(SPEC);
    fs::write(context.path().join("extra"), "more").unwrap();
    let images = build(
        &context,
        &[
            &format!("--add={}:/etc/extra", context.path().join("extra").display()),
            "--entrypoint=/bin/other",
            "--expose=9090",
            "--volume=/cache",
            "--volume=/more",
            "--on-build=RUN false",
            "-eB=flag",
            "-eC=flag",
            "--label=org.example.b=flag",
            "--annotation=org.example.d=flag",
            "--no-healthcheck",
        ],
    );
    for image in &images {
        let config = &image.config["config"];
        assert_eq!(config["Entrypoint"], json!(["/bin/other"]));
        assert_eq!(config["Cmd"], json!(["now"]), "what no flag sets is the spec's");
        assert_eq!(config["ExposedPorts"], json!({"9090/tcp": {}}));
        assert_eq!(config["Volumes"], json!({"/cache": {}, "/more": {}}));
        assert_eq!(config["OnBuild"], json!(["RUN false"]));
        assert_eq!(config["Env"], json!(["A=1", "B=flag", "C=flag"]));
        assert_eq!(config["Labels"]["org.example.a"], "spec");
        assert_eq!(config["Labels"]["org.example.b"], "flag");
        assert_eq!(image.manifest["annotations"]["org.example.c"], "spec");
        assert_eq!(image.manifest["annotations"]["org.example.d"], "flag");
        assert_eq!(config["Healthcheck"], json!({"Test": ["NONE"]}));
        assert_eq!(image.layers.len(), 2, "adds are one more layer");
        let above = fs::read(&image.layers[1]).unwrap();
        let names = tar_names(&above);
        assert_eq!(names, ["etc/", "etc/extra"]);
    }
}

#[test]
fn adds_without_a_context_say_it_all_where_there_is_no_spec() {
    let place = Tree::new().file("files/a", "content").plant();
    let program = Program::new().directory(place.path());
    program.run(["build", "--platform=linux/amd64", "--add=files/a:/a", "-o", "out/"]).success();
    let image = only_image(&place.path().join("out"));
    assert_eq!(tar_names(&fs::read(&image.layers[0]).unwrap()), ["a"]);
    // One that is there counts, whether its context is named or not.
    fs::write(place.path().join("ocibake.toml"), "this is no spec").unwrap();
    program.run(["build", ".", "--add=files/a:/a"]).failure(1).says(&["ocibake.toml:1"]);
    program.run(["build", "--add=files/a:/a"]).failure(1).says(&["ocibake.toml:1"]);
}

#[test]
fn adds_with_a_context_that_has_no_spec() {
    let place = Tree::new().file("a", "a").plant();
    let program = Program::new().directory(place.path());
    program.run(["build", ".", "--platform=linux/amd64", "--add=a:/a", "-o", "out/"]).success();
    assert_eq!(only_image(&place.path().join("out")).layers.len(), 1);
}

#[test]
fn another_file_is_the_spec() {
    let context = context("this is no spec");
    let elsewhere = Tree::new().file("other.toml", SPEC).plant();
    let file = elsewhere.path().join("other.toml");
    let other = build_digest(&context, &["-f", file.to_str().unwrap()]);
    fs::write(context.path().join("ocibake.toml"), SPEC).unwrap();
    assert_eq!(other, build_digest(&context, &[]));
    // As with docker, FILE is relative to the working directory, not to the context.
    let program = Program::new().directory(elsewhere.path());
    let relative = program.run(["build", "-f", "other.toml", context.path().to_str().unwrap()]);
    assert_eq!(relative.digest(), other);
}

#[test]
fn what_was_looked_for_is_said() {
    let empty = Tree::new().file("x", "").plant();
    let run = |arguments: &[&str]| {
        let program = Program::new().directory(empty.path());
        let outcome = program.run([&["build"], arguments].concat()).failure(1);
        outcome.stderr.replace(empty.path().to_str().unwrap(), "CONTEXT")
    };
    insta::assert_snapshot!(run(&[]), @r"
    error: there is no ocibake.toml and no Dockerfile in .
      hint: name another file with -f, another context, or say it all with --add SRC:DST
    ");
    insta::assert_snapshot!(run(&["-f", "none.toml"]), @r"
    error: cannot read none.toml
      caused by: No such file or directory (os error 2)
    ");
    insta::assert_snapshot!(run(&["none"]), @r"
    error: there is no context none
      hint: a context is a directory, a tar, the URL of a tar, a git repository (https://HOST/PATH.git#BRANCH:DIRECTORY), or - for the standard input
    ");
    insta::assert_snapshot!(run(&["x"]), @r"
    error: x is not an archive, or it is empty
      hint: a tar is taken, as it is or compressed with gzip, bzip2, xz or zstd
    ");
}

#[test]
fn platforms_are_narrowed_and_widened() {
    let context = context(SPEC);
    let platforms = |list: &str| {
        let images = build(&context, &["--platform", list]);
        images.iter().map(Image::platform).collect::<Vec<_>>()
    };
    assert_eq!(platforms("linux/arm64"), ["linux/arm64"]);
    assert_eq!(platforms("linux/s390x,linux/arm/v7,linux/amd64"), ["linux/s390x", "linux/arm/v7", "linux/amd64"]);
}

#[test]
fn one_platform_is_a_manifest_unless_an_index_is_wanted() {
    let context = context(SPEC);
    let kind = |flags: &[&str]| {
        let place = tempfile::tempdir().unwrap();
        let out = format!("{}/out/", place.path().display());
        Program::new().run([&["build", context.path().to_str().unwrap(), "-o", &out], flags].concat()).success();
        let roots = Layout::open(place.path().join("out")).roots();
        roots[0]["mediaType"].as_str().unwrap().to_owned()
    };
    let (manifest, index) = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json");
    assert_eq!(kind(&["--platform=linux/amd64"]), manifest);
    assert_eq!(kind(&["--platform=linux/amd64", "--index"]), index);
    assert_eq!(kind(&[]), index);
}

#[test]
fn several_names_and_the_files_that_tell_of_them() {
    let context = context(SPEC);
    let place = tempfile::tempdir().unwrap();
    let program = Program::new().directory(place.path());
    let names = ["-t", "example/app:v1.2.3", "-t", "registry.example:5000/app", "-t", "example/app:v1.2.3"];
    let files = ["--iidfile", "iid", "--metadata-file", "metadata.json", "-o", "out/"];
    let outcome = program.run([&["build", context.path().to_str().unwrap()], &names[..], &files].concat());
    let digest = outcome.digest();
    assert_eq!(fs::read_to_string(place.path().join("iid")).unwrap(), digest);

    let metadata: Value = serde_json::from_slice(&fs::read(place.path().join("metadata.json")).unwrap()).unwrap();
    let layout = Layout::open(place.path().join("out"));
    let index = fs::read(layout.blob(&digest)).unwrap();
    assert_eq!(metadata["containerimage.digest"], digest.as_str());
    assert_eq!(metadata["containerimage.descriptor"]["digest"], digest.as_str());
    assert_eq!(metadata["containerimage.descriptor"]["size"], index.len());
    assert_eq!(metadata["containerimage.descriptor"]["mediaType"], "application/vnd.oci.image.index.v1+json");
    assert_eq!(metadata["image.name"], "docker.io/example/app:v1.2.3,registry.example:5000/app:latest");
    assert_eq!(metadata["containerimage.config.digest"], Value::Null, "an index has several");

    let roots = layout.roots();
    let full: Vec<_> = roots.iter().map(|root| &root["annotations"]["io.containerd.image.name"]).collect();
    assert_eq!(full, ["docker.io/example/app:v1.2.3", "registry.example:5000/app:latest"]);
    let version = layout.images()[0].config["config"]["Labels"]["org.opencontainers.image.version"].clone();
    assert_eq!(version, "1.2.3", "from the first name that has a version");
}

#[test]
fn the_metadata_of_one_image_has_the_digest_of_its_config() {
    let context = context(SPEC);
    let place = tempfile::tempdir().unwrap();
    let program = Program::new().directory(place.path());
    let files = ["--platform=linux/amd64", "--metadata-file", "metadata.json", "-o", "out/"];
    program.run([&["build", context.path().to_str().unwrap()], &files[..]].concat()).success();
    let metadata: Value = serde_json::from_slice(&fs::read(place.path().join("metadata.json")).unwrap()).unwrap();
    let image = &Layout::open(place.path().join("out")).images()[0];
    assert_eq!(metadata["containerimage.config.digest"], image.manifest["config"]["digest"]);
}

#[test]
fn without_a_name_the_spec_names_it() {
    let context = context(SPEC);
    let place = tempfile::tempdir().unwrap();
    let program = Program::new().directory(place.path());
    program.run(["build", context.path().to_str().unwrap(), "-o", "out/"]).success();
    let roots = Layout::open(place.path().join("out")).roots();
    assert_eq!(roots[0]["annotations"]["io.containerd.image.name"], "docker.io/example/app:latest");
}

#[test]
fn a_name_with_a_digest_is_refused() {
    let context = context(SPEC);
    let name = format!("example/app@sha256:{}", "0".repeat(64));
    let program = Program::new();
    program
        .run(["build", "-t", &name, context.path().to_str().unwrap()])
        .failure(2)
        .says(&["digest", "give a name and a tag"]);
}

#[test]
fn times_come_from_the_flag() {
    let context = context(SPEC);
    let old = fs::File::create(context.path().join("files/old")).unwrap();
    old.set_modified(UNIX_EPOCH + Duration::from_secs(1_111_111_111)).unwrap();

    let image = build_one(&context, Program::new(), &["--timestamp=1700000000"]);
    assert_eq!(image.times("srv/old"), ("2023-11-14T22:13:20Z".to_owned(), 1_700_000_000));

    let before = now();
    let image = build_one(&context, Program::new(), &["--timestamp=now"]);
    assert!((before..=now()).contains(&image.times("srv/old").1));

    let image = build_one(&context, Program::new(), &["--timestamp=preserve"]);
    assert_eq!(image.times("srv/old"), ("1970-01-01T00:00:00Z".to_owned(), 1_111_111_111));

    let program = Program::new();
    let path = context.path().to_str().unwrap();
    program.run(["build", path, "--timestamp=git"]).failure(1).says(&["not in a git checkout"]);
    program.run(["build", path, "--timestamp=yesterday"]).failure(2).says(&["yesterday", "seconds since 1970"]);
    program.run(["build", path, "--timestamp=-5"]).failure(1).says(&["-5", "1970"]);
    program.run(["build", path, "--timestamp", "-5"]).failure(1).says(&["-5", "1970"]);
}

#[test]
fn files_have_the_first_time_that_a_zip_archive_can_hold() {
    // `date -u -d 1980-01-01T00:00:00Z +%s`
    assert_eq!(FILES_TIME, 315_532_800);
    let context = context(SPEC);
    let image = build_one(&context, Program::new(), &[]);
    for path in ["srv", "srv/a"] {
        assert_eq!(image.times(path).1, 315_532_800, "{path}");
    }
}

#[test]
fn source_date_epoch_stands_for_the_time() {
    let context = context(SPEC);
    let program = || Program::new().environment("SOURCE_DATE_EPOCH", "1600000000");
    let image = build_one(&context, program(), &[]);
    assert_eq!(image.times("srv/a"), ("2020-09-13T12:26:40Z".to_owned(), FILES_TIME));
    assert_eq!(image.config["config"]["Labels"][CREATED], "2020-09-13T12:26:40Z");
    let image = build_one(&context, program(), &["--timestamp=1"]);
    assert_eq!(image.times("srv/a"), ("1970-01-01T00:00:01Z".to_owned(), 1), "the flag wins");
    let image = build_one(&context, Program::new().environment("SOURCE_DATE_EPOCH", ""), &[]);
    assert_eq!(image.times("srv/a"), ("1970-01-01T00:00:00Z".to_owned(), FILES_TIME));
    for pairs in [&image.config["config"]["Labels"], &image.manifest["annotations"]] {
        assert_eq!(pairs.get(CREATED), None, "nobody knows when it was made");
    }
    let wrong = Program::new().environment("SOURCE_DATE_EPOCH", "soon");
    wrong.run(["build", context.path().to_str().unwrap()]).failure(2).says(&["SOURCE_DATE_EPOCH", "soon"]);
    wrong.run(["tags", "r.example/api:1"]).success();
}

#[test]
fn without_a_home_only_what_needs_the_store_asks_for_it() {
    let context = context(SPEC);
    let place = tempfile::tempdir().unwrap();
    let (path, out) = (context.path().to_str().unwrap(), format!("{}/out/", place.path().display()));
    Program::new().run(["build", path, "-o", &out]).success();
    let program = Program::new().environment("HOME", "").environment("OCIBAKE_STORE", "");
    program.run(["tag", "x/y:1", "x/z:1"]).failure(2).says(&["neither HOME nor XDG_CACHE_HOME", "set OCIBAKE_STORE"]);
    program.run(["pull", "127.0.0.1:1/x/y:1"]).failure(2).says(&["set OCIBAKE_STORE"]);
    // A build has one for as long as it takes.
    program.run(["build", path]).success().says(&["neither HOME nor XDG_CACHE_HOME", "OCIBAKE_STORE names a place"]);
    program.run(["inspect", &format!("oci:{out}")]).success();
    program.run(["tags", "r.example/api:1"]).success();
}

#[test]
fn a_spec_that_never_ends() {
    let context = context(SPEC);
    let outcome = Program::new().run(["build", context.path().to_str().unwrap(), "-f", "/dev/zero"]);
    outcome.failure(1).says(&["/dev/zero has more than 16777216 bytes"]);
}

#[test]
fn result_files_that_cannot_be_written_are_found_before_the_build() {
    let context = context(SPEC);
    let place = tempfile::tempdir().unwrap();
    let program = Program::new().directory(place.path());
    for flag in ["--iidfile", "--metadata-file"] {
        for file in ["missing/file", "/dev/null"] {
            let outcome = program.run(["build", context.path().to_str().unwrap(), "-o", "x.tar", flag, file]);
            outcome.failure(1).says(&[file]);
            assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
        }
    }
}

#[test]
fn the_image_that_goes_nowhere_is_pointed_out() {
    let named = context(SPEC);
    let context = context(&SPEC.replace("name = \"example/app\"\n", ""));
    let program = Program::new();
    let path = context.path().to_str().unwrap();
    let outcome = program.run(["build", path]);
    assert!(outcome.stderr.contains("warning: the image has no name and no output"));
    outcome.digest();
    // What has a name is in the local store under it.
    let outcome = program.run(["build", named.path().to_str().unwrap()]).success();
    assert!(!outcome.stderr.contains("warning") && outcome.stderr.contains("named docker.io/example/app:latest"));
    let outcome = program.run(["build", path, "-o", "x.tar"]).success();
    assert!(!outcome.stderr.contains("warning"));
}

#[test]
fn flags_that_are_wrong_are_named() {
    let context = context(SPEC);
    for (flag, parts) in [
        ("--add=files", ["--add", "files"]),
        ("--platform=linux/amd46", ["--platform", "did you mean `amd64`?"]),
        ("--label==x", ["--label", "is empty"]),
        ("--annotation=x", ["--annotation", "key=value"]),
        ("--entrypoint=[1]", ["--entrypoint", "JSON"]),
        ("--env=A", ["--env", "NAME=value"]),
        ("--user=a:b:c", ["--user", "a:b:c"]),
        ("--workdir=srv", ["--workdir", "absolute"]),
        ("--expose=0", ["--expose", "65535"]),
        ("--volume=data", ["--volume", "absolute"]),
        ("--stop-signal=SIGTREM", ["--stop-signal", "did you mean `SIGTERM`?"]),
    ] {
        Program::new().run(["build", context.path().to_str().unwrap(), flag]).failure(2).says(&parts);
    }
    let flags = ["--health-cmd=x", "--health-interval=often"];
    let outcome = Program::new().run([&["build", context.path().to_str().unwrap()], &flags[..]].concat());
    outcome.failure(2).says(&["--health-interval: `often`"]);
}

#[test]
fn a_file_that_would_be_a_whiteout_is_pointed_out() {
    let context = Tree::new().file("d/.wh.a", "").file("d/.wharf", "").file("e/.wharf", "").plant();
    // What has been there for a while is not looked into again.
    std::thread::sleep(Duration::from_millis(300));
    let program = Program::new().directory(context.path());
    let said = |add: &str| program.run(["build", "--add", add]).success().stderr;
    assert!(said("d:/x").contains("warning: /x/.wh.a will not be a file in the image"));
    assert!(said("d:/x").contains("warning: /x/.wh.a"), "of a layer that is known, too");
    assert!(!said("e:/x").contains("will not be"));
}

#[test]
fn usage_is_explained_with_code_2() {
    for (arguments, parts) in [
        (&["build", "a", "b"][..], ["b", "Usage: ocibake build"]),
        (&["build", "--health-retries=3"], ["--health-cmd", "Usage: ocibake build"]),
        (&["build", "--health-cmd=x", "--no-healthcheck"], ["--no-healthcheck", "Usage: ocibake build"]),
        (&["build", "--jobs=many"], ["many", "--jobs"]),
        (&["build", "--compression=gzp"], ["gzp", "gzip"]),
        (&["build", "--compression=gzip:13"], ["gzip:13", "1 to 12"]),
        (&["build", "--compression=estargz:13"], ["estargz:13", "estargz[:1 to 12]"]),
        (&["build", "--progress=loud"], ["loud", "quiet"]),
        (&["bild"], ["bild", "build"]),
        (&[], ["Usage: ocibake", "Commands:"]),
    ] {
        Program::new().run(arguments).failure(2).says(&parts);
    }
}

fn context(spec: &str) -> TempDir {
    Tree::new().file("ocibake.toml", spec).file("files/a", "content").plant()
}

fn build_digest(context: &TempDir, flags: &[&str]) -> String {
    Program::new().run([&["build", context.path().to_str().unwrap()], flags].concat()).digest()
}

fn build(context: &TempDir, flags: &[&str]) -> Vec<Image> {
    Program::new().images(context.path(), flags)
}

fn only_image(layout: &Path) -> Image {
    let mut images = Layout::open(layout).images();
    assert_eq!(images.len(), 1);
    images.remove(0)
}

fn tar_names(layer: &[u8]) -> Vec<String> {
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(layer));
    tar.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().to_str().unwrap().to_owned()).collect()
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

fn build_one(context: &TempDir, program: Program, flags: &[&str]) -> Image {
    program.images(context.path(), &[flags, &["--platform=linux/amd64"]].concat()).remove(0)
}
