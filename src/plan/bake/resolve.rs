//! From definitions to the targets that are to be built: what each inherits, what the command line changes, and what it takes from
//! others.

use std::collections::{BTreeMap, BTreeSet};

use super::allowance::Allowances;
use super::definition::BakeDefinition;
use super::entry::OutputEntry;
use super::override_set::OverrideSet;
use super::target::{BakeGroup, BakeTarget};
use crate::error::{Error, Result};
use crate::oci::Map;

/// How long a chain of targets may be that inherit or take from each other.
const LONGEST_CHAIN: usize = 64;

/// The most values that targets may come to by what they inherit.
const MOST_INHERITED: usize = 2_000_000;

/// The targets that are asked for and those that they take from, resolved.
#[derive(Debug, Default)]
pub struct ResolvedBake {
    /// The targets by their names.
    pub targets: Map<BakeTarget>,
    /// The groups that were asked for, and `default`, which has the names that were.
    pub groups: Map<BakeGroup>,
    /// What the command line allows.
    pub allowances: Allowances,
    /// What buildx lets pass, and what is a mistake all the same.
    pub faults: Vec<Error>,
}

/// What is asked of definitions.
pub struct BakeRequest<'a> {
    /// The names and patterns of targets and groups.
    pub targets: &'a [String],
    /// The values of `--set`.
    pub overrides: &'a [String],
    /// What `--allow` says.
    pub allowances: Allowances,
    /// Returns a variable of the environment.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
}

impl BakeDefinition {
    /// Resolves the targets that are asked for. Fails for names that there are not, and for what the command line changes
    /// wrongly.
    pub fn resolve(&self, request: BakeRequest<'_>) -> Result<ResolvedBake> {
        let names = self.named(request.targets)?;
        let overrides = OverrideSet::read(request.overrides, self, request.variable)?;
        let mut resolving = Resolving {
            definition: self,
            overrides,
            allowances: request.allowances,
            left: MOST_INHERITED,
            open: Vec::new(),
            faults: Vec::new(),
            targets: Map::new(),
        };
        let mut groups: Map<BakeGroup> = Map::new();
        for name in &names {
            let members = self.members(name)?;
            for target in members.targets {
                if !resolving.targets.contains_key(&target) {
                    let resolved = resolving.target(&target)?;
                    resolving.targets.insert(target, resolved);
                }
            }
            groups.extend(members.groups.iter().filter_map(|name| Some((name.clone(), self.group(name)?.clone()))));
        }
        for name in &names {
            if name == "default" && groups.contains_key(name) {
                continue;
            }
            groups.entry("default".to_owned()).or_default().targets.get_or_insert_default().push(name.clone());
        }
        if let Some(names) = groups.get_mut("default").and_then(|default| default.targets.as_mut()) {
            names.sort();
            names.dedup();
        }
        let asked: Vec<String> = resolving.targets.keys().cloned().collect();
        let mut linked = BTreeSet::new();
        for name in &asked {
            resolving.link(name, &mut Vec::new(), &mut linked)?;
        }
        let Resolving { targets, allowances, faults, .. } = resolving;
        Ok(ResolvedBake { targets, groups, allowances, faults })
    }
}

struct Resolving<'a> {
    definition: &'a BakeDefinition,
    overrides: OverrideSet,
    allowances: Allowances,
    left: usize,
    /// The targets that are being resolved, as they inherit from each other.
    open: Vec<String>,
    faults: Vec<Error>,
    targets: Map<BakeTarget>,
}

impl Resolving<'_> {
    /// Returns a target with all that it inherits.
    fn target(&mut self, name: &str) -> Result<BakeTarget> {
        let mut visited = BTreeMap::new();
        let Some(mut target) = self.inherited(name, &mut visited)? else {
            return Err(self.definition.missing(name));
        };
        target.context.get_or_insert_with(|| ".".to_owned());
        if target.spec.is_none() && target.dockerfile.as_ref().is_none_or(String::is_empty) {
            target.dockerfile = Some("Dockerfile".to_owned());
        }
        Ok(target)
    }

    /// Returns a target with what those say that it inherits, each of them resolved once; none for one that is being resolved.
    fn inherited(
        &mut self,
        name: &str,
        visited: &mut BTreeMap<String, Option<BakeTarget>>,
    ) -> Result<Option<BakeTarget>> {
        if let Some(target) = visited.get(name) {
            return Ok(target.clone());
        }
        let definition = self.definition;
        let own = definition.target(name).ok_or_else(|| definition.missing(name))?;
        visited.insert(name.to_owned(), None);
        self.open.push(name.to_owned());
        let mut target = BakeTarget { name: name.to_owned(), ..BakeTarget::default() };
        for parent in own.inherits.iter().flatten() {
            self.left = self.left.saturating_sub(target.weight());
            if self.open.len() > LONGEST_CHAIN || self.left == 0 {
                let error = Error::input(format!("targets inherit from each other too deeply, down to `{name}`"));
                return Err(definition.blame(name, "inherits", error));
            }
            let known = self.inherited(parent, visited);
            match known.map_err(|error| definition.blame(name, "inherits", error))? {
                Some(parent) => target.merge(parent),
                None => self.note_loop(parent, name),
            }
        }
        self.open.pop();
        target.merge(own.clone());
        self.overrides.apply(name, &mut target, &mut self.allowances)?;
        target.normalize();
        // What it inherits from is told, and would double with each one that inherits from it.
        target.inherits = None;
        visited.insert(name.to_owned(), Some(target.clone()));
        Ok(Some(target))
    }

    /// Notes that `name` inherits from `parent`, which inherits from it.
    fn note_loop(&mut self, parent: &str, name: &str) {
        let way: Vec<&str> = self.open.iter().map(String::as_str).skip_while(|open| *open != parent).collect();
        let error =
            Error::input(format!("targets inherit from each other in a circle: {} -> {parent}", way.join(" -> ")));
        let error = self.definition.blame(name, "inherits", error);
        if !self.faults.iter().any(|fault| fault.excerpt == error.excerpt) {
            self.faults.push(error);
        }
    }

    /// Resolves the targets that `name` takes from. `open` are those that take from it.
    fn link(&mut self, name: &str, open: &mut Vec<String>, linked: &mut BTreeSet<String>) -> Result<()> {
        if linked.contains(name) {
            return Ok(());
        }
        let definition = self.definition;
        let wrong = |message: String| definition.blame(name, "contexts", Error::input(message));
        if open.len() > LONGEST_CHAIN {
            return Err(wrong(format!("more than {LONGEST_CHAIN} targets take from each other in a row")));
        }
        open.push(name.to_owned());
        let links = self.targets.get(name).map(BakeTarget::links).unwrap_or_default();
        for other in links.iter().map(String::as_str) {
            if other == name {
                return Err(wrong(format!("target {other} cannot link to itself")));
            }
            if let Some(at) = open.iter().position(|open| open == other) {
                let way = open[at..].join(" -> ");
                return Err(wrong(format!("infinite loop from {name} to {other}: {way} -> {other}")));
            }
            if !self.targets.contains_key(other) {
                let provider = self.target(other).map_err(|error| self.definition.blame(name, "contexts", error))?;
                let nowhere = OutputEntry { kind: "cacheonly".to_owned(), ..OutputEntry::default() };
                let provider = BakeTarget { outputs: Some(vec![nowhere]), is_linked: true, ..provider };
                self.targets.insert(other.to_owned(), provider);
            }
            self.link(other, open, linked)?;
            self.take_from(name, other)?;
        }
        open.pop();
        linked.insert(name.to_owned());
        Ok(())
    }

    /// Lets the target `name` have the entitlements of `other`, and checks that it is built for its platforms.
    fn take_from(&mut self, name: &str, other: &str) -> Result<()> {
        let Some(provider) = self.targets.get(other) else { return Ok(()) };
        let (entitlements, offered) = (provider.entitlements.clone(), provider.platforms.clone().unwrap_or_default());
        let Some(target) = self.targets.get_mut(name) else { return Ok(()) };
        for entitlement in entitlements.into_iter().flatten() {
            let own = target.entitlements.get_or_insert_default();
            if !own.contains(&entitlement) {
                own.push(entitlement);
            }
        }
        let wanted = target.platforms.clone().unwrap_or_default();
        if wanted.len() > 1 && offered.len() > 1 && wanted.iter().any(|platform| !offered.contains(platform)) {
            let error = format!(
                "target {other} can't be used by {name} because its platforms [{}] are not a subset of [{}]",
                wanted.join(" "),
                offered.join(" ")
            );
            return Err(self.definition.blame(name, "platforms", Error::input(error)));
        }
        Ok(())
    }
}
