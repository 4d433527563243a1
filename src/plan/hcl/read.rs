//! HCL to bodies.

use std::sync::Arc;

use hcl_edit::Span;
use hcl_edit::structure::{BlockLabel, Body, Structure};

use super::body::{HclAttribute, HclBlock, HclBody, HclLabel};
use super::layout;
use super::place::{BakePlace, BakeText};
use super::syntax::{Syntax, refused};
use crate::error::Result;

/// Reads HCL. Fails, with the place, for what is none.
pub fn read_hcl(text: &Arc<BakeText>) -> Result<HclBody> {
    let place = |start: usize, end: usize| BakePlace::new(text, start..end);
    let laid_out = layout::of_file(&text.text, &place)?;
    let body = hcl_edit::parser::parse_body(&laid_out).map_err(|error| refused(&error, &place))?;
    HclReader { syntax: Syntax { source: &text.text, place: &place } }.body(&body, 0..text.text.len())
}

struct HclReader<'a> {
    syntax: Syntax<'a>,
}

impl HclReader<'_> {
    fn body(&self, body: &Body, span: std::ops::Range<usize>) -> Result<HclBody> {
        let (mut attributes, mut blocks) = (Vec::new(), Vec::new());
        for structure in body.iter() {
            match structure {
                Structure::Attribute(attribute) => attributes.push(HclAttribute {
                    name: attribute.key.as_str().to_owned(),
                    place: self.syntax.place_of(&attribute.key),
                    value: self.syntax.expression(&attribute.value)?,
                }),
                Structure::Block(block) => {
                    let labels = block.labels.iter().map(|label| HclLabel {
                        text: label.as_str().to_owned(),
                        place: match label {
                            BlockLabel::Ident(name) => self.syntax.place_of(name),
                            BlockLabel::String(text) => self.syntax.place_of(text),
                        },
                    });
                    blocks.push(HclBlock {
                        kind: block.ident.as_str().to_owned(),
                        labels: labels.collect(),
                        body: self.body(&block.body, block.span().unwrap_or_default())?,
                        place: self.syntax.place_of(&block.ident),
                    });
                }
            }
        }
        Ok(HclBody { attributes, blocks, place: (self.syntax.place)(span.start, span.end) })
    }
}
