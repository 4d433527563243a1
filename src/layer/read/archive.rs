//! A tar that is not a layer: what somebody packed, to be unpacked somewhere.

use std::io::{self, Read, Write};
use std::sync::Arc;

use super::change::{Overlay, WHITEOUT};
use super::member::{Member, members};
use super::sparse::Filled;
use crate::error::{Error, Result};
use crate::tree::{Budget, Limits, Spool, Whole, path::names};

/// Reads `tar`, uncompressed and called `name` in errors, up to the end of the archive, and puts its entries together as
/// [`read`](super::read) does with those of a single layer. Names that would remove something in a layer are refused.
///
/// `copy` gets the tar in which the contents of files stand at the offsets that the members tell: sparse files are plain ones
/// in it. Once all is read, `spool` makes of it what the contents lie in.
pub fn read_archive<W: Write>(
    tar: impl Read,
    mut copy: W,
    spool: impl FnOnce(W) -> Result<Arc<Spool>>,
    name: &str,
    limits: Limits,
) -> Result<Overlay> {
    let budget = Budget::new(limits, Whole::Archive);
    let tar = Filled::new(Counted { tar, budget: &budget }, Some(&budget));
    let members = members(Teed { tar, copy: &mut copy }, name, &budget, &mut |_, _| Ok(()))?;
    let is_whiteout = |member: &&Member| names(&member.path).any(|part| part.starts_with(WHITEOUT));
    if let Some(member) = members.iter().find(is_whiteout) {
        let path = member.path.escape_ascii();
        return Err(Error::input(format!("{name}: {path} has a name that stands for a removal in layers"))
            .with_hint("is it a layer? A base image is named by FROM; else leave out what begins with `.wh.`"));
    }
    let (spool, mut overlay) = (spool(copy)?, Overlay::new());
    let failed = |error: Error| Error { message: format!("{name}: {}", error.message), ..error };
    overlay.apply(0, members, &spool).map_err(failed)?;
    Ok(overlay)
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

/// Keeps what is read.
struct Teed<R, W> {
    tar: R,
    copy: W,
}

impl<R: Read, W: Write> Read for Teed<R, W> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.tar.read(buffer)?;
        self.copy.write_all(&buffer[..count])?;
        Ok(count)
    }
}
