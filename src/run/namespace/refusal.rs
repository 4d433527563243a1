//! Why a place for commands is none.

use crate::error::Error;
use crate::run::rung::Rung;

/// What is said where there is no way to run commands.
pub(in crate::run) const UNUSABLE: &str = "commands cannot be run here";

/// Why a way is not open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RungRefusal {
    /// The way.
    pub rung: Rung,
    /// What was refused, and how.
    pub reason: String,
    /// What to change.
    pub hint: Option<String>,
}

impl RungRefusal {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        RungRefusal { rung: Rung::Ids, reason: reason.into(), hint: None }
    }

    pub(super) fn with_hint(self, hint: impl Into<String>) -> Self {
        RungRefusal { hint: Some(hint.into()), ..self }
    }

    pub(in crate::run) fn of(error: &Error) -> Self {
        let all = [error.message.clone()].into_iter().chain(error.causes().map(ToString::to_string));
        let words: Vec<String> = all.filter(|words| words != UNUSABLE).collect();
        RungRefusal { hint: error.hint.clone(), ..RungRefusal::new(words.join(": ")) }
    }
}
