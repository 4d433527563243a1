//! A tar that is no layer: what somebody packed, to be unpacked somewhere.

use std::io::{self, Read};

use super::change::{Tree, WHITEOUT};
use super::limits::{Budget, Limits, Whole};
use super::member::{Member, members};
use crate::error::{Error, Result};

/// Reads `tar`, uncompressed and called `name` in errors, up to the end of the archive, and puts its entries together as
/// [`read`](super::read) does with those of a single layer. Names that would remove something in a layer are refused.
pub fn read_archive(tar: impl Read, name: &str, limits: Limits) -> Result<Tree> {
    let budget = Budget::new(limits, Whole::Archive);
    let members = members(Counted { tar, budget: &budget }, name, &budget)?;
    let is_whiteout = |member: &&Member| member.path.split(|byte| *byte == b'/').any(|part| part.starts_with(WHITEOUT));
    if let Some(member) = members.iter().find(is_whiteout) {
        let path = member.path.escape_ascii();
        return Err(Error::input(format!("{name}: {path} has a name that stands for a removal in layers"))
            .with_hint("is it a layer? A base image is named by FROM; else leave out what begins with `.wh.`"));
    }
    let mut tree = Tree::new();
    tree.apply(0, members).map_err(|error| Error { message: format!("{name}: {}", error.message), ..error })?;
    Ok(tree)
}

struct Counted<'a, R> {
    tar: R,
    budget: &'a Budget,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.tar.read(buffer)?;
        self.budget.size(count as u64).map_err(io::Error::other)?;
        Ok(count)
    }
}
