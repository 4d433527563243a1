//! The end of a command's use of the local store.

use crate::progress::{Event, Progress, WarningKind};
use crate::store::LocalStore;
use crate::store::prune::Limit;

/// Ends the use of the local store, which is brought under its limit if it can be; a warning says if it cannot.
pub fn trim(store: LocalStore, limit: Limit, progress: Progress<'_>) {
    if let Err(error) = store.trim(limit) {
        let hint = error.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
        let message = format!("the local store may be over its limit: {}{hint}", error.message);
        progress(Event::Warning { kind: WarningKind::StoreNotTrimmed, message: &message });
    }
}
