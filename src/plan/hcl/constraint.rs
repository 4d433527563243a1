//! Expressions that say which type a value has to be of, as `list(string)`.

use super::expression::Expression;
use super::types::Type;
use crate::error::Result;

impl Expression {
    /// Returns the type that it says. Fails, with the place, for what is no type.
    pub fn type_constraint(&self) -> Result<Type> {
        Err(self.place.error("types are not read yet"))
    }
}
