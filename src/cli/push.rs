use std::path::{Path, PathBuf};

use clap::Args;

use super::answer;
use super::build::{BuildFlags, OutputFlags, Request};
use super::environment::Environment;
use super::progress::{ProgressFlags, Reporter};
use super::tags::TagChoice;
use crate::error::{Error, Result};
use crate::oci::{Descriptor, Reference};
use crate::output::{self, Image, Means};
use crate::progress::Progress;
use crate::source::image::Location;

/// Push an image under all tags of its version, and build it first if need be
#[derive(Debug, Args)]
pub struct Arguments {
    /// Name to push to, such as registry.example/org/api:v0.2.0
    #[arg(value_name = "NAME[:TAG]")]
    name: String,
    /// Context to build [default: .], or OCI layout or archive to push as it is
    #[arg(value_name = "CONTEXT|LAYOUT|ARCHIVE")]
    source: Option<PathBuf>,
    #[command(flatten)]
    choice: TagChoice,
    #[command(flatten)]
    build: BuildFlags,
    #[command(flatten)]
    output: OutputFlags,
    #[command(flatten)]
    pub progress: ProgressFlags,
}

pub fn run(arguments: &Arguments, environment: &Environment) -> Result<()> {
    let source = arguments.source.as_deref();
    let built = source.map(built).transpose()?.flatten();
    let checkout = source.filter(|_| built.is_none()).unwrap_or(Path::new("."));
    let (repository, tag, plan) = arguments.choice.resolve(&arguments.name, checkout)?;
    let names: Vec<Reference> = plan.tags.iter().map(|tag| repository.with_tag(&tag.name)).collect();
    let first = names.first().cloned().unwrap_or(repository);

    let reporter = Reporter::new(&arguments.progress);
    let progress: Progress<'_> = &|event| reporter.report(event);
    let root = match built {
        Some(location) => push(arguments, &location, &names, environment, progress)?,
        None => {
            let (build, output) = (&arguments.build, &arguments.output);
            let request = Request { context: source, build, output, tag: Some(tag), names, push: true };
            request.run(environment, progress)?.root
        }
    };
    reporter.finish();
    answer(&format!("{first}@{}", root.digest))
}

/// The image that lies at `source` ready to be pushed; none if it is a context.
fn built(source: &Path) -> Result<Option<Location>> {
    let text = source.to_string_lossy();
    if ["oci:", "oci-archive:", "docker-archive:"].iter().any(|kind| text.starts_with(kind)) {
        return text.parse().map(Some);
    }
    if !source.exists() {
        return Err(Error::not_found(format!("there is no {}", source.display()))
            .with_hint("it is a context to build, an OCI layout or an archive"));
    }
    Ok(Location::of_path(source))
}

fn push(
    arguments: &Arguments,
    location: &Location,
    names: &[Reference],
    environment: &Environment,
    progress: Progress<'_>,
) -> Result<Descriptor> {
    if arguments.build != BuildFlags::default() {
        return Err(Error::usage("an image that is built already is pushed as it is: flags that shape it do nothing")
            .with_hint("leave them out, or name a context to build"));
    }
    arguments.output.check_notes()?;
    let client = arguments.output.client(environment);
    let (store, root) = location.open(&client, progress)?;
    let image = Image { store: store.as_ref(), root: &root, names };
    let means = Means { client: &client, jobs: arguments.output.jobs, progress };
    output::write(&arguments.output.outputs(true), image, &means)?;
    arguments.output.note(&root, names)?;
    Ok(root)
}
