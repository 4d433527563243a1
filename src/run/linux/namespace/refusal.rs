//! Why a place for commands is none.

use crate::error::Error;
use crate::run::passage::{RungRefusal, UNUSABLE};
use crate::run::rung::Rung;

impl RungRefusal {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        RungRefusal { rung: Rung::Ids, reason: reason.into(), hint: None }
    }

    pub(super) fn with_hint(self, hint: impl Into<String>) -> Self {
        RungRefusal { hint: Some(hint.into()), ..self }
    }

    pub(in crate::run::linux) fn of(error: &Error) -> Self {
        let all = [error.message.clone()].into_iter().chain(error.causes().map(ToString::to_string));
        let words: Vec<String> = all.filter(|words| words != UNUSABLE).collect();
        RungRefusal { hint: error.hint.clone(), ..RungRefusal::new(words.join(": ")) }
    }
}
