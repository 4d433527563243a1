//! `--set TARGET.KEY[+]=VALUE`: what the command line changes of targets.

use std::collections::BTreeMap;

use super::allowance::Allowances;
use super::credential::{AgentEntry, SecretEntry};
use super::definition::BakeDefinition;
use super::entry::{AttestEntry, CacheEntry, OutputEntry};
use super::outputs::{load, push};
use super::policy::PolicyEntry;
use super::select::pattern;
use super::target::{
    BakeTarget, append_entries, normalize_agents, normalize_attest, normalize_entries, normalize_secrets,
};
use crate::error::{Error, Result, suggestion};
use crate::oci::Map;
use crate::plan::quantity;

/// The changes, by the names of targets.
#[derive(Debug, Default)]
pub(super) struct OverrideSet {
    targets: BTreeMap<String, BTreeMap<OverrideKey, Override>>,
}

/// A key, and what is meant of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct OverrideKey {
    /// As the table below has it.
    key: &'static str,
    /// The name of an argument, a label, a context and the like.
    name: Option<String>,
}

/// What was said of one key, all together.
#[derive(Debug, Default)]
struct Override {
    values: Vec<String>,
    is_appended: bool,
}

/// What a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OverrideForm {
    /// One value.
    Value,
    /// Values, with `+=` beside those that are there.
    List,
    /// A value of a name.
    Named,
    /// Values, or one of a name.
    Either,
}

/// The keys, with another name that each has.
const KEYS: [(&str, &str, OverrideForm); 28] = [
    ("annotation", "annotations", OverrideForm::List),
    ("arg", "args", OverrideForm::Named),
    ("attest", "", OverrideForm::List),
    ("cache-from", "", OverrideForm::List),
    ("cache-to", "", OverrideForm::List),
    ("call", "", OverrideForm::Value),
    ("context", "", OverrideForm::Value),
    ("contexts", "", OverrideForm::Named),
    ("dockerfile", "", OverrideForm::Value),
    ("entitlement", "entitlements", OverrideForm::List),
    ("extra-host", "extra-hosts", OverrideForm::Named),
    ("label", "labels", OverrideForm::Named),
    ("load", "", OverrideForm::Value),
    ("network", "", OverrideForm::Value),
    ("no-cache", "", OverrideForm::Value),
    ("no-cache-filter", "", OverrideForm::List),
    ("output", "", OverrideForm::List),
    ("platform", "platforms", OverrideForm::List),
    ("policy", "", OverrideForm::List),
    ("pull", "", OverrideForm::Value),
    ("push", "", OverrideForm::Value),
    ("resource", "resources", OverrideForm::Named),
    ("secret", "secrets", OverrideForm::Either),
    ("shm-size", "", OverrideForm::Value),
    ("ssh", "", OverrideForm::List),
    ("tag", "tags", OverrideForm::List),
    ("target", "", OverrideForm::Value),
    ("ulimit", "ulimits", OverrideForm::List),
];

impl OverrideSet {
    /// Reads changes; `variable` returns one of the environment.
    pub fn read(
        texts: &[String],
        definition: &BakeDefinition,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<OverrideSet> {
        let mut set = OverrideSet::default();
        for text in texts {
            set.add(text, definition, variable).map_err(|error| in_flag(text, error))?;
        }
        Ok(set)
    }

    fn add(
        &mut self,
        text: &str,
        definition: &BakeDefinition,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<()> {
        let (left, value) = text.split_once('=').map_or((text, None), |(left, value)| (left, Some(value)));
        let is_appended = left.ends_with('+');
        let left = left.strip_suffix('+').unwrap_or(left);
        let mut words = left.splitn(3, '.');
        let (Some(targets), Some(word)) = (words.next(), words.next()) else {
            return Err(Error::usage("it names no key of a target").with_hint(FORM));
        };
        let (key, taken) = key(word)?;
        let name = words.next().map(str::to_owned);
        let is_named = match (taken, &name) {
            (OverrideForm::Named, None) => {
                let error = Error::usage(format!("`{word}` needs a name after it"));
                return Err(error.with_hint(format!("write {targets}.{word}.NAME=VALUE")));
            }
            (OverrideForm::Value | OverrideForm::List, Some(name)) => {
                return Err(Error::usage(format!("`{word}` takes no name, but `{name}` follows it")));
            }
            (OverrideForm::Either, Some(_)) if word == "secrets" => {
                return Err(Error::usage("`secrets` takes no name").with_hint("write it as secret.ID=VALUE"));
            }
            (_, name) => name.is_some(),
        };
        let names = definition.matching_targets(targets)?;
        let value = match (value, key) {
            (Some(value), _) => Some(value.to_owned()),
            (None, "arg") => variable(name.as_deref().unwrap_or_default()),
            (None, _) => return Err(Error::usage("it has no value").with_hint(FORM)),
        };
        // An argument without a value is that of a variable; one that is not set changes nothing.
        let Some(value) = value else { return Ok(()) };
        for target in names {
            let key = OverrideKey { key, name: name.clone() };
            let own = self.targets.entry(target).or_default().entry(key).or_default();
            if is_named || taken == OverrideForm::Value {
                own.values.clear();
            }
            own.values.push(value.clone());
            own.is_appended = is_appended;
        }
        Ok(())
    }

    /// Changes the target `name`. What the command line brings in is allowed by it, too.
    pub fn apply(&self, name: &str, target: &mut BakeTarget, allowances: &mut Allowances) -> Result<()> {
        let Some(overrides) = self.targets.get(name) else { return Ok(()) };
        // What is pushed and loaded depends on the outputs.
        let is_last = |key: &OverrideKey| matches!(key.key, "push" | "load");
        let mut last: Vec<_> = overrides.iter().filter(|(key, _)| is_last(key)).collect();
        last.reverse();
        for (key, change) in overrides.iter().filter(|(key, _)| !is_last(key)).chain(last) {
            change.apply(key, target, allowances).map_err(|error| {
                let dotted = key.name.as_ref().map(|name| format!(".{name}")).unwrap_or_default();
                in_flag(&format!("{name}.{}{dotted}", key.key), error)
            })?;
        }
        Ok(())
    }
}

const FORM: &str = "write TARGET.KEY=VALUE, as in --set app.args.VERSION=1.2 or --set '*.platform=linux/arm64'";

fn in_flag(text: &str, error: Error) -> Error {
    Error { message: format!("--set {text}: {}", error.message), ..error.on_command_line() }
}

/// Returns the key that a word means, and what it takes.
fn key(word: &str) -> Result<(&'static str, OverrideForm)> {
    let known = KEYS.iter().find(|(key, other, _)| *key == word || (!other.is_empty() && *other == word));
    known.map(|(key, _, taken)| (*key, *taken)).ok_or_else(|| {
        let error = Error::usage(format!("unknown key: {word}"));
        let fixed = ["inherits", "description", "dockerfile-inline", "matrix", "name"];
        if fixed.contains(&word) {
            return error.with_hint(format!("`{word}` can only be set in files"));
        }
        let names = KEYS.iter().flat_map(|(key, other, _)| [*key, *other]).filter(|name| !name.is_empty());
        match suggestion(word, names) {
            Some(near) => error.with_hint(format!("did you mean `{near}`?")),
            None => error.with_hint(FORM),
        }
    })
}

impl Override {
    fn apply(&self, key: &OverrideKey, target: &mut BakeTarget, allowances: &mut Allowances) -> Result<()> {
        let value = self.values.last().cloned().unwrap_or_default();
        let name = || key.name.clone().unwrap_or_default();
        let truth = || {
            let error = || Error::usage(format!("it must be true or false, not `{value}`"));
            quantity::boolean(&value).ok_or_else(error)
        };
        match key.key {
            "context" => target.context = Some(value),
            "dockerfile" => target.dockerfile = Some(value),
            "target" => target.target = Some(value),
            "call" => target.call = Some(value),
            "network" => target.network = Some(value),
            "shm-size" => target.shm_size = Some(value),
            "no-cache" => target.no_cache = Some(truth()?),
            "pull" => target.pull = Some(truth()?),
            "push" => push(&mut target.outputs, truth()?),
            "load" if truth()? => load(&mut target.outputs),
            "load" => {}
            "arg" => drop(target.args.insert(name(), Some(value))),
            "label" => drop(target.labels.insert(name(), Some(value))),
            "extra-host" => drop(target.extra_hosts.insert(name(), Some(value))),
            "contexts" => drop(target.contexts.insert(name(), value)),
            "resource" => target.resources.get_or_insert_default().set(&name(), &value)?,
            "tag" => self.texts(&mut target.tags),
            "platform" => self.texts(&mut target.platforms),
            "no-cache-filter" => self.texts(&mut target.no_cache_filter),
            "ulimit" => self.texts(&mut target.ulimits),
            "annotation" => target.annotations.get_or_insert_default().extend(self.values.iter().cloned()),
            _ => self.apply_entries(key, target, allowances)?,
        }
        Ok(())
    }

    fn apply_entries(&self, key: &OverrideKey, target: &mut BakeTarget, allowances: &mut Allowances) -> Result<()> {
        match (key.key, &key.name) {
            ("secret", Some(id)) => {
                replace_secret(target, id, self.values.last().map_or("", String::as_str), allowances)?
            }
            ("secret", None) => {
                self.entries(&mut target.secrets, |text| Ok(vec![SecretEntry::read(text)?]), normalize_secrets)?;
                allowances.read_files(target.secrets.iter().flatten().map(|secret| secret.path.as_str()));
            }
            ("ssh", _) => {
                self.entries(&mut target.ssh, |text| Ok(vec![AgentEntry::read(text)]), normalize_agents)?;
                allowances.read_files(target.ssh.iter().flatten().flat_map(|agent| &agent.paths).map(String::as_str));
            }
            ("cache-from", _) => {
                self.entries(&mut target.cache_from, CacheEntry::read, normalize_entries)?;
                allowances.read_files(local(target.cache_from.iter().flatten(), "src"));
            }
            ("cache-to", _) => {
                self.entries(&mut target.cache_to, CacheEntry::read, normalize_entries)?;
                allowances.write_files(local(target.cache_to.iter().flatten(), "dest"));
            }
            ("output", _) => {
                self.entries(&mut target.outputs, |text| Ok(vec![OutputEntry::read(text)?]), normalize_entries)?;
                allowances.write_files(target.outputs.iter().flatten().map(|output| output.destination.as_str()));
            }
            ("attest", _) => {
                let read = |text: &String| AttestEntry::read(text);
                let attest = self.values.iter().filter(|text| !text.is_empty()).map(read).collect::<Result<_>>()?;
                append_entries(&mut target.attest, Some(attest), normalize_attest);
            }
            ("policy", _) => {
                let read = |text: &String| PolicyEntry::read(text);
                let policies: Vec<PolicyEntry> = self.values.iter().map(read).collect::<Result<_>>()?;
                if !self.is_appended {
                    target.policy = None;
                }
                target.policy.get_or_insert_default().extend(policies);
            }
            _ => {
                target.entitlements.get_or_insert_default().extend(self.values.iter().cloned());
                self.values.iter().for_each(|text| allowances.grant(text));
            }
        }
        Ok(())
    }

    fn texts(&self, own: &mut Option<Vec<String>>) {
        if !self.is_appended {
            *own = None;
        }
        own.get_or_insert_default().extend(self.values.iter().cloned());
    }

    fn entries<T>(
        &self,
        own: &mut Option<Vec<T>>,
        read: impl Fn(&str) -> Result<Vec<T>>,
        normalize: fn(&mut Vec<T>),
    ) -> Result<()> {
        let mut entries = Vec::new();
        for text in self.values.iter().filter(|text| !text.is_empty()) {
            entries.extend(read(text)?);
        }
        match self.is_appended {
            true => append_entries(own, Some(entries), normalize),
            false => *own = Some(entries),
        }
        Ok(())
    }
}

/// Gives a secret that the target has another source.
fn replace_secret(target: &mut BakeTarget, id: &str, value: &str, allowances: &mut Allowances) -> Result<()> {
    let ids: Vec<String> = target.secrets.iter().flatten().map(|secret| secret.id.clone()).collect();
    let Some(secret) = target.secrets.iter_mut().flatten().find(|secret| secret.id == id) else {
        let error = Error::usage(format!("the target has no secret `{id}`"));
        return Err(match suggestion(id, ids.iter().map(String::as_str)) {
            Some(near) => error.with_hint(format!("did you mean `{near}`?")),
            None => error.with_hint("only the source of a secret that a file declares can be changed"),
        });
    };
    let source = SecretEntry::read(value)?;
    if !source.id.is_empty() && source.id != id {
        return Err(Error::usage(format!("the secret `{id}` cannot be called `{}`", source.id)));
    }
    *secret = SecretEntry { id: id.to_owned(), ..source };
    allowances.read_files([secret.path.as_str()]);
    Ok(())
}

/// The directories of local caches.
fn local<'a>(caches: impl Iterator<Item = &'a CacheEntry>, key: &'static str) -> impl Iterator<Item = &'a str> {
    let attributes = |cache: &'a CacheEntry| -> &'a Map<String> { &cache.attributes };
    caches.filter(|cache| cache.kind == "local").filter_map(move |cache| attributes(cache).get(key)).map(String::as_str)
}

impl BakeDefinition {
    /// Returns the names of the targets that a pattern means. Fails if there are none.
    fn matching_targets(&self, text: &str) -> Result<Vec<String>> {
        if self.target(text).is_some() {
            return Ok(vec![text.to_owned()]);
        }
        let pattern = pattern(text)?;
        let names: Vec<String> =
            self.targets().iter().map(|target| target.name.clone()).filter(|name| pattern.matches(name)).collect();
        if names.is_empty() {
            let error = Error::not_found(format!("could not find any target matching '{text}'"));
            return Err(match suggestion(text, self.targets().iter().map(|target| target.name.as_str())) {
                Some(near) => error.with_hint(format!("did you mean `{near}`?")),
                None => error.with_hint("--list targets shows what there is"),
            });
        }
        Ok(names)
    }
}
