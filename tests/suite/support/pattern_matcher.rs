//! Docker's own matcher of .dockerignore files, in a program of Debian's Go sources.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::tool::{checked, require, run_with_input, skip};

/// Where Debian has the sources of Go packages.
const GOPATH: &str = "/usr/share/gocode";
const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/patternmatcher/main.go");

/// What docker makes of a file.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Answer {
    patterns: Option<Vec<String>>,
    pub refused: bool,
    ignored: Option<Vec<bool>>,
}

impl Answer {
    /// As read from the file, and not yet looked at.
    pub fn patterns(&self) -> &[String] {
        self.patterns.as_deref().unwrap_or_default()
    }

    /// For each path, in their order; none if a pattern was refused.
    pub fn ignored(&self) -> &[bool] {
        self.ignored.as_deref().unwrap_or_default()
    }
}

/// Whether it can run here.
pub fn require_pattern_matcher() -> bool {
    let sources = ["github.com/moby/patternmatcher", "github.com/moby/buildkit/frontend/dockerfile/dockerignore"];
    let missing = sources.iter().find(|source| !Path::new(GOPATH).join("src").join(source).exists());
    require("go") && missing.is_none_or(|missing| skip(&format!("the sources of {missing} are not installed")))
}

/// What docker makes of each file and the paths that go with it, in one process for all.
pub fn answers<'a>(questions: impl IntoIterator<Item = (&'a [u8], Vec<&'a [u8]>)>) -> Vec<Answer> {
    let question = |(text, paths): (&[u8], Vec<&[u8]>)| -> Value {
        let paths: Vec<String> = paths.into_iter().map(|path| STANDARD.encode(path)).collect();
        json!({ "Text": STANDARD.encode(text), "Paths": paths })
    };
    let questions = Value::Array(questions.into_iter().map(question).collect());
    let answers = run_with_input(program().to_str().unwrap(), [""; 0], questions.to_string().as_bytes());
    serde_json::from_str(&answers).unwrap()
}

fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let program = place.join("patternmatcher");
        let mut go = Command::new("go");
        go.args(["build", "-o"]).arg(&program).arg(SOURCE);
        checked(go.env("GO111MODULE", "off").env("GOPATH", GOPATH).env("GOCACHE", place.join("go")));
        program
    })
}
