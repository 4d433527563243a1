//! The flags about the images to build on.

use std::str::FromStr;

use clap::Args;

use super::value::value;
use crate::error::{Error, Result};
use crate::plan::quantity;
use crate::source::base::Pull;

/// The flag that says when registries are asked for bases.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
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
    pub pull: Option<Pull>,
}

/// The flags about where images to build on come from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "Base images")]
pub struct BaseFlags {
    #[command(flatten)]
    pub pull: PullFlag,
    /// Add the bases that are not in ocibake.lock to it, which is made if it is not there
    #[arg(long)]
    pub lock: bool,
    /// Take what bases stand for now, and write that to ocibake.lock
    #[arg(long, conflicts_with = "lock")]
    pub update_lock: bool,
}

impl PullFlag {
    /// Returns when registries are asked.
    pub fn pull(&self) -> Pull {
        self.pull.unwrap_or_default()
    }
}

impl BaseFlags {
    /// Returns when registries are asked.
    pub fn pull(&self) -> Pull {
        self.pull.pull()
    }
}

impl FromStr for Pull {
    type Err = Error;

    /// Reads docker's `true` and `false`, too.
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "always" => Ok(Pull::Always),
            "missing" => Ok(Pull::Missing),
            "never" => Ok(Pull::Never),
            _ => match quantity::boolean(text) {
                Some(true) => Ok(Pull::Always),
                Some(false) => Ok(Pull::Usual),
                None => Err(Error::usage(format!("`{text}` does not say when to pull"))
                    .with_hint("it must be always, missing or never")),
            },
        }
    }
}
