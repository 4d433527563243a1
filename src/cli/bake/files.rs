//! The files of a bake, found as buildx finds them.

use std::env;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::flags::BakeArguments;
use super::remote::{self, RemoteFiles};
use crate::cli::build::keep_input;
use crate::cli::environment::Environment;
use crate::cli::text_file::read_text;
use crate::error::{Error, Result};
use crate::oci::{Digest, Map};
use crate::plan::Spec;
use crate::plan::bake::{BakeFile, HERE, USUAL_FILES, is_remote};
use crate::progress::Progress;

/// The largest file, in bytes; far more than any bake file needs.
const LARGEST: u64 = 4 << 20;

/// The files, and what else the command line names before targets.
pub struct FoundBake {
    /// The files in their order.
    pub files: Vec<BakeFile>,
    /// The place elsewhere that files come from.
    pub remote: Option<RemoteFiles>,
    /// What `BAKE_CMD_CONTEXT` stands for.
    pub command_context: String,
    /// The names of targets and groups.
    pub targets: Vec<String>,
    /// The directory that `.env` is looked for in.
    pub directory: PathBuf,
}

impl FoundBake {
    /// Returns the digests of the files of this machine, by their paths.
    pub fn digests(&self) -> Map<Digest> {
        let local = self.files.iter().filter(|file| file.is_local);
        local.map(|file| (file.name.clone(), Digest::of(file.text.as_bytes()))).collect()
    }
}

/// Finds and reads the files.
pub fn find(arguments: &BakeArguments, environment: &Environment, progress: Progress<'_>) -> Result<FoundBake> {
    let mut words = arguments.targets.iter().peekable();
    let url = words.next_if(|word| is_remote(word));
    let context = url.and_then(|_| words.next_if(|word| is_remote(word)));
    let targets: Vec<String> = words.cloned().collect();
    let mut names = arguments.file.clone();
    if names.is_empty() {
        names = of_environment()?;
    }
    let here = |name: &&String| name.starts_with(HERE);
    let local = |name: &String| name.strip_prefix(HERE).unwrap_or(name).to_owned();
    let mut found = FoundBake {
        files: Vec::new(),
        remote: None,
        command_context: context.map_or(HERE, String::as_str).to_owned(),
        targets: if targets.is_empty() { vec!["default".to_owned()] } else { targets },
        directory: PathBuf::new(),
    };
    match url {
        Some(url) => {
            let elsewhere: Vec<&String> = names.iter().filter(|name| !here(name)).collect();
            let (files, remote) = remote::read(url, &elsewhere, environment, progress)?;
            found.files = files;
            found.remote = Some(remote);
            for name in names.iter().filter(here) {
                found.files.push(read(&local(name))?);
            }
        }
        None if names.is_empty() => {
            let there = USUAL_FILES.iter().filter(|name| Path::new(name).exists());
            found.files = there.map(|name| read(name)).collect::<Result<_>>()?;
            if found.files.is_empty() && Path::new(Spec::FILE).exists() {
                found.files.push(read(Spec::FILE)?);
            }
        }
        None => found.files = names.iter().map(|name| read(&local(name))).collect::<Result<_>>()?,
    }
    if found.files.is_empty() {
        return Err(Error::not_found("couldn't find a bake definition").with_hint(format!(
            "name one with -f; by default it is one of {}, {}",
            USUAL_FILES.join(", "),
            Spec::FILE
        )));
    }
    Ok(found)
}

/// The files that `BUILDX_BAKE_FILE` names.
fn of_environment() -> Result<Vec<String>> {
    let text = |name: &str| env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    let Some(files) = text("BUILDX_BAKE_FILE") else { return Ok(Vec::new()) };
    let separator =
        text("BUILDX_BAKE_PATH_SEPARATOR").filter(|text| !text.is_empty()).unwrap_or_else(|| ":".to_owned());
    Ok(files.split(&*separator).map(str::trim).filter(|file| !file.is_empty()).map(str::to_owned).collect())
}

fn read(name: &str) -> Result<BakeFile> {
    let text = if name == "-" { input()? } else { of_this_machine(name)? };
    Ok(BakeFile { name: name.to_owned(), text, is_local: name != "-" })
}

fn of_this_machine(name: &str) -> Result<String> {
    let file = File::open(name).map_err(|source| Error::io("open", name, source))?;
    if file.metadata().is_ok_and(|found| found.is_dir()) {
        return Err(Error::input(format!("{name} is a directory, not a bake file")));
    }
    read_text(file, name, LARGEST, "bake file")
}

/// What comes on standard input, which can be read again.
fn input() -> Result<String> {
    let bytes = keep_input().map_err(|source| Error::io("read", "standard input", source))?;
    if bytes.len() as u64 > LARGEST {
        return Err(Error::input(format!("standard input is larger than {LARGEST} bytes, too large for a bake file")));
    }
    String::from_utf8(bytes).map_err(|_| Error::input("the bake file on standard input is not UTF-8"))
}

/// Returns the text of a file that another one names; none if there is no such file.
pub fn read_named(path: &Path) -> Result<Option<String>> {
    let shown = path.display().to_string();
    match File::open(path) {
        Ok(_) if path.is_dir() => Ok(None),
        Ok(file) => read_text(file, &shown, LARGEST, "file of this kind").map(Some),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(source) => Err(Error::io("read", path, source)),
    }
}
