//! What a function is.

use crate::plan::hcl::convert::convert;
use crate::plan::hcl::number::Number;
use crate::plan::hcl::scope::{EvaluationBudget, Surroundings};
use crate::plan::hcl::types::Type;
use crate::plan::hcl::value::Value;

/// A function that is always there.
pub struct Function {
    /// What it is called by.
    pub name: &'static str,
    /// What it is called with.
    pub parameters: &'static [Parameter],
    /// What all further arguments are, if it takes any.
    pub variadic: Option<Parameter>,
    run: fn(&Arguments<'_>) -> Result<Value, FunctionFailure>,
}

/// What one argument is.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    /// What it is called in messages.
    pub name: &'static str,
    kind: ParameterKind,
    allows_null: bool,
}

/// What a function is called with, converted to what its parameters are.
pub struct Arguments<'a> {
    /// The values, as many as there are parameters, and more if it takes more.
    pub values: &'a [Value],
    /// What is outside.
    pub surroundings: &'a Surroundings<'a>,
    /// What it may cost beside its result.
    pub budget: &'a EvaluationBudget,
}

/// Why a function gives nothing.
#[derive(Debug, PartialEq, Eq)]
pub struct FunctionFailure {
    /// The argument that is to blame.
    pub argument: Option<usize>,
    /// What is wrong, as a clause.
    pub message: String,
}

#[derive(Debug, Clone, Copy)]
enum ParameterKind {
    Any,
    Bool,
    Number,
    String,
    ListOfAny,
    ListOfStrings,
    SetOfAny,
}

impl Function {
    /// Returns the function that `run` does.
    pub const fn new(
        name: &'static str,
        parameters: &'static [Parameter],
        run: fn(&Arguments<'_>) -> Result<Value, FunctionFailure>,
    ) -> Function {
        Function { name, parameters, variadic: None, run }
    }

    /// Takes any number of further arguments.
    pub const fn and_more(self, variadic: Parameter) -> Function {
        Function { variadic: Some(variadic), ..self }
    }

    /// Returns the parameter that the argument of this place is for.
    pub fn parameter(&self, place: usize) -> Option<&Parameter> {
        self.parameters.get(place).or(self.variadic.as_ref())
    }

    /// Returns the argument of this place as what its parameter is.
    pub fn argument(&self, place: usize, value: &Value) -> Result<Value, FunctionFailure> {
        let Some(parameter) = self.parameter(place) else {
            return Ok(value.clone());
        };
        let value = convert(value, &parameter.kind.wanted()).map_err(|why| FunctionFailure::of(place, why))?;
        if value.is_null() && !parameter.allows_null {
            return Err(FunctionFailure::of(place, "it is null"));
        }
        Ok(value)
    }

    /// Returns what it gives.
    pub fn run(&self, arguments: &Arguments<'_>) -> Result<Value, FunctionFailure> {
        (self.run)(arguments)
    }
}

impl Parameter {
    /// Returns the same, which may be null.
    pub const fn or_null(self) -> Parameter {
        Parameter { allows_null: true, ..self }
    }
}

/// Returns a parameter for a value of any type.
pub const fn any(name: &'static str) -> Parameter {
    Parameter { name, kind: ParameterKind::Any, allows_null: false }
}

/// Returns a parameter for `true` or `false`.
pub const fn bool(name: &'static str) -> Parameter {
    Parameter { name, kind: ParameterKind::Bool, allows_null: false }
}

/// Returns a parameter for a number.
pub const fn number(name: &'static str) -> Parameter {
    Parameter { name, kind: ParameterKind::Number, allows_null: false }
}

/// Returns a parameter for text.
pub const fn string(name: &'static str) -> Parameter {
    Parameter { name, kind: ParameterKind::String, allows_null: false }
}

/// Returns a parameter for a list of any one type.
pub const fn list(name: &'static str) -> Parameter {
    Parameter { name, kind: ParameterKind::ListOfAny, allows_null: false }
}

/// Returns a parameter for a list of text.
pub const fn strings(name: &'static str) -> Parameter {
    Parameter { name, kind: ParameterKind::ListOfStrings, allows_null: false }
}

/// Returns a parameter for a set of any one type.
pub const fn set(name: &'static str) -> Parameter {
    Parameter { name, kind: ParameterKind::SetOfAny, allows_null: false }
}

impl ParameterKind {
    fn wanted(self) -> Type {
        match self {
            ParameterKind::Any => Type::Any,
            ParameterKind::Bool => Type::Bool,
            ParameterKind::Number => Type::Number,
            ParameterKind::String => Type::String,
            ParameterKind::ListOfAny => Type::Any.list(),
            ParameterKind::ListOfStrings => Type::String.list(),
            ParameterKind::SetOfAny => Type::Any.set(),
        }
    }
}

impl Arguments<'_> {
    /// Returns the text of an argument that is text.
    pub fn text(&self, place: usize) -> &str {
        self.values.get(place).and_then(Value::as_text).unwrap_or_default()
    }

    /// Returns an argument that is a number.
    pub fn number(&self, place: usize) -> Result<Number, FunctionFailure> {
        let number = self.values.get(place).and_then(Value::as_number);
        number.cloned().ok_or_else(|| FunctionFailure::of(place, "expected a number"))
    }

    /// Returns an argument that is a whole number of a size that numbers of things have.
    pub fn integer(&self, place: usize) -> Result<i64, FunctionFailure> {
        let number = self.number(place)?;
        number
            .to_i64()
            .ok_or_else(|| FunctionFailure::of(place, format!("expected a whole number, but this is {number}")))
    }

    /// Returns what an argument says that is `true` or `false`.
    pub fn bool(&self, place: usize) -> bool {
        self.values.get(place).and_then(Value::as_bool).unwrap_or_default()
    }

    /// Returns the elements of an argument that is a list, a set or a tuple.
    pub fn elements(&self, place: usize) -> &[Value] {
        self.values.get(place).and_then(Value::as_elements).unwrap_or_default()
    }

    /// Takes off the budget what text of `length` bytes costs. Fails if that is too long.
    pub fn expect_text(&self, length: usize) -> Result<(), FunctionFailure> {
        Ok(self.budget.spend_on_text(length)?)
    }

    /// Takes `work` off the budget.
    pub fn spend(&self, work: usize) -> Result<(), FunctionFailure> {
        Ok(self.budget.spend(work)?)
    }
}

impl FunctionFailure {
    /// Returns one that the argument of this place is to blame for.
    pub fn of(argument: usize, message: impl Into<String>) -> FunctionFailure {
        FunctionFailure { argument: Some(argument), message: message.into() }
    }
}

impl From<String> for FunctionFailure {
    fn from(message: String) -> FunctionFailure {
        FunctionFailure { argument: None, message }
    }
}

impl From<&str> for FunctionFailure {
    fn from(message: &str) -> FunctionFailure {
        FunctionFailure { argument: None, message: message.to_owned() }
    }
}
