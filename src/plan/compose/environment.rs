//! The variables of services, whole: with those of the files that they name.

use std::path::Path;

use super::dotenv;
use super::model::Project;
use super::node::{NodeMapping, NodeValue, YamlNode};
use crate::error::{Error, Result};
use crate::oci::Map;

impl Project {
    /// Puts the variables of `env_file` into the services, which then name those files no more. `read` returns the text of a
    /// file, none if there is no such file; `unset` is told of variables that nobody has set. Fails for a file that has to be
    /// there and is not.
    pub fn resolve_environments(
        &mut self,
        read: &dyn Fn(&Path) -> Result<Option<String>>,
        unset: &dyn Fn(&str),
    ) -> Result<()> {
        let variables = self.variables.clone();
        for service in self.services_mut() {
            let own: Map<String> = service
                .entries_of("environment")
                .filter_map(|(name, node)| Some((name.clone(), node.text()?.to_owned())))
                .collect();
            let known = |name: &str| variables.get(name).or_else(|| own.get(name)).cloned();
            take_files(service, ("env_file", "environment"), read, &known, unset)?;
        }
        Ok(())
    }

    /// Puts the labels of `label_file` into the services, which then name those files no more.
    pub fn resolve_labels(
        &mut self,
        read: &dyn Fn(&Path) -> Result<Option<String>>,
        unset: &dyn Fn(&str),
    ) -> Result<()> {
        self.services_mut()
            .try_for_each(|service| take_files(service, ("label_file", "labels"), read, &|_| None, unset))
    }

    /// The services that are on.
    fn services_mut(&mut self) -> impl Iterator<Item = &mut YamlNode> {
        let active = &self.active;
        let services =
            self.file.mapping_mut().and_then(|file| file.get_mut("services")).and_then(YamlNode::mapping_mut);
        services.into_iter().flatten().filter(|(name, _)| active.contains(*name)).map(|(_, service)| service)
    }
}

/// Takes the files that the first key of `keys` names, and puts what they say into the second, where what is there counts.
fn take_files(
    service: &mut YamlNode,
    keys: (&str, &str),
    read: &dyn Fn(&Path) -> Result<Option<String>>,
    known: &dyn Fn(&str) -> Option<String>,
    unset: &dyn Fn(&str),
) -> Result<()> {
    let place = service.clone();
    let Some(mapping) = service.mapping_mut() else { return Ok(()) };
    let Some(files) = mapping.remove(keys.0) else { return Ok(()) };
    let mut all: Map<(String, YamlNode)> = Map::new();
    for file in files.list().unwrap_or_default() {
        let path = file.text_of("path").or(file.text()).unwrap_or_default();
        let is_required = !matches!(file.get("required").map(|node| &node.value), Some(NodeValue::Boolean(false)));
        let Some(text) = read(Path::new(path))? else {
            match is_required {
                true => return Err(file.blame(Error::not_found(format!("there is no file {path}")))),
                false => continue,
            }
        };
        let known = |name: &str| known(name).or_else(|| all.get(name).map(|(value, _)| value.clone()));
        let own = match file.text_of("format") {
            None => dotenv::read(path, &text, &known, unset)?,
            Some("raw") => dotenv::read_raw(path, &text, &known)?,
            Some(other) => {
                let error = Error::input(format!("`{other}` is not a format of files of variables"));
                return Err(file.blame(error.with_hint("the only format that can be named is `raw`")));
            }
        };
        all.extend(own.into_iter().map(|(name, value)| (name, (value.clone(), file.with_text(value)))));
    }
    let mut all: NodeMapping = all.into_iter().map(|(name, (_, node))| (name, node)).collect();
    if let Some(own) = mapping.get(keys.1).and_then(YamlNode::mapping) {
        all.extend(own.clone());
    }
    if !all.is_empty() {
        mapping.insert(keys.1.to_owned(), place.with(NodeValue::Mapping(all)));
    }
    Ok(())
}
