use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;

use super::base_flags::BaseFlags;
use super::environment::Environment;
use super::metadata;
use super::print::{answer, answer_excerpt};
use super::progress::{ProgressFlags, Reporter};
use super::recipe::{Recipe, RecipeFlags};
use super::spec_flags::SpecFlags;
use super::value;
use crate::build::{self, Built};
use crate::error::{Error, Result};
use crate::layer::Compression;
use crate::oci::{Descriptor, Reference};
use crate::output::release::Release;
use crate::output::{self, Image, Means, Output};
use crate::plan::dockerfile::Warning;
use crate::plan::tag;
use crate::plan::{Automatic, Checkout, Plan, Spec};
use crate::progress::{Event, Progress, WarningKind};
use crate::registry::OnDemand;
use crate::source::base::{self, Bases};
use crate::source::cached::Cached;
use crate::source::context::Access;
use crate::source::modified::Modified;
use crate::source::reach::reaches;
use crate::store::pending::PendingFile;
use crate::store::{Beside, Graph, Layered, LocalStore, Store};

const DOCKERIGNORE: &str = ".dockerignore";

/// Build an image from a Dockerfile, from ocibake.toml, or from flags
#[derive(Debug, Args)]
pub struct Arguments {
    /// What to build from: a directory, a tar, the URL of a tar or of a git repository, or - for a tar or a Dockerfile on
    /// standard input [default: .]
    context: Option<PathBuf>,
    /// Name of the image
    #[arg(short, long, value_name = "NAME[:TAG]")]
    tag: Vec<String>,
    /// Push to the registry of each name, as -o type=registry does
    #[arg(long)]
    push: bool,
    /// Only look for what the Dockerfile should not say; exit code 1 if there is anything
    #[arg(long, conflicts_with = "push")]
    check: bool,
    #[command(flatten)]
    build: BuildFlags,
    #[command(flatten)]
    output: OutputFlags,
    #[command(flatten)]
    pub progress: ProgressFlags,
}

/// What shapes the image.
#[derive(Debug, Default, PartialEq, Eq, Args)]
pub struct BuildFlags {
    #[command(flatten)]
    recipe: RecipeFlags,
    /// Compression of layers: gzip or estargz[:1 to 12], zstd[:1 to 19] or none; higher is smaller and slower [default: gzip:5]
    #[arg(long, value_name = "TYPE[:LEVEL]", value_parser = value::<Compression>)]
    compression: Option<Compression>,
    /// Time of the image and its files: seconds since 1970, git, now, or preserve
    ///
    /// `git` is the time of the commit; with `preserve`, files keep their own. By default the image has SOURCE_DATE_EPOCH,
    /// else the time of the git commit, else 0, and files have 1980-01-01: a layer changes with its files alone.
    #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
    timestamp: Option<String>,
    #[command(flatten)]
    base: BaseFlags,
    #[command(flatten)]
    spec: SpecFlags,
}

/// Where the image goes, and how; nothing of this changes it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputFlags {
    /// Write to FILE (OCI archive), DIR/ (OCI layout), or type=oci|docker|registry|local|tar[,dest=PATH]
    ///
    /// type=oci,dest=FILE is an OCI archive, with tar=false a layout; type=docker,dest=FILE is for `docker load`.
    /// type=local,dest=DIR and type=tar,dest=FILE are the files of the image; limit=SIZE is what they may have together,
    /// by default 4g or 100 times what is compressed. Several outputs of one build are written in their order.
    #[arg(short, long, value_name = "OUTPUT", value_parser = value::<Output>)]
    output: Vec<Output>,
    /// Threads, and uploads at a time [default: one per core, at most 16]
    #[arg(short, long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub jobs: usize,
    /// Read every file, even those whose size, times and inode are as an earlier build saw them
    #[arg(long, visible_alias = "no-cache")]
    no_stat_cache: bool,
    /// Take layers that come out the same from this image; also type=registry,ref=NAME
    ///
    /// It was built by ocibake with the same --compression, on whatever machine, and is named as for `inspect`. Layers that
    /// it has are neither compressed here nor sent to the registry that it is in. One that cannot be had is a warning.
    #[arg(long, value_name = "REF", value_parser = cached_image)]
    cache_from: Vec<String>,
    /// Allow plain HTTP, and TLS certificates that cannot be verified
    #[arg(long)]
    pub insecure: bool,
    /// Write the image's digest to FILE
    #[arg(long, value_name = "FILE")]
    iidfile: Option<PathBuf>,
    /// Write digest, descriptor and names to FILE, as JSON; `push` adds what its tags stood for
    #[arg(long, value_name = "FILE")]
    pub metadata_file: Option<PathBuf>,
}

/// One build, its arguments resolved.
pub struct Request<'a> {
    pub context: Option<&'a Path>,
    pub build: &'a BuildFlags,
    pub output: &'a OutputFlags,
    /// The tag that was named; a version in it becomes the image's.
    pub tag: Option<String>,
    pub names: Vec<Reference>,
    pub delivery: Delivery<'a>,
}

/// Where what is built goes.
pub enum Delivery<'a> {
    /// To the outputs that the flags name.
    Outputs,
    /// And to the registry, under each name.
    Push,
    /// And to the registry, as a release, which keeps its own record.
    Release(Release<'a>),
    /// Nowhere yet.
    Store,
}

/// What builds are made with.
struct BuildMeans {
    store: LocalStore,
    client: OnDemand,
}

/// What is to be built, and where it goes.
struct Order {
    plan: Plan,
    /// In seconds since 1970; none if nothing says.
    created: Option<i64>,
    modified: Modified,
    names: Vec<Reference>,
    outputs: Vec<Output>,
}

pub fn run(arguments: &Arguments, environment: &Environment) -> Result<()> {
    let named = arguments.tag.iter().map(|name| tag::split_name(name).map_err(Error::on_command_line));
    let named = named.collect::<Result<Vec<_>>>()?;
    let mut names = Vec::with_capacity(named.len());
    for (repository, tag) in &named {
        for tag in tag::alone(tag.as_deref().unwrap_or("latest")).map_err(Error::on_command_line)?.tags {
            let name = repository.with_tag(&tag.name);
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    let versions = || named.iter().filter_map(|(_, tag)| tag.clone());
    let request = Request {
        context: arguments.context.as_deref(),
        build: &arguments.build,
        output: &arguments.output,
        tag: versions().find(|tag| tag::version(tag).is_some()).or_else(|| versions().next()),
        names,
        delivery: if arguments.push { Delivery::Push } else { Delivery::Outputs },
    };
    let reporter = Reporter::new(&arguments.progress);
    if arguments.check {
        let warnings = request.check(environment, &|event| reporter.report(event))?;
        return tell_of_checks(&warnings);
    }
    let built = request.run(environment, &|event| reporter.report(event))?;
    reporter.finish();
    answer(&built.root.digest.to_string())
}

/// What the build checks have found.
fn tell_of_checks(warnings: &[Warning]) -> Result<()> {
    if warnings.is_empty() {
        return answer("no warnings");
    }
    for Warning { rule, message, place, .. } in warnings {
        answer_excerpt(&format!("{}: {message}", rule.name()), place)?;
    }
    let count = warnings.len();
    Err(Error::input(format!("{count} {}", if count == 1 { "warning" } else { "warnings" }))
        .with_hint("a line `# check=skip=RULE` at the top of the Dockerfile leaves a check out"))
}

impl Request<'_> {
    /// Builds and writes every output.
    pub fn run(&self, environment: &Environment, progress: Progress<'_>) -> Result<Built> {
        let limit = environment.store_limit()?;
        let means = self.means(environment)?;
        let built = self.with_recipe(environment, &means, progress, |recipe, bases| {
            let order = self.resolve(recipe, bases, progress)?;
            let built = self.produce(&order, &means, bases, progress)?;
            if matches!(self.delivery, Delivery::Outputs | Delivery::Push) {
                self.output.note(&built.root, &order.names)?;
            }
            Ok(built)
        })?;
        super::trim(means.store, limit, progress);
        Ok(built)
    }

    /// Goes through the Dockerfile for its build checks alone.
    fn check(&self, environment: &Environment, progress: Progress<'_>) -> Result<Vec<Warning>> {
        let means = self.means(environment)?;
        self.with_recipe(environment, &means, progress, |recipe, bases| {
            recipe.check(&Automatic::default(), &mut |name, platform| {
                bases.find(name, platform).inspect_err(|error| {
                    let message = format!("the checks do without the image {name}: {}", error.message);
                    progress(Event::Warning { kind: WarningKind::CheckWithoutBase, message: &message });
                })
            })
        })
    }

    fn means(&self, environment: &Environment) -> Result<BuildMeans> {
        let store = LocalStore::open(environment.store()?)?;
        Ok(BuildMeans { store, client: self.output.client(environment) })
    }

    fn with_recipe<T>(
        &self,
        environment: &Environment,
        BuildMeans { store, client }: &BuildMeans,
        progress: Progress<'_>,
        work: impl FnOnce(&Recipe<'_>, &Bases<'_>) -> Result<T>,
    ) -> Result<T> {
        let flags = &self.build.recipe;
        let recipe = flags.read(
            self.context,
            &self.build.spec,
            environment,
            &Access { store, client, progress, keep_git_dir: flags.keeps_git_dir()? },
        )?;
        let options = base::Options {
            store,
            client,
            pull: self.build.base.pull(),
            contexts: &flags.images(),
            reach: recipe.reach(),
            progress,
        };
        let bases = Bases::new(options, self.build.base.pins(&recipe)?);
        work(&recipe, &bases)
    }

    fn resolve(&self, recipe: &Recipe<'_>, bases: &Bases<'_>, progress: Progress<'_>) -> Result<Order> {
        let names = self.names(recipe.spec());
        let checkout = recipe.checkout(progress);
        let (created, modified) = times(self.build.timestamp.as_deref(), recipe.epoch, checkout.as_ref())?;
        let automatic = Automatic { created, tag: self.tag.clone(), checkout };
        let plan = recipe.plan(&automatic, &mut |name, platform| bases.find(name, platform), progress)?;
        self.build.base.keep(recipe, bases)?;
        let outputs = match self.delivery {
            Delivery::Outputs => self.output.outputs(false),
            Delivery::Push | Delivery::Release(_) => self.output.outputs(true),
            Delivery::Store => Vec::new(),
        };
        output::check(&outputs, plan.images.len(), &names)?;
        self.output.check_notes()?;
        warn_of_outputs_within(&plan, &outputs, progress);
        if recipe.spec().is_some() {
            warn_of_dockerignore(&plan, recipe.root(), progress);
        }
        if outputs.is_empty() && matches!(self.delivery, Delivery::Outputs) {
            let message = "the image is in the local store only: write it somewhere with -o, or push it with --push";
            progress(Event::Warning { kind: WarningKind::NoOutput, message });
        }
        Ok(Order { plan, created, modified, names, outputs })
    }

    /// Builds with layers of the images that `--cache-from` names. Should such a layer not be had when it comes to writing
    /// it, builds once more without.
    fn produce(
        &self,
        order: &Order,
        BuildMeans { store, client }: &BuildMeans,
        bases: &Bases<'_>,
        progress: Progress<'_>,
    ) -> Result<Built> {
        let Order { plan, created, modified, names, outputs } = order;
        let compression = self.build.compression.unwrap_or_default();
        // What may be refused once its digest is known is not sent before.
        let ahead =
            if matches!(&self.delivery, Delivery::Release(release) if release.immutable) { &[] } else { &names[..] };
        let build = |cached: Option<&Cached<'_>>| {
            output::while_building(outputs, ahead, client, progress, |follow| {
                let options = build::Options {
                    store,
                    bases,
                    client,
                    compression,
                    created: created.unwrap_or(0),
                    modified: *modified,
                    jobs: self.output.jobs,
                    trust_times: !self.output.no_stat_cache,
                    cached,
                    follow,
                    progress,
                };
                build::build(plan, &options)
            })
        };
        let write = |built: &Built, store: &dyn Store| {
            let store = &Beside { first: bases, second: store };
            if outputs.iter().any(|output| *output != Output::Registry) {
                bases.fetch(&Graph::of(store, &built.root)?.blobs, self.output.jobs)?;
            }
            let image = Image { store, root: &built.root, names };
            let means = Means { client, jobs: self.output.jobs, progress };
            match &self.delivery {
                Delivery::Release(release) => release.write(outputs, image, &means),
                _ => output::write(outputs, image, &means),
            }
        };
        let cached = Cached::new(&self.output.cache_from, compression, client, progress);
        let built = build(Some(&cached))?;
        let layered = Layered::new(store, &cached);
        match write(&built, &layered) {
            Err(error) if layered.has_failed() => {
                let message = format!("a layer is made here after all: {}", error.message);
                progress(Event::Warning { kind: WarningKind::CacheNotUsed, message: &message });
                let built = build(None)?;
                write(&built, store).map(|()| built)
            }
            written => written.map(|()| built),
        }
    }

    fn names(&self, spec: Option<&Spec>) -> Vec<Reference> {
        match spec.and_then(|spec| spec.name.as_ref()) {
            Some(name) if self.names.is_empty() => vec![name.with_tag("latest")],
            _ => self.names.clone(),
        }
    }
}

impl OutputFlags {
    /// What is to be written, and the registry with it if `push`.
    pub fn outputs(&self, push: bool) -> Vec<Output> {
        let mut outputs = self.output.clone();
        if push && !outputs.contains(&Output::Registry) {
            outputs.push(Output::Registry);
        }
        outputs
    }

    pub fn client(&self, environment: &Environment) -> OnDemand {
        environment.client(self.insecure, self.jobs)
    }

    /// Fails where [`note`](Self::note) is sure to, so that it does so before the work and not after it.
    pub fn check_notes(&self) -> Result<()> {
        [&self.iidfile, &self.metadata_file].into_iter().flatten().try_for_each(|path| PendingFile::check(path))
    }

    /// Writes the files that tell of the result, each in one step.
    pub fn note(&self, root: &Descriptor, names: &[Reference]) -> Result<()> {
        self.note_digest(root)?;
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        self.metadata_file.as_ref().map_or(Ok(()), |path| metadata::write(path, root, &names, None))
    }

    /// Writes the file of the digest alone.
    pub fn note_digest(&self, root: &Descriptor) -> Result<()> {
        self.iidfile.as_ref().map_or(Ok(()), |path| PendingFile::replace(path, root.digest.to_string().as_bytes()))
    }
}

/// The image of `--cache-from`, as it is or in buildx's form.
fn cached_image(text: &str) -> Result<String, String> {
    if !text.starts_with("type=") {
        return Ok(text.to_owned());
    }
    let mut name = None;
    for field in text.split(',') {
        match field.split_once('=') {
            Some(("type", "registry")) => {}
            Some(("ref", value)) if !value.is_empty() => name = Some(value.to_owned()),
            _ => return Err(format!("`{field}` is not known: it is a REF, or type=registry,ref=NAME")),
        }
    }
    name.ok_or_else(|| "it does not say which image: add ref=NAME".to_owned())
}

/// An output of an earlier build that lies among what is added makes each build another image. It is not left out by
/// itself: the same plan would stand for other files, depending on where the image goes.
fn warn_of_outputs_within(plan: &Plan, outputs: &[Output], progress: Progress<'_>) {
    for output in outputs {
        if output.path().is_some_and(|path| plan.adds().any(|add| reaches(add, path))) {
            let message = format!("{output} is among what is added: `exclude` it, or write it elsewhere");
            progress(Event::Warning { kind: WarningKind::OutputAmongInputs, message: &message });
        }
    }
}

/// docker would leave out what the context's `.dockerignore` says. Where that file itself is added, all of it is.
fn warn_of_dockerignore(plan: &Plan, context: &Path, progress: Progress<'_>) {
    if plan.adds().any(|add| reaches(add, &context.join(DOCKERIGNORE))) {
        let message = format!("{DOCKERIGNORE} is not read, and added itself: name its patterns and it in `exclude`");
        progress(Event::Warning { kind: WarningKind::DockerignoreNotRead, message: &message });
    }
}

/// Returns the time of the image and its history, if there is one to go by, and that of its files. A commit gives its time to
/// the image alone: files that it did not change are to make the layers that they made before it.
fn times(flag: Option<&str>, epoch: Option<i64>, checkout: Option<&Checkout>) -> Result<(Option<i64>, Modified)> {
    let commit = checkout.map(|checkout| checkout.commit_time);
    let usual = epoch.or(commit);
    let given = match flag {
        None => return Ok((usual, Modified::default())),
        Some("preserve") => return Ok((usual, Modified::Preserve)),
        Some("now") => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64),
        Some("git") => commit.ok_or_else(|| {
            Error::input("--timestamp git: the context is in no git checkout with a commit")
                .with_hint("give the time in seconds since 1970")
        })?,
        Some(seconds) => seconds.parse().map_err(|_| {
            Error::usage(format!("--timestamp: `{seconds}` is not a time"))
                .with_hint("it is a number of seconds since 1970, git, now or preserve")
        })?,
    };
    Ok((Some(given), Modified::At(given)))
}
