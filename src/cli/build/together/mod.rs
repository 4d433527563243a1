//! Several builds as one: what they have in common is done once, and what they make goes out together, all or nothing.

mod bases;
mod check;
mod deliver;
mod named;
mod share;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use self::bases::BaseStores;
use self::deliver::Delivering;
pub use self::named::{NamedRequest, Together};
pub use self::share::{BuildShare, PlannedBuild};
use super::caches::Caches;
use super::recipe::{LinkedTargets, Recipe};
use super::request::{BuildMeans, BuildOrder, Delivery, Surroundings};
use crate::build::{self, Built, CommandLogs, TargetWork};
use crate::cli::environment::Environment;
use crate::cli::store::{tell_of_place, trim};
use crate::error::{Error, Result};
use crate::oci::{Digest, Map, Platform, Reference};
use crate::output;
use crate::plan::LinkedTarget;
use crate::plan::join::{JoinedPlan, TargetPlan, join};
use crate::progress::{Event, FinishedTarget, Progress};
use crate::source::base::FoundName;
use crate::source::cached::CachedImages;
use crate::source::image::Location;
use crate::store::Store;
use crate::sync::Memo;

/// A target that is built, and is where it goes to.
pub struct BuiltTarget {
    pub name: Arc<str>,
    pub built: Built,
    /// The names that stand for it.
    pub names: Vec<Reference>,
}

impl Together<'_> {
    /// Builds all, writes every output, and returns what was built, in the order of the requests. No tag is set before every
    /// registry has all of all images, and the first failure ends all.
    pub fn run(&self, environment: &Environment, progress: Progress<'_>) -> Result<Vec<BuiltTarget>> {
        let Some(first) = self.requests.first() else { return Ok(Vec::new()) };
        let limit = environment.store_limit()?;
        let means = first.request.means(environment)?;
        let is_told = AtomicBool::new(environment.again);
        let progress: Progress<'_> = &|event| {
            first.request.commands.note(event);
            if !is_told.load(Ordering::Relaxed) {
                progress(event);
            }
        };
        tell_of_place(environment, progress);
        let built = self.with_means(environment, &means, &is_told, progress)?;
        if self.share.is_none() {
            tell(&built, progress)?;
        }
        trim(means.store, limit, progress);
        Ok(built)
    }

    fn with_means(
        &self,
        environment: &Environment,
        means: &BuildMeans,
        is_told: &AtomicBool,
        progress: Progress<'_>,
    ) -> Result<Vec<BuiltTarget>> {
        self.with_orders(environment, means, progress, |recipes, bases, orders| {
            is_told.store(false, Ordering::Relaxed);
            if let Some(share) = self.share {
                (share.check)(&self.planned(recipes, &orders))?;
            }
            self.build(orders, bases, means, progress)
        })
    }

    /// Builds nothing, and does `work` with what would be built, and with what bases stand for.
    pub fn plan<T>(
        &self,
        environment: &Environment,
        progress: Progress<'_>,
        work: impl FnOnce(&[PlannedBuild<'_>], &[FoundName]) -> Result<T>,
    ) -> Result<T> {
        let Some(first) = self.requests.first() else { return work(&[], &[]) };
        let means = first.request.means(environment)?;
        tell_of_place(environment, progress);
        self.with_orders(environment, &means, progress, |recipes, bases, orders| {
            work(&self.planned(recipes, &orders), &bases.found_names())
        })
    }

    fn planned<'b>(&'b self, recipes: &[Recipe<'_>], orders: &'b [BuildOrder]) -> Vec<PlannedBuild<'b>> {
        let planned = |((named, recipe), order): ((&'b NamedRequest<'_>, &Recipe<'_>), &'b BuildOrder)| PlannedBuild {
            name: &named.name,
            plan: &order.plan,
            names: &order.names,
            dockerfile: recipe.text().map(|text| Digest::of(text.content.as_bytes())),
        };
        self.requests.iter().zip(recipes).zip(orders).map(planned).collect()
    }

    /// Does `work` with all recipes, with the stores of their bases and with what is to be built of each.
    fn with_orders<T>(
        &self,
        environment: &Environment,
        means: &BuildMeans,
        progress: Progress<'_>,
        work: impl FnOnce(&[Recipe<'_>], &BaseStores<'_>, Vec<BuildOrder>) -> Result<T>,
    ) -> Result<T> {
        let mut recipes = Vec::with_capacity(self.requests.len());
        for named in self.requests {
            let recipe = named.request.recipe(environment, means, progress);
            recipes.push(recipe.map_err(|error| self.blamed(error, named))?);
        }
        let images: Vec<Map<Location>> =
            self.requests.iter().map(|named| named.request.build.recipe.images()).collect();
        let requests: Vec<_> = self.requests.iter().map(|named| &named.request).zip(&recipes).collect();
        let held = self.share.map(|share| share.bases);
        let bases = BaseStores::new(&requests, &images, held, means, progress)?;
        let orders = self.resolve(environment, &recipes, &bases, means, progress)?;
        work(&recipes, &bases, orders)
    }

    /// Returns what is to be built of each, and where it goes.
    fn resolve(
        &self,
        environment: &Environment,
        recipes: &[Recipe<'_>],
        bases: &BaseStores<'_>,
        means: &BuildMeans,
        progress: Progress<'_>,
    ) -> Result<Vec<BuildOrder>> {
        let mut orders: Vec<BuildOrder> = Vec::with_capacity(recipes.len());
        let checkouts = Memo::default();
        for (number, (named, recipe)) in self.requests.iter().zip(recipes).enumerate() {
            let linked = self.linked(named, &orders);
            let (bases, linked) = (bases.of(number)?, &linked);
            let around = Surroundings { store: &means.store, bases, linked, checkouts: &checkouts };
            let order = named.request.resolve(environment, recipe, around, &|| (), progress);
            orders.push(order.map_err(|error| self.blamed(error, named))?);
        }
        self.check_alike(&orders)?;
        check::name_once(self.requests, &mut orders, progress);
        Ok(orders)
    }

    /// The targets that `named` takes from, as far as they are resolved.
    fn linked(&self, named: &NamedRequest<'_>, orders: &[BuildOrder]) -> LinkedTargets {
        let mut linked = Map::new();
        for target in named.request.takes_from() {
            let place = self.requests.iter().position(|other| *other.name == *target);
            if let Some((place, order)) = place.and_then(|place| Some((place, orders.get(place)?))) {
                let other = LinkedTarget::of(&self.requests[place].name, &order.plan);
                linked.insert(target.to_owned(), Arc::new(other));
            }
        }
        linked
    }

    /// Returns `error` with the name of the target that has it, if there are others.
    fn blamed(&self, error: Error, named: &NamedRequest<'_>) -> Error {
        match self.requests {
            [_] => error,
            _ => Error { message: format!("target {}: {}", named.name, error.message), ..error },
        }
    }

    /// Builds with layers of the images that `cache_from` names; should one not be had when it comes to writing it, once more
    /// without.
    fn build(
        &self,
        mut orders: Vec<BuildOrder>,
        bases: &BaseStores<'_>,
        means: &BuildMeans,
        progress: Progress<'_>,
    ) -> Result<Vec<BuiltTarget>> {
        let Some(first) = self.requests.first().map(|named| &named.request) else { return Ok(Vec::new()) };
        let compression = first.build.compression.unwrap_or_default();
        let modified = orders.first().map(|order| order.modified).unwrap_or_default();
        let mut plans = Vec::with_capacity(orders.len());
        for (named, order) in self.requests.iter().zip(&mut orders) {
            let (plan, contexts) = (order.take_plan(), std::mem::take(&mut order.contexts));
            plans.push(TargetPlan { name: named.name.clone(), plan, contexts });
        }
        let JoinedPlan { mut plan, contexts } = join(plans)?;
        if let Some(share) = self.share {
            plan.narrow(share.images);
        }
        if let ([only], [_]) = (&mut plan.targets[..], self.requests) {
            only.name = None;
            plan.stages.iter_mut().for_each(|stage| stage.target = None);
        }
        let logs = first.build.run.log.as_deref().map(CommandLogs::open).transpose()?;
        let BuildMeans { store, client } = means;
        let is_squashed = first.build.squash == Some(true);
        let flags = self.requests.iter().map(|named| &named.request.output.cache);
        let caches = Caches::of(flags, (compression, first.output.jobs), client, progress)?;
        let options = || build::Options {
            store,
            contexts: &contexts,
            bases,
            client,
            compression,
            modified,
            squash: is_squashed,
            jobs: first.output.jobs,
            trust_times: !first.output.no_stat_cache,
            sandbox: first.beforehand.sandbox.as_ref(),
            shell: first.build.run.on_failure.map(|_| first.shell),
            logs: logs.as_ref(),
            secret: first.secret,
            cached: None,
            steps: None,
            signing: caches.steps.signing_key(),
            mounts: None,
            follow: None,
            progress,
        };
        let steps = Some(&caches.steps).filter(|_| !is_squashed);
        let mounts = caches.mounts.as_ref();
        // Of several, nobody knows to which repository a layer is to go; and what may be refused once its digest is known is not
        // sent before.
        let may_be_refused = matches!(&first.delivery, Delivery::Release(release) if release.immutable);
        let (outputs, names) = match &orders[..] {
            [only] if !is_squashed && !may_be_refused => (&only.outputs[..], &only.names[..]),
            _ => (&[][..], &[][..]),
        };
        let build = |cached: Option<&CachedImages<'_>>| match cached {
            Some(images) => output::while_building(outputs, names, client, progress, |follow| {
                let cached = Some(images).filter(|_| !is_squashed);
                build::build(&plan, &build::Options { cached, steps, mounts, follow, ..options() })
            }),
            None => build::build(&plan, &build::Options { steps, mounts, ..options() }),
        };
        let delivering = Delivering { together: self, orders: &orders, bases, means, progress };
        let deliver = |built: &Vec<Built>, store: &dyn Store| delivering.deliver(built, store);
        let built = caches.produce(store, build, deliver, progress)?;
        Ok(self.built(orders, built))
    }

    fn built(&self, orders: Vec<BuildOrder>, built: Vec<Built>) -> Vec<BuiltTarget> {
        let target = |((named, order), built): ((&NamedRequest<'_>, BuildOrder), Built)| BuiltTarget {
            name: named.name.clone(),
            built,
            names: order.names,
        };
        self.requests.iter().zip(orders).zip(built).map(target).collect()
    }
}

/// Tells what came of each target, where there are several.
fn tell(targets: &[BuiltTarget], progress: Progress<'_>) -> Result<()> {
    if targets.len() < 2 {
        return Ok(());
    }
    let platforms: Vec<Vec<&Platform>> =
        targets.iter().map(|target| target.built.images.iter().map(|image| &image.platform).collect()).collect();
    let mut finished = Vec::with_capacity(targets.len());
    for (BuiltTarget { name, built, names }, platforms) in targets.iter().zip(&platforms) {
        let TargetWork { steps, known, elapsed } = built.work;
        let (run, size, digest) = (steps - known, built.size()?, built.root.digest);
        finished.push(FinishedTarget { name, platforms, size, run, known, elapsed, digest, names });
    }
    progress(Event::TargetsFinished { targets: &finished });
    Ok(())
}
