//! Sets.

use super::function::{Arguments, Function, FunctionFailure, any, set};
use crate::plan::hcl::compare;
use crate::plan::hcl::convert::convert;
use crate::plan::hcl::fit::unify;
use crate::plan::hcl::types::Type;
use crate::plan::hcl::value::{SequenceKind, Value};

pub const FUNCTIONS: &[Function] = &[
    Function::new("sethaselement", &[set("set"), any("elem")], |given| {
        Ok(Value::Bool(
            given.elements(0).iter().any(|own| given.values.get(1).is_some_and(|other| compare::is_same(own, other))),
        ))
    }),
    Function::new("setintersection", &[set("first_set")], |given| {
        combine(given, |own, others| own.iter().filter(|own| has(others, own)).cloned().collect())
    })
    .and_more(set("other_sets")),
    Function::new("setproduct", &[], product).and_more(any("sets")),
    Function::new("setsubtract", &[set("a"), set("b")], |given| {
        combine(given, |own, others| own.iter().filter(|own| !has(others, own)).cloned().collect())
    }),
    Function::new("setsymmetricdifference", &[set("first_set")], |given| {
        combine(given, |own, others| {
            let only_own = own.iter().filter(|own| !has(others, own));
            only_own.chain(others.iter().filter(|other| !has(own, other))).cloned().collect()
        })
    })
    .and_more(set("other_sets")),
    Function::new("setunion", &[set("first_set")], |given| {
        combine(given, |own, others| own.iter().chain(others).cloned().collect())
    })
    .and_more(set("other_sets")),
];

fn has(elements: &[Value], wanted: &Value) -> bool {
    elements.iter().any(|element| compare::is_equal(element, wanted))
}

/// Makes one set of all, two by two.
fn combine(given: &Arguments<'_>, both: fn(&[Value], &[Value]) -> Vec<Value>) -> Result<Value, FunctionFailure> {
    let is_open =
        |value: &Value| value.kind() == Type::Any.set() && value.as_elements().is_some_and(<[Value]>::is_empty);
    let kinds = given.values.iter().filter(|value| !is_open(value)).map(Value::kind);
    let elements: Vec<Type> = kinds.filter_map(|kind| kind.element().cloned()).collect();
    let element = match elements.is_empty() {
        true => Type::Any,
        false => unify(&elements, true).ok_or("the sets must have a type of their elements in common")?,
    };
    let wanted = element.clone().set();
    let mut combined: Option<Vec<Value>> = None;
    for (place, value) in given.values.iter().enumerate() {
        let value = convert(value, &wanted).map_err(|why| FunctionFailure::of(place, why))?;
        let others = value.as_elements().unwrap_or_default();
        combined = Some(match combined {
            None => others.to_vec(),
            Some(own) => {
                given.spend(own.len().saturating_mul(others.len()))?;
                both(&own, others)
            }
        });
    }
    Ok(compare::set(element, combined.unwrap_or_default()))
}

/// All tuples of one element of each.
fn product(given: &Arguments<'_>) -> Result<Value, FunctionFailure> {
    if given.values.len() < 2 {
        return Err("it takes at least two sets".into());
    }
    let mut sides = Vec::new();
    let (mut kinds, mut total, mut is_set) = (Vec::new(), 1usize, false);
    for (place, value) in given.values.iter().enumerate() {
        let Value::Sequence(sequence) = value else {
            return Err(FunctionFailure::of(
                place,
                format!("a set or expected a list, but this is {}", value.kind().name()),
            ));
        };
        let kind = match &sequence.kind {
            SequenceKind::List(element) => element.clone(),
            SequenceKind::Set(element) => {
                is_set = true;
                element.clone()
            }
            SequenceKind::Tuple if sequence.values.is_empty() => Type::Any,
            SequenceKind::Tuple => {
                let kinds: Vec<Type> = sequence.values.iter().map(Value::kind).collect();
                unify(&kinds, true).ok_or_else(|| FunctionFailure::of(place, "all elements must have the same type"))?
            }
        };
        let values = sequence.values.iter().map(|value| convert(value, &kind));
        sides.push(values.collect::<Result<Vec<_>, _>>().map_err(|why| FunctionFailure::of(place, why))?);
        kinds.push(kind);
        total = total.saturating_mul(sequence.values.len());
    }
    given.spend(total.saturating_mul(sides.len()))?;
    // Where one of the sides is empty, the others are not multiplied first.
    let mut tuples: Vec<Vec<Value>> = if total == 0 { Vec::new() } else { vec![Vec::new()] };
    for side in &sides {
        let longer = |tuple: &Vec<Value>| {
            let tuple = tuple.clone();
            side.iter().map(move |value| tuple.iter().chain([value]).cloned().collect::<Vec<_>>())
        };
        tuples = tuples.iter().flat_map(longer).collect();
    }
    let (element, values) = (Type::tuple(kinds), tuples.into_iter().map(Value::tuple).collect());
    Ok(if is_set { compare::set(element, values) } else { Value::list(element, values) })
}
