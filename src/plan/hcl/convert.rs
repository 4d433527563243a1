//! Values as values of other types.

use std::collections::BTreeMap;

use super::compare::set;
use super::fit::{can_convert, unify};
use super::number::Number;
use super::types::{AttributeType, Type};
use super::value::{Mapping, Sequence, SequenceKind, Value};

/// Returns `value` as one of the type `to`. Fails with what is wanted in its place.
pub fn convert(value: &Value, to: &Type) -> Result<Value, String> {
    // What is asked for most of all is there already.
    match (value, to) {
        (_, Type::Any)
        | (Value::Bool(_), Type::Bool)
        | (Value::Number(_), Type::Number)
        | (Value::String(_), Type::String) => return Ok(value.clone()),
        _ => {}
    }
    let from = value.kind();
    if from == *to || from == to.without_optional() {
        return Ok(value.clone());
    }
    if !can_convert(&from, to, true) {
        return Err(mismatch(&from, to));
    }
    converted(value, &from, to)
}

/// Says what is wanted where a value of the type `from` is, which cannot be converted to `to`.
fn mismatch(from: &Type, to: &Type) -> String {
    match (from, to) {
        (Type::Object(own), Type::Object(wanted)) => {
            let is_missing =
                |(name, attribute): &(&String, &AttributeType)| !own.contains_key(*name) && !attribute.is_optional;
            let missing: Vec<String> = wanted.iter().filter(is_missing).map(|(name, _)| format!("`{name}`")).collect();
            if !missing.is_empty() {
                let noun = if missing.len() == 1 { "attribute" } else { "attributes" };
                return format!("the {noun} {} must be there", missing.join(", "));
            }
            for (name, attribute) in wanted.iter() {
                if let Some(own) = own.get(name).filter(|own| !can_convert(&own.value, &attribute.value, true)) {
                    return format!("attribute `{name}`: {}", mismatch(&own.value, &attribute.value));
                }
            }
            format!("expected {}", to.constraint_name())
        }
        (Type::Tuple(_), Type::List(element) | Type::Set(element)) if **element == Type::Any => {
            "all elements must have the same type".to_owned()
        }
        (Type::Object(_), Type::Map(element)) if **element == Type::Any => {
            "all elements must have the same type".to_owned()
        }
        (Type::Tuple(types), Type::List(element) | Type::Set(element)) => {
            match types.iter().enumerate().find(|(_, own)| !can_convert(own, element, true)) {
                Some((index, own)) => format!("element {index}: {}", mismatch(own, element)),
                None => format!("expected {}", to.constraint_name()),
            }
        }
        (Type::Object(own), Type::Map(element)) => {
            match own.iter().find(|(_, own)| !can_convert(&own.value, element, true)) {
                Some((name, own)) => format!("element `{name}`: {}", mismatch(&own.value, element)),
                None => format!("expected {}", to.constraint_name()),
            }
        }
        _ => format!("expected {}, but this is {}", to.constraint_name(), from.name()),
    }
}

/// Converts a value of the type `from`, where that may be done at all.
fn converted(value: &Value, from: &Type, to: &Type) -> Result<Value, String> {
    if from == to {
        return Ok(value.clone());
    }
    match (value, to) {
        (_, Type::Any) => Ok(value.clone()),
        (Value::Null(_), _) => Ok(Value::Null(filled(from, &to.without_optional()))),
        (Value::Number(number), Type::String) => Ok(Value::text(number.to_string())),
        (Value::Bool(value), Type::String) => Ok(Value::text(value.to_string())),
        (Value::String(text), Type::Number) => match Number::parse(text) {
            Some(number) => Ok(Value::Number(number)),
            None => Err(format!("expected a number, but this is \"{text}\"")),
        },
        (Value::String(text), Type::Bool) => match &**text {
            "true" | "1" => Ok(Value::Bool(true)),
            "false" | "0" => Ok(Value::Bool(false)),
            _ => Err(format!("expected true or false, but this is \"{text}\"")),
        },
        (Value::Sequence(sequence), Type::Tuple(types)) => {
            let pairs = sequence.values.iter().zip(types.iter());
            let values = pairs.map(|(value, to)| convert(value, to));
            Ok(Value::tuple(values.collect::<Result<_, _>>()?))
        }
        (Value::Sequence(sequence), Type::List(element)) => {
            let (element, values) = collected(sequence, from, element)?;
            Ok(Value::list(element, values))
        }
        (Value::Sequence(sequence), Type::Set(element)) => {
            let (element, values) = collected(sequence, from, element)?;
            Ok(set(element, values))
        }
        (Value::Mapping(mapping), Type::Map(element)) => named(mapping, from, element),
        (Value::Mapping(mapping), Type::Object(attributes)) => {
            let mut values = BTreeMap::new();
            for (name, attribute) in attributes.iter() {
                let value = match mapping.values.get(name) {
                    Some(value) => {
                        convert(value, &attribute.value).map_err(|why| format!("attribute `{name}`: {why}"))?
                    }
                    None if attribute.is_optional => Value::Null(attribute.value.without_optional()),
                    None => return Err(format!("the attribute `{name}` must be there")),
                };
                values.insert(name.clone(), value);
            }
            Ok(Value::object(values))
        }
        _ => Err(mismatch(from, to)),
    }
}

/// The elements of a list or a set, and their type.
fn collected(sequence: &Sequence, from: &Type, element: &Type) -> Result<(Type, Vec<Value>), String> {
    let wanted = match (&sequence.kind, element) {
        (SequenceKind::Tuple, Type::Any) if !sequence.values.is_empty() => match from {
            Type::Tuple(types) => unify(types, true).unwrap_or(Type::Any),
            _ => Type::Any,
        },
        (SequenceKind::List(own) | SequenceKind::Set(own), Type::Any) => own.clone(),
        _ => element.clone(),
    };
    let mut values = Vec::with_capacity(sequence.values.len());
    for (index, value) in sequence.values.iter().enumerate() {
        values.push(convert(value, &wanted).map_err(|why| format!("element {index}: {why}"))?);
    }
    let element = common(wanted, values.iter())?;
    let values = values.iter().map(|value| convert(value, &element)).collect::<Result<_, _>>()?;
    Ok((element, values))
}

/// The map of the elements of a map or an object.
fn named(mapping: &Mapping, from: &Type, element: &Type) -> Result<Value, String> {
    let wanted = match (&mapping.element, element) {
        (None, Type::Any) if !mapping.values.is_empty() => match from {
            Type::Object(attributes) => {
                let types: Vec<Type> = attributes.values().map(|attribute| attribute.value.clone()).collect();
                unify(&types, true).unwrap_or(Type::Any)
            }
            _ => Type::Any,
        },
        (Some(own), Type::Any) => own.clone(),
        _ => element.clone(),
    };
    let mut values = BTreeMap::new();
    for (name, value) in &mapping.values {
        let value = convert(value, &wanted).map_err(|why| format!("element `{name}`: {why}"))?;
        values.insert(name.clone(), value);
    }
    let element = common(wanted, values.values())?;
    let converted = |(name, value): (String, Value)| Ok((name, convert(&value, &element)?));
    let values = values.into_iter().map(converted).collect::<Result<_, String>>()?;
    Ok(Value::map(element, values))
}

/// The type that all of `values` have or can have, where `wanted` leaves it open.
fn common<'a>(wanted: Type, values: impl Iterator<Item = &'a Value>) -> Result<Type, String> {
    let wanted = wanted.without_optional();
    if !wanted.has_any() {
        return Ok(wanted);
    }
    let kinds: Vec<Type> = values.map(Value::kind).collect();
    match kinds.first() {
        None => Ok(wanted),
        Some(first) if kinds.iter().all(|kind| kind == first) => Ok(first.clone()),
        Some(_) => match unify(&kinds, true) {
            Some(Type::Any) | None => Err("all elements must have the same type".to_owned()),
            Some(common) => Ok(common),
        },
    }
}

/// The type `to`, with what `from` knows where that leaves it open.
fn filled(from: &Type, to: &Type) -> Type {
    match (from, to) {
        (Type::Any, _) => to.clone(),
        (_, Type::Any) => from.clone(),
        (Type::Map(from), Type::Map(to)) => filled(from, to).map(),
        (Type::List(from) | Type::Set(from), Type::List(to)) => filled(from, to).list(),
        (Type::List(from) | Type::Set(from), Type::Set(to)) => filled(from, to).set(),
        (Type::Tuple(from), Type::List(to)) => filled(&unify(from, true).unwrap_or(Type::Any), to).list(),
        (Type::Tuple(from), Type::Set(to)) => filled(&unify(from, true).unwrap_or(Type::Any), to).set(),
        _ => to.clone(),
    }
}
