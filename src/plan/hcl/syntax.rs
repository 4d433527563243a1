//! Expressions as the parser has them to those that are evaluated.

use hcl_edit::expr::{
    BinaryOperator, Expression as Parsed, ForExpr, FuncCall, ObjectKey as ParsedKey, Traversal, TraversalOperator,
    UnaryOperator,
};
use hcl_edit::parser;
use hcl_edit::{Decorated, Ident, Span};

use super::expression::{
    BinaryOperation, Expression, ExpressionKind, ForExpression, FunctionCall, ObjectKey, UnaryOperation,
};
use super::layout;
use super::number::Number;
use super::place::BakePlace;
use super::value::Value;
use crate::error::{Error, Result};

/// How many attributes and elements may be taken of each other in a row. The parser has limits for all else that makes an
/// expression deep.
const LONGEST_PATH: usize = 32;

/// What the parser has read from, and where its parts stand.
pub struct Syntax<'a> {
    /// The text as it was written.
    pub source: &'a str,
    /// Tells where the part of it stands from one byte to another.
    pub place: &'a dyn Fn(usize, usize) -> BakePlace,
}

/// How the literal text of a template is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TemplateText {
    /// Between quotation marks, with escapes.
    Quoted,
    /// As it stands there, line by line.
    Lines,
    /// The same, without the blanks that all lines begin with.
    FlushLines,
}

/// Reads text that is one expression.
pub fn read_expression(text: &str, place: &dyn Fn(usize, usize) -> BakePlace) -> Result<Expression> {
    let laid_out = layout::of_file(text, place)?;
    let parsed = parser::parse_expr(&laid_out).map_err(|error| refused(&error, place))?;
    Syntax { source: text, place }.expression(&parsed)
}

/// Reads text that is a template, without quotation marks around it.
pub fn read_template(text: &str, place: &dyn Fn(usize, usize) -> BakePlace) -> Result<Expression> {
    let laid_out = layout::of_template(text, place)?;
    let parsed = parser::parse_template(&laid_out).map_err(|error| refused(&error, place))?;
    Syntax { source: text, place }.template(parsed.iter(), TemplateText::Lines, place(0, text.len()))
}

/// Returns what the parser says, as an error.
pub fn refused(error: &parser::Error, place: &dyn Fn(usize, usize) -> BakePlace) -> Error {
    let at = error.location().offset();
    let said = error.message();
    let message = match said {
        _ if said.contains("redefined attribute") => "this attribute already exists".to_owned(),
        _ if said.contains("redefined object key") => "this key already exists".to_owned(),
        _ if said.contains("nested levels") => "this is nested too deeply: 64 levels are the limit".to_owned(),
        "unexpected token" => "this is not HCL".to_owned(),
        said => format!("this is not HCL: {said}"),
    };
    place(at, at + 1).error(message)
}

impl Syntax<'_> {
    /// Returns where `part` stands.
    pub fn place_of(&self, part: &impl Span) -> BakePlace {
        let span = part.span().unwrap_or_default();
        (self.place)(span.start, span.end)
    }

    /// Returns what `parsed` is.
    pub fn expression(&self, parsed: &Parsed) -> Result<Expression> {
        let place = self.place_of(parsed);
        let kind = match parsed {
            Parsed::Null(_) => ExpressionKind::Literal(Value::null()),
            Parsed::Bool(value) => ExpressionKind::Literal(Value::Bool(*value.value())),
            Parsed::String(text) => ExpressionKind::Literal(Value::text(text.as_str())),
            Parsed::Number(_) => return self.number(parsed, place),
            Parsed::Array(array) => ExpressionKind::Tuple(self.expressions(array.iter())?),
            Parsed::Object(object) => {
                let items = object.iter().map(|(key, value)| Ok((self.key(key)?, self.expression(value.expr())?)));
                ExpressionKind::Object(items.collect::<Result<_>>()?)
            }
            Parsed::StringTemplate(template) => return self.template(template.iter(), TemplateText::Quoted, place),
            Parsed::HeredocTemplate(heredoc) => {
                let span = parsed.span().unwrap_or_default();
                let is_flush = self.source.get(span).is_some_and(|text| text.starts_with("<<-"));
                let text = if is_flush { TemplateText::FlushLines } else { TemplateText::Lines };
                return self.template(heredoc.template.iter(), text, place);
            }
            Parsed::Parenthesis(inner) => ExpressionKind::Parenthesis(self.expression(inner.inner())?),
            Parsed::Variable(name) => ExpressionKind::Variable(name.as_str().to_owned()),
            Parsed::Conditional(parts) => ExpressionKind::Conditional {
                condition: self.expression(&parts.cond_expr)?,
                yes: self.expression(&parts.true_expr)?,
                no: self.expression(&parts.false_expr)?,
            },
            Parsed::FuncCall(call) => ExpressionKind::Call(self.call(call)?),
            Parsed::Traversal(traversal) => return self.traversal(traversal),
            Parsed::UnaryOp(parts) => {
                let operation = match parts.operator.value() {
                    UnaryOperator::Neg => UnaryOperation::Negate,
                    UnaryOperator::Not => UnaryOperation::Not,
                };
                ExpressionKind::Unary(operation, self.expression(&parts.expr)?)
            }
            Parsed::BinaryOp(parts) => {
                let (left, right) = (self.expression(&parts.lhs_expr)?, self.expression(&parts.rhs_expr)?);
                ExpressionKind::Binary(operation(*parts.operator.value()), left, right)
            }
            Parsed::ForExpr(parts) => ExpressionKind::For(Box::new(self.for_expression(parts)?)),
        };
        Ok(Expression::new(kind, place))
    }

    fn expressions<'b>(&self, parsed: impl Iterator<Item = &'b Parsed>) -> Result<Vec<Expression>> {
        parsed.map(|parsed| self.expression(parsed)).collect()
    }

    /// A number is read from the text, for the parser has it less exactly.
    fn number(&self, parsed: &Parsed, place: BakePlace) -> Result<Expression> {
        let text = parsed.span().and_then(|span| self.source.get(span)).unwrap_or_default();
        let digits = text.trim_start_matches(['-', ' ', '\t']);
        let Some(number) = Number::parse(digits) else {
            return Err(place.error("this number is too large or too small"));
        };
        let number = if text.starts_with('-') { number.negate() } else { number };
        Ok(Expression::literal(Value::Number(number), place))
    }

    fn key(&self, key: &ParsedKey) -> Result<ObjectKey> {
        match key {
            ParsedKey::Ident(name) => Ok(ObjectKey::Name(name.as_str().to_owned())),
            ParsedKey::Expression(parsed) => {
                let expression = self.expression(parsed)?;
                match (parsed, expression.keyword()) {
                    (Parsed::Null(_) | Parsed::Bool(_), Some(name)) => return Ok(ObjectKey::Name(name.to_owned())),
                    (Parsed::Traversal(traversal), _) if matches!(traversal.expr, Parsed::Variable(_)) => {
                        let error = expression.place.error("this may be a key with dots in it, or a variable");
                        return Err(
                            error.with_hint("put a key between quotation marks, a variable between parentheses")
                        );
                    }
                    _ => {}
                }
                Ok(ObjectKey::Expression(expression))
            }
        }
    }

    fn call(&self, call: &FuncCall) -> Result<FunctionCall> {
        let spaces = call.name.namespace.iter().map(|space| format!("{}::", space.as_str()));
        Ok(FunctionCall {
            name: spaces.chain([call.name.name.as_str().to_owned()]).collect(),
            name_place: self.place_of(&call.name.name),
            arguments: self.expressions(call.args.iter())?,
            expands_last: call.args.expand_final(),
        })
    }

    fn for_expression(&self, parts: &ForExpr) -> Result<ForExpression> {
        let name = |name: &Decorated<Ident>| name.as_str().to_owned();
        Ok(ForExpression {
            key_name: parts.intro.key_var.as_ref().map(name),
            value_name: name(&parts.intro.value_var),
            collection: self.expression(&parts.intro.collection_expr)?,
            key: parts.key_expr.as_ref().map(|key| self.expression(key)).transpose()?,
            value: self.expression(&parts.value_expr)?,
            is_grouped: parts.grouping,
            condition: parts.cond.as_ref().map(|condition| self.expression(&condition.expr)).transpose()?,
        })
    }

    fn traversal(&self, traversal: &Traversal) -> Result<Expression> {
        if let Some(further) = traversal.operators.get(LONGEST_PATH) {
            let message = format!("this goes through more than {LONGEST_PATH} attributes and elements");
            return Err(self.place_of(further).error(message));
        }
        let source = self.expression(&traversal.expr)?;
        self.traversed(source, &traversal.operators)
    }

    /// Takes one thing after the other of `source`.
    fn traversed(&self, source: Expression, operators: &[Decorated<TraversalOperator>]) -> Result<Expression> {
        let (mut source, mut operators) = (source, operators);
        while let Some((first, rest)) = operators.split_first() {
            let place = source.place.to(&self.place_of(first));
            let item = || Expression::new(ExpressionKind::SplatElement, self.place_of(first));
            operators = rest;
            let kind = match first.value() {
                TraversalOperator::GetAttr(name) => ExpressionKind::Attribute(source, name.as_str().to_owned()),
                TraversalOperator::Index(key) => ExpressionKind::Index(source, self.expression(key)?),
                TraversalOperator::LegacyIndex(index) => {
                    let number = Number::parse(&index.value().to_string()).unwrap_or_else(|| 0usize.into());
                    let key = Expression::literal(Value::Number(number), self.place_of(first));
                    ExpressionKind::Index(source, key)
                }
                TraversalOperator::FullSplat(_) => {
                    operators = &[];
                    ExpressionKind::Splat { source, each: self.traversed(item(), rest)? }
                }
                TraversalOperator::AttrSplat(_) => {
                    let is_of_each = |operator: &&Decorated<TraversalOperator>| {
                        matches!(operator.value(), TraversalOperator::GetAttr(_) | TraversalOperator::LegacyIndex(_))
                    };
                    let count = rest.iter().take_while(is_of_each).count();
                    let (of_each, others) = rest.split_at(count);
                    operators = others;
                    if let Some(nested) = others.first().filter(|other| is_splat(other)) {
                        let error = self.place_of(nested).error("`.*` cannot follow `.*`");
                        return Err(error.with_hint("write `[*]`"));
                    }
                    ExpressionKind::Splat { source, each: self.traversed(item(), of_each)? }
                }
            };
            source = Expression::new(kind, place);
        }
        Ok(source)
    }
}

fn is_splat(operator: &Decorated<TraversalOperator>) -> bool {
    matches!(operator.value(), TraversalOperator::AttrSplat(_))
}

fn operation(operator: BinaryOperator) -> BinaryOperation {
    match operator {
        BinaryOperator::Or => BinaryOperation::Or,
        BinaryOperator::And => BinaryOperation::And,
        BinaryOperator::Eq => BinaryOperation::Equal,
        BinaryOperator::NotEq => BinaryOperation::NotEqual,
        BinaryOperator::Less => BinaryOperation::Less,
        BinaryOperator::LessEq => BinaryOperation::LessOrEqual,
        BinaryOperator::Greater => BinaryOperation::Greater,
        BinaryOperator::GreaterEq => BinaryOperation::GreaterOrEqual,
        BinaryOperator::Plus => BinaryOperation::Add,
        BinaryOperator::Minus => BinaryOperation::Subtract,
        BinaryOperator::Mul => BinaryOperation::Multiply,
        BinaryOperator::Div => BinaryOperation::Divide,
        BinaryOperator::Mod => BinaryOperation::Modulo,
    }
}
