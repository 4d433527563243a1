//! Where the variables of bake files come from: the command line, the environment, and files of variables.

use std::env;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::files;
use crate::cli::print::tell;
use crate::error::{Error, Result};
use crate::oci::Map;
use crate::plan::compose::dotenv;
use crate::plan::quantity;

/// The variables that are there for bake files.
pub struct VariableSources {
    /// Those of `--var`.
    pub given: Map<String>,
    /// Those of the environment, and of files where that has none.
    all: Map<String>,
    has_files: bool,
}

impl VariableSources {
    /// Reads the values of `--var` and of `--env-file`.
    pub fn read(given: &[String], env_files: &[String]) -> Result<VariableSources> {
        let pair = |text: &String| {
            let error = || Error::usage(format!("--var {text}: it sets nothing")).with_hint("write NAME=VALUE");
            let (name, value) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(error)?;
            Ok((name.to_owned(), value.to_owned()))
        };
        let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        let mut all: Map<String> = env::vars_os().map(|(name, value)| (text(name), text(value))).collect();
        let mut of_files = Map::new();
        for file in env_files {
            let text = files::read_named(Path::new(file))?;
            let text = text.ok_or_else(|| Error::not_found(format!("there is no file of variables {file}")))?;
            of_files.extend(read_file(file, &text, &all, &of_files)?);
        }
        for (name, value) in of_files {
            all.entry(name).or_insert(value);
        }
        Ok(VariableSources {
            given: given.iter().map(pair).collect::<Result<_>>()?,
            all,
            has_files: !env_files.is_empty(),
        })
    }

    /// Returns a variable of the environment.
    pub fn variable(&self, name: &str) -> Option<String> {
        self.all.get(name).cloned()
    }

    /// Returns the variables for compose files, those of `.env` in `directory` among them unless other files are named.
    pub fn of_compose(&self, directory: &Path, warn: &dyn Fn(&str)) -> Result<Map<String>> {
        let mut all = self.all.clone();
        let file = directory.join(".env");
        if self.has_files || !file.is_file() {
            return Ok(all);
        }
        let shown = file.display().to_string();
        let Some(text) = files::read_named(&file)? else { return Ok(all) };
        let known = |name: &str| all.get(name).cloned();
        let unset = |name: &str| warn(&format!("{shown}: the variable {name} is not set, so it is empty"));
        let own = dotenv::read(&shown, &text, &known, &unset)?;
        for (name, value) in own {
            all.entry(name).or_insert(value);
        }
        Ok(all)
    }
}

fn read_file(file: &str, text: &str, all: &Map<String>, earlier: &Map<String>) -> Result<Map<String>> {
    let known = |name: &str| all.get(name).or_else(|| earlier.get(name)).cloned();
    let unset = |name: &str| tell(&format!("warning: {file}: the variable {name} is not set, so it is empty"));
    dotenv::read(file, text, &known, &unset)
}

/// Returns whether a variable of the environment is one of Go's words for true.
pub fn is_on(name: &str) -> bool {
    env::var(name).ok().as_deref().and_then(quantity::boolean) == Some(true)
}

/// Fills `bytes` with random ones.
pub fn random(bytes: &mut [u8]) {
    // Without it what is made of them is not random, and a build that asks for that is not the same twice anyway.
    let _ = File::open("/dev/urandom").and_then(|mut file| file.read_exact(bytes));
}
