//! Expressions that say which type a value has to be of, as `list(string)`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::expression::{Expression, ExpressionKind, FunctionCall, ObjectKey};
use super::syntax::read_expression;
use super::types::{AttributeType, Type};
use crate::error::{Result, suggestion};

/// The words that are types, and those that types are made with.
const WORDS: &[&str] = &["any", "bool", "list", "map", "number", "object", "set", "string", "tuple"];

impl Expression {
    /// Returns the type that it says. Fails, with the place, for what is not a type.
    pub fn type_constraint(&self) -> Result<Type> {
        if let ExpressionKind::Json { text, .. } = &*self.kind {
            let place = self.place.clone();
            return read_expression(text, &|_, _| place.clone())?.type_constraint();
        }
        if let Some(word) = self.keyword() {
            return match word {
                "any" => Ok(Type::Any),
                "bool" => Ok(Type::Bool),
                "number" => Ok(Type::Number),
                "string" => Ok(Type::String),
                "list" | "map" | "set" => Err(self
                    .place
                    .error(format!("`{word}` takes the type of its elements"))
                    .with_hint(format!("write `{word}(string)`, or `{word}(any)` for any one type"))),
                "object" => Err(self
                    .place
                    .error("`object` takes the types of its attributes")
                    .with_hint("write `object({name = string})`")),
                "tuple" => Err(self
                    .place
                    .error("`tuple` takes the types of its elements")
                    .with_hint("write `tuple([string, number])`")),
                word => Err(self.unknown(word)),
            };
        }
        match &*self.kind {
            ExpressionKind::Call(call) => self.constructed(call),
            ExpressionKind::Parenthesis(inner) => inner.type_constraint(),
            _ => Err(self.place.error("this is not a type").with_hint("write it as `string` or as `list(string)`")),
        }
    }

    fn unknown(&self, word: &str) -> crate::error::Error {
        let error = self.place.error(format!("there is no type `{word}`"));
        match suggestion(word, WORDS.iter().copied()) {
            Some(near) => error.with_hint(format!("did you mean `{near}`?")),
            None => error.with_hint(format!("known types are {}", WORDS.join(", "))),
        }
    }

    fn constructed(&self, call: &FunctionCall) -> Result<Type> {
        let name = call.name.as_str();
        if matches!(name, "any" | "bool" | "number" | "string") {
            return Err(self.place.error(format!("`{name}` takes no arguments")).with_hint(format!("write `{name}`")));
        }
        if name == "optional" {
            return Err(self.place.error("`optional` can only come before the type of an attribute of an object"));
        }
        if !WORDS.contains(&name) {
            return Err(self.unknown(name));
        }
        let [argument] = call.arguments.as_slice() else {
            return Err(self.place.error(format!("`{name}` takes one argument")));
        };
        match name {
            "list" => Ok(argument.type_constraint()?.list()),
            "set" => Ok(argument.type_constraint()?.set()),
            "map" => Ok(argument.type_constraint()?.map()),
            "tuple" => {
                let elements = argument.elements().ok_or_else(|| {
                    argument.place.error("`tuple` takes a list of types").with_hint("write `tuple([string, number])`")
                })?;
                let types: Vec<Type> = elements.iter().map(Expression::type_constraint).collect::<Result<_>>()?;
                Ok(Type::tuple(types))
            }
            _ => argument.object_type(),
        }
    }

    fn object_type(&self) -> Result<Type> {
        let ExpressionKind::Object(items) = &*self.kind else {
            return Err(self
                .place
                .error("`object` takes types by the names of the attributes")
                .with_hint("write `object({name = string})`"));
        };
        let mut attributes = BTreeMap::new();
        for (key, value) in items {
            let ObjectKey::Name(name) = key else {
                return Err(value.place.error("the name of this attribute is not a plain name"));
            };
            let (value, is_optional) = match &*value.kind {
                ExpressionKind::Call(call) if call.name == "optional" => match call.arguments.as_slice() {
                    [inner] => (inner, true),
                    _ => return Err(value.place.error("`optional` takes one argument, the type of the attribute")),
                },
                _ => (value, false),
            };
            attributes.insert(name.clone(), AttributeType { value: value.type_constraint()?, is_optional });
        }
        Ok(Type::Object(Arc::new(attributes)))
    }
}
