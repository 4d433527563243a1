//! The structure of a bake file: attributes and blocks.

use super::expression::Expression;
use super::place::BakePlace;

/// What stands in a file or between the braces of a block.
#[derive(Debug, Clone)]
pub struct HclBody {
    /// The attributes in their order, each name once.
    pub attributes: Vec<HclAttribute>,
    /// The blocks in their order.
    pub blocks: Vec<HclBlock>,
    /// All of it, or where it begins.
    pub place: BakePlace,
}

/// A name and what it is set to.
#[derive(Debug, Clone)]
pub struct HclAttribute {
    /// The name.
    pub name: String,
    /// Where the name stands.
    pub place: BakePlace,
    /// What it is set to.
    pub value: Expression,
}

/// A kind, labels, and a body, as in `target "app" { … }`.
#[derive(Debug, Clone)]
pub struct HclBlock {
    /// The first word.
    pub kind: String,
    /// What stands between the kind and the brace.
    pub labels: Vec<HclLabel>,
    /// What stands within.
    pub body: HclBody,
    /// Where the kind stands.
    pub place: BakePlace,
}

/// What stands behind the kind of a block.
#[derive(Debug, Clone)]
pub struct HclLabel {
    /// What it says.
    pub text: String,
    /// Where it stands.
    pub place: BakePlace,
}

/// Which keys of a JSON object are blocks, for JSON does not say so itself.
#[derive(Debug, Clone, Copy)]
pub struct BlockSchema {
    /// The kind of the blocks.
    pub kind: &'static str,
    /// How many labels they have.
    pub labels: usize,
    /// The blocks that stand within them.
    pub blocks: &'static [BlockSchema],
}

impl HclBody {
    /// Returns the attribute of this name.
    pub fn attribute(&self, name: &str) -> Option<&HclAttribute> {
        self.attributes.iter().find(|attribute| attribute.name == name)
    }

    /// Returns the blocks of this kind, in their order.
    pub fn blocks_of(&self, kind: &str) -> impl Iterator<Item = &HclBlock> {
        self.blocks.iter().filter(move |block| block.kind == kind)
    }
}
