//! Which Dockerfile a build takes, and which ignore file.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::{OpenContext, Text};
use crate::error::{Error, ErrorKind, Result};

/// What a build is told by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    pub file: Text,
    /// `<file>.dockerignore` beside it or `.dockerignore` in the context, whichever there is first.
    pub ignore: Option<Text>,
}

/// Where `-f` says that the Dockerfile is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named<'a> {
    /// Nowhere: `Dockerfile` in the context, or else `dockerfile`.
    Not,
    /// `-`.
    StandardInput,
    File(&'a Path),
}

/// The largest Dockerfile or ignore file, in bytes; BuildKit has the same limit.
pub const TEXT_LIMIT: u64 = 16 << 20;

const DOCKERFILE: &str = "Dockerfile";
/// It is taken where there is no other.
const LOWER_CASE: &str = "dockerfile";
const IGNORE: &str = ".dockerignore";

impl Dockerfile {
    /// Reads the Dockerfile of a build of `context`. A file that is named is one of this machine, relative to where we are;
    /// but in a context that is not [local](OpenContext::is_local) it is looked for there, unless its path is absolute.
    ///
    /// `input` is read for [`Named::StandardInput`] alone.
    pub fn find(context: &OpenContext, named: Named<'_>, input: &mut dyn Read) -> Result<Dockerfile> {
        if let Some(text) = &context.dockerfile {
            if named != Named::Not {
                return Err(Error::usage("the context is a Dockerfile, and -f names another one")
                    .with_hint("leave out -f, or give the directory or tar that belongs to it as the context"));
            }
            return Ok(Dockerfile { file: text.clone(), ignore: None });
        }
        let path = match named {
            Named::StandardInput if context.has_input => {
                return Err(Error::usage("the context and the Dockerfile cannot both come from the standard input")
                    .with_hint("the tar can have a Dockerfile in it: leave out -f"));
            }
            Named::StandardInput => {
                let file = read(input, DOCKERFILE)?;
                return Ok(Dockerfile { file, ignore: Self::ignore(context)? });
            }
            Named::File(path) if context.is_local || path.is_absolute() => either_case(path),
            Named::File(path) => inside(&context.root, &either_case(&context.root.join(path)))?,
            Named::Not if context.is_local => either_case(&context.root.join(DOCKERFILE)),
            Named::Not => inside(&context.root, &either_case(&context.root.join(DOCKERFILE)))?,
        };
        let name = shown(&path, context);
        let file = read_file(&path, &name).map_err(|error| missing(error, named, context))?;
        let mut beside = path.into_os_string();
        beside.push(IGNORE);
        let ignore = match context.is_local {
            true => read_if_there(Path::new(&beside), &format!("{name}{IGNORE}"))?,
            false => None,
        };
        let ignore = match ignore {
            None => Self::ignore(context)?,
            own => own,
        };
        Ok(Dockerfile { file, ignore })
    }

    /// The `.dockerignore` of a local context; none if there is none, or the context is not local.
    pub fn ignore(context: &OpenContext) -> Result<Option<Text>> {
        if !context.is_local {
            return Ok(None);
        }
        let path = context.root.join(IGNORE);
        read_if_there(&path, &shown(&path, context))
    }
}

/// The text of `source`, whatever is no UTF-8 in it being replaced as BuildKit does it in what it writes.
pub(super) fn read(source: impl Read, name: &str) -> Result<Text> {
    let mut bytes = Vec::new();
    let read = source.take(TEXT_LIMIT + 1).read_to_end(&mut bytes);
    read.map_err(|source| Error::from_read("read", name, source))?;
    if bytes.len() as u64 > TEXT_LIMIT {
        return Err(Error::input(format!("{name} has more than {TEXT_LIMIT} bytes")).with_hint("is it a Dockerfile?"));
    }
    let text = String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    Ok(Text { name: name.to_owned(), text })
}

pub(super) fn read_file(path: &Path, name: &str) -> Result<Text> {
    let failed = |source| Error::io("read", name, source);
    let kind = fs::metadata(path).map_err(failed)?;
    if kind.is_dir() {
        return Err(Error::input(format!("{name} is a directory, where a file is wanted")));
    }
    read(File::open(path).map_err(failed)?, name)
}

/// None also for what is no file: BuildKit passes over it.
fn read_if_there(path: &Path, name: &str) -> Result<Option<Text>> {
    match fs::metadata(path) {
        Ok(kind) if kind.is_file() => read_file(path, name).map(Some),
        Ok(_) => Ok(None),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(source) => Err(Error::io("read", name, source)),
    }
}

/// `path`, or if it ends with `Dockerfile` and is not there, the same in lower case.
fn either_case(path: &Path) -> PathBuf {
    let lower = path.with_file_name(LOWER_CASE);
    let is_usual = path.file_name().is_some_and(|name| name == DOCKERFILE);
    if is_usual && !path.exists() && lower.exists() { lower } else { path.to_owned() }
}

/// What `path` leads to in `root`, which somebody else made: no link of it leads out.
fn inside(root: &Path, path: &Path) -> Result<PathBuf> {
    let real = |path: &Path| fs::canonicalize(path);
    let Ok(root) = real(root) else { return Ok(path.to_owned()) };
    match real(path) {
        Ok(found) if !found.starts_with(&root) => {
            let name = path.strip_prefix(&root).unwrap_or(path).display();
            Err(Error::input(format!("{name} leads out of the context")))
        }
        Ok(found) => Ok(found),
        Err(_) => Ok(path.to_owned()),
    }
}

/// As the user knows it: without the place to which a context was brought.
fn shown(path: &Path, context: &OpenContext) -> String {
    let root = fs::canonicalize(&context.root).ok();
    let is_here = context.root == Path::new(".");
    let short = match context.is_local {
        true => path.strip_prefix(".").ok().filter(|_| is_here),
        false => root.as_ref().and_then(|root| path.strip_prefix(root).ok()).or(path.strip_prefix(&context.root).ok()),
    };
    short.unwrap_or(path).display().to_string()
}

fn missing(error: Error, named: Named<'_>, context: &OpenContext) -> Error {
    if error.kind != ErrorKind::NotFound {
        return error;
    }
    match named {
        Named::File(path) if context.is_local && path.is_relative() && context.root.join(path).is_file() => {
            error.with_hint(format!("-f is relative to where you are: {} is there", context.root.join(path).display()))
        }
        Named::File(_) => error.with_hint("check the path behind -f"),
        _ => error.with_hint("-f names the Dockerfile if it is called otherwise or lies elsewhere"),
    }
}
