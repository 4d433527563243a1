//! `ocibake pull`: an image of a registry into the local store.

use clap::Args;

use crate::cli::environment::Environment;
use crate::cli::flags::transfer::TransferFlags;
use crate::cli::flags::value::flag;
use crate::cli::print::answer;
use crate::cli::progress::{ProgressFlags, Reporter};
use crate::cli::store::trim;
use crate::error::{Error, Result};
use crate::oci::{Platform, Reference};
use crate::progress::Progress;
use crate::source::pulled::pull;
use crate::store::LocalStore;

/// Pull an image from a registry into the local store
#[derive(Debug, Args)]
pub struct PullArguments {
    /// Name in a registry; without a tag, latest
    #[arg(value_name = "NAME[:TAG|@DIGEST]")]
    name: String,
    /// Platform whose layers are wanted [default: that of this machine]
    ///
    /// The index is kept with all that it lists; layers for other platforms are fetched when something reads them.
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<String>,
    /// Print only the name
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    transfer: TransferFlags,
    #[command(flatten)]
    pub progress: ProgressFlags,
}

/// Pulls, and answers with the image's name.
pub fn run(arguments: &PullArguments, environment: &Environment) -> Result<()> {
    let name: Reference = arguments.name.parse().map_err(Error::on_command_line)?;
    let platform = arguments.platform.as_deref().map(str::parse).transpose().map_err(flag("platform"))?;
    let limit = environment.store_limit()?;
    let store = LocalStore::open(environment.store()?)?;
    let client = arguments.transfer.client(environment);
    let reporter = Reporter::new(&arguments.progress);
    let progress: Progress<'_> = &|event| reporter.report(event);
    let platform = platform.unwrap_or_else(Platform::host);
    let image = pull(&name, &platform, &store, &client, arguments.transfer.jobs, progress)?;
    trim(store, limit, progress);
    reporter.finish();
    if !arguments.quiet {
        answer(&format!("Digest: {}", image.root.digest))?;
    }
    let shown = if name.digest().is_some() { name } else { image.name };
    answer(&shown.to_string())
}
