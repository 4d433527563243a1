//! The values that keys have when nobody says one.

use super::node::{NodeMapping, NodeValue, YamlNode};

/// Says what `file`, in its long form, leaves unsaid.
pub fn say(file: &mut YamlNode) {
    for service in entries(file, "services") {
        let usual = service.with_text(".");
        if let Some(build) =
            service.mapping_mut().and_then(|mapping| mapping.get_mut("build")).and_then(YamlNode::mapping_mut)
        {
            build.entry("context".to_owned()).or_insert(usual);
        }
        for secret in values(service, &["secrets"]) {
            let target = format!("/run/secrets/{}", secret.text_of("source").unwrap_or_default());
            say_of(secret, "target", |secret| secret.with_text(target));
        }
        for port in values(service, &["ports"]) {
            say_of(port, "protocol", |port| port.with_text("tcp"));
            say_of(port, "mode", |port| port.with_text("ingress"));
        }
        for place in [&["gpus"][..], &["deploy", "resources", "reservations", "devices"]] {
            for device in values(service, place) {
                let is_said = |key: &str| device.mapping().is_some_and(|mapping| mapping.contains_key(key));
                if !is_said("count") && !is_said("device_ids") {
                    say_of(device, "count", |device| device.with_text("all"));
                }
            }
        }
    }
}

fn say_of(node: &mut YamlNode, key: &str, value: impl FnOnce(&YamlNode) -> YamlNode) {
    let value = value(node);
    if let Some(mapping) = node.mapping_mut() {
        mapping.entry(key.to_owned()).or_insert(value);
    }
}

fn entries<'a>(node: &'a mut YamlNode, key: &str) -> impl Iterator<Item = &'a mut YamlNode> {
    let mapping = node.mapping_mut().and_then(|mapping| mapping.get_mut(key)).and_then(YamlNode::mapping_mut);
    mapping.into_iter().flat_map(NodeMapping::values_mut)
}

fn values<'a>(node: &'a mut YamlNode, place: &[&str]) -> &'a mut [YamlNode] {
    let mut node = Some(node);
    for key in place {
        node = node.and_then(YamlNode::mapping_mut).and_then(|mapping| mapping.get_mut(*key));
    }
    match node.map(|node| &mut node.value) {
        Some(NodeValue::List(values)) => values,
        _ => &mut [],
    }
}
