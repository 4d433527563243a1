//! `ocibake bake`, which is `docker buildx bake`: the targets of bake files and compose files, and the images of an `ocibake.toml`.

mod agree;
mod allowed;
mod ask;
mod build;
mod files;
mod flags;
mod go_json;
mod layers;
mod list;
mod order;
mod release;
mod remote;
mod request;
mod shards;
mod variables;

use std::cell::RefCell;
use std::path::Path;

use self::build::BakeOrder;
use self::files::FoundBake;
pub use self::flags::BakeArguments;
use self::go_json::go_json;
use self::shards::{PlanRequest, SharedWork};
use self::variables::VariableSources;
use super::environment::Environment;
use super::print::{answer_bytes, tell};
use super::progress::Reporter;
use crate::cli::build::{Beforehand, Call};
use crate::cli::namespace::Want;
use crate::error::{Error, Result};
use crate::net::date;
use crate::oci::{Map, Platform};
use crate::plan::Isolation;
use crate::plan::bake::{BakeDefinition, BakeReader, BakeRequest, BuiltIn, ResolvedBake, is_remote};
use crate::plan::hcl::Surroundings;

/// Returns what a bake wants of its place: what the builds of all targets want.
pub fn want(arguments: &BakeArguments, environment: &Environment) -> Result<Want> {
    let commands = Want::Commands(Isolation::default());
    match arguments.shards.work() {
        Some(SharedWork::Build { file }) => return shards::want(arguments, file, environment),
        Some(SharedWork::Plan { .. } | SharedWork::Join { .. }) => return Ok(Want::Nothing),
        None => {}
    }
    if arguments.is_printed() || arguments.list().is_some() || arguments.called().is_some_and(Call::asks) {
        return Ok(Want::Nothing);
    }
    // What is fetched may hold a RUN, and is fetched once.
    if !commands.is_elsewhere() || arguments.targets.first().is_some_and(|word| is_remote(word)) {
        return Ok(commands);
    }
    // What is wrong will come to light again.
    let Ok(read) = ReadBake::new(arguments, environment, &|_| ()) else { return Ok(Want::Nothing) };
    let Ok(resolved) = read.resolve(arguments, environment) else { return Ok(Want::Nothing) };
    BakeOrder { resolved: &resolved, remote: None, sources: &read.sources, arguments }.want(environment)
}

/// Prints, lists or builds targets.
pub fn run(arguments: &BakeArguments, environment: &Environment, beforehand: &Beforehand) -> Result<()> {
    let shared = arguments.shards.work();
    if let Some(work) = shared.as_ref().filter(|_| arguments.shards.goes_by_plan()) {
        return shards::go_by_plan(work, arguments, environment, beforehand);
    }
    let list = arguments.list();
    if arguments.is_printed() && list.is_some() {
        return Err(Error::usage("--print and --list are mutually exclusive"));
    }
    let read = ReadBake::new(arguments, environment, &|text| tell(&format!("warning: {text}")))?;
    if let Some(question) = list {
        tell_of(&read.definition.faults);
        return question.answer(&read.definition);
    }
    let mut resolved = read.resolve(arguments, environment)?;
    let ReadBake { found, sources, definition } = read;
    if shared.is_none() {
        agree::check(&resolved, &|name| sources.variable(name))?;
    }
    let faults: Vec<Error> = definition.faults.into_iter().chain(std::mem::take(&mut resolved.faults)).collect();
    if arguments.is_printed() {
        tell_of(&faults);
        return print(&resolved);
    }
    match (arguments.is_dockers, faults.into_iter().next()) {
        (false, Some(fault)) => return Err(fault),
        (true, Some(fault)) => tell_of(&[fault]),
        (_, None) => {}
    }
    let order = BakeOrder { resolved: &resolved, remote: found.remote.as_ref(), sources: &sources, arguments };
    match shared {
        Some(SharedWork::Plan { file, shards, jobs }) => {
            let request = PlanRequest { file, shards, jobs, files: found.digests() };
            shards::make(&order, request, environment)
        }
        _ => order.carry_out(environment, beforehand),
    }
}

/// What files define, and what they were read with.
struct ReadBake {
    found: FoundBake,
    sources: VariableSources,
    definition: BakeDefinition,
}

impl ReadBake {
    /// Finds the files and reads them; `warn` is told of what is let pass.
    fn new(arguments: &BakeArguments, environment: &Environment, warn: &dyn Fn(&str)) -> Result<Self> {
        let reporter = Reporter::new(&arguments.progress);
        let found = files::find(arguments, environment, &|event| reporter.report(event))?;
        reporter.finish();
        let sources = VariableSources::read(&arguments.var, &arguments.env_file)?;
        let definition = define(&found, &sources, arguments.bake_healthchecks, warn)?;
        for name in &definition.unsteady {
            warn(&format!("{name}() answers differently each time, and so will what is built with it"));
        }
        Ok(ReadBake { found, sources, definition })
    }

    /// Returns the targets that are asked for.
    fn resolve(&self, arguments: &BakeArguments, environment: &Environment) -> Result<ResolvedBake> {
        let mut resolved = self.definition.resolve(BakeRequest {
            targets: &self.found.targets,
            overrides: &arguments.overrides(),
            allowances: agree::allowances(&arguments.allow, &self.found.files)?,
            variable: &|name| self.sources.variable(name),
        })?;
        let remote = self.found.remote.as_ref().map(remote::RemoteFiles::context);
        resolved.settle(remote, environment.source_date_epoch())?;
        Ok(resolved)
    }
}

/// Reads what the files define.
fn define(
    found: &FoundBake,
    sources: &VariableSources,
    has_healthchecks: bool,
    tell: &dyn Fn(&str),
) -> Result<BakeDefinition> {
    let built_in = BuiltIn::from([
        ("BAKE_CMD_CONTEXT".to_owned(), found.command_context.clone()),
        ("BAKE_LOCAL_PLATFORM".to_owned(), Platform::host().to_string()),
    ]);
    let uses_environment = !variables::is_on("BUILDX_BAKE_DISABLE_VARS_ENV_LOOKUP");
    let told = RefCell::new(std::collections::BTreeSet::new());
    let warn = |text: &str| {
        if told.borrow_mut().insert(text.to_owned()) {
            tell(text);
        }
    };
    let home = sources.variable("HOME").unwrap_or_default();
    let compose_variables: Map<String> = sources.of_compose(&found.directory, &warn)?;
    BakeDefinition::read(
        &found.files,
        &BakeReader {
            given: &sources.given,
            variable: &|name| sources.variable(name).filter(|_| uses_environment),
            built_in: &built_in,
            surroundings: Surroundings { now: date::now(), home: &home, random: &variables::random },
            compose_variables: &compose_variables,
            read: &|path: &Path| files::read_named(path),
            warn: &warn,
            has_healthchecks,
            has_relative_paths: variables::is_on("BUILDX_BAKE_FILE_RELATIVE_PATHS"),
        },
    )
}

/// Says what is a mistake and is let pass.
fn tell_of(faults: &[Error]) {
    for fault in faults {
        let place =
            fault.excerpt.as_ref().map(|excerpt| format!("{}:{}:{}: ", excerpt.file, excerpt.line, excerpt.column));
        let hint = fault.hint.as_ref().map(|hint| format!(" ({hint})"));
        let (place, hint) = (place.unwrap_or_default(), hint.unwrap_or_default());
        tell(&format!("warning: {place}{}{hint}", fault.message));
    }
}

/// Answers with the targets as a bake file, spelled as Go's encoder spells JSON.
fn print(resolved: &ResolvedBake) -> Result<()> {
    #[derive(serde::Serialize)]
    struct PrintedBake<'a> {
        #[serde(skip_serializing_if = "Map::is_empty")]
        group: &'a Map<crate::plan::bake::BakeGroup>,
        target: Map<crate::plan::bake::BakeTarget>,
    }
    let target = resolved.targets.iter().map(|(name, target)| (name.clone(), target.escaped())).collect();
    let document = PrintedBake { group: &resolved.groups, target };
    let text = serde_json::to_string_pretty(&document)
        .map_err(|source| Error::input("the targets cannot be shown").with_source(source))?;
    answer_bytes(go_json(&text).as_bytes())
}
