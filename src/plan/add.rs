//! What an add is made of, as text: where to, whose, from where. One syntax for the spec and for flags.

use std::str::FromStr;

use super::{ImagePath, Owner};
use crate::error::{Error, Result};
use crate::tree::{Pattern, path};

impl FromStr for ImagePath {
    type Err = Error;

    /// A path from the image's root; without a leading slash it begins there too.
    fn from_str(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Err(Error::input("a destination is empty").with_hint("the image's root is `/`"));
        }
        if text.contains('\0') {
            return Err(Error::input("a destination contains a NUL character"));
        }
        let parts = parts(text);
        if parts.contains(&"..") {
            return Err(Error::input(format!("the destination `{text}` has `..`, which may lead out of the image"))
                .with_hint("write the path from the image's root, as in `/srv/app/`"));
        }
        let into = parts.is_empty() || text.ends_with('/') || text.ends_with("/.");
        let path = parts.join("/");
        path::check_written(path.as_bytes())?;
        Ok(ImagePath { path, into })
    }
}

impl FromStr for Owner {
    type Err = Error;

    /// `preserve`, or `user[:group]` as numbers. The group is the user's number unless it is given, as with docker's
    /// `--chown`.
    fn from_str(text: &str) -> Result<Self> {
        if text == "preserve" {
            return Ok(Owner::Preserve);
        }
        let (user, group) = text.split_once(':').unwrap_or((text, text));
        // chown(2) takes 32 bits, of which the largest value means "leave it".
        let number = |digits: &str| {
            let digits_only = !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit());
            digits.parse().ok().filter(|number| digits_only && *number != u32::MAX)
        };
        match (number(user), number(group)) {
            (Some(user), Some(group)) => Ok(Owner::Numbers { user, group }),
            _ => Err(Error::input(format!("`{text}` is not an owner")).with_hint(
                "an owner is `user[:group]` as numbers (names need the passwd file that scratch does not have), or \
                 `preserve`",
            )),
        }
    }
}

/// Returns a pattern of the context, checked and freed of `.` and doubled slashes; the context itself is `.`. Fails for
/// a pattern that leads out of the context or is malformed.
pub(super) fn context_pattern(text: &str) -> Result<String> {
    if text.is_empty() {
        return Err(Error::input("a source is empty").with_hint("the whole context is `.`"));
    }
    if text.contains('\0') {
        return Err(Error::input("a source contains a NUL character"));
    }
    let parts = parts(text);
    if text.starts_with('/') || parts.contains(&"..") {
        return Err(Error::input(format!("the source `{text}` is outside of the context"))
            .with_hint("sources are relative to the context and stay in it: choose a context that holds them all"));
    }
    if parts.iter().any(|part| part.contains("**") && *part != "**") {
        return Err(Error::input(format!("`{text}` is not a pattern")).with_hint("`**` stands alone between slashes"));
    }
    let pattern = parts.join("/");
    pattern.parse::<Pattern>()?;
    Ok(if pattern.is_empty() { ".".to_owned() } else { pattern })
}

fn parts(path: &str) -> Vec<&str> {
    path.split('/').filter(|part| !part.is_empty() && *part != ".").collect()
}
