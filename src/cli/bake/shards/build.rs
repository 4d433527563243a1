//! `bake --plan --shard`: a share of a plan, built and left in the registry.

use std::collections::BTreeSet;
use std::path::Path;

use super::results::Results;
use super::{check, file, tags};
use crate::build::Built;
use crate::cli::bake::agree;
use crate::cli::bake::build::{BakeMeans, BakeOrder};
use crate::cli::bake::flags::BakeArguments;
use crate::cli::bake::request::TargetRequest;
use crate::cli::bake::variables::VariableSources;
use crate::cli::build::{Beforehand, BuildShare, NamedRequest, PlannedBuild, Together};
use crate::cli::commands::Commands;
use crate::cli::environment::Environment;
use crate::cli::namespace::Want;
use crate::cli::print::answer_lines;
use crate::cli::progress::Reporter;
use crate::error::{Error, Result};
use crate::oci::{Descriptor, Digest, Map, Reference};
use crate::plan::BaseLock;
use crate::plan::shared::{PlanNode, SharedPlan};
use crate::progress::{Event, Progress, WarningKind};
use crate::store::{LocalStore, Store};

/// How many nodes are built at a time: what was built before a shard was killed is there for the one that takes its place.
const AT_A_TIME: usize = 8;

/// Returns what the build of a share wants of its place: what the builds of all targets want.
pub fn want(arguments: &BakeArguments, path: &Path, environment: &Environment) -> Result<Want> {
    let sources = VariableSources::read(&[], &arguments.env_file)?;
    // What is wrong will come to light again.
    let Ok(plan) = file::read(path) else { return Ok(Want::Nothing) };
    let Ok(resolved) = file::resolved(&plan, &arguments.allow) else { return Ok(Want::Nothing) };
    BakeOrder { resolved: &resolved, remote: None, sources: &sources, arguments }.want(environment)
}

/// Builds a share of the plan in `path`, and answers with the images of its nodes.
pub fn build(arguments: &BakeArguments, path: &Path, environment: &Environment, beforehand: &Beforehand) -> Result<()> {
    let plan = file::read(path)?;
    file::check_here(&plan, environment)?;
    let shard = arguments.shards.shard(&plan)?;
    let nodes: Vec<&PlanNode> = plan.nodes[shard.nodes(plan.nodes.len())].iter().collect();
    let sources = VariableSources::read(&[], &arguments.env_file)?;
    let resolved = file::resolved(&plan, &arguments.allow)?;
    let order = BakeOrder { resolved: &resolved, remote: None, sources: &sources, arguments };
    let requests = order.requests(environment)?;
    order.check_allowed(&requests)?;
    let (reporter, commands) = (Reporter::new(&arguments.progress), Commands::default());
    for message in requests.iter().flat_map(|request| &request.warnings) {
        reporter.report(Event::Warning { kind: WarningKind::FlagIgnored, message });
    }
    let client = environment.client(arguments.insecure, arguments.jobs);
    let progress: Progress<'_> = &|event| reporter.report(event);
    let results = Results::new(&plan, client.client()?, progress);
    let mut made: Map<(Vec<Reference>, Digest)> = Map::new();
    let mut missing = Vec::new();
    for (node, manifest) in nodes.iter().zip(results.find_whole(&nodes)?) {
        match manifest {
            Some(manifest) => note(&mut made, &plan, node, manifest.digest)?,
            None => missing.push(*node),
        }
    }
    if !missing.is_empty() {
        agree::check(&resolved, &|name| sources.variable(name))?;
    }
    let (reporter_of, commands_of) = (&reporter, &commands);
    let order = &order;
    let means =
        BakeMeans { order, environment, beforehand, reporter: reporter_of, commands: commands_of, share: Some(true) };
    let share = ShareOfPlan { plan: &plan, bases: bases(&plan)?, requests: &requests, results: &results };
    arguments.timings.record(&format!("ocibake bake --shard {shard}"), &reporter, |progress| {
        for nodes in missing.chunks(AT_A_TIME) {
            for (node, digest) in share.build(&means, nodes, progress)? {
                note(&mut made, &plan, node, digest)?;
            }
        }
        Ok(())
    })?;
    reporter.finish();
    let of_node = |(names, digest): &(Vec<Reference>, Digest)| -> Vec<String> {
        names.iter().map(|name| format!("{}@{digest}", name.name())).collect()
    };
    answer_lines(made.values().flat_map(of_node))
}

/// Notes what a node has come to, under its name.
fn note(made: &mut Map<(Vec<Reference>, Digest)>, plan: &SharedPlan, node: &PlanNode, digest: Digest) -> Result<()> {
    made.insert(node.name(), (plan.target(&node.target)?.repositories()?, digest));
    Ok(())
}

/// What the plan holds bases to.
fn bases(plan: &SharedPlan) -> Result<BaseLock> {
    let mut lock = BaseLock::default();
    for (name, base) in &plan.bases {
        lock.insert(&name.parse()?, base.digest);
    }
    Ok(lock)
}

/// A share of a plan, and what it is built with.
struct ShareOfPlan<'a> {
    plan: &'a SharedPlan,
    bases: BaseLock,
    requests: &'a [TargetRequest],
    results: &'a Results<'a>,
}

impl ShareOfPlan<'_> {
    /// Builds `nodes`, with what they stand on, and leaves their results. What another shard has the node of is made here, too: so no
    /// shard ever waits for another; that both make the same is checked where the other one has been faster.
    fn build<'n>(
        &self,
        means: &BakeMeans<'_>,
        nodes: &[&'n PlanNode],
        progress: Progress<'_>,
    ) -> Result<Vec<(&'n PlanNode, Digest)>> {
        let takes_from = |name: &str| -> Vec<String> {
            let request = self.requests.iter().find(|request| request.name == name);
            request.map(|request| request.takes_from.clone()).unwrap_or_default()
        };
        let images = self.plan.images_for(nodes, &takes_from);
        let requests: Vec<&TargetRequest> =
            self.requests.iter().filter(|request| images.contains_key(&request.name)).collect();
        let places: Vec<Vec<usize>> = requests
            .iter()
            .map(|request| images.get(&request.name).map(|places| places.iter().copied().collect()).unwrap_or_default())
            .collect();
        let releases = tags::releases(self.plan)?;
        let check = |builds: &[PlannedBuild<'_>]| check::check(self.plan, builds);
        let deliver = |built: &[Built], store: &dyn Store, local: &LocalStore| {
            let made = Made { requests: &requests, places: &places, built };
            self.deliver(nodes, &made, store, local)
        };
        let share = BuildShare { bases: &self.bases, images: &places, check: &check, deliver: &deliver };
        let built = means.with_requests(&requests, (&releases, &[]), |builds: &[NamedRequest<'_>]| {
            let together = Together { requests: builds, outputs: &[], metadata_file: None, share: Some(&share) };
            together.run(means.environment, progress)
        })?;
        let built: Vec<Built> = built.into_iter().map(|target| target.built).collect();
        let made = Made { requests: &requests, places: &places, built: &built };
        nodes.iter().map(|node| Ok((*node, made.manifest(node)?.digest))).collect()
    }

    fn deliver(&self, nodes: &[&PlanNode], made: &Made<'_>, store: &dyn Store, local: &LocalStore) -> Result<()> {
        let own: BTreeSet<String> = nodes.iter().map(|node| node.name()).collect();
        for node in self.plan.nodes.iter().filter(|node| !own.contains(&node.name()) && made.has(node)) {
            self.results.agree(node, made.manifest(node)?)?;
        }
        nodes.iter().try_for_each(|node| self.results.leave(node, made.manifest(node)?, store, local))
    }
}

/// What was built.
struct Made<'a> {
    requests: &'a [&'a TargetRequest],
    /// The places of the images that were built of each.
    places: &'a [Vec<usize>],
    built: &'a [Built],
}

impl Made<'_> {
    fn has(&self, node: &PlanNode) -> bool {
        self.place(node).is_some()
    }

    /// The manifest of a node.
    fn manifest(&self, node: &PlanNode) -> Result<&Descriptor> {
        let (target, image) = self.place(node).ok_or_else(|| Error::input(format!("{} was not built", node.name())))?;
        let image = self.built.get(target).and_then(|built| built.images.get(image));
        image
            .map(|image| &image.manifest.descriptor)
            .ok_or_else(|| Error::input(format!("{} has no image", node.name())))
    }

    /// The place of its target among those that were built, and of its image among those of that.
    fn place(&self, node: &PlanNode) -> Option<(usize, usize)> {
        let target = self.requests.iter().position(|request| request.name == node.target)?;
        let image = self.places.get(target)?.iter().position(|place| *place == node.image)?;
        Some((target, image))
    }
}
