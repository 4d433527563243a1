//! The root file system that layers make, as the one that steps work on.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::change::Tree;
use super::member::Object;
use crate::tree::{self, Content, Files, Kind, Node, Spool};

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
                let object = match &node.object {
                    Object::Directory => tree::Object::Directory(BTreeMap::new()),
                    Object::File { offset, size } => {
                        let spool = spools[node.layer].clone();
                        tree::Object::Other(Kind::File(Content::Part { spool, offset: *offset, size: *size }))
                    }
                    Object::Symlink { target } | Object::HardLink { target } => {
                        tree::Object::Other(Kind::Symlink { target: target.clone() })
                    }
                    Object::Fifo => tree::Object::Other(Kind::Fifo),
                    Object::CharacterDevice { major, minor } => {
                        tree::Object::Other(Kind::CharacterDevice { major: *major, minor: *minor })
                    }
                    Object::BlockDevice { major, minor } => {
                        tree::Object::Other(Kind::BlockDevice { major: *major, minor: *minor })
                    }
                };
                Node::new(object, node.attributes.clone())
            });
            let node = node.clone();
            files.put(&path, node);
        }
        files
    }
}
