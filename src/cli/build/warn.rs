//! What is told of a plan that builds, but hardly the image that somebody wants.

use std::path::{Path, PathBuf};

use crate::oci::Map;
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
                "{output} is among the files that are copied, so each build contains the one before: name it in \
                    {DOCKERIGNORE}, or write it elsewhere"
            );
            progress(Event::Warning { kind: WarningKind::OutputAmongInputs, message: &message });
        } else if output.path().is_some_and(|path| plan.adds().any(|add| reaches(add, contexts, path))) {
            let message = format!("{output} is among the files that are added: `exclude` it, or write it elsewhere");
            progress(Event::Warning { kind: WarningKind::OutputAmongInputs, message: &message });
        }
    }
}

/// Warns of what is wrong with standard labels.
pub fn of_labels(faults: &[String], progress: Progress<'_>) {
    faults.iter().for_each(|message| progress(Event::Warning { kind: WarningKind::StandardLabel, message }));
}

/// Tells of the build arguments that the tag and git have values for: that they have these, unless that was `asked` for, or
/// that they could have them, unless they are not to. It `is_usual` that they have them.
pub fn of_git_arguments(found: &Map<String>, asked: Option<bool>, is_usual: bool, progress: Progress<'_>) {
    if found.is_empty() || asked.is_some() {
        return;
    }
    let message = if is_usual {
        let given: Vec<String> = found.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("taken from the tag and git: {} (--git-args=false leaves them unset)", given.join(", "))
    } else {
        let names: Vec<&str> = found.keys().map(String::as_str).collect();
        format!("no value for ARG {}: --git-args takes it from the tag and git", names.join(", "))
    };
    progress(Event::Warning { kind: WarningKind::GitArguments, message: &message });
}

/// Warns of a `.dockerignore` that is itself added: docker would leave out what it says, and here all of it is added.
pub fn of_dockerignore(plan: &Plan, contexts: &[PathBuf], progress: Progress<'_>) {
    let is_added = |context: &PathBuf| plan.adds().any(|add| reaches(add, contexts, &context.join(DOCKERIGNORE)));
    if contexts.first().is_some_and(is_added) {
        let message =
            format!("{DOCKERIGNORE} is not read, and is added itself: put its patterns and its name into `exclude`");
        progress(Event::Warning { kind: WarningKind::DockerignoreNotRead, message: &message });
    }
}
