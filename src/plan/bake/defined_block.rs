//! Blocks that define groups and targets, and what is known of each so far.

use std::collections::{BTreeMap, BTreeSet};

use super::decode;
use super::target::{BakeGroup, BakeTarget};
use crate::error::Result;
use crate::plan::hcl::{BakePlace, HclAttribute, HclBlock, Value};

/// The kinds of blocks that are defined, whose names no variable can have.
pub(super) const KINDS: [&str; 2] = ["group", "target"];

/// A block that defines a group or a target.
pub(super) struct DefinedBlock<'a> {
    pub kind: &'static str,
    pub block: &'a HclBlock,
    /// What it says, once for each combination of its matrix.
    pub variants: Vec<Variant>,
    /// Its variants are known.
    pub is_prepared: bool,
}

/// What a block says for one combination of its matrix.
pub(super) struct Variant {
    pub name: String,
    /// What the matrix says.
    pub variables: BTreeMap<String, Value>,
    pub output: VariantOutput,
    /// The keys that are evaluated.
    pub done: BTreeSet<String>,
    /// The keys that are being evaluated.
    pub open: BTreeSet<String>,
}

/// What a variant comes to.
#[derive(Clone)]
pub(super) enum VariantOutput {
    Group(BakeGroup),
    Target(Box<BakeTarget>),
}

impl<'a> DefinedBlock<'a> {
    /// Reads a block; none if it is of no kind that is known. Fails for one without a name.
    pub fn read(block: &'a HclBlock) -> Result<Option<DefinedBlock<'a>>> {
        let Some(kind) = KINDS.into_iter().find(|kind| *kind == block.kind) else { return Ok(None) };
        if block.labels.len() != 1 {
            return Err(block.place.error(format!("a {kind} has one name: {kind} \"NAME\" {{ … }}")));
        }
        Ok(Some(DefinedBlock { kind, block, variants: Vec::new(), is_prepared: false }))
    }

    /// Returns the attributes that `key` means, of those that are known; all without one.
    pub fn attributes(&self, key: Option<&str>) -> impl Iterator<Item = &'a HclAttribute> {
        let keys = decode::keys(self.kind);
        let is_meant = move |attribute: &&HclAttribute| {
            keys.contains(&attribute.name.as_str()) && key.is_none_or(|key| key == attribute.name)
        };
        let attributes: Vec<&'a HclAttribute> = self.block.body.attributes.iter().filter(is_meant).collect();
        attributes.into_iter()
    }

    /// Returns its name, as it is written.
    pub fn label(&self) -> &'a str {
        self.block.labels.first().map_or("", |label| &label.text)
    }

    /// Returns where its name stands.
    pub fn label_place(&self) -> &'a BakePlace {
        self.block.labels.first().map_or(&self.block.place, |label| &label.place)
    }
}
