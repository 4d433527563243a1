//! Owners by name, as an image's own `/etc/passwd` and `/etc/group` have them.

use std::iter;

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
    /// The IDs of all groups, that one first.
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
        Error::input(format!("`{name}` is not known: there is nothing below, and so no /etc/passwd and no /etc/group"))
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
/// root. As docker has it, a user who is known, by name or number, brings the first group and all that list him, unless a
/// group is named; a number that nobody has is of the group 0, and is never taken for a name. A name that nobody has is an
/// error.
pub fn find_user(user: &str, files: &Files, read: &mut Read<'_>) -> Result<FoundUser> {
    let (name, group) = user.split_once(':').map_or((user, ""), |(user, group)| (user, group));
    let name = if name.is_empty() { "0" } else { name };
    let unknown = |name: &str, file: &str| {
        Error::input(format!("there is no `{name}` in the image's {file}"))
            .with_hint("add it in an earlier step, or give its number")
    };
    let passwd = read(files, b"etc/passwd")?.unwrap_or_default();
    let fields = named(&passwd, name);
    let numbers = |fields: &Vec<&[u8]>| Some((number(fields.get(2)?)?, number(fields.get(3)?)?));
    let (user, first) = match (fields.as_ref().and_then(numbers), known(name)) {
        (Some(numbers), _) => numbers,
        (None, Some(number)) => (number, 0),
        (None, None) => return Err(unknown(name, "/etc/passwd")),
    };
    let home = match fields.as_ref().and_then(|fields| fields.get(5)) {
        Some(home) if home.starts_with(b"/") => home.to_vec(),
        _ => b"/".to_vec(),
    };
    let lines = read(files, b"etc/group")?.unwrap_or_default();
    if !group.is_empty() {
        let found = named(&lines, group).and_then(|fields| number(fields.get(2)?));
        let group = found.or_else(|| known(group)).ok_or_else(|| unknown(group, "/etc/group"))?;
        return Ok(FoundUser { user, group, groups: vec![group], home });
    }
    let name = fields.as_ref().and_then(|fields| fields.first().copied());
    let lists_him = |fields: &Vec<&[u8]>| {
        let members = fields.get(3).copied().unwrap_or_default();
        name.is_some_and(|name| members.split(|byte| *byte == b',').any(|member| member.trim_ascii() == name))
    };
    let further = self::lines(&lines).filter(lists_him).filter_map(|fields| number(fields.get(2)?));
    let groups = iter::once(first).chain(further.filter(|group| *group != first)).collect();
    Ok(FoundUser { user, group: first, groups, home })
}

/// The fields of the first line that is about `name`, or has this number.
fn named<'l>(lines: &'l [u8], name: &str) -> Option<Vec<&'l [u8]>> {
    match name.parse() {
        Ok(wanted) => self::lines(lines).find(|fields| fields.get(2).and_then(|field| number(field)) == Some(wanted)),
        Err(_) => line(lines, name),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Attributes, Content, Kind, Node};

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\nbare:x:7:8::\n\
                          77:x:500:501::/home/number:/bin/sh\n";
    const GROUP: &str = "root:x:0:\napp:x:1001:\nmore:x:50:bare, app\nother:x:51:bare\n";

    fn find(user: &str, is_empty: bool) -> Result<FoundUser> {
        let mut files = Files::new();
        if !is_empty {
            let node = |text: &str| Node::of(Kind::File(Content::Bytes(text.as_bytes().into())), Attributes::implied());
            files.put(b"etc/passwd", node(PASSWD));
            files.put(b"etc/group", node(GROUP));
        }
        find_user(user, &files, &mut |files, path| match files.get(path).map(Node::object) {
            Some(crate::tree::Object::Other(Kind::File(content))) => content.bytes().map(Some),
            _ => Ok(None),
        })
    }

    /// As `docker run --user` has it on such files.
    #[test]
    fn users_are_whom_docker_takes_them_for() {
        let found = |user: &str| {
            let FoundUser { user, group, groups, home } = find(user, false).unwrap();
            (user, group, groups, String::from_utf8(home).unwrap())
        };
        assert_eq!(found(""), (0, 0, vec![0], "/root".to_owned()));
        assert_eq!(found("app"), (1000, 1001, vec![1001, 50], "/home/app".to_owned()));
        assert_eq!(found("1000"), found("app"));
        assert_eq!(found("app:other"), (1000, 51, vec![51], "/home/app".to_owned()));
        assert_eq!(found("1000:5"), (1000, 5, vec![5], "/home/app".to_owned()));
        assert_eq!(found("bare"), (7, 8, vec![8, 50, 51], "/".to_owned()));
        assert_eq!(found("4711"), (4711, 0, vec![0], "/".to_owned()));
        assert_eq!(found("77"), (77, 0, vec![0], "/".to_owned()));
        assert_eq!(find("4711:12", true).unwrap().group, 12);
        assert_eq!(find("", true).unwrap(), FoundUser { user: 0, group: 0, groups: vec![0], home: b"/".to_vec() });
        for (user, file) in [("nobody-knows", "passwd"), ("app:nobody-knows", "group")] {
            assert!(find(user, false).unwrap_err().message.contains(file));
        }
    }
}
