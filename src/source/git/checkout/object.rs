//! Commits, from where git keeps its objects: a file each, or in packs.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::inflate::{OBJECT_LIMIT, inflated};
use super::object_id::{ObjectFormat, ObjectId};
use super::pack::Pack;
use super::repository::GitRepository;
use crate::error::{Error, Result};
use crate::source::git::regular;

/// The part of a commit that is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Commit {
    pub tree: ObjectId,
    /// The time at which it was committed, in seconds since 1970.
    pub time: i64,
}

/// The number of directories that are looked at where objects are that others keep.
const ALTERNATES: usize = 64;
const ALTERNATES_LIMIT: u64 = 1 << 20;

/// The objects of a repository.
pub(super) struct Objects {
    /// The repository's own, and those that it borrows from (gitrepository-layout(5), "objects/info/alternates").
    directories: Vec<PathBuf>,
    format: ObjectFormat,
}

impl Objects {
    /// Returns the objects of `repository` and of those that it borrows from. Fails if a list of these cannot be read.
    pub fn of(repository: &GitRepository) -> Result<Self> {
        let mut directories = vec![repository.common.join("objects")];
        let mut next = 0;
        while let Some(directory) = directories.get(next) {
            let list = regular::read(&directory.join("info/alternates"), ALTERNATES_LIMIT)?.unwrap_or_default();
            let lines = list.split(|byte| *byte == b'\n').filter(|line| !line.is_empty() && !line.starts_with(b"#"));
            let found: Vec<_> = lines.map(|line| directory.join(std::ffi::OsStr::from_bytes(line))).collect();
            for directory in found {
                if directories.len() < ALTERNATES && !directories.contains(&directory) {
                    directories.push(directory);
                }
            }
            next += 1;
        }
        Ok(Objects { directories, format: repository.format })
    }

    /// Returns the commit of this name; its content has that name. Fails if there is no such commit.
    pub fn commit(&self, id: ObjectId) -> Result<Commit> {
        for directory in &self.directories {
            let (kind, content) = match self.loose(directory, &id)? {
                Some(object) => object,
                None => match self.packed(directory, &id)? {
                    Some(object) => object,
                    None => continue,
                },
            };
            if kind != "commit" || self.format.name(&kind, &content) != id {
                return Err(Error::integrity(format!("{}: the object {id} is not that commit", directory.display()))
                    .with_hint("`git fsck` tells what is wrong with a repository"));
            }
            return read_commit(&content, self.format)
                .ok_or_else(|| Error::input(format!("{}: the commit {id} is malformed", directory.display())));
        }
        let message = format!("the commit {id} is missing in {}", self.directories[0].display());
        Err(Error::not_found(message).with_hint("`git fsck` tells what is wrong with a repository"))
    }

    fn loose(&self, directory: &Path, id: &ObjectId) -> Result<Option<(String, Vec<u8>)>> {
        let name = id.to_string();
        let path = directory.join(&name[..2]).join(&name[2..]);
        let Some(file) = regular::open(&path)? else { return Ok(None) };
        let content = inflated(io::BufReader::new(file), OBJECT_LIMIT).map_err(|e| Error::io("read", &path, e))?;
        let header = content.iter().position(|byte| *byte == 0).and_then(|end| {
            let header = std::str::from_utf8(&content[..end]).ok()?;
            Some((header.split_once(' ')?.0.to_owned(), end + 1))
        });
        let (kind, start) = header.ok_or_else(|| Error::input(format!("{} is not a git object", path.display())))?;
        Ok(Some((kind, content[start..].to_vec())))
    }

    fn packed(&self, directory: &Path, id: &ObjectId) -> Result<Option<(String, Vec<u8>)>> {
        let packs = directory.join("pack");
        let failed = |source| Error::io("list", &packs, source);
        let listing = match fs::read_dir(&packs) {
            Ok(listing) => listing,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        for item in listing {
            let index = item.map_err(failed)?.path();
            if index.extension().is_none_or(|extension| extension != "idx") {
                continue;
            }
            let path = index.with_extension("pack");
            let (Some(index), Some(file)) = (regular::open(&index)?, regular::open(&path)?) else { continue };
            let pack = Pack { index, file, format: self.format };
            if let Some(object) = pack.object(id).map_err(|source| Error::io("read", &path, source))? {
                return Ok(Some(object));
            }
        }
        Ok(None)
    }
}

/// Reads the header of a commit: lines up to an empty one, of which the tree's is the first.
fn read_commit(content: &[u8], format: ObjectFormat) -> Option<Commit> {
    let mut lines = content.split(|byte| *byte == b'\n').take_while(|line| !line.is_empty());
    let tree = std::str::from_utf8(lines.next()?.strip_prefix(b"tree ")?).ok()?;
    let committer = lines.find_map(|line| line.strip_prefix(b"committer "))?;
    // A name may hold anything but what ends an address.
    let end = committer.iter().rposition(|byte| *byte == b'>')?;
    let time = std::str::from_utf8(&committer[end + 1..]).ok()?.split_whitespace().next()?;
    Some(Commit { tree: format.parse(tree)?, time: time.parse().ok()? })
}
