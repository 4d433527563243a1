//! What is told of a plan that builds, but hardly the image that somebody wants.

use std::path::{Path, PathBuf};

use crate::output::Output;
use crate::plan::{Plan, Work};
use crate::progress::{Event, Progress, WarningKind};
use crate::source::reach::{copy_reaches, reaches};

const DOCKERIGNORE: &str = ".dockerignore";

/// Warns of an output of an earlier build that lies among what is added, and so makes each build another image. It is
/// not left out by itself: the same plan would stand for other files, depending on where the image goes.
pub fn of_outputs_within(plan: &Plan, contexts: &[PathBuf], outputs: &[Output], progress: Progress<'_>) {
    let steps = || plan.stages.iter().flat_map(|stage| &stage.steps);
    let is_copied = |path: &Path| {
        steps().any(|step| match &step.work {
            Work::Copy(copy) => copy_reaches(copy, &plan.contexts, contexts, path),
            _ => false,
        })
    };
    for output in outputs {
        if output.path().is_some_and(is_copied) {
            let message = format!(
                "{output} is among what is copied, and each build has the last one in it: name it in {DOCKERIGNORE}, or write it elsewhere"
            );
            progress(Event::Warning { kind: WarningKind::OutputAmongInputs, message: &message });
        } else if output.path().is_some_and(|path| plan.adds().any(|add| reaches(add, contexts, path))) {
            let message = format!("{output} is among what is added: `exclude` it, or write it elsewhere");
            progress(Event::Warning { kind: WarningKind::OutputAmongInputs, message: &message });
        }
    }
}

/// Warns of a `.dockerignore` that is itself added: docker would leave out what it says, and here all of it is added.
pub fn of_dockerignore(plan: &Plan, contexts: &[PathBuf], progress: Progress<'_>) {
    let is_added = |context: &PathBuf| plan.adds().any(|add| reaches(add, contexts, &context.join(DOCKERIGNORE)));
    if contexts.first().is_some_and(is_added) {
        let message = format!("{DOCKERIGNORE} is not read, and added itself: name its patterns and it in `exclude`");
        progress(Event::Warning { kind: WarningKind::DockerignoreNotRead, message: &message });
    }
}
