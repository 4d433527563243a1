//! Operators.

use super::compare::is_equal;
use super::convert::convert;
use super::expression::{BinaryOperation, UnaryOperation};
use super::functions::FunctionFailure;
use super::number::Number;
use super::types::Type;
use super::value::Value;

impl BinaryOperation {
    /// Returns how it is written.
    pub fn sign(self) -> &'static str {
        match self {
            BinaryOperation::Or => "||",
            BinaryOperation::And => "&&",
            BinaryOperation::Equal => "==",
            BinaryOperation::NotEqual => "!=",
            BinaryOperation::Less => "<",
            BinaryOperation::LessOrEqual => "<=",
            BinaryOperation::Greater => ">",
            BinaryOperation::GreaterOrEqual => ">=",
            BinaryOperation::Add => "+",
            BinaryOperation::Subtract => "-",
            BinaryOperation::Multiply => "*",
            BinaryOperation::Divide => "/",
            BinaryOperation::Modulo => "%",
        }
    }
}

/// Returns what an operator of one operand gives.
pub fn unary(operation: UnaryOperation, value: &Value) -> Result<Value, String> {
    match operation {
        UnaryOperation::Not => Ok(Value::Bool(!bool_of(value)?)),
        UnaryOperation::Negate => Ok(Value::Number(number_of(value)?.negate())),
    }
}

/// Returns what an operator of two operands gives.
pub fn binary(operation: BinaryOperation, [left, right]: &[Value; 2]) -> Result<Value, FunctionFailure> {
    let bools = || -> Result<(bool, bool), FunctionFailure> {
        Ok((
            bool_of(left).map_err(|why| FunctionFailure::of(0, why))?,
            bool_of(right).map_err(|why| FunctionFailure::of(1, why))?,
        ))
    };
    let numbers = || -> Result<(Number, Number), FunctionFailure> {
        Ok((
            number_of(left).map_err(|why| FunctionFailure::of(0, why))?,
            number_of(right).map_err(|why| FunctionFailure::of(1, why))?,
        ))
    };
    let compared = |is: fn(&Number, &Number) -> bool| numbers().map(|(left, right)| Value::Bool(is(&left, &right)));
    match operation {
        BinaryOperation::Or => bools().map(|(left, right)| Value::Bool(left || right)),
        BinaryOperation::And => bools().map(|(left, right)| Value::Bool(left && right)),
        BinaryOperation::Equal => Ok(Value::Bool(is_equal(left, right))),
        BinaryOperation::NotEqual => Ok(Value::Bool(!is_equal(left, right))),
        BinaryOperation::Less => compared(|left, right| left < right),
        BinaryOperation::LessOrEqual => compared(|left, right| left <= right),
        BinaryOperation::Greater => compared(|left, right| left > right),
        BinaryOperation::GreaterOrEqual => compared(|left, right| left >= right),
        BinaryOperation::Add => {
            let (left, right) = numbers()?;
            finite(left.add(&right), "the sum of opposing infinities is not a number")
        }
        BinaryOperation::Subtract => {
            let (left, right) = numbers()?;
            finite(left.subtract(&right), "the difference of equal infinities is not a number")
        }
        BinaryOperation::Multiply => {
            let (left, right) = numbers()?;
            finite(left.multiply(&right), "zero times infinity is not a number")
        }
        BinaryOperation::Divide => {
            let (left, right) = numbers()?;
            finite(left.divide(&right), "a division of zero by zero, or of infinities, does not give a number")
        }
        BinaryOperation::Modulo => {
            let (left, right) = numbers()?;
            finite(left.modulo(&right), "zero and infinity have no remainder")
        }
    }
}

fn finite(number: Option<Number>, why: &str) -> Result<Value, FunctionFailure> {
    number.map(Value::Number).ok_or_else(|| why.into())
}

fn bool_of(value: &Value) -> Result<bool, String> {
    let value = convert(value, &Type::Bool)?;
    value.as_bool().ok_or_else(|| "it is null".to_owned())
}

fn number_of(value: &Value) -> Result<Number, String> {
    let value = convert(value, &Type::Number)?;
    value.as_number().cloned().ok_or_else(|| "it is null".to_owned())
}
