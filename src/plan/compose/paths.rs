//! Paths in compose files, which are relative to the directory of the project, or of the file that a part came from.

use std::path::{Component, Path, PathBuf};

use super::node::{NodeMapping, YamlNode};
use crate::error::{Error, Result};
use crate::plan::{GitUrl, is_http};

/// Makes paths whole.
pub struct PathResolution<'a> {
    /// What they are relative to.
    pub directory: &'a Path,
    /// What `~` stands for.
    pub home: Option<&'a str>,
}

impl PathResolution<'_> {
    /// Makes all paths of a file whole that is in its long form. Fails for a directory that is mounted and not named.
    pub fn file(&self, file: &mut YamlNode) -> Result<()> {
        for service in mappings(file, "services") {
            self.service(service)?;
        }
        for key in ["secrets", "configs"] {
            for resource in mappings(file, key) {
                self.joined(resource, "file");
            }
        }
        for volume in mappings(file, "volumes").filter(|volume| volume.text_of("driver") == Some("local")) {
            let options = volume.mapping_mut().and_then(|volume| volume.get_mut("driver_opts"));
            if let Some(options) = options.filter(|options| options.text_of("o") == Some("bind")) {
                self.joined(options, "device");
            }
        }
        Ok(())
    }

    /// Makes all paths of a service whole that is in its long form.
    pub fn service(&self, service: &mut YamlNode) -> Result<()> {
        let Some(mapping) = service.mapping_mut() else { return Ok(()) };
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
            if mount.text_of("type") != Some("bind") {
                continue;
            }
            if mount.get("source").is_none() {
                let error = Error::input("what is mounted has no `source`, but it needs one");
                return Err(mount.blame(error.with_hint("say which directory of this machine it is")));
            }
            self.joined(mount, "source");
        }
        if let Some(develop) = mapping.get_mut("develop").and_then(YamlNode::mapping_mut) {
            for rule in list(develop, "watch") {
                self.at(rule, "path");
            }
        }
        Ok(())
    }

    fn build(&self, build: &mut YamlNode) {
        let Some(mapping) = build.mapping_mut() else { return };
        if let Some(context) = mapping.get_mut("context").filter(|context| context.text().is_some_and(is_local)) {
            self.whole(context);
        }
        for agent in
            mapping.get_mut("ssh").and_then(YamlNode::mapping_mut).into_iter().flat_map(NodeMapping::values_mut)
        {
            self.whole(agent);
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

    /// The same for a path that is the directory itself if it is empty.
    fn joined(&self, node: &mut YamlNode, key: &str) {
        if let Some(path) = node.mapping_mut().and_then(|mapping| mapping.get_mut(key))
            && let Some(text) = path.text()
        {
            let key = path.key.clone();
            *path = YamlNode { key, ..path.with_text(self.text(text)) };
        }
    }

    fn whole(&self, node: &mut YamlNode) {
        if let Some(text) = node.text().filter(|text| !text.is_empty()) {
            let key = node.key.clone();
            *node = YamlNode { key, ..node.with_text(self.text(text)) };
        }
    }

    /// Returns `text`, a path, as a whole one; one that is whole already stays as it is, and so does one of Windows.
    pub fn text(&self, text: &str) -> String {
        let drive = text.as_bytes();
        let is_drive =
            drive.len() > 2 && drive[0].is_ascii_alphabetic() && drive[1] == b':' && matches!(drive[2], b'/' | b'\\');
        match text.starts_with('/') || text.starts_with("\\\\") || is_drive {
            true => text.to_owned(),
            false => match self.path(text) {
                // Of a directory that is not named, the working directory.
                path if path.as_os_str().is_empty() => ".".to_owned(),
                path => path.to_string_lossy().into_owned(),
            },
        }
    }

    /// Returns `text`, a path, as a whole one, without `.` and `..`.
    pub fn path(&self, text: &str) -> PathBuf {
        let path = match (text.strip_prefix('~'), self.home) {
            (Some(rest), Some(home)) => PathBuf::from(format!("{home}/{rest}")),
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
            ("/a/../b", "/a/../b"),
            ("C:\\a", "C:\\a"),
            ("../../../..", "/"),
            ("~/a", "/home/me/a"),
            ("~", "/home/me"),
            // As compose has it: there are no homes of others.
            ("~a", "/home/me/a"),
        ] {
            assert_eq!(resolution.text(path), whole, "{path}");
        }
    }
}
