//! All that bake files define together: targets and groups, and where each was written.

use std::collections::BTreeMap;

use super::target::{BakeGroup, BakeTarget};
use super::variable_block::ListedVariable;
use crate::error::{Error, Excerpt, suggestion};
use crate::oci::Map;
use crate::plan::compose::TextPlace;
use crate::plan::hcl::BakePlace;

/// What bake files define.
#[derive(Debug, Default)]
pub struct BakeDefinition {
    /// The targets, in the order in which they were first written.
    pub(super) targets: Vec<BakeTarget>,
    /// The groups; of two with one name the first counts.
    pub(super) groups: Vec<BakeGroup>,
    /// The variables, by their names.
    pub variables: Vec<ListedVariable>,
    /// What buildx lets pass, and what is a mistake all the same.
    pub faults: Vec<Error>,
    /// The functions that were called and that answer otherwise each time.
    pub unsteady: Vec<String>,
    /// Where targets and their keys were written.
    pub(super) places: BTreeMap<String, TargetPlaces>,
    /// The place of a target among `targets`.
    by_name: BTreeMap<String, usize>,
    group_by_name: BTreeMap<String, usize>,
}

/// Where a target was written, and each of its keys, last.
#[derive(Debug, Clone, Default)]
pub(super) struct TargetPlaces {
    pub target: Option<WrittenPlace>,
    pub keys: Map<WrittenPlace>,
}

/// A place in a file of any kind.
#[derive(Debug, Clone)]
pub(super) enum WrittenPlace {
    Hcl(BakePlace),
    Yaml(TextPlace),
    Toml(Excerpt),
}

impl WrittenPlace {
    /// Returns the line.
    pub fn excerpt(&self) -> Excerpt {
        match self {
            WrittenPlace::Hcl(place) => place.excerpt(),
            WrittenPlace::Yaml(place) => place.excerpt(),
            WrittenPlace::Toml(place) => place.clone(),
        }
    }
}

impl BakeDefinition {
    /// Returns the targets, in the order in which they were first written.
    pub fn targets(&self) -> &[BakeTarget] {
        &self.targets
    }

    /// Returns the groups.
    pub fn groups(&self) -> &[BakeGroup] {
        &self.groups
    }

    /// Returns the target `name`; none if there is none.
    pub fn target(&self, name: &str) -> Option<&BakeTarget> {
        self.by_name.get(name).map(|at| &self.targets[*at])
    }

    /// Returns the group `name`; none if there is none.
    pub fn group(&self, name: &str) -> Option<&BakeGroup> {
        self.group_by_name.get(name).map(|at| &self.groups[*at])
    }

    /// Lays `target` over the one of its name, or adds it.
    pub(super) fn add_target(&mut self, target: BakeTarget, places: TargetPlaces) {
        let known = self.places.entry(target.name.clone()).or_default();
        known.target = places.target.or(known.target.take());
        known.keys.extend(places.keys);
        match self.by_name.get(&target.name) {
            Some(at) => self.targets[*at].merge(target),
            None => {
                self.by_name.insert(target.name.clone(), self.targets.len());
                self.targets.push(target);
            }
        }
    }

    /// Puts `group` in the place of the one of its name, or adds it.
    pub(super) fn put_group(&mut self, group: BakeGroup) {
        match self.group_by_name.get(&group.name).copied() {
            Some(at) => self.groups[at] = without_twins(group),
            None => self.add_group(group),
        }
    }

    /// Adds `group`, which counts unless there is one of its name.
    pub(super) fn add_group(&mut self, group: BakeGroup) {
        self.group_by_name.entry(group.name.clone()).or_insert(self.groups.len());
        self.groups.push(without_twins(group));
    }

    /// Adds `group` to the one of its name, or to the groups.
    pub(super) fn extend_group(&mut self, group: BakeGroup) {
        let Some(at) = self.group_by_name.get(&group.name).copied() else { return self.add_group(group) };
        let known = self.groups[at].targets.iter().flatten().cloned();
        let targets = known.chain(group.targets.into_iter().flatten()).collect();
        self.groups[at] = without_twins(BakeGroup { targets: Some(targets), ..self.groups[at].clone() });
    }

    /// Returns `error` with the line of the target's `key`, or else of the target.
    pub(super) fn blame(&self, target: &str, key: &str, error: Error) -> Error {
        let places = self.places.get(target);
        let place = places.and_then(|places| places.keys.get(key).or(places.target.as_ref()));
        error.or_excerpt(place.map(WrittenPlace::excerpt).as_ref())
    }

    /// Returns the error that there is no target `name`.
    pub(super) fn missing(&self, name: &str) -> Error {
        let names = self.targets.iter().map(|target| &target.name).chain(self.groups.iter().map(|group| &group.name));
        let error = Error::not_found(format!("failed to find target {name}"));
        match suggestion(name, names.map(String::as_str).filter(|other| *other != name)) {
            Some(near) => error.with_hint(format!("did you mean `{near}`?")),
            None if name == "default" => error
                .with_hint("name a target, or give what is built without a name: group \"default\" { targets = […] }"),
            None => error.with_hint("--list targets shows what there is"),
        }
    }
}

/// Leaves out names that are there twice.
fn without_twins(mut group: BakeGroup) -> BakeGroup {
    let mut seen = std::collections::BTreeSet::new();
    group.targets.iter_mut().for_each(|names| names.retain(|name| seen.insert(name.clone())));
    group
}
