//! `COPY` and `ADD`, from one file system in memory to another, as BuildKit does it (its file operations, and the copier of
//! fsutil that they use).

use std::collections::HashMap;

use super::edit::{Edit, Manner, Onto};
use super::entry::{Attributes, Kind};
use super::files::{Files, Node, Object};
use super::ignore::Ignore;
use super::mode::Mode;
use super::path::{DEEPEST, joined, names, parent, shortened};
use super::pattern::{Pattern, from_root};
use super::time::Time;
use crate::error::{Error, Result};

const COPIED: Manner = Manner { done: "copied to it", hint: None };

/// How a step copies, whatever it copies from.
pub struct Copier<'a> {
    /// Where to: a path without a leading slash, empty for the root.
    pub to: &'a str,
    /// Sources go into `to` under their own names, if it is there or not.
    pub into: bool,
    /// The owner of all that is copied; without it, everything keeps its own.
    pub owner: Option<(u32, u32)>,
    /// The change of permissions of all that is copied; without it, everything keeps its own.
    pub mode: Option<&'a Mode>,
    /// The time of all that is copied, in seconds since 1970; without it, everything keeps its own.
    pub time: Option<i64>,
    /// The patterns of what is left out, relative to what is copied from.
    pub exclude: Ignore,
}

/// An object of a file system that a pattern stands for.
pub struct Matched<'a> {
    /// The last name of the path by which it was found, which may be a link's.
    pub name: Vec<u8>,
    /// The path at which it lies, with links followed.
    pub path: Vec<u8>,
    /// The object at that path.
    pub node: &'a Node,
}

/// Something to be copied, by its path in what it is copied from.
struct FoundNode<'a> {
    path: Vec<u8>,
    node: &'a Node,
    /// Something in it matches, and it does not.
    only_leads: bool,
}

/// A pattern of `--parents`: where to start, and what is meant from there on.
pub struct Pivot {
    /// The path in front of the first `/./`, which is left out of the destination; empty without one.
    pub start: String,
    /// The path behind it, which is kept below the destination.
    pub pattern: String,
}

impl Pivot {
    /// Returns the parts of `pattern`; all of it is kept where it has no `/./`.
    pub fn of(pattern: &str) -> Self {
        let (start, pattern) = pattern.split_once("/./").unwrap_or(("", pattern));
        Pivot { start: start.to_owned(), pattern: from_root(pattern) }
    }
}

/// Returns what `pattern` stands for in `files`, sorted; links that it names are followed. One without wildcards that stands
/// for nothing is an error; `what` is what `files` are called in it.
pub fn matched<'f>(files: &'f Files, pattern: &str, what: &str) -> Result<Vec<Matched<'f>>> {
    let pattern = from_root(pattern);
    let parts: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty()).collect();
    let literal = parts.iter().position(|part| has_wildcard(part)).unwrap_or(parts.len());
    if parts.len() > DEEPEST {
        let shown = shortened(&pattern);
        return Err(Error::input(format!(
            "the path {shown} is {} names deep, more than the limit of {DEEPEST}",
            parts.len()
        )));
    }
    let (literal, wild) = parts.split_at(literal);
    let start = literal.join("/").into_bytes();
    if wild.is_empty() {
        return Ok(vec![followed(files, start, &pattern, what)?]);
    }
    let start = followed(files, start, &pattern, what)?;
    let wild = wild.iter().map(|part| one_name(part).parse()).collect::<Result<Vec<Pattern>>>()?;
    let mut paths = Vec::new();
    descend(start.node, &start.path, &wild, &mut paths);
    paths.into_iter().map(|path| followed(files, path, &pattern, what)).collect()
}

/// Returns whether `name` has a character that means something in Go's `filepath.Match`. A backslash alone does not count.
pub fn has_wildcard(name: &str) -> bool {
    let mut characters = name.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => drop(characters.next()),
            '*' | '?' | '[' => return true,
            _ => {}
        }
    }
    false
}

/// Returns the start of `pattern` that has no wildcards, as a path.
pub fn literal_start(pattern: &str) -> String {
    let pattern = from_root(pattern);
    pattern.split('/').take_while(|part| !has_wildcard(part)).collect::<Vec<_>>().join("/")
}

impl Copier<'_> {
    /// Copies `source`: a file to the destination, or into it if that is a directory, and a directory's contents. With
    /// `only`, nothing but what it matches in a directory, and the directories that lead to it.
    pub fn copy(&self, source: &Matched<'_>, only: Option<&Ignore>, edit: &mut Edit) -> Result<()> {
        let path = self.to.as_bytes();
        let ensured = if self.into { path } else { parent(path).unwrap_or_default() };
        let ensured = edit.files().real(ensured)?;
        edit.make_directory_for(&ensured, self.mode)?;
        let mut destination = edit.files().real(path)?;
        if source.node.is_directory() {
            if edit.files().get(&destination).is_none() {
                edit.make_directory_for(&destination, self.mode)?;
            }
        } else {
            if self.exclude.matches(&source.name) {
                return Ok(());
            }
            if edit.files().get(&destination).is_some_and(Node::is_directory) {
                destination = joined(&destination, &source.name);
            }
            edit.make_directory_for(parent(&destination).unwrap_or_default(), self.mode)?;
        }
        let mut found = Vec::new();
        self.find(source.node, Vec::new(), only, &mut Vec::new(), &mut found);
        let mut links = HashMap::new();
        found.into_iter().try_for_each(|found| self.place(found, &destination, &mut links, edit))
    }

    /// Notes `node` and all below it that is to be copied, each directory before what is in it.
    fn find<'n>(
        &self,
        node: &'n Node,
        path: Vec<u8>,
        only: Option<&Ignore>,
        leading: &mut Vec<Option<FoundNode<'n>>>,
        found: &mut Vec<FoundNode<'n>>,
    ) {
        let is_wanted =
            path.is_empty() || (only.is_none_or(|only| only.matches(&path)) && !self.exclude.matches(&path));
        if is_wanted {
            found.extend(leading.iter_mut().filter_map(Option::take));
        }
        let this = || FoundNode { path: path.clone(), node, only_leads: !is_wanted };
        let Some(children) = node.children() else {
            found.extend(is_wanted.then(this));
            return;
        };
        if is_wanted {
            found.push(this());
            leading.push(None);
        } else {
            leading.push(Some(this()));
        }
        for (name, child) in children {
            self.find(child, joined(&path, name), only, leading, found);
        }
        leading.pop();
    }

    fn place(
        &self,
        found: FoundNode<'_>,
        destination: &[u8],
        links: &mut HashMap<usize, Node>,
        edit: &mut Edit,
    ) -> Result<()> {
        let path = joined(destination, &found.path);
        let Object::Other(kind) = found.node.object() else {
            let onto = match found.only_leads {
                // What is copied to stays as it is.
                _ if found.path.is_empty() => Onto::NOTHING,
                true => Onto { mode: true, ..Onto::NOTHING },
                false => Onto::ALL,
            };
            let mut attributes = self.dressed(found.node);
            if found.only_leads && edit.files().get(&path).is_some() {
                attributes.mode = found.node.attributes().mode;
            }
            return edit.bring(path, Node::directory(attributes), onto, &COPIED);
        };
        let identity = found.node.identity();
        let node = match identity.and_then(|identity| links.get(&identity)) {
            Some(first) => first.clone(),
            None => Node::new(Object::Other(kind.clone()), self.dressed(found.node)),
        };
        if let Some(identity) = identity {
            links.insert(identity, node.clone());
        }
        edit.bring(path, node, Onto::NOTHING, &COPIED)
    }

    /// The attributes that a copy of `node` has.
    fn dressed(&self, node: &Node) -> Attributes {
        let mut attributes = node.attributes().clone();
        if let Some((user, group)) = self.owner {
            (attributes.user, attributes.group) = (user, group);
        }
        if let Some(seconds) = self.time {
            attributes.modified = Time::of_seconds(seconds);
        }
        if let Some(mode) = self.mode
            && !matches!(node.object(), Object::Other(Kind::Symlink { .. }))
        {
            attributes.mode = mode.apply_alike(attributes.mode, node.is_directory());
        }
        attributes
    }
}

/// Returns what is at `path`, links followed.
fn followed<'f>(files: &'f Files, path: Vec<u8>, pattern: &str, what: &str) -> Result<Matched<'f>> {
    let real = files.real(&path)?;
    let node = files.get(&real).ok_or_else(|| not_there(pattern, what))?;
    let name = names(&path).next_back().unwrap_or_default().to_vec();
    Ok(Matched { name, path: real, node })
}

/// Returns the error that nothing is called `path` in `what`.
pub fn not_there(path: &str, what: &str) -> Error {
    Error::not_found(format!("there is no `{path}` in {what}"))
}

/// Notes the paths below `node` whose names match `wild`, one after the other. Links to directories are not followed.
fn descend(node: &Node, path: &[u8], wild: &[Pattern], paths: &mut Vec<Vec<u8>>) {
    let Some((first, rest)) = wild.split_first() else {
        paths.push(path.to_vec());
        return;
    };
    for (name, child) in node.children().into_iter().flatten().filter(|(name, _)| first.matches(name)) {
        descend(child, &joined(path, name), rest, paths);
    }
}

/// In Go's `filepath.Match` two stars are one.
fn one_name(part: &str) -> String {
    let mut text = String::new();
    let mut characters = part.chars().peekable();
    while let Some(character) = characters.next() {
        text.push(character);
        match character {
            '\\' => text.extend(characters.next()),
            '*' => while characters.next_if_eq(&'*').is_some() {},
            _ => {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_split_at_the_first_wildcard() {
        for (pattern, literal) in
            [("a/b", "a/b"), ("/a/./b/../c*/d", "a"), ("*", ""), ("a\\*/b", "a\\*/b"), ("../../x", "x"), (".", "")]
        {
            assert_eq!(literal_start(pattern), literal, "{pattern}");
        }
        assert_eq!(one_name("a**b\\**"), "a*b\\**");
        let Pivot { start, pattern } = Pivot::of("./a/./b/*.txt");
        assert_eq!((start.as_str(), pattern.as_str()), ("./a", "b/*.txt"));
        let Pivot { start, pattern } = Pivot::of("./a/b");
        assert_eq!((start.as_str(), pattern.as_str()), ("", "a/b"));
    }
}
