//! `ocibake push`: an image under all tags of its version, built first if need be.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::Args;
use serde_json::{Value, json};

use super::build::{Beforehand, BuildRequest, Delivery, FoundRecipe, of_build, secret, shell};
use super::commands::Commands;
use super::environment::Environment;
use super::flags::build::BuildFlags;
use super::flags::output::OutputFlags;
use super::flags::tags::{ReleaseFlags, TagChoice};
use super::metadata;
use super::namespace::Want;
use super::print::{answer_json, answer_lines, columns};
use super::progress::{ProgressFlags, Reporter};
use super::tags::kind_word;
use crate::build::OpenShell;
use crate::error::{Error, Result};
use crate::oci::{Descriptor, Reference};
use crate::output::{Means, OutputImage};
use crate::plan::version;
use crate::progress::{Event, Progress};
use crate::registry::OnDemand;
use crate::release::ratchet::{Obstacle, TagChange};
use crate::release::{Release, ReleaseTarget, TagStep, tag};
use crate::source::image::{self, Location};
use crate::store::{FoundImage, LocalStore};

const USAGE: &str = "ocibake push [OPTIONS] <NAME[:TAG]>... [CONTEXT|LAYOUT|ARCHIVE]";

/// Push an image under all tags of its version, and build it first if needed
#[derive(Debug, Args)]
#[command(override_usage = USAGE)]
pub struct PushArguments {
    /// Names to push to, such as registry.example/org/api:v0.2.0, and then what to push: a context to build, or an OCI
    /// layout or archive as it is [default: the image that `build -t` or `tag` left under that name, else .]
    ///
    /// Each name after the first has a tag. An argument without a tag is what to push, as is a path that begins with ./, ../ or
    /// /, and oci:DIR, oci-archive:FILE and docker-archive:FILE; it comes last. All content goes to every repository before the
    /// first tag is set anywhere, and exact tags are set before floating ones. A floating tag (0.2, 0, latest) only moves
    /// forward: where the repository has a newer release of its line, it stays.
    #[arg(value_name = "NAME[:TAG]", required = true)]
    names: Vec<OsString>,
    /// Show what would become of each tag, and change nothing in the registry
    #[arg(long, conflicts_with_all = ["output", "iidfile", "metadata_file", "image_refs"])]
    dry_run: bool,
    /// With --dry-run: print JSON
    #[arg(long, requires = "dry_run")]
    json: bool,
    #[command(flatten)]
    release: ReleaseFlags,
    #[command(flatten)]
    choice: TagChoice,
    #[command(flatten)]
    build: BuildFlags,
    #[command(flatten)]
    output: OutputFlags,
    #[command(flatten)]
    pub progress: ProgressFlags,
}

/// A push's names, and what is to be pushed.
struct PushOrder<'a> {
    source: Option<&'a Path>,
    beforehand: &'a Beforehand,
    /// Where the source is an image already, or one that is named here.
    built: Option<Location>,
    /// No image of the local store has the first name, which was looked for there.
    is_unknown: bool,
    targets: Vec<ReleaseTarget>,
    /// For the image: the first tag that is a version, else the first tag.
    tag: String,
    /// To answer with: each name that was asked for.
    asked: Vec<Reference>,
}

/// Returns what a push wants of its place: what a build wants, if it is to build; and the recipe of that, if it had to be looked
/// at.
pub fn want(arguments: &PushArguments, environment: &Environment) -> Result<(Want, Option<FoundRecipe>)> {
    let Ok((names, source)) = names_and_source(&arguments.names) else { return Ok((Want::Nothing, None)) };
    match source_image(arguments, &names, source, environment) {
        Ok(None) => of_build(&arguments.build, source, environment),
        _ => Ok((Want::Nothing, None)),
    }
}

/// Pushes an image and answers with each name and the digest, or with what would become of the tags.
pub fn run(arguments: &PushArguments, environment: &Environment, beforehand: &Beforehand) -> Result<()> {
    let order = PushOrder::of(arguments, environment, beforehand)?;
    shell::check(&arguments.build.run)?;
    let streams = arguments.output.streams()?;
    let reporter = Reporter::new(&arguments.progress);
    let progress: Progress<'_> = &|event| reporter.report(event);
    let open: OpenShell<'_> = &|failure, run| shell::open(&reporter, failure, run);
    let client = arguments.output.client(environment);
    order.tell(environment, progress)?;
    if arguments.dry_run {
        let (root, steps) = order.rehearse(arguments, environment, &client, progress, open)?;
        reporter.finish();
        return match arguments.json {
            true => answer_json(&plan_json(&root, &steps)),
            false => answer_lines(columns(steps.iter().map(|step| (step.name.to_string(), step.change.to_string())))),
        };
    }
    let root = order.carry_out(arguments, environment, &client, progress, open)?;
    reporter.finish();
    if streams {
        return Ok(());
    }
    answer_lines(order.asked.iter().map(|name| format!("{name}@{}", root.digest)))
}

impl<'a> PushOrder<'a> {
    fn of(arguments: &'a PushArguments, environment: &Environment, beforehand: &'a Beforehand) -> Result<Self> {
        let (names, source) = names_and_source(&arguments.names)?;
        let built = source_image(arguments, &names, source, environment)?;
        let is_unknown = source.is_none() && built.is_none();
        if built.is_some() && arguments.build != BuildFlags::default() {
            return Err(Error::usage(
                "an image that is already built is pushed as it is: flags that shape it have no effect",
            )
            .with_hint("leave them out, or name a context to build"));
        }
        let checkout = source.filter(|_| built.is_none()).unwrap_or(Path::new("."));
        let (mut targets, mut tags, mut asked) = (Vec::new(), Vec::new(), Vec::new());
        for name in names {
            let (target, tag) = arguments.release.target(&arguments.choice, name, checkout, &environment.ci)?;
            let given = target.tags.iter().find(|tag| tag.reason == "as given").or(target.tags.first());
            let given = given.map_or(target.repository.clone(), |tag| target.repository.with_tag(&tag.name));
            if asked.contains(&given) {
                continue;
            }
            asked.push(given);
            targets.push(target);
            tags.push(tag);
        }
        share_out(&mut targets);
        let tag = tags.iter().find(|tag| version::of_tag(tag).is_some()).or(tags.first()).cloned().unwrap_or_default();
        Ok(PushOrder { source, beforehand, built, is_unknown, targets, tag, asked })
    }

    /// Says what is pushed, where that depends on what the local store has.
    fn tell(&self, environment: &Environment, progress: Progress<'_>) -> Result<()> {
        match (&self.built, self.asked.first()) {
            (Some(Location::Local(store, name)), _) => {
                if let Some(FoundImage { root, named }) = LocalStore::open(store)?.find(name)? {
                    let since = named.map(|image| image.since);
                    progress(Event::LocalImageTaken { name, digest: root.digest, since });
                }
            }
            (None, Some(name)) if self.is_unknown && !environment.again => progress(Event::NameNotFound { name }),
            _ => {}
        }
        Ok(())
    }

    /// Builds, and asks what would become of the tags.
    fn rehearse(
        &self,
        arguments: &PushArguments,
        environment: &Environment,
        client: &OnDemand,
        progress: Progress<'_>,
        shell: OpenShell<'_>,
    ) -> Result<(Descriptor, Vec<TagStep>)> {
        let release = Release {
            targets: &self.targets,
            immutable: arguments.release.immutable,
            undo: None,
            keep: &|_, _| Ok(()),
        };
        let root = match &self.built {
            Some(location) => location.open(client, progress)?.1,
            None => {
                self.request(arguments, Delivery::Store, &Commands::default(), shell).run(environment, progress)?.root
            }
        };
        let steps = release.plan(&root, client.client()?, progress)?;
        Ok((root, steps))
    }

    /// Builds and pushes.
    fn carry_out(
        &self,
        arguments: &PushArguments,
        environment: &Environment,
        client: &OnDemand,
        progress: Progress<'_>,
        shell: OpenShell<'_>,
    ) -> Result<Descriptor> {
        let PushArguments { release: ReleaseFlags { immutable, .. }, output, .. } = arguments;
        let file = output.metadata_file.as_deref();
        let (undo, commands) = (file.map(metadata::undo), Commands::default());
        let names: Vec<Reference> = self.targets.iter().flat_map(ReleaseTarget::names).collect();
        output.check_notes(&names)?;
        let release = Release {
            targets: &self.targets,
            immutable: *immutable,
            undo: undo.as_deref(),
            keep: &metadata::keeper(file, &commands),
        };
        let root = match &self.built {
            Some(location) => {
                let (store, root) = location.open(client, progress)?;
                let image = OutputImage { store: store.as_ref(), root: &root, names: &names };
                let outputs = output.outputs(true, environment, &[], progress)?;
                release.write(&outputs, image, &Means { client, jobs: output.jobs, progress })?;
                root
            }
            None => {
                self.request(arguments, Delivery::Release(release), &commands, shell).run(environment, progress)?.root
            }
        };
        output.note_digest(&root)?;
        output.note_references(&names, &root)?;
        Ok(root)
    }

    fn request<'r>(
        &'r self,
        arguments: &'r PushArguments,
        delivery: Delivery<'r>,
        commands: &'r Commands,
        shell: OpenShell<'r>,
    ) -> BuildRequest<'r> {
        let names = self.targets.iter().flat_map(ReleaseTarget::names).collect();
        let (build, output) = (&arguments.build, &arguments.output);
        BuildRequest {
            context: self.source,
            build,
            output,
            tag: Some(self.tag.clone()),
            names,
            repositories: &[],
            delivery,
            given: None,
            secret: &secret::value,
            beforehand: self.beforehand,
            commands,
            shell,
        }
    }
}

/// A tag that follows from two names of a repository is set once: for the higher version.
fn share_out(targets: &mut [ReleaseTarget]) {
    let mut highest_first: Vec<&mut ReleaseTarget> = targets.iter_mut().collect();
    highest_first.sort_by(|a, b| b.version.cmp(&a.version));
    let mut taken = HashSet::new();
    for ReleaseTarget { repository, tags, .. } in highest_first {
        tags.retain(|tag| taken.insert(repository.with_tag(&tag.name)));
    }
}

/// The names among the arguments, and what is to be pushed, if that is said. Which is which depends on the words alone,
/// never on what happens to be on disk.
fn names_and_source(arguments: &[OsString]) -> Result<(Vec<&str>, Option<&Path>)> {
    let mut names = Vec::new();
    let mut source: Option<&OsStr> = None;
    for (at, argument) in arguments.iter().enumerate() {
        let text = argument.to_string_lossy();
        if let Some(source) = source {
            let source = source.to_string_lossy();
            return Err(Error::usage(format!("`{text}` comes after `{source}`, which is what to push")).with_hint(
                "names come first, then what to push, once; each name after the first has a tag, as in NAME:latest",
            ));
        }
        match argument.to_str() {
            Some(name) if at == 0 && !is_place(name) => names.push(name),
            _ if at == 0 => {
                return Err(Error::usage(format!("`{text}` is what to push, not a name to push to"))
                    .with_hint(format!("names come first: {USAGE}")));
            }
            Some(name) if !is_place(name) && has_tag(name) => {
                if Path::new(name).exists() {
                    return Err(Error::usage(format!("`{name}` is a name, but there is also a file of that name"))
                        .with_hint(format!("write ./{name} for the file, or docker.io/… in full for the name")));
                }
                names.push(name);
            }
            _ => source = Some(argument),
        }
    }
    Ok((names, source.map(Path::new)))
}

/// Returns whether `text` can only be a place.
fn is_place(text: &str) -> bool {
    image::is_path(text) || image::kind(text).is_some()
}

fn has_tag(name: &str) -> bool {
    name.rsplit('/').next().is_some_and(|last| last.contains(':'))
}

/// Returns the image that is to be pushed as it is: what lies at `source`; without that, what the local store has under the
/// first of `names`, unless flags say what to build. None if a context is to be built.
fn source_image(
    arguments: &PushArguments,
    names: &[&str],
    source: Option<&Path>,
    environment: &Environment,
) -> Result<Option<Location>> {
    if let Some(source) = source {
        return built(source);
    }
    let (Some(name), Some(store)) = (names.first(), environment.present_store()) else { return Ok(None) };
    if arguments.build != BuildFlags::default() {
        return Ok(None);
    }
    let (repository, tag) = tag::split_name(name).map_err(Error::on_command_line)?;
    let plan = tag::alone(tag.as_deref().unwrap_or("latest")).map_err(Error::on_command_line)?;
    let exact = plan.tags.first().map(|tag| repository.with_tag(&tag.name));
    let Some(name) = exact else { return Ok(None) };
    let image = LocalStore::open(store)?.named(&name);
    Ok(image.map(|image| Location::Local(store.to_owned(), image.name.to_string())))
}

/// The image that lies at `source` ready to be pushed; none if it is a context.
fn built(source: &Path) -> Result<Option<Location>> {
    let text = source.to_string_lossy();
    if image::kind(&text).is_some() {
        return text.parse().map(Some);
    }
    if !source.exists() {
        return Err(Error::not_found(format!("there is no {}", source.display())).with_hint(
            "give a context to build, an OCI layout or an archive; a further name to push to needs a tag, as in NAME:latest",
        ));
    }
    Ok(Location::of_path(source))
}

fn plan_json(root: &Descriptor, steps: &[TagStep]) -> Value {
    let tags: Vec<_> = steps
        .iter()
        .map(|step| {
            let (from, because) = match &step.change {
                TagChange::New | TagChange::Same => (None, None),
                TagChange::Moves { from } => (Some(from), None),
                TagChange::Stays { at, because } => (at.as_ref(), Some(because)),
            };
            json!({
                "name": step.name.to_string(),
                "tag": step.name.tag(),
                "kind": kind_word(step.kind),
                "change": step.change.word(),
                "from": from.map(|from| from.digest),
                "version": from.and_then(|from| from.version.as_ref()).map(ToString::to_string),
                "because": because.map(Obstacle::to_string),
            })
        })
        .collect();
    json!({"digest": root.digest, "tags": tags})
}
