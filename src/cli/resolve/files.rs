//! The files that are read, and where what becomes of them is written.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::print::{answer_bytes, answer_sources};
use crate::cli::text_file::read_text;
use crate::error::{Error, Result};
use crate::plan::mention::MentionText;
use crate::store::pending::{PendingFile, open_or_make};

/// The largest file, in bytes, and how many all files together may have.
const LARGEST: u64 = 16 << 20;
const LARGEST_TOGETHER: usize = 256 << 20;

/// The most files.
const MOST_FILES: usize = 10_000;

/// The name that errors have for what is read from standard input.
const STANDARD_INPUT: &str = "standard input";

/// The flags that say which files are read, and where they are written.
#[derive(Debug, Args)]
pub struct FileFlags {
    /// File of YAML or JSON documents, or a directory of them; - is standard input
    #[arg(short, long = "filename", value_name = "FILE|DIR", required = true)]
    filename: Vec<PathBuf>,
    /// Also look into the directories in a directory
    #[arg(short = 'R', long)]
    recursive: bool,
    /// Write the files to DIR, under the names that they have, instead of standard output
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Replace the files
    #[arg(long, conflicts_with = "output")]
    in_place: bool,
}

/// A file, and the images that it names.
pub struct ReadFile {
    /// Where it is; none for standard input.
    path: Option<PathBuf>,
    /// What it is called below the directory that was named.
    name: PathBuf,
    pub text: MentionText,
}

fn open(path: Option<&Path>) -> Result<File> {
    match path {
        Some(path) => File::open(path).map_err(|source| Error::io("open", path, source)),
        None => {
            let input = io::stdin().as_fd().try_clone_to_owned().map(File::from);
            input.map_err(|source| Error::io("read", STANDARD_INPUT, source))
        }
    }
}

/// Returns the files of YAML and JSON in a directory, with their names below it. Links to directories are not followed, and
/// what is hidden is left out.
fn in_directory(directory: &Path, recursive: bool) -> Result<Vec<(Option<PathBuf>, PathBuf)>> {
    let (mut found, mut waiting) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(below) = waiting.pop() {
        let at = directory.join(&below);
        let failed = |source| Error::io("list", &at, source);
        for entry in fs::read_dir(&at).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let (path, below) = (entry.path(), below.join(&name));
            if name.to_string_lossy().starts_with('.') {
                continue;
            }
            match entry.file_type().map_err(failed)?.is_dir() {
                true if recursive => waiting.push(below),
                false if is_read(&path) && path.is_file() => found.push((Some(path), below)),
                _ => {}
            }
            if found.len() + waiting.len() > MOST_FILES {
                let message = format!("{} has more than {MOST_FILES} files", directory.display());
                return Err(Error::input(message).with_hint("resolve a part of them at a time"));
            }
        }
    }
    if found.is_empty() {
        let hint = if recursive { "" } else { "; -R also looks into the directories in it" };
        return Err(Error::not_found(format!("{} has no .yaml, .yml or .json file{hint}", directory.display())));
    }
    found.sort();
    Ok(found)
}

/// Whether a file has a name that says it is YAML or JSON.
fn is_read(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("yaml" | "yml" | "json")) || path.file_name().is_some_and(|name| name == "Kustomization")
}

impl FileFlags {
    /// Fails for what makes no sense.
    pub fn check(&self) -> Result<()> {
        match self.filename.iter().any(|file| file == Path::new("-")) {
            true if self.in_place => {
                Err(Error::usage("standard input cannot be replaced").with_hint("leave out --in-place"))
            }
            true if self.output.is_some() => {
                Err(Error::usage("what is read from standard input has no name in a directory")
                    .with_hint("leave out -o, and name a file for standard output"))
            }
            _ => Ok(()),
        }
    }

    /// Reads the files, and those in directories, in the order of their names.
    pub fn read(&self) -> Result<Vec<ReadFile>> {
        let (mut files, mut size) = (Vec::new(), 0);
        for place in &self.filename {
            let found = match place.to_str() {
                Some("-") => vec![(None, PathBuf::from("-"))],
                _ if place.is_dir() => in_directory(place, self.recursive)?,
                _ => vec![(Some(place.clone()), place.file_name().map_or(place.clone(), PathBuf::from))],
            };
            for (path, name) in found {
                let shown = path.as_ref().map_or(STANDARD_INPUT.to_owned(), |path| path.display().to_string());
                let text = read_text(open(path.as_deref())?, &shown, LARGEST, "file of manifests")?;
                size += text.len();
                if size > LARGEST_TOGETHER || files.len() == MOST_FILES {
                    let message =
                        format!("these are more than {MOST_FILES} files, or more than {LARGEST_TOGETHER} bytes");
                    return Err(Error::input(message).with_hint("resolve a part of them at a time"));
                }
                files.push(ReadFile { path, name, text: MentionText::read(&shown, text)? });
            }
        }
        Ok(files)
    }

    /// Writes what became of `files`. Fails before the first is written where one is sure to fail.
    pub fn write(&self, files: &[ReadFile], texts: &[String]) -> Result<()> {
        match &self.output {
            _ if self.in_place => replace(files, texts),
            Some(directory) => write_below(directory, files, texts),
            None => print(texts),
        }
    }
}

/// Prints documents one after the other, as `kubectl apply -f -` reads them.
fn print(texts: &[String]) -> Result<()> {
    let mut all = String::new();
    for text in texts {
        if !all.is_empty() && !all.ends_with('\n') {
            all.push('\n');
        }
        if !all.is_empty() && !text.starts_with("---") {
            all.push_str("---\n");
        }
        all.push_str(text.strip_prefix('\u{feff}').unwrap_or(text));
    }
    match io::stdout().is_terminal() {
        true => answer_sources(all.lines()),
        false => answer_bytes(all.as_bytes()),
    }
}

fn write_below(directory: &Path, files: &[ReadFile], texts: &[String]) -> Result<()> {
    let mut taken: HashMap<&Path, &ReadFile> = HashMap::new();
    for file in files {
        let name = &file.name;
        if let Some(other) = taken.insert(name, file) {
            let (one, other) = (other.text.file(), file.text.file());
            return Err(Error::usage(format!(
                "{one} and {other} would both be written to {}",
                directory.join(name).display()
            ))
            .with_hint("name the directory that they are in"));
        }
    }
    for file in files {
        let destination = directory.join(&file.name);
        let parent = destination.parent().unwrap_or(directory);
        open_or_make(parent).map_err(|source| Error::io("create", parent, source))?;
        PendingFile::check(&destination)?;
    }
    files
        .iter()
        .zip(texts)
        .try_for_each(|(file, text)| PendingFile::replace(&directory.join(&file.name), text.as_bytes()))
}

/// Replaces the files that change; links stay links, and files keep their modes.
fn replace(files: &[ReadFile], texts: &[String]) -> Result<()> {
    let mut changed = Vec::new();
    for (file, text) in files.iter().zip(texts) {
        let Some(path) = file.path.as_ref().filter(|_| !file.text.is(text)) else { continue };
        let path = fs::canonicalize(path).map_err(|source| Error::io("find", path, source))?;
        PendingFile::check(&path)?;
        changed.push((path, text));
    }
    for (path, text) in changed {
        let failed = |source| Error::io("write", &path, source);
        let mode = fs::metadata(&path).map_err(failed)?.permissions();
        let mut pending = PendingFile::beside(&path)?;
        io::Write::write_all(&mut pending, text.as_bytes()).map_err(failed)?;
        pending.as_file().set_permissions(mode).map_err(failed)?;
        pending.keep(&path)?;
    }
    Ok(())
}
