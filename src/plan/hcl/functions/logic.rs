//! True and false, and what is equal.

use super::function::{Arguments, Function, FunctionFailure, any, bool};
use crate::plan::hcl::compare::is_equal;
use crate::plan::hcl::convert::convert;
use crate::plan::hcl::fit::unify;
use crate::plan::hcl::types::Type;
use crate::plan::hcl::value::Value;

pub const FUNCTIONS: &[Function] = &[
    Function::new("and", &[bool("a"), bool("b")], |given| Ok(Value::Bool(given.bool(0) && given.bool(1)))),
    Function::new("coalesce", &[], coalesce).and_more(any("vals").or_null()),
    Function::new("equal", &[any("a").or_null(), any("b").or_null()], |given| equal(given, true)),
    Function::new("not", &[bool("val")], |given| Ok(Value::Bool(!given.bool(0)))),
    Function::new("notequal", &[any("a").or_null(), any("b").or_null()], |given| equal(given, false)),
    Function::new("or", &[bool("a"), bool("b")], |given| Ok(Value::Bool(given.bool(0) || given.bool(1)))),
];

fn equal(given: &Arguments<'_>, wanted: bool) -> Result<Value, FunctionFailure> {
    match given.values {
        [left, right] => Ok(Value::Bool(is_equal(left, right) == wanted)),
        _ => Ok(Value::Bool(!wanted)),
    }
}

/// The first that is not null, as what all have in common.
fn coalesce(given: &Arguments<'_>) -> Result<Value, FunctionFailure> {
    let kinds: Vec<Type> = given.values.iter().map(Value::kind).collect();
    let kind = match unify(&kinds, true) {
        Some(kind) => kind,
        None => return Err("the arguments must have a type in common".into()),
    };
    for (index, value) in given.values.iter().enumerate() {
        if !value.is_null() {
            return convert(value, &kind).map_err(|why| FunctionFailure::of(index, why));
        }
    }
    Err("all arguments are null".into())
}
