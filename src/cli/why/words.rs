//! Steps, and what became of them, in words.

use crate::build::account::{BuildAccount, Reason, StepAccount};
use crate::progress::{KnownBy, StepOutcome};

/// Returns what became of a step, in a word.
pub fn outcome(step: &StepAccount) -> &'static str {
    match step.outcome {
        Some(StepOutcome::Known(KnownBy::Cache | KnownBy::Image)) => "taken",
        Some(StepOutcome::Known(_)) => "known",
        Some(StepOutcome::Same(_)) => "same",
        Some(StepOutcome::Done(_)) => "done",
        None if step.is_base => "base",
        None => "-",
    }
}

/// Returns how a step is called: by its line and its instruction.
pub fn name(StepAccount { title, is_base, place, .. }: &StepAccount) -> String {
    match (is_base, place) {
        (true, _) => format!("FROM {title}"),
        (false, Some((file, line))) => format!("{file}:{line}: {title}"),
        (false, None) => title.clone(),
    }
}

/// Returns what there is to say of a step that was not done; none if its word says all.
pub fn taken(account: &BuildAccount, step: &StepAccount) -> Option<String> {
    Some(match step.outcome {
        Some(StepOutcome::Known(KnownBy::Mark)) => "nothing that it takes has changed".to_owned(),
        Some(StepOutcome::Known(KnownBy::Content)) => "what it takes was rebuilt with the same content".to_owned(),
        Some(StepOutcome::Known(KnownBy::Files)) => "its files are those of an earlier layer".to_owned(),
        Some(StepOutcome::Known(KnownBy::Image)) => "the image that --cache-from names has its layer".to_owned(),
        Some(StepOutcome::Known(KnownBy::Once)) => "another step of this build did the same".to_owned(),
        Some(StepOutcome::Known(KnownBy::Cache)) => {
            format!("another machine did it and keeps it in {}", step.cache.as_deref().unwrap_or("a cache"))
        }
        Some(StepOutcome::Same(other)) => format!("it is the same as {}", account.steps.get(other).map(name)?),
        Some(StepOutcome::Done(_)) => return None,
        None if step.is_base => match &step.earlier {
            Some(earlier) if earlier.title == step.title => "the name stands for another image now".to_owned(),
            Some(earlier) => format!("it was {}", earlier.title),
            None => return None,
        },
        None if account.is_failed => "the build did not get this far, or failed here".to_owned(),
        None => "it was not needed: everything that takes from it was known".to_owned(),
    })
}

/// Returns a reason for which a step was done, as a clause.
pub fn reason(account: &BuildAccount, reason: &Reason) -> String {
    let step = |place: usize| account.steps.get(place).map(name).unwrap_or_default();
    match reason {
        Reason::Anew => {
            "earlier builds were not to be used for it (--no-cache, --no-cache-filter)".to_owned()
        }
        Reason::Untrusted => "files had to be read, whatever their times say (--no-stat-cache)".to_owned(),
        Reason::NotKept => "it is quick to do, and no image has its layer".to_owned(),
        Reason::NothingEarlier => "no earlier build of this stage is known here".to_owned(),
        Reason::NewInstruction => "the instruction is new".to_owned(),
        Reason::Instruction(earlier) => format!("the instruction was: {earlier}"),
        Reason::Told(names) => format!("the instruction expands to something else: {}", listed(names)),
        Reason::Variables { changed, new, gone } => {
            let said = [(changed, "changed"), (new, "new"), (gone, "gone")];
            let said = said.iter().filter(|(names, _)| !names.is_empty());
            let said: Vec<String> = said.map(|(names, word)| format!("{} {word}", listed(names))).collect();
            match said.is_empty() {
                true => "its variables are in another order".to_owned(),
                false => format!("variables: {}", said.join("; ")),
            }
        }
        Reason::Sources(names) if names.is_empty() => "the files that it takes have changed".to_owned(),
        Reason::Sources(names) => format!("what it takes from {} has changed", listed(names)),
        Reason::Stage(place) => format!("the stage that it takes from has changed: {}", step(*place)),
        Reason::Below(place) => format!("what it stands on has changed: {}", step(*place)),
        Reason::BelowDiffers => "what it stands on is no longer what it was".to_owned(),
        Reason::Time => "the time that files get has changed (--timestamp, SOURCE_DATE_EPOCH, the commit)".to_owned(),
        Reason::Settings(names) => format!("settings of the build have changed: {}", listed(names)),
        Reason::TooFresh => {
            "files were written just before the earlier build read them: it could not tell whether they would change again"
                .to_owned()
        }
        Reason::Forgotten => "nothing has changed, but its result is no longer kept".to_owned(),
    }
}

fn listed(names: &[String]) -> String {
    names.join(", ")
}
