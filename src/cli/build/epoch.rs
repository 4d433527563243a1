//! The time that a Dockerfile's `SOURCE_DATE_EPOCH` comes to.

use crate::cli::environment::epoch;
use crate::cli::flags::value::flag;
use crate::error::{Error, Result};
use crate::net::Stop;
use crate::oci::Map;
use crate::plan::dockerfile::{Dockerfile, Epoch, SOURCE_DATE_EPOCH};
use crate::plan::{CopyItem, shown_url};
use crate::source::context::{ContextAccess, OpenContext};
use crate::source::download::download;
use crate::source::{archive, git};
use crate::tree::newest;

/// The contexts of a build.
pub struct EpochContexts<'a> {
    pub main: &'a OpenContext,
    /// The contexts of `--build-context` that are directories now.
    pub directories: &'a [(String, OpenContext)],
    /// The names of all of `--build-context`.
    pub names: &'a [&'a str],
}

/// Returns the time that the build argument or the `ARG` before the first `FROM` names, in seconds since 1970, and none
/// if neither is there or what it names has no time. The time takes the place of what named it in `arguments` and
/// `dockerfile`, which lose it where there is none. Errors know of the flag that the argument `is_from_flag`.
pub fn settle(
    dockerfile: &mut Dockerfile,
    arguments: &mut Map<String>,
    is_from_flag: bool,
    contexts: &EpochContexts<'_>,
    access: &ContextAccess<'_>,
) -> Result<Option<i64>> {
    let is_given = arguments.contains_key(SOURCE_DATE_EPOCH);
    let is_context = |name: &str| contexts.names.contains(&name);
    let named = dockerfile.epoch(arguments, &is_context).map_err(|error| match error.excerpt {
        None if is_from_flag => flag("build-arg")(error),
        None if is_given => error.on_command_line(),
        _ => error,
    })?;
    let Some(named) = named else { return Ok(None) };
    let time = time(&named, contexts, access)?;
    let text = time.map(|time| time.to_string());
    match &text {
        Some(text) if is_given => drop(arguments.insert(SOURCE_DATE_EPOCH.to_owned(), text.clone())),
        None if is_given => drop(arguments.remove(SOURCE_DATE_EPOCH)),
        _ => {}
    }
    dockerfile.set_default(SOURCE_DATE_EPOCH, text.as_deref());
    Ok(time)
}

fn time(named: &Epoch, contexts: &EpochContexts<'_>, access: &ContextAccess<'_>) -> Result<Option<i64>> {
    match named {
        Epoch::Seconds(seconds) => epoch(&seconds.to_string()).map(Some),
        Epoch::Context => contexts.main.time(),
        Epoch::Named(name) => {
            let context = contexts.directories.iter().find(|(own, _)| own == name);
            context.map_or(Ok(None), |(_, context)| context.time())
        }
        Epoch::Remote(CopyItem::Url { url, checksum }) => {
            let downloaded = download(url, *checksum, access.store, access.client, &Stop::default(), access.progress)?;
            if let Some(modified) = downloaded.last_modified() {
                return Ok(Some(modified));
            }
            let entries = archive::entries(&downloaded.content, &shown_url(url), access.store)?;
            Ok(entries.and_then(|entries| newest(&entries)))
        }
        Epoch::Remote(CopyItem::Git { url, keep_git_dir, checksum }) => {
            let (checksum, stop) = (checksum.as_deref(), Stop::default());
            let fetched = git::fetch(url, *keep_git_dir, checksum, access.store, &stop, access.progress)?;
            Ok(fetched.checkout.commit_time)
        }
        Epoch::Remote(CopyItem::Pattern(_) | CopyItem::Text { .. }) => {
            Err(Error::input("SOURCE_DATE_EPOCH cannot be the time of a local file"))
        }
    }
}
