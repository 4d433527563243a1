//! A resolved target, as the flags that a build has.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::layers;
use super::remote::RemoteFiles;
use crate::cli::build::{Call, GivenNames, GivenRecipe};
use crate::cli::flags::base::{BaseFlags, PullFlag};
use crate::cli::flags::build::BuildFlags;
use crate::cli::flags::cache::SharedCacheFlags;
use crate::cli::flags::output::OutputFlags;
use crate::cli::flags::recipe::RecipeFlags;
use crate::cli::flags::run::RunFlags;
use crate::cli::flags::spec::SpecFlags;
use crate::error::{Error, ErrorKind, Result};
use crate::oci::{Map, Platform};
use crate::plan::bake::{AttestEntry, BakeTarget, HERE, SecretEntry, is_remote};
use crate::plan::secret::csv_field;
use crate::plan::{ContextPlace, NamedAgent, NamedContext, Spec, is_http};
use crate::source::base::Pull;
use crate::source::context::OpenContext;
use crate::tree::real_within;

/// The Dockerfile that every target has which names no other.
const USUAL: &str = "Dockerfile";

/// One target, as a build of the command line has it.
pub struct TargetRequest {
    pub name: String,
    /// What it is for, in words.
    pub description: String,
    pub context: PathBuf,
    pub build: BuildFlags,
    pub output: OutputFlags,
    pub given: GivenNames,
    /// The Dockerfile, if it stands in the definition.
    dockerfile: Option<String>,
    /// What it is made of, if that is layers.
    spec: Option<Box<Spec>>,
    /// The targets that it takes from.
    pub takes_from: Vec<String>,
    /// It was not asked for: others take from it.
    pub is_linked: bool,
    /// What is asked in the place of a build.
    pub call: Option<Call>,
    /// What is to be said before.
    pub warnings: Vec<String>,
}

/// What a target is read with.
pub struct TargetSurroundings<'a> {
    /// The place elsewhere that the definition comes from.
    pub remote: Option<&'a RemoteFiles>,
    /// Returns a variable of the environment.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// The image gets a name, whatever the target says.
    pub is_named: bool,
    /// The image goes somewhere, whatever the target says.
    pub goes_out: bool,
    pub jobs: usize,
    pub is_insecure: bool,
    pub caches: &'a SharedCacheFlags,
    /// What is said is said in docker's words.
    pub is_dockers: bool,
    /// The platform of targets that name none.
    pub usual_platform: Option<&'a str>,
}

impl TargetRequest {
    /// Returns what `target` comes to. Fails for what nothing here can do, with the name of the target.
    pub fn new(name: &str, target: &BakeTarget, around: &TargetSurroundings<'_>) -> Result<Self> {
        read(name, target, around).map_err(|error| {
            let kind = if error.kind == ErrorKind::Usage { ErrorKind::Input } else { error.kind };
            let error = Error { message: format!("target {name}: {}", error.message), kind, ..error };
            error.or_excerpt(target.table.as_ref())
        })
    }

    /// Returns what it is told by, if that stands in the definition.
    pub fn given(&self) -> Option<GivenRecipe<'_>> {
        let spec = self.spec.as_deref().map(GivenRecipe::Spec);
        spec.or(self.dockerfile.as_deref().map(GivenRecipe::Dockerfile))
    }

    /// Returns whether it is made of layers, and has no Dockerfile.
    pub fn is_of_layers(&self) -> bool {
        self.spec.is_some()
    }
}

fn read(name: &str, target: &BakeTarget, around: &TargetSurroundings<'_>) -> Result<TargetRequest> {
    let mut warnings = Vec::new();
    refuse(target)?;
    if target.resources.is_some() {
        warnings.push(format!("`resources` of the target {name} changes nothing here"));
    }
    let context = context(target, around.remote)?;
    let (given, recipe, run) = match layers::spec_of(target, around.remote)? {
        Some((given, recipe)) => {
            warnings.extend(layers::unused_keys(name, target));
            (Some(given), recipe, RunFlags::default())
        }
        None => (None, dockerfile_flags(target, &context, around.remote)?, run(target, around)?),
    };
    let mut spec = SpecFlags::default();
    spec.platform = platforms(target);
    spec.index = target.index == Some(true);
    spec.label = pairs(&target.labels).collect();
    spec.given_healthcheck = target.healthcheck.clone();
    spec.annotation = target.annotations.clone().unwrap_or_default();
    let pull = PullFlag { pull: (target.pull == Some(true)).then_some(Pull::Always) };
    spec.usual_platform(around.usual_platform);
    let output = output(name, target, around, &mut warnings)?;
    let tags = target.tags.as_deref().unwrap_or_default();
    Ok(TargetRequest {
        name: name.to_owned(),
        description: target.description.clone(),
        given: GivenNames::read(tags, &output)?,
        context,
        build: BuildFlags {
            recipe,
            run,
            base: BaseFlags { pull, ..BaseFlags::default() },
            spec,
            ..BuildFlags::default()
        },
        output,
        dockerfile: target.dockerfile_inline.clone(),
        spec: given,
        takes_from: target.links(),
        is_linked: target.is_linked,
        call: target.call.as_deref().map(str::parse::<Call>).transpose()?.filter(|call| call.question.is_some()),
        warnings,
    })
}

/// Returns what says how a Dockerfile is built.
fn dockerfile_flags(target: &BakeTarget, context: &Path, remote: Option<&RemoteFiles>) -> Result<RecipeFlags> {
    let contexts = target.contexts.iter().map(|(name, place)| named_context(name, place, remote));
    Ok(RecipeFlags {
        file: file(target, context, remote)?,
        target: target.target.clone(),
        build_arg: pairs(&target.args).collect(),
        build_context: contexts.collect::<Result<Vec<_>>>()?,
        git_args: None,
        prefers_dockerfile: true,
    })
}

/// Refuses what is not done here, so that nobody takes it for done.
fn refuse(target: &BakeTarget) -> Result<()> {
    for AttestEntry { kind, is_disabled, .. } in target.attest.iter().flatten() {
        if !is_disabled && matches!(kind.as_str(), "provenance" | "sbom") {
            let what = if kind == "sbom" { "an SBOM" } else { "provenance" };
            return Err(Error::input(format!("`attest`: ocibake does not write {what}"))
                .with_hint(format!("leave it out, or give --{kind}=false")));
        }
    }
    let is_judged = target.policy.iter().flatten().any(|policy| !policy.is_disabled && policy.files.is_some());
    match is_judged {
        true => Err(Error::input("`policy`: ocibake does not read policies").with_hint("leave it out")),
        false => Ok(()),
    }
}

/// Returns where the context is: a path of a definition that comes from elsewhere lies there, too.
fn context(target: &BakeTarget, remote: Option<&RemoteFiles>) -> Result<PathBuf> {
    let text = target.context.as_deref().unwrap_or(".");
    match remote.filter(|_| !target.has_context_here && !is_remote(text)) {
        Some(remote) => elsewhere(remote, text),
        None => Ok(PathBuf::from(text)),
    }
}

fn elsewhere(remote: &RemoteFiles, path: &str) -> Result<PathBuf> {
    let Some(opened) = &remote.root else {
        return Err(Error::input(format!("the context {path} does not exist: the bake file came alone"))
            .with_hint(format!("write {HERE}{path} for a directory on this machine")));
    };
    real_within(&real_root(opened)?, Path::new(path), &path)
}

fn real_root(opened: &OpenContext) -> Result<PathBuf> {
    opened.root.canonicalize().map_err(|source| Error::io("find", &opened.root, source))
}

/// Returns the Dockerfile as a flag names it: a path of this machine, or of a context that is elsewhere. The usual one of a
/// context is found there, unless the context may have the `ocibake.toml` that the target stands in.
fn file(target: &BakeTarget, context: &Path, remote: Option<&RemoteFiles>) -> Result<Option<PathBuf>> {
    if target.dockerfile_inline.is_some() {
        return Ok(Some(PathBuf::from("-")));
    }
    let is_found = |name: &str| name == USUAL && target.table.is_none();
    let Some(name) = target.dockerfile.as_deref().filter(|name| !is_found(name)) else { return Ok(None) };
    if let Some(path) = name.strip_prefix(HERE) {
        return Ok(Some(PathBuf::from(path)));
    }
    if is_http(name) || context.to_str().is_some_and(is_remote) || context.is_file() {
        return Ok(Some(PathBuf::from(name)));
    }
    match remote.and_then(|remote| remote.root.as_ref()).filter(|_| !target.has_context_here) {
        Some(opened) => real_within(&real_root(opened)?, &context.join(name), &name).map(Some),
        None => {
            let path = context.join(name);
            if target.table.is_some() && !path.exists() {
                let error = Error::not_found(format!("there is no {name} in {}", context.display()));
                return Err(error.with_hint(
                    "name another with `dockerfile`; an image of layers has a `base` or `[[image.NAME.layer]]`",
                ));
            }
            Ok(Some(path))
        }
    }
}

fn named_context(name: &str, place: &str, remote: Option<&RemoteFiles>) -> Result<NamedContext> {
    let of = |place: &str| NamedContext::from_str(&format!("{name}={place}"));
    if let Some(target) = place.strip_prefix("target:") {
        return Ok(NamedContext { place: ContextPlace::Target(target.to_owned()), ..of(".")? });
    }
    if let Some(path) = place.strip_prefix(HERE) {
        return of(path);
    }
    let named = of(place)?;
    match (remote, &named.place) {
        (Some(remote), ContextPlace::Directory(_)) => {
            Ok(NamedContext { place: ContextPlace::Directory(elsewhere(remote, place)?), ..named })
        }
        _ => Ok(named),
    }
}

fn platforms(target: &BakeTarget) -> Vec<String> {
    let texts = target.platforms.iter().flatten().flat_map(|text| text.split(','));
    let platform = |text: &str| match text.eq_ignore_ascii_case("local") {
        true => Platform::host().to_string(),
        false => text.to_owned(),
    };
    texts.map(platform).collect()
}

/// Returns those that have a value as flags have them.
fn pairs(values: &Map<Option<String>>) -> impl Iterator<Item = String> {
    values.iter().filter_map(|(name, value)| Some(format!("{name}={}", value.as_ref()?)))
}

/// Returns where the image goes. That of a target that others take from goes nowhere, and caches that cannot be used are no more
/// than a warning.
fn output(
    name: &str,
    target: &BakeTarget,
    around: &TargetSurroundings<'_>,
    warnings: &mut Vec<String>,
) -> Result<OutputFlags> {
    let mut output = OutputFlags::default();
    (output.jobs, output.insecure) = (around.jobs, around.is_insecure);
    output.cache.shared = around.caches.clone();
    if around.is_dockers {
        output.take_dockers_words();
    }
    let mut not_used = |key: &str, outcome: Result<()>| {
        if let Err(error) = outcome {
            warnings.push(format!("`{key}` of the target {name} is not used: {}", error.message));
        }
    };
    for entry in target.cache_from.iter().flatten() {
        not_used("cache-from", output.cache.take_from(&fields(entry.to_fields())));
    }
    for entry in target.cache_to.iter().flatten() {
        not_used("cache-to", output.cache.put_to(&fields(entry.to_fields())));
    }
    let outputs = target.outputs.as_deref().unwrap_or_default();
    for entry in outputs {
        let mut entry_fields = entry.to_fields();
        entry_fields.retain(|key, value| key != "dest" || !value.is_empty());
        output.add(&fields(entry_fields)).map_err(in_key("output"))?;
    }
    let is_nameless = target.tags.as_ref().is_none_or(Vec::is_empty) && output.names().next().is_none();
    if is_nameless && outputs.is_empty() && !around.is_named {
        if target.call.is_none() && !around.goes_out {
            let message = "has no name and no output: give it `tags` or an `output`";
            warnings.push(format!("the image of the target {name} {message}"));
        }
        output.add("type=cacheonly")?;
    }
    Ok(output)
}

/// Returns a text of fields, the type first.
fn fields(mut fields: Map<String>) -> String {
    let kind = fields.remove("type").map(|kind| format!("type={kind}"));
    let others = fields.into_iter().map(|(key, value)| csv_field(&format!("{key}={value}")));
    kind.into_iter().chain(others).collect::<Vec<_>>().join(",")
}

fn run(target: &BakeTarget, around: &TargetSurroundings<'_>) -> Result<RunFlags> {
    let mut run = RunFlags::default();
    run.network = target.network.as_deref().map(|text| parsed("network", text)).transpose()?;
    run.add_host = pairs(&target.extra_hosts).map(|text| parsed("extra-hosts", &text)).collect::<Result<_>>()?;
    run.shm_size = target.shm_size.as_deref().map(|text| parsed("shm-size", text)).transpose()?;
    run.ulimit = all("ulimits", &target.ulimits)?;
    run.secret = target.secrets.iter().flatten().map(|entry| secret(entry, around)).collect();
    let agents = target.ssh.iter().flatten();
    run.ssh = agents
        .map(|agent| NamedAgent {
            id: agent.id.clone(),
            paths: agent.paths.iter().filter(|path| !path.is_empty()).map(PathBuf::from).collect(),
        })
        .collect();
    run.allow = all("entitlements", &target.entitlements)?;
    run.no_cache = target.no_cache;
    run.no_cache_filter = target.no_cache_filter.clone().unwrap_or_default();
    Ok(run)
}

fn all<T: FromStr<Err = Error>>(key: &str, texts: &Option<Vec<String>>) -> Result<Vec<T>> {
    texts.iter().flatten().map(|text| parsed(key, text)).collect()
}

fn parsed<T: FromStr<Err = Error>>(key: &str, text: &str) -> Result<T> {
    text.parse::<T>().map_err(in_key(key))
}

fn in_key(key: impl Display) -> impl Fn(Error) -> Error {
    move |error| Error { message: format!("`{key}`: {}", error.message), ..error }
}

/// Returns a secret as its flag has it. Without a place it is in the variable of its name, and else in the file.
fn secret(entry: &SecretEntry, around: &TargetSurroundings<'_>) -> String {
    let SecretEntry { id, path, variable } = entry;
    let place = match (path.as_str(), variable.as_str()) {
        ("", "") if (around.variable)(id).is_some() => format!("env={id}"),
        ("", "") => format!("src={id}"),
        (path, "") => format!("src={path}"),
        (_, variable) => format!("env={variable}"),
    };
    [format!("id={id}"), place].map(|field| csv_field(&field)).join(",")
}
