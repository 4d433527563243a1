//! Variables of bake files: what each is when the environment, the command line and its default have been asked.

use serde::Serialize;

use super::evaluation::Evaluation;
use crate::error::{Error, Result};
use crate::oci::Map;
use crate::plan::hcl::{
    BakePlace, Expression, HclAttribute, HclBlock, Scope, Type, Value, convert, json_value, text_value, value_json,
};

/// A variable as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListedVariable {
    /// Its name.
    pub name: String,
    /// What it is for, in words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Its type, if it has one.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Its value; none for null.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// A `variable` block.
#[derive(Debug, Clone)]
pub(super) struct VariableBlock<'a> {
    pub name: &'a str,
    kind: Option<&'a Expression>,
    pub default: Option<&'a HclAttribute>,
    description: Option<&'a Expression>,
    validations: Vec<Validation<'a>>,
    pub place: &'a BakePlace,
}

/// What must hold of a variable.
#[derive(Debug, Clone)]
struct Validation<'a> {
    condition: Option<&'a Expression>,
    message: Option<&'a Expression>,
    place: &'a BakePlace,
}

/// The suffix of the name under which a variable's value is looked for as JSON.
const JSON: &str = "_JSON";

/// The values that the environment and the command line have for variables.
#[derive(Clone, Copy)]
pub(super) struct GivenValues<'a> {
    /// Those of the command line.
    pub given: &'a Map<String>,
    /// Returns one of the environment.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
}

/// A value that stands in the place of a default.
pub(super) struct GivenValue {
    pub text: String,
    pub is_json: bool,
}

impl GivenValues<'_> {
    /// Returns the value that is given for the variable `name`, as it stands or, of a typed one first of all, as JSON.
    /// `is_taken` says of a name that it is another variable's.
    pub fn value(&self, name: &str, is_typed: bool, is_taken: &dyn Fn(&str) -> bool) -> Option<GivenValue> {
        let json = format!("{name}{JSON}");
        let is_free = !is_taken(&json);
        let pick = |lookup: &dyn Fn(&str) -> Option<String>| {
            let plain = || lookup(name).map(|text| GivenValue { text, is_json: false });
            let json = || lookup(&json).filter(|_| is_free).map(|text| GivenValue { text, is_json: true });
            if is_typed { json().or_else(plain) } else { plain().or_else(json) }
        };
        pick(&|name| self.given.get(name).cloned()).or_else(|| pick(self.environment))
    }
}

impl<'a> VariableBlock<'a> {
    /// Reads a block. What it has beside what is known is left alone.
    pub fn read(block: &'a HclBlock) -> Result<VariableBlock<'a>> {
        let [label] = &block.labels[..] else {
            return Err(block.place.error("a variable has one name: variable \"NAME\" { … }"));
        };
        let validations = block.body.blocks_of("validation").map(|block| {
            let body = &block.body;
            if let Some(other) =
                body.attributes.iter().find(|own| !["condition", "error_message"].contains(&own.name.as_str()))
            {
                let error = other.place.error(format!("a validation has no `{}`", other.name));
                return Err(error.with_hint("it has `condition` and `error_message`"));
            }
            let value = |name: &str| body.attribute(name).map(|attribute| &attribute.value);
            Ok(Validation { condition: value("condition"), message: value("error_message"), place: &block.place })
        });
        let value = |name: &str| block.body.attribute(name).map(|attribute| &attribute.value);
        Ok(VariableBlock {
            name: &label.text,
            kind: value("type"),
            default: block.body.attribute("default"),
            description: value("description"),
            validations: validations.collect::<Result<_>>()?,
            place: &label.place,
        })
    }

    /// Returns the same without its type, and with another default.
    pub fn untyped(self, default: &'a HclAttribute) -> Self {
        VariableBlock { kind: None, default: Some(default), ..self }
    }

    /// Returns its type; none if it says none.
    pub fn kind(&self) -> Result<Option<Type>> {
        match self.kind {
            Some(kind) if kind.keyword() != Some("null") => kind.type_constraint().map(Some),
            _ => Ok(None),
        }
    }
}

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
            (Some(Type::Any), _) => Err(format!("any value may be meant by text: give it as JSON, as {name}{JSON}")),
            (Some(kind), _) => text_value(&given.text, &kind),
            (None, None | Some(Type::Any)) => Ok(Value::text(given.text.as_str())),
            (None, Some(kind)) if kind.is_primitive() => text_value(&given.text, &kind),
            (None, Some(kind)) => Err(format!("its default is {}, and no type says what text stands for", kind.name())),
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
            (value, None) if value.kind().is_primitive() => {
                convert(value, &Type::String).ok().and_then(|text| text.as_text().map(str::to_owned)).unwrap_or_default()
            }
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
        let error = || expression.place.error("a text is wanted here, and this is null");
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
                return Err(condition.place.error("the condition must be true or false, and it is null"));
            }
            let value = convert(&value, &Type::Bool).map_err(|why| {
                condition.place.error(format!("the condition must be true or false: {why}"))
            })?;
            if value.as_bool() == Some(true) {
                continue;
            }
            let message = rule.message.map(|message| self.evaluate(message)).transpose()?;
            let message = message.as_ref().and_then(Value::as_text).unwrap_or("a check failed that says no more");
            let error = Error::input(format!("the variable {} is not valid: {message}", block.name));
            return Err(condition.place.blame(error));
        }
        Ok(())
    }
}
