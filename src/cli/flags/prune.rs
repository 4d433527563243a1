//! The flags that say how much of the local store may go, with docker's names for them.

use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;

use super::value::value;
use crate::error::{Error, Result};
use crate::net::date;
use crate::oci::Map;
use crate::plan::quantity::{Age, Size};
use crate::store::LocalStore;
use crate::store::prune::{Bound, free_space};

/// The flags that say what may go of what no name keeps.
#[derive(Debug, Args)]
pub struct PruneFlags {
    /// Remove every blob and record, everything that is unpacked, and all cache mounts, unless a name keeps them
    #[arg(short, long)]
    pub all: bool,
    /// Accepted, as with docker: nothing is asked
    #[arg(short, long, hide = true)]
    force: bool,
    /// Remove until no more than this is left, such as 500m or 2GB, instead of the limit
    #[arg(long, value_name = "SIZE", value_parser = value::<Size>, aliases = ["keep-storage", "reserved-space"])]
    keep_size: Option<Size>,
    /// The same; --keep-size is kept even where this is less
    #[arg(long, value_name = "SIZE", value_parser = value::<Size>)]
    max_used_space: Option<Size>,
    /// Remove until this much of the disk is free; --keep-size is kept even then
    #[arg(long, value_name = "SIZE", value_parser = value::<Size>)]
    min_free_space: Option<Size>,
    /// Remove what was not used for this long, such as 7d or 24h; with --keep-size, until that is reached
    #[arg(long, value_name = "DURATION", value_parser = value::<Age>)]
    unused_for: Option<Age>,
    /// Remove what until=TIME says: what was not used since then, or for this long
    #[arg(long, value_name = "FILTER", value_parser = value::<PruneFilter>)]
    filter: Vec<PruneFilter>,
    /// Accepted, as with docker
    #[arg(long, hide = true)]
    verbose: bool,
}

/// A condition of `--filter` of what is removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PruneFilter {
    /// It was not used, or made, for so long.
    Until(Duration),
    /// It has, or has not, a label of this name, and with this value, if one is given.
    Label { key: String, value: Option<String>, is_wanted: bool },
}

impl PruneFlags {
    /// Returns what they say of `store`, of which without them `usual` bytes are left. Fails for a filter that is of images.
    pub fn bound(&self, store: &LocalStore, usual: u64) -> Result<Bound> {
        let mut unused_for = self.unused_for.map(|Age(time)| time);
        for filter in &self.filter {
            match filter {
                PruneFilter::Until(time) => unused_for = unused_for.max(Some(*time)),
                PruneFilter::Label { .. } => {
                    return Err(Error::usage("--filter: what is kept between builds has no labels").with_hint(KNOWN));
                }
            }
        }
        let bytes = |size: Option<Size>| size.map(|Size(bytes)| bytes);
        let (reserved, most) = (bytes(self.keep_size), bytes(self.max_used_space));
        // What is over what leaves so much of the disk free.
        let leaving = match bytes(self.min_free_space) {
            Some(wanted) => match wanted.saturating_sub(free_space(store.root())?) {
                0 => Some(u64::MAX),
                lacking => Some(store.contents()?.size().saturating_sub(lacking)),
            },
            None => None,
        };
        let keep = match kept(reserved, most, leaving) {
            Some(keep) => keep,
            None if self.all || unused_for.is_some() => 0,
            None => usual,
        };
        Ok(Bound { keep, unused_for })
    }
}

/// Returns how many bytes are kept, as BuildKit has it: no more than `most` and than what leaves enough of the disk free, but no
/// less than what is reserved. None if nothing is said.
fn kept(reserved: Option<u64>, most: Option<u64>, leaving: Option<u64>) -> Option<u64> {
    [most, leaving].into_iter().flatten().min().max(reserved)
}

const KNOWN: &str =
    "known filters are until=TIME, such as until=24h; for images also label=KEY[=VALUE] and label!=KEY[=VALUE]";

impl FromStr for PruneFilter {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let unknown = || Error::usage(format!("the filter `{text}` is not known")).with_hint(KNOWN);
        let (key, value) = text.split_once('=').ok_or_else(unknown)?;
        let label = |is_wanted| match value.split_once('=') {
            Some((key, value)) => PruneFilter::Label { key: key.to_owned(), value: Some(value.to_owned()), is_wanted },
            None => PruneFilter::Label { key: value.to_owned(), value: None, is_wanted },
        };
        match key {
            "until" | "unused-for" => Ok(PruneFilter::Until(age(value).ok_or_else(unknown)?)),
            "label" => Ok(label(true)),
            "label!" => Ok(label(false)),
            _ => Err(unknown()),
        }
    }
}

impl PruneFilter {
    /// Returns for how long something was not to be used or made; none for a filter of another kind.
    pub fn time(&self) -> Option<Duration> {
        match self {
            PruneFilter::Until(time) => Some(*time),
            PruneFilter::Label { .. } => None,
        }
    }

    /// Returns whether an image passes that was made at `created`, in seconds since 1970, and whose `labels` are these.
    pub fn passes(&self, created: u64, labels: &[Map<String>]) -> bool {
        match self {
            PruneFilter::Until(time) => {
                let created = UNIX_EPOCH.checked_add(Duration::from_secs(created));
                created.is_some_and(|created| SystemTime::now().duration_since(created).is_ok_and(|age| age >= *time))
            }
            PruneFilter::Label { key, value, is_wanted } => {
                let has = |labels: &Map<String>| {
                    labels.get(key).is_some_and(|label| value.as_ref().is_none_or(|value| label == value))
                };
                labels.iter().any(has) == *is_wanted
            }
        }
    }
}

/// Reads how long ago a time is, in docker's forms: a duration, seconds since 1970, or a date with or without a time, in UTC
/// where no zone is named. None for anything else.
pub fn age(text: &str) -> Option<Duration> {
    if let Ok(Age(duration)) = text.parse() {
        return Some(duration);
    }
    let time = match text.parse() {
        Ok(seconds) => UNIX_EPOCH.checked_add(Duration::from_secs(seconds))?,
        Err(_) => ["", "Z", "T00:00:00Z", ":00Z"].iter().find_map(|end| date::rfc3339(&format!("{text}{end}")))?,
    };
    // What is yet to come is everything.
    Some(SystemTime::now().duration_since(time).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_what_buildkit_keeps() {
        assert_eq!(kept(None, None, None), None);
        assert_eq!(kept(Some(10), None, None), Some(10));
        assert_eq!(kept(None, Some(50), None), Some(50));
        assert_eq!(kept(Some(60), Some(50), None), Some(60));
        assert_eq!(kept(None, None, Some(70)), Some(70));
        assert_eq!(kept(None, Some(50), Some(70)), Some(50));
        assert_eq!(kept(None, Some(90), Some(70)), Some(70));
        assert_eq!(kept(Some(80), Some(90), Some(70)), Some(80));
        assert_eq!(kept(None, None, Some(0)), Some(0));
    }

    #[test]
    fn times_are_in_dockers_forms() {
        assert_eq!(age("24h"), Some(Duration::from_secs(86_400)));
        assert_eq!(age("7d"), Some(Duration::from_secs(7 * 86_400)));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        for (text, then) in [
            ("1000000000", 1_000_000_000),
            ("2001-09-09T01:46:40Z", 1_000_000_000),
            ("2001-09-09T01:46:40", 1_000_000_000),
            ("2001-09-09T03:46:40+02:00", 1_000_000_000),
            ("2001-09-09T01:46", 999_999_960),
            ("2001-09-09", 999_993_600),
        ] {
            let found = age(text).unwrap_or_else(|| panic!("{text}")).as_secs();
            assert!(found.abs_diff(now - then) < 60, "{text}: {found}");
        }
        assert_eq!(age("99999999999"), Some(Duration::ZERO));
        for wrong in ["", "yesterday", "-1h", "2001-09"] {
            assert_eq!(age(wrong), None, "{wrong}");
        }
    }
}
