//! Bake files: which language each is in, and what they define together.

use std::sync::Arc;

use super::bake_file::{BakeFile, BakeReader};
use super::compose;
use super::definition::BakeDefinition;
use super::evaluation::Evaluation;
use super::images;
use super::relative;
use super::variable_block::{GivenValues, ListedVariable};
use crate::error::{Error, Result, suggestion};
use crate::oci::Map;
use crate::plan::hcl::{BakeText, BlockSchema, HclBody, read_hcl, read_json};

/// The keys of JSON that are blocks.
const SCHEMA: [BlockSchema; 4] = [
    BlockSchema { kind: "group", labels: 1, blocks: &[] },
    BlockSchema { kind: "target", labels: 1, blocks: &[] },
    BlockSchema { kind: "variable", labels: 1, blocks: &[BlockSchema { kind: "validation", labels: 0, blocks: &[] }] },
    BlockSchema { kind: "function", labels: 1, blocks: &[] },
];

impl BakeDefinition {
    /// Reads `files`: compose files first, then tables of images, and what the others define is laid over it, the later ones over
    /// the earlier. Fails for what is wrong in them; the error shows the line.
    pub fn read(files: &[BakeFile], reader: &BakeReader<'_>) -> Result<BakeDefinition> {
        let (mut services, mut bodies) = (Vec::new(), Vec::new());
        let (tables, files): (Vec<_>, Vec<_>) = files.iter().partition(|file| file.is_table());
        for file in files {
            match body(file, reader)? {
                Some(body) => bodies.push(body),
                None => services.push(file),
            }
        }
        let mut definition = BakeDefinition::default();
        if !services.is_empty() {
            compose::define(&services, reader, &mut definition)?;
        }
        tables.into_iter().try_for_each(|file| images::define(file, &mut definition))?;
        if !bodies.is_empty() {
            find_unknown(&bodies, &mut definition);
            let given = GivenValues { given: reader.given, environment: reader.variable };
            let mut evaluation = Evaluation::new(&bodies, reader.built_in, given, reader.surroundings)?;
            let variables = evaluation.all_variables()?;
            definition.variables = variables.iter().map(|block| evaluation.listed(block)).collect::<Result<_>>()?;
            evaluation.all_functions()?;
            evaluation.define(&mut definition)?;
            evaluation.all_attributes()?;
            find_unset(reader.given, &definition.variables, &mut definition.faults);
            definition.unsteady = evaluation.unsteady.into_iter().collect();
        }
        if reader.has_relative_paths {
            relative::resolve(&mut definition, &services);
        }
        Ok(definition)
    }
}

/// Returns what a file says in HCL or JSON; none if it is a compose file.
fn body(file: &BakeFile, reader: &BakeReader<'_>) -> Result<Option<HclBody>> {
    let text = Arc::new(BakeText { file: file.name.clone(), text: file.text.clone() });
    let ends_with = |ending: &str| file.name.to_lowercase().ends_with(ending);
    if ends_with(".yml") || ends_with(".yaml") {
        return compose::check(file, reader).map(|()| None);
    }
    if file.name.ends_with(".json") {
        return read_json(&text, &SCHEMA).map(Some);
    }
    if file.name.ends_with(".hcl") {
        return read_hcl(&text).map(Some);
    }
    // A name that ends in large letters is of no language of its own, and is none of compose.
    let as_compose = if ends_with(".json") || ends_with(".hcl") { None } else { Some(compose::check(file, reader)) };
    if let Some(Ok(())) = as_compose {
        return Ok(None);
    }
    let error = match read_hcl(&text) {
        Ok(body) => return Ok(Some(body)),
        Err(error) => error,
    };
    if let Ok(body) = read_json(&text, &SCHEMA) {
        return Ok(Some(body));
    }
    Err(match as_compose {
        Some(Err(compose)) => error.with_details(vec![format!("it is not a compose file either: {}", compose.message)]),
        _ => error,
    })
}

/// Notes what stands in the files and means nothing.
fn find_unknown(bodies: &[HclBody], definition: &mut BakeDefinition) {
    let known = || SCHEMA.iter().map(|schema| schema.kind);
    for block in bodies.iter().flat_map(|body| &body.blocks).filter(|block| !known().any(|kind| kind == block.kind)) {
        let error = block.place.error(format!("there is no block `{}`", block.kind));
        definition.faults.push(match suggestion(&block.kind, known()) {
            Some(near) => error.with_hint(format!("did you mean `{near}`?")),
            None => error.with_hint(format!("known blocks are {}", known().collect::<Vec<_>>().join(", "))),
        });
    }
}

/// Notes the variables that the command line sets and that the files do not have.
fn find_unset(given: &Map<String>, variables: &[ListedVariable], faults: &mut Vec<Error>) {
    let names = || variables.iter().map(|variable| variable.name.as_str());
    for name in given.keys() {
        let own = name.strip_suffix("_JSON").unwrap_or(name);
        if names().any(|known| known == name || known == own) {
            continue;
        }
        let error = Error::usage(format!("--var {name}: the files have no variable of this name"));
        faults.push(match suggestion(name, names()) {
            Some(near) => error.with_hint(format!("did you mean `{near}`?")),
            None => error.with_hint("--list variables shows what there is"),
        });
    }
}
