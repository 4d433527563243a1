//! What compose files say together, and the services that are meant by names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::node::{NodeValue, YamlNode};
use crate::error::{Error, Result, suggestion};
use crate::oci::Map;

/// What compose files say together.
#[derive(Debug, Clone)]
pub struct Project {
    /// Its name.
    pub name: String,
    /// The directory that it lies in.
    pub directory: PathBuf,
    /// The variables that it was read with.
    pub variables: Map<String>,
    /// All that the files say, in its one form.
    pub file: YamlNode,
    pub(super) active: BTreeSet<String>,
}

impl Project {
    /// Returns the service `name`, on or not. Fails if there is none.
    pub fn named(&self, name: &str) -> Result<&YamlNode> {
        self.service(name).ok_or_else(|| {
            let error = Error::not_found(format!("no such service: {name}"));
            match suggestion(name, self.service_names()) {
                Some(near) => error.with_hint(format!("did you mean `{near}`?")),
                None => error.with_hint("`config --services` lists what there is"),
            }
        })
    }

    /// Returns the service `name`, on or not; none if there is none.
    pub fn service(&self, name: &str) -> Option<&YamlNode> {
        self.file.get("services")?.get(name)
    }

    /// Returns the names of all services.
    pub fn service_names(&self) -> impl Iterator<Item = &str> {
        self.file.entries_of("services").map(|(name, _)| name.as_str())
    }

    /// Returns the services that are on, by their names.
    pub fn services(&self) -> impl Iterator<Item = (&str, &YamlNode)> {
        let is_on = |(name, _): &(&String, &YamlNode)| self.active.contains(*name);
        self.file.entries_of("services").filter(is_on).map(|(name, node)| (name.as_str(), node))
    }

    /// Returns the services that `names` mean, or all that are on if there are none, with those that they depend on, or not.
    pub fn selected<'a>(
        &'a self,
        names: &'a [String],
        with_dependencies: bool,
    ) -> Result<BTreeMap<&'a str, &'a YamlNode>> {
        let mut selected = BTreeMap::new();
        let mut left: Vec<&'a str> = match names.is_empty() {
            true => self.services().map(|(name, _)| name).collect(),
            false => names.iter().map(String::as_str).collect(),
        };
        while let Some(name) = left.pop() {
            let service = self.named(name)?;
            if selected.insert(name, service).is_some() || !with_dependencies {
                continue;
            }
            for (other, dependency) in service.entries_of("depends_on") {
                if self.active.contains(other) {
                    left.push(other);
                } else if !matches!(dependency.get("required").map(|node| &node.value), Some(NodeValue::Boolean(false)))
                {
                    let error =
                        Error::input(format!("the service `{name}` depends on `{other}`, which is not enabled"));
                    return Err(dependency.blame_key(error.with_hint("enable its profile, or write `required: false`")));
                }
            }
        }
        Ok(selected)
    }
}
