//! The answers to what is asked of Dockerfiles in the place of builds.

use serde_json::Value;

use super::call::{Call, Question};
use super::request::BuildRequest;
use crate::cli::environment::Environment;
use crate::cli::progress::Reporter;
use crate::error::Result;

/// Answers what is asked of the Dockerfile of `request`; nothing, if that is to be built.
pub fn answer_call(
    call: Call,
    request: &BuildRequest<'_>,
    is_dockers: bool,
    environment: &Environment,
    reporter: &Reporter,
) -> Result<()> {
    let Some(question) = call.question else { return Ok(()) };
    request.ask(environment, &|event| reporter.report(event), |recipe, bases| match question {
        Question::Check => {
            let checked = recipe.check(bases);
            reporter.suspended(|| call.tell_of_checks(checked, recipe.text(), is_dockers))
        }
        Question::Outline => {
            let (outline, text) = recipe.outline(bases)?;
            reporter.suspended(|| call.tell_of_outline(&outline, text))
        }
        Question::Targets => {
            let (stages, text) = recipe.targets()?;
            reporter.suspended(|| call.tell_of_targets(&stages, text))
        }
    })
}

/// Returns the answer as JSON, and whether there is nothing to be said against the Dockerfile.
pub fn document_of_call(
    call: Call,
    request: &BuildRequest<'_>,
    environment: &Environment,
    reporter: &Reporter,
) -> Result<(Value, bool)> {
    let mut answered = (Value::Null, true);
    request.ask(environment, &|event| reporter.report(event), |recipe, bases| {
        answered = match call.question {
            None => return Ok(()),
            Some(Question::Check) => call.document_of_checks(recipe.check(bases), recipe.text())?,
            Some(Question::Outline) => {
                let (outline, text) = recipe.outline(bases)?;
                (Call::document_of_outline(&outline, text)?, true)
            }
            Some(Question::Targets) => {
                let (stages, text) = recipe.targets()?;
                (Call::document_of_targets(&stages, text)?, true)
            }
        };
        Ok(())
    })?;
    Ok(answered)
}
