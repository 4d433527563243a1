//! `ocibake rebase`: an image on another base, without building it.

use std::path::PathBuf;

use clap::Args;

use super::commands::Commands;
use super::environment::Environment;
use super::flags::base::PullFlag;
use super::flags::transfer::TransferFlags;
use super::flags::value::value;
use super::metadata;
use super::print::answer;
use super::progress::{ProgressFlags, Reporter};
use super::store::{tell_of_place, trim};
use crate::error::{Error, Result};
use crate::image::rebase::Rebase;
use crate::oci::{Descriptor, Map, Reference};
use crate::output::{Means, Output, OutputImage};
use crate::progress::{Event, Progress, WarningKind};
use crate::release::{self, tag};
use crate::source::base::{self, BaseReach, BaseStore, Pins};
use crate::source::image::Location;
use crate::store::pending::PendingFile;
use crate::store::{Beside, Graph, Layered, LocalStore};

/// Put an image on another base, with all its platforms and without building it
///
/// The layers of the old base are replaced by those of the new one. What the image has changed in the old base's settings stays
/// changed, all others are the new base's. Only layers that the destination lacks are moved: within one registry, none.
/// Attestations are left out, because what they say was true of the image on its old base.
#[derive(Debug, Args)]
pub struct RebaseArguments {
    /// Image to put on another base: a name in a registry, or oci:DIR[:NAME], oci-archive:FILE[:NAME], docker-archive:FILE[:NAME]
    #[arg(value_name = "REF")]
    image: String,
    /// Base that it is to have, named in the same way
    #[arg(long, value_name = "BASE")]
    onto: String,
    /// Base that it has [default: what its annotations org.opencontainers.image.base.* say]
    #[arg(long, value_name = "BASE")]
    from: Option<String>,
    /// Name of what comes out [default: REF, if it is a name in a registry]
    #[arg(short, long, value_name = "NAME[:TAG]")]
    tag: Vec<String>,
    /// Push to the registry of each name, as -o type=registry does
    #[arg(long)]
    push: bool,
    /// Write to FILE (OCI archive), DIR/ (OCI layout), or as for `build`
    #[arg(short, long, value_name = "OUTPUT", value_parser = value::<Output>)]
    output: Vec<Output>,
    #[command(flatten)]
    pull: PullFlag,
    /// Write digest, descriptor and names to FILE, as JSON
    #[arg(long, value_name = "FILE")]
    metadata_file: Option<PathBuf>,
    #[command(flatten)]
    transfer: TransferFlags,
    #[command(flatten)]
    pub progress: ProgressFlags,
}

/// Puts an image on another base and answers with its digest.
pub fn run(arguments: &RebaseArguments, environment: &Environment) -> Result<()> {
    let reporter = Reporter::new(&arguments.progress);
    let root = arguments.rebase(environment, &|event| reporter.report(event))?;
    reporter.finish();
    answer(&root.digest.to_string())
}

impl RebaseArguments {
    fn rebase(&self, environment: &Environment, progress: Progress<'_>) -> Result<Descriptor> {
        let location = environment.location(&self.image)?;
        let names = self.names(&location)?;
        let mut outputs = self.output.clone();
        if self.push && !outputs.contains(&Output::Registry) {
            outputs.push(Output::Registry);
        }
        if outputs.is_empty() {
            return Err(
                Error::usage("the image has no destination").with_hint("write it with -o, or push it with --push")
            );
        }
        self.metadata_file.as_deref().map_or(Ok(()), PendingFile::check)?;
        let limit = environment.store_limit()?;
        let store = LocalStore::open(environment.working_store()?)?;
        tell_of_place(environment, progress);
        let root = self.write(&location, &names, &outputs, &store, environment, progress)?;
        let written: Vec<String> = names.iter().map(ToString::to_string).collect();
        self.metadata_file.as_ref().map_or(Ok(()), |file| {
            metadata::write(
                file,
                OutputImage { store: &store, root: &root, names: &names },
                &written,
                None,
                &Commands::default(),
            )
        })?;
        trim(store, limit, progress);
        Ok(root)
    }

    fn write(
        &self,
        location: &Location,
        names: &[Reference],
        outputs: &[Output],
        store: &LocalStore,
        environment: &Environment,
        progress: Progress<'_>,
    ) -> Result<Descriptor> {
        let client = &self.transfer.client(environment);
        let (image, root) = location.open(client, progress)?;
        let reach = BaseReach::Machine(".".as_ref());
        let pull = self.pull.pull();
        let options = base::BaseOptions { store, client, pull, contexts: &Map::new(), reach, progress };
        let bases = BaseStore::new(options, Pins::default());
        let rebase = Rebase { title: &self.image, from: self.from.as_deref(), onto: &self.onto, progress };
        let rebased = rebase.apply(image.as_ref(), &root, &mut |name, platform| bases.find(name, platform), store)?;
        if rebased.digest == root.digest {
            let message = format!("{} is already based on {}", self.image, self.onto);
            progress(Event::Warning { kind: WarningKind::AlreadyOnBase, message: &message });
        }
        let second = &Layered::new(store, image.as_ref());
        let store = &Beside { first: &bases, second };
        if outputs.iter().any(|output| *output != Output::Registry) {
            bases.fetch(&Graph::of(store, &rebased)?.blobs, self.transfer.jobs)?;
        }
        let image = OutputImage { store, root: &rebased, names };
        release::write(outputs, image, &Means { client, jobs: self.transfer.jobs, progress })?;
        Ok(rebased)
    }

    /// Returns the names of the image that comes out. Fails for a name that is wrong.
    fn names(&self, location: &Location) -> Result<Vec<Reference>> {
        let mut names = Vec::new();
        for name in &self.tag {
            let (repository, tag) = tag::split_name(name).map_err(Error::on_command_line)?;
            for tag in tag::alone(tag.as_deref().unwrap_or("latest")).map_err(Error::on_command_line)?.tags {
                names.push(repository.with_tag(&tag.name));
            }
        }
        match location {
            Location::Registry(name) if names.is_empty() && name.digest().is_none() => {
                Ok(vec![name.with_tag(name.tag().unwrap_or("latest"))])
            }
            _ => Ok(names),
        }
    }
}
