//! The root file system that layers make, as the one that steps work on.

use std::sync::Arc;

use super::change::Tree;
use crate::tree::{Content, Files, Node, Spool};

impl Tree {
    /// Returns what the layers make together; `spools` are their tars, the lowest first.
    pub fn files(&self, spools: &[Arc<Spool>]) -> Files {
        let mut files = Files::new();
        let mut made: Vec<Option<Node>> = Vec::new();
        for (path, number) in self.paths() {
            if made.len() <= number {
                made.resize(number + 1, None);
            }
            let node = made[number].get_or_insert_with(|| {
                let node = self.node(number);
                let kind = node.kind.clone().map(|extent| {
                    let spool = spools[node.layer].clone();
                    Content::Part { spool, offset: extent.offset, size: extent.size }
                });
                Node::of(kind, node.attributes.clone())
            });
            let node = node.clone();
            files.put(&path, node);
        }
        files
    }
}
