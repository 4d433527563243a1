//! Numbers.

use num_bigint::BigInt;

use super::function::{Arguments, Failure, Function, any, number};
use crate::plan::hcl::expression::{BinaryOperation, UnaryOperation};
use crate::plan::hcl::number::Number;
use crate::plan::hcl::operation::{binary, unary};
use crate::plan::hcl::value::Value;

/// In bytes; to read longer numbers would take too long.
const LONGEST_NUMBER: usize = 10_000;

pub const FUNCTIONS: &[Function] = &[
    Function::new("absolute", &[number("num")], |given| Ok(given.number(0)?.absolute().into())),
    Function::new("add", PAIR, |given| operate(given, BinaryOperation::Add)),
    Function::new("ceil", &[number("num")], |given| whole(&given.number(0)?, 1)),
    Function::new("divide", PAIR, |given| operate(given, BinaryOperation::Divide)),
    Function::new("floor", &[number("num")], |given| whole(&given.number(0)?, -1)),
    Function::new("greaterthan", PAIR, |given| operate(given, BinaryOperation::Greater)),
    Function::new("greaterthanorequalto", PAIR, |given| operate(given, BinaryOperation::GreaterOrEqual)),
    Function::new("int", &[number("num")], int),
    Function::new("lessthan", PAIR, |given| operate(given, BinaryOperation::Less)),
    Function::new("lessthanorequalto", PAIR, |given| operate(given, BinaryOperation::LessOrEqual)),
    Function::new("log", &[number("num"), number("base")], |given| {
        float(given.number(0)?.to_f64().ln() / given.number(1)?.to_f64().ln())
    }),
    Function::new("max", &[], |given| extreme(given, |own, best| own > best)).and_more(number("numbers")),
    Function::new("min", &[], |given| extreme(given, |own, best| own < best)).and_more(number("numbers")),
    Function::new("modulo", PAIR, |given| operate(given, BinaryOperation::Modulo)),
    Function::new("multiply", PAIR, |given| operate(given, BinaryOperation::Multiply)),
    Function::new("negate", &[number("num")], |given| {
        Ok(unary(UnaryOperation::Negate, &given.number(0)?.into())?)
    }),
    Function::new("parseint", &[any("number"), number("base")], parse_int),
    Function::new("pow", &[number("num"), number("power")], |given| {
        float(given.number(0)?.to_f64().powf(given.number(1)?.to_f64()))
    }),
    Function::new("signum", &[number("num")], |given| Ok(Number::from(given.integer(0)?.signum()).into())),
    Function::new("subtract", PAIR, |given| operate(given, BinaryOperation::Subtract)),
];

const PAIR: &[super::function::Parameter] = &[number("a"), number("b")];

fn operate(given: &Arguments<'_>, operation: BinaryOperation) -> Result<Value, Failure> {
    binary(operation, &[given.number(0)?.into(), given.number(1)?.into()])
}

/// The nearest whole number above (1) or below (-1).
fn whole(number: &Number, side: i64) -> Result<Value, Failure> {
    let Some(truncated) = number.truncated() else {
        return Ok(number.clone().into());
    };
    let is_beyond = number.to_integer().is_none() && (side < 0) == number.is_negative();
    let truncated = if is_beyond { truncated + side } else { truncated };
    Ok(number.as_exact(&truncated).into())
}

fn int(given: &Arguments<'_>) -> Result<Value, Failure> {
    let number = given.number(0)?;
    match (number.to_integer(), number.truncated()) {
        (None, Some(truncated)) => Ok(Number::from_integer(&truncated).into()),
        _ => Ok(number.into()),
    }
}

fn float(number: f64) -> Result<Value, Failure> {
    Number::from_f64(number).map(Value::Number).ok_or_else(|| "the result is no number".into())
}

fn extreme(given: &Arguments<'_>, is_better: fn(&Number, &Number) -> bool) -> Result<Value, Failure> {
    let mut numbers = given.values.iter().filter_map(Value::as_number);
    let first = numbers.next().ok_or("it takes at least one number")?;
    Ok(numbers.fold(first, |best, own| if is_better(own, best) { own } else { best }).clone().into())
}

fn parse_int(given: &Arguments<'_>) -> Result<Value, Failure> {
    let (text, base) = match given.values {
        [Value::String(text), _] => (&**text, given.integer(1)?),
        _ => return Err(Failure::of(0, "it must be text")),
    };
    let base = match u32::try_from(base) {
        Ok(base @ 2..=62) => base,
        _ => return Err(Failure::of(1, "a base is a whole number from 2 to 62")),
    };
    if text.len() > LONGEST_NUMBER {
        return Err(Failure::of(0, format!("it is longer than {LONGEST_NUMBER} digits")));
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let mut number = BigInt::ZERO;
    for c in digits.chars() {
        // Up to 36 letters stand for the same in both cases; beyond it the capital ones come last.
        let digit = match c {
            '0'..='9' => c as u32 - '0' as u32,
            'a'..='z' => c as u32 - 'a' as u32 + 10,
            'A'..='Z' if base <= 36 => c as u32 - 'A' as u32 + 10,
            'A'..='Z' => c as u32 - 'A' as u32 + 36,
            _ => base,
        };
        if digit >= base {
            return Err(Failure::of(0, format!("\"{text}\" is no whole number of base {base}")));
        }
        number = number * base + digit;
    }
    if digits.is_empty() {
        return Err(Failure::of(0, format!("\"{text}\" is no whole number of base {base}")));
    }
    Ok(Number::from_integer(&if text.starts_with('-') { -number } else { number }).into())
}
