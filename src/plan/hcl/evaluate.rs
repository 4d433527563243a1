//! Expressions to values.

use std::collections::BTreeMap;

use super::access::{attribute, index};
use super::convert::convert;
use super::expression::{
    BinaryOperation, Expression, ExpressionKind, ForExpression, ObjectKey, TemplatePart, UnaryOperation,
};
use super::fit::unify;
use super::functions;
use super::operation::{binary, unary};
use super::place::BakePlace;
use super::scope::{EvaluationBudget, Scope, Surroundings};
use super::types::Type;
use super::value::{SequenceKind, Value};
use crate::error::{Result, suggestion};

/// What a failure costs that does not matter, and for so many bytes of the file before it.
const FAILURE: usize = 100;
const SOUGHT_BYTES: usize = 64;

impl Expression {
    /// Returns its value. Fails, with the place, for what cannot be evaluated and for what the budget does not pay for.
    pub fn evaluate(&self, scope: &Scope, surroundings: &Surroundings<'_>, budget: &EvaluationBudget) -> Result<Value> {
        Evaluator { scope, surroundings, budget }.value(self, &Locals::None)
    }
}

/// What all expressions of one evaluation see.
#[derive(Clone, Copy)]
pub(super) struct Evaluator<'a> {
    pub scope: &'a Scope,
    pub surroundings: &'a Surroundings<'a>,
    pub budget: &'a EvaluationBudget,
}

/// What an expression itself gives names to, the innermost first.
pub(super) enum Locals<'a> {
    None,
    Name {
        name: &'a str,
        value: Value,
        outer: &'a Locals<'a>,
    },
    /// The element of the value that a splat is of.
    Element {
        value: Value,
        outer: &'a Locals<'a>,
    },
}

impl Locals<'_> {
    fn named(&self, wanted: &str) -> Option<&Value> {
        match self {
            Locals::None => None,
            Locals::Name { name, value, .. } if *name == wanted => Some(value),
            Locals::Name { outer, .. } | Locals::Element { outer, .. } => outer.named(wanted),
        }
    }

    fn element(&self) -> Option<&Value> {
        match self {
            Locals::None => None,
            Locals::Element { value, .. } => Some(value),
            Locals::Name { outer, .. } => outer.element(),
        }
    }

    fn names(&self) -> Vec<&str> {
        match self {
            Locals::None => Vec::new(),
            Locals::Name { name, outer, .. } => [*name].into_iter().chain(outer.names()).collect(),
            Locals::Element { outer, .. } => outer.names(),
        }
    }
}

impl<'a> Evaluator<'a> {
    /// Returns the value of `expression`, where `locals` are seen beside what the scope has.
    pub fn value(&self, expression: &Expression, locals: &Locals<'_>) -> Result<Value> {
        let place = &expression.place;
        self.budget.enter().map_err(|why| place.error(why))?;
        let value = self.value_of(expression, locals);
        self.budget.leave();
        let value = value?;
        self.budget.spend_on(&value).map_err(|why| place.error(why))?;
        Ok(value)
    }

    /// Returns the same where a failure does not matter. That costs as well, for the place of each is looked for in the file.
    pub fn attempted(&self, expression: &Expression, locals: &Locals<'_>) -> Result<Value> {
        let result = self.value(expression, locals);
        if result.is_err() {
            let cost = FAILURE + expression.place.span.start / SOUGHT_BYTES + self.scope.variables.len();
            self.budget.spend(cost).map_err(|why| expression.place.error(why))?;
        }
        result
    }

    /// Every arm is a call, for this stands on the stack once for each expression within another.
    fn value_of(&self, expression: &Expression, locals: &Locals<'_>) -> Result<Value> {
        let place = &expression.place;
        match &*expression.kind {
            ExpressionKind::Literal(value) => Ok(value.clone()),
            ExpressionKind::Template(parts) => self.text(parts, locals, place),
            ExpressionKind::Wrapped(inner)
            | ExpressionKind::Parenthesis(inner)
            | ExpressionKind::Json { template: inner, .. } => self.value(inner, locals),
            ExpressionKind::Tuple(elements) => self.tuple(elements, locals),
            ExpressionKind::Object(items) => self.object(items, locals),
            ExpressionKind::JsonObject(items) => self.json_object(items, locals),
            ExpressionKind::Variable(name) => self.variable(name, locals, place),
            ExpressionKind::Attribute(source, name) => self.attribute(source, name, locals, place),
            ExpressionKind::Index(collection, key) => self.index([collection, key], locals, place),
            ExpressionKind::Splat { source, each } => self.splat(source, each, locals),
            ExpressionKind::SplatElement => Ok(locals.element().cloned().unwrap_or_else(Value::null)),
            ExpressionKind::Conditional { condition, yes, no } => self.conditional([condition, yes, no], locals),
            ExpressionKind::Unary(operation, operand) => self.unary(*operation, operand, locals),
            ExpressionKind::Binary(operation, left, right) => self.binary(*operation, [left, right], locals, place),
            ExpressionKind::For(parts) => self.for_each(parts, locals),
            ExpressionKind::Call(call) => self.call(call, locals, place),
        }
    }

    fn text(&self, parts: &[TemplatePart], locals: &Locals<'_>, place: &BakePlace) -> Result<Value> {
        let mut text = String::new();
        self.template(parts, locals, place, &mut text)?;
        Ok(Value::text(text))
    }

    fn tuple(&self, elements: &[Expression], locals: &Locals<'_>) -> Result<Value> {
        let mut values = Vec::with_capacity(elements.len());
        for element in elements {
            values.push(self.value(element, locals)?);
        }
        Ok(Value::tuple(values))
    }

    fn attribute(&self, source: &Expression, name: &str, locals: &Locals<'_>, place: &BakePlace) -> Result<Value> {
        let source = self.value(source, locals)?;
        attribute(&source, name, place)
    }

    fn index(&self, [collection, key]: [&Expression; 2], locals: &Locals<'_>, place: &BakePlace) -> Result<Value> {
        let collection = self.value(collection, locals)?;
        let key = self.value(key, locals)?;
        index(&collection, &key, place)
    }

    fn unary(&self, operation: UnaryOperation, operand: &Expression, locals: &Locals<'_>) -> Result<Value> {
        let value = self.value(operand, locals)?;
        unary(operation, &value).map_err(|why| {
            let sign = if operation == UnaryOperation::Not { '!' } else { '-' };
            operand.place.error(format!("`{sign}` cannot take this: {why}"))
        })
    }

    fn binary(
        &self,
        operation: BinaryOperation,
        [left, right]: [&Expression; 2],
        locals: &Locals<'_>,
        place: &BakePlace,
    ) -> Result<Value> {
        let left_value = self.value(left, locals)?;
        let right_value = self.value(right, locals)?;
        binary(operation, &[left_value, right_value]).map_err(|failure| {
            let sign = operation.sign();
            let blame =
                |operand: &Expression| operand.place.error(format!("`{sign}` cannot take this: {}", failure.message));
            match failure.argument {
                Some(0) => blame(left),
                Some(_) => blame(right),
                None => place.error(failure.message),
            }
        })
    }

    fn variable(&self, name: &str, locals: &Locals<'_>, place: &BakePlace) -> Result<Value> {
        if let Some(value) = locals.named(name).or_else(|| self.scope.variables.get(name)) {
            return Ok(value.clone());
        }
        let error = place.error(format!("there is no variable `{name}`"));
        let names = locals.names().into_iter().chain(self.scope.variables.keys().map(String::as_str));
        Err(match suggestion(name, names) {
            Some(near) => error.with_hint(format!("did you mean `{near}`?")),
            None if functions::is_function(name) => error.with_hint(format!("a function is called: `{name}(…)`")),
            None => error,
        })
    }

    fn template(
        &self,
        parts: &[TemplatePart],
        locals: &Locals<'_>,
        place: &BakePlace,
        text: &mut String,
    ) -> Result<()> {
        for part in parts {
            match part {
                TemplatePart::Literal(literal) => text.push_str(literal),
                TemplatePart::Interpolation(expression) => {
                    let value = self.value(expression, locals)?;
                    if value.is_null() {
                        return Err(expression.place.error("this is null, which cannot be part of a text"));
                    }
                    let value = convert(&value, &Type::String)
                        .map_err(|why| expression.place.error(format!("this cannot be part of a text: {why}")))?;
                    text.push_str(value.as_text().unwrap_or_default());
                }
                TemplatePart::If { condition, yes, no } => {
                    let chosen = if self.condition(condition, locals)? { yes } else { no };
                    self.template(chosen, locals, place, text)?;
                }
                TemplatePart::For { key, value, collection, body } => {
                    for (key_value, element) in self.iterated(collection, locals)? {
                        let with_key = named(key.as_deref(), key_value, locals);
                        let inner =
                            Locals::Name { name: value, value: element, outer: with_key.as_ref().unwrap_or(locals) };
                        self.template(body, &inner, place, text)?;
                    }
                }
            }
            // Text that is still being made is paid for, too, lest a loop makes it endless.
            self.budget.spend_on_text(text.len()).map_err(|why| place.error(why))?;
        }
        Ok(())
    }

    fn condition(&self, condition: &Expression, locals: &Locals<'_>) -> Result<bool> {
        let value = self.value(condition, locals)?;
        if value.is_null() {
            return Err(condition.place.error("the condition is null; it must be true or false"));
        }
        let value = convert(&value, &Type::Bool)
            .map_err(|why| condition.place.error(format!("the condition is neither true nor false: {why}")))?;
        Ok(value.as_bool().unwrap_or_default())
    }

    fn object(&self, items: &[(ObjectKey, Expression)], locals: &Locals<'_>) -> Result<Value> {
        let mut values = BTreeMap::new();
        for (key, value) in items {
            let name = match key {
                ObjectKey::Name(name) => name.clone(),
                ObjectKey::Expression(key) => self.name(key, locals)?,
            };
            values.insert(name, self.value(value, locals)?);
        }
        Ok(Value::object(values))
    }

    fn json_object(&self, items: &[(Expression, Expression)], locals: &Locals<'_>) -> Result<Value> {
        let mut values = BTreeMap::new();
        for (key, value) in items {
            let name = self.name(key, locals)?;
            let value = self.value(value, locals)?;
            if values.insert(name.clone(), value).is_some() {
                return Err(key.place.error(format!("the key `{name}` already exists")));
            }
        }
        Ok(Value::object(values))
    }

    /// The name that a key of an object evaluates to.
    fn name(&self, key: &Expression, locals: &Locals<'_>) -> Result<String> {
        let value = self.value(key, locals)?;
        if value.is_null() {
            return Err(key.place.error("this key is null"));
        }
        let name =
            convert(&value, &Type::String).map_err(|why| key.place.error(format!("this is not a key: {why}")))?;
        Ok(name.as_text().unwrap_or_default().to_owned())
    }

    fn splat(&self, source: &Expression, each: &Expression, locals: &Locals<'_>) -> Result<Value> {
        let value = self.value(source, locals)?;
        let kind = match &value {
            Value::Sequence(sequence) => sequence.kind.clone(),
            Value::Null(Type::List(_) | Type::Set(_) | Type::Tuple(_)) => {
                return Err(source.place.error("this is null, and has no elements"));
            }
            Value::Null(_) => return Ok(Value::tuple(Vec::new())),
            _ => SequenceKind::Tuple,
        };
        let elements = value.as_elements().unwrap_or(std::slice::from_ref(&value));
        let values =
            elements.iter().map(|element| self.value(each, &Locals::Element { value: element.clone(), outer: locals }));
        let values: Vec<Value> = values.collect::<Result<_>>()?;
        match (kind, values.first().map(Value::kind)) {
            (SequenceKind::Tuple, _) => Ok(Value::tuple(values)),
            (_, Some(element)) if values.iter().all(|value| value.kind() == element) => {
                Ok(Value::list(element, values))
            }
            (_, Some(_)) => Ok(Value::tuple(values)),
            (SequenceKind::List(_) | SequenceKind::Set(_), None) => Ok(Value::list(Type::Any, values)),
        }
    }

    /// Both results are evaluated, for they must have a type in common; what is wrong about the one that is not taken does not
    /// matter.
    fn conditional(&self, [condition, yes, no]: [&Expression; 3], locals: &Locals<'_>) -> Result<Value> {
        let (yes_value, no_value) = (self.attempted(yes, locals), self.attempted(no, locals));
        for value in [&yes_value, &no_value].into_iter().flatten() {
            self.budget.spend_on_type(value).map_err(|why| condition.place.error(why))?;
        }
        let kind = |value: &Result<Value>| value.as_ref().map_or(Type::Any, Value::kind);
        let is_null = |value: &Result<Value>| matches!(value, Ok(Value::Null(Type::Any)));
        let kind = match (kind(&yes_value), kind(&no_value)) {
            (_, other) if is_null(&yes_value) => other,
            (own, _) if is_null(&no_value) => own,
            (Type::Any, _) | (_, Type::Any) => Type::Any,
            (own, other) => unify(&[own.clone(), other.clone()], true).ok_or_else(|| {
                let message = format!("both results must have a type in common: {} and {}", own.name(), other.name());
                yes.place.to(&no.place).error(message)
            })?,
        };
        let (value, place) =
            if self.condition(condition, locals)? { (yes_value, &yes.place) } else { (no_value, &no.place) };
        convert(&value?, &kind)
            .map_err(|why| place.error(format!("this does not have the type of the other result: {why}")))
    }

    /// The keys and elements of what a `for` goes through.
    fn iterated(&self, collection: &Expression, locals: &Locals<'_>) -> Result<Vec<(Value, Value)>> {
        let value = self.value(collection, locals)?;
        if value.is_null() {
            return Err(collection.place.error("`for` cannot iterate over null"));
        }
        let name = value.kind().name();
        value.iterate().ok_or_else(|| {
            collection.place.error(format!("`for` iterates over lists, sets, maps and the like, but this is {name}"))
        })
    }

    fn for_each(&self, parts: &ForExpression, locals: &Locals<'_>) -> Result<Value> {
        let mut elements = Vec::new();
        let mut grouped: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for (key_value, element) in self.iterated(&parts.collection, locals)? {
            let with_key = named(parts.key_name.as_deref(), key_value, locals);
            let outer = with_key.as_ref().unwrap_or(locals);
            let inner = Locals::Name { name: &parts.value_name, value: element, outer };
            if let Some(condition) = &parts.condition
                && !self.condition(condition, &inner)?
            {
                continue;
            }
            let Some(key) = &parts.key else {
                elements.push(self.value(&parts.value, &inner)?);
                continue;
            };
            let name = self.name(key, &inner)?;
            let group = grouped.entry(name.clone()).or_default();
            if !group.is_empty() && !parts.is_grouped {
                return Err(key
                    .place
                    .error(format!("two elements give the same key, `{name}`"))
                    .with_hint("write `...` after the value to put the values of one key into one list"));
            }
            group.push(self.value(&parts.value, &inner)?);
        }
        if parts.key.is_none() {
            return Ok(Value::tuple(elements));
        }
        let values = grouped.into_iter().filter_map(|(name, mut group)| {
            let value = if parts.is_grouped { Value::tuple(group) } else { group.pop()? };
            Some((name, value))
        });
        Ok(Value::object(values.collect()))
    }
}

/// The name of a key, if a `for` gives it one.
fn named<'a>(name: Option<&'a str>, value: Value, outer: &'a Locals<'a>) -> Option<Locals<'a>> {
    name.map(|name| Locals::Name { name, value, outer })
}
