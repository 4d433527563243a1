use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;

use super::environment::Environment;
use super::metadata;
use super::progress::{ProgressFlags, Reporter};
use super::spec_flags::SpecFlags;
use super::{answer, value};
use crate::build::{self, Built};
use crate::error::{Error, Result};
use crate::layer::Compression;
use crate::oci::{Descriptor, Reference};
use crate::output::release::Release;
use crate::output::{self, Image, Means, Output};
use crate::plan::tag;
use crate::plan::{Automatic, Checkout, Plan, Spec};
use crate::progress::{Event, Progress};
use crate::registry::OnDemand;
use crate::source::cached::Cached;
use crate::source::git;
use crate::source::local::Modified;
use crate::source::reach::reaches;
use crate::store::pending::PendingFile;
use crate::store::{Layered, LocalStore, Store};

/// What a context is looked through for, in this order.
const SPEC: &str = "ocibake.toml";
const DOCKERFILE: &str = "Dockerfile";

const DOCKERIGNORE: &str = ".dockerignore";

/// In bytes; far more than any spec needs, and little enough for what never ends, such as `-f /dev/zero`.
const SPEC_LIMIT: u64 = 1 << 20;

/// Build an image from ocibake.toml, from flags, or from both
#[derive(Debug, Args)]
pub struct Arguments {
    /// Directory to build from [default: .]
    context: Option<PathBuf>,
    /// Name of the image
    #[arg(short, long, value_name = "NAME[:TAG]")]
    tag: Vec<String>,
    /// Push to the registry of each name, as -o type=registry does
    #[arg(long)]
    push: bool,
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
    /// Spec to build from [default: CONTEXT/ocibake.toml]
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Compression of layers: gzip or estargz[:1 to 12], zstd[:1 to 19] or none; higher is smaller and slower [default: gzip:5]
    #[arg(long, value_name = "TYPE[:LEVEL]", value_parser = value::<Compression>)]
    compression: Option<Compression>,
    /// Time of the image and its files: seconds since 1970, git, now, or preserve
    ///
    /// `git` is the time of the commit; with `preserve`, files keep their own. By default it is SOURCE_DATE_EPOCH, else
    /// the time of the git commit, else 0.
    #[arg(long, value_name = "TIME", allow_negative_numbers = true)]
    timestamp: Option<String>,
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
    #[arg(long)]
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

/// What is to be built, and where it goes.
struct Order {
    plan: Plan,
    /// In seconds since 1970.
    created: i64,
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
    let built = request.run(environment, &|event| reporter.report(event))?;
    reporter.finish();
    answer(&built.root.digest.to_string())
}

impl Request<'_> {
    /// Builds and writes every output.
    pub fn run(&self, environment: &Environment, progress: Progress<'_>) -> Result<Built> {
        let order = self.resolve(environment, progress)?;
        let limit = environment.store_limit()?;
        let store = LocalStore::open(environment.store()?)?;
        let client = self.output.client(environment);
        let built = self.produce(&order, &store, &client, progress)?;
        if matches!(self.delivery, Delivery::Outputs | Delivery::Push) {
            self.output.note(&built.root, &order.names)?;
        }
        if let Err(error) = store.trim(limit) {
            let hint = error.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
            let message = format!("the local store may be over its limit: {}{hint}", error.message);
            progress(Event::Warning { message: &message });
        }
        Ok(built)
    }

    fn resolve(&self, environment: &Environment, progress: Progress<'_>) -> Result<Order> {
        let context = self.context.unwrap_or(Path::new("."));
        let (mut spec, place) = self.spec(context)?;
        self.build.spec.overlay(&mut spec)?;
        let names = self.names(&spec);
        let checkout = git::checkout(place).unwrap_or_else(|error| {
            let hint = error.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
            let message = format!("no revision, source and commit time from git: {}{hint}", error.message);
            progress(Event::Warning { message: &message });
            None
        });
        let (created, modified) = times(self.build.timestamp.as_deref(), environment, checkout.as_ref())?;
        let plan = spec.plan(context, &Automatic { created, tag: self.tag.clone(), checkout }, &mut |name, _| {
            Err(Error::input(format!("the base `{name}` is not scratch"))
                .with_hint("bases other than scratch cannot be built on yet"))
        })?;
        let outputs = match self.delivery {
            Delivery::Outputs => self.output.outputs(false),
            Delivery::Push | Delivery::Release(_) => self.output.outputs(true),
            Delivery::Store => Vec::new(),
        };
        output::check(&outputs, plan.images.len(), &names)?;
        self.output.check_notes()?;
        warn_of_outputs_within(&plan, &outputs, progress);
        warn_of_dockerignore(&plan, context, progress);
        if outputs.is_empty() && matches!(self.delivery, Delivery::Outputs) {
            let message = "the image is in the local store only: write it somewhere with -o, or push it with --push";
            progress(Event::Warning { message });
        }
        Ok(Order { plan, created, modified, names, outputs })
    }

    /// Builds with layers of the images that `--cache-from` names. Should such a layer not be had when it comes to writing
    /// it, builds once more without.
    fn produce(&self, order: &Order, store: &LocalStore, client: &OnDemand, progress: Progress<'_>) -> Result<Built> {
        let Order { plan, created, modified, names, outputs } = order;
        let compression = self.build.compression.unwrap_or_default();
        // What may be refused once its digest is known is not sent before.
        let ahead =
            if matches!(&self.delivery, Delivery::Release(release) if release.immutable) { &[] } else { &names[..] };
        let build = |cached: Option<&Cached<'_>>| {
            output::while_building(outputs, ahead, client, progress, |follow| {
                let options = build::Options {
                    store,
                    bases: store,
                    client,
                    compression,
                    created: *created,
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
                progress(Event::Warning { message: &message });
                let built = build(None)?;
                write(&built, store).map(|()| built)
            }
            written => written.map(|()| built),
        }
    }

    /// The spec, and the directory whose checkout it belongs to.
    fn spec<'s>(&'s self, context: &'s Path) -> Result<(Spec, &'s Path)> {
        if self.build.file.is_none() && self.context.is_none() && self.build.spec.add_files() {
            return Ok((Spec::default(), context));
        }
        if !context.is_dir() {
            return Err(Error::not_found(format!("the context {} is not a directory", context.display())));
        }
        let file = match &self.build.file {
            Some(file) => file.clone(),
            None => context.join(SPEC),
        };
        match read_spec(&file) {
            Ok(_) if is_dockerfile(&file) => {
                Err(no_dockerfiles(Error::input(format!("{} is a {DOCKERFILE}", file.display()))))
            }
            Ok(text) => Ok((Spec::parse(&file.display().to_string(), &text)?, context)),
            Err(error) if error.kind() != io::ErrorKind::NotFound || self.build.file.is_some() => {
                Err(Error::io("read", &file, error))
            }
            Err(_) if self.build.spec.add_files() => Ok((Spec::default(), context)),
            Err(_) if context.join(DOCKERFILE).exists() => {
                Err(no_dockerfiles(Error::input(format!("{} has a {DOCKERFILE} but no {SPEC}", context.display()))))
            }
            Err(_) => Err(Error::not_found(format!("there is no {SPEC} in {}", context.display()))
                .with_hint("name another file with -f, another context, or say it all with --add SRC:DST")),
        }
    }

    fn names(&self, spec: &Spec) -> Vec<Reference> {
        match &spec.name {
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

fn read_spec(file: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(file)?.take(SPEC_LIMIT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > SPEC_LIMIT {
        return Err(io::Error::other(format!("it is larger than {SPEC_LIMIT} bytes, which no spec is")));
    }
    String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

fn is_dockerfile(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    name == DOCKERFILE || name.starts_with("Dockerfile.") || name.ends_with(".Dockerfile")
}

fn no_dockerfiles(error: Error) -> Error {
    error.with_hint(format!("Dockerfiles are not read yet: describe the image in {SPEC}, or with --add"))
}

/// An output of an earlier build that lies among what is added makes each build another image. It is not left out by
/// itself: the same plan would stand for other files, depending on where the image goes.
fn warn_of_outputs_within(plan: &Plan, outputs: &[Output], progress: Progress<'_>) {
    for output in outputs {
        if output.path().is_some_and(|path| plan.adds().any(|add| reaches(add, path))) {
            let message = format!("{output} is among what is added: `exclude` it, or write it elsewhere");
            progress(Event::Warning { message: &message });
        }
    }
}

/// docker would leave out what the context's `.dockerignore` says. Where that file itself is added, all of it is.
fn warn_of_dockerignore(plan: &Plan, context: &Path, progress: Progress<'_>) {
    if plan.adds().any(|add| reaches(add, &context.join(DOCKERIGNORE))) {
        let message = format!("{DOCKERIGNORE} is not read, and added itself: name its patterns and it in `exclude`");
        progress(Event::Warning { message: &message });
    }
}

/// The time of the image, and that of its files.
fn times(flag: Option<&str>, environment: &Environment, checkout: Option<&Checkout>) -> Result<(i64, Modified)> {
    let commit = checkout.map(|checkout| checkout.commit_time);
    let usual = environment.source_date_epoch()?.or(commit).unwrap_or(0);
    let created = match flag {
        None => usual,
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
    Ok((created, Modified::At(created)))
}
