//! Which Dockerfile a build takes, and which ignore file.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::OpenContext;
use super::text::{TextFile, read, read_named};
use crate::error::{Error, ErrorKind, Result};
use crate::tree::open_file;

/// The Dockerfile that a build is told by, and the ignore file that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerfileSource {
    /// The Dockerfile's text.
    pub file: TextFile,
    /// `<file>.dockerignore` beside it or `.dockerignore` in the context, whichever there is first.
    pub ignore: Option<TextFile>,
}

/// The place of the Dockerfile, as `-f` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DockerfilePlace<'a> {
    /// Nowhere: `Dockerfile` in the context, or else `dockerfile`.
    Not,
    /// `-`.
    StandardInput,
    /// `--file`: a path of the context, or of this machine.
    File(&'a Path),
}

const DOCKERFILE: &str = "Dockerfile";
/// The name that is taken where there is no other.
const LOWER_CASE: &str = "dockerfile";
const IGNORE: &str = ".dockerignore";

impl DockerfileSource {
    /// Reads the Dockerfile of a build of `context`. A file that is named is one of this machine, relative to where we are;
    /// but in a context that is not [local](OpenContext::is_local) it is looked for there, unless its path is absolute. What
    /// the context itself has is read as [`OpenContext::file`] says.
    ///
    /// `input` is read for [`DockerfilePlace::StandardInput`] alone.
    pub fn find(context: &OpenContext, named: DockerfilePlace<'_>, input: &mut dyn Read) -> Result<DockerfileSource> {
        if let Some(text) = &context.dockerfile {
            if named != DockerfilePlace::Not {
                return Err(Error::usage("the context is a Dockerfile, but -f names another one")
                    .with_hint("leave out -f, or give the directory or tar that belongs to it as the context"));
            }
            return Ok(DockerfileSource { file: text.clone(), ignore: None });
        }
        let usual = Path::new(DOCKERFILE);
        let (path, is_machines) = match named {
            DockerfilePlace::StandardInput if context.has_input => {
                return Err(Error::usage("the context and the Dockerfile cannot both come from the standard input")
                    .with_hint("the tar can have a Dockerfile in it: leave out -f"));
            }
            DockerfilePlace::StandardInput => {
                let file = read(input, DOCKERFILE)?;
                return Ok(DockerfileSource { file, ignore: Self::ignore(context)? });
            }
            DockerfilePlace::File(path) if context.is_local || path.is_absolute() => {
                (either_case(path, &|it| Ok(it.exists()))?, true)
            }
            DockerfilePlace::File(path) => (either_case(path, &|it| Ok(context.find(it)?.is_some()))?, false),
            DockerfilePlace::Not => (either_case(usual, &|it| Ok(context.find(it)?.is_some()))?, false),
        };
        let file = match is_machines {
            true => read_named(&path, &path.display().to_string()),
            false => read_in(context, &path),
        };
        let file = file.map_err(|error| missing(error, named, context))?;
        let mut beside = path.into_os_string();
        beside.push(IGNORE);
        let beside = match is_machines {
            true => context.place_of(Path::new(&beside)).ok_or(beside),
            false => Ok(PathBuf::from(beside)),
        };
        let ignore = match beside {
            _ if !context.is_local => None,
            Ok(inside) => ignore_in(context, &inside)?,
            Err(elsewhere) => ignore_at(Path::new(&elsewhere))?,
        };
        let ignore = match ignore {
            None => Self::ignore(context)?,
            own => own,
        };
        Ok(DockerfileSource { file, ignore })
    }

    /// Returns the `.dockerignore` of a local context; none if there is none, or the context is not local. Fails if it
    /// cannot be read, and if it leads out of the context.
    pub fn ignore(context: &OpenContext) -> Result<Option<TextFile>> {
        if !context.is_local {
            return Ok(None);
        }
        ignore_in(context, Path::new(IGNORE))
    }
}

fn read_in(context: &OpenContext, path: &Path) -> Result<TextFile> {
    let name = context.shown(path).to_string();
    match context.file(path)? {
        Some(file) => read(file, &name),
        None => Err(Error::io("read", name, io::ErrorKind::NotFound.into())),
    }
}

/// Returns the ignore file at `path` in the context; none also for what is not a file: BuildKit passes over it.
fn ignore_in(context: &OpenContext, path: &Path) -> Result<Option<TextFile>> {
    let real = context.find(path)?.filter(|real| is_file(real));
    let name = context.shown(path).to_string();
    real.map(|real| open_file(&real, &name).and_then(|file| read(file, &name))).transpose()
}

/// Returns one as [`ignore_in`] does that lies beside a Dockerfile elsewhere.
fn ignore_at(path: &Path) -> Result<Option<TextFile>> {
    let real = match fs::canonicalize(path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        real => real.map_err(|source| Error::io("read", path, source))?,
    };
    let name = path.display().to_string();
    is_file(&real).then(|| open_file(&real, &name).and_then(|file| read(file, &name))).transpose()
}

fn is_file(real: &Path) -> bool {
    fs::symlink_metadata(real).is_ok_and(|found| found.is_file())
}

/// `path`, or if it ends with `Dockerfile` and is not there, the same in lower case.
fn either_case(path: &Path, is_there: &dyn Fn(&Path) -> Result<bool>) -> Result<PathBuf> {
    let lower = path.with_file_name(LOWER_CASE);
    let is_usual = path.file_name().is_some_and(|name| name == DOCKERFILE);
    Ok(if is_usual && !is_there(path)? && is_there(&lower)? { lower } else { path.to_owned() })
}

fn missing(error: Error, named: DockerfilePlace<'_>, context: &OpenContext) -> Error {
    if error.kind != ErrorKind::NotFound {
        return error;
    }
    match named {
        DockerfilePlace::File(path) if context.is_local && path.is_relative() && context.root.join(path).is_file() => {
            error.with_hint(format!("-f is relative to where you are: {} is there", context.root.join(path).display()))
        }
        DockerfilePlace::File(_) => error.with_hint("check the path after -f"),
        _ => error.with_hint("use -f if the Dockerfile has another name or is elsewhere"),
    }
}
