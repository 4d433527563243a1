//! The times of an image and its files.

use crate::error::{Error, Result};
use crate::net::date;
use crate::plan::Checkout;
use crate::source::modified::Modified;

/// Returns the time of the image and its history, if there is one to go by, and that of its files. A commit gives its time to
/// the image alone: files that it did not change are to make the layers that they made before it.
pub fn times(flag: Option<&str>, epoch: Option<i64>, checkout: Option<&Checkout>) -> Result<(Option<i64>, Modified)> {
    let commit = checkout.and_then(|checkout| checkout.commit_time);
    let usual = epoch.or(commit);
    let given = match flag {
        None => return Ok((usual, Modified::default())),
        Some("preserve") => return Ok((usual, Modified::Preserve)),
        Some("now") => date::now(),
        Some("git") => commit.ok_or_else(|| {
            Error::input("--timestamp git: the context is not in a git checkout with a commit")
                .with_hint("give the time in seconds since 1970")
        })?,
        Some(seconds) => seconds.parse().map_err(|_| {
            Error::usage(format!("--timestamp: `{seconds}` is not a time"))
                .with_hint("it must be a number of seconds since 1970, git, now or preserve")
        })?,
    };
    Ok((Some(given), Modified::At(given)))
}
