//! What lies in a directory, which may be somebody else's: files up to a size, so many of them, and none outside of it.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use rustix::fs::{Dir, OFlags};
use toml::Table;

use crate::cli::text_file::read_text;
use crate::error::{Error, Excerpt, Result};
use crate::source::context::OpenContext;
use crate::tree::{open_real, real_within};

/// In bytes; a manifest is far smaller.
const LARGEST: u64 = 1 << 20;

/// So many files are read, and so many names of a directory.
const MOST_FILES: usize = 500;
const MOST_NAMES: usize = 5000;

/// A directory that is looked at.
pub struct LookedAt {
    context: OpenContext,
    root: PathBuf,
    read: Cell<usize>,
}

impl LookedAt {
    /// Fails unless `path` is a directory.
    pub fn open(path: &Path) -> Result<Self> {
        let root = path.canonicalize().map_err(|source| Error::io("read", path, source))?;
        if !root.is_dir() {
            return Err(Error::input(format!("{} is not a directory", path.display())));
        }
        Ok(LookedAt { context: OpenContext::local(path), root, read: Cell::new(0) })
    }

    /// Returns the name of the directory, by which its image may be called.
    pub fn name(&self) -> String {
        self.root.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// Returns the text of the file at `path`; none if nothing is there. Fails for what cannot be read: what is no file, what is
    /// too large, what leads out of the directory.
    pub fn text(&self, path: &str) -> Result<Option<String>> {
        self.read.set(self.read.get() + 1);
        if self.read.get() > MOST_FILES {
            return Err(Error::input(format!("there are more than {MOST_FILES} files to be looked at"))
                .with_hint("write the Dockerfile or ocibake.toml by hand"));
        }
        let Some(file) = self.context.file(Path::new(path))? else { return Ok(None) };
        read_text(file, &self.context.shown(Path::new(path)).to_string(), LARGEST, "manifest").map(Some)
    }

    /// Returns the file at `path` as TOML; none if nothing is there. Fails as [`text`](Self::text) does, and for what is no TOML.
    pub fn toml(&self, path: &str) -> Result<Option<Table>> {
        let Some(text) = self.text(path)? else { return Ok(None) };
        let table = text.parse().map_err(|error: toml::de::Error| {
            let shown = self.context.shown(Path::new(path)).to_string();
            let told = Error::input(format!("{shown} is not TOML: {}", error.message()));
            told.or_excerpt(error.span().map(|span| Excerpt::new(shown, &text, span)).as_ref())
        })?;
        Ok(Some(table))
    }

    /// Returns the text of a file that need not tell anything: what cannot be read is not there.
    pub fn glance(&self, path: &str) -> Option<String> {
        self.text(path).ok().flatten()
    }

    /// Returns whether there is a file at `path` that may be read.
    pub fn has(&self, path: &str) -> bool {
        self.context.file(Path::new(path)).is_ok_and(|file| file.is_some())
    }

    /// Returns the names in the directory at `path`, sorted; none where there is no directory.
    pub fn names(&self, path: &str) -> Vec<String> {
        let Ok(real) = real_within(&self.root, Path::new(path), &path) else { return Vec::new() };
        let Ok(opened) = open_real(&real, OFlags::RDONLY | OFlags::DIRECTORY) else { return Vec::new() };
        let Ok(listed) = Dir::new(opened) else { return Vec::new() };
        let name = |item: rustix::fs::DirEntry| item.file_name().to_str().ok().map(str::to_owned);
        let names = listed.take(MOST_NAMES).filter_map(|item| item.ok().and_then(name));
        let mut names: Vec<String> = names.filter(|name| !matches!(&name[..], "." | "..")).collect();
        names.sort();
        names
    }

    /// Returns the file of `paths` that is there first.
    pub fn first<'a>(&self, paths: &[&'a str]) -> Option<&'a str> {
        paths.iter().copied().find(|path| self.has(path))
    }
}
