//! The variables that a line of a Dockerfile sees.

use std::collections::BTreeSet;

use crate::oci::{Map, Platform};

/// The value of a variable.
#[derive(Debug, Clone, PartialEq)]
struct Variable {
    value: String,
    /// When it was set: after those with a smaller number.
    turn: usize,
}

/// The variables that words may name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scope {
    values: Map<Variable>,
    /// How often any was set.
    turns: usize,
    /// The names that `ARG` has named, with a value or without one.
    pub arguments: BTreeSet<String>,
    /// There may be more variables, of an image that nobody has seen.
    pub is_open: bool,
}

impl Scope {
    /// Returns what is known before the first line: the platforms of the build, each of which a build argument may
    /// override.
    pub fn automatic(build: &Platform, target: &Platform, stage: &str, arguments: &Map<String>) -> Self {
        let mut scope = Scope::default();
        for (prefix, platform) in [("BUILD", build), ("TARGET", target)] {
            let mut set = |name: &str, value: &str| scope.set(&format!("{prefix}{name}"), value);
            set("PLATFORM", &platform.to_string());
            set("OS", &platform.os);
            set("OSVERSION", platform.os_version.as_deref().unwrap_or_default());
            set("ARCH", &platform.architecture);
            set("VARIANT", platform.variant.as_deref().unwrap_or_default());
        }
        scope.set("TARGETSTAGE", stage);
        for (name, variable) in &mut scope.values {
            if let Some(given) = arguments.get(name) {
                variable.value.clone_from(given);
            }
        }
        scope
    }

    /// Returns the value of a variable; none if it is not set.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|variable| variable.value.as_str())
    }

    /// Sets a variable, whatever it was before.
    pub fn set(&mut self, name: &str, value: &str) {
        self.turns += 1;
        self.values.insert(name.to_owned(), Variable { value: value.to_owned(), turn: self.turns });
    }

    /// Sets variables as an image's settings have them, `NAME=value`, in their order.
    pub fn set_all<'a>(&mut self, variables: impl Iterator<Item = &'a String>) {
        for variable in variables {
            let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
            self.set(name, value);
        }
    }

    /// Removes a variable, if it is there.
    pub fn remove(&mut self, name: &str) {
        self.values.remove(name);
    }

    /// Returns all variables with their values, those first that were set first; one that was set again is where it was set
    /// last.
    pub fn in_order(&self) -> Vec<(String, String)> {
        let mut all: Vec<_> = self.values.iter().collect();
        all.sort_by_key(|(_, variable)| variable.turn);
        all.into_iter().map(|(name, variable)| (name.clone(), variable.value.clone())).collect()
    }

    /// Returns the names of all variables.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.values.keys().map(String::as_str)
    }
}
