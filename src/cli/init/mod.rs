//! `ocibake init`: an `ocibake.toml` or a `Dockerfile` for what lies in a directory.

mod draft;
mod files;
mod go;
mod java;
mod look;
mod node;
mod program;
mod python;
mod quote;
mod rust;

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use self::draft::{Draft, RecipeForm};
use self::look::LookedAt;
use self::quote::{image_name, is_plain_path};
use super::print::{answer_bytes, answer_lines, tell};
use crate::error::{Error, Result};
use crate::store::pending::PendingFile;

/// Write an ocibake.toml or a Dockerfile for what lies in a directory
///
/// What is compiled beforehand, and files that are served as they are, get an ocibake.toml: Rust, Go, static files. What has to be
/// installed by commands gets a Dockerfile, and a .dockerignore where there is none: Node, Python, Java. A file that is there is never
/// overwritten. What was seen stands in the file as a comment.
#[derive(Debug, Args)]
pub struct InitArguments {
    /// Directory to look at
    #[arg(value_name = "DIRECTORY", default_value = ".")]
    directory: PathBuf,
    /// What to write it for, where several things are there
    #[arg(long, value_name = "KIND")]
    kind: Option<ProjectKind>,
    /// Program that the image is to run, of several in Rust or Go
    #[arg(long, visible_alias = "bin", value_name = "NAME")]
    program: Option<String>,
    /// Write a Dockerfile
    #[arg(long, conflicts_with = "toml")]
    dockerfile: bool,
    /// Write an ocibake.toml
    #[arg(long)]
    toml: bool,
    /// Print the file, and write none
    #[arg(long, visible_alias = "dry-run")]
    print: bool,
}

/// What a directory holds. Where it holds several, the first is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ProjectKind {
    /// Programs in Rust: Cargo.toml
    Rust,
    /// Programs in Go: go.mod
    Go,
    /// Servers and sites of Node: package.json
    Node,
    /// Programs in Python: pyproject.toml, requirements.txt, setup.py, Pipfile, manage.py
    Python,
    /// Programs in Java: pom.xml, build.gradle, build.gradle.kts
    Java,
    /// Files that are served as they are: index.html, here or in a directory such as public
    Static,
}

/// Looks at a directory and writes what its image is made by.
pub fn run(arguments: &InitArguments) -> Result<()> {
    let directory = LookedAt::open(&arguments.directory)?;
    let form = match (arguments.dockerfile, arguments.toml) {
        (true, _) => Some(RecipeForm::Dockerfile),
        (_, true) => Some(RecipeForm::Spec),
        _ => None,
    };
    if !arguments.print {
        refuse_what_is_there(&directory, form, &arguments.directory)?;
    }
    let (kind, others) = arguments.kinds(&directory)?;
    let draft = kind.draft(&directory, form, arguments.program.as_deref())?;
    draft.seen.iter().for_each(|seen| tell(&format!("saw {seen}")));
    if let [first, ..] = others[..] {
        let names: Vec<&str> = others.iter().map(|kind| kind.name()).collect();
        let (names, first, kind) = (names.join(", "), first.name(), kind.name());
        tell(&format!("{names} is here, too: this is for {kind}; take another with --kind {first}"));
    }
    draft.left_open.iter().for_each(|open| tell(&format!("to be filled in: {open}")));
    if arguments.print {
        return answer_bytes(draft.text().as_bytes());
    }
    let written = write(&draft, &directory, &arguments.directory)?;
    tell_what_is_next(&draft, &arguments.directory);
    answer_lines(written)
}

impl InitArguments {
    /// The kind that is asked for, or the first that is there, and the others that are.
    fn kinds(&self, directory: &LookedAt) -> Result<(ProjectKind, Vec<ProjectKind>)> {
        if let Some(kind) = self.kind {
            return Ok((kind, Vec::new()));
        }
        let mut present = ProjectKind::value_variants().iter().copied().filter(|kind| kind.is_in(directory));
        let Some(first) = present.next() else {
            let looked = ProjectKind::value_variants()
                .iter()
                .map(|kind| format!("{}: {}", kind.name(), kind.marks().join(", ")));
            return Err(Error::not_found(format!("nothing in {} tells what it is", self.directory.display()))
                .with_details(looked.collect())
                .with_hint("look at another directory, or write a Dockerfile or an ocibake.toml by hand"));
        };
        Ok((first, present.collect()))
    }
}

impl ProjectKind {
    fn name(self) -> &'static str {
        match self {
            ProjectKind::Rust => "rust",
            ProjectKind::Go => "go",
            ProjectKind::Node => "node",
            ProjectKind::Python => "python",
            ProjectKind::Java => "java",
            ProjectKind::Static => "static",
        }
    }

    /// The files that it is known by.
    fn marks(self) -> Vec<String> {
        let named = |files: &[&str]| files.iter().map(|file| (*file).to_owned()).collect();
        match self {
            ProjectKind::Rust => named(&[rust::MANIFEST]),
            ProjectKind::Go => named(&[go::MANIFEST]),
            ProjectKind::Node => named(&[node::MANIFEST]),
            ProjectKind::Python => named(&python::MANIFESTS),
            ProjectKind::Java => named(&java::MANIFESTS),
            ProjectKind::Static => files::PLACES.iter().map(|place| format!("{place}/{}", files::INDEX)).collect(),
        }
    }

    fn is_in(self, directory: &LookedAt) -> bool {
        self.marks().iter().any(|file| directory.has(file))
    }

    fn draft(self, directory: &LookedAt, form: Option<RecipeForm>, program: Option<&str>) -> Result<Draft> {
        match self {
            ProjectKind::Rust => rust::draft(directory, form, program),
            ProjectKind::Go => go::draft(directory, form, program),
            _ if program.is_some() => Err(Error::usage("--program is for Rust and Go")),
            ProjectKind::Node => node::draft(directory, form),
            ProjectKind::Python => python::draft(directory, form),
            ProjectKind::Java => java::draft(directory, form),
            ProjectKind::Static => files::draft(directory, form),
        }
    }
}

/// Fails if a build has something to go by already, but for the other form where one is asked for.
fn refuse_what_is_there(directory: &LookedAt, form: Option<RecipeForm>, path: &Path) -> Result<()> {
    let names = directory.names(".");
    for file in [RecipeForm::Spec.file(), RecipeForm::Dockerfile.file(), "dockerfile"] {
        let is_meant = form.is_none_or(|form| form.file().eq_ignore_ascii_case(file));
        if is_meant && names.iter().any(|name| name == file) {
            return Err(is_there(&path.join(file)));
        }
    }
    Ok(())
}

fn is_there(path: &Path) -> Error {
    Error::input(format!("{} is there already, and is not overwritten", path.display()))
        .with_hint("see what would be written with --print, or move it away")
}

/// Writes the file, and the `.dockerignore` that goes with it where there is none. Returns the paths of what was written: all of it, or
/// nothing.
fn write(draft: &Draft, directory: &LookedAt, path: &Path) -> Result<Vec<String>> {
    let mut files = vec![(path.join(draft.form.file()), draft.text())];
    let is_ignored = directory.names(".").iter().any(|name| name == IGNORE);
    files.extend(draft.ignore_text().filter(|_| !is_ignored).map(|text| (path.join(IGNORE), text)));
    let mut pending = Vec::new();
    for (path, text) in &files {
        let mut file = PendingFile::beside(path)?;
        file.write_all(text.as_bytes()).map_err(|source| Error::io("write", path, source))?;
        pending.push(file);
    }
    let mut written = Vec::new();
    for ((path, _), file) in files.iter().zip(pending) {
        match file.keep_new(path)? {
            true => written.push(path.display().to_string()),
            false if written.is_empty() => return Err(is_there(path)),
            // Somebody has just written one: it is as good as one that was there before.
            false => {}
        }
    }
    Ok(written)
}

/// What says what a Dockerfile's context leaves out.
const IGNORE: &str = ".dockerignore";

fn tell_what_is_next(draft: &Draft, path: &Path) {
    let shown = path.display().to_string();
    let place = match &shown[..] {
        "." => String::new(),
        plain if is_plain_path(plain.trim_start_matches('/').trim_end_matches('/')) => format!(" {shown}"),
        odd => format!(" '{}'", odd.replace('\'', r"'\''")),
    };
    let build = format!("ocibake build -t {}{}", image_name(&draft.name), if place.is_empty() { " ." } else { &place });
    let enter = (!draft.before.is_empty() && !place.is_empty()).then(|| format!("cd{place}"));
    let build = if enter.is_some() { format!("ocibake build -t {} .", image_name(&draft.name)) } else { build };
    let steps: Vec<String> = enter.into_iter().chain(draft.before.iter().cloned()).chain([build]).collect();
    for (number, step) in steps.iter().enumerate() {
        tell(&format!("{} {step}", if number == 0 { "next:" } else { "     " }));
    }
}
