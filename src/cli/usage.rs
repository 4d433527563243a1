//! What is asked wrongly, as clap tells it.

use clap::error::{ContextKind, ContextValue};

use crate::error::escape;

/// Returns `error` with its arguments escaped: a script may have them from elsewhere.
pub fn escaped(mut error: clap::Error) -> clap::Error {
    let shown: Vec<(ContextKind, ContextValue)> = error
        .context()
        .filter_map(|(kind, value)| match value {
            ContextValue::String(text) => Some((kind, ContextValue::String(escape::line(text)))),
            ContextValue::Strings(texts) => {
                Some((kind, ContextValue::Strings(texts.iter().map(|text| escape::line(text)).collect())))
            }
            _ => None,
        })
        .collect();
    for (kind, value) in shown {
        error.insert(kind, value);
    }
    error
}
