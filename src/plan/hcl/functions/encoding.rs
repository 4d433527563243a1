//! Text for values, and values for text.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::csv::{CsvError, records};
use super::function::{Arguments, Function, FunctionFailure, any, number, string};
use crate::plan::hcl::typed::{implied_value, value_json};
use crate::plan::hcl::types::Type;
use crate::plan::hcl::value::Value;

pub const FUNCTIONS: &[Function] = &[
    Function::new("base64decode", &[string("str")], |given| {
        let text = given.text(0).replace(['\r', '\n'], "");
        let bytes =
            STANDARD.decode(text).map_err(|error| FunctionFailure::of(0, format!("it is not base64: {error}")))?;
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Value::text(text)),
            Err(_) => Err(FunctionFailure::of(0, "what it stands for is not UTF-8")),
        }
    }),
    Function::new("base64encode", &[string("str")], |given| Ok(Value::text(STANDARD.encode(given.text(0))))),
    Function::new("byteslen", &[any("buf")], |_| Err(no_bytes())),
    Function::new("bytesslice", &[any("buf"), number("offset"), number("length")], |_| Err(no_bytes())),
    Function::new("csvdecode", &[string("str")], csv_decode),
    Function::new("jsondecode", &[string("str")], |given| {
        implied_value(given.text(0)).map_err(|why| FunctionFailure::of(0, why))
    }),
    Function::new("jsonencode", &[any("val").or_null()], |given| Ok(Value::text(value_json(&given.values[0])?))),
    Function::new("urlencode", &[string("str")], |given| {
        given.expect_text(given.text(0).len() * 3)?;
        let encoded = given.text(0).bytes().map(|byte| match byte {
            b' ' => "+".to_owned(),
            b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        });
        Ok(Value::text(encoded.collect::<String>()))
    }),
];

/// The functions of bytes are there for programs that have such values; in a bake file there are none.
fn no_bytes() -> FunctionFailure {
    FunctionFailure::of(0, "expected bytes, but no value of a bake file is bytes; `strlen` and `substr` take text")
}

/// A list of objects, whose attributes the first line names.
fn csv_decode(given: &Arguments<'_>) -> Result<Value, FunctionFailure> {
    let at = |CsvError { line, message }| FunctionFailure::of(0, format!("line {line}: {message}"));
    let mut records = records(given.text(0)).map_err(at)?.into_iter();
    let Some((_, names)) = records.next() else {
        return Err(FunctionFailure::of(0, "there is no line with names"));
    };
    let mut seen = BTreeSet::new();
    if let Some(twice) = names.iter().find(|name| !seen.insert(*name)) {
        return Err(FunctionFailure::of(0, format!("the name `{twice}` appears twice")));
    }
    let mut rows = Vec::new();
    for (line, fields) in records {
        if fields.len() != names.len() {
            let message = format!("line {line}: there are {} fields, but {} names", fields.len(), names.len());
            return Err(FunctionFailure::of(0, message));
        }
        let values = names.iter().cloned().zip(fields.into_iter().map(Value::text));
        rows.push(Value::object(values.collect::<BTreeMap<_, _>>()));
    }
    Ok(Value::list(Type::object(names.into_iter().map(|name| (name, Type::String))), rows))
}
