//! Groups and targets of bake files: each is evaluated once for every combination of its matrix, key by key if others refer to it.

use std::collections::{BTreeMap, BTreeSet};

use super::decode;
use super::defined_block::{DefinedBlock, Variant, VariantOutput};
use super::definition::{BakeDefinition, TargetPlaces, WrittenPlace};
use super::evaluation::Evaluation;
use super::target::{BakeGroup, BakeTarget};
use super::value;
use crate::error::{Error, Result, suggestion};
use crate::plan::hcl::{HclAttribute, Type, Value, convert};

/// The most targets that files may define, those of matrices counted one by one.
const MOST_TARGETS: usize = 5_000;

impl Evaluation<'_> {
    /// Evaluates all groups and targets into `definition`.
    pub fn define(&mut self, definition: &mut BakeDefinition) -> Result<()> {
        let mut by_name = BTreeMap::new();
        let mut renamed: Vec<(String, Vec<String>)> = Vec::new();
        let mut count = 0;
        for at in 0..self.blocks.len() {
            self.name(at, &mut count)?;
            let block = &self.blocks[at];
            for variant in &block.variants {
                by_name.entry((block.kind, variant.name.clone())).or_insert_with(Vec::new).push(at);
                match renamed.iter_mut().find(|(old, _)| old == block.label()) {
                    Some((_, names)) if names.contains(&variant.name) => {}
                    Some((_, names)) => names.push(variant.name.clone()),
                    None => renamed.push((block.label().to_owned(), vec![variant.name.clone()])),
                }
            }
        }
        self.by_name = by_name;
        for at in 0..self.blocks.len() {
            self.resolve(at, None)?;
            let block = &self.blocks[at];
            find_faults(block, definition);
            for variant in &block.variants {
                match variant.output.clone() {
                    VariantOutput::Group(group) => definition.put_group(group),
                    VariantOutput::Target(target) => definition.add_target(*target, places(block)),
                }
            }
        }
        for (old, names) in renamed {
            if names != [old.as_str()] {
                definition.add_group(BakeGroup { name: old, description: String::new(), targets: Some(names) });
            }
        }
        Ok(())
    }

    /// Finds the combinations of a block's matrix and the name of each.
    fn name(&mut self, at: usize, count: &mut usize) -> Result<()> {
        let (label, place) = (self.blocks[at].label(), self.blocks[at].label_place());
        check_name(label).map_err(|error| place.blame(error))?;
        let combinations = self.combinations(at, MOST_TARGETS - *count)?;
        let (kind, block) = (self.blocks[at].kind, self.blocks[at].block);
        let mut variants: Vec<Variant> = Vec::with_capacity(combinations.len());
        let mut names = BTreeSet::new();
        for variables in combinations {
            *count += 1;
            if *count > MOST_TARGETS {
                return Err(place.error(format!("there are more than {MOST_TARGETS} groups and targets")));
            }
            let name = match (kind, block.body.attribute("name")) {
                (_, None) => label.to_owned(),
                ("group", Some(name)) => return Err(name.place.error("name is not supported for groups")),
                (_, Some(name)) if block.body.attribute("matrix").is_none() => {
                    let error = name.place.error("name requires matrix");
                    return Err(error.with_hint("the name of a target follows the word `target`"));
                }
                (_, Some(name)) => {
                    let value = self.within(&variables, |this| this.evaluate(&name.value))?;
                    let text = convert(&value, &Type::String).map_err(|why| name.value.place.error(why))?;
                    let text = text.as_text().ok_or_else(|| name.value.place.error("the name of a target is null"))?;
                    check_name(text).map_err(|error| name.value.place.blame(error))?;
                    text.to_owned()
                }
            };
            if !names.insert(name.clone()) {
                let at = block.body.attribute("name").map_or(place, |name| &name.value.place);
                let error = at.error(format!("duplicate name \"{name}\": two combinations of the matrix have it"));
                return Err(error.with_hint("let `name` refer to every variable of the matrix"));
            }
            let output = match kind {
                "group" => VariantOutput::Group(BakeGroup { name: name.clone(), ..BakeGroup::default() }),
                _ => VariantOutput::Target(Box::new(BakeTarget { name: name.clone(), ..BakeTarget::default() })),
            };
            variants.push(Variant { name, variables, output, done: BTreeSet::new(), open: BTreeSet::new() });
        }
        self.blocks[at].variants = variants;
        self.blocks[at].is_prepared = true;
        Ok(())
    }

    /// Returns the values of a block's matrix, one after the other; one combination without any if there is no matrix.
    fn combinations(&mut self, at: usize, most: usize) -> Result<Vec<BTreeMap<String, Value>>> {
        let mut combinations = vec![BTreeMap::new()];
        let Some(matrix) = self.blocks[at].block.body.attribute("matrix") else { return Ok(combinations) };
        if self.blocks[at].kind == "group" {
            return Err(matrix.place.error("matrix is not supported for groups"));
        }
        let value = self.evaluate(&matrix.value)?;
        let error = |what: &str| matrix.value.place.error(what);
        let axes = value
            .as_entries()
            .ok_or_else(|| error("matrix must be a map").with_hint("write matrix = { NAME = [VALUE, …] }"))?;
        for (name, values) in axes {
            let values = values.iterate().ok_or_else(|| error("matrix values must be a list"))?;
            if combinations.len().saturating_mul(values.len()) > most {
                return Err(error(&format!("the matrix makes more than {MOST_TARGETS} targets")));
            }
            let with = |combination: &BTreeMap<String, Value>, value: &Value| {
                let mut combination = combination.clone();
                combination.insert(name.clone(), value.clone());
                combination
            };
            combinations = combinations
                .iter()
                .flat_map(|combination| values.iter().map(|(_, value)| with(combination, value)))
                .collect();
        }
        Ok(combinations)
    }

    /// Evaluates a block, or one key of it, for every combination of its matrix.
    pub(super) fn resolve(&mut self, at: usize, key: Option<&str>) -> Result<()> {
        if !self.blocks[at].is_prepared {
            return Ok(());
        }
        for number in 0..self.blocks[at].variants.len() {
            self.resolve_variant(at, number, key)?;
        }
        Ok(())
    }

    fn resolve_variant(&mut self, at: usize, number: usize, key: Option<&str>) -> Result<()> {
        let (kind, place) = (self.blocks[at].kind, self.blocks[at].label_place());
        let variant = &mut self.blocks[at].variants[number];
        if let Some(key) = key {
            if variant.done.contains(key) {
                self.tell(at, number);
                return Ok(());
            }
            if !variant.open.insert(key.to_owned()) {
                return Err(place.error(format!("reference cycle not allowed for {kind}.{}.{key}", variant.name)));
            }
        }
        let variables = variant.variables.clone();
        let attributes: Vec<&HclAttribute> = {
            let done = variant.done.clone();
            self.blocks[at].attributes(key).filter(|attribute| !done.contains(&attribute.name)).collect()
        };
        if kind == "group" && key.is_none() && self.blocks[at].block.body.attribute("targets").is_none() {
            return Err(place.error("a group needs `targets`").with_hint("write targets = [\"NAME\", …]"));
        }
        for attribute in &attributes {
            let value = self.within(&variables, |this| this.evaluate(&attribute.value))?;
            let variant = &mut self.blocks[at].variants[number];
            match &mut variant.output {
                VariantOutput::Group(group) => decode::group(group, attribute, &value)?,
                VariantOutput::Target(target) => decode::target(target, attribute, &value)?,
            }
            variant.done.insert(attribute.name.clone());
        }
        self.blocks[at].variants[number].done.extend(key.map(str::to_owned));
        self.tell(at, number);
        Ok(())
    }

    /// Lets expressions see what is known of a group or a target.
    fn tell(&mut self, at: usize, number: usize) {
        let (kind, variant) = (self.blocks[at].kind, &self.blocks[at].variants[number]);
        let told = match &variant.output {
            VariantOutput::Group(group) => value::of_group(group),
            VariantOutput::Target(target) => value::of_target(target),
        };
        self.known.insert((kind, variant.name.clone()), told);
    }

    /// Does `work` while the variables of a matrix stand for their values.
    fn within<T>(
        &mut self,
        variables: &BTreeMap<String, Value>,
        work: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let hidden: Vec<(&String, Option<Value>)> = variables
            .iter()
            .map(|(name, value)| (name, self.scope.variables.insert(name.clone(), value.clone())))
            .collect();
        let result = work(self);
        for (name, value) in hidden {
            match value {
                Some(value) => drop(self.scope.variables.insert(name.clone(), value)),
                None => drop(self.scope.variables.remove(name)),
            }
        }
        result
    }
}

/// Fails for what can be no name of a target.
pub(super) fn check_name(name: &str) -> Result<()> {
    let is_valid = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    match is_valid {
        true => Ok(()),
        false => Err(Error::input(format!("`{name}` cannot be the name of a target"))
            .with_hint("names have letters, digits, `_` and `-`: only \"[a-zA-Z0-9_-]+\" are allowed")),
    }
}

fn places(block: &DefinedBlock<'_>) -> TargetPlaces {
    let key = |attribute: &HclAttribute| (attribute.name.clone(), WrittenPlace::Hcl(attribute.value.place.clone()));
    TargetPlaces {
        target: Some(WrittenPlace::Hcl(block.label_place().clone())),
        keys: block.attributes(None).map(key).collect(),
    }
}

/// Notes the keys that a block has and that mean nothing.
fn find_faults(block: &DefinedBlock<'_>, definition: &mut BakeDefinition) {
    let known = decode::keys(block.kind);
    let is_known = |name: &str| known.contains(&name) || (block.kind == "target" && ["name", "matrix"].contains(&name));
    let body = &block.block.body;
    let attributes = body.attributes.iter().map(|attribute| (&attribute.name, &attribute.place));
    let blocks = body.blocks.iter().map(|block| (&block.kind, &block.place));
    for (name, place) in attributes.chain(blocks).filter(|(name, _)| !is_known(name)) {
        let error = place.error(format!("a {} has no `{name}`", block.kind));
        definition.faults.push(match suggestion(name, known.iter().copied()) {
            Some(near) => error.with_hint(format!("did you mean `{near}`?")),
            None => error.with_hint(format!("it has {}", known.join(", "))),
        });
    }
}
