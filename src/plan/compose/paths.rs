//! Paths in compose files, which are relative to the directory of the project, or of the file that a part came from.

use std::path::{Component, Path, PathBuf};

use super::node::{NodeMapping, YamlNode};
use crate::plan::{GitUrl, is_http};

/// Makes paths whole.
pub struct PathResolution<'a> {
    /// What they are relative to.
    pub directory: &'a Path,
    /// What `~` stands for.
    pub home: Option<&'a str>,
}

impl PathResolution<'_> {
    /// Makes all paths of a file whole that is in its one form.
    pub fn file(&self, file: &mut YamlNode) {
        for service in mappings(file, "services") {
            self.service(service);
        }
        for key in ["secrets", "configs"] {
            for resource in mappings(file, key) {
                self.at(resource, "file");
            }
        }
    }

    /// Makes all paths of a service whole that is in its one form.
    pub fn service(&self, service: &mut YamlNode) {
        let Some(mapping) = service.mapping_mut() else { return };
        if let Some(build) = mapping.get_mut("build").filter(|build| build.mapping().is_some()) {
            self.build(build);
        }
        for file in list(mapping, "env_file") {
            self.at(file, "path");
        }
        for file in list(mapping, "label_file") {
            self.whole(file);
        }
        for mount in list(mapping, "volumes") {
            if mount.text_of("type") == Some("bind") {
                self.at(mount, "source");
            }
        }
        if let Some(develop) = mapping.get_mut("develop").and_then(YamlNode::mapping_mut) {
            for rule in list(develop, "watch") {
                self.at(rule, "path");
            }
        }
    }

    fn build(&self, build: &mut YamlNode) {
        let usual = build.with_text(".");
        let Some(mapping) = build.mapping_mut() else { return };
        let context = mapping.entry("context".to_owned()).or_insert(usual);
        if let Some(path) = context.text().filter(|text| is_local(text)).map(|text| self.text(text)) {
            *context = context.with_text(path);
        }
        for context in mapping
            .get_mut("additional_contexts")
            .and_then(YamlNode::mapping_mut)
            .into_iter()
            .flat_map(NodeMapping::values_mut)
        {
            if context.text().is_some_and(is_local) {
                self.whole(context);
            }
        }
    }

    fn at(&self, node: &mut YamlNode, key: &str) {
        if let Some(path) = node.mapping_mut().and_then(|mapping| mapping.get_mut(key)) {
            self.whole(path);
        }
    }

    fn whole(&self, node: &mut YamlNode) {
        if let Some(text) = node.text().filter(|text| !text.is_empty()) {
            let key = node.key.clone();
            *node = YamlNode { key, ..node.with_text(self.text(text)) };
        }
    }

    /// Returns `text`, a path, as a whole one.
    pub fn text(&self, text: &str) -> String {
        self.path(text).to_string_lossy().into_owned()
    }

    /// Returns `text`, a path, as a whole one, without `.` and `..`.
    pub fn path(&self, text: &str) -> PathBuf {
        let home = text.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with('/'));
        let path = match (home, self.home) {
            (Some(rest), Some(home)) => PathBuf::from(format!("{home}{rest}")),
            _ => self.directory.join(text),
        };
        clean(&path)
    }
}

/// Returns a path without `.` and, by its text alone, without `..`.
pub fn clean(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if cleaned.file_name().is_some() => drop(cleaned.pop()),
            Component::ParentDir if cleaned.has_root() => {}
            component => cleaned.push(component),
        }
    }
    cleaned
}

/// Returns whether a context is a path of this machine.
pub fn is_local(context: &str) -> bool {
    let is_elsewhere = context.contains("://") || context.starts_with("service:") || is_http(context);
    !is_elsewhere && !context.starts_with("github.com/") && !matches!(GitUrl::of_context(context), Ok(Some(_)) | Err(_))
}

fn mappings<'a>(file: &'a mut YamlNode, key: &str) -> impl Iterator<Item = &'a mut YamlNode> {
    let mapping = file.mapping_mut().and_then(|mapping| mapping.get_mut(key)).and_then(YamlNode::mapping_mut);
    mapping.into_iter().flat_map(NodeMapping::values_mut)
}

fn list<'a>(mapping: &'a mut NodeMapping, key: &str) -> &'a mut [YamlNode] {
    match mapping.get_mut(key).map(|node| &mut node.value) {
        Some(super::node::NodeValue::List(values)) => values,
        _ => &mut [],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_are_told_from_paths() {
        for (context, is_path) in [
            (".", true),
            ("../a", true),
            ("/a", true),
            ("a:b", true),
            ("https://example.com/a.git", false),
            ("git@example.com:a", false),
            ("github.com/a/b", false),
            ("ssh://a/b", false),
            ("docker-image://a", false),
            ("service:a", false),
        ] {
            assert_eq!(is_local(context), is_path, "{context}");
        }
    }

    #[test]
    fn paths_are_made_whole() {
        let resolution = PathResolution { directory: Path::new("/srv/app"), home: Some("/home/me") };
        for (path, whole) in [
            (".", "/srv/app"),
            ("../x/./y", "/srv/x/y"),
            ("/a/../b", "/b"),
            ("../../../..", "/"),
            ("~/a", "/home/me/a"),
            ("~", "/home/me"),
            ("~a", "/srv/app/~a"),
        ] {
            assert_eq!(resolution.text(path), whole, "{path}");
        }
    }
}
