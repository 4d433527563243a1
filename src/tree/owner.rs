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

/// Who runs a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundUser {
    /// The user ID.
    pub user: u32,
    /// The group ID.
    pub group: u32,
    /// The IDs of further groups.
    pub groups: Vec<u32>,
    /// The home directory, as the file system has it; the root for a user that it does not know.
    pub home: Vec<u8>,
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

/// Returns whom `user`, `user[:group]`, means to a command in `files`, of which `read` reads what it has to; the empty one is
/// root. As BuildKit has it, numbers are taken as they are, a number alone is that of the group, too, and a name brings its
/// first group and all that list it, unless a group is named. A name that nobody has is an error.
pub fn find_user(user: &str, files: &Files, read: &mut Read<'_>) -> Result<FoundUser> {
    let (name, group) = user.split_once(':').map_or((user, None), |(user, group)| (user, Some(group)));
    let passwd = read(files, b"etc/passwd")?.unwrap_or_default();
    let unknown = |name: &str, file: &str| {
        Error::input(format!("there is no `{name}` in the image's {file}"))
            .with_hint("add it in an earlier step, or give its number")
    };
    let number_of = |name: &str| if name.is_empty() { Some(0) } else { known(name) };
    let home = |fields: Option<&Vec<&[u8]>>| match fields.and_then(|fields| fields.get(5)) {
        Some(home) if home.starts_with(b"/") => home.to_vec(),
        _ => b"/".to_vec(),
    };
    let by_number = |number: u32| {
        let is_it = |fields: &Vec<&[u8]>| fields.get(2).is_some_and(|field| self::number(field) == Some(number));
        lines(&passwd).find(is_it)
    };
    let mut found = match number_of(name) {
        Some(user) => FoundUser { user, group: user, groups: Vec::new(), home: home(by_number(user).as_ref()) },
        None => {
            let fields = line(&passwd, name).ok_or_else(|| unknown(name, "/etc/passwd"))?;
            let numbers = fields.get(2).zip(fields.get(3)).and_then(|(user, group)| Some((number(user)?, number(group)?)));
            let (user, group) = numbers.ok_or_else(|| unknown(name, "/etc/passwd"))?;
            FoundUser { user, group, groups: Vec::new(), home: home(Some(&fields)) }
        }
    };
    let is_named = number_of(name).is_none();
    match group.filter(|group| !group.is_empty()) {
        Some(group) => {
            found.group = match known(group) {
                Some(number) => number,
                None => {
                    let groups = read(files, b"etc/group")?.unwrap_or_default();
                    let fields = line(&groups, group).and_then(|fields| number(fields.get(2)?));
                    fields.ok_or_else(|| unknown(group, "/etc/group"))?
                }
            };
        }
        None if is_named => {
            let groups = read(files, b"etc/group")?.unwrap_or_default();
            let lists_it = |fields: &Vec<&[u8]>| {
                let members = fields.get(3).into_iter().flat_map(|members| members.split(|byte| *byte == b','));
                members.into_iter().any(|member| member.trim_ascii() == name.as_bytes())
            };
            found.groups = lines(&groups).filter(lists_it).filter_map(|fields| number(fields.get(2)?)).collect();
        }
        None => {}
    }
    Ok(found)
}

/// The number of a user or a group that needs no look-up, as BuildKit has it.
fn known(name: &str) -> Option<u32> {
    if name == "root" { Some(0) } else { name.parse().ok() }
}

/// The fields of the first line that is about `name`.
fn line<'l>(lines: &'l [u8], name: &str) -> Option<Vec<&'l [u8]>> {
    self::lines(lines).find(|fields| fields.first() == Some(&name.as_bytes()))
}

/// The fields of each line.
fn lines<'l>(lines: &'l [u8]) -> impl Iterator<Item = Vec<&'l [u8]>> {
    let fields = |line: &'l [u8]| line.trim_ascii().split(|byte| *byte == b':').collect::<Vec<_>>();
    lines.split(|byte| *byte == b'\n').map(fields)
}

fn number(field: &[u8]) -> Option<u32> {
    str::from_utf8(field).ok()?.trim().parse().ok()
}
