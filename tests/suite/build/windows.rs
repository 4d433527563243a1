//! Images for Windows: their layers, their paths and their settings are of another kind. What is expected is what BuildKit
//! writes where it runs on Linux (`util/winlayers` and `util/system/path.go` in its sources).

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;
use tempfile::TempDir;

use crate::support::handmade::{Blob, GZIP, Handmade, directory, file, tar};
use crate::support::layout::{Image, tar_of};
use crate::support::program::{Outcome, Program};
use crate::support::tree::Tree;

const WINDOWS: [&str; 2] = ["--platform", "windows/amd64"];

/// Mode, content and pax records of each member, in order.
fn members(layer: &Path) -> Vec<(String, u32, String, BTreeMap<String, String>)> {
    let mut archive = ::tar::Archive::new(tar_of(layer));
    let mut all = Vec::new();
    for member in archive.entries().unwrap() {
        let mut member = member.unwrap();
        let records = member.pax_extensions().unwrap().into_iter().flatten().map(Result::unwrap);
        let records = records.map(|record| (record.key().unwrap().to_owned(), record.value().unwrap().to_owned()));
        let records = records.collect();
        let path = String::from_utf8(member.path_bytes().into_owned()).unwrap();
        let mode = member.header().mode().unwrap();
        all.push((path, mode, std::io::read_to_string(&mut member).unwrap(), records));
    }
    all
}

fn paths(layer: &Path) -> Vec<String> {
    members(layer).into_iter().map(|(path, ..)| path).collect()
}

fn context(dockerfile: &str) -> TempDir {
    Tree::new().file("app.exe", "program").mode(0o644).file("d/é.txt", "text").file("Dockerfile", dockerfile).plant()
}

/// A base as those of Microsoft are, but for the registry's hives.
fn base(os: &str) -> (Handmade, String) {
    let entries = [
        directory("Files"),
        directory("Files/Windows"),
        file("Files/Windows/cmd.exe", "shell"),
        directory("Hives"),
        directory("UtilityVM"),
    ];
    let config = json!({
        "architecture": "amd64", "os": os, "os.version": "10.0.20348.1",
        "config": { "WorkingDir": "C:\\", "Env": ["A=1"] },
    });
    let base = Handmade::configured(&[Blob::of(&tar(&entries), GZIP)], config);
    let named = format!("base=oci-layout://{}:it", base.path().display());
    (base, named)
}

fn images(context: &TempDir, flags: &[&str]) -> Vec<Image> {
    Program::new().images(context.path(), flags)
}

fn build(context: &TempDir, flags: &[&str]) -> Outcome {
    Program::new().run([&["build", context.path().to_str().unwrap()], flags].concat())
}

#[test]
fn a_layer_has_its_files_below_files_and_says_what_windows_wants_to_know() {
    let context = context("FROM scratch\nCOPY app.exe C:\\\\bin\\\\\n");
    let images = images(&context, &[&WINDOWS[..], &["--timestamp", "7"]].concat());
    let found = members(&images[0].layers[0]);
    let names: Vec<(&str, u32, &str)> =
        found.iter().map(|(path, mode, content, _)| (&path[..], *mode, &content[..])).collect();
    let directory = 0o40_755;
    let expected = [
        ("Files/", directory, ""),
        ("Files/bin/", directory, ""),
        ("Files/bin/app.exe", 0o100_644, "program"),
        ("Hives/", directory, ""),
    ];
    assert_eq!(names, expected);
    for (path, _, _, records) in &found {
        let attributes = if path.ends_with('/') { "16" } else { "32" };
        assert_eq!(records["MSWINDOWS.fileattr"], attributes, "{path}");
        assert_eq!(records["LIBARCHIVE.creationtime"], "7.0", "{path}");
        assert_eq!(records.contains_key("MSWINDOWS.rawsd"), path.starts_with("Files/") && path != "Files/", "{path}");
        assert!(!records.keys().any(|key| key.starts_with("SCHILY")), "{records:?}");
    }
    // The group and the owner of both descriptors, which are administrators and the system: O:BAG:SY.
    let security = |number: usize| found[number].3["MSWINDOWS.rawsd"].clone();
    assert!(security(1).starts_with("AQAEgBQAAAAkAAAAAAAAADAAAAABAgAAAAAABSAAAAAgAgAAAQEAAAAAAAUSAAAA"));
    assert_ne!(security(1), security(2));
}

#[test]
fn settings_are_those_of_windows() {
    let context = context("FROM scratch\nCOPY app.exe /\nENTRYPOINT app.exe serve\nCMD app.exe \"a b\"\n");
    let images = images(&context, &WINDOWS);
    let config = &images[0].config["config"];
    assert_eq!(config["Env"], json!(null), "Windows knows by itself where its programs are");
    assert_eq!(config["WorkingDir"], "\\");
    assert_eq!(config["Entrypoint"], json!(["cmd", "/S", "/C", "app.exe serve"]));
    assert_eq!(config["Cmd"], json!(["cmd", "/S", "/C", "app.exe \"a b\""]));
    assert_eq!(config["ArgsEscaped"], true);
    assert_eq!(images[0].platform(), "windows/amd64");
}

#[test]
fn a_base_is_looked_into_and_passed_through() {
    let (_base, named) = base("windows");
    let context = context(concat!(
        "# escape=`\nFROM base\nUSER ContainerUser\nWORKDIR C:\\app\nCOPY app.exe .\nWORKDIR sub\n",
        "COPY d\\é.txt ..\\\nFROM base\nCOPY --from=0 C:\\app /app\nCOPY --from=base \\Windows\\cmd.exe c:\\copy\\\n",
    ));
    let flags = [&WINDOWS[..], &["--build-context", &named]].concat();
    let last = images(&context, &flags);
    assert_eq!(last[0].config["os.version"], "10.0.20348.1");
    assert_eq!(last[0].config["config"]["WorkingDir"], "C:\\");
    let layers = &last[0].layers;
    assert_eq!(paths(&layers[0])[..2], ["Files", "Files/Windows"], "those of the base as they are");
    let app = ["Files/", "Files/app/", "Files/app/app.exe", "Files/app/sub/", "Files/app/é.txt", "Hives/"];
    assert_eq!(paths(&layers[1]), app);
    assert_eq!(paths(&layers[2]), ["Files/", "Files/copy/", "Files/copy/cmd.exe", "Hives/"]);
}

#[test]
fn working_directories_keep_the_drive_that_they_are_written_with() {
    for (dockerfile, expected) in [
        ("# escape=`\nFROM scratch\nWORKDIR C:\\app\nWORKDIR sub\n", "C:\\app\\sub"),
        ("FROM scratch\nWORKDIR /app\nWORKDIR sub\n", "\\app\\sub"),
    ] {
        let context = context(dockerfile);
        let images = images(&context, &WINDOWS);
        assert_eq!(images[0].config["config"]["WorkingDir"], expected, "{dockerfile}");
        assert_eq!(paths(images[0].layers.last().unwrap()), ["Files/", "Files/app/", "Files/app/sub/", "Hives/"]);
    }
}

#[test]
fn what_windows_cannot_have_is_refused_by_name() {
    for (line, words) in [
        ("WORKDIR D:\\\\app", &["Dockerfile:2", "is not on the drive C:"][..]),
        ("COPY app.exe \\\\\\\\server\\\\share\\\\", &["Dockerfile:2", "is a network path"]),
        ("COPY links /", &["/link is a symbolic link"]),
        ("COPY a:b /", &["is not on the drive C:"]),
        ("COPY names /", &["/a:b has a name that Windows does not allow"]),
        ("COPY pipes /", &["/fifo is neither a file nor a directory"]),
    ] {
        let tree = Tree::new().file("app.exe", "").file("a:b", "").file("names/a:b", "").fifo("pipes/fifo");
        let tree = tree.symlink("links/link", "nowhere");
        let context = tree.file("Dockerfile", format!("FROM scratch\n{line}\n")).plant();
        build(&context, &WINDOWS).failure(1).says(words);
    }
}

/// No machine could unpack layers of both kinds over one another.
#[test]
fn windows_and_other_systems_do_not_stand_on_each_other() {
    let (_windows, named) = base("windows");
    let on_base = context("FROM base\nCOPY app.exe /\n");
    for flags in [&[][..], &["--platform", "linux/amd64"]] {
        let outcome = build(&on_base, &[flags, &["--build-context", &named]].concat()).failure(1);
        outcome.says(&["is for windows/amd64", "nothing for linux/", "--platform windows/amd64"]);
    }
    let (_linux, named) = base("linux");
    let outcome = build(&on_base, &[&WINDOWS[..], &["--build-context", &named]].concat()).failure(1);
    outcome.says(&["is for linux/amd64, and nothing for windows/amd64 can be based on it", "1 | FROM base"]);
    let mixed = context("FROM --platform=windows/amd64 base\nCOPY app.exe /\n");
    let (_windows, named) = base("windows");
    let outcome = build(&mixed, &["--platform", "linux/amd64", "--build-context", &named]).failure(1);
    outcome.says(&["is for windows/amd64, and cannot be the image for linux/amd64"]);
}

#[test]
fn a_spec_has_the_same_layers() {
    let spec = "platforms = [\"windows/amd64\", \"linux/amd64\"]\n[config]\nworkdir = 'C:\\app'\n[[layer]]\n\
                add = [{ from = \"app.exe\", to = \"/app/\" }]\n";
    let context = Tree::new().file("app.exe", "program").file("ocibake.toml", spec).plant();
    let images = images(&context, &[]);
    assert_eq!(images[0].config["config"]["WorkingDir"], "C:\\app");
    assert_eq!(paths(&images[0].layers[0]), ["Files/", "Files/app/", "Files/app/app.exe", "Hives/"]);
    assert!(
        paths(&images[1].layers[0]).iter().all(|path| path.starts_with("app")),
        "{:?}",
        paths(&images[1].layers[0])
    );
    // Known from the first build, they are the same.
    let program = Program::new();
    let path = context.path().to_str().unwrap();
    let first = program.run(["build", path]).digest();
    assert_eq!(program.run(["build", path]).digest(), first);
}

#[test]
fn its_files_alone_are_no_output() {
    let context = context("FROM scratch\nCOPY app.exe /\n");
    let out = context.path().join("out.tar");
    let output = format!("type=tar,dest={}", out.display());
    let outcome = build(&context, &[&WINDOWS[..], &["-o", &output]].concat()).failure(1);
    outcome.says(&["cannot write only the files of an image for windows/amd64", "-o type=oci"]);
    assert!(!out.exists());
}

/// As with BuildKit: all but Windows have layers of the same kind, and the PATH of Unix.
#[test]
fn other_systems_are_as_linux_is() {
    let context = context("FROM scratch\nCOPY app.exe /\nCMD app\n");
    for platform in ["freebsd/amd64", "wasip1/wasm", "darwin/arm64"] {
        let images = images(&context, &["--platform", platform]);
        let config = &images[0].config["config"];
        assert_eq!(config["Env"], json!(["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]));
        assert_eq!((&config["WorkingDir"], &config["Cmd"]), (&json!("/"), &json!(["/bin/sh", "-c", "app"])));
        assert_eq!(paths(&images[0].layers[0]), ["app.exe"], "{platform}");
        assert_eq!(images[0].platform(), platform);
    }
}
