//! The lock of a recipe's bases, read and written.

use super::recipe::Recipe;
use crate::cli::flags::base::BaseFlags;
use crate::cli::text_file::read_text;
use crate::error::{Error, Result};
use crate::plan::BaseLock;
use crate::source::base::{BaseStore, Holding, Pins, Pull};
use crate::store::pending::PendingFile;

/// The largest lock, in bytes; far more than any needs.
const LOCK_LIMIT: u64 = 1 << 20;

/// Returns the pins of the lock of `recipe`, none of them if there is no lock, and what becomes of it. Fails for a lock
/// that cannot be read, and for flags that would write one where none can be.
pub fn pins(flags: &BaseFlags, recipe: &Recipe<'_>) -> Result<Pins> {
    if !recipe.is_local() && (flags.lock || flags.update_lock) {
        return Err(Error::usage(format!("there is no place for {}: the context is not a directory", BaseLock::FILE))
            .with_hint("lock the bases where the context comes from"));
    }
    let holding = match (flags.lock, flags.update_lock) {
        (_, true) if matches!(flags.pull(), Pull::Missing | Pull::Never) => {
            return Err(Error::usage("--update-lock asks registries, but --pull says not to")
                .with_hint("leave out one of them"));
        }
        (_, true) => Holding::Renewed,
        (true, _) => Holding::Completed,
        _ => Holding::Obeyed,
    };
    let lock =
        recipe.open_lock()?.map(|(name, file)| BaseLock::parse(&name, &read_text(file, &name, LOCK_LIMIT, "lock")?));
    Ok(Pins::new(lock.transpose()?, holding))
}

/// Writes the lock of `recipe`, if it is to be and has changed; in one step.
pub fn keep(recipe: &Recipe<'_>, bases: &BaseStore<'_>) -> Result<()> {
    bases.lock().map_or(Ok(()), |lock| PendingFile::replace(&recipe.lock(), lock.to_string().as_bytes()))
}
