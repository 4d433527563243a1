//! What expressions evaluate to.

use std::collections::BTreeMap;
use std::sync::Arc;

use unicode_normalization::{UnicodeNormalization, is_nfc};

use super::number::Number;
use super::types::Type;

/// In bytes: so much of a text weighs as much as one value more.
pub(super) const LONG_TEXT: usize = 32;

/// A value, which knows its type. To clone one is cheap.
#[derive(Debug, Clone)]
pub enum Value {
    /// Nothing, where a value of this type may be.
    Null(Type),
    /// `true` or `false`.
    Bool(bool),
    /// Any number.
    Number(Number),
    /// Text, in Unicode's composed form (NFC).
    String(Arc<str>),
    /// A list, a set or a tuple.
    Sequence(Arc<Sequence>),
    /// A map or an object.
    Mapping(Arc<Mapping>),
}

/// Values in an order.
#[derive(Debug)]
pub struct Sequence {
    /// What it is.
    pub kind: SequenceKind,
    /// Its elements, in the order of their values if it is a set.
    pub values: Vec<Value>,
    measure: Measure,
}

/// Values by their names.
#[derive(Debug)]
pub struct Mapping {
    /// The type of its elements if it is a map; none if it is an object.
    pub element: Option<Type>,
    /// Its elements.
    pub values: BTreeMap<String, Value>,
    measure: Measure,
}

/// Which kind of values in an order there are, with the type of their elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SequenceKind {
    /// Values of one type.
    List(Type),
    /// Values of one type, each of them once.
    Set(Type),
    /// Values of any types.
    Tuple,
}

/// How large a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measure {
    /// How many values it is made of, itself included; long text counts as several.
    pub weight: usize,
    /// How deep values stand within it.
    pub depth: usize,
}

impl Value {
    /// Returns text.
    pub fn text(text: impl Into<String>) -> Value {
        let text = text.into();
        if is_nfc(&text) {
            return Value::String(text.into());
        }
        Value::String(text.nfc().collect::<String>().into())
    }

    /// Returns a null of which nothing else is known.
    pub fn null() -> Value {
        Value::Null(Type::Any)
    }

    /// Returns a list of `values`, which are of the type `element`.
    pub fn list(element: Type, values: Vec<Value>) -> Value {
        Value::sequence(SequenceKind::List(element), values)
    }

    /// Returns a tuple of `values`.
    pub fn tuple(values: Vec<Value>) -> Value {
        Value::sequence(SequenceKind::Tuple, values)
    }

    /// Returns a map of `values`, which are of the type `element`.
    pub fn map(element: Type, values: BTreeMap<String, Value>) -> Value {
        Value::mapping(Some(element), values)
    }

    /// Returns an object of `values`.
    pub fn object(values: BTreeMap<String, Value>) -> Value {
        Value::mapping(None, values)
    }

    pub(super) fn sequence(kind: SequenceKind, values: Vec<Value>) -> Value {
        let measure = Measure::around(values.iter(), values.len());
        Value::Sequence(Arc::new(Sequence { kind, values, measure }))
    }

    pub(super) fn mapping(element: Option<Type>, values: BTreeMap<String, Value>) -> Value {
        let names = values.keys().map(|name| 1 + name.len() / LONG_TEXT).sum();
        let measure = Measure::around(values.values(), names);
        Value::Mapping(Arc::new(Mapping { element, values, measure }))
    }

    /// Returns what kind of value it is.
    pub fn kind(&self) -> Type {
        match self {
            Value::Null(kind) => kind.clone(),
            Value::Bool(_) => Type::Bool,
            Value::Number(_) => Type::Number,
            Value::String(_) => Type::String,
            Value::Sequence(sequence) => match &sequence.kind {
                SequenceKind::List(element) => element.clone().list(),
                SequenceKind::Set(element) => element.clone().set(),
                SequenceKind::Tuple => Type::tuple(sequence.values.iter().map(Value::kind)),
            },
            Value::Mapping(mapping) => match &mapping.element {
                Some(element) => element.clone().map(),
                None => Type::object(mapping.values.iter().map(|(name, value)| (name.clone(), value.kind()))),
            },
        }
    }

    /// Returns how large it is.
    pub fn measure(&self) -> Measure {
        match self {
            Value::Null(_) | Value::Bool(_) | Value::Number(_) => Measure { weight: 1, depth: 1 },
            Value::String(text) => Measure { weight: 1 + text.len() / LONG_TEXT, depth: 1 },
            Value::Sequence(sequence) => sequence.measure,
            Value::Mapping(mapping) => mapping.measure,
        }
    }

    /// Returns whether it is nothing.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null(_))
    }

    /// Returns whether it is a set.
    pub fn is_set(&self) -> bool {
        matches!(self, Value::Sequence(sequence) if matches!(sequence.kind, SequenceKind::Set(_)))
    }

    /// Returns the text; none if it is something else.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the number; none if it is something else.
    pub fn as_number(&self) -> Option<&Number> {
        match self {
            Value::Number(number) => Some(number),
            _ => None,
        }
    }

    /// Returns what it says; none if it is neither `true` nor `false`.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// Returns the elements of a list, a set or a tuple; none if it is something else.
    pub fn as_elements(&self) -> Option<&[Value]> {
        match self {
            Value::Sequence(sequence) => Some(&sequence.values),
            _ => None,
        }
    }

    /// Returns the elements of a map or an object by their names; none if it is something else.
    pub fn as_entries(&self) -> Option<&BTreeMap<String, Value>> {
        match self {
            Value::Mapping(mapping) => Some(&mapping.values),
            _ => None,
        }
    }

    /// Returns each element with its key: the index in a list or a tuple, the name in a map or an object, the element itself in
    /// a set. None if it is something else.
    pub fn iterate(&self) -> Option<Vec<(Value, Value)>> {
        match self {
            Value::Sequence(sequence) => Some(match sequence.kind {
                SequenceKind::Set(_) => sequence.values.iter().map(|value| (value.clone(), value.clone())).collect(),
                _ => {
                    let indexed = sequence.values.iter().enumerate();
                    indexed.map(|(index, value)| (Value::from(index), value.clone())).collect()
                }
            }),
            Value::Mapping(mapping) => {
                Some(mapping.values.iter().map(|(name, value)| (Value::text(name), value.clone())).collect())
            }
            _ => None,
        }
    }
}

impl Measure {
    fn around<'a>(values: impl Iterator<Item = &'a Value>, names: usize) -> Measure {
        let alone = Measure { weight: 1usize.saturating_add(names), depth: 1 };
        values.map(Value::measure).fold(alone, |sum, one| Measure {
            weight: sum.weight.saturating_add(one.weight),
            depth: sum.depth.max(one.depth + 1),
        })
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Value {
        Value::Bool(value)
    }
}

impl From<Number> for Value {
    fn from(number: Number) -> Value {
        Value::Number(number)
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Value {
        Value::Number(number.into())
    }
}
