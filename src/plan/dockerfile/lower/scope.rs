//! The variables that a line of a Dockerfile sees.

use std::collections::BTreeSet;

use crate::oci::{Map, Platform};

/// The variables that words may name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scope {
    values: Map<String>,
    /// The names that `ARG` has named, with a value or without one.
    pub arguments: BTreeSet<String>,
    /// There may be more variables, of an image that nobody has seen.
    pub is_open: bool,
}

impl Scope {
    /// Returns what is known before the first line: the platforms of the build, each of which a build argument may
    /// override.
    pub fn automatic(build: &Platform, target: &Platform, stage: &str, arguments: &Map<String>) -> Self {
        let mut values = Map::new();
        for (prefix, platform) in [("BUILD", build), ("TARGET", target)] {
            let mut set = |name: &str, value: String| values.insert(format!("{prefix}{name}"), value);
            set("PLATFORM", platform.to_string());
            set("OS", platform.os.clone());
            set("OSVERSION", platform.os_version.clone().unwrap_or_default());
            set("ARCH", platform.architecture.clone());
            set("VARIANT", platform.variant.clone().unwrap_or_default());
        }
        values.insert("TARGETSTAGE".to_owned(), stage.to_owned());
        for (name, value) in &mut values {
            if let Some(given) = arguments.get(name) {
                value.clone_from(given);
            }
        }
        Scope { values, ..Scope::default() }
    }

    /// Returns the value of a variable; none if it is not set.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Sets a variable, whatever it was before.
    pub fn set(&mut self, name: &str, value: &str) {
        self.values.insert(name.to_owned(), value.to_owned());
    }

    /// Removes a variable, if it is there.
    pub fn remove(&mut self, name: &str) {
        self.values.remove(name);
    }

    /// Returns the names of all variables.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.values.keys().map(String::as_str)
    }
}
