//! Lists, tuples, maps and objects.

use std::collections::BTreeMap;

use super::function::{Arguments, Function, FunctionFailure, any, string, strings};
use crate::plan::hcl::access;
use crate::plan::hcl::compare::is_equal;
use crate::plan::hcl::convert::convert;
use crate::plan::hcl::types::Type;
use crate::plan::hcl::value::{Mapping, SequenceKind, Value};

pub const FUNCTIONS: &[Function] = &[
    Function::new("contains", &[any("list"), any("value")], |given| {
        let Some(elements) = given.values[0].as_elements() else {
            return Err(FunctionFailure::of(0, "it must be a list, a tuple or a set"));
        };
        Ok(Value::Bool(elements.iter().any(|element| is_equal(element, &given.values[1]))))
    }),
    Function::new("hasindex", &[any("collection"), any("key")], |given| {
        let key = indexed_by(given)?;
        Ok(Value::Bool(given.values[1].kind() == key && access::element(&given.values[0], &given.values[1]).is_ok()))
    }),
    Function::new("index", &[any("collection"), any("key")], |given| {
        let key = indexed_by(given)?;
        if given.values[1].kind() != key {
            return Err(FunctionFailure::of(1, format!("expected {}", key.name())));
        }
        access::element(&given.values[0], &given.values[1]).map_err(|why| FunctionFailure::of(1, why))
    }),
    Function::new("indexof", &[any("list"), any("value")], index_of),
    Function::new("keys", &[any("inputMap")], |given| {
        let mapping = mapping(given, 0)?;
        let names = mapping.values.keys().map(Value::text).collect();
        Ok(if mapping.element.is_some() { Value::list(Type::String, names) } else { Value::tuple(names) })
    }),
    Function::new("length", &[any("collection")], |given| match &given.values[0] {
        Value::Sequence(sequence) => Ok(Value::from(sequence.values.len())),
        Value::Mapping(mapping) if mapping.element.is_some() => Ok(Value::from(mapping.values.len())),
        _ => Err(FunctionFailure::of(0, "it must be a list, a tuple, a set or a map")),
    }),
    Function::new("lookup", &[any("inputMap"), string("key"), any("default")], lookup),
    Function::new("merge", &[], merge).and_more(any("maps").or_null()),
    Function::new("values", &[any("mapping")], |given| {
        let mapping = mapping(given, 0)?;
        let values = mapping.values.values().cloned().collect();
        Ok(match &mapping.element {
            Some(element) => Value::list(element.clone(), values),
            None => Value::tuple(values),
        })
    }),
    Function::new("zipmap", &[strings("keys"), any("values")], zip),
];

fn mapping<'a>(given: &'a Arguments<'_>, place: usize) -> Result<&'a Mapping, FunctionFailure> {
    match given.values.get(place) {
        Some(Value::Mapping(mapping)) => Ok(mapping),
        _ => Err(FunctionFailure::of(place, "it must be a map or an object")),
    }
}

/// The type of the keys of a collection.
fn indexed_by(given: &Arguments<'_>) -> Result<Type, FunctionFailure> {
    match &given.values[0] {
        value @ Value::Sequence(_) if !value.is_set() => Ok(Type::Number),
        Value::Mapping(mapping) if mapping.element.is_some() => Ok(Type::String),
        _ => Err(FunctionFailure::of(0, "it must be a list, a map or a tuple")),
    }
}

fn index_of(given: &Arguments<'_>) -> Result<Value, FunctionFailure> {
    let elements = match &given.values[0] {
        Value::Sequence(sequence) if !given.values[0].is_set() => &sequence.values,
        _ => return Err(FunctionFailure::of(0, "it must be a list or a tuple")),
    };
    let found = elements.iter().position(|element| is_equal(element, &given.values[1]));
    found.map(Value::from).ok_or_else(|| "there is no such element".into())
}

fn lookup(given: &Arguments<'_>) -> Result<Value, FunctionFailure> {
    let mapping = mapping(given, 0)?;
    if let Some(value) = mapping.values.get(given.text(1)) {
        return Ok(value.clone());
    }
    match &mapping.element {
        Some(element) => convert(&given.values[2], element).map_err(|why| FunctionFailure::of(2, why)),
        None => Ok(given.values[2].clone()),
    }
}

/// All entries, those of later arguments in the place of those of earlier ones.
fn merge(given: &Arguments<'_>) -> Result<Value, FunctionFailure> {
    let mut values = BTreeMap::new();
    let mut kinds = Vec::new();
    for (place, value) in given.values.iter().enumerate() {
        let kind = value.kind();
        if !matches!(kind, Type::Map(_) | Type::Object(_) | Type::Any) {
            return Err(FunctionFailure::of(place, format!("it must be a map or an object, and is {}", kind.name())));
        }
        kinds.push(kind);
        values.extend(value.as_entries().into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())));
    }
    match kinds.first() {
        Some(Type::Map(element)) if kinds.iter().all(|kind| *kind == kinds[0]) => {
            Ok(Value::map((**element).clone(), values))
        }
        _ => Ok(Value::object(values)),
    }
}

fn zip(given: &Arguments<'_>) -> Result<Value, FunctionFailure> {
    let (keys, sequence) = (given.elements(0), &given.values[1]);
    let Value::Sequence(sequence) = sequence else {
        return Err(FunctionFailure::of(1, "it must be a list or a tuple"));
    };
    if keys.len() != sequence.values.len() {
        let (keys, values) = (keys.len(), sequence.values.len());
        return Err(format!("there are {keys} keys, but {values} values").into());
    }
    let mut values = BTreeMap::new();
    for (index, (key, value)) in keys.iter().zip(&sequence.values).enumerate() {
        let key = key.as_text().ok_or_else(|| FunctionFailure::of(0, format!("key {index} is null")))?;
        values.insert(key.to_owned(), value.clone());
    }
    match &sequence.kind {
        SequenceKind::List(element) => Ok(Value::map(element.clone(), values)),
        SequenceKind::Tuple => Ok(Value::object(values)),
        SequenceKind::Set(_) => Err(FunctionFailure::of(1, "it must be a list or a tuple, for a set has no order")),
    }
}
