//! The tree that an index would be committed as.

use super::index::{IndexEntry, is_tree};
use super::object_id::{ObjectFormat, ObjectId};

/// Takes the entries of an index in their order, which is that of trees.
pub(super) struct GitTree {
    format: ObjectFormat,
    /// The directories from the root down: the name of each, and what its tree holds so far.
    open: Vec<(Vec<u8>, Vec<u8>)>,
}

impl GitTree {
    /// Returns a tree of nothing.
    pub fn new(format: ObjectFormat) -> Self {
        GitTree { format, open: vec![(Vec::new(), Vec::new())] }
    }

    /// Adds an entry of the index; they come in its order.
    pub fn add(&mut self, entry: &IndexEntry) {
        let path = entry.path.strip_suffix(b"/").unwrap_or(&entry.path);
        let mut parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
        let name = parts.pop().unwrap_or_default();
        let shared = self.open[1..].iter().zip(&parts).take_while(|((open, _), part)| open == *part).count();
        while self.open.len() > 1 + shared {
            self.close();
        }
        self.open.extend(parts[shared..].iter().map(|part| (part.to_vec(), Vec::new())));
        self.put(if is_tree(entry.mode) { 0o040_000 } else { entry.mode }, name, &entry.id);
    }

    /// Returns the name of the root's tree.
    pub fn finish(mut self) -> ObjectId {
        while self.open.len() > 1 {
            self.close();
        }
        self.format.name("tree", &self.open[0].1)
    }

    /// Ends the innermost directory that is open, which is not the root.
    fn close(&mut self) {
        if let Some((name, content)) = self.open.pop() {
            let id = self.format.name("tree", &content);
            self.put(0o040_000, &name, &id);
        }
    }

    fn put(&mut self, mode: u32, name: &[u8], id: &ObjectId) {
        // The root is never closed.
        if let Some((_, content)) = self.open.last_mut() {
            content.extend_from_slice(format!("{mode:o} ").as_bytes());
            content.extend_from_slice(name);
            content.push(0);
            content.extend_from_slice(id.as_bytes());
        }
    }
}
