//! `ocibake bake`, which is `docker buildx bake`: the targets of bake files and compose files.

mod agree;
mod allowed;
mod ask;
mod build;
mod files;
mod list;
mod order;
mod release;
mod remote;
mod request;
mod variables;

use std::cell::RefCell;
use std::path::Path;
use std::sync::OnceLock;

use clap::Args;

use self::build::BakeOrder;
use self::files::FoundFiles;
use self::list::ListQuestion;
use self::release::BakeReleaseFlags;
use self::variables::VariableSources;
use super::environment::Environment;
use super::flags::value::{on_or_off, value};
use super::print::{answer_bytes, tell};
use super::namespace::Want;
use super::progress::{ProgressFlags, Reporter};
use crate::cli::build::{Beforehand, Call, of_build};
use crate::error::{Error, Result, escape};
use crate::oci::{Map, Platform};
use crate::output::Output;
use crate::plan::bake::{AttestEntry, BakeDefinition, BakeReader, BakeRequest, BuiltIn, ResolvedBake, is_remote};
use crate::plan::Isolation;
use crate::plan::dockerfile::Dockerfile;
use crate::plan::hcl::Surroundings;

/// Build the targets of bake files (HCL, JSON) and of compose files
#[derive(Debug, Args)]
pub struct BakeArguments {
    /// Targets and groups to build, * and ? in their names standing for anything [default: default]. Before them may stand the
    /// URL of a repository or of an archive that has the files, and that of the context
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// Bake file or compose file, the later ones laid over the earlier; - is standard input [default: compose.yaml,
    /// docker-compose.yml, docker-bake.json, docker-bake.hcl and overrides of these, all that are there]
    #[arg(short, long, value_name = "FILE")]
    file: Vec<String>,
    /// Set a variable of the files
    #[arg(long, value_name = "NAME=VALUE")]
    var: Vec<String>,
    /// File of variables, which the environment goes before
    #[arg(long, value_name = "FILE")]
    env_file: Vec<String>,
    /// Change targets, as in app.args.VERSION=1.2, *.platform=linux/arm64 and app.tags+=NAME
    #[arg(long, value_name = "TARGET.KEY[+]=VALUE")]
    set: Vec<String>,
    /// Show what would be built, as a bake file in JSON
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", value_parser = on_or_off)]
    print: Option<bool>,
    /// List what the files define: targets or variables; with type=TYPE,format=json as JSON
    #[arg(long, value_name = "TYPE", value_parser = value::<ListQuestion>)]
    list: Option<ListQuestion>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = on_or_off)]
    list_targets: Option<bool>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = on_or_off)]
    list_variables: Option<bool>,
    /// Push images, unless a target has outputs that are none
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", value_parser = on_or_off)]
    push: Option<bool>,
    /// Load images into an engine, unless a target has outputs that are none
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", value_parser = on_or_off)]
    load: Option<bool>,
    /// Run every command, whatever earlier builds have left
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", value_parser = on_or_off)]
    no_cache: Option<bool>,
    /// Ask registries what the tags of bases stand for, in any case
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", value_parser = on_or_off)]
    pull: Option<bool>,
    /// Ask about the Dockerfiles: check, outline (what they take) or targets (their stages)
    #[arg(long, value_name = "METHOD", value_parser = value::<Call>)]
    call: Option<Call>,
    /// Only look for what the Dockerfiles should not say
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", value_parser = on_or_off)]
    check: Option<bool>,
    /// Allow builds what is beyond the usual: network.host, security.insecure, ssh, fs=PATH, fs.read=PATH, fs.write=PATH
    #[arg(long, value_name = "ENTITLEMENT")]
    allow: Vec<String>,
    /// Write the digests of what was built to a file
    #[arg(long, value_name = "FILE")]
    metadata_file: Option<std::path::PathBuf>,
    /// Write all images together to FILE (OCI archive), DIR/ (OCI layout) or - (docker archive), beside their own outputs
    #[arg(short, long, value_name = "OUTPUT", value_parser = value::<Output>)]
    output: Vec<Output>,
    /// Threads, and uploads at a time [default: one per core, at most 16]
    #[arg(short, long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    jobs: usize,
    /// Allow plain HTTP, and TLS certificates that cannot be verified
    #[arg(long)]
    insecure: bool,
    #[command(flatten)]
    release: BakeReleaseFlags,
    #[arg(long, hide = true)]
    provenance: Option<String>,
    #[arg(long, hide = true)]
    sbom: Option<String>,
    #[arg(long, hide = true)]
    policy: Vec<String>,
    #[arg(long, hide = true)]
    builder: Option<String>,
    #[arg(short = 'D', long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = on_or_off)]
    debug: Option<bool>,
    #[command(flatten)]
    progress: ProgressFlags,
    /// The command is docker's: what docker lets pass is let pass.
    #[arg(skip)]
    is_dockers: bool,
    /// What the files define, once they were read.
    #[arg(skip)]
    read: OnceLock<ReadFiles>,
}

/// What files define, and what they were read with.
#[derive(Debug)]
struct ReadFiles {
    found: FoundFiles,
    sources: VariableSources,
    definition: BakeDefinition,
}

impl BakeArguments {
    /// Returns how the command shows progress.
    pub fn progress(&self) -> ProgressFlags {
        self.progress.clone()
    }

    /// Lets pass what docker lets pass.
    pub fn in_dockers_words(&mut self) {
        self.is_dockers = true;
    }

    fn is_printed(&self) -> bool {
        self.print == Some(true)
    }

    fn list(&self) -> Option<ListQuestion> {
        let old = |is_on: Option<bool>, question: ListQuestion| (is_on == Some(true)).then_some(question);
        let targets = || old(self.list_targets, ListQuestion::targets());
        self.list.or_else(targets).or_else(|| old(self.list_variables, ListQuestion::variables()))
    }

    /// Returns what the files define, which are read once.
    fn read(&self, environment: &Environment) -> Result<&ReadFiles> {
        if let Some(read) = self.read.get() {
            return Ok(read);
        }
        let reporter = Reporter::new(&self.progress);
        let found = files::find(self, environment, &|event| reporter.report(event))?;
        reporter.finish();
        let sources = VariableSources::read(&self.var, &self.env_file)?;
        let definition = define(&found, &sources)?;
        for name in &definition.unsteady {
            tell(&format!("warning: {name}() answers otherwise each time, and so will what is built with it"));
        }
        Ok(self.read.get_or_init(|| ReadFiles { found, sources, definition }))
    }

    /// Returns the targets that are asked for, resolved.
    fn resolve(&self, read: &ReadFiles, environment: &Environment) -> Result<ResolvedBake> {
        let request = BakeRequest {
            targets: &read.found.targets,
            overrides: &self.overrides(),
            allowances: agree::allowances(&self.allow)?,
            variable: &|name| read.sources.variable(name),
        };
        let mut resolved = read.definition.resolve(request)?;
        let remote = read.found.remote.as_ref().map(remote::RemoteFiles::context);
        resolved.settle(remote, environment.source_date_epoch())?;
        Ok(resolved)
    }

    /// The changes of targets that flags of their own stand for, as `--set` has them.
    fn overrides(&self) -> Vec<String> {
        let mut all = self.set.clone();
        let mut set = |key: &str, value: Option<String>| all.extend(value.map(|value| format!("*.{key}={value}")));
        let is_pushed = self.push == Some(true) || self.release.is_dry_run();
        set("push", is_pushed.then(|| true.to_string()));
        set("load", (self.load == Some(true)).then(|| true.to_string()));
        set("call", self.called().and_then(|call| call.method()).map(str::to_owned));
        set("no-cache", self.no_cache.map(|is_on| is_on.to_string()));
        set("pull", self.pull.map(|is_on| is_on.to_string()));
        for (kind, text) in [("sbom", &self.sbom), ("provenance", &self.provenance)] {
            let text = text.as_deref().filter(|text| !text.is_empty());
            set("attest", text.map(|text| AttestEntry::text_of_flag(kind, text)));
        }
        all
    }

    /// What is asked in the place of builds.
    fn called(&self) -> Option<Call> {
        if self.check == Some(true) { Some(Call::check()) } else { self.call }
    }
}

/// Returns what a bake wants of its place: what the builds of all targets want.
pub fn want(arguments: &BakeArguments, environment: &Environment) -> Result<Want> {
    let commands = Want::Commands(Isolation::default());
    if arguments.is_printed() || arguments.list().is_some() || arguments.called().is_some_and(Call::asks) {
        return Ok(Want::Nothing);
    }
    // What is fetched may hold a RUN, and is fetched once.
    if !commands.is_elsewhere() || arguments.targets.first().is_some_and(|word| is_remote(word)) {
        return Ok(commands);
    }
    let read = arguments.read(environment)?;
    let Ok(resolved) = arguments.resolve(read, environment) else { return Ok(Want::Nothing) };
    let order = BakeOrder { resolved: &resolved, remote: None, sources: &read.sources, arguments };
    let mut wanted = Want::Nothing;
    for request in order.requests(environment)? {
        let want = match &request.dockerfile {
            // What is wrong with it the build will say.
            Some(text) => match Dockerfile::read("Dockerfile", text.as_bytes()) {
                Ok(dockerfile) if !dockerfile.has_commands() && !environment.again => Want::Nothing,
                _ => commands,
            },
            None => of_build(&request.build, Some(&request.context), environment)?.0,
        };
        if want != Want::Nothing {
            wanted = want;
        }
    }
    Ok(wanted)
}

/// Prints, lists or builds targets.
pub fn run(arguments: &BakeArguments, environment: &Environment, beforehand: &Beforehand) -> Result<()> {
    let list = arguments.list();
    if arguments.is_printed() && list.is_some() {
        return Err(Error::usage("--print and --list are mutually exclusive"));
    }
    let read = arguments.read(environment)?;
    let definition = &read.definition;
    if let Some(question) = list {
        tell_of(definition.faults.iter());
        return question.answer(definition);
    }
    let resolved = arguments.resolve(read, environment)?;
    agree::check(&resolved, &|name| read.sources.variable(name))?;
    let mut faults = definition.faults.iter().chain(&resolved.faults);
    if arguments.is_printed() {
        tell_of(faults);
        return print(&resolved);
    }
    match (arguments.is_dockers, faults.next()) {
        (false, Some(fault)) => return Err(restated(fault)),
        (true, Some(fault)) => tell_of([fault].into_iter()),
        (_, None) => {}
    }
    let remote = read.found.remote.as_ref();
    BakeOrder { resolved: &resolved, remote, sources: &read.sources, arguments }.carry_out(environment, beforehand)
}

/// Reads what the files define.
fn define(found: &files::FoundFiles, sources: &VariableSources) -> Result<BakeDefinition> {
    let built_in = BuiltIn::from([
        ("BAKE_CMD_CONTEXT".to_owned(), found.command_context.clone()),
        ("BAKE_LOCAL_PLATFORM".to_owned(), Platform::host().to_string()),
    ]);
    let uses_environment = !variables::is_on("BUILDX_BAKE_DISABLE_VARS_ENV_LOOKUP");
    let told = RefCell::new(std::collections::BTreeSet::new());
    let warn = |text: &str| {
        if told.borrow_mut().insert(text.to_owned()) {
            tell(&format!("warning: {text}"));
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
            surroundings: Surroundings { now: variables::now(), home: &home, random: &variables::random },
            compose_variables: &compose_variables,
            read: &|path: &Path| files::read_named(path),
            warn: &warn,
            has_relative_paths: variables::is_on("BUILDX_BAKE_FILE_RELATIVE_PATHS"),
        },
    )
}

/// Returns a mistake as the error that it is.
fn restated(fault: &Error) -> Error {
    Error {
        kind: fault.kind,
        message: fault.message.clone(),
        details: fault.details.clone(),
        source: None,
        hint: fault.hint.clone(),
        excerpt: fault.excerpt.clone(),
    }
}

/// Says what is a mistake and is let pass.
fn tell_of<'a>(faults: impl Iterator<Item = &'a Error>) {
    for fault in faults {
        let place = fault.excerpt.as_ref().map(|excerpt| format!("{}:{}:{}: ", excerpt.file, excerpt.line, excerpt.column));
        let hint = fault.hint.as_ref().map(|hint| format!(" ({hint})"));
        let (place, hint) = (place.unwrap_or_default(), hint.unwrap_or_default());
        tell(&format!("warning: {place}{}{hint}", fault.message));
    }
}

/// Answers with the targets as a bake file, spelled as Go's encoder spells JSON.
fn print(resolved: &ResolvedBake) -> Result<()> {
    #[derive(serde::Serialize)]
    struct Document<'a> {
        #[serde(skip_serializing_if = "Map::is_empty")]
        group: &'a Map<crate::plan::bake::BakeGroup>,
        target: Map<crate::plan::bake::BakeTarget>,
    }
    let target = resolved.targets.iter().map(|(name, target)| (name.clone(), target.escaped())).collect();
    let document = Document { group: &resolved.groups, target };
    let text = serde_json::to_string_pretty(&document)
        .map_err(|source| Error::input("the targets cannot be shown").with_source(source))?;
    answer_bytes(go_json(&text).as_bytes())
}

/// Returns JSON of several lines with what HTML could take for its own escaped.
fn go_json(text: &str) -> String {
    let mut spelled = String::with_capacity(text.len() + 1);
    for line in text.lines() {
        for character in escape::json(line).chars() {
            match character {
                '<' | '>' | '&' => spelled.push_str(&format!("\\u{:04x}", u32::from(character))),
                character => spelled.push(character),
            }
        }
        spelled.push('\n');
    }
    spelled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_spelled_as_gos_encoder_does() {
        assert_eq!(go_json("{\n  \"a\": \"<&>\"\n}"), "{\n  \"a\": \"\\u003c\\u0026\\u003e\"\n}\n");
    }
}
