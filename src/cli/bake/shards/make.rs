//! `bake --plan`: all that has to be the same on many machines, found out once.

use std::collections::BTreeMap;
use std::path::Path;

use super::{check, file, tags};
use crate::cli::bake::build::{BakeMeans, BakeOrder};
use crate::cli::bake::release::TargetRelease;
use crate::cli::bake::request::TargetRequest;
use crate::cli::build::{Beforehand, PlannedBuild, Together};
use crate::cli::commands::Commands;
use crate::cli::environment::Environment;
use crate::cli::print::{answer, answer_bytes};
use crate::cli::progress::Reporter;
use crate::error::{Error, Result};
use crate::oci::{Digest, Map, Platform};
use crate::plan::bake::{BakeTarget, OutputEntry, ResolvedBake};
use crate::plan::shared::{
    ArrangedTarget, JobEngine, Jobs, SharedBase, SharedPlan, SharedTarget, arrange, definition_of,
};
use crate::progress::Progress;
use crate::source::base::FoundName;
use crate::store::pending::PendingFile;

/// Where a plan goes, and how it is packed.
pub struct PlanRequest<'a> {
    pub file: &'a Path,
    pub shards: Option<usize>,
    pub jobs: Option<JobEngine>,
    /// The files that the definition was read from.
    pub files: Map<Digest>,
}

/// Makes the plan of what `order` builds and pushes, writes it, and answers with its digest, or with its jobs.
pub fn make(order: &BakeOrder<'_>, request: PlanRequest<'_>, environment: &Environment) -> Result<()> {
    PendingFile::check(request.file)?;
    if let Some(flag) = order.arguments.says_elsewhere() {
        return Err(Error::usage(format!("--plan is for images that are pushed, not for {flag}")));
    }
    if order.remote.is_some() {
        return Err(Error::usage("--plan is for the files of a checkout, but these come from elsewhere")
            .with_hint("check them out, and name only the targets"));
    }
    let planned = with_platforms(order.resolved);
    let looked_up = to_look_up(&planned);
    let order = BakeOrder { resolved: &looked_up, ..*order };
    let requests = order.requests(environment)?;
    order.check_allowed(&requests)?;
    let reporter = Reporter::new(&order.arguments.progress);
    let (beforehand, commands) = (Beforehand::default(), Commands::default());
    let (reporter_of, commands_of) = (&reporter, &commands);
    let means = BakeMeans {
        order: &order,
        environment,
        beforehand: &beforehand,
        reporter: reporter_of,
        commands: commands_of,
        share: Some(false),
    };
    check_pushed(&means, &requests)?;
    let releases = order.arguments.release.of(&requests, environment)?;
    let progress: Progress<'_> = &|event| reporter.report(event);
    let mut plan = SharedPlan {
        version: SharedPlan::VERSION,
        program: file::program().to_owned(),
        checkout: file::checkout(environment),
        files: request.files,
        shards: None,
        immutable: order.arguments.release.is_immutable(),
        definition: definition_of(&planned),
        bases: Map::new(),
        targets: Map::new(),
        nodes: Vec::new(),
    };
    means.with_requests(&requests, (&releases, &[]), |builds| {
        let together = Together { requests: builds, outputs: &[], metadata_file: None, share: None };
        together.plan(environment, progress, |builds, bases| {
            plan.bases = shared_bases(bases)?;
            complete(&mut plan, builds, &requests, &releases)
        })
    })?;
    for (name, target) in &mut plan.targets {
        target.table = planned.targets.get(name).is_some_and(|target| target.table.is_some());
    }
    check_definition(&plan, &planned, &order.arguments.allow)?;
    reporter.finish();
    write(plan, request.file, (request.shards, request.jobs))
}

/// Writes the plan, packed into so many shards, and answers.
fn write(mut plan: SharedPlan, path: &Path, (shards, jobs): (Option<usize>, Option<JobEngine>)) -> Result<()> {
    let nodes = plan.nodes.len();
    if shards == Some(0) {
        return Err(Error::usage("--shards: there must be at least one"));
    }
    plan.shards = shards.map(|shards| shards.min(nodes)).or_else(|| jobs.map(|engine| engine.most().min(nodes)));
    // What will be read is what is written.
    let text = plan.text()?;
    let shown = path.display().to_string();
    SharedPlan::parse(&shown, &text)?;
    let jobs = match (jobs, plan.shards) {
        (Some(engine), Some(shards)) => Some(Jobs { plan: &plan, file: &shown, shards }.text(engine)?),
        _ => None,
    };
    PendingFile::replace(path, &text)?;
    match jobs {
        Some(text) => answer_bytes(text.as_bytes()),
        None => answer(&plan.digest().to_string()),
    }
}

/// Returns the targets with the platform of this machine where they name none: others have another one.
fn with_platforms(resolved: &ResolvedBake) -> ResolvedBake {
    let host = || Platform::host().to_string();
    let named = |target: &BakeTarget| {
        let texts = target.platforms.iter().flatten().flat_map(|text| text.split(','));
        let own: Vec<String> =
            texts.map(|text| if text.eq_ignore_ascii_case("local") { host() } else { text.to_owned() }).collect();
        let platforms = Some(if own.is_empty() { vec![host()] } else { own });
        BakeTarget { platforms, ..target.clone() }
    };
    let targets = resolved.targets.iter().map(|(name, target)| (name.clone(), named(target))).collect();
    let (groups, allowances) = (resolved.groups.clone(), resolved.allowances.clone());
    ResolvedBake { targets, groups, allowances, faults: Vec::new() }
}

/// Returns the targets as they are looked up for a plan: no secret is needed, and registries are asked what bases stand for, since no
/// other machine has what lies on this one.
fn to_look_up(planned: &ResolvedBake) -> ResolvedBake {
    let asked = |target: &BakeTarget| BakeTarget { secrets: None, ssh: None, pull: Some(true), ..target.clone() };
    let targets = planned.targets.iter().map(|(name, target)| (name.clone(), asked(target))).collect();
    let (groups, allowances) = (planned.groups.clone(), planned.allowances.clone());
    ResolvedBake { targets, groups, allowances, faults: Vec::new() }
}

/// Fails for a target that is asked for and goes elsewhere than to registries.
fn check_pushed(means: &BakeMeans<'_>, requests: &[TargetRequest]) -> Result<()> {
    for request in requests.iter().filter(|request| !request.is_linked) {
        let wrong =
            |why: String, hint: &str| Err(Error::input(format!("target {}: {why}", request.name)).with_hint(hint));
        let target = means.order.resolved.targets.get(&request.name);
        let outputs = target.and_then(|target| target.outputs.as_deref()).unwrap_or_default();
        let is_registry = |output: &&OutputEntry| matches!(output.kind.as_str(), "registry" | "image");
        if let Some(other) = outputs.iter().find(|output| !is_registry(output)) {
            return wrong(format!("a plan is for images that are pushed, not for type={}", other.kind), "leave it out");
        }
        if !means.pushes(&request.name) {
            return wrong("it is not pushed".to_owned(), "a plan is for images that are pushed: give --push");
        }
        if request.call.is_some() {
            return wrong("it is asked about, not built".to_owned(), "leave `call` out");
        }
    }
    Ok(())
}

fn shared_bases(found: &[FoundName]) -> Result<Map<SharedBase>> {
    let mut bases: Map<SharedBase> = Map::new();
    for FoundName { name, root, manifests } in found {
        let base = bases.entry(name.to_string()).or_insert_with(|| SharedBase { digest: *root, manifests: Map::new() });
        if base.digest != *root {
            let message = format!("the base {name} is locked to {} and to {root}", base.digest);
            return Err(
                Error::input(message).with_hint("give both targets the same lock, or plan one of them by itself")
            );
        }
        base.manifests.extend(manifests.iter().map(|(platform, manifest)| (platform.to_string(), *manifest)));
    }
    Ok(bases)
}

/// Puts into `plan` what each build comes to, and the nodes.
fn complete(
    plan: &mut SharedPlan,
    builds: &[PlannedBuild<'_>],
    requests: &[TargetRequest],
    releases: &[TargetRelease],
) -> Result<()> {
    let mut arranged = BTreeMap::new();
    for (build, request) in builds.iter().zip(requests) {
        let release = releases.iter().find(|release| release.name == request.name);
        let target = shared_target(build, request, release)?;
        let placed = build.plan.targets.first().map(|target| &target.placed_annotations);
        let platforms = check::platforms(build.plan);
        let annotations = platforms.iter().map(|own| placed.map(|placed| placed.of_manifest_descriptor(own)));
        arranged.insert(
            request.name.clone(),
            ArrangedTarget {
                is_linked: request.is_linked,
                images: target.platforms.iter().cloned().zip(annotations.map(Option::unwrap_or_default)).collect(),
                takes_from: request.takes_from.clone(),
                likeness: likeness(request, target.dockerfile),
            },
        );
        plan.targets.insert(request.name.clone(), target);
    }
    plan.nodes = arrange(&arranged);
    Ok(())
}

/// What says which other targets it is like.
fn likeness(request: &TargetRequest, dockerfile: Option<Digest>) -> String {
    let dockerfile = dockerfile.map(|digest| digest.to_string()).unwrap_or_default();
    format!("{}\n{dockerfile}", request.context.display())
}

fn shared_target(
    build: &PlannedBuild<'_>,
    request: &TargetRequest,
    release: Option<&TargetRelease>,
) -> Result<SharedTarget> {
    let target = SharedTarget {
        linked: request.is_linked,
        tag: release.map(|release| release.tag.clone()).filter(|_| !request.is_linked),
        release: release.map(tags::shared).unwrap_or_default(),
        ..check::shared_target(build)
    };
    if request.is_linked {
        return Ok(target);
    }
    let names = build.names.iter().filter(|_| release.is_none()).map(ToString::to_string).collect();
    let by_digest = request.given.repositories.iter().map(|repository| repository.name()).collect();
    let target = SharedTarget { names, by_digest, ..target };
    match target.repositories()?.is_empty() {
        false => Ok(target),
        true => Err(Error::input(format!("target {}: it has no name to push it under", request.name))
            .with_hint("give it `tags`, or name all targets with --tag")),
    }
}

/// Fails where the definition in the plan does not read as what it was made of.
fn check_definition(plan: &SharedPlan, planned: &ResolvedBake, allow: &[String]) -> Result<()> {
    let read = file::resolved(plan, allow)?;
    for (name, target) in &planned.targets {
        // That is of definitions from elsewhere, of which there is no plan.
        let meant = BakeTarget { has_context_here: false, ..target.clone() };
        if read.targets.get(name) != Some(&meant) {
            let message = format!("target {name}: it cannot be written into a plan without a change");
            return Err(Error::input(message));
        }
    }
    Ok(())
}
