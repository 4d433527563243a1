//! Values of variables as the environment has them, and values as JSON.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::compare::set;
use super::convert::convert;
use super::json_text::{JsonKey, JsonKind, JsonNode, parse};
use super::number::Number;
use super::place::BakeText;
use super::types::Type;
use super::value::Value;
use crate::plan::secret::csv_fields;

/// Returns the value of the type `kind` that `text` from the environment stands for: text, a number, `true` or `false` as they
/// are, and lists, sets, tuples and maps as CSV. Fails with what is wrong about it.
pub fn text_value(text: &str, kind: &Type) -> Result<Value, String> {
    let element = kind.element();
    if element.is_some_and(|element| !element.is_primitive()) {
        return Err(format!("{} cannot be given as CSV; give it as JSON", kind.constraint_name()));
    }
    let fields = || {
        let fields = csv_fields(text).filter(|fields| !text.is_empty() && !fields.is_empty());
        fields.ok_or_else(|| format!("\"{text}\" is not a list of comma separated values"))
    };
    match kind {
        Type::List(element) => Ok(Value::list((**element).clone(), all_of(&fields()?, element)?)),
        Type::Set(element) => Ok(set((**element).clone(), all_of(&fields()?, element)?)),
        Type::Tuple(types) => {
            let fields = fields()?;
            if fields.len() != types.len() {
                return Err(format!("expected {} values, but there are {}", types.len(), fields.len()));
            }
            let values = fields.iter().zip(types.iter()).map(|(field, kind)| primitive(field, kind));
            Ok(Value::tuple(values.collect::<Result<_, _>>()?))
        }
        Type::Map(element) => {
            let mut values = BTreeMap::new();
            for field in fields()? {
                // A field is a record of its own, with colons for commas.
                match csv_fields(&with_colons_for_commas(&field)).as_deref() {
                    Some([name, value]) => {
                        let value = primitive(&with_colons_for_commas(value), element)?;
                        values.insert(with_colons_for_commas(name), value);
                    }
                    _ => return Err(format!("\"{field}\" is not NAME:VALUE")),
                }
            }
            Ok(Value::map((**element).clone(), values))
        }
        _ => primitive(text, kind),
    }
}

/// Returns the value of the type `kind` that the JSON `text` stands for. Fails with what is wrong about it.
pub fn json_value(text: &str, kind: &Type) -> Result<Value, String> {
    typed(&json(text)?, kind)
}

/// Returns the value that the JSON `text` stands for, of the type that it has by itself. Fails with what is wrong about it.
pub fn implied_value(text: &str) -> Result<Value, String> {
    typed(&json(text)?, &Type::Any)
}

/// Returns `value` as JSON, without blanks. Fails for a number that is infinite.
pub fn value_json(value: &Value) -> Result<String, String> {
    let mut json = String::new();
    write_json(value, &mut json)?;
    Ok(json)
}

fn all_of(fields: &[String], kind: &Type) -> Result<Vec<Value>, String> {
    fields.iter().map(|field| primitive(field, kind)).collect()
}

/// Each of both signs in the place of the other.
fn with_colons_for_commas(text: &str) -> String {
    let other = |c: char| match c {
        ':' => ',',
        ',' => ':',
        c => c,
    };
    text.chars().map(other).collect()
}

fn primitive(text: &str, kind: &Type) -> Result<Value, String> {
    match kind {
        Type::String => Ok(Value::text(text)),
        Type::Bool => match text {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(Value::Bool(false)),
            _ => Err(format!("expected true or false, but this is \"{text}\"")),
        },
        Type::Number => {
            let is_parted =
                |part: &str| part.starts_with(|c: char| c.is_ascii_digit()) && part.len() == part.trim().len();
            let text = if text.split('_').all(is_parted) { text.replace('_', "") } else { text.to_owned() };
            let number = text.parse::<f64>().ok().filter(|number| number.is_finite()).and_then(Number::from_f64);
            number.map(Value::Number).ok_or_else(|| format!("expected a number, but this is \"{text}\""))
        }
        _ => Err(format!("{} cannot be given as text; give it as JSON", kind.constraint_name())),
    }
}

fn json(text: &str) -> Result<JsonNode, String> {
    let text = Arc::new(BakeText { file: String::new(), text: text.to_owned() });
    parse(&text).map_err(|error| error.message)
}

fn typed(node: &JsonNode, kind: &Type) -> Result<Value, String> {
    match (&node.kind, kind) {
        (JsonKind::Null, kind) => Ok(Value::Null(kind.without_optional())),
        (JsonKind::Bool(value), Type::Bool | Type::Any) => Ok(Value::Bool(*value)),
        (JsonKind::Bool(value), Type::String) => Ok(Value::text(value.to_string())),
        (JsonKind::Number(text), Type::Number | Type::Any) => {
            Number::parse(text).map(Value::Number).ok_or_else(|| format!("{text} is too large or too small"))
        }
        (JsonKind::Number(text) | JsonKind::Text(text), Type::String) => Ok(Value::text(text)),
        (JsonKind::Text(text), Type::Any) => Ok(Value::text(text)),
        (JsonKind::Text(text), Type::Bool | Type::Number) => convert(&Value::text(text), kind),
        (JsonKind::List(nodes), Type::Any) => {
            Ok(Value::tuple(nodes.iter().map(|node| typed(node, kind)).collect::<Result<_, _>>()?))
        }
        (JsonKind::List(nodes), Type::List(element) | Type::Set(element)) => {
            let values: Vec<Value> = nodes.iter().map(|node| typed(node, element)).collect::<Result<_, _>>()?;
            // Elements of any type must have one in common.
            convert(&Value::tuple(values), kind)
        }
        (JsonKind::List(nodes), Type::Tuple(types)) if nodes.len() == types.len() => {
            let values = nodes.iter().zip(types.iter()).map(|(node, kind)| typed(node, kind));
            Ok(Value::tuple(values.collect::<Result<_, _>>()?))
        }
        (JsonKind::List(nodes), Type::Tuple(types)) => {
            Err(format!("expected {} values, but there are {}", types.len(), nodes.len()))
        }
        (JsonKind::Object(entries), Type::Any | Type::Map(_)) => {
            if let (Some((kind, value)), Type::Any) = (with_type(entries), kind) {
                return typed(value, &kind);
            }
            let element = kind.element().unwrap_or(&Type::Any);
            let values = entries.iter().map(|(key, node)| Ok((key.name.clone(), typed(node, element)?)));
            let object = Value::object(values.collect::<Result<_, String>>()?);
            convert(&object, kind)
        }
        (JsonKind::Object(entries), Type::Object(attributes)) => {
            let mut values = BTreeMap::new();
            for (key, node) in entries {
                let attribute =
                    attributes.get(&key.name).ok_or_else(|| format!("there is no attribute `{}`", key.name))?;
                let value = typed(node, &attribute.value).map_err(|why| format!("attribute `{}`: {why}", key.name))?;
                values.insert(key.name.clone(), value);
            }
            for (name, attribute) in attributes.iter() {
                // What is absent is null.
                values.entry(name.clone()).or_insert_with(|| Value::Null(attribute.value.without_optional()));
            }
            Ok(Value::object(values))
        }
        (found, _) => {
            let found = match found {
                JsonKind::Null => "nothing",
                JsonKind::Bool(_) => "true or false",
                JsonKind::Number(_) => "a number",
                JsonKind::Text(_) => "text",
                JsonKind::List(_) => "a list",
                JsonKind::Object(_) => "an object",
            };
            Err(format!("expected {}, but this is {found}", kind.constraint_name()))
        }
    }
}

/// The type and the value of a value that says its type itself, as in `{"type": "string", "value": "x"}`.
fn with_type(entries: &[(JsonKey, JsonNode)]) -> Option<(Type, &JsonNode)> {
    let value_of = |name: &str| Some(&entries.iter().find(|(key, _)| key.name == name)?.1);
    let (kind, value) = (value_of("type")?, value_of("value")?);
    Some((type_of(kind).filter(|_| entries.len() == 2)?, value))
}

/// The type that a name stands for, or a list of a name and what it takes.
fn type_of(node: &JsonNode) -> Option<Type> {
    match &node.kind {
        JsonKind::Text(name) => match name.as_str() {
            "dynamic" => Some(Type::Any),
            "bool" => Some(Type::Bool),
            "number" => Some(Type::Number),
            "string" => Some(Type::String),
            _ => None,
        },
        JsonKind::List(nodes) => match nodes.as_slice() {
            [JsonNode { kind: JsonKind::Text(name), .. }, of] => match (name.as_str(), &of.kind) {
                ("list", _) => Some(type_of(of)?.list()),
                ("set", _) => Some(type_of(of)?.set()),
                ("map", _) => Some(type_of(of)?.map()),
                ("tuple", JsonKind::List(types)) => {
                    Some(Type::tuple(types.iter().map(type_of).collect::<Option<Vec<_>>>()?))
                }
                ("object", JsonKind::Object(entries)) => {
                    let types = entries.iter().map(|(key, node)| Some((key.name.clone(), type_of(node)?)));
                    Some(Type::object(types.collect::<Option<Vec<_>>>()?))
                }
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

fn write_json(value: &Value, json: &mut String) -> Result<(), String> {
    match value {
        Value::Null(_) => json.push_str("null"),
        Value::Bool(value) => json.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) if number.is_infinite() => return Err("JSON has no infinite numbers".to_owned()),
        Value::Number(number) => json.push_str(&number.to_string()),
        Value::String(text) => write_text(text, json),
        Value::Sequence(sequence) => {
            json.push('[');
            for (index, value) in sequence.values.iter().enumerate() {
                json.push_str(if index > 0 { "," } else { "" });
                write_json(value, json)?;
            }
            json.push(']');
        }
        Value::Mapping(mapping) => {
            json.push('{');
            for (index, (name, value)) in mapping.values.iter().enumerate() {
                json.push_str(if index > 0 { "," } else { "" });
                write_text(name, json);
                json.push(':');
                write_json(value, json)?;
            }
            json.push('}');
        }
    }
    Ok(())
}

/// Text as Go's encoder writes it, which can stand in HTML and in JavaScript.
fn write_text(text: &str, json: &mut String) {
    json.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => json.extend(['\\', c]),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            '\u{8}' => json.push_str("\\b"),
            '\u{c}' => json.push_str("\\f"),
            '\0'..='\x1f' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                json.push_str(&format!("\\u{:04x}", u32::from(c)))
            }
            c => json.push(c),
        }
    }
    json.push('"');
}
