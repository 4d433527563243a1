//! The JSON that stands for HCL, to bodies.

use std::collections::HashSet;
use std::sync::Arc;

use super::body::{BlockSchema, HclAttribute, HclBlock, HclBody, HclLabel};
use super::expression::{Expression, ExpressionKind};
use super::json_text::{JsonKey, JsonKind, JsonNode, parse};
use super::number::Number;
use super::place::{BakePlace, BakeText};
use super::syntax::read_template;
use super::value::Value;
use crate::error::Result;

/// The key of a remark.
const REMARK: &str = "//";

/// Reads the JSON that stands for HCL, in which `schema` says which keys are blocks. Fails, with the place, for what is none.
pub fn read_json(text: &Arc<BakeText>, schema: &[BlockSchema]) -> Result<HclBody> {
    let node = parse(text)?;
    JsonReader { text }.body(&[&node], schema)
}

struct JsonReader<'a> {
    text: &'a Arc<BakeText>,
}

impl JsonReader<'_> {
    /// The body that all of `nodes` make together, each of which is an object or a list of objects.
    fn body(&self, nodes: &[&JsonNode], schema: &[BlockSchema]) -> Result<HclBody> {
        let place = nodes.first().map_or_else(|| BakePlace::new(self.text, 0..0), |node| self.start(node));
        let mut body = HclBody { attributes: Vec::new(), blocks: Vec::new(), place };
        let mut names = HashSet::new();
        for node in nodes {
            for (key, value) in self.entries(node, "attributes and blocks")? {
                let place = self.place_of_key(key);
                if key.name == REMARK {
                    continue;
                }
                if let Some(block) = schema.iter().find(|block| block.kind == key.name) {
                    self.blocks(value, block, &place, &mut Vec::new(), &mut body.blocks)?;
                    continue;
                }
                if !names.insert(&key.name) {
                    return Err(place.error(format!("the attribute `{}` already exists", key.name)));
                }
                let value = self.expression(value)?;
                body.attributes.push(HclAttribute { name: key.name.clone(), place, value });
            }
        }
        Ok(body)
    }

    /// Adds the blocks that `node` stands for, below the labels that are known of them.
    fn blocks(
        &self,
        node: &JsonNode,
        schema: &BlockSchema,
        kind: &BakePlace,
        labels: &mut Vec<HclLabel>,
        blocks: &mut Vec<HclBlock>,
    ) -> Result<()> {
        if labels.len() < schema.labels {
            let entries = self.entries(node, &format!("the names of `{}`", schema.kind))?;
            if entries.is_empty() {
                let message = format!("there is no `{}` in here: its name is the key of an object", schema.kind);
                return Err(self.start(node).error(message));
            }
            for (key, value) in entries {
                labels.push(HclLabel { text: key.name.clone(), place: self.place_of_key(key) });
                self.blocks(value, schema, kind, labels, blocks)?;
                labels.pop();
            }
            return Ok(());
        }
        let mut add = |node: &JsonNode| -> Result<()> {
            blocks.push(HclBlock {
                kind: schema.kind.to_owned(),
                labels: labels.clone(),
                body: self.body(&[node], schema.blocks)?,
                place: kind.clone(),
            });
            Ok(())
        };
        match &node.kind {
            JsonKind::Null => Ok(()),
            JsonKind::Object(_) => add(node),
            JsonKind::List(nodes) => nodes.iter().try_for_each(add),
            _ => Err(self.start(node).error(format!("`{}` takes an object, or a list of objects", schema.kind))),
        }
    }

    /// The entries of an object, or of all objects of a list.
    fn entries<'n>(&self, node: &'n JsonNode, what: &str) -> Result<Vec<&'n (JsonKey, JsonNode)>> {
        let refused =
            |node: &JsonNode| self.start(node).error(format!("{what} must be in an object, or in a list of objects"));
        match &node.kind {
            JsonKind::Null => Ok(Vec::new()),
            JsonKind::Object(entries) => Ok(entries.iter().collect()),
            JsonKind::List(nodes) => {
                let mut all = Vec::new();
                for node in nodes {
                    match &node.kind {
                        JsonKind::Object(entries) => all.extend(entries),
                        _ => return Err(refused(node)),
                    }
                }
                Ok(all)
            }
            _ => Err(refused(node)),
        }
    }

    fn expression(&self, node: &JsonNode) -> Result<Expression> {
        let place = BakePlace::new(self.text, node.span.clone());
        let kind = match &node.kind {
            JsonKind::Null => ExpressionKind::Literal(Value::null()),
            JsonKind::Bool(value) => ExpressionKind::Literal(Value::Bool(*value)),
            JsonKind::Number(text) => match Number::parse(text) {
                Some(number) => ExpressionKind::Literal(Value::Number(number)),
                None => return Err(place.error("this number is too large or too small")),
            },
            JsonKind::Text(text) => return self.template(text, place),
            JsonKind::List(nodes) => {
                let elements = nodes.iter().map(|node| self.expression(node));
                ExpressionKind::Tuple(elements.collect::<Result<_>>()?)
            }
            JsonKind::Object(entries) => {
                let items = entries.iter().map(|(key, value)| {
                    Ok((self.template(&key.name, self.place_of_key(key))?, self.expression(value)?))
                });
                ExpressionKind::JsonObject(items.collect::<Result<_>>()?)
            }
        };
        Ok(Expression::new(kind, place))
    }

    /// The template that a string is. Its parts are found in the file where it has no escapes; else they are where it is.
    fn template(&self, text: &str, place: BakePlace) -> Result<Expression> {
        let start = place.span.start + 1;
        let is_plain = self.text.text.get(start..start + text.len()) == Some(text);
        let part = |from: usize, to: usize| match is_plain {
            true => BakePlace::new(self.text, start + from..start + to),
            false => place.clone(),
        };
        let template = read_template(text, &part)?;
        let kind = ExpressionKind::Json { template, text: text.to_owned() };
        Ok(Expression::new(kind, place))
    }

    fn place_of_key(&self, key: &JsonKey) -> BakePlace {
        BakePlace::new(self.text, key.span.clone())
    }

    /// Where a value begins: all of it would be too much to show.
    fn start(&self, node: &JsonNode) -> BakePlace {
        BakePlace::new(self.text, node.span.start..node.span.start + 1)
    }
}
