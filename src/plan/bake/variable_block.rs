//! `variable` blocks as they are written, and where values for them come from.

use serde::Serialize;

use crate::error::Result;
use crate::oci::Map;
use crate::plan::hcl::{BakePlace, Expression, HclAttribute, HclBlock, Type};

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
    pub description: Option<&'a Expression>,
    pub validations: Vec<Validation<'a>>,
    pub place: &'a BakePlace,
}

/// What must hold of a variable.
#[derive(Debug, Clone)]
pub(super) struct Validation<'a> {
    pub condition: Option<&'a Expression>,
    pub message: Option<&'a Expression>,
    pub place: &'a BakePlace,
}

/// The suffix of the name under which a variable's value is looked for as JSON.
pub(super) const JSON: &str = "_JSON";

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
