//! Which values are the same, and in which order they stand in a set.

use std::cmp::Ordering;

use super::types::Type;
use super::value::{SequenceKind, Value};

/// Returns whether both are the same, types included; a null is the same as any other of its type.
pub fn is_same(own: &Value, other: &Value) -> bool {
    match (own, other) {
        (Value::Null(own), Value::Null(other)) => own == other,
        (Value::Bool(own), Value::Bool(other)) => own == other,
        (Value::Number(own), Value::Number(other)) => own == other,
        (Value::String(own), Value::String(other)) => own == other,
        (Value::Sequence(own), Value::Sequence(other)) => {
            own.kind == other.kind
                && own.values.len() == other.values.len()
                && own.values.iter().zip(&other.values).all(|(own, other)| is_same(own, other))
        }
        (Value::Mapping(own), Value::Mapping(other)) => {
            own.element == other.element
                && own.values.len() == other.values.len()
                && (own.values.iter().zip(&other.values))
                    .all(|((own_name, own), (other_name, other))| own_name == other_name && is_same(own, other))
        }
        _ => false,
    }
}

/// Returns whether both are equal as `==` has it: nulls of any types are equal, and values of different types are not.
pub fn is_equal(own: &Value, other: &Value) -> bool {
    (own.is_null() && other.is_null()) || is_same(own, other)
}

/// Returns the set of `values`, which are of the type `element`.
pub fn set(element: Type, mut values: Vec<Value>) -> Value {
    values.sort_by(in_set);
    values.dedup_by(|later, earlier| is_equal(later, earlier));
    Value::sequence(SequenceKind::Set(element), values)
}

/// The order of elements: by their values if they are text, numbers or true and false, and nulls last.
fn in_set(own: &Value, other: &Value) -> Ordering {
    match (own, other) {
        (Value::Null(_), Value::Null(_)) => Ordering::Equal,
        (Value::Null(_), _) => Ordering::Greater,
        (_, Value::Null(_)) => Ordering::Less,
        (Value::Bool(own), Value::Bool(other)) => own.cmp(other),
        (Value::Number(own), Value::Number(other)) => own.cmp(other),
        (Value::String(own), Value::String(other)) => own.cmp(other),
        _ => spelled(own).cmp(&spelled(other)),
    }
}

/// How values spell out that have no order of their own.
fn spelled(value: &Value) -> String {
    let mut text = String::new();
    spell(value, &mut text);
    text
}

fn spell(value: &Value, text: &mut String) {
    match value {
        Value::Null(_) => text.push('~'),
        Value::Bool(value) => text.push(if *value { 'T' } else { 'F' }),
        Value::Number(number) => text.push_str(&number.general(Some(10), 'e', 10)),
        Value::String(value) => text.push_str(&format!("{value:?}")),
        Value::Sequence(sequence) => {
            let (start, end) = if sequence.kind == SequenceKind::Tuple { ('<', '>') } else { ('[', ']') };
            text.push(start);
            for value in &sequence.values {
                spell(value, text);
                text.push(';');
            }
            text.push(end);
        }
        Value::Mapping(mapping) => {
            let is_map = mapping.element.is_some();
            text.push(if is_map { '{' } else { '<' });
            for (name, value) in &mapping.values {
                if is_map {
                    text.push_str(&format!("{name:?}:"));
                }
                spell(value, text);
                text.push(';');
            }
            text.push(if is_map { '}' } else { '>' });
        }
    }
}
