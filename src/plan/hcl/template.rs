//! Templates: literal text, interpolations, `if` and `for`, and the blanks between them.

use hcl_edit::template::{Directive, Element, Strip, Template};
use hcl_edit::{Decorated, Ident, Span};

use super::expression::{Expression, ExpressionKind, TemplatePart};
use super::place::BakePlace;
use super::syntax::{Syntax, TemplateText};
use crate::error::Result;

enum Token {
    Literal(String),
    Interpolation(Expression),
    If(Expression),
    Else,
    EndIf,
    For { key: Option<String>, value: String, collection: Expression },
    EndFor,
}

/// The tokens of a template in a row, each with the `~` at its ends.
struct Tokens<'a, 'b> {
    syntax: &'a Syntax<'b>,
    text: TemplateText,
    all: Vec<(Token, Strip)>,
}

impl Syntax<'_> {
    /// Returns the template of `elements`.
    pub fn template<'c>(
        &self,
        elements: impl Iterator<Item = &'c Element>,
        text: TemplateText,
        place: BakePlace,
    ) -> Result<Expression> {
        let mut tokens = Tokens { syntax: self, text, all: Vec::new() };
        tokens.add(elements)?;
        tokens.strip();
        if text == TemplateText::FlushLines {
            tokens.flush();
        }
        let mut all: Vec<Token> = tokens.all.into_iter().map(|(token, _)| token).collect();
        if let [Token::Interpolation(_)] = all.as_slice()
            && let Some(Token::Interpolation(inner)) = all.pop()
        {
            return Ok(Expression::new(ExpressionKind::Wrapped(inner), place));
        }
        let mut all = all.into_iter().peekable();
        Ok(Expression::new(ExpressionKind::Template(parts(&mut all)), place))
    }
}

impl Tokens<'_, '_> {
    fn add<'c>(&mut self, elements: impl Iterator<Item = &'c Element>) -> Result<()> {
        for element in elements {
            match element {
                Element::Literal(literal) if self.text == TemplateText::Quoted => {
                    self.all.push((Token::Literal(literal.value().clone()), Strip::None));
                }
                // Each line is a token of its own. What the parser has is not the text as it was written.
                Element::Literal(literal) => {
                    let source = literal.span().and_then(|span| self.syntax.source.get(span)).unwrap_or_default();
                    let lines = source.split_inclusive('\n');
                    self.all.extend(
                        lines.map(|line| (Token::Literal(line.replace("$${", "${").replace("%%{", "%{")), Strip::None)),
                    );
                }
                Element::Interpolation(interpolation) => {
                    let inner = self.syntax.expression(&interpolation.expr)?;
                    self.all.push((Token::Interpolation(inner), interpolation.strip));
                }
                Element::Directive(directive) => self.add_directive(directive)?,
            }
        }
        Ok(())
    }

    fn add_directive(&mut self, directive: &Directive) -> Result<()> {
        match directive {
            Directive::If(parts) => {
                let condition = self.syntax.expression(&parts.if_expr.cond_expr)?;
                self.add_block(Token::If(condition), parts.if_expr.strip, &parts.if_expr.template)?;
                if let Some(other) = &parts.else_expr {
                    self.add_block(Token::Else, other.strip, &other.template)?;
                }
                self.all.push((Token::EndIf, parts.endif_expr.strip));
            }
            Directive::For(parts) => {
                let name = |name: &Decorated<Ident>| name.as_str().to_owned();
                let start = Token::For {
                    key: parts.for_expr.key_var.as_ref().map(name),
                    value: name(&parts.for_expr.value_var),
                    collection: self.syntax.expression(&parts.for_expr.collection_expr)?,
                };
                self.add_block(start, parts.for_expr.strip, &parts.for_expr.template)?;
                self.all.push((Token::EndFor, parts.endfor_expr.strip));
            }
        }
        Ok(())
    }

    fn add_block(&mut self, start: Token, strip: Strip, template: &Template) -> Result<()> {
        self.all.push((start, strip));
        self.add(template.iter())
    }

    /// Takes the blanks off the literals that stand at a `~`. Of lines, it is the one that stands there, and no other.
    fn strip(&mut self) {
        let strips: Vec<Strip> = self.all.iter().map(|(_, strip)| *strip).collect();
        for (at, (token, _)) in self.all.iter_mut().enumerate() {
            let Token::Literal(literal) = token else {
                continue;
            };
            if at > 0 && strips[at - 1].strip_end() {
                *literal = literal.trim_start().to_owned();
            }
            if strips.get(at + 1).is_some_and(|next| next.strip_start()) {
                *literal = literal.trim_end().to_owned();
            }
        }
    }

    /// Takes off what all lines begin with. Lines of nothing but blanks do not count.
    fn flush(&mut self) {
        let (mut least, mut begins_line, mut leading) = (usize::MAX, true, Vec::new());
        for (at, (token, _)) in self.all.iter().enumerate() {
            let literal = if let Token::Literal(literal) = token { Some(literal.as_str()) } else { None };
            if begins_line {
                match literal {
                    Some(literal) if literal.trim_start().is_empty() && literal.ends_with('\n') => {}
                    Some(literal) => {
                        leading.push(at);
                        least = least.min(literal.chars().take_while(|c| c.is_whitespace()).count());
                    }
                    None => least = 0,
                }
            }
            begins_line = literal.is_some_and(|literal| literal.ends_with('\n'));
        }
        for at in leading {
            if let (Token::Literal(literal), _) = &mut self.all[at] {
                *literal = literal.chars().skip(least).collect();
            }
        }
    }
}

/// The parts up to the end of what they stand in, which is left.
fn parts(tokens: &mut std::iter::Peekable<std::vec::IntoIter<Token>>) -> Vec<TemplatePart> {
    let mut parts_of = Vec::new();
    while let Some(token) = tokens.next_if(|token| !matches!(token, Token::Else | Token::EndIf | Token::EndFor)) {
        parts_of.push(match token {
            Token::Literal(literal) => TemplatePart::Literal(literal),
            Token::Interpolation(expression) => TemplatePart::Interpolation(expression),
            Token::For { key, value, collection } => {
                let body = parts(tokens);
                tokens.next();
                TemplatePart::For { key, value, collection, body }
            }
            Token::If(condition) => {
                let (yes, mut no) = (parts(tokens), Vec::new());
                if let Some(Token::Else) = tokens.next() {
                    no = parts(tokens);
                    tokens.next();
                }
                TemplatePart::If { condition, yes, no }
            }
            Token::Else | Token::EndIf | Token::EndFor => continue,
        });
    }
    parts_of
}
