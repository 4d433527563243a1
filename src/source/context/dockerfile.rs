//! Which Dockerfile a build takes, and which ignore file.

use std::io::Read;
use std::path::Path;

use super::{OpenContext, Text};
use crate::error::Result;

/// What a build is told by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    pub file: Text,
    /// `<file>.dockerignore` beside it or `.dockerignore` in the context, whichever there is first.
    pub ignore: Option<Text>,
}

/// Where `-f` says that the Dockerfile is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named<'a> {
    /// Nowhere: `Dockerfile` in the context.
    Not,
    /// `-`.
    StandardInput,
    File(&'a Path),
}

impl Dockerfile {
    /// Reads the Dockerfile of a build of `context`. A file that is named is one of this machine, relative to where we are;
    /// but in a context that is not [local](OpenContext::is_local) it is looked for there, unless its path is absolute.
    ///
    /// `input` is read for [`Named::StandardInput`] alone.
    pub fn find(context: &OpenContext, named: Named<'_>, input: &mut dyn Read) -> Result<Dockerfile> {
        let _ = (context, named, input);
        todo!()
    }

    /// The `.dockerignore` of a local context; none if there is none, or the context is not local.
    pub fn ignore(context: &OpenContext) -> Result<Option<Text>> {
        let _ = context;
        todo!()
    }
}
