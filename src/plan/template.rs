//! Texts with placeholders in braces.

use crate::error::{Error, Result, suggestion};

/// Returns `text` with what `value` gives in place of each `{name}`; `{{` and `}}` are literal braces. Fails for a
/// brace without its partner, and where `value` does.
pub(crate) fn expand(text: &str, mut value: impl FnMut(&str) -> Result<String>) -> Result<String> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        expanded.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("{{") {
            expanded.push('{');
            rest = after;
        } else if let Some(after) = rest.strip_prefix("}}") {
            expanded.push('}');
            rest = after;
        } else {
            let (name, after) = rest.strip_prefix('{').and_then(|inner| inner.split_once('}')).ok_or_else(|| {
                Error::input(format!("`{text}` has a lone brace"))
                    .with_hint("a placeholder is `{name}`; write a literal brace twice, as `{{` or `}}`")
            })?;
            expanded.push_str(&value(name)?);
            rest = after;
        }
    }
    expanded.push_str(rest);
    Ok(expanded)
}

/// Returns the error for a placeholder that is not one of `known`.
pub(crate) fn unknown(name: &str, known: &[&str]) -> Error {
    let error = Error::input(format!("unknown placeholder `{{{name}}}`"));
    error.with_hint(match suggestion(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{{{near}}}`?"),
        None => format!("known ones are {{{}}}; write a literal brace twice", known.join("} {")),
    })
}
