//! `ocibake doctor`: what a registry can do, and whether commands can be run here.

use clap::Args;
use serde_json::json;

use super::environment::Environment;
use super::namespace::Want;
use super::print::{answer_json, answer_lines};
use super::progress::Reporter;
use crate::error::{Error, ErrorKind, Result};
use crate::oci::Reference;
use crate::plan::Isolation;
use crate::progress::Event;
use crate::registry::{Finding, Verdict};
use crate::run::namespace::{self, RungRefusal};
use crate::run::{Rung, Sandbox};
use crate::store::LocalStore;
use crate::tree::IdMap;

/// Check whether commands can be run here, or what a registry can do
///
/// Without a repository, everything is set up that a RUN needs, but no command is run. With one, nothing is changed in the
/// registry. Uploads are begun, to learn how they may be sent, and never completed; registries forget them by themselves.
#[derive(Debug, Args)]
pub struct DoctorArguments {
    /// A repository, such as registry.example/org/api; with a tag, that image is used for the tests
    #[arg(value_name = "REGISTRY/REPO[:TAG]")]
    repository: Option<String>,
    /// Also upload six small images without a tag, and set an existing tag to what it already stands for
    ///
    /// What kinds of images a registry takes, and whether it sets several tags at once, cannot be found out otherwise.
    #[arg(long)]
    write: bool,
    /// Show the answers as they are
    #[arg(short, long)]
    verbose: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Allow plain HTTP, and TLS certificates that cannot be verified
    #[arg(long)]
    insecure: bool,
}

/// Returns what the questions want of their place.
pub fn want(arguments: &DoctorArguments) -> Want {
    if arguments.repository.is_some() { Want::Nothing } else { Want::Commands(Isolation::Auto) }
}

/// Answers with whether commands can be run here, in what was `found` for them if anything was, or with what a registry can do. Fails if they cannot, or if images cannot
/// be pulled from it or pushed to it.
pub fn run(arguments: &DoctorArguments, environment: &Environment, found: Option<&Sandbox>) -> Result<()> {
    match &arguments.repository {
        Some(repository) => of_registry(repository, arguments, environment),
        None => of_commands(arguments, environment, found),
    }
}

fn of_commands(arguments: &DoctorArguments, environment: &Environment, found: Option<&Sandbox>) -> Result<()> {
    let store = LocalStore::open(environment.store()?)?;
    let found = match found.cloned() {
        Some(found) => Ok(found),
        None => Sandbox::find(store.directory()?.path()),
    };
    let rung = found.as_ref().ok().map(Sandbox::rung);
    let refused = namespace::passage().map(|passage| &passage.refused[..]).unwrap_or_default();
    if arguments.json {
        let reason = found.as_ref().err().map(Error::to_string);
        let verdict = if found.is_ok() { "yes" } else { "no" };
        let refused: Vec<_> = refused
            .iter()
            .map(|RungRefusal { rung, reason, hint }| json!({"isolation": rung.name(), "reason": reason, "hint": hint}))
            .collect();
        let unserved = found.as_ref().ok().and_then(Sandbox::unserved);
        let unserved = unserved.map(|refusal| json!({"reason": refusal.reason, "hint": refusal.hint}));
        let (isolation, user_namespace) = (rung.map(Rung::name), namespace::has_entered());
        answer_json(&json!({"commands": {
            "verdict": verdict,
            "reason": reason,
            "isolation": isolation,
            "userNamespace": user_namespace,
            "refused": refused,
            "unserved": unserved,
        }}))?;
    } else if let Ok(sandbox) = &found {
        answer_lines(ways(sandbox, refused)?)?;
    }
    found.map(drop)
}

/// The way that is taken, and why none above it is.
fn ways(sandbox: &Sandbox, refused: &[RungRefusal]) -> Result<Vec<String>> {
    let rung = sandbox.rung();
    let mut lines = vec![format!("commands can be run here: {sandbox}")];
    if namespace::has_entered() {
        let map = IdMap::of_this_process().map_err(|source| Error::io("read", "/proc/self/uid_map", source))?;
        let [users, groups] = map.counts();
        let (users, groups) = (number(users, "user"), number(groups, "group"));
        lines.push(format!("isolation: {rung}, in a user namespace with {users} and {groups}"));
    }
    if let Some(RungRefusal { reason, hint, .. }) = sandbox.unserved() {
        lines.push(format!("/proc and /sys are empty for commands: {reason}"));
        lines.extend(hint.iter().map(|hint| format!("  to change that: {hint}")));
    }
    for RungRefusal { rung, reason, hint } in refused {
        lines.push(format!("not {rung}: {reason}"));
        lines.extend(hint.iter().map(|hint| format!("  to change that: {hint}")));
    }
    Ok(lines)
}

fn number(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn of_registry(repository: &str, arguments: &DoctorArguments, environment: &Environment) -> Result<()> {
    check_is_no_registry(repository)?;
    let reference: Reference = repository.parse().map_err(Error::on_command_line)?;
    let client = environment.client(arguments.insecure, 0);
    let reporter = Reporter::aside();
    let progress = |event: Event<'_>| reporter.report(event);
    let findings = client.client()?.repository(&reference, &progress).probe(arguments.write)?;
    reporter.finish();
    if arguments.json {
        answer_json(&document(&reference, &findings, arguments.verbose))?;
    } else {
        answer_lines(lines(&findings, arguments.verbose))?;
    }
    let refused = |question: &str| findings.iter().any(|f| f.question == question && f.verdict == Verdict::No);
    match ["api", "login", "pull", "push"].into_iter().find(|question| refused(question)) {
        Some(question) => {
            let answers = "-v shows what the registry answered";
            let hint = match question {
                "login" => format!("log in with `ocibake login {}`; {answers}", reference.registry()),
                _ => answers.to_owned(),
            };
            Err(Error::new(ErrorKind::Registry, format!("{} cannot be used: {question}", reference.name()))
                .with_hint(hint))
        }
        None => Ok(()),
    }
}

/// A host by itself would be taken for a repository of Docker Hub's.
fn check_is_no_registry(text: &str) -> Result<()> {
    let registry = text.trim_end_matches('/');
    let host = registry.split(':').next().unwrap_or(registry);
    if registry.contains('/') || !(host.contains('.') || host == "localhost") {
        return Ok(());
    }
    Err(Error::usage(format!("`{text}` is a registry, not a repository in it"))
        .with_hint(format!("name one that you pull from or push to, as in {registry}/org/api")))
}

fn lines(findings: &[Finding], verbose: bool) -> Vec<String> {
    let mut lines = Vec::new();
    for finding in findings {
        let line = format!("{:13} {:8} {}", finding.question, word(finding.verdict), finding.detail);
        lines.push(line.trim_end().to_owned());
        for exchange in finding.exchanges.iter().filter(|_| verbose) {
            lines.push(format!("    {} -> {}", exchange.request, exchange.status));
            lines.extend(exchange.headers.iter().map(|(name, value)| format!("        {name}: {value}")));
            lines.extend(exchange.words.iter().map(|words| format!("        {words}")));
        }
    }
    lines
}

fn document(reference: &Reference, findings: &[Finding], verbose: bool) -> serde_json::Value {
    let exchanges = |finding: &Finding| -> Vec<_> {
        let shown = finding.exchanges.iter().filter(|_| verbose);
        shown
            .map(|e| json!({"request": e.request, "status": e.status, "headers": e.headers, "words": e.words}))
            .collect()
    };
    let findings: Vec<_> = findings
        .iter()
        .map(|finding| {
            let (verdict, detail) = (word(finding.verdict), &finding.detail);
            let mut entry = json!({"question": finding.question, "verdict": verdict, "detail": detail});
            if verbose {
                entry["exchanges"] = json!(exchanges(finding));
            }
            entry
        })
        .collect();
    json!({"repository": reference.name(), "findings": findings})
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Yes => "yes",
        Verdict::No => "no",
        Verdict::Unknown => "unknown",
    }
}
