//! Lists and tuples, and the order of what they have.

use super::function::{Arguments, Function, FunctionFailure, any, list, number, strings};
use crate::plan::hcl::compare::is_equal;
use crate::plan::hcl::convert::convert;
use crate::plan::hcl::fit::unify;
use crate::plan::hcl::number::Number;
use crate::plan::hcl::types::Type;
use crate::plan::hcl::value::{Sequence, SequenceKind, Value};

/// The most numbers that a range has.
const LONGEST_RANGE: usize = 1024;

pub const FUNCTIONS: &[Function] = &[
    Function::new("chunklist", &[list("list"), number("size")], chunks),
    Function::new("coalescelist", &[], first_filled).and_more(any("vals").or_null()),
    Function::new("compact", &[strings("list")], |given| {
        let is_text = |value: &&Value| value.as_text().is_some_and(|text| !text.is_empty());
        Ok(Value::list(Type::String, given.elements(0).iter().filter(is_text).cloned().collect()))
    }),
    Function::new("concat", &[], concat).and_more(any("seqs")),
    Function::new("distinct", &[list("list")], distinct),
    Function::new("element", &[any("list"), number("index")], element),
    Function::new("flatten", &[any("list")], |given| {
        let sequence = sequence(given, true)?;
        let mut flat = Vec::new();
        flatten(&sequence.values, &mut flat);
        Ok(Value::tuple(flat))
    }),
    Function::new("range", &[], range).and_more(number("params")),
    Function::new("reverselist", &[any("list")], |given| {
        let sequence = sequence(given, true)?;
        let values = sequence.values.iter().rev().cloned().collect();
        Ok(match &sequence.kind {
            SequenceKind::Tuple => Value::tuple(values),
            SequenceKind::List(element) | SequenceKind::Set(element) => Value::list(element.clone(), values),
        })
    }),
    Function::new("slice", &[any("list"), number("start_index"), number("end_index")], slice),
    Function::new("sort", &[strings("list")], |given| {
        let mut texts = Vec::new();
        for (index, value) in given.elements(0).iter().enumerate() {
            texts.push(value.as_text().ok_or_else(|| FunctionFailure::of(0, format!("element {index} is null")))?);
        }
        texts.sort_unstable();
        Ok(Value::list(Type::String, texts.into_iter().map(Value::text).collect()))
    }),
];

/// The first argument as a list or a tuple, or a set if that will do.
fn sequence<'a>(given: &'a Arguments<'_>, or_set: bool) -> Result<&'a Sequence, FunctionFailure> {
    match given.values.first() {
        Some(Value::Sequence(sequence)) if or_set || !matches!(sequence.kind, SequenceKind::Set(_)) => Ok(sequence),
        _ if or_set => Err(FunctionFailure::of(0, "it must be a list, a tuple or a set")),
        _ => Err(FunctionFailure::of(0, "it must be a list or a tuple")),
    }
}

fn chunks(given: &Arguments<'_>) -> Result<Value, FunctionFailure> {
    let Ok(size) = usize::try_from(given.integer(1)?) else {
        return Err(FunctionFailure::of(1, "it must not be negative"));
    };
    let (kind, elements) = (given.values[0].kind(), given.elements(0));
    let element = kind.element().cloned().unwrap_or(Type::Any);
    let size = if size == 0 { elements.len().max(1) } else { size };
    let chunks = elements.chunks(size).map(|chunk| Value::list(element.clone(), chunk.to_vec()));
    Ok(Value::list(kind.clone(), chunks.collect()))
}

fn first_filled(given: &Arguments<'_>) -> Result<Value, FunctionFailure> {
    for (place, value) in given.values.iter().enumerate() {
        if !matches!(value.kind(), Type::List(_) | Type::Tuple(_)) {
            return Err(FunctionFailure::of(place, "it must be a list or a tuple"));
        }
    }
    let is_filled = |value: &&Value| value.as_elements().is_some_and(|elements| !elements.is_empty());
    given.values.iter().find(is_filled).cloned().ok_or_else(|| "no list has any elements".into())
}

fn concat(given: &Arguments<'_>) -> Result<Value, FunctionFailure> {
    let mut kinds = Vec::new();
    for (place, value) in given.values.iter().enumerate() {
        let kind = value.kind();
        if !matches!(kind, Type::List(_) | Type::Tuple(_)) {
            return Err(FunctionFailure::of(place, format!("it must be a list or a tuple, and is {}", kind.name())));
        }
        kinds.push(kind);
    }
    if kinds.is_empty() {
        return Err("it takes at least one list".into());
    }
    let are_lists = kinds.iter().all(|kind| matches!(kind, Type::List(_)));
    if let Some(kind @ Type::List(element)) = unify(&kinds, true).as_ref().filter(|_| are_lists) {
        let mut values = Vec::new();
        for (place, value) in given.values.iter().enumerate() {
            let value = convert(value, kind).map_err(|why| FunctionFailure::of(place, why))?;
            values.extend_from_slice(value.as_elements().unwrap_or_default());
        }
        return Ok(Value::list((**element).clone(), values));
    }
    let values = given.values.iter().flat_map(|value| value.as_elements().unwrap_or_default());
    Ok(Value::tuple(values.cloned().collect()))
}

fn distinct(given: &Arguments<'_>) -> Result<Value, FunctionFailure> {
    let mut values: Vec<Value> = Vec::new();
    for value in given.elements(0) {
        given.spend(values.len())?;
        if !values.iter().any(|other| is_equal(other, value)) {
            values.push(value.clone());
        }
    }
    let element = given.values[0].kind().element().cloned().unwrap_or(Type::Any);
    Ok(Value::list(element, values))
}

/// Behind the last one comes the first again.
fn element(given: &Arguments<'_>) -> Result<Value, FunctionFailure> {
    let Ok(index) = usize::try_from(given.integer(1)?) else {
        return Err(FunctionFailure::of(1, "it must not be negative"));
    };
    let values = &sequence(given, false)?.values;
    match values.len() {
        0 => Err(FunctionFailure::of(0, "it has no elements")),
        count => Ok(values[index % count].clone()),
    }
}

fn flatten(values: &[Value], flat: &mut Vec<Value>) {
    for value in values {
        match value {
            Value::Sequence(inner) => flatten(&inner.values, flat),
            _ => flat.push(value.clone()),
        }
    }
}

fn range(given: &Arguments<'_>) -> Result<Value, FunctionFailure> {
    let zero = Number::from(0i64);
    let (start, end, step) = match given.values.len() {
        1 => (zero.clone(), given.number(0)?, None),
        2 => (given.number(0)?, given.number(1)?, None),
        3 => (given.number(0)?, given.number(1)?, Some(given.number(2)?)),
        _ => return Err("it takes one, two or three numbers".into()),
    };
    let step = step.unwrap_or_else(|| Number::from(if end < start { -1i64 } else { 1 }));
    let is_down = step < zero;
    if (is_down && end > start) || (!is_down && end < start) {
        let direction = if is_down { "below" } else { "above" };
        return Err(FunctionFailure::of(
            1,
            format!("the end must be {direction} the start, in the direction of the step"),
        ));
    }
    let (mut numbers, mut next) = (Vec::new(), start);
    while if is_down { next > end } else { next < end } {
        if numbers.len() >= LONGEST_RANGE {
            return Err(format!("there are more than {LONGEST_RANGE} numbers").into());
        }
        let after = next.add(&step).ok_or("the numbers have no end")?;
        numbers.push(Value::Number(std::mem::replace(&mut next, after)));
    }
    Ok(Value::list(Type::Number, numbers))
}

fn slice(given: &Arguments<'_>) -> Result<Value, FunctionFailure> {
    let sequence = sequence(given, false)?;
    let index = |place: usize| {
        let index = given.integer(place)?;
        let is_within = |index: &usize| *index <= sequence.values.len();
        usize::try_from(index).ok().filter(is_within).ok_or_else(|| {
            FunctionFailure::of(place, format!("it must be from 0 to {}, and is {index}", sequence.values.len()))
        })
    };
    let (start, end) = (index(1)?, index(2)?);
    if start > end {
        return Err(FunctionFailure::of(1, "the start must not be after the end"));
    }
    let values = sequence.values[start..end].to_vec();
    Ok(match &sequence.kind {
        SequenceKind::List(element) => Value::list(element.clone(), values),
        _ => Value::tuple(values),
    })
}
