//! Which targets are meant: names and patterns of the command line, and groups.

use std::collections::BTreeMap;

use super::definition::BakeDefinition;
use crate::error::{Error, Result, suggestion};
use crate::tree::Pattern;

/// How deep groups may lie in each other.
const DEEPEST: usize = 64;

/// A pattern of names.
pub(super) struct NamePattern(Pattern);

/// Reads a pattern as Go's `path.Match` does: two stars are as one.
pub(super) fn pattern(text: &str) -> Result<NamePattern> {
    let mut single = String::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        single.push(character);
        match character {
            '\\' => single.extend(characters.next()),
            '*' => while characters.next_if_eq(&'*').is_some() {},
            _ => {}
        }
    }
    single.parse().map(NamePattern).map_err(Error::on_command_line)
}

impl NamePattern {
    pub fn matches(&self, name: &str) -> bool {
        self.0.matches(name.as_bytes())
    }
}

/// The targets and the groups that names stand for.
#[derive(Debug, Clone, Default)]
pub(super) struct GroupMembers {
    pub targets: Vec<String>,
    pub groups: Vec<String>,
}

/// Returns the name of a target as bake has it: one of a service may have dots.
pub fn target_name(name: &str) -> String {
    name.replace('.', "_")
}

impl BakeDefinition {
    /// Returns the names of targets and groups that words of the command line mean, patterns resolved.
    pub(super) fn named(&self, words: &[String]) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for word in words.iter().map(|word| target_name(word)) {
            if !word.contains(['*', '?', '[', ']']) {
                add(&mut names, word);
                continue;
            }
            let all = self.groups().iter().map(|group| &group.name);
            let all = all.chain(self.targets().iter().map(|target| &target.name));
            let pattern = pattern(&word)?;
            let mut is_met = false;
            for name in all.filter(|name| pattern.matches(name)) {
                is_met = true;
                add(&mut names, name.clone());
            }
            if !is_met {
                let error = Error::not_found(format!("could not find any target matching \"{word}\""));
                let near = suggestion(&word, self.targets().iter().map(|target| target.name.as_str()));
                return Err(match near {
                    Some(near) => error.with_hint(format!("did you mean `{near}`?")),
                    None => error.with_hint("--list targets shows what there is"),
                });
            }
        }
        Ok(names)
    }

    /// Returns the targets and the groups that `name` stands for. A group goes before a target of its name; within itself, its
    /// name is that of the target.
    pub(super) fn members(&self, name: &str) -> Result<GroupMembers> {
        let mut visited = BTreeMap::new();
        self.visit(name, &mut visited, 0)
    }

    fn visit(&self, name: &str, visited: &mut BTreeMap<String, GroupMembers>, depth: usize) -> Result<GroupMembers> {
        if let Some(members) = visited.get(name) {
            return Ok(members.clone());
        }
        let Some(group) = self.group(name) else {
            return Ok(GroupMembers { targets: vec![name.to_owned()], groups: Vec::new() });
        };
        if depth > DEEPEST {
            return Err(Error::input(format!("groups are nested more than {DEEPEST} deep, down to `{name}`")));
        }
        visited.insert(name.to_owned(), GroupMembers::default());
        let mut members = GroupMembers { targets: Vec::new(), groups: vec![name.to_owned()] };
        for target in group.targets.iter().flatten() {
            let GroupMembers { targets, groups } = self.visit(target, visited, depth + 1)?;
            if targets.is_empty() {
                add(&mut members.targets, target.clone());
            }
            targets.into_iter().for_each(|target| add(&mut members.targets, target));
            groups.into_iter().for_each(|group| add(&mut members.groups, group));
        }
        visited.insert(name.to_owned(), members.clone());
        Ok(members)
    }
}

/// Adds what is not there yet.
fn add(names: &mut Vec<String>, name: String) {
    if !names.contains(&name) {
        names.push(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_of_go() {
        let matches = |text: &str, name: &str| pattern(text).map(|pattern| pattern.matches(name)).ok();
        for (text, name, expected) in [
            ("*", "app", Some(true)),
            ("**p", "app", Some(true)),
            ("a?p", "app", Some(true)),
            ("[a-c]pp", "app", Some(true)),
            ("[^a]pp", "app", Some(false)),
            ("app", "application", Some(false)),
            ("[a", "app", None),
        ] {
            assert_eq!(matches(text, name), expected, "{text}");
        }
    }
}
