//! The flags that shape an image.

use clap::Args;

use super::base::BaseFlags;
use super::recipe::RecipeFlags;
use super::run::RunFlags;
use super::spec::SpecFlags;
use super::value::{on_or_off, value};
use crate::layer::Compression;

/// The flags that shape the image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct BuildFlags {
    #[command(flatten)]
    pub recipe: RecipeFlags,
    /// Compression of layers: gzip or estargz[:1 to 12], zstd[:1 to 19] or none; higher is smaller and slower [default: gzip:5]
    #[arg(long, value_name = "TYPE[:LEVEL]", value_parser = value::<Compression>)]
    pub compression: Option<Compression>,
    /// Time of the image and its files: seconds since 1970, git, now, or preserve
    ///
    /// `git` is the time of the commit; with `preserve`, files keep their own. By default the image has SOURCE_DATE_EPOCH, else
    /// the time of the git commit, else 0, and files have 1980-01-01: a layer only changes with its files.
    #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
    pub timestamp: Option<String>,
    /// Put everything that the build changes into one layer on top of the base
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", value_parser = on_or_off)]
    pub squash: Option<bool>,
    #[command(flatten)]
    pub run: RunFlags,
    #[command(flatten)]
    pub base: BaseFlags,
    #[command(flatten)]
    pub spec: SpecFlags,
}
