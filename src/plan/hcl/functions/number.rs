//! Numbers.

use num_bigint::BigInt;

use super::function::{Arguments, Function, FunctionFailure, any, number};
use crate::plan::hcl::expression::{BinaryOperation, UnaryOperation};
use crate::plan::hcl::number::Number;
use crate::plan::hcl::operation::{binary, unary};
use crate::plan::hcl::value::Value;

/// In bytes; to read longer numbers would take too long.
const LONGEST_NUMBER: usize = 2_000;

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
    Function::new("negate", &[number("num")], |given| Ok(unary(UnaryOperation::Negate, &given.number(0)?.into())?)),
    Function::new("parseint", &[any("number"), number("base")], parse_int),
    Function::new("pow", &[number("num"), number("power")], |given| {
        float(power(given.number(0)?.to_f64(), given.number(1)?.to_f64()))
    }),
    Function::new("signum", &[number("num")], |given| Ok(Number::from(given.integer(0)?.signum()).into())),
    Function::new("subtract", PAIR, |given| operate(given, BinaryOperation::Subtract)),
];

const PAIR: &[super::function::Parameter] = &[number("a"), number("b")];

fn operate(given: &Arguments<'_>, operation: BinaryOperation) -> Result<Value, FunctionFailure> {
    binary(operation, &[given.number(0)?.into(), given.number(1)?.into()])
}

/// The nearest whole number above (1) or below (-1).
fn whole(number: &Number, side: i64) -> Result<Value, FunctionFailure> {
    let Some(truncated) = number.truncated() else {
        return Ok(number.clone().into());
    };
    let is_beyond = number.to_integer().is_none() && (side < 0) == number.is_negative();
    let truncated = if is_beyond { truncated + side } else { truncated };
    Ok(number.as_exact(&truncated).into())
}

fn int(given: &Arguments<'_>) -> Result<Value, FunctionFailure> {
    let number = given.number(0)?;
    match (number.to_integer(), number.truncated()) {
        (None, Some(truncated)) => Ok(Number::from_integer(&truncated).into()),
        _ => Ok(number.into()),
    }
}

fn float(number: f64) -> Result<Value, FunctionFailure> {
    Number::from_f64(number).map(Value::Number).ok_or_else(|| "the result is not a number".into())
}

/// Whole powers are made of squares of the mantissa, as they are elsewhere: the last digits would be others.
fn power(base: f64, exponent: f64) -> f64 {
    let is_plain = base.is_normal() && exponent.fract() == 0.0 && exponent.abs() < 4096.0 && exponent != 0.0;
    if !is_plain {
        return base.powf(exponent);
    }
    const FRACTION: u64 = (1 << 52) - 1;
    let bits = base.to_bits();
    // From a half to below one.
    let mut square = f64::from_bits(bits & (1 << 63 | FRACTION) | 1022 << 52);
    let mut square_power = (bits >> 52 & 0x7ff) as i32 - 1022;
    let (mut product, mut product_power) = (1.0, 0i32);
    let mut left = exponent.abs() as u32;
    while left > 0 {
        if square_power.abs() > 4096 {
            product_power = product_power.saturating_add(square_power);
            break;
        }
        if left & 1 == 1 {
            product *= square;
            product_power += square_power;
        }
        square *= square;
        square_power *= 2;
        if square < 0.5 {
            square *= 2.0;
            square_power -= 1;
        }
        left >>= 1;
    }
    if exponent < 0.0 {
        (product, product_power) = (1.0 / product, -product_power);
    }
    // In two steps, for the power alone may lie beyond all numbers.
    let half = product_power.clamp(-2_100, 2_100) / 2;
    product * 2f64.powi(half) * 2f64.powi(product_power.clamp(-2_100, 2_100) - half)
}

fn extreme(given: &Arguments<'_>, is_better: fn(&Number, &Number) -> bool) -> Result<Value, FunctionFailure> {
    let mut numbers = given.values.iter().filter_map(Value::as_number);
    let first = numbers.next().ok_or("it takes at least one number")?;
    Ok(numbers.fold(first, |best, own| if is_better(own, best) { own } else { best }).clone().into())
}

fn parse_int(given: &Arguments<'_>) -> Result<Value, FunctionFailure> {
    let (text, base) = match given.values {
        [Value::String(text), _] => (&**text, given.integer(1)?),
        _ => return Err(FunctionFailure::of(0, "it must be text")),
    };
    let base = match u32::try_from(base) {
        Ok(base @ 2..=62) => base,
        _ => return Err(FunctionFailure::of(1, "a base is a whole number from 2 to 62")),
    };
    if text.len() > LONGEST_NUMBER {
        return Err(FunctionFailure::of(0, format!("it is longer than {LONGEST_NUMBER} digits")));
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
            return Err(FunctionFailure::of(0, format!("\"{text}\" is not a whole number of base {base}")));
        }
        number = number * base + digit;
    }
    if digits.is_empty() {
        return Err(FunctionFailure::of(0, format!("\"{text}\" is not a whole number of base {base}")));
    }
    Ok(Number::from_integer(&if text.starts_with('-') { -number } else { number }).into())
}
