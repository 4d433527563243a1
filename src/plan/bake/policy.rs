//! `policy` and `resources` of a target.

use serde::Serialize;

use super::entry::{fields, pair};
use crate::error::{Error, Result, suggestion};
use crate::plan::quantity;

/// An entry of `policy`: how the sources of a build are judged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PolicyEntry {
    /// `filename`, as often as it was said.
    #[serde(rename = "Files")]
    pub files: Option<Vec<PolicyFile>>,
    /// `reset`.
    #[serde(rename = "Reset")]
    pub is_reset: bool,
    /// `disabled`.
    #[serde(rename = "Disabled")]
    pub is_disabled: bool,
    /// `strict`.
    #[serde(rename = "Strict")]
    pub is_strict: Option<bool>,
    /// `log-level`.
    #[serde(rename = "LogLevel")]
    pub log_level: Option<String>,
}

/// A file of a policy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PolicyFile {
    /// Its name.
    #[serde(rename = "Filename")]
    pub name: String,
}

/// The limits of all that a command of a target may take.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ResourceSettings {
    /// `memory`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// `memory-swap`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_swap: Option<String>,
    /// `cpu-shares`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_shares: Option<i64>,
    /// `cpu-period`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_period: Option<i64>,
    /// `cpu-quota`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_quota: Option<i64>,
    /// `cpuset-cpus`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpuset_cpus: Option<String>,
    /// `cpuset-mems`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpuset_mems: Option<String>,
}

/// The fields of a policy.
const POLICY_KEYS: [&str; 5] = ["filename", "reset", "disabled", "strict", "log-level"];

/// The resources that have a limit.
pub(super) const RESOURCE_KEYS: [&str; 7] =
    ["memory", "memory-swap", "cpu-shares", "cpu-period", "cpu-quota", "cpuset-cpus", "cpuset-mems"];

impl PolicyEntry {
    /// Reads a text of fields.
    pub fn read(text: &str) -> Result<PolicyEntry> {
        PolicyEntry::of_fields(&fields(text)?)
    }

    /// Reads fields.
    pub fn of_fields(fields: &[String]) -> Result<PolicyEntry> {
        let mut entry = PolicyEntry::default();
        for field in fields {
            let (key, value) = pair(field)?;
            let truth = || {
                let error = || Error::input(format!("`{field}`: it must be true or false"));
                quantity::boolean(value).ok_or_else(error)
            };
            let key = key.to_lowercase();
            match key.trim() {
                "filename" if !value.is_empty() => {
                    entry.files.get_or_insert_default().push(PolicyFile { name: value.to_owned() });
                }
                "filename" => return Err(Error::input("the `filename` of a policy is empty")),
                "reset" => entry.is_reset = truth()?,
                "disabled" => entry.is_disabled = truth()?,
                "strict" => entry.is_strict = Some(truth()?),
                "log-level" => entry.log_level = Some(level(value)?),
                key => {
                    let error = Error::input(format!("a policy has no option `{key}`"));
                    return Err(match suggestion(key, POLICY_KEYS) {
                        Some(near) => error.with_hint(format!("did you mean `{near}`?")),
                        None => error.with_hint(format!("it has {}", POLICY_KEYS.join(", "))),
                    });
                }
            }
        }
        Ok(entry)
    }
}

/// Returns the name of a level by one of its names.
fn level(text: &str) -> Result<String> {
    let name = match text.to_lowercase().as_str() {
        "warn" | "warning" => "warning".to_owned(),
        name @ ("panic" | "fatal" | "error" | "info" | "debug" | "trace") => name.to_owned(),
        _ => {
            let error = Error::input(format!("there is no level `{text}`"));
            return Err(error.with_hint("it must be panic, fatal, error, warning, info, debug or trace"));
        }
    };
    Ok(name)
}

impl ResourceSettings {
    /// Sets one by its name.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let number = || {
            let error = || Error::input(format!("`{name}` must be a whole number, not `{value}`"));
            value.parse().map(Some).map_err(|_| error())
        };
        let text = || Some(value.to_owned());
        match name {
            "memory" => self.memory = text(),
            "memory-swap" => self.memory_swap = text(),
            "cpu-shares" => self.cpu_shares = number()?,
            "cpu-period" => self.cpu_period = number()?,
            "cpu-quota" => self.cpu_quota = number()?,
            "cpuset-cpus" => self.cpuset_cpus = text(),
            "cpuset-mems" => self.cpuset_mems = text(),
            _ => {
                let error = Error::input(format!("there is no limit of `{name}`"));
                return Err(match suggestion(name, RESOURCE_KEYS) {
                    Some(near) => error.with_hint(format!("did you mean `{near}`?")),
                    None => error.with_hint(format!("known limits are {}", RESOURCE_KEYS.join(", "))),
                });
            }
        }
        Ok(())
    }

    /// Takes what `other` says.
    pub fn merge(&mut self, other: &ResourceSettings) {
        let ResourceSettings { memory, memory_swap, cpu_shares, cpu_period, cpu_quota, cpuset_cpus, cpuset_mems } =
            other;
        let text = |own: &mut Option<String>, other: &Option<String>| *own = other.clone().or(own.take());
        let number = |own: &mut Option<i64>, other: &Option<i64>| *own = other.or(*own);
        text(&mut self.memory, memory);
        text(&mut self.memory_swap, memory_swap);
        number(&mut self.cpu_shares, cpu_shares);
        number(&mut self.cpu_period, cpu_period);
        number(&mut self.cpu_quota, cpu_quota);
        text(&mut self.cpuset_cpus, cpuset_cpus);
        text(&mut self.cpuset_mems, cpuset_mems);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_read_field_by_field() {
        let entry = PolicyEntry::read("filename=a.rego,strict=true,log-level=WARN").unwrap();
        let expected =
            r#"{"Files":[{"Filename":"a.rego"}],"Reset":false,"Disabled":false,"Strict":true,"LogLevel":"warning"}"#;
        assert_eq!(serde_json::to_string(&entry).unwrap(), expected);
        for text in ["filename=", "file=a", "strict=2", "log-level=loud", "a"] {
            assert!(PolicyEntry::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn resources_are_merged_one_by_one() {
        let mut own = ResourceSettings::default();
        own.set("memory", "1g").unwrap();
        own.set("cpu-quota", "5").unwrap();
        let mut other = ResourceSettings::default();
        other.set("memory", "2g").unwrap();
        own.merge(&other);
        assert_eq!(serde_json::to_string(&own).unwrap(), r#"{"memory":"2g","cpu-quota":5}"#);
        assert!(own.set("cpu-quota", "x").is_err());
        assert!(own.set("memroy", "x").unwrap_err().hint.unwrap().contains("`memory`"));
    }
}
