use crate::error::{Error, Result};
use crate::plan::Pattern;

/// Patterns as docker reads `.dockerignore` (moby's patternmatcher): `*`, `?`, `[a-z]`, `**` for any number of
/// directories, `!` to take back; the last pattern that matches a path or one of its parents decides.
#[derive(Debug, Default)]
pub struct Ignore {
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    pattern: Pattern,
    takes_back: bool,
}

impl Ignore {
    pub fn new<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let mut all = Vec::new();
        for written in patterns {
            let trimmed = written.trim();
            let (takes_back, body) = match trimmed.strip_prefix('!') {
                Some(body) => (true, body.trim()),
                None => (false, trimmed),
            };
            if trimmed.is_empty() {
                continue;
            }
            let clean = clean(body);
            let malformed = || {
                Error::input(format!("`{written}` is not a pattern"))
                    .with_hint("patterns are those of .dockerignore: *, ?, [a-z], ** and a leading ! to take back")
            };
            if body.is_empty() {
                return Err(malformed());
            }
            let pattern = clean.parse().map_err(|_| malformed())?;
            all.push(Rule { pattern, takes_back });
        }
        Ok(Ignore { rules: all })
    }

    /// Whether `path` (relative, no leading slash) is left out.
    pub fn matches(&self, path: &[u8]) -> bool {
        let mut ignored = false;
        for rule in &self.rules {
            // A rule that could not change the answer is not tried.
            if rule.takes_back == ignored && lineage(path).any(|part| rule.pattern.matches(part)) {
                ignored = !rule.takes_back;
            }
        }
        ignored
    }

    /// Whether something below an ignored directory might be taken back.
    pub fn has_exceptions(&self) -> bool {
        self.rules.iter().any(|rule| rule.takes_back)
    }
}

/// `path` and its parents, the longest first.
fn lineage(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::successors(Some(path), |path| path.iter().rposition(|byte| *byte == b'/').map(|slash| &path[..slash]))
}

/// Go's `filepath.Clean` for relative patterns, and no leading slash.
fn clean(pattern: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
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
            (&["/foo/bar/"], "foo/bar", true),
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
