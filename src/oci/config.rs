//! An image's configuration (image-spec, config.md), with docker's additions.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use super::{Digest, Keyed, Keys, Map, Platform, list, null_as_empty, optional_list, optional_map};

/// The parts that an image is made of, and the way in which it runs (image-spec, config.md).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// The time at which the image was made, in RFC 3339. Nothing checks its form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The person or the entity that made the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// The platform that the image runs on (`os`, `architecture`, `variant`, `os.version`, `os.features`).
    #[serde(flatten)]
    pub platform: Platform,
    /// The settings for containers; all empty where the document has none or null.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub config: Settings,
    /// The uncompressed layers.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub rootfs: RootFs,
    /// The steps that made the image, the first of them first. Those without `empty_layer` go with the layers in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "list")]
    pub history: Vec<History>,
    /// Fields that this type does not name, kept as they came.
    #[serde(flatten)]
    pub other: Map<Value>,
}

/// The `config` object: what a container started from the image gets if nothing else is said. `Healthcheck`, `Shell`
/// and `OnBuild` are docker's additions, which the image-spec reserves (config.md, "Properties").
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Settings {
    /// `user`, `uid`, `user:group` or `uid:gid`; empty for root.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "null_as_empty")]
    pub user: String,
    /// Keys are `port/protocol`.
    #[serde(default, skip_serializing_if = "is_absent_or_empty", deserialize_with = "names")]
    pub exposed_ports: Option<Map<Value>>,
    /// `NAME=value`, in the order in which they were set.
    #[serde(default, skip_serializing_if = "is_none_or_empty", deserialize_with = "optional_list")]
    pub env: Option<Vec<String>>,
    /// The words that the command line begins with; `cmd` follows them.
    #[serde(default, skip_serializing_if = "is_none_or_empty", deserialize_with = "optional_list")]
    pub entrypoint: Option<Vec<String>>,
    /// The words behind the entry point, which arguments of `docker run` take the place of.
    #[serde(default, skip_serializing_if = "is_none_or_empty", deserialize_with = "optional_list")]
    pub cmd: Option<Vec<String>>,
    /// The directories that containers write to; keys are paths, and values are empty objects.
    #[serde(default, skip_serializing_if = "is_absent_or_empty", deserialize_with = "names")]
    pub volumes: Option<Map<Value>>,
    /// The directory in which commands start, absolute; empty for the root.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "null_as_empty")]
    pub working_dir: String,
    /// The labels by their keys. None is not written; an empty map is.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "optional_map")]
    pub labels: Option<Map<String>>,
    /// The signal that asks the container to end, by name or number; empty for the engine's default.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "null_as_empty")]
    pub stop_signal: String,
    /// The check of the container's health; none leaves it to the base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// The words before the text of a command in shell form; none for `/bin/sh -c`.
    #[serde(default, skip_serializing_if = "is_none_or_empty", deserialize_with = "optional_list")]
    pub shell: Option<Vec<String>>,
    /// The instructions for builds that stand on the image, as they were written.
    #[serde(default, skip_serializing_if = "is_none_or_empty", deserialize_with = "optional_list")]
    pub on_build: Option<Vec<String>>,
    /// Fields that this type does not name, kept as they came.
    #[serde(flatten)]
    pub other: Map<Value>,
}

/// How to ask a container whether it is well. Durations are in nanoseconds, 0 means the engine's default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", arg…]` or `["CMD-SHELL", command]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "list")]
    pub test: Vec<String>,
    /// The time between two checks.
    #[serde(default, skip_serializing_if = "is_zero", deserialize_with = "null_as_empty")]
    pub interval: u64,
    /// The time after which a check has failed.
    #[serde(default, skip_serializing_if = "is_zero", deserialize_with = "null_as_empty")]
    pub timeout: u64,
    /// The time at the start in which failures do not count.
    #[serde(default, skip_serializing_if = "is_zero", deserialize_with = "null_as_empty")]
    pub start_period: u64,
    /// The time between two checks while `start_period` lasts.
    #[serde(default, skip_serializing_if = "is_zero", deserialize_with = "null_as_empty")]
    pub start_interval: u64,
    /// The number of failures in a row that make the container unhealthy; 0 for the engine's default.
    #[serde(default, skip_serializing_if = "is_zero", deserialize_with = "null_as_empty")]
    pub retries: u64,
}

/// The layers of an image by their content (image-spec, config.md, `rootfs`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// `layers`, though not every image says so.
    #[serde(rename = "type", default, deserialize_with = "null_as_empty")]
    pub kind: String,
    /// Digests of the uncompressed layers, the lowest first.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub diff_ids: Vec<Digest>,
}

/// A step of the making of an image (image-spec, config.md, `history`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// The time at which it was done, in RFC 3339. Nothing checks its form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The command or the instruction, in whatever words the builder has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// The person or the entity that did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// The name of the builder, or any remark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// The step made no layer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not", deserialize_with = "null_as_empty")]
    pub empty_layer: bool,
}

impl Keyed for ImageConfig {
    /// The keys of the image-spec (config.md, "Properties"), and docker's own.
    const KEYS: Keys = Keys::Own(&[
        ("created", &Keys::Any),
        ("author", &Keys::Any),
        ("architecture", &Keys::Any),
        ("os", &Keys::Any),
        ("os.version", &Keys::Any),
        ("os.features", &Keys::Any),
        ("variant", &Keys::Any),
        ("config", &SETTINGS),
        ("rootfs", &Keys::Own(&[("type", &Keys::Any), ("diff_ids", &Keys::Any)])),
        ("history", &Keys::Each(&HISTORY)),
        ("id", &Keys::Any),
        ("parent", &Keys::Any),
        ("comment", &Keys::Any),
        ("container", &Keys::Any),
        ("container_config", &SETTINGS),
        ("docker_version", &Keys::Any),
        ("Size", &Keys::Any),
    ]);
}

impl RootFs {
    /// Returns the layers of these digests, the lowest first, of the type `layers`.
    pub fn new(diff_ids: Vec<Digest>) -> Self {
        RootFs { kind: "layers".to_owned(), diff_ids }
    }
}

/// Reads what Go has as a set: a map whose values are all empty objects, though some write null.
fn names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Map<Value>>, D::Error> {
    let names: Option<Map<Value>> = Option::deserialize(deserializer)?;
    let filled = |value: Value| if value.is_null() { json!({}) } else { value };
    Ok(names.map(|names| names.into_iter().map(|(name, value)| (name, filled(value))).collect()))
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn is_none_or_empty(list: &Option<Vec<String>>) -> bool {
    list.as_ref().is_none_or(Vec::is_empty)
}

fn is_absent_or_empty(map: &Option<Map<Value>>) -> bool {
    map.as_ref().is_none_or(Map::is_empty)
}

const SETTINGS: Keys = Keys::Own(&[
    ("Hostname", &Keys::Any),
    ("Domainname", &Keys::Any),
    ("User", &Keys::Any),
    ("Memory", &Keys::Any),
    ("MemorySwap", &Keys::Any),
    ("CpuShares", &Keys::Any),
    ("Cpuset", &Keys::Any),
    ("AttachStdin", &Keys::Any),
    ("AttachStdout", &Keys::Any),
    ("AttachStderr", &Keys::Any),
    ("ExposedPorts", &Keys::Free(&Keys::Any)),
    ("Tty", &Keys::Any),
    ("OpenStdin", &Keys::Any),
    ("StdinOnce", &Keys::Any),
    ("Env", &Keys::Any),
    ("Cmd", &Keys::Any),
    ("Healthcheck", &HEALTHCHECK),
    ("ArgsEscaped", &Keys::Any),
    ("Image", &Keys::Any),
    ("Volumes", &Keys::Free(&Keys::Any)),
    ("WorkingDir", &Keys::Any),
    ("Entrypoint", &Keys::Any),
    ("NetworkDisabled", &Keys::Any),
    ("MacAddress", &Keys::Any),
    ("OnBuild", &Keys::Any),
    ("Labels", &Keys::Free(&Keys::Any)),
    ("StopSignal", &Keys::Any),
    ("StopTimeout", &Keys::Any),
    ("Shell", &Keys::Any),
]);

const HEALTHCHECK: Keys = Keys::Own(&[
    ("Test", &Keys::Any),
    ("Interval", &Keys::Any),
    ("Timeout", &Keys::Any),
    ("StartPeriod", &Keys::Any),
    ("StartInterval", &Keys::Any),
    ("Retries", &Keys::Any),
]);

const HISTORY: Keys = Keys::Own(&[
    ("created", &Keys::Any),
    ("created_by", &Keys::Any),
    ("author", &Keys::Any),
    ("comment", &Keys::Any),
    ("empty_layer", &Keys::Any),
]);
