//! `ocibake bake`, which is `docker buildx bake`: the targets of bake files and compose files.

mod agree;
mod files;
mod handover;
mod list;
mod remote;
mod variables;

use std::cell::RefCell;
use std::path::Path;

use clap::Args;

use self::handover::BakeOrder;
use self::list::ListQuestion;
use self::variables::VariableSources;
use super::environment::Environment;
use super::flags::value::{on_or_off, value};
use super::print::{answer_bytes, tell};
use super::progress::{ProgressFlags, Reporter};
use crate::cli::build::{Beforehand, Call};
use crate::error::{Error, Result, escape};
use crate::oci::{Map, Platform};
use crate::plan::bake::{AttestEntry, BakeDefinition, BakeReader, BakeRequest, BuiltIn, ResolvedBake};
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

    /// The changes of targets that flags of their own stand for, as `--set` has them.
    fn overrides(&self) -> Vec<String> {
        let mut all = self.set.clone();
        let mut set = |key: &str, value: Option<String>| all.extend(value.map(|value| format!("*.{key}={value}")));
        set("push", (self.push == Some(true)).then(|| true.to_string()));
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

/// Prints, lists or builds targets.
pub fn run(arguments: &BakeArguments, environment: &Environment, beforehand: &Beforehand) -> Result<()> {
    let list = arguments.list();
    if arguments.is_printed() && list.is_some() {
        return Err(Error::usage("--print and --list are mutually exclusive"));
    }
    let reporter = Reporter::new(&arguments.progress);
    let found = files::find(arguments, environment, &|event| reporter.report(event))?;
    reporter.finish();
    let sources = VariableSources::read(&arguments.var, &arguments.env_file)?;
    let definition = define(&found, &sources)?;
    for name in &definition.unsteady {
        tell(&format!("warning: {name}() answers otherwise each time, and so will what is built with it"));
    }
    if let Some(question) = list {
        tell_of(&definition.faults);
        return question.answer(&definition);
    }
    let request = BakeRequest {
        targets: &found.targets,
        overrides: &arguments.overrides(),
        allowances: agree::allowances(&arguments.allow)?,
        variable: &|name| sources.variable(name),
    };
    let mut resolved = definition.resolve(request)?;
    resolved.settle(found.remote.as_ref().map(remote::RemoteFiles::context), environment.source_date_epoch())?;
    agree::check(&resolved, &|name| sources.variable(name))?;
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
    handover::build(BakeOrder {
        resolved,
        remote: found.remote,
        metadata_file: arguments.metadata_file.as_deref(),
        call: arguments.called(),
        progress: &arguments.progress,
        environment,
        beforehand,
    })
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

/// Says what is a mistake and is let pass.
fn tell_of(faults: &[Error]) {
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
