//! The jobs of Kubernetes: an Indexed Job for the shards, one that joins them, and the plan for both to read.

use serde_json::{Value, json};

use super::document::{SharedCheckout, SharedPlan};
use crate::error::{Error, Result};

/// The most that a ConfigMap holds, in bytes.
const CONFIG_MAP_LIMIT: usize = 1 << 20;

/// How often a shard is tried again, on a machine that need not be the same.
const RETRIES: u32 = 3;

/// Returns a list of a ConfigMap and two Jobs, in JSON, which is YAML too.
pub fn manifest(plan: &SharedPlan, shards: usize) -> Result<String> {
    let text =
        String::from_utf8(plan.text()?).map_err(|source| Error::input("the plan is not text").with_source(source))?;
    if text.len() > CONFIG_MAP_LIMIT {
        let message = format!("the plan has {} bytes, but a ConfigMap holds {CONFIG_MAP_LIMIT}", text.len());
        return Err(Error::input(message).with_hint("plan fewer targets at a time"));
    }
    let name = format!("ocibake-{:.12}", plan.digest().hex());
    let items = json!([
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": { "name": name },
            "immutable": true,
            "data": { "plan.json": text },
        },
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": { "name": name },
            "spec": {
                "completionMode": "Indexed",
                "completions": shards,
                "parallelism": shards,
                "backoffLimitPerIndex": RETRIES,
                "template": pod(&name, &["--shard", "--shards", &shards.to_string()], plan.checkout.as_ref()),
            },
        },
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": { "name": format!("{name}-join") },
            "spec": {
                "backoffLimit": RETRIES,
                "template": pod(&name, &["--join", "--timeout", "6h"], None),
            },
        },
    ]);
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": items });
    let text = serde_json::to_string_pretty(&list)
        .map_err(|source| Error::input("the jobs cannot be written down").with_source(source))?;
    Ok(format!("{text}\n"))
}

/// A pod that does something with the plan, in a checkout where one is wanted and it is known from where.
fn pod(name: &str, words: &[&str], checkout: Option<&SharedCheckout>) -> Value {
    let command: Vec<&str> = ["ocibake", "bake", "--plan", "/plan/plan.json"].iter().chain(words).copied().collect();
    let work = json!({ "name": "work", "mountPath": "/work" });
    let cloned = checkout.and_then(|checkout| Some((checkout.source.as_deref()?, checkout.revision.as_str())));
    let clone = cloned.map(|(source, revision)| {
        json!({
            "name": "checkout",
            "image": "git",
            "command": ["sh", "-ec", "git clone \"$SOURCE\" /work && git -C /work checkout --detach \"$REVISION\""],
            "env": [{ "name": "SOURCE", "value": source }, { "name": "REVISION", "value": revision }],
            "volumeMounts": [work],
        })
    });
    json!({
        "spec": {
            "restartPolicy": "Never",
            "initContainers": clone.into_iter().collect::<Vec<_>>(),
            "containers": [{
                "name": "ocibake",
                "image": "ocibake",
                "workingDir": "/work",
                "command": command,
                "env": [
                    { "name": "DOCKER_CONFIG", "value": "/credentials" },
                    { "name": "OCIBAKE_STORE", "value": "/store" },
                ],
                "volumeMounts": [
                    work,
                    { "name": "plan", "mountPath": "/plan" },
                    { "name": "store", "mountPath": "/store" },
                    { "name": "credentials", "mountPath": "/credentials" },
                ],
            }],
            "volumes": [
                { "name": "work", "emptyDir": {} },
                { "name": "store", "emptyDir": {} },
                { "name": "plan", "configMap": { "name": name } },
                {
                    "name": "credentials",
                    "secret": {
                        "secretName": "ocibake-registry",
                        "optional": true,
                        "items": [{ "key": ".dockerconfigjson", "path": "config.json" }],
                    },
                },
            ],
        },
    })
}
