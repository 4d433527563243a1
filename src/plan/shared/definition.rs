//! The definition that a plan holds: targets, resolved, as a bake file that reads the same everywhere.

use serde_json::{Value, json};

use super::document::SharedPlan;
use crate::error::{Error, Result};
use crate::oci::Map;
use crate::plan::bake::{
    Allowances, BakeDefinition, BakeFile, BakeReader, BakeRequest, BakeTarget, BuiltIn, ResolvedBake,
};
use crate::plan::hcl::Surroundings;

/// Returns the targets of `resolved` as a bake file that no variable and no other file changes.
pub fn definition_of(resolved: &ResolvedBake) -> Value {
    let targets: Map<Value> =
        resolved.targets.iter().map(|(name, target)| (name.clone(), json!(target.escaped()))).collect();
    json!({ "target": targets })
}

impl SharedPlan {
    /// Returns its targets, resolved. Fails for a definition that says other than the plan what targets there are.
    pub fn resolved(&self, allowances: Allowances) -> Result<ResolvedBake> {
        let file = BakeFile { name: "plan.json".to_owned(), text: self.definition.to_string(), is_local: true };
        let nothing = |_: &mut [u8]| ();
        let definition = BakeDefinition::read(
            &[file],
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
        )?;
        let asked = self.targets.iter().filter(|(_, target)| !target.linked).map(|(name, _)| name.clone());
        let mut resolved = definition.resolve(BakeRequest {
            targets: &asked.collect::<Vec<_>>(),
            overrides: &[],
            allowances,
            variable: &|_| None,
        })?;
        resolved.settle(None, None)?;
        let faults = definition.faults.into_iter().chain(std::mem::take(&mut resolved.faults));
        if let Some(fault) = faults.into_iter().next() {
            return Err(fault);
        }
        let is_meant = |(name, target): (&String, &BakeTarget)| {
            self.targets.get(name).is_some_and(|known| known.linked == target.is_linked)
        };
        match resolved.targets.len() == self.targets.len() && resolved.targets.iter().all(is_meant) {
            true => Ok(resolved),
            false => Err(Error::input("the definition of the plan has other targets than the plan")),
        }
    }
}
