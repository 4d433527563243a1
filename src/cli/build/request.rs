//! One build from its recipe to its outputs.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::caches::Caches;
use super::given::GivenRecipe;
use super::key_agent::KeyAgents;
use super::recipe::{LinkedTargets, Recipe};
use super::times::times;
use super::want::Beforehand;
use super::{caches, leave, lock, verify, warn};
use crate::build::{self, Built, CommandLogs};
use crate::cli::commands::Commands;
use crate::cli::environment::Environment;
use crate::cli::flags::build::BuildFlags;
use crate::cli::flags::output::OutputFlags;
use crate::cli::namespace::start_again;
use crate::cli::store::{tell_of_place, trim};
use crate::error::{Error, ErrorKind, Result};
use crate::oci::{Map, Platform, Reference};
use crate::output::{self, Means, Output, OutputImage};
use crate::plan::{Automatic, Checkout, ContextPlace, FindBase, Plan, Spec, version};
use crate::progress::{Event, Progress, WarningKind};
use crate::registry::OnDemand;
use crate::release::{self, Release};
use crate::source::base::{BaseOptions, BaseStore};
use crate::source::cached::CachedImages;
use crate::source::context::ContextAccess;
use crate::source::image::Location;
use crate::source::modified::Modified;
use crate::store::{Beside, Graph, LocalStore, Store};
use crate::sync::Memo;

/// The image of the only target.
fn only(built: Vec<Built>) -> Result<Built> {
    built.into_iter().next_back().ok_or_else(|| Error::input("there is nothing to build: the plan has no target"))
}

/// One build, its arguments resolved.
pub struct BuildRequest<'a> {
    pub context: Option<&'a Path>,
    pub build: &'a BuildFlags,
    pub output: &'a OutputFlags,
    /// The tag that was named; a version in it becomes the image's.
    pub tag: Option<String>,
    pub names: Vec<Reference>,
    /// Those that get the image under its digest, without a tag.
    pub repositories: &'a [Reference],
    pub delivery: Delivery<'a>,
    /// What it is told by, where that stands in no file of its own.
    pub given: Option<GivenRecipe<'a>>,
    /// Reads the value of a secret.
    pub secret: build::ReadSecret<'a>,
    pub beforehand: &'a Beforehand,
    /// Is told of the commands.
    pub commands: &'a Commands,
    /// Opens a shell where a command has failed, if the flags ask for one.
    pub shell: build::OpenShell<'a>,
}

/// The places to which a build goes.
pub enum Delivery<'a> {
    /// The outputs that the flags name.
    Outputs,
    /// These outputs, and the registry under each name.
    Push,
    /// These outputs, and the registry as a release, which keeps its own record.
    Release(Release<'a>),
    /// Nowhere yet.
    Store,
    /// Nowhere by itself: it is planned, or built as a share of what many machines have planned, which may be a release.
    Share { is_release: bool, is_built: bool },
}

/// The store and the client that a build is made with.
pub(super) struct BuildMeans {
    pub store: LocalStore,
    pub client: OnDemand,
}

/// What a recipe is resolved with.
#[derive(Clone, Copy)]
pub(super) struct Surroundings<'a, 'b> {
    pub store: &'a LocalStore,
    pub bases: &'a BaseStore<'b>,
    /// The targets that contexts are the images of, by their names.
    pub linked: &'a LinkedTargets,
    /// What git knows of the roots of contexts.
    pub checkouts: &'a Memo<PathBuf, Option<Checkout>>,
}

/// A plan that is to be built, and where the image goes.
pub(super) struct BuildOrder {
    pub plan: Plan,
    /// Where its contexts lie.
    pub contexts: Vec<PathBuf>,
    pub modified: Modified,
    pub names: Vec<Reference>,
    pub outputs: Vec<Output>,
    /// As long as there may be commands that ask them.
    _agents: KeyAgents,
}

impl BuildOrder {
    /// Takes its plan: there is none left.
    pub fn take_plan(&mut self) -> Plan {
        let nothing = Plan { stages: Vec::new(), contexts: Vec::new(), targets: Vec::new() };
        std::mem::replace(&mut self.plan, nothing)
    }
}

impl BuildRequest<'_> {
    /// Builds, writes every output, and returns what was built. Fails before anything is built if an output cannot be
    /// written.
    pub fn run(&self, environment: &Environment, progress: Progress<'_>) -> Result<Built> {
        let limit = environment.store_limit()?;
        let means = self.means(environment)?;
        let is_told = AtomicBool::new(environment.again);
        let progress: Progress<'_> = &|event| {
            self.commands.note(event);
            if !is_told.load(Ordering::Relaxed) {
                progress(event);
            }
        };
        tell_of_place(environment, progress);
        let built = self.with_recipe(environment, &means, progress, |recipe, bases| {
            let planned = || is_told.store(false, Ordering::Relaxed);
            let (linked, checkouts) = (&Map::new(), &Memo::default());
            let around = Surroundings { store: &means.store, bases, linked, checkouts };
            let order = self.resolve(environment, recipe, around, &planned, progress)?;
            let built = self.produce(&order, &means, bases, progress)?;
            if matches!(self.delivery, Delivery::Outputs | Delivery::Push) {
                let names = [&order.names[..], self.repositories].concat();
                let image = OutputImage { store: &means.store, root: &built.root, names: &names };
                self.output.note(image, self.commands)?;
            }
            Ok(built)
        })?;
        trim(means.store, limit, progress);
        Ok(built)
    }

    /// Reads the recipe, and does `work` with it, which may ask for images: one that cannot be asked for is a warning.
    pub fn ask(
        &self,
        environment: &Environment,
        progress: Progress<'_>,
        work: impl FnOnce(&Recipe<'_>, &mut FindBase<'_>) -> Result<()>,
    ) -> Result<()> {
        let means = self.means(environment)?;
        self.with_recipe(environment, &means, progress, |recipe, bases| {
            work(recipe, &mut |name, platform| {
                bases.find(name, platform).inspect_err(|error| {
                    // One that does not exist is what this ends with.
                    if error.kind != ErrorKind::NotFound {
                        let message = format!("the checks run without the image {name}: {}", error.message);
                        progress(Event::Warning { kind: WarningKind::CheckWithoutBase, message: &message });
                    }
                })
            })
        })
    }

    /// Returns the targets whose images it takes from.
    pub(super) fn takes_from(&self) -> impl Iterator<Item = &str> {
        let contexts = self.build.recipe.build_context.iter().filter_map(|context| match &context.place {
            ContextPlace::Target(target) => Some(target.as_str()),
            _ => None,
        });
        contexts.chain(self.given.and_then(GivenRecipe::base_target))
    }

    /// Opens the store.
    pub(super) fn means(&self, environment: &Environment) -> Result<BuildMeans> {
        let store = LocalStore::open(environment.working_store()?)?;
        Ok(BuildMeans { store, client: self.output.client(environment) })
    }

    fn with_recipe<T>(
        &self,
        environment: &Environment,
        means: &BuildMeans,
        progress: Progress<'_>,
        work: impl FnOnce(&Recipe<'_>, &BaseStore<'_>) -> Result<T>,
    ) -> Result<T> {
        let recipe = self.recipe(environment, means, progress)?;
        let images = self.build.recipe.images();
        let options = self.base_options(&recipe, means, &images, progress);
        work(&recipe, &BaseStore::new(options, lock::pins(&self.build.base, &recipe)?))
    }

    /// Reads the recipe.
    pub(super) fn recipe(
        &self,
        environment: &Environment,
        BuildMeans { store, client }: &BuildMeans,
        progress: Progress<'_>,
    ) -> Result<Recipe<'_>> {
        let flags = &self.build.recipe;
        let mut input: Box<dyn Read + '_> = match self.given {
            Some(GivenRecipe::Dockerfile(text)) => Box::new(text.as_bytes()),
            Some(GivenRecipe::Spec(_)) | None => Box::new(io::stdin()),
        };
        let given = self.given.map_or(Ok(None), |given| given.found(self.context))?;
        let mut recipe = Recipe::read(
            self.build,
            self.context,
            given.as_ref().or(self.beforehand.recipe.as_ref()),
            &mut input,
            environment,
            &ContextAccess { store, client, progress, keep_git_dir: flags.keeps_git_dir()? },
        )?;
        let is_version = self.tag.as_deref().is_some_and(|tag| version::of_tag(tag).is_some());
        recipe.is_release = is_version
            && matches!(
                self.delivery,
                Delivery::Release(_) | Delivery::Store | Delivery::Share { is_release: true, .. }
            );
        Ok(recipe)
    }

    /// Returns where the bases of `recipe` come from; `images` are those of contexts.
    pub(super) fn base_options<'r>(
        &self,
        recipe: &'r Recipe<'_>,
        BuildMeans { store, client }: &'r BuildMeans,
        contexts: &'r Map<Location>,
        progress: Progress<'r>,
    ) -> BaseOptions<'r> {
        BaseOptions { store, client, pull: self.build.base.pull(), contexts, reach: recipe.reach(), progress }
    }

    /// Plans the build; `planned` is called once there is a plan.
    pub(super) fn resolve(
        &self,
        environment: &Environment,
        recipe: &Recipe<'_>,
        Surroundings { store, bases, linked, checkouts }: Surroundings<'_, '_>,
        planned: &dyn Fn(),
        progress: Progress<'_>,
    ) -> Result<BuildOrder> {
        let names = self.names(recipe.spec());
        let checkout = checkouts.get(recipe.root().to_owned(), || Ok(recipe.checkout(progress)))?;
        let (created, modified) = times(self.build.timestamp.as_deref(), recipe.epoch, checkout.as_ref())?;
        let automatic = Automatic { created, tag: self.tag.clone(), checkout };
        let find = &mut |name: &str, platform: &Platform| bases.find(name, platform);
        let mut plan = recipe.plan(&automatic, find, linked, progress)?;
        let annotations = self.output.annotations();
        let tells_steps = self.output.cache.tells_steps(self.build.squash == Some(true))?;
        for target in &mut plan.targets {
            target.placed_annotations.extend(annotations.clone());
            target.tells_steps = tells_steps;
        }
        let mut run = recipe.run_settings()?;
        if plan.has_commands() && !matches!(self.delivery, Delivery::Share { is_built: false, .. }) {
            // Those that stand in the Dockerfile itself were seen before: this is of an `ONBUILD`.
            start_again(run.isolation)?;
        }
        planned();
        lock::keep(recipe, bases)?;
        let contexts = recipe.roots();
        if let Some(place) = self.output.cache.mounts() {
            run.lock_key = caches::lock_key(place, &plan, recipe.root(), progress)?;
        }
        let outputs = |push| self.output.outputs(push, environment, &contexts, progress);
        let outputs = match self.delivery {
            Delivery::Outputs => outputs(false)?,
            Delivery::Push | Delivery::Release(_) => outputs(true)?,
            Delivery::Store | Delivery::Share { .. } => Vec::new(),
        };
        let images = plan.targets.iter().map(|target| target.images.len()).sum();
        let all_names = [&names[..], self.repositories].concat();
        output::check(&outputs, images, &all_names)?;
        self.output.check_notes(&all_names)?;
        for message in &self.output.cache.missing() {
            progress(Event::Warning { kind: WarningKind::CacheNotUsed, message });
        }
        warn::of_outputs_within(&plan, &contexts, &outputs, progress);
        if recipe.spec().is_some() {
            warn::of_dockerignore(&plan, &contexts, progress);
        }
        let is_kept = self.output.is_kept() || self.output.is_noted() || !names.is_empty();
        if outputs.is_empty() && !is_kept && matches!(self.delivery, Delivery::Outputs) {
            let message =
                "the image has no name and no output: name it with -t, write it with -o, or push it with --push";
            progress(Event::Warning { kind: WarningKind::NoOutput, message });
        }
        let agents = KeyAgents::start(&self.build.run, store)?;
        run.no_cache |= self.output.verify_rebuild;
        run.agents.extend(agents.sockets());
        plan.settle(&Arc::new(run), created.unwrap_or(0));
        Ok(BuildOrder { plan, contexts, modified, names, outputs, _agents: agents })
    }

    /// Builds with layers of the images that `--cache-from` names. Should such a layer not be had when it comes to writing
    /// it, builds once more without.
    fn produce(
        &self,
        order: &BuildOrder,
        BuildMeans { store, client }: &BuildMeans,
        bases: &BaseStore<'_>,
        progress: Progress<'_>,
    ) -> Result<Built> {
        let BuildOrder { plan, contexts, modified, names, outputs, .. } = order;
        let compression = self.build.compression.unwrap_or_default();
        let logs = self.build.run.log.as_deref().map(CommandLogs::open).transpose()?;
        // What may be refused once its digest is known is not sent before.
        let ahead = match &self.delivery {
            Delivery::Release(release) if release.immutable => Vec::new(),
            _ => [&names[..], self.repositories].concat(),
        };
        let is_verified = self.output.verify_rebuild;
        let is_squashed = self.build.squash == Some(true);
        let caches = Caches::of([&self.output.cache].into_iter(), (compression, self.output.jobs), client, progress)?;
        let options = || build::Options {
            store,
            contexts,
            bases,
            client,
            compression,
            modified: *modified,
            squash: is_squashed,
            jobs: self.output.jobs,
            trust_times: !self.output.no_stat_cache,
            sandbox: self.beforehand.sandbox.as_ref(),
            shell: self.build.run.on_failure.map(|_| self.shell),
            logs: logs.as_ref(),
            secret: self.secret,
            cached: None,
            steps: None,
            signing: caches.steps.signing_key(),
            mounts: None,
            follow: None,
            progress,
        };
        let steps = Some(&caches.steps).filter(|_| !is_verified && !is_squashed);
        let build = |cached: Option<&CachedImages<'_>>| {
            output::while_building(outputs, &ahead, client, progress, |follow| {
                // What is put together afterwards goes nowhere as it is.
                let follow = follow.filter(|_| !is_squashed);
                let options = build::Options { follow, cached, steps, mounts: caches.mounts.as_ref(), ..options() };
                only(build::build(plan, &options)?)
            })
        };
        // What is in a cached image would hide what differs.
        let again = |built: &Built| {
            let place = store.directory()?;
            let other = LocalStore::open(place.path())?;
            self.commands.end();
            // All there was to warn of has been said.
            let progress = |event: Event<'_>| match event {
                Event::Warning { .. } => {}
                event => progress(event),
            };
            let options = build::Options { store: &other, logs: None, progress: &progress, ..options() };
            let second = only(build::build(plan, &options)?)?;
            verify::compare((built, store), (&second, &other))?;
            progress(Event::BuiltAgain { digest: second.root.digest });
            Ok(())
        };
        let write = |built: &Built, layered: &dyn Store| {
            let whole = &Beside { first: bases, second: layered };
            if outputs.iter().any(|output| *output != Output::Registry) {
                bases.fetch(&Graph::of(whole, &built.root)?.blobs, self.output.jobs)?;
            }
            let image = OutputImage { store: whole, root: &built.root, names };
            let means = Means { client, jobs: self.output.jobs, progress };
            // A release is built from what is there at its time, and leaves nothing.
            let leaves = matches!(self.delivery, Delivery::Outputs | Delivery::Push);
            let is_pushed = outputs.contains(&Output::Registry);
            let leave = || match self.output.is_cache_only() {
                true => Ok(()),
                false => leave::leave(image, is_pushed, store, &|blobs| bases.fetch(blobs, self.output.jobs), progress),
            };
            if leaves && !is_pushed {
                leave()?;
            }
            match &self.delivery {
                Delivery::Release(release) => release.write(outputs, image, &means),
                _ if self.repositories.is_empty() => release::write(outputs, image, &means),
                _ => self.write_by_digest(outputs, image, &means),
            }?;
            if leaves && is_pushed { leave() } else { Ok(()) }
        };
        let build = |cached: Option<&CachedImages<'_>>| {
            let built = build(cached.filter(|_| !is_verified && !is_squashed))?;
            if is_verified {
                again(&built)?;
            }
            Ok(built)
        };
        caches.produce(store, build, write, progress)
    }

    /// Writes an image to `outputs`, in registries to the repositories, too, that get it under its digest.
    fn write_by_digest(&self, outputs: &[Output], image: OutputImage<'_>, means: &Means<'_>) -> Result<()> {
        let (registry, others): (Vec<Output>, Vec<_>) =
            outputs.iter().cloned().partition(|output| *output == Output::Registry);
        release::write(&others, image, means)?;
        let by_digest = self.repositories.iter().map(|repository| repository.with_digest(image.root.digest));
        let names: Vec<Reference> = image.names.iter().cloned().chain(by_digest).collect();
        release::write(&registry, OutputImage { names: &names, ..image }, means)
    }

    fn names(&self, spec: Option<&Spec>) -> Vec<Reference> {
        match spec.and_then(|spec| spec.name.as_ref()) {
            Some(name) if self.names.is_empty() => vec![name.with_tag("latest")],
            _ => self.names.clone(),
        }
    }
}
