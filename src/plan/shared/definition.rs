//! The definition that a plan holds: targets, resolved, as a bake file that reads the same everywhere.

use serde_json::{Value, json};

use super::document::SharedPlan;
use crate::error::{Error, Result};
use crate::oci::Map;
use crate::plan::bake::{
    Allowances, BakeDefinition, BakeFile, BakeReader, BakeRequest, BakeTarget, BuiltIn, ResolvedBake,
};
use crate::plan::hcl::Surroundings;

/// Returns the targets of `resolved` as a bake file that no variable changes. What only an `ocibake.toml` says stays there.
pub fn definition_of(resolved: &ResolvedBake) -> Value {
    let plain = |target: &BakeTarget| BakeTarget { spec: None, index: None, table: None, ..target.escaped() };
    let targets: Map<Value> =
        resolved.targets.iter().map(|(name, target)| (name.clone(), json!(plain(target)))).collect();
    json!({ "target": targets })
}

impl SharedPlan {
    /// Returns its targets, resolved; `tables` are the `ocibake.toml` that it was made of. Fails for a definition that says other than
    /// the plan what targets there are.
    pub fn resolved(&self, allowances: Allowances, tables: &[BakeFile]) -> Result<ResolvedBake> {
        let file = BakeFile { name: "plan.json".to_owned(), text: self.definition.to_string(), is_local: true };
        let definition = read(&[file])?;
        let mut resolved = definition.resolve(BakeRequest {
            targets: &self.targets.keys().cloned().collect::<Vec<_>>(),
            overrides: &[],
            allowances,
            variable: &|_| None,
        })?;
        resolved.settle(None, None)?;
        let faults = definition.faults.into_iter().chain(std::mem::take(&mut resolved.faults));
        if let Some(fault) = faults.into_iter().next() {
            return Err(fault);
        }
        let tables = if tables.is_empty() { BakeDefinition::default() } else { read(tables)? };
        for (name, target) in &mut resolved.targets {
            target.is_linked = self.target(name)?.linked;
            if self.target(name)?.table {
                let own = tables.target(name).ok_or_else(|| Error::input(format!("there is no image {name}")))?;
                (target.spec, target.index, target.table) = (own.spec.clone(), own.index, own.table.clone());
                // Where nobody has named one, bake files have that.
                target.dockerfile.take_if(|name| target.spec.is_some() && name == "Dockerfile");
            }
        }
        match resolved.targets.len() == self.targets.len() {
            true => Ok(resolved),
            false => Err(Error::input("the definition of the plan has other targets than the plan")),
        }
    }
}

/// Reads files with nothing around them.
fn read(files: &[BakeFile]) -> Result<BakeDefinition> {
    let nothing = |_: &mut [u8]| ();
    BakeDefinition::read(
        files,
        &BakeReader {
            given: &Map::new(),
            variable: &|_| None,
            built_in: &BuiltIn::new(),
            surroundings: Surroundings { now: 0, home: "", random: &nothing },
            compose_variables: &Map::new(),
            read: &|_| Ok(None),
            warn: &|_| (),
            has_healthchecks: false,
            has_relative_paths: false,
        },
    )
}
