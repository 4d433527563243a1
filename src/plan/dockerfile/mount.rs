//! `RUN --mount=…`.

use super::{Span, Word};
use crate::error::Result;

/// The value of one `--mount`, split but not expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountFlag {
    /// In order: the key in lower case, and what stands behind `=`.
    pub fields: Vec<(String, Option<Word>)>,
    pub span: Span,
}

/// What one `--mount` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    pub kind: MountKind,
    /// Where it appears; possibly relative, possibly empty for a secret or ssh, which then have their default places.
    pub target: String,
    pub read_only: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountKind {
    Bind {
        /// A stage, a named context or an image; the build context without it.
        from: Option<String>,
        /// A path in it; its root without it.
        source: Option<String>,
    },
    Cache {
        id: Option<String>,
        sharing: Sharing,
        from: Option<String>,
        source: Option<String>,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
    },
    Tmpfs {
        /// In bytes.
        size: Option<u64>,
    },
    Secret {
        /// As `--secret` names it; `env` or the base name of the target tell it otherwise.
        id: Option<String>,
        /// The variable that holds it.
        env: Option<String>,
        required: bool,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
    },
    Ssh {
        id: Option<String>,
        required: bool,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
    },
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sharing {
    #[default]
    Shared,
    Private,
    Locked,
}

impl MountFlag {
    /// The mount once `expand` has replaced the variables of every value. Errors have no excerpt: `span` gives it.
    pub fn mount(&self, expand: &mut dyn FnMut(&Word) -> Result<String>) -> Result<Mount> {
        let _ = expand;
        todo!()
    }
}
