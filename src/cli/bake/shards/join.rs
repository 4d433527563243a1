//! `bake --plan --join`: the results of all shards, made into images that tags stand for.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::results::{FoundResult, Results};
use super::{file, tags};
use crate::cli::bake::build::asked_names;
use crate::cli::bake::flags::BakeArguments;
use crate::cli::bake::release::{SystemRelease, TargetRelease};
use crate::cli::commands::Commands;
use crate::cli::environment::Environment;
use crate::cli::image_refs;
use crate::cli::metadata;
use crate::cli::print::{answer_lines, tell};
use crate::cli::progress::Reporter;
use crate::error::{Error, Result};
use crate::image;
use crate::oci::{Descriptor, Digest, Reference};
use crate::output::{Means, OutputImage};
use crate::plan::shared::{PlanNode, Shard, SharedPlan, SharedTarget};
use crate::progress::Progress;
use crate::registry::{Client, OnDemand, Repository};
use crate::release::{self, PushedImage};
use crate::store::pending::PendingFile;
use crate::store::{Beside, LocalStore};

/// The time between the first two looks at the registry; it doubles up to the longest.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// A target whose images are all there.
struct JoinedTarget<'a> {
    name: &'a str,
    target: &'a SharedTarget,
    root: Descriptor,
    names: Vec<Reference>,
}

/// Joins the results of the plan in `path`, sets all tags, and answers with the images.
pub fn join(arguments: &BakeArguments, path: &Path, timeout: Duration, environment: &Environment) -> Result<()> {
    let plan = file::read(path)?;
    let notes = [&arguments.metadata_file, &arguments.image_refs];
    notes.into_iter().flatten().try_for_each(|path| PendingFile::check(path))?;
    let reporter = Reporter::new(&arguments.progress);
    let progress: Progress<'_> = &|event| reporter.report(event);
    let on_demand = environment.client(arguments.insecure, arguments.jobs);
    let client = on_demand.client()?;
    let results = Results::new(&plan, client, progress);
    let manifests = wait(&plan, &results, timeout, arguments.shards.count(&plan))?;
    let store = LocalStore::open(environment.working_store()?)?;
    client.each(plan.nodes.iter().zip(&manifests), |(node, manifest)| results.check(node, manifest, &store))?;
    let releases = tags::releases(&plan)?;
    let joined = joined(&plan, &manifests, &releases, &store)?;
    let request = PushRequest { plan: &plan, arguments, releases: &releases, store: &store };
    request.push(&joined, (&on_demand, client), progress)?;
    reporter.finish();
    let digests: Vec<(&str, Digest)> = joined.iter().map(|joined| (joined.name, joined.root.digest)).collect();
    let lines = match releases.is_empty() {
        false => asked_names(&releases, &digests),
        true => {
            joined.iter().flat_map(|joined| joined.names.iter().map(|name| line(name, joined.root.digest))).collect()
        }
    };
    answer_lines(lines)
}

/// A name with the digest that it stands for.
fn line(name: &Reference, digest: Digest) -> String {
    match name.tag() {
        Some(_) => format!("{name}@{digest}"),
        None => format!("{}@{digest}", name.name()),
    }
}

/// Returns the manifest of each node, once there is a result for all of them. Fails if there is not in time, and names those that
/// are missing.
fn wait(plan: &SharedPlan, results: &Results<'_>, timeout: Duration, shards: Option<usize>) -> Result<Vec<Descriptor>> {
    let (began, mut pause) = (Instant::now(), FIRST_WAIT);
    let mut found: Vec<FoundResult> = vec![None; plan.nodes.len()];
    let mut told = usize::MAX;
    loop {
        let missing: Vec<usize> = (0..found.len()).filter(|place| found[*place].is_none()).collect();
        let nodes: Vec<&PlanNode> = missing.iter().map(|place| &plan.nodes[*place]).collect();
        for (place, manifest) in missing.into_iter().zip(results.find_all(&nodes)?) {
            found[place] = manifest;
        }
        let left = found.iter().filter(|manifest| manifest.is_none()).count();
        if left == 0 {
            return Ok(found.into_iter().flatten().collect());
        }
        let time = timeout.saturating_sub(began.elapsed());
        if time.is_zero() {
            return Err(missing_results(plan, &found, shards));
        }
        if left < told {
            told = left;
            tell(&format!("waiting for the results of {left} of {} nodes", found.len()));
        }
        thread::sleep(pause.min(time));
        pause = (pause * 2).min(LONGEST_WAIT);
    }
}

fn missing_results(plan: &SharedPlan, found: &[FoundResult], shards: Option<usize>) -> Error {
    const MOST_NAMED: usize = 100;
    let missing = || found.iter().enumerate().filter(|(_, manifest)| manifest.is_none()).map(|(place, _)| place);
    let line = |place: usize| {
        let name = plan.nodes[place].name();
        match shards.and_then(|all| Shard::of_node(place, plan.nodes.len(), all)) {
            Some(shard) => format!("{name} (shard {shard})"),
            None => name,
        }
    };
    let count = missing().count();
    let mut details: Vec<String> = missing().take(MOST_NAMED).map(line).collect();
    if count > MOST_NAMED {
        details.push(format!("and {} more", count - MOST_NAMED));
    }
    Error::not_found(format!("{count} of {} nodes have no result", found.len()))
        .with_details(details)
        .with_hint("run their shards again, then --join; no tag has been set")
}

/// Returns the targets that were asked for, with their indexes in `store`, as one machine makes them.
fn joined<'a>(
    plan: &'a SharedPlan,
    manifests: &[Descriptor],
    releases: &[TargetRelease],
    store: &LocalStore,
) -> Result<Vec<JoinedTarget<'a>>> {
    let mut all = Vec::new();
    for (name, target) in plan.targets.iter().filter(|(_, target)| !target.linked) {
        let mut members: Vec<(usize, Descriptor)> = Vec::with_capacity(target.platforms.len());
        for (node, manifest) in plan.nodes.iter().zip(manifests).filter(|(node, _)| node.target == *name) {
            let listed = Descriptor { annotations: node.annotations.clone(), ..manifest.clone() };
            members.push((node.image, listed));
        }
        members.sort_by_key(|(image, _)| *image);
        let members: Vec<Descriptor> = members.into_iter().map(|(_, manifest)| manifest).collect();
        let root = match &members[..] {
            [only] if !target.index => only.clone(),
            _ => {
                let index = image::index(members, target.annotations.clone());
                store.put(&index.descriptor.media_type, &index.bytes)?;
                index.descriptor
            }
        };
        let names = names(name, target, releases, root.digest)?;
        all.push(JoinedTarget { name, target, root, names });
    }
    Ok(all)
}

/// The names that a target is pushed under, those without a tag among them.
fn names(name: &str, target: &SharedTarget, releases: &[TargetRelease], digest: Digest) -> Result<Vec<Reference>> {
    if let Some(release) = releases.iter().find(|release| release.name == name) {
        return Ok(release.names(true));
    }
    let named = target.names.iter().map(|name| name.parse());
    let by_digest = target.by_digest.iter().map(|name| Ok(name.parse::<Reference>()?.with_digest(digest)));
    named.chain(by_digest).collect()
}

/// A push of joined targets.
struct PushRequest<'a> {
    plan: &'a SharedPlan,
    arguments: &'a BakeArguments,
    releases: &'a [TargetRelease],
    store: &'a LocalStore,
}

impl PushRequest<'_> {
    /// Sets the tags of all, once every repository has all of them.
    fn push(
        &self,
        joined: &[JoinedTarget<'_>],
        (on_demand, client): (&OnDemand, &Client),
        progress: Progress<'_>,
    ) -> Result<()> {
        let file = self.arguments.metadata_file.as_deref();
        let commands = Commands::default();
        let system = SystemRelease::new(self.releases, self.plan.immutable, file, &commands, joined.len() > 1);
        let keepers = system.keepers();
        let repositories: Vec<Repository<'_>> = joined
            .iter()
            .map(|joined| Ok(joined.target.repositories()?.first().map(|name| client.repository(name, progress))))
            .filter_map(Result::transpose)
            .collect::<Result<_>>()?;
        let stores: Vec<Beside<'_>> =
            repositories.iter().map(|repository| Beside { first: self.store, second: repository }).collect();
        let images: Vec<PushedImage<'_>> = joined
            .iter()
            .zip(&stores)
            .map(|(joined, store)| PushedImage {
                image: OutputImage { store, root: &joined.root, names: &joined.names },
                release: system.release(joined.name, &keepers),
            })
            .collect();
        let means = Means { client: on_demand, jobs: self.arguments.jobs, progress };
        release::push_together(&images, &means)?;
        if let Some(path) = &self.arguments.image_refs {
            let all = joined.iter().flat_map(|joined| joined.names.iter().map(|name| (name, joined.root.digest)));
            image_refs::write(path, all)?;
        }
        match file.filter(|_| self.releases.is_empty()) {
            Some(path) => {
                let told: Vec<_> =
                    joined.iter().zip(&images).map(|(joined, pushed)| (joined.name, pushed.image)).collect();
                metadata::write_all(path, &told, &commands)
            }
            None => Ok(()),
        }
    }
}
