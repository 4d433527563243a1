//! From the plans of several targets to one: stages get new numbers, contexts that are the same are there once, and where a
//! target takes from another one, the stage of that stands in the place of the link.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Base, Context, LinkedImage, Plan, Provider, RunMountKind, Source, Stage, Step, Work};
use crate::error::{Error, Result};

/// The plan of one target, which is the only one in it.
#[derive(Debug, Clone)]
pub struct TargetPlan {
    /// The name of the target.
    pub name: Arc<str>,
    /// The plan.
    pub plan: Plan,
    /// Where each of the plan's contexts lies.
    pub contexts: Vec<PathBuf>,
}

/// The plan of several targets.
#[derive(Debug, Clone)]
pub struct JoinedPlan {
    /// The plan; its targets are in the order in which they were given.
    pub plan: Plan,
    /// Where each of its contexts lies.
    pub contexts: Vec<PathBuf>,
}

/// Joins `plans`, each of which stands behind those that it takes from. Fails where one takes from a target that is not there,
/// for two targets of one name, and for targets whose commands are to be kept apart from the machine in different ways.
pub fn join(plans: Vec<TargetPlan>) -> Result<JoinedPlan> {
    let mut joining = Joining::default();
    for target in plans {
        joining.add(target)?;
    }
    Ok(joining.joined)
}

impl Default for JoinedPlan {
    fn default() -> Self {
        let plan = Plan { stages: Vec::new(), contexts: Vec::new(), targets: Vec::new() };
        JoinedPlan { plan, contexts: Vec::new() }
    }
}

#[derive(Default)]
struct Joining {
    joined: JoinedPlan,
    /// The place of each target among the joined ones.
    targets: HashMap<Arc<str>, usize>,
    contexts: HashMap<(PathBuf, Vec<String>), usize>,
}

impl Joining {
    fn add(&mut self, TargetPlan { name, plan, contexts: places }: TargetPlan) -> Result<()> {
        self.check_isolation(&name, &plan)?;
        let first = self.joined.plan.stages.len();
        let contexts: Vec<usize> =
            plan.contexts.into_iter().zip(places).map(|(context, place)| self.context(context, place)).collect();
        for mut stage in plan.stages {
            stage.target = Some(name.clone());
            stage.base = match stage.base {
                Base::Stage(number) => Base::Stage(first + number),
                Base::Target(link) => Base::Stage(self.linked(&link, &name)?),
                base @ (Base::Scratch | Base::Image(_)) => base,
            };
            stage.steps.iter_mut().try_for_each(|step| renumber(step, first, &contexts))?;
            self.joined.plan.stages.push(stage);
        }
        for mut target in plan.targets {
            if self.targets.insert(name.clone(), self.joined.plan.targets.len()).is_some() {
                return Err(Error::input(format!("two targets have the name {name}")));
            }
            target.images.iter_mut().for_each(|image| *image += first);
            target.name = Some(name.clone());
            self.joined.plan.targets.push(target);
        }
        Ok(())
    }

    /// The place of a context among the joined ones. Wherever the same directory is meant, and the same of it left out, it is the
    /// same.
    fn context(&mut self, context: Context, place: PathBuf) -> usize {
        let all = &mut self.joined;
        *self.contexts.entry((place.clone(), context.ignore.clone())).or_insert_with(|| {
            all.plan.contexts.push(context);
            all.contexts.push(place);
            all.contexts.len() - 1
        })
    }

    /// The stage of an image of another target that `name` takes from.
    fn linked(&self, link: &LinkedImage, name: &str) -> Result<usize> {
        let target = self.targets.get(&link.target).and_then(|number| self.joined.plan.targets.get(*number));
        target.and_then(|target| target.images.get(link.image)).copied().ok_or_else(|| {
            Error::input(format!(
                "the target {name} takes from the target {}, which is not built before it",
                link.target
            ))
        })
    }

    /// Whatever commands run in is found out once for all of them.
    fn check_isolation(&self, name: &str, plan: &Plan) -> Result<()> {
        let first = |stages: &[Stage]| stages.first().map(|stage| (stage.target.clone(), stage.run.isolation));
        let (Some((known, isolation)), Some((_, own))) = (first(&self.joined.plan.stages), first(&plan.stages)) else {
            return Ok(());
        };
        if isolation == own {
            return Ok(());
        }
        let known = known.unwrap_or_default();
        Err(Error::usage(format!("the targets {known} and {name} ask for different isolations of their commands"))
            .with_hint("build one of them by itself"))
    }
}

/// Gives the stages and contexts that `step` takes from their places in the joined plan: stages begin at `first`.
fn renumber(step: &mut Step, first: usize, contexts: &[usize]) -> Result<()> {
    let context = |number: &mut usize| {
        let known = contexts.get(*number);
        *number = *known.ok_or_else(|| Error::input(format!("the plan has no context {number}")))?;
        Ok(())
    };
    let provider = |provider: &mut Provider| match provider {
        Provider::Context(number) => context(number),
        Provider::Stage(number) => {
            *number += first;
            Ok(())
        }
        Provider::Image(_) => Ok(()),
    };
    match &mut step.work {
        Work::Adds(adds) => adds.iter_mut().try_for_each(|add| match &mut add.source {
            Source::Context { context: number, .. } => context(number),
            Source::Path(_) => Ok(()),
        }),
        Work::Copy(copy) => provider(&mut copy.from),
        Work::Run(run) => run.mounts.iter_mut().try_for_each(|mount| match &mut mount.kind {
            RunMountKind::Bind { from, .. } | RunMountKind::Cache { from: Some(from), .. } => provider(from),
            RunMountKind::Cache { from: None, .. }
            | RunMountKind::Tmpfs { .. }
            | RunMountKind::Secret { .. }
            | RunMountKind::Ssh { .. } => Ok(()),
        }),
        Work::Directory(_) | Work::Nothing => Ok(()),
    }
}
