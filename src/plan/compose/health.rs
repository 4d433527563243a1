//! The health check of a service, as an image has one.

use super::go_time::duration;
use super::model::Project;
use super::node::{NodeValue, YamlNode};
use crate::error::{Error, Result};
use crate::oci::Healthcheck;

impl Project {
    /// Returns the health check of the service `name` as its image can have it; none if the service says nothing about how it is
    /// checked. Fails for a time that is less than none.
    pub fn healthcheck_of(&self, name: &str) -> Result<Option<Healthcheck>> {
        let Some(check) = self.named(name)?.get("healthcheck") else { return Ok(None) };
        if matches!(check.get("disable").map(|node| &node.value), Some(NodeValue::Boolean(true))) {
            return Ok(Some(Healthcheck { test: vec!["NONE".to_owned()], ..Healthcheck::default() }));
        }
        let test: Vec<String> = check.values_of("test").iter().filter_map(YamlNode::text).map(str::to_owned).collect();
        if test.is_empty() {
            return Ok(None);
        }
        let retries = match check.get("retries").map(|node| &node.value) {
            Some(NodeValue::Integer(number)) => u64::try_from(*number).unwrap_or_default(),
            _ => 0,
        };
        Ok(Some(Healthcheck {
            test,
            interval: time(check, "interval")?,
            timeout: time(check, "timeout")?,
            start_period: time(check, "start_period")?,
            start_interval: time(check, "start_interval")?,
            retries,
        }))
    }
}

/// The time that `key` has, in nanoseconds; 0 if it has none.
fn time(check: &YamlNode, key: &str) -> Result<u64> {
    let Some(node) = check.get(key) else { return Ok(0) };
    let nanoseconds = node.text().and_then(duration).and_then(|time| u64::try_from(time).ok());
    nanoseconds.ok_or_else(|| node.blame(Error::input(format!("`{key}` of a health check is negative"))))
}
