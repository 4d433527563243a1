//! The variables of services, whole: with those of the files that they name.

use std::path::Path;

use super::dotenv;
use super::model::Project;
use super::node::{NodeMapping, NodeValue, YamlNode};
use crate::error::{Error, Result};

impl Project {
    /// Puts the variables of `env_file` and the labels of `label_file` into the services, which then name those files no more.
    /// `read` returns the text of a file, none if there is no such file; `unset` is told of variables that nobody has set.
    /// Fails for a file that has to be there and is not.
    pub fn resolve_environments(
        &mut self,
        read: &dyn Fn(&Path) -> Result<Option<String>>,
        unset: &dyn Fn(&str),
    ) -> Result<()> {
        let variables = self.variables.clone();
        let known = |name: &str| variables.get(name).cloned();
        let Some(services) = self.file.mapping_mut().and_then(|file| file.get_mut("services")) else { return Ok(()) };
        for service in services.mapping_mut().into_iter().flat_map(NodeMapping::values_mut) {
            let place = service.clone();
            let Some(mapping) = service.mapping_mut() else { continue };
            for (files, target) in [("env_file", "environment"), ("label_file", "labels")] {
                let Some(files) = mapping.remove(files) else { continue };
                let mut all = NodeMapping::new();
                for file in files.list().unwrap_or_default() {
                    let path = file.text_of("path").or(file.text()).unwrap_or_default();
                    let is_required =
                        file.get("required").is_none_or(|node| !matches!(node.value, NodeValue::Boolean(false)));
                    let Some(text) = read(Path::new(path))? else {
                        match is_required {
                            true => return Err(file.blame(Error::not_found(format!("there is no file {path}")))),
                            false => continue,
                        }
                    };
                    let own = dotenv::read(path, &text, &known, unset)?;
                    all.extend(own.into_iter().map(|(name, value)| (name, file.with_text(value))));
                }
                if let Some(own) = mapping.get(target).and_then(YamlNode::mapping) {
                    all.extend(own.clone());
                }
                if !all.is_empty() {
                    mapping.insert(target.to_owned(), place.with(NodeValue::Mapping(all)));
                }
            }
        }
        Ok(())
    }
}
