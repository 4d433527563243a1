//! Events as JSON, one object per line, for a program that reads along.

use serde_json::{Value, json};

use super::words::outcome_word;
use crate::cli::print::tell_json;
use crate::oci::Descriptor;
use crate::progress::{
    CommandEnd, Event, Fetched, FinishedTarget, OutputStream, PlannedStep, StepOutcome, StepPlace, WarningKind,
};

/// Writes `event` to stderr.
pub fn report(event: Event<'_>) {
    tell_json(&json(event));
}

fn json(event: Event<'_>) -> Value {
    match event {
        Event::LayerStarted { layer, title, size } => {
            json!({"event": "layer-started", "layer": layer, "title": title, "size": size})
        }
        Event::LayerAdvanced { layer, bytes } => json!({"event": "layer-advanced", "layer": layer, "bytes": bytes}),
        Event::LayerFinished { layer, descriptor } => {
            json!({"event": "layer-finished", "layer": layer, "descriptor": descriptor})
        }
        Event::LayerKnown { title, descriptor } => {
            json!({"event": "layer-known", "title": title, "descriptor": descriptor})
        }
        Event::LayerTaken { layer, title, descriptor, from } => {
            json!({"event": "layer-taken", "layer": layer, "title": title, "descriptor": descriptor, "from": from})
        }
        Event::RecipeTaken { taken, left } => json!({"event": "recipe-taken", "taken": taken, "left": left}),
        Event::CommandStarted { command, step } => of_step("command-started", command, step),
        Event::CommandKnown { command, step } => of_step("command-known", command, step),
        Event::CommandOutput { command, stream, bytes } => {
            let stream = match stream {
                OutputStream::Output => "stdout",
                OutputStream::Error => "stderr",
            };
            let text = String::from_utf8_lossy(bytes);
            json!({"event": "command-output", "command": command, "stream": stream, "text": text})
        }
        Event::CommandFinished { command, elapsed, end } => json!({
            "event": "command-finished",
            "command": command,
            "seconds": elapsed.as_secs_f64(),
            "milliseconds": elapsed.as_millis() as u64,
            "status": match end {
                Some(CommandEnd::Status(status)) => Some(status),
                _ => None,
            },
            "signal": match end {
                Some(CommandEnd::Signal(signal)) => Some(signal),
                _ => None,
            },
        }),
        Event::StepsPlanned { steps, targets } => steps_planned(steps, targets),
        Event::PartStarted { index, part, waited, worker } => json!({
            "event": "part-started",
            "index": index,
            "part": part.name(),
            "waited": waited.as_secs_f64(),
            "worker": worker,
        }),
        Event::PartFinished { index, part, is_done } => {
            json!({"event": "part-finished", "index": index, "part": part.name(), "done": is_done})
        }
        Event::StepSettled { index, outcome, layer } => step_settled(index, outcome, layer),
        Event::StepsAdvanced { done, steps } => json!({"event": "steps-advanced", "done": done, "steps": steps}),
        Event::TargetAdvanced { target, done, steps, known } => {
            json!({"event": "target-advanced", "target": target, "done": done, "steps": steps, "known": known})
        }
        Event::TargetsFinished { targets } => {
            let targets: Vec<Value> = targets.iter().map(finished_target).collect();
            json!({"event": "targets-finished", "targets": targets})
        }
        Event::BuiltAgain { digest } => json!({"event": "built-again", "digest": digest}),
        Event::PullPlanned { blobs } => json!({"event": "pull-planned", "blobs": blobs}),
        Event::CacheMountPulled { id, from, size, layers } => {
            json!({"event": "cache-mount-pulled", "id": id, "from": from, "size": size, "layers": layers})
        }
        Event::CacheMountPushed { id, to, size, layers } => {
            json!({"event": "cache-mount-pushed", "id": id, "to": to, "size": size, "layers": layers})
        }
        Event::FetchStarted { fetch, what, size } => fetch_started(fetch, what, size),
        Event::FetchAdvanced { fetch, bytes } => json!({"event": "fetch-advanced", "fetch": fetch, "bytes": bytes}),
        Event::FetchFinished { fetch, is_whole } => {
            json!({"event": "fetch-finished", "fetch": fetch, "whole": is_whole})
        }
        Event::OutputStarted { output, blobs } => {
            json!({"event": "output-started", "output": output, "blobs": blobs})
        }
        Event::BlobStarted { descriptor } => json!({"event": "blob-started", "descriptor": descriptor}),
        Event::BlobAdvanced { digest, bytes } => json!({"event": "blob-advanced", "digest": digest, "bytes": bytes}),
        Event::BlobRestarted { digest, from } => {
            json!({"event": "blob-restarted", "digest": digest, "from": from})
        }
        Event::BlobFinished { digest, outcome } => {
            json!({"event": "blob-finished", "digest": digest, "outcome": outcome_word(outcome)})
        }
        Event::OutputWritten { output } => json!({"event": "output-written", "output": output}),
        Event::LocalImageTaken { name, digest, since } => {
            json!({"event": "local-image-taken", "name": name, "digest": digest, "since": since})
        }
        Event::NameNotFound { name } => json!({"event": "name-not-found", "name": name.to_string()}),
        Event::ImageNamed { name, digest } => {
            json!({"event": "image-named", "name": name.to_string(), "digest": digest})
        }
        Event::ImageLoaded { engine, image, platform, was_there } => json!({
            "event": "image-loaded",
            "engine": engine,
            "image": image,
            "platform": platform.map(ToString::to_string),
            "present": was_there,
        }),
        Event::TagPlanned { name, change, sets } => {
            json!({"event": "tag-planned", "name": name, "change": change, "sets": sets})
        }
        Event::ManifestPushed { repository, name, digest } => {
            json!({"event": "manifest-pushed", "repository": repository.name(), "name": name, "digest": digest})
        }
        Event::Retrying { request, reason, hint, failed, tries, wait } => json!({
            "event": "retrying",
            "request": request,
            "reason": reason,
            "hint": hint,
            "failed": failed,
            "tries": tries,
            "wait": wait.as_secs_f64(),
        }),
        Event::Warning { kind: kind @ WarningKind::BuildCheck { rule, .. }, message } => {
            json!({"event": "warning", "kind": kind.name(), "rule": rule, "message": message})
        }
        Event::Warning { kind, message } => json!({"event": "warning", "kind": kind.name(), "message": message}),
    }
}

fn fetch_started(fetch: usize, what: Fetched<'_>, size: Option<u64>) -> Value {
    let (kind, name, digest) = match what {
        Fetched::Name(name) => ("name", name, None),
        Fetched::Blob { digest, repository } => ("blob", repository, Some(digest)),
        Fetched::File(url) => ("file", url, None),
        Fetched::Repository(url) => ("repository", url, None),
    };
    json!({"event": "fetch-started", "fetch": fetch, "kind": kind, "name": name, "digest": digest, "size": size})
}

fn finished_target(target: &FinishedTarget<'_>) -> Value {
    let FinishedTarget { name, platforms, size, run, known, elapsed, digest, names } = target;
    json!({
        "target": name,
        "platforms": platforms.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "size": size,
        "run": run,
        "known": known,
        "seconds": elapsed.as_secs_f64(),
        "digest": digest,
        "names": names.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn of_step(event: &str, command: usize, step: StepPlace<'_>) -> Value {
    let mut told = place(step);
    told["event"] = event.into();
    told["command"] = command.into();
    told
}

fn place(StepPlace { index, title, target, stage, platform, number, line }: StepPlace<'_>) -> Value {
    let platform = platform.to_string();
    let mut told = json!({
        "index": index,
        "title": title,
        "stage": stage,
        "platform": platform,
        "step": number,
        "line": line,
    });
    if let Some(target) = target {
        told["target"] = target.into();
    }
    told
}

fn steps_planned(steps: &[PlannedStep<'_>], targets: &[&str]) -> Value {
    let step = |step: &PlannedStep<'_>| {
        let mut told = place(step.place);
        told["base"] = step.base.into();
        told["stands_on"] = json!(step.stands_on);
        told["layer"] = step.layer.into();
        told["targets"] = json!(step.targets);
        told
    };
    let steps: Vec<Value> = steps.iter().map(step).collect();
    json!({"event": "steps-planned", "steps": steps, "targets": targets})
}

fn step_settled(index: usize, outcome: StepOutcome, layer: Option<&Descriptor>) -> Value {
    let mut told = match outcome {
        StepOutcome::Known(by) => json!({"outcome": "known", "by": by.name()}),
        StepOutcome::Same(other) => json!({"outcome": "same", "as": other}),
        StepOutcome::Done(because) => json!({"outcome": "done", "because": because.name()}),
    };
    told["event"] = "step-settled".into();
    told["index"] = index.into();
    told["descriptor"] = json!(layer);
    told
}
