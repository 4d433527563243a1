//! The language of bake files: how it is read, and what its expressions give.

mod expressions;
mod files;
mod hostile;
mod variables;

use std::sync::Arc;

use ocibake::error::Result;
use ocibake::plan::hcl::{
    BakeText, BlockSchema, EvaluationBudget, HclBody, Scope, Surroundings, Value, read_hcl, read_json, value_json,
};

/// The blocks of JSON files.
const SCHEMA: &[BlockSchema] = &[
    BlockSchema { kind: "target", labels: 1, blocks: &[] },
    BlockSchema { kind: "variable", labels: 1, blocks: &[BlockSchema { kind: "validation", labels: 0, blocks: &[] }] },
];

fn text(file: &str, text: &str) -> Arc<BakeText> {
    Arc::new(BakeText { file: file.to_owned(), text: text.to_owned() })
}

fn hcl(source: &str) -> Result<HclBody> {
    read_hcl(&text("docker-bake.hcl", source))
}

fn json(source: &str) -> Result<HclBody> {
    read_json(&text("docker-bake.json", source), SCHEMA)
}

/// What an attribute of a file gives on the 14th of November 2023, in the home of `me`, with sevens for random bytes.
fn value_of(body: &HclBody, name: &str, scope: &Scope) -> Result<Value> {
    let surroundings = Surroundings { now: 1_700_000_000, home: "/home/me", random: &|bytes| bytes.fill(7) };
    let attribute = body.attribute(name).unwrap_or_else(|| panic!("{name} is not there"));
    attribute.value.evaluate(scope, &surroundings, &EvaluationBudget::default())
}

/// What an expression gives, as JSON.
fn evaluated(expression: &str, scope: &Scope) -> Result<String> {
    let value = value_of(&hcl(&format!("v = {expression}\n"))?, "v", scope)?;
    value_json(&value).map_err(ocibake::error::Error::input)
}
