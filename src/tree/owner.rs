//! Owners by name, as an image's own `/etc/passwd` and `/etc/group` have them.

use super::files::Files;
use crate::error::{Error, Result};

/// Who is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundOwner {
    /// The user ID.
    pub user: u32,
    /// The group ID.
    pub group: u32,
    /// The user or the group has a name that the file system does not know: it is root, as BuildKit has it.
    pub is_unknown: bool,
}

/// Returns whether `owner`, `user[:group]`, says what it means in whatever file system: it has numbers and `root` alone.
pub fn is_known(owner: &str) -> bool {
    owner.split(':').all(|part| part.is_empty() || known(part).is_some())
}

/// Returns what is in the file at a path of a file system, links followed; none if there is no such file.
pub type Read<'a> = dyn FnMut(&Files, &[u8]) -> Result<Option<Vec<u8>>> + 'a;

/// Returns whom `owner`, `user[:group]`, means in `files`, of which `read` reads what it has to. A user's name brings his
/// first group, a number the group of that number. `root` is 0, whatever the files say. Names that nobody has mean root;
/// where there are no files at all that might have them, they are an error.
pub fn find(owner: &str, files: &Files, read: &mut Read<'_>) -> Result<FoundOwner> {
    let (user, group) = owner.split_once(':').map_or((owner, ""), |(user, group)| (user, group));
    let mut found = FoundOwner { user: 0, group: 0, is_unknown: false };
    let nobody = |name: &str| {
        Error::input(format!("`{name}` is no owner: there is nothing below, and so no /etc/passwd and no /etc/group"))
            .with_hint("give the number, as in --chown=1000:1000")
    };
    let is_empty = files.is_empty();
    if let Some(number) = known(user) {
        (found.user, found.group) = (number, number);
    } else if !user.is_empty() {
        if is_empty {
            return Err(nobody(user));
        }
        let lines = read(files, b"etc/passwd")?.unwrap_or_default();
        match line(&lines, user).and_then(|fields| Some((number(fields.get(2)?)?, number(fields.get(3)?)?))) {
            Some(numbers) => (found.user, found.group) = numbers,
            None => found.is_unknown = true,
        }
    }
    if let Some(number) = known(group) {
        found.group = number;
    } else if !group.is_empty() {
        if is_empty {
            return Err(nobody(group));
        }
        let lines = read(files, b"etc/group")?.unwrap_or_default();
        match line(&lines, group).and_then(|fields| number(fields.get(2)?)) {
            Some(number) => found.group = number,
            None => found.is_unknown = true,
        }
    }
    Ok(found)
}

/// The number of a user or a group that needs no look-up, as BuildKit has it.
fn known(name: &str) -> Option<u32> {
    if name == "root" { Some(0) } else { name.parse().ok() }
}

/// The fields of the first line that is about `name`.
fn line<'l>(lines: &'l [u8], name: &str) -> Option<Vec<&'l [u8]>> {
    let fields = |line: &'l [u8]| line.trim_ascii().split(|byte| *byte == b':').collect::<Vec<_>>();
    lines.split(|byte| *byte == b'\n').map(fields).find(|fields| fields.first() == Some(&name.as_bytes()))
}

fn number(field: &[u8]) -> Option<u32> {
    str::from_utf8(field).ok()?.trim().parse().ok()
}
