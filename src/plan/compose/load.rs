//! From files to one mapping in its one form: read, variables put in, what they include and extend put in, and one laid over the
//! other.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use super::interpolation::Interpolation;
use super::merge::merge;
use super::node::{ComposeText, NodeMapping, NodeValue, YamlNode};
use super::paths::PathResolution;
use super::shape::KeyTrail;
use super::{check, schema, unsaid, yaml};
use crate::error::{Error, Result};
use crate::oci::Map;

/// The most files that may be included.
const MOST_INCLUDES: usize = 1_000;

/// The most values that services may come to by what they extend.
const MOST_EXTENDED: usize = 2_000_000;

/// How compose files are read: nothing here opens one by itself.
pub struct ComposeReader<'a> {
    /// Returns the text of a file; none if there is no such file.
    pub read: &'a dyn Fn(&Path) -> Result<Option<String>>,
    /// Is told of what may not be meant so, in one line.
    pub warn: &'a dyn Fn(&str),
    /// Put the values of variables in.
    pub interpolates: bool,
    /// Make paths whole.
    pub resolves_paths: bool,
    /// Keep only these keys of services, and secrets, and leave unsaid what is; without, all is kept.
    pub kept: Option<&'a [&'a str]>,
}

/// A file, and its name as the user knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComposeFile {
    /// Where it is; whole.
    pub path: PathBuf,
    /// The name in errors.
    pub shown: String,
    /// What it says, if that was read already.
    pub text: Option<String>,
}

/// What a file is read in.
#[derive(Clone, Copy)]
pub(super) struct ProjectScope<'a> {
    /// The directory of its project.
    pub directory: &'a Path,
    /// The variables there.
    pub variables: &'a Map<String>,
}

/// One reading, with its budgets.
pub(super) struct Loading<'a> {
    pub reader: &'a ComposeReader<'a>,
    /// The services of files that others extend, read once.
    pub others: RefCell<BTreeMap<PathBuf, Rc<NodeMapping>>>,
    includes_left: Cell<usize>,
    extended_left: Cell<usize>,
    told: RefCell<BTreeSet<String>>,
}

impl<'a> Loading<'a> {
    pub fn new(reader: &'a ComposeReader<'a>) -> Self {
        Loading {
            reader,
            others: RefCell::default(),
            includes_left: Cell::new(MOST_INCLUDES),
            extended_left: Cell::new(MOST_EXTENDED),
            told: RefCell::default(),
        }
    }

    /// Returns the documents of `file`.
    pub fn documents(&self, file: &ComposeFile) -> Result<Vec<YamlNode>> {
        let text = match &file.text {
            Some(text) => text.clone(),
            None => (self.reader.read)(&file.path)?
                .ok_or_else(|| Error::not_found(format!("there is no compose file {}", file.shown)))?,
        };
        let documents = yaml::read(&Arc::new(ComposeText { file: file.shown.clone(), text }))?;
        for document in &documents {
            if document.mapping().is_none() {
                let error = format!("a compose file must be a mapping of keys, but this is {}", document.kind());
                return Err(document.blame(Error::input(error)));
            }
        }
        Ok(documents)
    }

    /// Puts the variables of `scope` into `node`, unless they are to stay.
    pub fn interpolate(&self, node: &mut YamlNode, scope: ProjectScope<'_>) -> Result<()> {
        if !self.reader.interpolates {
            return Ok(());
        }
        let unset =
            |name: &str| self.tell_once(format!("The \"{name}\" variable is not set. Defaulting to a blank string."));
        Interpolation::new(&|name| scope.variables.get(name).cloned(), &unset).apply(node)
    }

    /// Warns, but not twice in the same words.
    pub fn tell_once(&self, warning: String) {
        if self.told.borrow_mut().insert(warning.clone()) {
            (self.reader.warn)(&warning);
        }
    }

    /// Returns what `files` say together, the later ones laid over the earlier, in its long form. `chain` are the files that have
    /// included these.
    pub fn files(&self, files: &[ComposeFile], scope: ProjectScope<'_>, chain: &[PathBuf]) -> Result<YamlNode> {
        let mut whole: Option<YamlNode> = None;
        for file in files {
            let chain: Vec<PathBuf> = chain.iter().cloned().chain([file.path.clone()]).collect();
            for mut document in self.documents(file)? {
                self.interpolate(&mut document, scope)?;
                self.include(&mut document, scope, &chain)?;
                self.extend(&mut document, file, scope)?;
                let mut merged = match whole.take() {
                    Some(base) => merge(base, document, &mut Vec::new())?,
                    None => document,
                };
                merged.unmark();
                if let Some(kept) = self.reader.kept {
                    keep(kept, &mut merged);
                }
                let mut merged = schema::FILE.unified(merged)?;
                schema::FILE.check(&merged, &KeyTrail::TOP)?;
                self.drop_version(&mut merged, file);
                whole = Some(schema::FILE.canonical(merged)?);
            }
        }
        let Some(mut whole) = whole else {
            let names: Vec<&str> = files.iter().map(|file| file.shown.as_str()).collect();
            return Err(Error::input(format!("there is nothing in {}", names.join(", "))));
        };
        unsaid::say(&mut whole);
        check::resources(&whole)?;
        if self.reader.resolves_paths {
            self.paths(scope).file(&mut whole)?;
        }
        Ok(whole)
    }

    /// Returns how paths become whole in `scope`.
    pub fn paths<'s>(&self, scope: ProjectScope<'s>) -> PathResolution<'s> {
        PathResolution { directory: scope.directory, home: scope.variables.get("HOME").map(String::as_str) }
    }

    fn drop_version(&self, document: &mut YamlNode, file: &ComposeFile) {
        if document.mapping_mut().is_some_and(|mapping| mapping.remove("version").is_some()) {
            let shown = &file.shown;
            self.tell_once(format!("{shown}: the attribute `version` is obsolete, it will be ignored, please remove it to avoid potential confusion"));
        }
    }

    /// Takes from the budget of files that are included.
    pub fn spend_include(&self, node: &YamlNode) -> Result<()> {
        let too_many = || node.blame(Error::input(format!("more than {MOST_INCLUDES} files are included")));
        self.includes_left.set(self.includes_left.get().checked_sub(1).ok_or_else(too_many)?);
        Ok(())
    }

    /// Takes `base` from the budget of what services extend.
    pub fn spend_extended(&self, base: &YamlNode) -> Result<()> {
        let left = self.extended_left.get().checked_sub(count(base));
        let too_much = || {
            let error = format!("services have more than {MOST_EXTENDED} values, counting what they extend");
            base.blame(Error::input(error))
        };
        self.extended_left.set(left.ok_or_else(too_much)?);
        Ok(())
    }
}

/// Fails for the path of a file that is not a path.
pub(super) fn not_elsewhere(path: &YamlNode) -> Result<()> {
    match path.text() {
        Some(text) if text.contains("://") || text.starts_with("git@") => {
            let error = Error::input(format!("`{text}` is not on this machine, and only local files are read"));
            Err(path.blame(error.with_hint("fetch the file, and name its path")))
        }
        _ => Ok(()),
    }
}

/// Leaves services with the keys that are `kept`, and secrets; nothing else.
fn keep(kept: &[&str], file: &mut YamlNode) {
    let Some(mapping) = file.mapping_mut() else { return };
    mapping.retain(|key, _| ["services", "secrets"].contains(&key.as_str()));
    let services = mapping.get_mut("services").and_then(YamlNode::mapping_mut);
    for service in services.into_iter().flat_map(NodeMapping::values_mut).filter_map(YamlNode::mapping_mut) {
        service.retain(|key, _| kept.contains(&key.as_str()));
    }
}

fn count(node: &YamlNode) -> usize {
    match &node.value {
        NodeValue::List(values) => 1 + values.iter().map(count).sum::<usize>(),
        NodeValue::Mapping(mapping) => 1 + mapping.values().map(count).sum::<usize>(),
        NodeValue::Text(text) => 1 + text.len() / 512,
        _ => 1,
    }
}
