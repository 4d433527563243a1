//! Many small definitions, and what buildx prints of each; null for those that it refuses.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use ocibake::error::Result;
use ocibake::oci::{Map, Platform};
use ocibake::plan::bake::{Allowances, BakeDefinition, BakeFile, BakeReader, BakeRequest, BuiltIn};
use ocibake::plan::hcl::Surroundings;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Definition {
    name: String,
    /// The lines of files, by their names; `-f` is for each of them in this order.
    files: Vec<(String, String)>,
    #[serde(default)]
    variables: Map<String>,
    targets: Vec<String>,
    #[serde(default)]
    set: Vec<String>,
    printed: Value,
}

#[test]
fn what_is_printed_is_what_buildx_prints() {
    let definitions: Vec<Definition> = serde_json::from_str(include_str!("cases.json")).unwrap();
    assert!(definitions.len() > 200);
    let mut wrong = Vec::new();
    for definition in &definitions {
        let printed = printed(definition);
        let ours = printed.as_ref().map(sorted).unwrap_or_default();
        if ours != sorted(&definition.printed) {
            let why = printed.err().map(|error| error.message).unwrap_or_default();
            wrong.push(format!("{}: {ours} {why}\n  and not {}", definition.name, definition.printed));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn printed(definition: &Definition) -> Result<Value> {
    let files: Vec<BakeFile> = definition
        .files
        .iter()
        .map(|(name, text)| BakeFile { name: name.clone(), text: text.clone(), is_local: true })
        .collect();
    let built_in = BuiltIn::from([
        ("BAKE_CMD_CONTEXT".to_owned(), "cwd://".to_owned()),
        ("BAKE_LOCAL_PLATFORM".to_owned(), Platform::host().to_string()),
    ]);
    let variable = |name: &str| definition.variables.get(name).cloned();
    let warnings = RefCell::new(Vec::new());
    let defined = BakeDefinition::read(
        &files,
        &BakeReader {
            given: &Map::new(),
            variable: &variable,
            built_in: &built_in,
            surroundings: Surroundings { now: 0, home: "/root", random: &|bytes| bytes.fill(0) },
            compose_variables: &definition.variables,
            read: &|_: &Path| Ok(None),
            warn: &|text| warnings.borrow_mut().push(text.to_owned()),
            has_healthchecks: false,
            has_relative_paths: false,
        },
    )?;
    let mut resolved = defined.resolve(BakeRequest {
        targets: &definition.targets,
        overrides: &definition.set,
        allowances: Allowances::default(),
        variable: &variable,
    })?;
    resolved.settle(None, None)?;
    let targets: BTreeMap<&String, _> =
        resolved.targets.iter().map(|(name, target)| (name, target.escaped())).collect();
    Ok(match resolved.groups.is_empty() {
        true => json!({"target": targets}),
        false => json!({"group": resolved.groups, "target": targets}),
    })
}

/// The order of names in a group is that of a matrix, which has none in buildx.
fn sorted(printed: &Value) -> Value {
    let mut printed = printed.clone();
    for group in printed.get_mut("group").and_then(Value::as_object_mut).into_iter().flat_map(|all| all.values_mut()) {
        if let Some(names) = group["targets"].as_array_mut() {
            names.sort_by_key(ToString::to_string);
        }
    }
    printed
}
