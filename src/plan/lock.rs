//! `ocibake.lock`: the digests that the tags of bases are pinned to.

use std::fmt;

use toml::de::DeTable;

use super::table::{TomlDocument, TomlValue};
use crate::error::{Error, Result};
use crate::oci::{Digest, Map, Reference};

const HEAD: &str = "\
# What the bases of images stand for: kept by `ocibake build --lock`, renewed by `--update-lock`.
version = 1

[base]
";

/// The digests that names of base images are held to: `ocibake.lock`. A digest is that of all that a name stands for,
/// mostly an index, and so the same for all platforms.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BaseLock {
    /// The digests by the bases' names as docker shows them, always with a tag.
    bases: Map<Digest>,
}

impl BaseLock {
    /// The name of the file, which lies beside the one that tells a build what to do.
    pub const FILE: &str = "ocibake.lock";

    /// Reads the file's `text`; `file` is its name in errors.
    pub fn parse(file: &str, text: &str) -> Result<BaseLock> {
        let document = TomlDocument { file, text };
        let entries = DeTable::parse(text).map_err(|cause| document.malformed(&cause))?;
        let root = document.root(entries.get_ref());
        match root.take("version") {
            Some(version) if version.integer() == Some(("1", 10)) => {}
            Some(version) => {
                return Err(version
                    .blame(Error::input("this version of the lock file is not known"))
                    .with_hint("use the ocibake that wrote it, or rewrite it with --update-lock"));
            }
            None => return Err(Error::input(format!("{file} does not say its `version`")).with_hint("it is 1")),
        }
        let base = root.take("base");
        root.finish()?;
        let mut lock = BaseLock::default();
        for entry in base.map(|base| base.table()).transpose()?.iter().flat_map(|table| table.entries()) {
            lock.read(&entry)?;
        }
        Ok(lock)
    }

    /// Returns the digest that a name, whose own digest does not count, is held to; none if it is not in the lock.
    pub fn get(&self, name: &Reference) -> Option<Digest> {
        self.bases.get(&name.familiar()).copied()
    }

    /// Holds a name to a digest, whatever it was held to before.
    pub fn insert(&mut self, name: &Reference, digest: Digest) {
        self.bases.insert(name.familiar(), digest);
    }

    fn read(&mut self, entry: &TomlValue<'_>) -> Result<()> {
        let name: Reference = entry.key.parse().map_err(|error| entry.blame_key(error))?;
        if name.digest().is_some() {
            return Err(entry.blame_key(Error::input(format!("the name `{}` already has a digest", entry.key))));
        }
        let digest = entry.parse(str::parse)?;
        match self.bases.insert(name.familiar(), digest) {
            None => Ok(()),
            Some(_) => Err(entry.blame_key(Error::input(format!("{} appears twice", name.familiar())))),
        }
    }
}

/// The file's text.
impl fmt::Display for BaseLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HEAD)?;
        // No character of a name needs to be escaped.
        self.bases.iter().try_for_each(|(name, digest)| writeln!(f, "\"{name}\" = \"{digest}\""))
    }
}
