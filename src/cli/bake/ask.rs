//! `--call` and `--check`: what is asked of the Dockerfiles of targets, in the place of builds.

use serde_json::{Value, json};

use super::flags::BakeArguments;
use super::request::TargetRequest;
use crate::cli::build::{NamedRequest, answer_call, document_of_call};
use crate::cli::environment::Environment;
use crate::cli::print::{answer, answer_readable_json, show};
use crate::cli::progress::Reporter;
use crate::error::{Error, Result};
use crate::plan::bake::ResolvedBake;

/// Answers for each target. Fails if there is something to be said against one.
pub fn answer_all(
    builds: &[NamedRequest<'_>],
    requests: &[TargetRequest],
    resolved: &ResolvedBake,
    arguments: &BakeArguments,
    environment: &Environment,
    reporter: &Reporter,
) -> Result<()> {
    let mut asked: Vec<(&NamedRequest<'_>, &TargetRequest)> = builds.iter().zip(requests).collect();
    asked.sort_by(|(one, _), (other, _)| one.name.cmp(&other.name));
    let is_json = arguments.called().is_some_and(|call| call.is_json());
    let (mut documents, mut faulty) = (serde_json::Map::new(), Vec::new());
    for (at, (NamedRequest { name, request }, target)) in asked.into_iter().enumerate() {
        // How the answers look is for the command line to say.
        let Some(call) = arguments.called().or(target.call) else { continue };
        if is_json {
            let (document, is_fine) = document_of_call(call, request, environment, reporter)?;
            if !is_fine {
                faulty.push(name.to_string());
            }
            documents.insert(name.to_string(), document);
            continue;
        }
        reporter.suspended(|| {
            let blank = if at > 0 { answer("") } else { Ok(()) };
            let title = blank.and_then(|()| answer(name));
            let described = if target.description.is_empty() { Ok(()) } else { answer(&target.description) };
            title.and(described).and_then(|()| answer(""))
        })?;
        if let Err(error) = answer_call(call, request, arguments.is_dockers, environment, reporter) {
            reporter.suspended(|| show(&error));
            faulty.push(name.to_string());
        }
    }
    reporter.finish();
    if is_json {
        let mut whole = json!({"target": Value::Object(documents)});
        if !resolved.groups.is_empty() {
            whole["group"] = json!(resolved.groups);
        }
        answer_readable_json(&whole, "  ")?;
    }
    match &faulty[..] {
        [] => Ok(()),
        names => Err(Error::input(format!("the checks failed for {}", names.join(", ")))),
    }
}
