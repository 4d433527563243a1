//! Reads the table `[group]` of an `ocibake.toml` that has several images.

use crate::error::{Error, Result, suggestion};
use crate::plan::table::TomlValue;

/// A name that stands for several images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageGroup {
    /// The name.
    pub name: String,
    /// The names of images and of other groups.
    pub members: Vec<String>,
}

/// Returns whether it can be the name of an image or of a group.
pub(super) fn is_name(text: &str) -> bool {
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    !text.is_empty() && text.chars().all(is_letter)
}

/// Reads the groups of a file with `images`. Fails for a name that an image has, too, and for a member that is not there.
pub(super) fn read(value: &TomlValue<'_>, images: &[&str]) -> Result<Vec<ImageGroup>> {
    let entries = value.table()?.entries();
    let known: Vec<&str> = images.iter().copied().chain(entries.iter().map(|entry| entry.key)).collect();
    let mut groups = Vec::with_capacity(entries.len());
    for entry in &entries {
        if !is_name(entry.key) {
            let error = Error::input(format!("`{}` is not a name of a group", entry.key));
            return Err(entry.blame_key(error.with_hint("it has letters, digits, `_` and `-`")));
        }
        if images.contains(&entry.key) {
            return Err(entry.blame_key(Error::input(format!("`{}` is an image, too", entry.key))));
        }
        let members = entry.list()?;
        let members = members.iter().map(|member| member.parse(|name| check_member(name, &known)));
        let members = members.collect::<Result<Vec<String>>>()?;
        if members.is_empty() {
            return Err(entry.blame(Error::input(format!("the group `{}` has no images", entry.key))));
        }
        groups.push(ImageGroup { name: entry.key.to_owned(), members });
    }
    Ok(groups)
}

fn check_member(name: &str, known: &[&str]) -> Result<String> {
    if known.contains(&name) {
        return Ok(name.to_owned());
    }
    let error = Error::input(format!("there is no image `{name}`"));
    Err(match suggestion(name, known.iter().copied()) {
        Some(near) => error.with_hint(format!("did you mean `{near}`?")),
        None => error.with_hint(format!("known images are {}", known.join(", "))),
    })
}
