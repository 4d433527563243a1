//! What comments at the very top tell the reader.

use super::{Rule, Word};

/// Parser directives.
#[derive(Debug, Clone, PartialEq)]
pub struct Directives {
    /// The image of the front end that was asked for; it is not fetched.
    pub syntax: Option<Word>,
    /// `\` or `` ` ``.
    pub escape: char,
    pub check: Check,
}

/// `# check=skip=RULE,…;error=true;experimental=RULE,…`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Check {
    pub skip: Rules,
    /// Rules that are off unless they are named.
    pub experimental: Rules,
    /// Whether a warning fails the build.
    pub error: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rules {
    All,
    These(Vec<Rule>),
}

impl Check {
    /// Whether a warning of that rule is shown.
    pub fn wants(&self, rule: Rule) -> bool {
        if rule.is_experimental() { self.experimental.has(rule) } else { !self.skip.has(rule) }
    }
}

impl Rules {
    pub fn has(&self, rule: Rule) -> bool {
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
