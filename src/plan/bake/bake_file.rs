//! Bake files as they come, and what they are read with.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::Result;
use crate::oci::Map;
use crate::plan::hcl::Surroundings;

/// The names that files have, the ones that are laid over others last. Where there is none of them, the images of an `ocibake.toml`
/// are meant.
pub const USUAL_FILES: [&str; 8] = [
    "compose.yaml",
    "compose.yml",
    "docker-compose.yml",
    "docker-compose.yaml",
    "docker-bake.json",
    "docker-bake.hcl",
    "docker-bake.override.json",
    "docker-bake.override.hcl",
];

/// The variables that are there whatever the files define, and their values.
pub type BuiltIn = BTreeMap<String, String>;

/// A bake file, or a compose file or an `ocibake.toml` that is read as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BakeFile {
    /// Its name as the user knows it, by whose end its language is known.
    pub name: String,
    /// What it says.
    pub text: String,
    /// It is of this machine, and not from elsewhere.
    pub is_local: bool,
}

impl BakeFile {
    /// Returns whether it is an `ocibake.toml`, whatever it is called.
    pub fn is_table(&self) -> bool {
        self.name.to_lowercase().ends_with(".toml")
    }
}

/// What bake files are read with.
pub struct BakeReader<'a> {
    /// The variables that the command line sets.
    pub given: &'a Map<String>,
    /// Returns a variable of the environment for a variable of the files.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// The variables that are there without the files: `BAKE_CMD_CONTEXT` and `BAKE_LOCAL_PLATFORM`.
    pub built_in: &'a BuiltIn,
    /// What functions may take from outside.
    pub surroundings: Surroundings<'a>,
    /// The variables that compose files are read with.
    pub compose_variables: &'a Map<String>,
    /// Returns the text of a file that a compose file names; none if there is no such file.
    pub read: &'a dyn Fn(&Path) -> Result<Option<String>>,
    /// Is told of what may not be meant so, in one line.
    pub warn: &'a dyn Fn(&str),
    /// Services hand their health checks on.
    pub has_healthchecks: bool,
    /// Paths of contexts are relative to the file that they stand in.
    pub has_relative_paths: bool,
}
