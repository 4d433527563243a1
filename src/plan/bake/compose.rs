//! Compose files as bake reads them: each service that is built is a target.

use std::path::PathBuf;

use super::bake_file::{BakeFile, BakeReader};
use super::block::check_name;
use super::credential::{AgentEntry, SecretEntry};
use super::definition::{BakeDefinition, TargetPlaces, WrittenPlace};
use super::entry::{AttestEntry, CacheEntry, OutputEntry};
use super::select::target_name;
use super::target::{BakeGroup, BakeTarget, append_entries, normalize_agents, normalize_entries, normalize_secrets};
use crate::error::{Error, Result, suggestion};
use crate::oci::Map;
use crate::plan::ResourceLimit;
use crate::plan::compose::{ComposeFile, ComposeReader, NodeValue, Project, ProjectRequest, YamlNode};

/// Fails if `file` is not a compose file.
pub(super) fn check(file: &BakeFile, reader: &BakeReader<'_>) -> Result<()> {
    project(&[file], reader, &|_| ()).map(drop)
}

/// Defines the services of `files`, the later ones laid over the earlier, and the group `default` of all of them.
pub(super) fn define(files: &[&BakeFile], reader: &BakeReader<'_>, definition: &mut BakeDefinition) -> Result<()> {
    let mut project = project(files, reader, reader.warn)?;
    check_services(&project)?;
    project.resolve_environments(reader.read, &|_| ())?;
    let mut group = BakeGroup { name: "default".to_owned(), ..BakeGroup::default() };
    let mut has_services = false;
    for (service_name, service) in project.services() {
        has_services = true;
        let Some(build) = service.get("build") else { continue };
        let name = target_name(service_name);
        check_name(&name).map_err(|error| service.blame_key(error))?;
        let mut target = target(name.clone(), &project, service, build)?;
        target.healthcheck = project.healthcheck_of(service_name)?;
        group.targets.get_or_insert_default().push(name);
        definition.add_target(target, places(service, build));
    }
    if has_services {
        definition.add_group(group);
    }
    Ok(())
}

fn project(files: &[&BakeFile], reader: &BakeReader<'_>, warn: &dyn Fn(&str)) -> Result<Project> {
    let file = |file: &&BakeFile| ComposeFile {
        path: PathBuf::from(&file.name),
        shown: file.name.clone(),
        text: Some(file.text.clone()),
    };
    let files: Vec<ComposeFile> = files.iter().map(file).collect();
    let name = reader.compose_variables.get("COMPOSE_PROJECT_NAME").filter(|name| !name.is_empty());
    let request = ProjectRequest {
        files: &files,
        // Paths stay as they are written: relative to the working directory.
        directory: &PathBuf::new(),
        name: name.map(String::as_str),
        usual_name: Some("bake"),
        variables: reader.compose_variables.clone(),
        profiles: &["*".to_owned()],
        services: &[],
        is_unchecked: true,
        is_left_unsaid: true,
    };
    // What else a service has is of no account, and may be wrong.
    let kept = ["image", "build", "environment", "env_file", "healthcheck"];
    let kept = if reader.has_healthchecks { &kept[..] } else { &kept[..4] };
    let compose_reader =
        ComposeReader { read: reader.read, warn, interpolates: true, resolves_paths: true, kept: Some(kept) };
    let project = Project::read(request, &compose_reader)?;
    if project.file.get("services").is_none() && project.file.get("secrets").is_none() {
        return Err(Error::input("empty compose file").with_hint("a compose file has `services`"));
    }
    Ok(project)
}

/// Fails for a service without an image and a build, and for what builds name and the files do not have.
fn check_services(project: &Project) -> Result<()> {
    for (name, service) in project.services() {
        let Some(build) = service.get("build") else {
            if service.text_of("image").is_none_or(str::is_empty) {
                let error = Error::input(format!("the service `{name}` has neither an image nor a build"));
                return Err(service.blame_key(error.with_hint("add `image: NAME`, or `build: .`")));
            }
            continue;
        };
        if let (Some(inline), Some(_)) = (build.get("dockerfile_inline"), build.get("dockerfile")) {
            let error = Error::input(format!("the service `{name}` has both `dockerfile` and `dockerfile_inline`"));
            return Err(inline.blame_key(error.with_hint("leave out one of the two")));
        }
        for (_, node) in build.entries_of("additional_contexts") {
            let Some(other) = node.text().and_then(|text| text.strip_prefix("service:")) else { continue };
            let error = match project.service(other) {
                Some(service) if service.get("build").is_some() => continue,
                Some(_) => Error::input(format!("the service `{other}` is not built")),
                None => Error::not_found(format!("there is no service `{other}`")),
            };
            return Err(node.blame(match suggestion(other, project.service_names().filter(|name| *name != other)) {
                Some(near) => error.with_hint(format!("did you mean `{near}`?")),
                None => error,
            }));
        }
        for node in build.values_of("secrets") {
            let source = node.text_of("source").unwrap_or_default();
            if project.file.get("secrets").and_then(|secrets| secrets.get(source)).is_none() {
                let error = Error::not_found(format!("there is no secret `{source}` at the top of the file"));
                return Err(
                    node.blame(error.with_hint(format!("declare it: secrets: {{{source}: {{file: ./{source}.txt}}}}")))
                );
            }
        }
    }
    for (name, secret) in project.file.entries_of("secrets") {
        let has = |key: &str| secret.text_of(key).is_some_and(|text| !text.is_empty());
        if !is_external(secret) && !has("file") && !has("environment") {
            let error = Error::input(format!("the secret `{name}` has neither `file` nor `environment`"));
            return Err(secret.blame_key(error));
        }
    }
    Ok(())
}

fn is_external(secret: &YamlNode) -> bool {
    truth(secret, "external") == Some(true)
}

fn truth(node: &YamlNode, key: &str) -> Option<bool> {
    match node.get(key)?.value {
        NodeValue::Boolean(value) => Some(value),
        _ => None,
    }
}

fn target(name: String, project: &Project, service: &YamlNode, build: &YamlNode) -> Result<BakeTarget> {
    let text = |key: &str| build.text_of(key).filter(|text| !text.is_empty()).map(str::to_owned);
    let texts = |key: &str| build.get(key).map(scalars);
    let caches = |key: &str| {
        let mut entries = Vec::new();
        for node in build.values_of(key) {
            entries.extend(CacheEntry::read(node.text().unwrap_or_default()).map_err(|error| node.blame(error))?);
        }
        Ok::<_, Error>(Some(entries).filter(|entries| !entries.is_empty()))
    };
    let is_set = |key: &str| truth(build, key).filter(|value| *value);
    let mut target = BakeTarget {
        context: text("context"),
        contexts: contexts(build.entries_of("additional_contexts")),
        dockerfile: text("dockerfile"),
        dockerfile_inline: text("dockerfile_inline"),
        tags: texts("tags"),
        labels: build.entries_of("labels").map(|(key, node)| (key.clone(), node.scalar())).collect(),
        args: arguments(project, service, build),
        cache_from: caches("cache_from")?,
        cache_to: caches("cache_to")?,
        network: text("network"),
        platforms: texts("platforms"),
        ssh: agents(build),
        secrets: secrets(project, build)?,
        shm_size: shm_size(build),
        ulimits: limits(build)?,
        extra_hosts: hosts(build),
        attest: attest(build)?,
        no_cache: is_set("no_cache"),
        pull: is_set("pull"),
        target: text("target"),
        name,
        ..BakeTarget::default()
    };
    if let Some(extension) = build.get("x-bake") {
        extend(&mut target, extension)?;
    }
    if target.tags.as_ref().is_none_or(Vec::is_empty)
        && let Some(image) = service.text_of("image").filter(|image| !image.is_empty())
    {
        target.tags = Some(vec![image.to_owned()]);
    }
    Ok(target)
}

fn scalars(node: &YamlNode) -> Vec<String> {
    node.list().unwrap_or_default().iter().filter_map(YamlNode::scalar).collect()
}

fn contexts<'a>(entries: impl Iterator<Item = (&'a String, &'a YamlNode)>) -> Map<String> {
    let context = |(name, node): (&String, &YamlNode)| {
        let text = node.scalar().unwrap_or_default();
        let other = text.strip_prefix("service:").or_else(|| text.strip_prefix("target:"));
        (name.clone(), other.map_or(text.clone(), |other| format!("target:{}", target_name(other))))
    };
    entries.map(context).collect()
}

/// The arguments; one without a value has that of the service's own variable, or of the project's.
fn arguments(project: &Project, service: &YamlNode, build: &YamlNode) -> Map<Option<String>> {
    let own = |name: &str| service.get("environment").and_then(|all| all.get(name)).and_then(YamlNode::scalar);
    let value = |(name, node): (&String, &YamlNode)| {
        let value = node.scalar().or_else(|| own(name)).or_else(|| project.variables.get(name).cloned());
        value.map(|value| (name.clone(), Some(value)))
    };
    build.entries_of("args").filter_map(value).collect()
}

fn agents(build: &YamlNode) -> Option<Vec<AgentEntry>> {
    let mut agents: Vec<AgentEntry> = build.values_of("ssh").iter().filter_map(YamlNode::text).map(agent).collect();
    agents.sort_by(|a, b| (&a.id, &a.paths).cmp(&(&b.id, &b.paths)));
    Some(agents).filter(|agents| !agents.is_empty())
}

/// One path at most, whatever it holds.
fn agent(text: &str) -> AgentEntry {
    let (id, path) = text.split_once('=').unwrap_or((text, ""));
    let paths = if path.is_empty() { Vec::new() } else { vec![path.to_owned()] };
    AgentEntry { id: id.to_owned(), paths }
}

fn secrets(project: &Project, build: &YamlNode) -> Result<Option<Vec<SecretEntry>>> {
    let mut secrets = Vec::new();
    for node in build.values_of("secrets") {
        let id = node.text_of("source").unwrap_or_default().to_owned();
        let Some(declared) = project.file.get("secrets").and_then(|secrets| secrets.get(&id)) else { continue };
        if is_external(declared) {
            let error = Error::input(format!("unsupported external secret {id}"));
            return Err(node.blame(error.with_hint("give it a `file` or an `environment`")));
        }
        let text = |key: &str| declared.text_of(key).unwrap_or_default().to_owned();
        secrets.push(SecretEntry { id, path: text("file"), variable: text("environment") });
    }
    Ok(Some(secrets).filter(|secrets| !secrets.is_empty()))
}

fn shm_size(build: &YamlNode) -> Option<String> {
    let bytes = build.get("shm_size")?.scalar()?.parse::<u64>().ok()?;
    (bytes > 0).then(|| binary_size(bytes))
}

/// Returns a number of bytes as docker writes it: four digits, and a unit.
fn binary_size(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let power = bytes.checked_ilog2().map_or(0, |power| (power / 10) as usize);
    let number = bytes as f64 / 1024_f64.powi(power as i32);
    let whole = if number < 1.0 { 1 } else { number.log10() as usize + 1 };
    let text = format!("{number:.*}", 4_usize.saturating_sub(whole));
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{}", UNITS[power])
}

/// Limits, of which a single number is none, as in buildx.
fn limits(build: &YamlNode) -> Result<Option<Vec<String>>> {
    let mut limits = Vec::new();
    for (name, node) in build.entries_of("ulimits") {
        let part = |key: &str| node.get(key).and_then(YamlNode::scalar).unwrap_or_else(|| "0".to_owned());
        let text = format!("{name}={}:{}", part("soft"), part("hard"));
        text.parse::<ResourceLimit>().map_err(|error| node.blame_key(error))?;
        limits.push(text);
    }
    Ok(Some(limits).filter(|limits| !limits.is_empty()))
}

/// Addresses by names; several of one name stand between commas.
fn hosts(build: &YamlNode) -> Map<Option<String>> {
    let mut hosts: Map<Option<String>> = Map::new();
    for (name, address) in build.values_of("extra_hosts").iter().filter_map(|node| node.text()?.split_once('=')) {
        let own = hosts.entry(name.to_owned()).or_default();
        *own = Some(match own.take() {
            Some(others) => format!("{others},{address}"),
            None => address.to_owned(),
        });
    }
    hosts
}

fn attest(build: &YamlNode) -> Result<Option<Vec<AttestEntry>>> {
    let mut attest = Vec::new();
    for kind in ["sbom", "provenance"] {
        let Some(node) = build.get(kind) else { continue };
        let Some(value) = node.scalar().filter(|value| !value.is_empty()) else { continue };
        let entry = AttestEntry::read(&AttestEntry::text_of_flag(kind, &value));
        attest.push(entry.map_err(|error| node.blame(error))?);
    }
    Ok(Some(attest).filter(|attest| !attest.is_empty()))
}

/// Lays `x-bake` over a target.
fn extend(target: &mut BakeTarget, extension: &YamlNode) -> Result<()> {
    let texts = |key: &str| -> Result<Option<Vec<String>>> {
        let Some(node) = extension.get(key) else { return Ok(None) };
        let texts = match &node.value {
            NodeValue::List(_) => scalars(node),
            NodeValue::Mapping(_) => return Err(node.blame(Error::input(format!("`{key}` is a list of texts")))),
            _ => node.scalar().unwrap_or_default().split_whitespace().map(str::to_owned).collect(),
        };
        Ok(Some(texts).filter(|texts| !texts.is_empty()))
    };
    let blame = |key: &str, error: Error| extension.get(key).map_or(extension, |node| node).blame(error);
    let caches = |key: &str| -> Result<Option<Vec<CacheEntry>>> {
        let Some(texts) = texts(key)? else { return Ok(None) };
        let entries: Vec<Vec<CacheEntry>> = read_all(&texts, CacheEntry::read).map_err(|error| blame(key, error))?;
        Ok(Some(entries.into_iter().flatten().collect()))
    };
    for (own, key) in [
        (&mut target.tags, "tags"),
        (&mut target.platforms, "platforms"),
        (&mut target.no_cache_filter, "no-cache-filter"),
    ] {
        if let Some(texts) = texts(key)? {
            let own = own.get_or_insert_default();
            own.extend(texts);
            let mut seen = std::collections::BTreeSet::new();
            own.retain(|text| seen.insert(text.clone()));
        }
    }
    append_entries(&mut target.cache_from, caches("cache-from")?, normalize_entries);
    append_entries(&mut target.cache_to, caches("cache-to")?, normalize_entries);
    if let Some(texts) = texts("secret")? {
        let secrets = read_all(&texts, SecretEntry::read).map_err(|error| blame("secret", error))?;
        append_entries(&mut target.secrets, Some(secrets), normalize_secrets);
    }
    if let Some(texts) = texts("ssh")? {
        let agents = texts.iter().filter(|text| !text.is_empty()).map(|text| AgentEntry::read(text)).collect();
        append_entries(&mut target.ssh, Some(agents), normalize_agents);
        target.ssh.iter_mut().for_each(|agents| agents.sort_by(|a, b| (&a.id, &a.paths).cmp(&(&b.id, &b.paths))));
    }
    if let Some(texts) = texts("output")? {
        let outputs = read_all(&texts, OutputEntry::read).map_err(|error| blame("output", error))?;
        append_entries(&mut target.outputs, Some(outputs), normalize_entries);
    }
    for (own, key) in [(&mut target.pull, "pull"), (&mut target.no_cache, "no-cache")] {
        let Some(node) = extension.get(key) else { continue };
        let error = || node.blame(Error::input(format!("`{key}` is true or false")));
        *own = Some(truth(extension, key).ok_or_else(error)?);
    }
    for (name, context) in contexts(extension.entries_of("contexts")) {
        target.contexts.entry(name).or_insert(context);
    }
    Ok(())
}

fn read_all<T>(texts: &[String], read: impl Fn(&str) -> Result<T>) -> Result<Vec<T>> {
    texts.iter().filter(|text| !text.is_empty()).map(|text| read(text)).collect()
}

/// Where the keys of a build were written, by bake's names.
fn places(service: &YamlNode, build: &YamlNode) -> TargetPlaces {
    let yaml = |node: &YamlNode| WrittenPlace::Yaml(node.key.clone().unwrap_or_else(|| node.place.clone()));
    let key = |(own, name): (&str, &str)| build.get(own).map(|node| (name.to_owned(), yaml(node)));
    TargetPlaces {
        target: Some(yaml(service)),
        keys: [("context", "context"), ("additional_contexts", "contexts"), ("platforms", "platforms")]
            .into_iter()
            .filter_map(key)
            .collect(),
    }
}
