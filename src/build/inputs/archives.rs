//! The archives that steps unpack. What one on this machine holds is noted in the local store, by what the file looks like: as
//! long as it looks so, it is read only for the contents of its files, should anybody ask for one.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::sync::Arc;

use super::Inputs;
use super::members;
use crate::build::cache::{Key, Sum, marker};
use crate::error::{Error, Result};
use crate::layer::{Extent, Member};
use crate::oci::Digest;
use crate::source::archive;
use crate::tree::{Content, Entry, Kind, Node, Object, Spool};

impl Inputs<'_> {
    /// Returns what the file `node` unpacks to, as [`archive::entries`] does; none if it is not an archive. Errors call it
    /// `name`.
    pub fn archive(&self, node: &Node, name: &str) -> Result<Option<Vec<Entry>>> {
        let Object::Other(Kind::File(content)) = node.object() else { return Ok(None) };
        let store = self.options.store;
        let sum = Sum::of(node, self.started);
        let is_remembered = matches!(content, Content::Disk(_)) && sum.is_settled && self.options.trust_times;
        let key = Key::step("archive", None, self.options.compression).part("file", &sum.digest).finish();
        if is_remembered && let Some((tar, members)) = store.record(&key).and_then(|(_, noted)| decoded(&noted)) {
            let spool = Arc::new(spool(tar, content.clone(), name.to_owned(), store.scratch()?));
            let place = |Extent { offset, size }| Content::Part { spool: spool.clone(), offset, size };
            let entry = |Member { path, kind, attributes }: Member| Entry { path, kind: kind.map(place), attributes };
            return Ok(Some(members.into_iter().map(entry).collect()));
        }
        self.bases.bring(std::iter::once(content))?;
        let entries = archive::entries(content, name, store)?;
        if let Some(noted) = entries.as_deref().filter(|_| is_remembered).and_then(encoded) {
            store.put_record(&key, &marker(store)?, &noted)?;
        }
        Ok(entries)
    }
}

/// The tar of an archive, which is brought into `file` when a part of it is asked for.
fn spool(tar: Digest, content: Content, name: String, file: File) -> Spool {
    Spool::made_by(tar, move || {
        let failed = |source| Error::io("write the content of", &name, source);
        // An earlier try may have left something.
        file.set_len(0).and_then(|()| (&file).seek(SeekFrom::Start(0))).map_err(failed)?;
        match archive::tar_into(&content, &name, file.try_clone().map_err(failed)?)? {
            Some(found) if found == tar => file.try_clone().map_err(failed),
            _ => Err(Error::input(format!("{name} no longer has the content that an earlier build saw"))
                .with_hint("build with --no-cache once")),
        }
    })
}

/// `entries` as bytes, and in front of them the digest of the tar that all contents are in; none if it is not one tar.
fn encoded(entries: &[Entry]) -> Option<Vec<u8>> {
    let mut tar = None;
    let members = entries.iter().map(|Entry { path, kind, attributes }| {
        let extent = match kind {
            Kind::File(Content::Part { spool, offset, size }) if *tar.get_or_insert(spool.tar()) == spool.tar() => {
                Extent { offset: *offset, size: *size }
            }
            Kind::File(_) => return None,
            _ => Extent { offset: 0, size: 0 },
        };
        Some(Member { path: path.clone(), kind: kind.clone().map(|_| extent), attributes: attributes.clone() })
    });
    let members = members.collect::<Option<Vec<_>>>()?;
    let tar = tar.unwrap_or_else(|| Digest::of(b""));
    Some([tar.as_bytes(), &members::encoded(&members)[..]].concat())
}

fn decoded(noted: &[u8]) -> Option<(Digest, Vec<Member>)> {
    let (tar, members) = noted.split_first_chunk()?;
    Some((Digest::from(*tar), members::decoded(members)?))
}
