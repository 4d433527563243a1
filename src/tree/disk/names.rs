//! Names of one file on disk.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;

use rayon::prelude::*;

use crate::tree::content::{Content, Identity};
use crate::tree::entry::{Attributes, Entry, Kind};

/// Turns further names of one file on disk, among `entries` sorted by path, into hard links to the first that has the same
/// mode, owner and time.
pub fn link_names(entries: &mut [Entry]) {
    let has_names = |(number, entry): (usize, &Entry)| match &entry.kind {
        Kind::File(Content::Disk(file)) if file.identity.links > 1 => Some(number),
        _ => None,
    };
    let numbers: Vec<usize> = entries.par_iter().enumerate().with_min_len(1 << 10).filter_map(has_names).collect();
    let mut first = HashMap::new();
    for number in numbers {
        let entry = &mut entries[number];
        let Kind::File(Content::Disk(file)) = &entry.kind else { continue };
        let Identity { device, inode, .. } = file.identity;
        let Attributes { mode, user, group, modified, .. } = entry.attributes;
        let looks = (device, inode, mode, user, group, modified);
        match first.entry(looks) {
            Slot::Vacant(slot) => drop(slot.insert(entry.path.clone())),
            Slot::Occupied(slot) => entry.kind = Kind::HardLink { target: slot.get().clone() },
        }
    }
}
