//! From a Dockerfile to stages of a plan, as BuildKit's front end does it: for each wanted platform, variables get their
//! values, names become stages or images, and instructions become steps and settings.

mod budget;
mod copy;
mod epoch;
mod expand;
mod expose;
mod instruction;
mod made;
mod mount;
mod outline;
mod run;
mod scope;
mod setting;
mod stage;
mod windows;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use super::{Dockerfile, Warning};
use crate::error::{Error, Result, suggestion};
use crate::oci::{Map, Platform, Settings};
use crate::plan::{
    Automatic, Context, Entitlement, FindBase, LayerSpec, Libc, LinkedTarget, Plan, Spec, Stage, Target, label,
};

use budget::LoweringBudget;
use made::{MadeStage, StageState};
use scope::Scope;

pub use epoch::{Epoch, SOURCE_DATE_EPOCH};
pub use outline::{OfferedStage, Outline, OutlineArgument, OutlineMount};

/// The wishes of a build for a Dockerfile, and what this finds around it.
pub struct LoweringRequest<'a> {
    /// The platforms that were asked for; the build's own if none was.
    pub platforms: &'a [Platform],
    /// The platform of the machine that builds.
    pub build_platform: Platform,
    /// The last stage without it.
    pub target: Option<&'a str>,
    /// The values of `--build-arg`.
    pub arguments: &'a Map<String>,
    /// The first is the one that `COPY` takes from if it does not say.
    pub contexts: &'a [Context],
    /// Returns what `--build-context` puts in the place of a name.
    pub named: &'a dyn Fn(&str) -> Option<NamedSource>,
    /// Returns whether the first context leaves a path out, as far as its patterns alone can tell.
    pub ignores: &'a dyn Fn(&str) -> bool,
    /// Lays the command line over the image's settings, labels and annotations, and adds to it.
    pub overlay: &'a dyn Fn(&mut Spec) -> Result<()>,
    /// The facts that nobody has to state, for labels.
    pub automatic: &'a Automatic,
    /// An `ARG` without a value gets that of the tag or of git, if its name asks for one.
    pub git_arguments: bool,
    /// What commands may ask for beyond what every command has.
    pub allowed: &'a [Entitlement],
}

/// The source of files that `--build-context` gave a name.
#[derive(Debug, Clone, PartialEq)]
pub enum NamedSource {
    /// A directory by its place among [`LoweringRequest::contexts`].
    Directory(usize),
    /// An image of this name.
    Image(String),
    /// No files at all.
    Nothing,
    /// The image of another target.
    Target(Arc<LinkedTarget>),
}

/// A Dockerfile's plan, and what there is to say about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Lowered {
    /// The plan, which names no file of a disk.
    pub plan: Plan,
    /// The warnings, each once, by line; without those that the Dockerfile skips.
    pub warnings: Vec<Warning>,
    /// The names of build arguments that nothing took.
    pub unused: Vec<String>,
    /// The build arguments without a value whose names ask for one that the tag or git knows, with these.
    pub git_arguments: Map<String>,
    /// What is wrong with standard labels, a sentence for each.
    pub label_faults: Vec<String>,
}

impl Dockerfile {
    /// Returns the plan that this Dockerfile stands for. `bases` is asked for an image each time one is needed. Of
    /// stages that the target does not need, only the `FROM` is looked at; equal stages of several platforms are there
    /// once. Fails with the line that is wrong.
    pub fn lower(&self, request: &LoweringRequest<'_>, bases: &mut FindBase<'_>) -> Result<Lowered> {
        let build = std::slice::from_ref(&request.build_platform);
        let platforms = if request.platforms.is_empty() { build } else { request.platforms };
        let contexts = request.contexts.to_vec();
        let mut plan = Plan { stages: Vec::new(), contexts, targets: Vec::new() };
        let mut made = Target::default();
        let (mut findings, mut budget) = (LoweringFindings::default(), LoweringBudget::new());
        for platform in platforms {
            let mut lowering =
                Lowering::new(self, request, platform, bases, &mut plan.stages, &mut findings, &mut budget)?;
            let target = lowering.target()?;
            let image = lowering.stage(target)?;
            let (stage, spec) = lowering.image(&image)?;
            budget.spend(plan.stages.len())?;
            findings.label_faults.extend(label::faults(&spec.labels));
            made.images.push(place(&mut plan.stages, stage));
            made.index = spec.index.unwrap_or(false);
            made.annotations = spec.annotations;
            made.placed_annotations = spec.placed_annotations;
        }
        plan.targets.push(made);
        Ok(self.lowered(plan, findings, request))
    }

    /// Returns what the build checks find in all stages, or in those that the target needs, and these stages in a plan without
    /// a target. An image that cannot be asked for is not an error, but what is said of variables that it may have is left out.
    pub fn check(&self, request: &LoweringRequest<'_>, bases: &mut FindBase<'_>) -> Result<Lowered> {
        let platform = request.platforms.first().unwrap_or(&request.build_platform);
        let (mut stages, mut findings, mut budget) = (Vec::new(), LoweringFindings::default(), LoweringBudget::new());
        let mut lowering = Lowering::new(self, request, platform, bases, &mut stages, &mut findings, &mut budget)?;
        lowering.is_check = true;
        match request.target {
            Some(_) => drop(lowering.target().and_then(|target| lowering.stage(target))?),
            None => (0..self.stages.len()).try_for_each(|number| lowering.stage(number).map(drop))?,
        }
        let plan = Plan { stages, contexts: request.contexts.to_vec(), targets: Vec::new() };
        Ok(self.lowered(plan, findings, request))
    }

    fn lowered(&self, plan: Plan, findings: LoweringFindings, request: &LoweringRequest<'_>) -> Lowered {
        let (warnings, unused) = (self.all_warnings(&findings), findings.unused(request));
        let label_faults = findings.label_faults.into_iter().collect();
        Lowered { plan, warnings, unused, git_arguments: findings.git_arguments, label_faults }
    }

    /// Returns the warnings of the text and `findings`, each once, by line.
    fn all_warnings(&self, findings: &LoweringFindings) -> Vec<Warning> {
        let is_reached = |warning: &&Warning| warning.stage.is_none_or(|stage| findings.reached.contains(&stage));
        let mut all: Vec<Warning> =
            self.warnings.iter().filter(is_reached).chain(&findings.warnings).cloned().collect();
        all.retain(|warning| self.wants(warning));
        all.sort_by_key(|warning| warning.place.line);
        let mut seen = HashSet::with_capacity(all.len());
        all.retain(|warning| seen.insert(warning.clone()));
        all
    }
}

/// The findings on the way, of all platforms.
#[derive(Default)]
struct LoweringFindings {
    warnings: Vec<Warning>,
    /// Stages that were looked at.
    reached: BTreeSet<usize>,
    /// The names of all `ARG`s that were met.
    arguments: BTreeSet<String>,
    /// As [`Lowered::git_arguments`] has them.
    git_arguments: Map<String>,
    /// As [`Lowered::label_faults`] has them.
    label_faults: BTreeSet<String>,
    /// What stages take, in the order in which it was met; for checks and outlines alone.
    outline: Outline,
    /// The arguments before the first `FROM` that they name again.
    redeclared: BTreeSet<String>,
}

impl LoweringFindings {
    fn unused(&self, request: &LoweringRequest<'_>) -> Vec<String> {
        let is_used = |name: &&String| self.arguments.contains(*name) || is_predefined(name);
        request.arguments.keys().filter(|name| !is_used(name)).cloned().collect()
    }
}

/// A Dockerfile on the way to stages for one platform.
struct Lowering<'a, 'b> {
    dockerfile: &'a Dockerfile,
    request: &'a LoweringRequest<'a>,
    platform: &'a Platform,
    bases: &'a mut FindBase<'b>,
    /// The variables that `FROM` lines see.
    global: Rc<Scope>,
    /// The places in the Dockerfile of the stages of each name, in their order.
    names: HashMap<&'a str, Vec<usize>>,
    /// The stages that are lowered, by their place in the Dockerfile.
    made: Vec<Option<Rc<MadeStage>>>,
    plan: &'a mut Vec<Stage>,
    findings: &'a mut LoweringFindings,
    budget: &'a mut LoweringBudget,
    /// The checks alone are wanted, and nothing is to be built.
    is_check: bool,
}

impl<'a, 'b> Lowering<'a, 'b> {
    fn new(
        dockerfile: &'a Dockerfile,
        request: &'a LoweringRequest<'a>,
        platform: &'a Platform,
        bases: &'a mut FindBase<'b>,
        plan: &'a mut Vec<Stage>,
        findings: &'a mut LoweringFindings,
        budget: &'a mut LoweringBudget,
    ) -> Result<Self> {
        let made = dockerfile.stages.iter().map(|_| None).collect();
        let global = Rc::default();
        let mut names: HashMap<&str, Vec<usize>> = HashMap::new();
        for (number, stage) in dockerfile.stages.iter().enumerate() {
            stage.name.iter().for_each(|name| names.entry(&name.text).or_default().push(number));
        }
        let is_check = false;
        let mut lowering =
            Lowering { dockerfile, request, platform, bases, global, names, made, plan, findings, budget, is_check };
        lowering.read_global_arguments()?;
        lowering.check_bases()?;
        Ok(lowering)
    }

    /// The stage that is wanted.
    fn target(&self) -> Result<usize> {
        let Some(name) = self.request.target.filter(|name| !name.is_empty()) else {
            return Ok(self.dockerfile.stages.len() - 1);
        };
        let is_number = name.bytes().all(|c| c.is_ascii_digit());
        self.dockerfile.stage(name).filter(|_| !is_number).ok_or_else(|| {
            let names = || self.dockerfile.stages.iter().filter_map(|stage| Some(stage.name.as_ref()?.text.as_str()));
            let file = &self.dockerfile.text.file;
            let error = Error::usage(format!("there is no stage `{name}` in {file}"));
            match suggestion(name, names()) {
                Some(near) => error.with_hint(format!("did you mean `{near}`?")),
                None if names().next().is_none() => error.with_hint("no stage of it has a name: give one with AS"),
                None => error.with_hint(format!("its stages are {}", names().collect::<Vec<_>>().join(", "))),
            }
        })
    }

    /// The stage of an image, with all that the command line lays over it.
    fn image(&mut self, made: &MadeStage) -> Result<(Stage, Spec)> {
        let mut stage = made.state.stage();
        // Nothing stands on the target, which comes to the plan with what is laid over it.
        if made.number + 1 == self.plan.len() {
            self.plan.pop();
        }
        let mut spec = Spec {
            config: Settings { labels: None, ..stage.settings },
            labels: made.state.labels.clone(),
            ..Spec::default()
        };
        (self.request.overlay)(&mut spec)?;
        let (labels, annotations) =
            label::complete(&spec.about, self.request.automatic, &spec.labels, &spec.annotations)?;
        let mut all = made.state.inherited_labels.clone();
        all.extend(labels);
        stage.settings = spec.config.clone();
        stage.settings.labels = Some(all).filter(|labels| !labels.is_empty());
        stage.platform = match (&made.state.base_platform, self.request.platforms) {
            // Nobody said for what, so it is for what its base is for.
            (Some(base), []) => base.clone(),
            _ => self.platform.clone(),
        };
        if stage.platform.is_windows() != made.state.platform.is_windows() {
            let message = format!(
                "the stage {} is for {}, and cannot be the image for {}",
                stage.title, made.state.platform, stage.platform
            );
            return Err(Error::input(message).with_hint(
                "layers for Windows differ from those for other systems: copy what is needed into a stage",
            ));
        }
        let step = |layer: &LayerSpec| layer.step(self.platform, Libc::default());
        for step in spec.layers.iter().map(step) {
            stage.steps.push(step?);
        }
        spec.annotations = annotations;
        Ok((stage, spec))
    }
}

/// Returns the place of `stage` among `stages`, where it is there once.
fn place(stages: &mut Vec<Stage>, stage: Stage) -> usize {
    stages.iter().position(|other| *other == stage).unwrap_or_else(|| {
        stages.push(stage);
        stages.len() - 1
    })
}

/// Arguments that are there without an `ARG`: those of proxies (docs.docker.com/reference/dockerfile, "Predefined ARGs")
/// and those that speak to BuildKit itself.
fn is_predefined(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    matches!(lower.as_str(), "http_proxy" | "https_proxy" | "ftp_proxy" | "no_proxy" | "all_proxy")
        || name.starts_with("BUILDKIT_")
        || name == SOURCE_DATE_EPOCH
}
