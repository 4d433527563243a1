//! Several targets in an order in which each stands behind those that it takes from.

use std::collections::BTreeMap;

use super::request::TargetRequest;

/// Returns the targets, each behind those that it takes from, and else by their names. Loops were refused before.
pub fn in_order(targets: Vec<TargetRequest>) -> Vec<TargetRequest> {
    let mut left: BTreeMap<String, TargetRequest> =
        targets.into_iter().map(|target| (target.name.clone(), target)).collect();
    let mut ordered = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let is_ready = |target: &TargetRequest| !target.takes_from.iter().any(|other| left.contains_key(other));
        let ready: Vec<String> =
            left.values().filter(|target| is_ready(target)).map(|target| target.name.clone()).collect();
        if ready.is_empty() {
            ordered.extend(std::mem::take(&mut left).into_values());
        }
        ordered.extend(ready.iter().filter_map(|name| left.remove(name)));
    }
    ordered
}
