//! What an expression sees of what is around it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::expression::Expression;
use super::value::{LONG_TEXT, Measure, Value};

/// The values that one budget pays for: each that an expression evaluates to costs what it weighs.
const MOST_WORK: usize = 5_000_000;

/// What a conversion of a list or the like costs beside its value.
const TYPE_WORK: usize = 50;

/// The values that one value may be made of.
const LARGEST_VALUE: usize = 1_000_000;

/// How deep values may stand within a value.
const DEEPEST_VALUE: usize = 128;

/// How deep expressions may stand within each other while they are evaluated, functions that call functions included.
const DEEPEST_EVALUATION: usize = 250;

/// The variables and functions that an expression may refer to.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// The values of variables by their names.
    pub variables: BTreeMap<String, Value>,
    /// The functions that the files define, beside those that are always there. They see the variables and functions of the scope
    /// that their callers see, and none that a `for` or a call has brought.
    pub functions: BTreeMap<String, Arc<UserFunction>>,
}

/// A function that a file defines.
#[derive(Debug, Clone)]
pub struct UserFunction {
    /// The names of what it is called with.
    pub parameters: Vec<String>,
    /// The name of all further arguments as a tuple, if it takes any.
    pub variadic: Option<String>,
    /// What it gives.
    pub result: Expression,
}

/// What an evaluation may take from outside: that makes it other on another day or another machine.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// The time, in seconds since 1970.
    pub now: i64,
    /// The home directory of the user.
    pub home: &'a str,
    /// Fills bytes with random ones.
    pub random: &'a dyn Fn(&mut [u8]),
}

/// How much evaluations may still do, all that share it together.
#[derive(Debug)]
pub struct EvaluationBudget {
    work: Cell<usize>,
    depth: Cell<usize>,
}

impl Default for EvaluationBudget {
    fn default() -> Self {
        EvaluationBudget { work: Cell::new(MOST_WORK), depth: Cell::new(DEEPEST_EVALUATION) }
    }
}

impl EvaluationBudget {
    /// Takes `work` off. Fails if there is not so much left.
    pub(super) fn spend(&self, work: usize) -> Result<(), String> {
        match self.work.get().checked_sub(work) {
            Some(left) => {
                self.work.set(left);
                Ok(())
            }
            None => {
                self.work.set(0);
                Err("the expressions of these files take too long to evaluate".to_owned())
            }
        }
    }

    /// Takes off what `value` costs. Fails for one that is too large at all.
    pub(super) fn spend_on(&self, value: &Value) -> Result<(), String> {
        self.spend_size(value.measure())
    }

    /// Takes off what it costs to find out what `value` can be converted to.
    pub(super) fn spend_on_type(&self, value: &Value) -> Result<(), String> {
        match value {
            Value::Sequence(_) | Value::Mapping(_) => self.spend(TYPE_WORK),
            _ => Ok(()),
        }
    }

    /// Takes off what text costs of which so many bytes are there. Fails if it is too large at all.
    pub(super) fn spend_on_text(&self, length: usize) -> Result<(), String> {
        self.spend_size(Measure { weight: length / LONG_TEXT, depth: 1 })
    }

    fn spend_size(&self, Measure { weight, depth }: Measure) -> Result<(), String> {
        if weight > LARGEST_VALUE {
            return Err(format!("this value is too large: it has more than {LARGEST_VALUE} parts"));
        }
        if depth > DEEPEST_VALUE {
            return Err(format!("values are nested in this value more than {DEEPEST_VALUE} deep"));
        }
        self.spend(1 + weight / 8)
    }

    /// Goes one deeper. Fails where it is too deep.
    pub(super) fn enter(&self) -> Result<(), String> {
        match self.depth.get().checked_sub(1) {
            Some(left) => {
                self.depth.set(left);
                Ok(())
            }
            None => Err(format!("expressions are nested more than {DEEPEST_EVALUATION} deep")),
        }
    }

    pub(super) fn leave(&self) {
        self.depth.set(self.depth.get() + 1);
    }
}
