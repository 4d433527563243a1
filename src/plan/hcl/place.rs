//! Where the parts of a bake file stand.

use std::ops::Range;
use std::sync::Arc;

use crate::error::{Error, Excerpt};

/// The text of one file, and its name as the user knows it.
#[derive(Debug, PartialEq, Eq)]
pub struct BakeText {
    /// The name in errors.
    pub file: String,
    /// All of it.
    pub text: String,
}

/// A part of a file. It is found again when somebody is to see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BakePlace {
    pub(super) text: Arc<BakeText>,
    /// In bytes.
    pub(super) span: Range<usize>,
}

impl BakePlace {
    /// Returns the part of `text` that `span`, in bytes, covers.
    pub fn new(text: &Arc<BakeText>, span: Range<usize>) -> BakePlace {
        BakePlace { text: text.clone(), span }
    }

    /// Returns the name of the file.
    pub fn file(&self) -> &str {
        &self.text.file
    }

    /// Returns the line and the part of it.
    pub fn excerpt(&self) -> Excerpt {
        Excerpt::new(&self.text.file, &self.text.text, self.span.clone())
    }

    /// Returns `error` with this place, if it has none yet.
    pub fn blame(&self, error: Error) -> Error {
        if error.excerpt.is_some() { error } else { error.with_excerpt(self.excerpt()) }
    }

    /// Returns an error of what stands here.
    pub fn error(&self, message: impl Into<String>) -> Error {
        Error::input(message).with_excerpt(self.excerpt())
    }

    /// Returns the same part from its start to the end of `other`, which is of the same file.
    pub(super) fn to(&self, other: &BakePlace) -> BakePlace {
        BakePlace { text: self.text.clone(), span: self.span.start..other.span.end.max(self.span.start) }
    }
}
