//! The end of a command's use of the local store, and the use of it alone.

use super::environment::Environment;
use super::print::tell;
use crate::error::Result;
use crate::progress::{Event, Progress, WarningKind};
use crate::store::LocalStore;
use crate::store::prune::{IdleStore, Limit};

/// Ends the use of the local store, which is brought under its limit if it can be; a warning says if it cannot.
pub fn trim(store: LocalStore, limit: Limit, progress: Progress<'_>) {
    if let Err(error) = store.trim(limit) {
        let hint = error.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
        let message = format!("the local store may be over its limit: {}{hint}", error.message);
        progress(Event::Warning { kind: WarningKind::StoreNotTrimmed, message: &message });
    }
}

/// Warns of a local store that goes with the end of the command.
pub fn tell_of_place(environment: &Environment, progress: Progress<'_>) {
    if let Some(why) = environment.why_temporary() {
        let message =
            format!("{why}: the local store is removed when the command ends (OCIBAKE_STORE names a place to keep it)");
        progress(Event::Warning { kind: WarningKind::TemporaryStore, message: &message });
    }
}

/// Returns the store for oneself alone, once the builds that use it have ended: they are waited for, which is said.
pub fn idle(store: LocalStore) -> Result<IdleStore> {
    let root = store.root().to_owned();
    if let Some(idle) = store.idle()? {
        return Ok(idle);
    }
    tell("waiting for the builds that use the store");
    LocalStore::open(root)?.wait_until_idle()
}
