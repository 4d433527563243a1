//! Expressions to values.

use super::expression::Expression;
use super::scope::{EvaluationBudget, Scope, Surroundings};
use super::value::Value;
use crate::error::Result;

impl Expression {
    /// Returns its value. Fails, with the place, for what cannot be evaluated and for what the budget does not pay for.
    pub fn evaluate(&self, scope: &Scope, surroundings: &Surroundings<'_>, budget: &EvaluationBudget) -> Result<Value> {
        let _ = (scope, surroundings, budget);
        Err(self.place.error("expressions are not evaluated yet"))
    }
}
