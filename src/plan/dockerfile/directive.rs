//! What comments at the very top tell the reader.

use super::line::BYTE_ORDER_MARK;
use super::{LintRule, Span, Text, Word};
use crate::error::{Error, Result};
use crate::plan::quantity;

/// The escape character where no directive says otherwise.
pub(super) const ESCAPE: char = '\\';

const CHECK: &str = "check";
const NAMES: [&str; 3] = ["syntax", "escape", CHECK];

/// The repository of the front end that is built in, and that of its state between versions.
const FRONT_ENDS: [&str; 2] = ["docker/dockerfile", "docker/dockerfile-upstream"];

/// The newest version of it whose words are read here is 1 and this.
const NEWEST_MINOR: u64 = 22;

/// Parser directives.
#[derive(Debug, Clone, PartialEq)]
pub struct Directives {
    /// The image of the front end that was asked for; it is not fetched.
    pub syntax: Option<Word>,
    /// `\` or `` ` ``.
    pub escape: char,
    /// The rules that `# check=` turns off and on.
    pub check: Check,
}

/// `# check=skip=RULE,…;error=true;experimental=RULE,…`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Check {
    /// Rules that are off; none by default.
    pub skip: Rules,
    /// Rules that are off unless they are named.
    pub experimental: Rules,
    /// A warning fails the build.
    pub error: bool,
}

/// Names that no rule has mean nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rules {
    /// Every rule, as in `skip=all`.
    All,
    /// The rules of these names.
    These(Vec<LintRule>),
}

/// Returns whether `image` is the front end that is built in, wherever it is kept, with a tag of a known version or of none.
fn is_built_in(image: &str) -> bool {
    let image = image.split('@').next().unwrap_or_default();
    let tag = image.rsplit('/').next().and_then(|last| last.split_once(':')).map(|(_, tag)| tag);
    let name = tag.map_or(image, |tag| &image[..image.len() - tag.len() - 1]);
    let is_it = |known: &str| name.strip_suffix(known).is_some_and(|host| host.is_empty() || host.ends_with('/'));
    if !FRONT_ENDS.into_iter().any(is_it) {
        return false;
    }
    let version = tag.unwrap_or("latest");
    let version =
        ["-labs", "-experimental"].iter().find_map(|channel| version.strip_suffix(channel)).unwrap_or(version);
    let mut numbers = version.split('.').map(str::parse::<u64>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), minor) => {
            major == 1 && minor.is_none_or(|minor| minor.is_ok_and(|minor| minor <= NEWEST_MINOR))
        }
        _ => matches!(version, "latest" | "labs" | "experimental" | "master"),
    }
}

/// One line `# name=value`.
struct Directive {
    name: &'static str,
    value: Word,
    line: Span,
    /// The place where the next line begins.
    next: usize,
}

impl Directives {
    /// Returns the front end that was asked for where that is another than the built-in one, or a version of it whose words are
    /// not read here.
    pub fn foreign_syntax(&self) -> Option<&Word> {
        self.syntax.as_ref().filter(|syntax| !is_built_in(&syntax.text))
    }

    /// Reads them, and tells where the lines behind them begin. Directives end at the first line that is none; those for the
    /// choice of a front end and for the checks may stand below a `#!` line.
    pub(super) fn read(text: &Text) -> Result<(Directives, usize)> {
        let start = if text.content.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len_utf8() } else { 0 };
        let strict = scan(text, start, str::trim_start);
        for (at, directive) in strict.iter().enumerate() {
            if strict[..at].iter().any(|earlier| earlier.name == directive.name) {
                return Err(Error::input(format!("there are two `{}` directives", directive.name))
                    .with_excerpt(text.excerpt(&directive.line))
                    .with_hint("leave one of them out"));
            }
        }
        let escape = match strict.iter().find(|directive| directive.name == "escape") {
            None => ESCAPE,
            Some(directive) => escape(text, &directive.value)?,
        };
        let front = scan(text, behind_interpreter_line(text, start), |line| line);
        let find = |name| front.iter().find(|directive| directive.name == name).map(|found| until_space(&found.value));
        let syntax = find("syntax");
        let check = find(CHECK).map(|value| Check::read(text, &value)).transpose()?.unwrap_or_default();
        let end = strict.last().map_or(start, |directive| directive.next);
        Ok((Directives { syntax, escape, check }, end))
    }
}

/// The directives from `start` on, each line as `prepare` leaves it.
fn scan(text: &Text, start: usize, prepare: fn(&str) -> &str) -> Vec<Directive> {
    let mut at = start;
    let mut directives = Vec::new();
    for whole in text.content[start..].split_inclusive('\n') {
        let line = whole.trim_end_matches(['\r', '\n']);
        let Some(comment) = prepare(line).strip_prefix('#') else { break };
        let Some((name, value)) = directive(comment.trim_start()) else { break };
        let end = at + line.trim_end_matches(ASCII_WHITESPACE).len();
        let value = Word { text: value.to_owned(), span: end - value.len()..end };
        let start = at;
        at += whole.len();
        directives.push(Directive { name, value, line: start..end, next: at });
    }
    directives
}

const ASCII_WHITESPACE: [char; 5] = ['\t', '\n', '\u{c}', '\r', ' '];

fn directive(comment: &str) -> Option<(&'static str, &str)> {
    let (name, value) = comment.split_once('=')?;
    let name = name.trim_end_matches(ASCII_WHITESPACE);
    let name = NAMES.into_iter().find(|known| name.eq_ignore_ascii_case(known))?;
    Some((name, value.trim_matches(ASCII_WHITESPACE))).filter(|(_, value)| !value.is_empty())
}

fn behind_interpreter_line(text: &Text, start: usize) -> usize {
    let rest = &text.content[start..];
    match rest.starts_with("#!") {
        true => start + rest.find('\n').map_or(rest.len(), |newline| newline + 1),
        false => start,
    }
}

/// Returns the value up to the first space: what stands behind it is for front ends that know of it.
fn until_space(value: &Word) -> Word {
    let length = value.text.find(' ').unwrap_or(value.text.len());
    Word { text: value.text[..length].to_owned(), span: value.span.start..value.span.start + length }
}

fn escape(text: &Text, value: &Word) -> Result<char> {
    match value.text.as_str() {
        "\\" => Ok('\\'),
        "`" => Ok('`'),
        other => Err(Error::input(format!("`{other}` cannot be the escape character"))
            .with_excerpt(text.excerpt(&value.span))
            .with_hint("it is a backslash (\\) or a backtick (`)")),
    }
}

impl Check {
    /// Reads what stands behind `check=`, or in the build argument `BUILDKIT_DOCKERFILE_CHECK`. Fails for anything
    /// else, with no excerpt.
    pub fn parse(options: &str) -> Result<Check> {
        let mut check = Check::default();
        if options.trim().is_empty() {
            return Ok(check);
        }
        for option in options.splitn(3, ';') {
            let known = "known options are skip=RULE,… (or skip=all), error=true and experimental=RULE,…";
            let refuse = || Error::input(format!("`{option}` is not a check option")).with_hint(known);
            let (name, value) = option.split_once('=').ok_or_else(refuse)?;
            let value = value.trim();
            match name.trim() {
                "skip" => check.skip = Rules::parse(value),
                "experimental" => check.experimental = Rules::parse(value),
                "error" => check.error = quantity::boolean(value).ok_or_else(refuse)?,
                _ => return Err(refuse()),
            }
        }
        Ok(check)
    }

    /// Returns what a comment right above an instruction says of that instruction alone, as in `check=skip=RULE //
    /// REASON`. None if it says nothing about checks that could be understood.
    pub(super) fn of_comment(comment: &str) -> Option<Check> {
        let (_, value) = directive(comment).filter(|(name, _)| *name == CHECK)?;
        let options = value.split_once("//").map_or(value, |(options, _)| options);
        Check::parse(options).ok()
    }

    /// Returns this and `own` together; `error` is about the whole file, and stays.
    pub(super) fn with(mut self, own: Check) -> Check {
        self.skip.add(own.skip);
        self.experimental.add(own.experimental);
        self
    }

    /// Returns whether a warning of that rule is shown.
    pub fn wants(&self, rule: LintRule) -> bool {
        if rule.is_experimental() { self.experimental.has(rule) } else { !self.skip.has(rule) }
    }

    fn read(text: &Text, value: &Word) -> Result<Check> {
        Check::parse(&value.text).map_err(|error| error.with_excerpt(text.excerpt(&value.span)))
    }
}

impl Rules {
    fn parse(names: &str) -> Rules {
        match names {
            "all" => Rules::All,
            names => Rules::These(names.split(',').filter_map(|name| LintRule::named(name.trim())).collect()),
        }
    }

    fn add(&mut self, more: Rules) {
        match (&mut *self, more) {
            (Rules::These(rules), Rules::These(more)) => rules.extend(more),
            (_, Rules::These(_)) => {}
            (all, Rules::All) => *all = Rules::All,
        }
    }

    /// Returns whether `rule` is among them.
    pub fn has(&self, rule: LintRule) -> bool {
        match self {
            Rules::All => true,
            Rules::These(rules) => rules.contains(&rule),
        }
    }
}

impl Default for Rules {
    fn default() -> Self {
        Rules::These(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_front_end_that_is_built_in_is_known_by_its_name_and_version() {
        for image in [
            "docker/dockerfile:1",
            "docker/dockerfile",
            "docker.io/docker/dockerfile:1.4",
            "docker/dockerfile:1.7.1",
            "docker/dockerfile:1-labs",
            "docker/dockerfile:1.3-labs",
            "docker/dockerfile:labs",
            "docker/dockerfile:1.0-experimental",
            "docker/dockerfile-upstream:master-labs",
            "docker/dockerfile:1.4@sha256:9ba7531bd80fb0a858632727cf7a112fbfd19b17e94c4e84ced81e24ef1a0dbc",
            "localhost:5000/docker/dockerfile:1",
        ] {
            assert!(is_built_in(image), "{image}");
        }
        for image in [
            "docker/dockerfile:2",
            "docker/dockerfile:1.999",
            "docker/dockerfile:0.9",
            "docker/dockerfile:1.x",
            "me/docker-dockerfile:1",
            "mydocker/dockerfile:1",
            "ghcr.io/reproducible-containers/buildkit-nix:v0.0.2",
            "dockerfile",
        ] {
            assert!(!is_built_in(image), "{image}");
        }
    }
}
