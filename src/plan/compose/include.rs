//! `include`: the parts of other projects, each read in its own directory and with its own variables.

use std::path::PathBuf;

use super::dotenv;
use super::load::{ComposeFile, Loading, ProjectScope, not_elsewhere};
use super::node::{NodeMapping, NodeValue, YamlNode};
use super::paths::clean;
use super::{schema, unsaid};
use crate::error::{Error, Result};
use crate::oci::Map;

/// The keys whose entries are taken over.
const RESOURCES: [&str; 6] = ["services", "volumes", "networks", "secrets", "configs", "models"];

impl Loading<'_> {
    /// Puts what `document` includes into it.
    pub fn include(&self, document: &mut YamlNode, scope: ProjectScope<'_>, chain: &[PathBuf]) -> Result<()> {
        let Some(mapping) = document.mapping_mut() else { return Ok(()) };
        let Some(include) = mapping.remove("include").filter(|include| !include.is_null()) else { return Ok(()) };
        let Some(entries) = include.list() else {
            return Err(include.blame(Error::input(format!("`include` is {}, but it must be a list", include.kind()))));
        };
        for entry in entries {
            self.spend_include(entry)?;
            let included = self.included(entry, scope, chain)?;
            self.take_over(mapping, included, scope)?;
        }
        Ok(())
    }

    fn included(&self, entry: &YamlNode, scope: ProjectScope<'_>, chain: &[PathBuf]) -> Result<YamlNode> {
        if let Some(key) = entry.mapping().into_iter().flatten().find(|(key, _)| !KEYS.contains(&key.as_str())) {
            return Err(key.1.blame_key(Error::input(format!("`include` has no key `{}`", key.0))));
        }
        let paths = match entry.text() {
            Some(_) => vec![entry],
            None => texts(entry, "path")?,
        };
        let Some(first) = paths.first() else {
            return Err(entry.blame(Error::input("`include` does not say what").with_hint("write the path of a file")));
        };
        let resolution = self.paths(scope);
        let files: Vec<ComposeFile> = paths
            .iter()
            .map(|path| {
                let text = path.text().unwrap_or_default();
                ComposeFile { path: resolution.path(text), shown: text.to_owned(), text: None }
            })
            .collect();
        if let Some(again) = files.iter().find(|file| chain.contains(&file.path)) {
            let way: Vec<String> = chain.iter().map(|path| path.display().to_string()).collect();
            return Err(first
                .blame(Error::input(format!("{} includes itself", again.shown)))
                .with_details(way.iter().map(|path| format!("by way of {path}")).collect()));
        }
        for (file, path) in files.iter().zip(&paths) {
            not_elsewhere(path)?;
            if (self.reader.read)(&file.path).map_err(|error| path.blame(error))?.is_none() {
                return Err(path.blame(Error::not_found(format!("there is no file {}", file.path.display()))));
            }
        }
        let directory = match entry.text_of("project_directory") {
            Some(directory) => resolution.path(directory),
            None => clean(files[0].path.parent().unwrap_or(scope.directory)),
        };
        let variables = self.variables_of(entry, &directory, scope)?;
        self.files(&files, ProjectScope { directory: &directory, variables: &variables }, chain)
    }

    /// The variables that an included project sees: those that are there, and those of its own files that are not.
    fn variables_of(
        &self,
        entry: &YamlNode,
        directory: &std::path::Path,
        scope: ProjectScope<'_>,
    ) -> Result<Map<String>> {
        let resolution = self.paths(scope);
        let files = texts(entry, "env_file")?;
        let named: Vec<(PathBuf, Option<&YamlNode>)> = match files.is_empty() {
            true => vec![(directory.join(".env"), None)],
            false => files.iter().map(|file| (resolution.path(file.text().unwrap_or_default()), Some(*file))).collect(),
        };
        let mut own = Map::new();
        for (path, node) in named {
            let Some(text) = (self.reader.read)(&path)? else {
                match node {
                    Some(node) => {
                        return Err(node.blame(Error::not_found(format!("there is no file {}", path.display()))));
                    }
                    None => continue,
                }
            };
            let known = |name: &str| scope.variables.get(name).or_else(|| own.get(name)).cloned();
            let read = dotenv::read(&path.display().to_string(), &text, &known, &|_| ())?;
            own.extend(read);
        }
        let mut variables = scope.variables.clone();
        for (name, value) in own {
            variables.entry(name).or_insert(value);
        }
        Ok(variables)
    }

    /// Puts the entries of `included` into `mapping`. Fails for one that is there and says something else.
    fn take_over(&self, mapping: &mut NodeMapping, included: YamlNode, scope: ProjectScope<'_>) -> Result<()> {
        let NodeValue::Mapping(mut included) = included.value else { return Ok(()) };
        for key in RESOURCES {
            let Some(YamlNode { value: NodeValue::Mapping(entries), place, .. }) = included.remove(key) else {
                continue;
            };
            let empty =
                YamlNode { value: NodeValue::Mapping(NodeMapping::new()), place, key: None, mark: Default::default() };
            let target = mapping.entry(key.to_owned()).or_insert(empty);
            if target.is_null() {
                target.value = NodeValue::Mapping(NodeMapping::new());
            }
            let Some(target) = target.mapping_mut() else { continue };
            for (name, entry) in entries {
                match target.get(&name) {
                    Some(own) if !own.says_the_same(&entry) && !self.comes_to(own, (key, &name), &entry, scope)? => {
                        let error = format!("{key}.{name} already exists, and differs from what is included");
                        return Err(own.blame_key(Error::input(error)));
                    }
                    Some(_) => {}
                    None => drop(target.insert(name, entry)),
                }
            }
        }
        Ok(())
    }

    /// Returns whether `own`, the entry `place` of a file as it is written, comes to `entry`.
    fn comes_to(&self, own: &YamlNode, place: (&str, &str), entry: &YamlNode, scope: ProjectScope<'_>) -> Result<bool> {
        let file = own.with_entries([(place.0, own.with_entries([(place.1, own.clone())]))]);
        let mut file = schema::FILE.canonical(file)?;
        unsaid::say(&mut file);
        if self.reader.resolves_paths {
            self.paths(scope).file(&mut file)?;
        }
        Ok(file.get(place.0).and_then(|entries| entries.get(place.1)).is_some_and(|own| own.says_the_same(entry)))
    }
}

const KEYS: [&str; 3] = ["path", "project_directory", "env_file"];

/// The texts that `key` has: one, or a list.
fn texts<'a>(entry: &'a YamlNode, key: &str) -> Result<Vec<&'a YamlNode>> {
    let Some(node) = entry.get(key) else { return Ok(Vec::new()) };
    let nodes: Vec<&YamlNode> = node.list().map_or_else(|| vec![node], |nodes| nodes.iter().collect());
    match nodes.iter().find(|node| node.text().is_none()) {
        Some(wrong) => Err(wrong.blame(Error::input(format!("`{key}` is {}, but it must be a path", wrong.kind())))),
        None => Ok(nodes),
    }
}
