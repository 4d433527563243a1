//! The semantic version that a tag spells.

use semver::Version;

/// Returns the version that `tag` is: three numbers with an optional leading `v`, and what semver lets stand behind them.
/// Returns none for any other tag.
pub fn of_tag(tag: &str) -> Option<Version> {
    Version::parse(tag.strip_prefix('v').unwrap_or(tag)).ok()
}
