//! Variables of bake files: what each is when the environment, the command line and its default have been asked.

use super::evaluation::Evaluation;
use super::variable_block::{GivenValue, JSON, ListedVariable, VariableBlock};
use crate::error::{Error, Result};
use crate::plan::hcl::{Expression, Scope, Type, Value, convert, json_value, text_value, value_json};

impl<'a> Evaluation<'a> {
    /// Returns the value of a variable, for which `default` was evaluated.
    pub(super) fn variable_value(&self, block: &VariableBlock<'a>, default: Option<Value>) -> Result<Value> {
        let name = block.name;
        let kind = block.kind()?;
        let default = match (default, &kind, block.default) {
            (Some(value), Some(kind), Some(attribute)) => Some(convert(&value, kind).map_err(|why| {
                attribute.value.place.error(format!("the default of the variable {name} is not {}: {why}", kind.name()))
            })?),
            (value, ..) => value,
        };
        let Some(given) = self.given_value(name, kind.is_some()) else {
            return Ok(match (default, kind) {
                (Some(value), _) => value,
                (None, Some(kind)) => Value::Null(kind),
                (None, None) => Value::text(""),
            });
        };
        let wrong = |why: String| {
            let what = if given.is_json { format!("{name}{JSON}") } else { name.to_owned() };
            block.place.error(format!("the value given for the variable {what} cannot be taken: {why}"))
        };
        match (kind, default.as_ref().map(Value::kind)) {
            (Some(kind), _) if given.is_json => json_value(&given.text, &kind),
            (Some(Type::Any), _) => Err(format!("text could mean any value: give it as JSON, as {name}{JSON}")),
            (Some(kind), _) => text_value(&given.text, &kind),
            (None, None | Some(Type::Any)) => Ok(Value::text(given.text.as_str())),
            (None, Some(kind)) if kind.is_primitive() => text_value(&given.text, &kind),
            (None, Some(kind)) => Err(format!("its default is {}, but no type says what text stands for", kind.name())),
        }
        .map_err(wrong)
    }

    fn given_value(&self, name: &str, is_typed: bool) -> Option<GivenValue> {
        self.given.value(name, is_typed, &|other| self.is_variable(other))
    }

    /// Returns a variable as it is listed; its value is known.
    pub(super) fn listed(&self, block: &VariableBlock<'a>) -> Result<ListedVariable> {
        let description = match block.description {
            Some(expression) => self.constant_text(expression)?,
            None => String::new(),
        };
        let kind = block.kind()?;
        let value = self.scope.variables.get(block.name).filter(|value| !value.is_null());
        let shown = value.map(|value| match (value, &kind) {
            (Value::String(text), _) => text.to_string(),
            (value, None) if value.kind().is_primitive() => convert(value, &Type::String)
                .ok()
                .and_then(|text| text.as_text().map(str::to_owned))
                .unwrap_or_default(),
            (value, _) => value_json(value).unwrap_or_default(),
        });
        Ok(ListedVariable {
            name: block.name.to_owned(),
            description,
            kind: kind.map(|kind| kind.constraint_name()).unwrap_or_default(),
            value: shown,
        })
    }

    /// Returns the text of an expression that refers to nothing.
    fn constant_text(&self, expression: &Expression) -> Result<String> {
        let value = expression.evaluate(&Scope::default(), &self.surroundings, &self.budget)?;
        let text = convert(&value, &Type::String).map_err(|why| expression.place.error(why))?;
        let error = || expression.place.error("expected a text here, but this is null");
        text.as_text().map(str::to_owned).ok_or_else(error)
    }

    /// Fails for the first variable of which does not hold what must.
    pub(super) fn validate(&mut self, block: &VariableBlock<'a>) -> Result<()> {
        for rule in &block.validations {
            let Some(condition) = rule.condition else {
                return Err(rule.place.error("this validation has no condition"));
            };
            let value = self.evaluate(condition)?;
            if value.is_null() {
                return Err(condition.place.error("the condition must be true or false, but it is null"));
            }
            let value = convert(&value, &Type::Bool)
                .map_err(|why| condition.place.error(format!("the condition must be true or false: {why}")))?;
            if value.as_bool() == Some(true) {
                continue;
            }
            let message = rule.message.map(|message| self.evaluate(message)).transpose()?;
            let message = message.as_ref().and_then(Value::as_text).unwrap_or("a check without a message failed");
            let error = Error::input(format!("the variable {} is not valid: {message}", block.name));
            return Err(condition.place.blame(error));
        }
        Ok(())
    }
}
