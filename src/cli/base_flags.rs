use std::str::FromStr;

use clap::Args;

use super::recipe::Recipe;
use super::{read_text, value};
use crate::error::{Error, Result};
use crate::plan::{Lock, quantity};
use crate::source::base::{Bases, Holding, Pins, Pull};
use crate::store::pending::PendingFile;

/// In bytes; far more than any lock needs.
const LOCK_LIMIT: u64 = 1 << 20;

/// Whether registries are asked for bases.
#[derive(Debug, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "Base images")]
pub struct PullFlag {
    /// Ask registries what the tags of bases stand for: always, missing or never [default: ask those that can be reached]
    ///
    /// By default, a registry that cannot be reached is a warning if the base was pulled before; with --pull, or
    /// --pull=always, it is an error. With missing, only bases that were never pulled are asked for; with never, no registry
    /// is asked for anything.
    #[arg(
        long,
        value_name = "WHEN",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "always",
        value_parser = value::<Pull>
    )]
    pull: Option<Pull>,
}

/// Where images to build on come from.
#[derive(Debug, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "Base images")]
pub struct BaseFlags {
    #[command(flatten)]
    pull: PullFlag,
    /// Add the bases that are not in ocibake.lock to it, which is made if it is not there
    #[arg(long)]
    lock: bool,
    /// Take what bases stand for now, and write that to ocibake.lock
    #[arg(long, conflicts_with = "lock")]
    update_lock: bool,
}

impl PullFlag {
    pub fn pull(&self) -> Pull {
        self.pull.unwrap_or_default()
    }
}

impl BaseFlags {
    pub fn pull(&self) -> Pull {
        self.pull.pull()
    }

    /// What the lock of `recipe` says, if there is one, and what becomes of it.
    pub fn pins(&self, recipe: &Recipe<'_>) -> Result<Pins> {
        if !recipe.is_local() && (self.lock || self.update_lock) {
            return Err(Error::usage(format!("there is no place for {}: the context is not a directory", Lock::FILE))
                .with_hint("lock the bases where the context comes from"));
        }
        let holding = match (self.lock, self.update_lock) {
            (_, true) if matches!(self.pull(), Pull::Missing | Pull::Never) => {
                return Err(Error::usage("--update-lock asks registries, and --pull says not to")
                    .with_hint("leave out one of them"));
            }
            (_, true) => Holding::Renewed,
            (true, _) => Holding::Completed,
            _ => Holding::Obeyed,
        };
        let lock =
            recipe.open_lock()?.map(|(name, file)| Lock::parse(&name, &read_text(file, &name, LOCK_LIMIT, "lock")?));
        Ok(Pins::new(lock.transpose()?, holding))
    }

    /// Writes the lock of `recipe`, if it is to be and has changed; in one step.
    pub fn keep(&self, recipe: &Recipe<'_>, bases: &Bases<'_>) -> Result<()> {
        bases.lock().map_or(Ok(()), |lock| PendingFile::replace(&recipe.lock(), lock.to_string().as_bytes()))
    }
}

impl FromStr for Pull {
    type Err = Error;

    /// With docker's booleans, too.
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "always" => Ok(Pull::Always),
            "missing" => Ok(Pull::Missing),
            "never" => Ok(Pull::Never),
            _ => match quantity::boolean(text) {
                Some(true) => Ok(Pull::Always),
                Some(false) => Ok(Pull::Usual),
                None => Err(Error::usage(format!("`{text}` does not say when to pull"))
                    .with_hint("it is always, missing or never")),
            },
        }
    }
}
