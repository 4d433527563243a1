//! Expressions as data.

use std::collections::BTreeSet;

use hcl_edit::Ident;

use super::place::BakePlace;
use super::value::Value;

/// What stands behind the `=` of an attribute, in HCL or in JSON.
#[derive(Debug, Clone)]
pub struct Expression {
    pub(super) kind: Box<ExpressionKind>,
    /// Where it stands.
    pub place: BakePlace,
}

/// A variable that an expression refers to, and what it takes of it.
#[derive(Debug, Clone)]
pub struct VariablePath {
    /// The name of the variable.
    pub name: String,
    /// The attributes that are taken of it one by one, up to the first that is not written with a point and a name.
    pub attributes: Vec<String>,
    /// Where the name stands.
    pub place: BakePlace,
}

/// A function that an expression calls.
#[derive(Debug, Clone)]
pub struct FunctionName {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub place: BakePlace,
}

#[derive(Debug, Clone)]
pub(super) enum ExpressionKind {
    Literal(Value),
    /// Text of parts.
    Template(Vec<TemplatePart>),
    /// The one interpolation that a template is, whose value is of any type.
    Wrapped(Expression),
    /// A string of a JSON file, and what it says as it stands there.
    Json {
        template: Expression,
        text: String,
    },
    Tuple(Vec<Expression>),
    Object(Vec<(ObjectKey, Expression)>),
    /// An object of a JSON file, in which no name is there twice.
    JsonObject(Vec<(Expression, Expression)>),
    Parenthesis(Expression),
    Variable(String),
    Attribute(Expression, String),
    Index(Expression, Expression),
    /// What is taken of each element of a value.
    Splat {
        source: Expression,
        each: Expression,
    },
    /// The element of the value that the innermost splat is of.
    SplatElement,
    Conditional {
        condition: Expression,
        yes: Expression,
        no: Expression,
    },
    Unary(UnaryOperation, Expression),
    Binary(BinaryOperation, Expression, Expression),
    For(Box<ForExpression>),
    Call(FunctionCall),
}

#[derive(Debug, Clone)]
pub(super) enum TemplatePart {
    Literal(String),
    Interpolation(Expression),
    If { condition: Expression, yes: Vec<TemplatePart>, no: Vec<TemplatePart> },
    For { key: Option<String>, value: String, collection: Expression, body: Vec<TemplatePart> },
}

#[derive(Debug, Clone)]
pub(super) enum ObjectKey {
    Name(String),
    Expression(Expression),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UnaryOperation {
    Negate,
    Not,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BinaryOperation {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

/// A `for` within brackets, of which a tuple is made, or an object if there is a key.
#[derive(Debug, Clone)]
pub(super) struct ForExpression {
    pub key_name: Option<String>,
    pub value_name: String,
    pub collection: Expression,
    pub key: Option<Expression>,
    pub value: Expression,
    pub is_grouped: bool,
    pub condition: Option<Expression>,
}

#[derive(Debug, Clone)]
pub(super) struct FunctionCall {
    pub name: String,
    pub name_place: BakePlace,
    pub arguments: Vec<Expression>,
    /// Whether the elements of the last argument are arguments each.
    pub expands_last: bool,
}

impl Expression {
    pub(super) fn new(kind: ExpressionKind, place: BakePlace) -> Expression {
        Expression { kind: Box::new(kind), place }
    }

    /// Returns the expression that is `value` wherever it is evaluated.
    pub fn literal(value: Value, place: BakePlace) -> Expression {
        Expression::new(ExpressionKind::Literal(value), place)
    }

    /// Returns the single name that it is, as that of a parameter; none if it is anything else.
    pub fn keyword(&self) -> Option<&str> {
        match &*self.kind {
            ExpressionKind::Variable(name) => Some(name),
            ExpressionKind::Literal(Value::Bool(true)) => Some("true"),
            ExpressionKind::Literal(Value::Bool(false)) => Some("false"),
            ExpressionKind::Literal(Value::Null(_)) => Some("null"),
            ExpressionKind::Json { text, .. } if Ident::try_new(text.as_str()).is_ok() => Some(text),
            _ => None,
        }
    }

    /// Returns the expressions in a list as it was written; none if it is not a list.
    pub fn elements(&self) -> Option<&[Expression]> {
        match &*self.kind {
            ExpressionKind::Tuple(elements) => Some(elements),
            _ => None,
        }
    }

    /// Returns whether it was written as an object.
    pub fn is_object(&self) -> bool {
        matches!(&*self.kind, ExpressionKind::Object(_) | ExpressionKind::JsonObject(_))
    }

    /// Returns the variables that it refers to, without those that it brings itself, in their order.
    pub fn variables(&self) -> Vec<VariablePath> {
        let mut found = Vec::new();
        let mut locals = Vec::new();
        self.visit(&mut locals, &mut |expression, locals| {
            let ((name, place), attributes) = match expression.path() {
                Some(path) => path,
                None => return,
            };
            if !locals.contains(&name) {
                found.push(VariablePath { name: name.to_owned(), attributes, place: place.clone() });
            }
        });
        found
    }

    /// Returns the functions that it calls, each once, in their order.
    pub fn functions(&self) -> Vec<FunctionName> {
        let mut found: Vec<FunctionName> = Vec::new();
        let mut names = BTreeSet::new();
        self.visit(&mut Vec::new(), &mut |expression, _| {
            if let ExpressionKind::Call(call) = &*expression.kind
                && names.insert(call.name.clone())
            {
                found.push(FunctionName { name: call.name.clone(), place: call.name_place.clone() });
            }
        });
        found
    }

    /// The variable at the start of a chain of attributes, and their names.
    fn path(&self) -> Option<((&str, &BakePlace), Vec<String>)> {
        match &*self.kind {
            ExpressionKind::Variable(name) => Some(((name, &self.place), Vec::new())),
            ExpressionKind::Attribute(source, name) => {
                let (root, mut attributes) = source.path()?;
                attributes.push(name.clone());
                Some((root, attributes))
            }
            _ => None,
        }
    }

    /// Shows `see` this expression and those within it, a chain of attributes as one, with the names that stand for something of
    /// the expression itself there.
    fn visit<'a>(&'a self, locals: &mut Vec<&'a str>, see: &mut dyn FnMut(&'a Expression, &[&'a str])) {
        see(self, locals);
        if self.path().is_some() {
            return;
        }
        match &*self.kind {
            ExpressionKind::Literal(_) | ExpressionKind::Variable(_) | ExpressionKind::SplatElement => {}
            ExpressionKind::Template(parts) => visit_parts(parts, locals, see),
            ExpressionKind::Wrapped(inner)
            | ExpressionKind::Parenthesis(inner)
            | ExpressionKind::Json { template: inner, .. }
            | ExpressionKind::Attribute(inner, _)
            | ExpressionKind::Unary(_, inner) => inner.visit(locals, see),
            ExpressionKind::Tuple(elements) => elements.iter().for_each(|element| element.visit(locals, see)),
            ExpressionKind::Object(items) => {
                for (key, value) in items {
                    if let ObjectKey::Expression(key) = key {
                        key.visit(locals, see);
                    }
                    value.visit(locals, see);
                }
            }
            ExpressionKind::JsonObject(items) => {
                for (key, value) in items {
                    key.visit(locals, see);
                    value.visit(locals, see);
                }
            }
            ExpressionKind::Index(first, second)
            | ExpressionKind::Splat { source: first, each: second }
            | ExpressionKind::Binary(_, first, second) => {
                first.visit(locals, see);
                second.visit(locals, see);
            }
            ExpressionKind::Conditional { condition, yes, no } => {
                [condition, yes, no].into_iter().for_each(|part| part.visit(locals, see));
            }
            ExpressionKind::For(parts) => {
                parts.collection.visit(locals, see);
                let outer = locals.len();
                locals.extend(parts.key_name.as_deref());
                locals.push(&parts.value_name);
                parts.key.iter().for_each(|key| key.visit(locals, see));
                parts.value.visit(locals, see);
                parts.condition.iter().for_each(|condition| condition.visit(locals, see));
                locals.truncate(outer);
            }
            // The second argument of `convert` is a type, whose words are not variables.
            ExpressionKind::Call(call) => {
                let count = if call.name == "convert" { 1 } else { call.arguments.len() };
                call.arguments.iter().take(count).for_each(|argument| argument.visit(locals, see));
            }
        }
    }
}

fn visit_parts<'a>(
    parts: &'a [TemplatePart],
    locals: &mut Vec<&'a str>,
    see: &mut dyn FnMut(&'a Expression, &[&'a str]),
) {
    for part in parts {
        match part {
            TemplatePart::Literal(_) => {}
            TemplatePart::Interpolation(expression) => expression.visit(locals, see),
            TemplatePart::If { condition, yes, no } => {
                condition.visit(locals, see);
                visit_parts(yes, locals, see);
                visit_parts(no, locals, see);
            }
            TemplatePart::For { key, value, collection, body } => {
                collection.visit(locals, see);
                let outer = locals.len();
                locals.extend(key.as_deref());
                locals.push(value);
                visit_parts(body, locals, see);
                locals.truncate(outer);
            }
        }
    }
}
