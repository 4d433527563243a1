//! The cases of `fixtures/dockerfiles`, in the form that its README tells.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::described::{self, lines, words, written_lines};
use super::handmade::{self, Blob, GZIP, Handmade};
use super::layout::Image;
use super::program::Outcome;

/// What is compared of an image's configuration. The rest is a time, says what made it, or follows from its layers.
const SETTINGS: [&str; 12] = [
    "User",
    "ExposedPorts",
    "Env",
    "Entrypoint",
    "Cmd",
    "Volumes",
    "WorkingDir",
    "Labels",
    "StopSignal",
    "Healthcheck",
    "Shell",
    "OnBuild",
];
const OUTER: [&str; 4] = ["author", "architecture", "os", "variant"];

/// Labels that ocibake fills in by itself, and docker does not.
const FILLED_IN: &str = "org.opencontainers.image.";

pub struct Case {
    pub name: String,
    pub path: PathBuf,
    head: BTreeMap<String, String>,
    sections: Vec<(Vec<String>, String)>,
}

/// The images that cases stand on, each a layout with one image.
pub struct Bases(BTreeMap<String, Handmade>);

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/dockerfiles")
}

/// Returns the cases of a folder of the corpus and of the folders in it, by name.
pub fn cases(group: &str) -> Vec<Case> {
    let mut cases: Vec<_> = files(&root().join(group)).iter().map(|path| Case::read(path)).collect();
    cases.sort_by(|one, other| one.name.cmp(&other.name));
    cases
}

impl Case {
    fn read(path: &Path) -> Self {
        let (head, sections) = sections(&fs::read_to_string(path).unwrap());
        let head = head.lines().filter_map(|line| line.split_once(": "));
        let head = head.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let name = path.strip_prefix(root()).unwrap().with_extension("").display().to_string();
        Case { name, path: path.to_owned(), head, sections }
    }

    /// Whether this docker was seen to do what the case expects.
    pub fn judged_by(&self, docker: &str) -> bool {
        self.head.get("judges").is_some_and(|judges| judges.split(", ").any(|judge| judge == docker))
    }

    /// Puts the case's files below `place`, and returns where the build runs and its arguments.
    pub fn lay(&self, place: &Path, bases: &Bases) -> (PathBuf, Vec<String>) {
        let context = place.join("context");
        fs::create_dir(&context).unwrap();
        let mut arguments = Vec::new();
        for (title, body) in &self.sections {
            let [what, more @ ..] = title.as_slice() else { panic!("{}: a section without a title", self.name) };
            match what.as_str() {
                "Dockerfile" | ".dockerignore" => write(&context.join(what), encoded(body, more).as_bytes()),
                "text" => write(&context.join(&more[0]), body.as_bytes()),
                "context" => described::lay(body, &context),
                "directory" => described::lay(body, &place.join(&more[0])),
                "archive" => {
                    let archive = compressed(&described::tar(body), more.last().unwrap());
                    write(&context.join(&more[0]), &archive);
                }
                "arguments" => arguments = words(body),
                "config" | "files" | "warnings" | "fails" => {}
                _ => panic!("{}: no section is called {what}", self.name),
            }
        }
        if !arguments.iter().any(|argument| argument == "--platform") {
            arguments.extend(["--platform", "linux/amd64"].map(str::to_owned));
        }
        (context, bases.named_in(&self.sections, arguments))
    }

    /// What the outcome of the build shows of the expectation, and what not: a line for each difference.
    pub fn differences(&self, outcome: &Outcome, images: &[Image], bases: &Bases) -> Vec<String> {
        let mut faults = Vec::new();
        if outcome.stderr.contains("panicked") {
            faults.push(format!("a panic: {}", outcome.stderr));
        }
        if let Some((title, parts)) = self.section("fails") {
            if !matches!(outcome.code, Some(1 | 2)) {
                faults.push(format!("ends with {:?}, but is to fail: {parts}", outcome.code));
            }
            let line = title.get(1).map(|line| format!("Dockerfile:{line}:"));
            let parts = parts.lines().filter(|part| !part.starts_with('#')).map(str::to_owned);
            let missing = line.into_iter().chain(parts).filter(|part| !outcome.stderr.contains(part.as_str()));
            faults.extend(missing.map(|part| format!("{part:?} is not in {:?}", outcome.stderr)));
            return faults;
        }
        let [image] = images else {
            faults.push(format!("ends with {:?} and {} images: {}", outcome.code, images.len(), outcome.stderr));
            return faults;
        };
        self.compare_config(&image.config, &mut faults);
        self.compare_files(lines(&image.layers), bases, &mut faults);
        faults
    }

    /// Why ocibake is not to do what docker does here.
    pub fn but(&self) -> Option<&str> {
        self.head.get("but").map(String::as_str)
    }

    /// Whether there is an image to be had.
    pub fn builds(&self) -> bool {
        self.section("fails").is_none()
    }

    /// How what `--check` found differs from the checks' rules and lines, each once.
    pub fn differences_of_checks(&self, outcome: &Outcome) -> Vec<String> {
        let body = self.section("warnings").map_or("", |(_, body)| body);
        let wanted: BTreeSet<String> = body.lines().map(str::to_owned).collect();
        let mut found = BTreeSet::new();
        let mut rule = "";
        for line in outcome.stdout.lines() {
            if let Some((_, place)) = line.split_once("--> ") {
                let number = place.split(':').nth(1).expect("a place has a line");
                found.insert(format!("{rule} {number}"));
            } else if let Some((name, _)) = line.split_once(": ").filter(|(name, _)| !name.contains(' ')) {
                rule = name;
            }
        }
        if wanted == found { Vec::new() } else { vec![format!("checks: {found:?} instead of {wanted:?}")] }
    }

    fn compare_config(&self, found: &Value, faults: &mut Vec<String>) {
        let wanted: Map<String, Value> = serde_json::from_str(self.section("config").expect("it builds").1).unwrap();
        let found = settings(found, &wanted);
        for key in SETTINGS.iter().chain(&OUTER) {
            let (wanted, found) = (wanted.get(*key), found.get(*key));
            if wanted != found {
                let told = |value: Option<&Value>| value.map_or("nothing".to_owned(), Value::to_string);
                faults.push(format!("{key}: {} instead of {}", told(found), told(wanted)));
            }
        }
    }

    fn compare_files(&self, mut found: BTreeMap<String, String>, bases: &Bases, faults: &mut Vec<String>) {
        let wanted = written_lines(self.section("files").expect("it builds").1);
        for (path, line) in self.head.get("over").into_iter().flat_map(|base| bases.lines(base)) {
            match found.get(&path) {
                Some(there) if *there == line => drop(found.remove(&path)),
                Some(_) => {}
                None => drop(found.insert(path.clone(), format!("gone {path}"))),
            }
        }
        let paths: BTreeSet<_> = wanted.keys().chain(found.keys()).collect();
        for path in paths.into_iter().filter(|path| wanted.get(*path) != found.get(*path)) {
            faults.extend(wanted.get(path).map(|line| format!("- {line}")));
            faults.extend(found.get(path).map(|line| format!("+ {line}")));
        }
    }

    fn section(&self, name: &str) -> Option<(&[String], &str)> {
        let found = self.sections.iter().find(|(title, _)| title[0] == name);
        found.map(|(title, body)| (title.as_slice(), body.as_str()))
    }
}

impl Bases {
    pub fn make() -> Self {
        let base = |path: &PathBuf| {
            let (_, sections) = sections(&fs::read_to_string(path).unwrap());
            let body = |name: &str| &sections.iter().find(|(title, _)| title[0] == name).unwrap().1;
            let config = serde_json::from_str(body("config")).unwrap();
            let layer = Blob::of(&described::tar(body("files")), GZIP);
            (path.file_stem().unwrap().to_str().unwrap().to_owned(), Handmade::configured(&[layer], config))
        };
        Bases(files(&root().join("bases")).iter().map(base).collect())
    }

    fn lines(&self, name: &str) -> BTreeMap<String, String> {
        let images = super::layout::Layout::open(self.0[name].path()).images();
        lines(&images[0].layers)
    }

    fn reference(&self, name: &str) -> String {
        format!("oci-layout://{}:it", self.0[name].path().display())
    }

    /// The arguments, with those added that say where the bases are that the Dockerfiles name.
    fn named_in(&self, sections: &[(Vec<String>, String)], mut arguments: Vec<String>) -> Vec<String> {
        for name in self.0.keys() {
            for argument in &mut arguments {
                *argument = argument.replace(&format!("docker-image://{name}"), &self.reference(name));
            }
            let says = |words: &str| sections.iter().any(|(_, body)| body.contains(words));
            if says(name) && !says(&format!("AS {name}")) {
                arguments.extend(["--build-context".to_owned(), format!("{name}={}", self.reference(name))]);
            }
        }
        arguments
    }
}

/// The head, and the sections' titles in words and their bodies.
fn sections(text: &str) -> (String, Vec<(Vec<String>, String)>) {
    let mut head = String::new();
    let mut sections: Vec<(Vec<String>, String)> = Vec::new();
    for line in text.split_inclusive('\n') {
        let title = line.trim_end_matches('\n').strip_prefix("-- ").and_then(|line| line.strip_suffix(" --"));
        if let Some(title) = title {
            sections.push((words(title), String::new()));
        } else {
            sections.last_mut().map_or(&mut head, |(_, body)| body).push_str(line);
        }
    }
    (head, sections)
}

fn settings(config: &Value, wanted: &Map<String, Value>) -> Map<String, Value> {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(values) => values.is_empty(),
        _ => false,
    };
    let pairs = SETTINGS.iter().map(|key| (*key, &config["config"][key]));
    let pairs = pairs.chain(OUTER.iter().map(|key| (*key, &config[key])));
    let mut found: Map<String, Value> = pairs.map(|(key, value)| (key.to_owned(), value.clone())).collect();
    if let Some(labels) = found["Labels"].as_object_mut() {
        labels.retain(|name, _| {
            !name.starts_with(FILLED_IN) || wanted.get("Labels").is_some_and(|labels| labels.get(name).is_some())
        });
    }
    found.retain(|_, value| !is_empty(value));
    found
}

fn encoded(body: &str, how: &[String]) -> String {
    let mut text = body.to_owned();
    for how in how {
        text = match how.as_str() {
            "bom" => format!("\u{feff}{text}"),
            "crlf" => text.replace('\n', "\r\n"),
            "no-newline" => text.trim_end_matches('\n').to_owned(),
            _ => panic!("{how:?} is no way to write a text"),
        };
    }
    text
}

fn compressed(tar: &[u8], name: &str) -> Vec<u8> {
    match name.rsplit('.').next().unwrap() {
        "gz" | "tgz" => handmade::gzip(tar),
        "zst" => zstd::stream::encode_all(tar, 3).unwrap(),
        "bz2" => {
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            encoder.write_all(tar).unwrap();
            encoder.finish().unwrap()
        }
        "xz" => {
            let options = lzma_rust2::XzOptions::with_preset(3);
            let mut writer = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
            writer.write_all(tar).unwrap();
            writer.finish().unwrap()
        }
        _ => tar.to_vec(),
    }
}

fn write(path: &Path, content: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
}

/// Returns the files in `directory` and in the folders below it.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}
