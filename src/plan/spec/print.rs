//! Writes a spec as data that has the keys of `ocibake.toml`.

use serde::{Serialize, Serializer};
use serde_json::{Map as Object, Value, json};

use super::{AddOrigin, AddSpec, LayerSpec, Libc, Spec, SpecBase};
use crate::oci::{Healthcheck, Settings};
use crate::plan::Owner;
use crate::plan::quantity::go_duration;

/// Keys of which nothing was said are not there.
impl Serialize for Spec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let platforms: Vec<String> = self.platforms.iter().map(ToString::to_string).collect();
        let base = match &self.base {
            SpecBase::Scratch => None,
            SpecBase::Image(name) => Some(name.clone()),
            SpecBase::Target(target) => Some(format!("target:{}", target.name())),
        };
        let all = [
            ("name", json!(self.name.as_ref().map(|name| name.name()))),
            ("base", json!(base)),
            ("platforms", json!(platforms)),
            ("index", json!(self.index)),
            ("libc", json!(Some(self.libc.name()).filter(|_| self.libc != Libc::default()))),
            ("layer", self.layers.iter().map(layer).collect()),
            ("config", config(&self.config)),
            ("labels", json!(self.labels)),
            ("annotations", json!(self.annotations)),
        ];
        let about = self.about.facts().map(|(key, value)| (key, json!(value)));
        object(all.into_iter().chain(about)).serialize(serializer)
    }
}

/// An object of what was said.
fn object<'a>(entries: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    let is_said = |value: &Value| match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(object) => !object.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    };
    let said = entries.into_iter().filter(|(_, value)| is_said(value));
    Value::Object(said.map(|(key, value)| (key.to_owned(), value)).collect::<Object<String, Value>>())
}

fn layer(layer: &LayerSpec) -> Value {
    object([("name", json!(layer.name)), ("add", layer.adds.iter().map(add).collect())])
}

fn add(add: &AddSpec) -> Value {
    let from = match &add.from {
        AddOrigin::Context(text) | AddOrigin::Path(text) => text,
    };
    let owner = match add.owner {
        Owner::ROOT => None,
        Owner::Numbers { user, group } => Some(format!("{user}:{group}")),
        Owner::Preserve => Some("preserve".to_owned()),
    };
    object([
        ("from", json!(from)),
        ("to", json!(add.to)),
        ("mode", json!(add.mode.as_ref().map(ToString::to_string))),
        ("owner", json!(owner)),
        ("exclude", json!(add.exclude)),
    ])
}

fn config(settings: &Settings) -> Value {
    let names =
        |map: &Option<crate::oci::Map<Value>>| -> Value { map.iter().flatten().map(|(name, _)| json!(name)).collect() };
    object([
        ("entrypoint", json!(settings.entrypoint)),
        ("cmd", json!(settings.cmd)),
        ("shell", json!(settings.shell)),
        ("on-build", json!(settings.on_build)),
        ("env", json!(settings.env)),
        ("user", json!(settings.user)),
        ("workdir", json!(settings.working_dir)),
        ("stop-signal", json!(settings.stop_signal)),
        ("ports", names(&settings.exposed_ports)),
        ("volumes", names(&settings.volumes)),
        ("healthcheck", settings.healthcheck.as_ref().map(healthcheck).unwrap_or_default()),
    ])
}

fn healthcheck(check: &Healthcheck) -> Value {
    if check.test == ["NONE"] {
        return json!("none");
    }
    let duration = |time: u64| json!(i64::try_from(time).ok().filter(|time| *time > 0).map(go_duration));
    object([
        ("test", json!(check.test)),
        ("interval", duration(check.interval)),
        ("timeout", duration(check.timeout)),
        ("start-period", duration(check.start_period)),
        ("start-interval", duration(check.start_interval)),
        ("retries", json!(Some(check.retries).filter(|retries| *retries > 0))),
    ])
}
