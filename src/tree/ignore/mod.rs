//! What is left out: patterns in the language of `.dockerignore`.

mod expression;
mod rule;
mod syntax;

use std::sync::Arc;

use super::pattern::characters;
use crate::error::{Error, Result};
use rule::Rule;

/// The rules of what is left out, as docker's patternmatcher has it (moby/patternmatcher, MatchesOrParentMatches): the
/// last pattern that matches a path, or a directory above it, decides, and a pattern with a `!` takes back.
///
/// `*` and `?` stand for characters that are no slash, `[a-z]` and `[^a-z]` for one of a set, `**` for any number of
/// directories, and a backslash takes the next character as it is. Where moby makes more of a pattern than that (`**a` is any
/// path that ends with an `a`, `a|b*` an alternative), so does this. Patterns are compared from the first character on: one
/// that begins with a slash matches nothing, for [`crate::plan::dockerignore`] takes it away where it reads a line.
#[derive(Debug, Default)]
pub struct Ignore {
    rules: Vec<Rule>,
}

/// The largest ignore files have some hundred. An expression takes some 10 KiB of memory.
const MOST_PATTERNS: usize = 10_000;

/// Which patterns match a directory, or one above it: all that is below it is matched by them, too.
#[derive(Debug, Clone, Default)]
pub struct Above(Arc<[bool]>);

impl Ignore {
    /// Patterns that are empty but for white space are none. More than 10,000 are refused.
    pub fn new<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let written = patterns.into_iter().filter(|pattern| !pattern.trim().is_empty());
        let rule = |pattern: &str| {
            Rule::new(pattern.trim()).ok_or_else(|| {
                Error::input(format!("`{pattern}` is not a pattern"))
                    .with_hint("patterns are those of .dockerignore: *, ?, [a-z], ** and a leading ! to take back")
            })
        };
        let rules = written.take(MOST_PATTERNS + 1).map(rule).collect::<Result<Vec<_>>>()?;
        if rules.len() > MOST_PATTERNS {
            return Err(Error::input(format!("there are more than {MOST_PATTERNS} patterns of what is left out"))
                .with_hint("each is compared with every path: name directories instead of what is in them"));
        }
        Ok(Ignore { rules })
    }

    /// Returns whether `path` (relative, no leading slash) is left out.
    pub fn matches(&self, path: &[u8]) -> bool {
        let path = characters(path);
        self.decided(|_, rule| lineage(&path).any(|part| rule.matches(part)))
    }

    /// Returns the same of a path in a directory whose [`Above`] is known: the root's is the default.
    pub fn matches_in(&self, above: &Above, path: &[u8]) -> bool {
        let path = characters(path);
        self.decided(|place, rule| above.has(place) || rule.matches(&path))
    }

    /// Returns what is above the paths in `directory`, which lies in one with `above`.
    pub fn enter(&self, above: &Above, directory: &[u8]) -> Above {
        let directory = characters(directory);
        let places = self.rules.iter().enumerate();
        Above(places.map(|(place, rule)| above.has(place) || rule.matches(&directory)).collect())
    }

    /// Returns whether something below `directory`, which is ignored, might be taken back.
    pub fn may_take_back_below(&self, directory: &[u8]) -> bool {
        let directory = characters(directory);
        self.rules.iter().any(|rule| rule.takes_back && rule.reaches_below(&directory))
    }

    /// A rule that could not change the answer is not tried.
    fn decided(&self, matches: impl Fn(usize, &Rule) -> bool) -> bool {
        let rules = self.rules.iter().enumerate();
        rules.fold(
            false,
            |ignored, (place, rule)| {
                if rule.takes_back == ignored && matches(place, rule) { !ignored } else { ignored }
            },
        )
    }
}

impl Above {
    fn has(&self, place: usize) -> bool {
        self.0.get(place).copied().unwrap_or(false)
    }
}

/// `path` and its parents, the longest first.
fn lineage(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| path.rfind('/').map(|slash| &path[..slash]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each expectation follows from docker's documentation of .dockerignore or from patternmatcher's own rules.
    #[test]
    fn patterns_match_as_documented() {
        let cases: &[(&[&str], &str, bool)] = &[
            (&["*/temp*"], "somedir/temporary.txt", true),
            (&["*/temp*"], "somedir/temp", true),
            (&["*/temp*"], "temp", false),
            (&["*/*/temp*"], "somedir/subdir/temporary.txt", true),
            (&["*/*/temp*"], "somedir/temporary.txt", false),
            (&["temp?"], "tempa", true),
            (&["temp?"], "temp", false),
            (&["temp?"], "temp/", false),
            (&["**/*.go"], "a.go", true),
            (&["**/*.go"], "a/b/c.go", true),
            (&["*.md", "!README.md"], "README.md", false),
            (&["*.md", "!README.md"], "NOTES.md", true),
            (&["*.md", "!README*.md", "README-secret.md"], "README-secret.md", true),
            (&["*.md", "README-secret.md", "!README*.md"], "README-secret.md", false),
            (&["node_modules"], "node_modules/a/b.js", true),
            (&["node_modules"], "sub/node_modules", false),
            (&["foo/bar/"], "foo/bar", true),
            (&["/foo"], "foo", false),
            (&["a/./b/../c"], "a/c", true),
            (&["[a-c].txt"], "b.txt", true),
            (&["[^a-c].txt"], "b.txt", false),
            (&["a.b"], "axb", false),
            (&["**"], "any/thing", true),
            (&["a/**"], "a", false),
            (&["a/**"], "a/b", true),
            (&["\\*.txt"], "*.txt", true),
            (&["\\*.txt"], "a.txt", false),
            (&["", "  "], "a", false),
        ];
        for (patterns, path, ignored) in cases {
            let ignore = Ignore::new(patterns.iter().copied()).unwrap();
            assert_eq!(ignore.matches(path.as_bytes()), *ignored, "{patterns:?} on {path}");
        }
    }

    #[test]
    fn a_name_that_is_not_utf8_matches_a_star() {
        assert!(Ignore::new(["*.bin"]).unwrap().matches(b"caf\xe9.bin"));
        assert!(Ignore::new(["caf?.bin"]).unwrap().matches(b"caf\xe9.bin"));
        assert!(Ignore::new(["caf?.bin"]).unwrap().matches("café.bin".as_bytes()));
    }

    #[test]
    fn a_pattern_without_meaning_is_refused() {
        for pattern in ["!", "[a-", "[z-a]"] {
            assert!(Ignore::new([pattern]).is_err(), "{pattern}");
        }
    }
}
